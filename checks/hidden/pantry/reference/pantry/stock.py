from pantry.units import convert


class Stock:
    def __init__(self):
        self._items, self._amounts = {}, {}

    def put(self, item, amount, unit):
        if amount <= 0:
            raise ValueError("nothing is put in")
        self._amounts[item.name] = self.amount(item.name) + convert(amount, unit, item.unit)
        self._items[item.name] = item

    def take(self, name, amount, unit):
        if amount <= 0 or name not in self._items:
            raise ValueError("nothing can be taken out")
        left = self.amount(name) - convert(amount, unit, self._items[name].unit)
        if left < -1e-9:
            raise ValueError(f"there is not enough {name}")
        self._amounts[name] = max(left, 0.0)

    def item(self, name):
        return self._items.get(name)

    def names(self):
        return sorted(self._items)

    def amount(self, name):
        return self._amounts.get(name, 0.0)

    def value(self):
        return sum(self._items[name].price * amount for name, amount in self._amounts.items())
