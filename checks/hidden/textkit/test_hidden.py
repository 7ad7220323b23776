"""Written before any model saw the prompt; never shown to one."""
import pytest
from textkit.slug import slugify
from textkit.wrap import wrap


def test_words_are_joined_by_hyphens():
    assert slugify("Hello World") == "hello-world"


def test_separators_collapse():
    assert slugify("a  --  b") == "a-b"


def test_no_hyphen_at_the_ends():
    assert slugify("  (x) ") == "x"


def test_digits_stay():
    assert slugify("Top 10 Lists!") == "top-10-lists"


def test_empty_stays_empty():
    assert slugify("") == ""


def test_text_that_fits_is_one_line():
    assert wrap("one two", 20) == ["one two"]


def test_lines_are_filled():
    assert wrap("one two three four", 9) == ["one two", "three", "four"]


def test_exact_fit():
    assert wrap("aaa bbb", 7) == ["aaa bbb"]


def test_a_long_word_has_its_own_line():
    assert wrap("a bbbbbbbb c", 3) == ["a", "bbbbbbbb", "c"]


def test_width_must_be_positive():
    with pytest.raises(ValueError):
        wrap("x", 0)
