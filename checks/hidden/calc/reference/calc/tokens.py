import re


def tokenize(text):
    tokens, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = re.compile(r"\d+(\.\d+)?|[-+*/^()]").match(text, at)
        if not found:
            raise ValueError(f"unexpected character {text[at]!r}")
        tokens.append(found.group())
        at = found.end()
    return tokens
