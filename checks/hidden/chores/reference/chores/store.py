import json
from datetime import date

from chores.model import Chore


def dumps(chores):
    return json.dumps(
        [{"title": c.title, "days": c.days, "done_on": c.done_on.isoformat() if c.done_on else None} for c in chores]
    )


def loads(text):
    data = json.loads(text)
    if not isinstance(data, list):
        raise ValueError("a list is needed")
    return [_chore(entry) for entry in data]


def _chore(entry):
    if not isinstance(entry, dict) or not entry.get("title") or not isinstance(entry.get("days"), int) or entry["days"] < 1:
        raise ValueError(f"not a chore: {entry!r}")
    done = entry.get("done_on")
    return Chore(entry["title"], entry["days"], date.fromisoformat(done) if done else None)
