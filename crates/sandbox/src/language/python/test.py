# Runs test files with pytest, or with unittest where there is no pytest, and reports each result as it comes.
import asyncio
import builtins
import doctest
import functools
import importlib.util
import inspect
import traceback
import unittest


def _like_a_test(file):
    name = os.path.basename(file)
    return name.startswith("test_") or name.endswith("_test.py")


def _is_code(path, folder, own):
    # Of the project, and neither one of the test files nor what configures them.
    return path.startswith(folder + os.sep) and path not in own and os.path.basename(path) != "conftest.py"


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


def _cannot_fail(item, folder, files):
    # Whether a test that passes also passes where every function of the task is a wrong one.
    import signal

    fixtures = getattr(item, "_fixtureinfo", None)
    own = fixtures.name2fixturedefs.values() if fixtures else []
    # What a fixture made before is not known to come of the code.
    if any(getattr(found[-1].func, "__module__", None) == item.module.__name__ for found in own):
        return False
    tests = {os.path.join(folder, file) for file in files}
    loaded = list(sys.modules.values())
    modules = [module for module in loaded if _is_code(getattr(module, "__file__", None) or "", folder, tests)]
    names = {module.__name__ for module in modules}
    ours = {}
    for module in modules:
        for value in list(vars(module).values()):
            is_error = isinstance(value, type) and issubclass(value, BaseException)
            if callable(value) and not is_error and getattr(value, "__module__", None) in names:
                ours[id(value)] = value

    def enough(*_):
        raise _Enough

    def passes_with(wrong):
        changed = []
        for place in [*modules, item.module]:
            for name, value in list(vars(place).items()):
                if id(value) in ours:
                    changed.append((place, name, value))
                    setattr(place, name, lambda *args, **kwargs: wrong)
        before = signal.signal(signal.SIGALRM, enough)
        signal.setitimer(signal.ITIMER_REAL, 1)
        try:
            item.runtest()
            return not getattr(item, "_excinfo", None)
        except BaseException:
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if hasattr(item, "_excinfo"):
                item._excinfo = None
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


def _with_pytest(emit, folder, files, doubts):
    import pytest

    run = pytest.main
    pytest.main = _not_here
    counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
    outcomes = {}
    own = {os.path.join(folder, file) for file in files}
    skips = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
    idle = set()
    message_budget = [100_000]

    def message_of(report):
        text = report.longreprtext.replace(folder + os.sep, "")
        printed = report.capstdout.strip()
        if printed:
            text += "\nprinted: " + printed[-300:]
        text = _shorten(text)[: message_budget[0]]
        message_budget[0] -= len(text)
        return text

    def skipped_by_code(error):
        # A test may skip itself. What it tests may not: that would be a way not to be tested.
        return isinstance(error.value, skips) and any(
            _is_code(str(entry.path), folder, own) for entry in error.traceback
        )

    class Reporter:
        def pytest_collection_finish(self, session):
            counts["collected"] = len(session.items)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(self, item, call):
            error = call.excinfo  # what comes after this may put another one in its place
            report = yield
            if error is not None and report.skipped and skipped_by_code(error):
                report.outcome = "failed"
                report.longrepr = "the code under test skipped the test:\n" + _own_traceback(error.value, folder)
                report.__dict__.pop("wasxfail", None)
            return report

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_make_collect_report(self, collector):
            try:
                return (yield)
            except SystemExit as end:
                text = _own_traceback(end, folder)
                return pytest.CollectReport(collector.nodeid, "failed", text, [])

        def pytest_collectreport(self, report):
            if report.failed:
                emit(kind="not_loaded", file=report.nodeid, message=message_of(report))

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(self, pyfuncitem):
            function = pyfuncitem.obj
            if not inspect.iscoroutinefunction(function):
                return None
            names = inspect.signature(function).parameters
            asyncio.run(function(**{name: pyfuncitem.funcargs[name] for name in names}))
            return True

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(self, item):
            result = yield
            passes = not getattr(item, "_excinfo", None)
            if doubts and passes and hasattr(item, "module") and _cannot_fail(item, folder, files):
                idle.add(item.nodeid)
            return result

        def pytest_runtest_logstart(self, nodeid, location):
            emit(kind="started", name=nodeid)

        def pytest_runtest_logreport(self, report):
            name = report.nodeid
            outcome, message = outcomes.get(name, ("passed", ""))
            if report.failed and outcome != "failed":
                outcome, message = "failed", message_of(report)
            elif report.skipped and outcome == "passed":
                outcome = "skipped"
            if doubts and report.failed and _cannot_run_here(report.longreprtext):
                idle.add(name)
            outcomes[name] = (outcome, message)
            if report.when == "teardown":
                del outcomes[name]
                if name in idle:
                    counts["skipped"] += 1
                    emit(kind="idle", name=name)
                    return
                counts[outcome] += 1
                if outcome != "skipped":
                    emit(kind="test", name=name, passed=outcome == "passed", message=message)

    arguments = [
        "--quiet",
        "--tb=short",
        "--show-capture=no",
        "--color=no",
        "--continue-on-collection-errors",
        "--import-mode=importlib",
        f"--rootdir={folder}",
        f"--confcutdir={folder}",
        "--config-file=" + os.devnull,
        "-p",
        "no:cacheprovider",
    ]
    if not all(map(_like_a_test, files)):
        arguments.append("--doctest-modules")
    code = int(run(arguments + ["--"] + files, plugins=[Reporter()]))
    if doubts and code in (0, 1):
        # What does not count has no say in how it ended.
        code = 1 if counts["failed"] else 0 if counts["passed"] else 5
    return code, counts


def _with_unittest(emit, folder, files):
    counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
    names = {}
    own = {os.path.join(folder, file) for file in files}

    def name_of(test):
        return names.get(id(test)) or test.id()

    class Result(unittest.TextTestResult):
        def startTest(self, test):
            super().startTest(test)
            emit(kind="started", name=name_of(test))
            self.journeyman_failure = None
            self.journeyman_skipped = False

        def stopTest(self, test):
            if self.journeyman_failure is not None:
                counts["failed"] += 1
                emit(kind="test", name=name_of(test), passed=False, message=self.journeyman_failure)
            elif self.journeyman_skipped:
                counts["skipped"] += 1
            else:
                counts["passed"] += 1
                emit(kind="test", name=name_of(test), passed=True, message="")
            super().stopTest(test)

        def addFailure(self, test, error):
            super().addFailure(test, error)
            self.journeyman_failure = _shorten(_own_traceback(error[1], folder))

        addError = addFailure

        def addSubTest(self, test, subtest, error):
            super().addSubTest(test, subtest, error)
            if error is not None:
                self.journeyman_failure = _shorten(_own_traceback(error[1], folder))

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self.journeyman_failure = "passed although it is marked as expected to fail"

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            error = sys.exc_info()[1]
            frames = traceback.extract_tb(error.__traceback__) if error is not None else []
            if any(_is_code(frame.filename, folder, own) for frame in frames):
                text = "the code under test skipped the test:\n" + _own_traceback(error, folder)
                self.journeyman_failure = text
            self.journeyman_skipped = True

        def addExpectedFailure(self, test, error):
            super().addExpectedFailure(test, error)
            self.journeyman_skipped = True

    def flatten(suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from flatten(test)
            else:
                yield test

    suite = unittest.TestSuite()
    broken = False
    for index, file in enumerate(files):
        try:
            spec = importlib.util.spec_from_file_location(f"tested_{index}", os.path.join(folder, file))
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        except BaseException as error:
            broken = True
            emit(kind="not_loaded", file=file, message=_shorten(_own_traceback(error, folder)))
            continue
        found = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(module)))
        for test in found:
            names[id(test)] = f"{file}::{type(test).__name__}::{test._testMethodName}"
        for name, function in vars(module).items():
            if name.startswith("test") and inspect.isfunction(function) and not inspect.signature(function).parameters:
                is_async = inspect.iscoroutinefunction(function)
                whole = functools.partial(_run_async, function) if is_async else function
                test = unittest.FunctionTestCase(whole)
                names[id(test)] = f"{file}::{name}"
                found.append(test)
        if not _like_a_test(file):
            found += flatten(doctest.DocTestSuite(module))
        suite.addTests(found)
        # The suite forgets tests once they ran, and an id must not be used twice.
        names[file] = found
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, buffer=True)
    counts["collected"] = suite.countTestCases()
    result = runner.run(suite)
    good = result.wasSuccessful() and not broken and counts["failed"] == 0
    return (0 if good else 1), counts


def _run_async(function):
    asyncio.run(function())


def _not_here(*args, **kwargs):
    # A test file that would run its tests itself: they are run.
    return 0


def _nobody(prompt=""):
    raise EOFError(f"input({prompt!r}) was called and nobody is there to answer; call it in main() only")


def _main():
    emit = _open_channel()
    folder = os.getcwd()
    files = sys.argv[1:]
    doubts = files[0] == "--doubt"
    if doubts:
        files = files[1:]
    # Loaded before anything of the project can stand in its stead.
    has_pytest = importlib.util.find_spec("pytest") is not None
    if has_pytest:
        import pytest  # noqa: F401
    unittest.main = _not_here
    builtins.input = _nobody
    # Helpers beside a test file can be imported by it, modules of the project by everything.
    for path in [*dict.fromkeys(os.path.dirname(os.path.join(folder, file)) for file in files), folder]:
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
    sys.argv[1:] = []
    emit(kind="runner", name="pytest" if has_pytest else "unittest")
    if has_pytest:
        code, counts = _with_pytest(emit, folder, files, doubts)
    else:
        code, counts = _with_unittest(emit, folder, files)
    emit(kind="finished", code=code, **counts)
    _end(code)


_main()
