# Whether a test says anything of the code: it does not if it passes whatever the code's functions answer. One that only
# calls them passes so too, though it fails where they raise: that nothing is raised is not what a test is there for.
# One that takes something of the code which cannot be made wrong here counts as one that can fail. So does one that a
# single wrong answer fails, though most would pass: `assert add(1, 2) is not None` notices a forgotten `return`.


class _Enough(BaseException):
    pass


def _wrong_results():
    # What makes the answers of a function that is wrong. A test that compares a call with itself does not fail by them:
    # they are always the same one, or equal to everything. One whether two calls give the same thing does by the last.
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

        def __hash__(self):
            return 0

    always = [Wrong(True), Wrong(False), None]
    return [*(lambda wrong=wrong: wrong for wrong in always), lambda: Equal(True)]


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


def _answering(function, make):
    code = (lambda *args, **kwargs: "make".__call__()).__code__
    constants = tuple(make if constant == "make" else constant for constant in code.co_consts)
    return code.replace(co_consts=constants, co_freevars=function.__code__.co_freevars)


def _mentioned(code):
    # The names and the strings of a function.
    names, texts = set(code.co_names), {constant for constant in code.co_consts if isinstance(constant, str)}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            more_names, more_texts = _mentioned(constant)
            names, texts = names | more_names, texts | more_texts
    return names, texts


def _uses(item, ours):
    # The names and the strings of a test and of what it uses of its own file.
    known = vars(item.module)
    names, texts, seen = set(), set(), set()
    waiting = [inspect.unwrap(item.function)]
    waiting.extend(getattr(item.cls, name, None) for name in ("setUp", "tearDown"))
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        code = _code_of(value)
        if isinstance(value, type):
            if value.__module__ == item.module.__name__:
                waiting.extend(vars(value).values())
        elif id(value) not in ours and isinstance(code, types.CodeType) and code.co_filename == str(item.path):
            more_names, more_texts = _mentioned(code)
            names, texts = names | more_names, texts | more_texts
            for name in more_names:
                waiting.append(known.get(name))
                waiting.append(inspect.getattr_static(item.cls, name, None) if item.cls else None)
    return names, texts


def _looks_elsewhere(item, ours, modules):
    # Whether a test may get at the code otherwise than by the names that it has already: it runs it anew, or reads it
    # or what the right code left there, such as files and what was logged.
    names, texts = _uses(item, ours)
    has_classes = any(isinstance(value, type) for value in ours.values())
    ways = {
        *("check_call", "check_output", "exec", "exec_module", "multiprocessing", "reload", "run_module", "run_path"),
        *("spec_from_file_location", "subprocess", "system", "__doc__", "getdoc", "getsource", "getsourcelines"),
    }
    left = {"exists", "glob", "is_file", "isfile", "listdir", "open", "read_bytes", "read_text", "stat"}
    keeping = {"cache", "caplog", "pytester", "recwarn", "tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"}
    files = {os.path.basename(module.__file__) for module in modules} - {"__init__.py"}
    if any(file in text for text in texts for file in files) or keeping.intersection(getattr(item, "fixturenames", ())):
        return True
    return bool(names & (ways | left)) or (has_classes and bool(names & {"doctest", "run_docstring_examples", "testmod"}))


def _taken(module, modules):
    # The names of a test file, or of a helper of it, that are imported from the code.
    by_name = {found.__name__: found for found in modules}
    try:
        tree = ast.parse(_text_of(module.__file__) or b"")
    except (SyntaxError, ValueError):
        return set()
    taken = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or node.module not in by_name:
            continue
        source = vars(by_name[node.module])
        for alias in node.names:
            if alias.name == "*":
                public = [name for name in source if not name.startswith("_")]
                taken.update(source.get("__all__", public))
            else:
                taken.add(alias.asname or alias.name)
    return taken & set(vars(module))


def _is_prepared(item, ours, modules, own, taken):
    # Whether something that the test uses was made before it ran: that it came of the code is possible.
    fixtures = getattr(item, "_fixtureinfo", None)
    for found in fixtures.name2fixturedefs.values() if fixtures else []:
        place = sys.modules.get(getattr(found[-1].func, "__module__", None))
        if place is item.module or getattr(place, "__file__", None) in own:
            return True
    setups = ("setUpClass", "setUpModule", "setup_class", "setup_function", "setup_method", "setup_module")
    bases = [base for base in getattr(item.cls, "__mro__", ()) if base.__module__ == item.module.__name__]
    if any(name in vars(place) for place in [item.module, *bases] for name in setups):
        return True
    known = vars(item.module)
    made = set()

    def is_replaced(name):
        # Whether it is another thing in all that follows, as a function or class of the code is by whatever name.
        return id(known.get(name)) in ours or known.get(name) in modules

    def is_of_code(node):
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
        theirs = any(is_replaced(name) or name in taken for name in names)
        return bool(names & made) or theirs

    open_bodies = [ast.parse(_text_of(item.path)).body]
    for body in open_bodies:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                is_its = node.name in (getattr(item, "originalname", None), getattr(item.cls, "__name__", None))
                if is_its and any(map(is_of_code, node.decorator_list)):
                    return True
                if isinstance(node, ast.ClassDef):
                    open_bodies.append(node.body)
            elif is_of_code(node):
                stored = [part for part in ast.walk(node) if isinstance(getattr(part, "ctx", None), ast.Store)]
                names = (part.id for part in stored if isinstance(part, ast.Name))
                made.update(name for name in names if not is_replaced(name))
                made.update(part.attr for part in stored if isinstance(part, ast.Attribute))
    return bool(_uses(item, ours)[0] & made)


# What a module is called and where it is from, which is not of its code.
_OF_MODULES = {"__builtins__", "__cached__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__"}


def _cannot_fail(item, folder, own):
    # Whether a test that passes also passes where everything that the code has names for is wrong.
    import signal

    modules = _code_modules(folder, own)
    names = {module.__name__ for module in modules}
    ours = {}
    for module in modules:
        for value in list(vars(module).values()):
            if callable(value) and getattr(value, "__module__", None) in names:
                ours[id(value)] = value
    loaded = list(sys.modules.values())
    helpers = [found for found in loaded if getattr(found, "__file__", None) in own and found is not item.module]
    taken = {id(place): _taken(place, modules) for place in [item.module, *helpers]}
    # What the parts of a test say that are told one by one is not seen here, and neither is code that it loads anew.
    fixtures = getattr(item, "fixturenames", ())
    is_prepared = _is_prepared(item, ours, modules, own, taken[id(item.module)])
    if is_prepared or "subtests" in fixtures or _looks_elsewhere(item, ours, modules):
        return False
    functions = [function for value in ours.values() for function in _bare_functions(value)]
    codes = [function.__code__ for function in functions]

    def enough(*_):
        raise _Enough

    def is_left(place, name, value):
        # A function keeps its name, and with it its docstring: what it does is what changes.
        if isinstance(value, types.FunctionType) and id(value) in ours or isinstance(value, types.ModuleType):
            return True
        if id(value) in ours:
            return False
        return name not in taken[id(place)] if id(place) in taken else name in _OF_MODULES

    def passes_with(make):
        changed, parts = [], []
        for place in [*modules, item.module, *helpers]:
            for name, value in list(vars(place).items()):
                if not is_left(place, name, value):
                    changed.append((place, name, value))
                    setattr(place, name, (lambda *args, **kwargs: make()) if callable(value) else make())
        for function in functions:
            function.__code__ = _answering(function, make)
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
