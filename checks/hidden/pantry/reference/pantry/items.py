from dataclasses import dataclass

from pantry.units import is_unit


@dataclass(frozen=True)
class Item:
    name: str
    unit: str
    price: float

    def __post_init__(self):
        if self.price < 0 or not is_unit(self.unit):
            raise ValueError(f"not an item: {self}")
