def merged(*layers):
    result = {}
    for layer in layers:
        for section, entries in layer.items():
            result.setdefault(section, {}).update(entries)
    return result
