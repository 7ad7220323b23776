# Whether a test says anything of the code: it does not if it passes whatever the code's functions answer. One that only
# calls them passes so too, though it fails where they raise: that nothing is raised is not what a test is there for.


class _Enough(BaseException):
    pass


def _wrong_results():
    # What a function that is wrong may answer. Always the same one: a test that compares a call with
    # itself does not fail by it.
    class Wrong:
        def __init__(self, truth):
            self.truth = truth

        def __bool__(self):
            return self.truth

    class Equal(Wrong):
        def __eq__(self, other):
            return True

        def __ne__(self, other):
            return False

        __hash__ = object.__hash__

    return [Wrong(True), Wrong(False), None, Equal(True)]


def _bare_functions(value):
    # The functions behind one, a class or what a class holds: whoever has them already calls what they are now.
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, (classmethod, staticmethod)):
        yield from _bare_functions(value.__func__)
    elif isinstance(value, property):
        yield from _bare_functions(value.fget)
    elif isinstance(value, type):
        for part in list(vars(value).values()):
            if not isinstance(part, type):
                yield from _bare_functions(part)


def _answering(function, wrong):
    code = (lambda *args, **kwargs: "wrong").__code__
    constants = tuple(wrong if constant == "wrong" else constant for constant in code.co_consts)
    return code.replace(co_consts=constants, co_freevars=function.__code__.co_freevars)


def _mentioned(code):
    nested = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_mentioned, nested))


def _loads_code_anew(item, ours):
    # Whether a test may run the code otherwise than by the names that it has already.
    code = getattr(inspect.unwrap(item.function), "__code__", None)
    names = _mentioned(code) if code is not None else set()
    known = vars(item.module)
    helpers = [known[name] for name in names if isinstance(known.get(name), types.FunctionType)]
    names = names.union(*(_mentioned(helper.__code__) for helper in helpers if id(helper) not in ours))
    has_classes = any(isinstance(value, type) for value in ours.values())
    ways = {"check_call", "check_output", "exec", "multiprocessing", "reload", "run_module", "run_path", "subprocess", "system"}
    return bool(names & ways) or (has_classes and bool(names & {"doctest", "run_docstring_examples", "testmod"}))


def _is_prepared(item, ours, modules):
    # Whether something that the test uses was made before it ran: that it came of the code is possible.
    fixtures = getattr(item, "_fixtureinfo", None)
    own = fixtures.name2fixturedefs.values() if fixtures else []
    if any(getattr(found[-1].func, "__module__", None) == item.module.__name__ for found in own):
        return True
    setups = ("setUpClass", "setUpModule", "setup_class", "setup_function", "setup_method", "setup_module")
    bases = [base for base in getattr(item.cls, "__mro__", ()) if base.__module__ == item.module.__name__]
    if any(name in vars(place) for place in [item.module, *bases] for name in setups):
        return True
    known = vars(item.module)
    made = set()

    def is_of_code(node):
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        theirs = (name for name in names if id(known.get(name)) in ours or known.get(name) in modules)
        has_call = any(isinstance(part, ast.Call) for part in ast.walk(node))
        return bool(names & made) or (has_call and any(theirs))

    with open(item.path, "rb") as file:
        open_bodies = [ast.parse(file.read()).body]
    for body in open_bodies:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                if node.name == getattr(item, "originalname", None) and any(map(is_of_code, node.decorator_list)):
                    return True
                if isinstance(node, ast.ClassDef):
                    open_bodies.append(node.body)
            elif is_of_code(node):
                stored = [part for part in ast.walk(node) if isinstance(getattr(part, "ctx", None), ast.Store)]
                made.update(part.id for part in stored if isinstance(part, ast.Name))
                made.update(part.attr for part in stored if isinstance(part, ast.Attribute))
    code = getattr(inspect.unwrap(item.function), "__code__", None)
    return code is not None and bool(_mentioned(code) & made)


def _cannot_fail(item, folder, own):
    # Whether a test that passes also passes where every function of the task is a wrong one.
    import signal

    modules = _code_modules(folder, own)
    names = {module.__name__ for module in modules}
    ours = {}
    for module in modules:
        for value in list(vars(module).values()):
            is_error = isinstance(value, type) and issubclass(value, BaseException)
            if callable(value) and not is_error and getattr(value, "__module__", None) in names:
                ours[id(value)] = value
    # What the parts of a test say that are told one by one is not seen here, and neither is code that it loads anew.
    fixtures = getattr(item, "fixturenames", ())
    if _is_prepared(item, ours, modules) or "subtests" in fixtures or _loads_code_anew(item, ours):
        return False
    functions = [function for value in ours.values() for function in _bare_functions(value)]
    codes = [function.__code__ for function in functions]

    def enough(*_):
        raise _Enough

    def passes_with(wrong):
        changed, parts = [], []
        for place in [*modules, item.module]:
            for name, value in list(vars(place).items()):
                # A function keeps its name, and with it its docstring, for a test that looks at that.
                if id(value) in ours and not isinstance(value, types.FunctionType):
                    changed.append((place, name, value))
                    setattr(place, name, lambda *args, **kwargs: wrong)
        for function in functions:
            function.__code__ = _answering(function, wrong)
        if hasattr(item, "addSubTest"):  # unittest's parts of a test
            item.addSubTest = lambda case, part, error: parts.append(error)
        before = signal.signal(signal.SIGALRM, enough)
        signal.setitimer(signal.ITIMER_REAL, 1)
        try:
            item.runtest()
            return not getattr(item, "_excinfo", None) and not any(parts)
        except BaseException:
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if hasattr(item, "_excinfo"):
                item._excinfo = None
            vars(item).pop("addSubTest", None)
            for function, code in zip(functions, codes):
                function.__code__ = code
            for place, name, value in changed:
                setattr(place, name, value)

    return all(map(passes_with, _wrong_results()))


def _cannot_run_here(text):
    # A fixture or a plugin that is not there, or the network.
    return (
        ("fixture '" in text and "' not found" in text)
        or "gaierror" in text
        or ("PermissionError" in text and "socket" in text)
    )
