# Whether tests are still run as they were before any of the code was loaded: what the runner is made of is the same,
# and tests that must fail, run among the others, do fail.
import ast
import builtins
import inspect
import operator  # noqa: F401
import traceback
import types
import unittest

# What is compared. Its functions and classes are; what it remembers in a run is not.
_RUNNERS = {"_pytest", "doctest", "operator", "pluggy", "pytest", "unittest"}
# Builtins that programs replace for reasons of their own.
_REPLACEABLE = {"breakpoint", "copyright", "credits", "exit", "help", "input", "license", "open", "print", "quit"}


def _code_of(value):
    for name in ("__func__", "fget"):
        value = getattr(value, name, None) or value
    return getattr(value, "__code__", None)


class _Runner:
    # What it is made of, at the time when this is made.
    kinds = (types.FunctionType, types.BuiltinFunctionType, type, classmethod, staticmethod, property)

    def __init__(self):
        self.modules = {name: found for name, found in sys.modules.items() if name.split(".")[0] in _RUNNERS}
        self.parts = {}
        for module in self.modules.values():
            self._keep(module)
            for value in list(module.__dict__.values()):
                if isinstance(value, type) and value.__module__.split(".")[0] in _RUNNERS:
                    self._keep(value)
        for name, value in list(builtins.__dict__.items()):
            if name not in _REPLACEABLE and isinstance(value, self.kinds):
                self.parts[builtins, name] = (value, None)
        self.traces = (sys.gettrace, sys.getprofile)
        self.traced = [get() for get in self.traces]

    def _keep(self, holder, code_of=_code_of):
        for name, value in list(holder.__dict__.items()):
            if isinstance(value, self.kinds):
                self.parts[holder, name] = (value, code_of(value))

    def change(self, code_of=_code_of, loaded=sys.modules):
        # What is not as it was, in words; none if all is. It looks names up by no function that code could replace.
        for name, module in self.modules.items():
            if loaded.get(name) is not module:
                return name + " is another module"
        for (holder, name), (value, code) in self.parts.items():
            now = holder.__dict__.get(name)
            if now is not value or (code is not None and code_of(now) is not code):
                return f"{holder.__name__}.{name} is another one"
        for get, before in zip(self.traces, self.traced):
            if get() is not before:
                return "its lines are traced"
        return None


def _canaries(namespace, file, prepare=None):
    # Tests that must fail where the names of a test file mean what they mean there.
    name = "test_" + os.urandom(4).hex()
    text = (
        f"def {name}():\n    assert 1 == 2\n\nasync def {name}_later():\n    assert 1 == 2\n\n"
        f"class {name}_class(_TestCase):\n    def {name}(self):\n        self.assertEqual(1, 2)\n"
    )
    tree = ast.parse(text)
    if prepare is not None:
        prepare(tree, text.encode())
    names = {**namespace, "_TestCase": unittest.TestCase}
    exec(compile(tree, file, "exec"), names)
    return [names[name], names[name + "_later"], names[name + "_class"]]


def _test_files(folder, files):
    # The test files, and what lies beside them in folders of their own, before any of the code can add to it.
    own = {os.path.join(folder, file) for file in files}
    for place in {os.path.dirname(file) for file in own} - {folder}:
        for above, _, names in os.walk(place):
            own.update(os.path.join(above, name) for name in names if name.endswith(".py"))
    return own


def _is_own_fault(error, path, folder, own):
    # Whether a test file cannot be loaded whatever the code is: no frame of the code is in it, and the statement that
    # failed uses nothing of the code, nor anything that was made of it.
    frames = traceback.extract_tb(error.__traceback__)
    if any(_is_code(frame.filename, folder, own) for frame in frames):
        return False
    try:
        compile(_text_of(path) or b"", path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return True
    lines = [frame.lineno for frame in frames if frame.filename == path and frame.name == "<module>"]
    if not lines:
        return False
    library = {"pytest", "_pytest", *getattr(sys, "stdlib_module_names", ())}

    def of_library(node):
        if isinstance(node, ast.ImportFrom):
            return node.level > 0 or node.module.split(".")[0] in library
        return all(alias.name.split(".")[0] in library for alias in node.names)

    body = ast.parse(_text_of(path)).body
    clean = set(vars(builtins)) | {"__file__", "__name__", "__doc__"}
    for node in body:
        parts = list(ast.walk(node))
        imports = [part for part in parts if isinstance(part, (ast.Import, ast.ImportFrom))]
        stored = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        stored.update(part.arg for part in parts if isinstance(part, ast.arg))
        stored.update(part.name for part in parts if hasattr(part, "name") and isinstance(part.name, str))
        for part in imports:
            stored.update((alias.asname or alias.name).split(".")[0] for alias in part.names)
        used = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
        is_clean = all(map(of_library, imports)) and used <= clean | stored
        if node.lineno <= lines[0] <= node.end_lineno:
            return is_clean
        clean = clean | stored if is_clean else clean - stored
    return False


def _wants_plugin(error, folder):
    # Whether pytest was to load a plugin that neither is there nor is of the code.
    cause = error.__cause__
    if not isinstance(cause, ModuleNotFoundError) or f'Error importing plugin "{cause.name}' not in str(error):
        return False
    place = os.path.join(folder, cause.name.split(".")[0])
    return not os.path.exists(place) and not os.path.exists(place + ".py")


def _text_of(file):
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError:
        return None


def _is_code(path, folder, own):
    # Of the project, and neither one of the test files nor what configures them.
    return path.startswith(folder + os.sep) and path not in own and os.path.basename(path) != "conftest.py"


def _code_modules(folder, own):
    loaded = list(sys.modules.values())
    return [module for module in loaded if _is_code(getattr(module, "__file__", None) or "", folder, own)]


# What a test runner looks for in a test file beside tests.
_HOOKS = {
    "load_tests",
    "pytestmark",
    "setUpModule",
    "setup_function",
    "setup_module",
    "tearDownModule",
    "teardown_function",
    "teardown_module",
}


def _theirs(name, value, modules):
    # Whether something in a test file is what a module of the code calls so: it came with `from module import *`.
    return any(name in vars(module) and vars(module)[name] is value for module in modules)


def _without_hooks(module, modules):
    # A test file obeys its own fixtures and hooks, not those that it took over with everything else.
    for name, value in list(vars(module).items()):
        marks = ("_fixture_function_marker", "_pytestfixturefunction")
        is_fixture = any(inspect.getattr_static(value, mark, None) is not None for mark in marks)
        if (is_fixture or name in _HOOKS) and _theirs(name, value, modules):
            delattr(module, name)
