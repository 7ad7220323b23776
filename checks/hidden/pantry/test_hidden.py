"""Written before any model saw the prompt; never shown to one."""
import pytest
from pantry.items import Item
from pantry.recipes import missing, scaled
from pantry.report import table
from pantry.stock import Stock
from pantry.units import convert

FLOUR = Item("flour", "kg", 2.0)
MILK = Item("milk", "l", 1.5)
EGG = Item("egg", "piece", 0.3)


@pytest.fixture
def stock():
    stock = Stock()
    stock.put(FLOUR, 1500, "g")
    stock.put(MILK, 2, "l")
    stock.put(EGG, 6, "piece")
    return stock


@pytest.mark.parametrize(("amount", "unit", "to", "result"), [(1500, "g", "kg", 1.5), (0.25, "l", "ml", 250), (3, "piece", "piece", 3), (2, "kg", "kg", 2)])
def test_convert(amount, unit, to, result):
    assert convert(amount, unit, to) == pytest.approx(result)


@pytest.mark.parametrize(("unit", "to"), [("g", "l"), ("piece", "kg"), ("cup", "l"), ("l", "cup")])
def test_what_cannot_be_converted(unit, to):
    with pytest.raises(ValueError):
        convert(1, unit, to)


@pytest.mark.parametrize(("unit", "price"), [("kg", -1), ("cup", 1)])
def test_wrong_items(unit, price):
    with pytest.raises(ValueError):
        Item("x", unit, price)


def test_items_do_not_change():
    with pytest.raises(Exception):
        FLOUR.price = 3


def test_amounts(stock):
    assert stock.amount("flour") == pytest.approx(1.5)
    assert stock.amount("salt") == 0.0


def test_putting_adds(stock):
    stock.put(FLOUR, 1, "kg")
    assert stock.amount("flour") == pytest.approx(2.5)


def test_taking(stock):
    stock.take("milk", 500, "ml")
    assert stock.amount("milk") == pytest.approx(1.5)


def test_taking_too_much_changes_nothing(stock):
    with pytest.raises(ValueError):
        stock.take("egg", 7, "piece")
    assert stock.amount("egg") == 6


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_refused(stock, amount):
    with pytest.raises(ValueError):
        stock.put(FLOUR, amount, "kg")
    with pytest.raises(ValueError):
        stock.take("flour", amount, "kg")


def test_value(stock):
    assert stock.value() == pytest.approx(1.5 * 2.0 + 2 * 1.5 + 6 * 0.3)


def test_scaled():
    assert scaled({"egg": (2, "piece"), "milk": (100, "ml")}, 3) == {"egg": (6, "piece"), "milk": (300, "ml")}


def test_missing(stock):
    found = missing(stock, {"flour": (2000, "g"), "egg": (2, "piece"), "salt": (5, "g")})
    assert set(found) == {"flour", "salt"}
    assert found["flour"][0] == pytest.approx(500) and found["flour"][1] == "g"
    assert found["salt"] == (5, "g")


def test_table(stock):
    stock.take("milk", 2, "l")
    assert table(stock).strip().splitlines() == ["egg: 6.00 piece", "flour: 1.50 kg"]
