def parse(tokens):
    rest = list(tokens)
    tree = _sum(rest)
    if rest:
        raise ValueError(f"unexpected {rest[0]!r}")
    return tree


def _left(rest, operators, operand):
    tree = operand(rest)
    while rest and rest[0] in operators:
        tree = (rest.pop(0), tree, operand(rest))
    return tree


def _sum(rest):
    return _left(rest, "+-", _product)


def _product(rest):
    return _left(rest, "*/", _signed)


def _signed(rest):
    if rest and rest[0] == "-":
        rest.pop(0)
        return ("neg", _signed(rest))
    return _power(rest)


def _power(rest):
    base = _atom(rest)
    if rest and rest[0] == "^":
        rest.pop(0)
        return ("^", base, _signed(rest))
    return base


def _atom(rest):
    if not rest:
        raise ValueError("the expression ends too early")
    token = rest.pop(0)
    if token == "(":
        tree = _sum(rest)
        if not rest or rest.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return tree
    if token[0].isdigit():
        return float(token)
    raise ValueError(f"unexpected {token!r}")
