import re


def parse(text):
    if not re.fullmatch(r"[0-9]+(\.[0-9]{2})?", text):
        raise ValueError(f"not an amount: {text!r}")
    whole, _, cents = text.partition(".")
    return 100 * int(whole) + int(cents or 0)


def show(cents):
    return f"{cents // 100}.{cents % 100:02}"
