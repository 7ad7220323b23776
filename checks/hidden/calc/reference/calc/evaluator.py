from calc.parser import parse
from calc.tokens import tokenize


def evaluate(text):
    return _value(parse(tokenize(text)))


def _value(tree):
    if isinstance(tree, float):
        return tree
    if tree[0] == "neg":
        return -_value(tree[1])
    left, right = _value(tree[1]), _value(tree[2])
    if tree[0] == "+":
        return left + right
    if tree[0] == "-":
        return left - right
    if tree[0] == "*":
        return left * right
    if tree[0] == "/":
        return left / right
    return left**right
