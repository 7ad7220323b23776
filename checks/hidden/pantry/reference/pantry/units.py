_FACTORS = {"g": ("mass", 1.0), "kg": ("mass", 1000.0), "ml": ("volume", 1.0), "l": ("volume", 1000.0), "piece": ("count", 1.0)}


def is_unit(unit):
    return unit in _FACTORS


def convert(amount, unit, to):
    if not is_unit(unit) or not is_unit(to) or _FACTORS[unit][0] != _FACTORS[to][0]:
        raise ValueError(f"{unit} cannot be converted to {to}")
    return amount * _FACTORS[unit][1] / _FACTORS[to][1]
