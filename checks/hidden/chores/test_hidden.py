"""Written before any model saw the prompt; never shown to one."""
import json
from datetime import date

import pytest
from chores.model import Chore
from chores.schedule import due, next_date, overdue_first
from chores.store import dumps, loads

TODAY = date(2024, 3, 10)


def chore(title="dust", days=7, done_on=None):
    return Chore(title=title, days=days, done_on=done_on)


def test_never_done_is_due():
    assert due(chore(), TODAY)


def test_due_on_the_day():
    assert due(chore(done_on=date(2024, 3, 3)), TODAY)


def test_not_due_a_day_before():
    assert not due(chore(done_on=date(2024, 3, 4)), TODAY)


def test_next_date_over_the_end_of_a_month():
    assert next_date(chore(done_on=date(2024, 2, 26))) == date(2024, 3, 4)


def test_next_date_of_what_was_never_done():
    assert next_date(chore()) is None


def test_order():
    chores = [
        chore("b", 7, date(2024, 3, 1)),
        chore("late", 1, date(2024, 2, 1)),
        chore("never z"),
        chore("fresh", 7, date(2024, 3, 9)),
        chore("never a"),
        chore("a", 7, date(2024, 3, 1)),
    ]
    assert [one.title for one in overdue_first(chores, TODAY)] == ["never a", "never z", "late", "a", "b"]


def test_there_and_back():
    chores = [chore("a", 2, date(2024, 1, 31)), chore("b")]
    assert loads(dumps(chores)) == chores


def test_dates_as_text():
    assert "2024-01-31" in dumps([chore("a", 2, date(2024, 1, 31))])


def test_it_is_json():
    assert isinstance(json.loads(dumps([chore()])), list)


def test_nothing():
    assert loads("[]") == []


@pytest.mark.parametrize("text", ["", "{", "{}", "3", '[{"days": 1, "done_on": null}]', '[{"title": "a", "days": 0, "done_on": null}]'])
def test_wrong_text(text):
    with pytest.raises(ValueError):
        loads(text)
