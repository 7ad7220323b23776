def parse(text):
    sections, section = {}, ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            sections.setdefault(section, {})
            continue
        key, mark, value = line.partition("=")
        if not mark or not key.strip():
            raise ValueError(f"line {number} is neither a section nor an entry")
        sections.setdefault(section, {})[key.strip()] = value.strip()
    return sections
