def averages(marks):
    return {name: round(mean, 2) for name, mean in _means(marks).items()}


def best(marks, subject):
    means = _means([one for one in marks if one[1] == subject])
    return sorted(name for name, mean in means.items() if mean == min(means.values()))


def ranking(marks):
    means = averages(marks)
    ordered = sorted((mean, name) for name, mean in means.items())
    return [(1 + sum(other < mean for other in means.values()), name) for mean, name in ordered]


def _means(marks):
    by_name = {}
    for name, _, mark in marks:
        by_name.setdefault(name, []).append(mark)
    return {name: sum(all_of) / len(all_of) for name, all_of in by_name.items()}
