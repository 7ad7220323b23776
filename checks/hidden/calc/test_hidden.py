"""Written before any model saw the prompt; never shown to one."""
import pytest
from calc.evaluator import evaluate
from calc.parser import parse
from calc.tokens import tokenize


def test_tokens():
    assert tokenize(" 12.5*(3+4)") == ["12.5", "*", "(", "3", "+", "4", ")"]


def test_nothing_has_no_tokens():
    assert tokenize("  ") == []


@pytest.mark.parametrize("text", ["2 $ 3", "a", "2,5"])
def test_other_characters_are_refused(text):
    with pytest.raises(ValueError):
        tokenize(text)


def test_a_number_is_a_float():
    assert parse(["3"]) == 3.0


def test_ranks():
    assert parse(tokenize("1+2*3")) == ("+", 1.0, ("*", 2.0, 3.0))


def test_left_grouping():
    assert parse(tokenize("8-3-2")) == ("-", ("-", 8.0, 3.0), 2.0)


def test_right_grouping_of_powers():
    assert parse(tokenize("2^3^2")) == ("^", 2.0, ("^", 3.0, 2.0))


def test_minus_before_a_power():
    assert parse(tokenize("-2^2")) == ("neg", ("^", 2.0, 2.0))


@pytest.mark.parametrize("text", ["", "1+", "(1", "1)", "1 2", "*3", "()"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ValueError):
        parse(tokenize(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1+2*3", 7), ("(1+2)*3", 9), ("-2^2", -4), ("2*-3", -6), ("7/2", 3.5), ("2^3^2", 512), ("--1", 1)],
)
def test_values(text, value):
    assert evaluate(text) == pytest.approx(value)


def test_division_by_zero():
    with pytest.raises(ZeroDivisionError):
        evaluate("1/0")
