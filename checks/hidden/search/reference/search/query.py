def find(index, query):
    found = set()
    for part in _parts(query.split()):
        found |= _all(index, part)
    return sorted(found)


def _parts(tokens):
    part = []
    for token in tokens:
        if token == "OR":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _all(index, part):
    if not part:
        return set()
    wanted = [word for word in part if not word.startswith("-")]
    found = set.intersection(*(index.documents(word) for word in wanted)) if wanted else index.names()
    for word in part:
        if word.startswith("-"):
            found = found - index.documents(word[1:])
    return found
