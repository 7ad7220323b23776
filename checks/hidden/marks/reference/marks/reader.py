def read(text):
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(";")]
        if len(parts) != 3 or not parts[0] or not parts[1]:
            raise ValueError(f"line {number}: name;subject;mark is needed")
        try:
            mark = float(parts[2].replace(",", "."))
        except ValueError:
            raise ValueError(f"line {number}: {parts[2]!r} is no number") from None
        if not 1 <= mark <= 6:
            raise ValueError(f"line {number}: a mark is from 1 to 6")
        marks.append((parts[0], parts[1], mark))
    return marks
