from datetime import date, timedelta


def next_date(chore):
    return None if chore.done_on is None else chore.done_on + timedelta(days=chore.days)


def due(chore, today):
    then = next_date(chore)
    return then is None or then <= today


def overdue_first(chores, today):
    return sorted((one for one in chores if due(one, today)), key=lambda one: (next_date(one) or date.min, one.title))
