from pantry.units import convert


def scaled(ingredients, factor):
    return {name: (amount * factor, unit) for name, (amount, unit) in ingredients.items()}


def missing(stock, ingredients):
    found = {}
    for name, (amount, unit) in ingredients.items():
        item = stock.item(name)
        there = convert(stock.amount(name), item.unit, unit) if item else 0.0
        if amount - there > 1e-9:
            found[name] = (amount - there, unit)
    return found
