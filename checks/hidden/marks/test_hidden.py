"""Written before any model saw the prompt; never shown to one."""
import pytest
from marks.reader import read
from marks.results import averages, best, ranking

MARKS = [("Ann", "art", 2.0), ("Bob", "art", 1.0), ("Ann", "maths", 1.0), ("Bob", "maths", 2.0), ("Cid", "art", 4.0), ("Dee", "art", 1.0)]


def test_read():
    assert read("Ann; art ;2\n") == [("Ann", "art", 2.0)]


def test_decimal_comma():
    assert read("Ann;art;1,5") == [("Ann", "art", 1.5)]


def test_skipped_lines():
    assert read("# list\n\nAnn;art;2\n  \n") == [("Ann", "art", 2.0)]


def test_nothing():
    assert read("") == []


@pytest.mark.parametrize("line", ["Ann;art", "Ann;art;2;3", ";art;2", "Ann;;2", "Ann;art;x", "Ann;art;0", "Ann;art;6.5", "Ann;art;nan"])
def test_wrong_lines(line):
    with pytest.raises(ValueError, match="2"):
        read("Bob;art;1\n" + line)


def test_averages():
    assert averages(MARKS) == {"Ann": 1.5, "Bob": 1.5, "Cid": 4.0, "Dee": 1.0}


def test_averages_are_rounded():
    assert averages([("A", "x", 1.0), ("A", "x", 1.0), ("A", "y", 2.0)]) == {"A": 1.33}


def test_no_averages():
    assert averages([]) == {}


def test_best():
    assert best(MARKS, "art") == ["Bob", "Dee"]


def test_best_of_several_marks():
    assert best([("A", "x", 1.0), ("A", "x", 4.0), ("B", "x", 2.0)], "x") == ["B"]


def test_best_of_nobody():
    assert best(MARKS, "music") == []


def test_ranking():
    assert ranking(MARKS) == [(1, "Dee"), (2, "Ann"), (2, "Bob"), (4, "Cid")]


def test_ranking_of_nobody():
    assert ranking([]) == []
