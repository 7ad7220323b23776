"""Written before any model saw the prompt; never shown to one."""
import pytest
from layers.ini import parse
from layers.merge import merged
from layers.typed import get


def test_sections():
    assert parse("[a]\nx = 1\n[b]\ny=2") == {"a": {"x": "1"}, "b": {"y": "2"}}


def test_before_the_first_section():
    assert parse("x = 1\n[a]\n") == {"": {"x": "1"}, "a": {}}


def test_nothing():
    assert parse("") == {}


def test_comments():
    assert parse("# x\n; y\n\n[a]\n  # z\nk = v # w") == {"a": {"k": "v # w"}}


def test_later_wins_and_sections_go_on():
    assert parse("[a]\nx=1\n[b]\n[a]\nx=2\ny=3") == {"a": {"x": "2", "y": "3"}, "b": {}}


def test_an_equals_sign_in_a_value():
    assert parse("[a]\nx = b=c") == {"a": {"x": "b=c"}}


def test_wrong_lines_are_numbered():
    with pytest.raises(ValueError, match="3"):
        parse("[a]\nx=1\nnonsense")


def test_merged():
    one, two = {"a": {"x": "1", "y": "2"}}, {"a": {"y": "3"}, "b": {"z": "4"}}
    assert merged(one, two) == {"a": {"x": "1", "y": "3"}, "b": {"z": "4"}}
    assert one == {"a": {"x": "1", "y": "2"}} and two == {"a": {"y": "3"}, "b": {"z": "4"}}


def test_merged_nothing():
    assert merged() == {}


def test_the_result_is_its_own():
    one = {"a": {"x": "1"}}
    merged(one)["a"]["x"] = "2"
    assert one == {"a": {"x": "1"}}


CONFIG = {"a": {"n": "12", "f": "1.5", "t": "Yes", "u": "off", "l": "x, y,,z ", "s": "text", "e": ""}}


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [("n", int, 12), ("f", float, 1.5), ("t", bool, True), ("u", bool, False), ("l", list, ["x", "y", "z"]), ("s", str, "text"), ("e", list, [])],
)
def test_kinds(key, kind, value):
    assert get(CONFIG, "a", key, kind) == value


def test_defaults():
    assert get(CONFIG, "a", "missing", int, 7) == 7
    assert get(CONFIG, "missing", "n", int) is None


@pytest.mark.parametrize(("key", "kind"), [("s", int), ("s", float), ("n", bool)])
def test_what_does_not_fit(key, kind):
    with pytest.raises(ValueError, match=key):
        get(CONFIG, "a", key, kind)
