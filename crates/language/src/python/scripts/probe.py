# Calls functions of one module and reports how each call behaves, in words that are the same for the same behaviour.
import ast
import asyncio
import builtins
import contextlib
import functools
import hashlib
import importlib
import inspect
import io
import itertools
import random
import signal
import unittest

_SECONDS_MAX = 2
_ITEMS_MAX = 2000
_DEPTH_MAX = 20
_TEXT_MAX = 200


class _TooLong(BaseException):
    pass


def _too_long(*_):
    raise _TooLong


def _number(value):
    # Floats that differ by less than about 1e-9 of themselves are the same, and so are 2.0 and 2.
    if value != value or value in (float("inf"), float("-inf")):
        return repr(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else format(value, ".9g")


def _words(value, depth=0):
    if depth > _DEPTH_MAX:
        return "..."
    if value is None or isinstance(value, (bool, str, bytes, bytearray)):
        return repr(value)
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, float):
        return hex(int(value)) if _number(value).lstrip("-").isdigit() else _number(value)
    if isinstance(value, complex):
        return f"{_number(value.real)}+{_number(value.imag)}j"
    inner = functools.partial(_words, depth=depth + 1)
    if isinstance(value, dict):
        items = sorted(f"{inner(key)}: {inner(one)}" for key, one in itertools.islice(value.items(), _ITEMS_MAX))
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (set, frozenset)):
        return "set(" + ", ".join(sorted(map(inner, itertools.islice(value, _ITEMS_MAX)))) + ")"
    if isinstance(value, (list, tuple)) or hasattr(value, "__next__"):
        name = "tuple" if isinstance(value, tuple) else "list" if isinstance(value, list) else "iterator"
        return name + "(" + ", ".join(map(inner, itertools.islice(value, _ITEMS_MAX))) + ")"
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        return f"{type(value).__name__} {getattr(value, '__name__', '')}"
    # Nothing with an address in it, which differs from run to run.
    attributes = getattr(value, "__dict__", {})
    return f"{type(value).__name__}{_words(dict(attributes), depth + 1)}"


def _behaviour(module, call):
    node = ast.parse(call, mode="eval").body
    arguments = [ast.literal_eval(one) for one in node.args]
    named = {one.arg: ast.literal_eval(one.value) for one in node.keywords}
    before = _words((arguments, named))
    printed = io.StringIO()
    random.seed(0)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_MAX)
    try:
        with contextlib.redirect_stdout(printed):
            result = getattr(module, node.func.id)(*arguments, **named)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            text = _words(result)
    except _TooLong:
        return "takes too long"
    except RecursionError:
        return "raises RecursionError"
    except BaseException as error:
        text = f"raises {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    after = _words((arguments, named))
    if after != before:
        text += f"; changes its arguments to {after}"
    if printed.getvalue():
        text += f"; prints {printed.getvalue()!r}"
    if len(text) > _TEXT_MAX:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        text = f"{text[: _TEXT_MAX // 2]}... {digest}"
    return text


def _main():
    emit = _open_channel()
    folder = os.getcwd()
    name = sys.argv.pop(1)
    calls = sys.argv[1:]
    sys.argv[1:] = []
    sys.path.insert(0, folder)
    builtins.input = _nobody
    unittest.main = functools.partial(_not_here, folder, ())
    signal.signal(signal.SIGALRM, _too_long)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            module = importlib.import_module(name)
    except BaseException:
        _end(0)
    for number, call in enumerate(calls):
        emit(kind="behaves", number=number, how=_behaviour(module, call))
    _end(0)


_main()
