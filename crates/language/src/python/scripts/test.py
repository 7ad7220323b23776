# Runs test files with pytest, or with unittest where there is no pytest, and reports each result as it comes.
import asyncio
import builtins
import doctest
import functools
import importlib.util
import inspect
import traceback
import unittest


def _file_of(function):
    return getattr(_code_of(function), "co_filename", "")


def _like_a_test(file):
    name = os.path.basename(file)
    return name.startswith("test_") or name.endswith("_test.py")


def _with_pytest(emit, folder, files, own, doubts):
    import pytest
    from _pytest.assertion.rewrite import rewrite_asserts
    from _pytest.unittest import UnitTestCase

    run = pytest.main
    pytest.main = functools.partial(_not_here, folder, own)
    counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
    outcomes = {}
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

    class TestFile(pytest.Module):
        own_fault = False

        def _getobj(self):
            try:
                module = super()._getobj()
            except BaseException as error:
                self.own_fault = _is_own_fault(error.__cause__ or error, str(self.path), folder, own) or _wants_plugin(error, folder)
                raise
            _without_hooks(module, _code_modules(folder, own))
            return module

    class Reporter:
        def __init__(self):
            self.texts = {file: _text_of(file) for file in own}
            self.canaries = {}
            self.is_broken = False
            self.own_faults = set()

        def pytest_load_initial_conftests(self):
            # pytest has changed what it changes in itself, and nothing of the folder is loaded.
            self.runner = _Runner()

        def is_canary(self, nodeid):
            return any(nodeid == name or nodeid.startswith(name + "::") for name in self.canaries)

        def check(self, change=None):
            change = change or self.runner.change()
            if change:
                emit(kind="not_trusted", change=change)

        def canaries_for(self, collector):
            tests = _canaries(vars(collector.obj), str(collector.path), rewrite_asserts)
            for test in tests:
                # Not below the test file, whose marks and fixtures may be about all that is in it.
                if isinstance(test, type):
                    item = UnitTestCase.from_parent(collector.parent, name=test.__name__)
                    item._obj = test
                else:
                    item = pytest.Function.from_parent(collector.parent, name=test.__name__, callobj=test)
                self.canaries[item.nodeid] = "did not run"
                yield item

        @pytest.hookimpl(tryfirst=True)
        def pytest_report_teststatus(self, report):
            return ("", "", "") if self.is_canary(report.nodeid) else None

        @pytest.hookimpl(tryfirst=True)
        def pytest_pycollect_makemodule(self, module_path, parent):
            return TestFile.from_parent(parent, path=module_path)

        @pytest.hookimpl(tryfirst=True)
        def pytest_pycollect_makeitem(self, collector, name, obj):
            is_theirs = isinstance(collector, pytest.Module) and _theirs(name, obj, _code_modules(folder, own))
            return [] if is_theirs else None

        def pytest_collection_finish(self, session):
            counts["collected"] = sum(not self.is_canary(item.nodeid) for item in session.items)
            running = _left_running(lambda function: _is_code(_file_of(function), folder, own))
            if running:
                self.is_broken = True
                emit(kind="not_loaded", file="the code", message=running, own_fault=False)
            self.check()

        def pytest_sessionfinish(self, session):
            self.check()
            # Where the run was broken off, that is what is told.
            is_whole = counts["passed"] + counts["failed"] + counts["skipped"] == counts["collected"]
            for outcome in set(self.canaries.values()) - {"failed"}:
                if is_whole or outcome != "did not run":
                    self.check(f"a test that must fail: {outcome}")
            for plugin in session.config.pluginmanager.get_plugins():
                module = plugin if inspect.ismodule(plugin) else sys.modules.get(type(plugin).__module__)
                if _is_code(getattr(module, "__file__", None) or "", folder, own):
                    self.check(module.__name__ + " is a plugin of it")

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
                report = yield
            except SystemExit as end:
                if getattr(collector, "own_fault", False):
                    self.own_faults.add(collector.nodeid)
                text = _own_traceback(end, folder)
                return pytest.CollectReport(collector.nodeid, "failed", text, [])
            if getattr(collector, "own_fault", False):
                self.own_faults.add(collector.nodeid)
            if isinstance(collector, pytest.Module) and report.passed and report.result:
                file = str(collector.path)
                if file in self.texts and self.texts[file] != _text_of(file):
                    self.check(f"{os.path.relpath(file, folder)} was written anew")
                before, after = list(self.canaries_for(collector)), list(self.canaries_for(collector))
                report.result = [*before, *report.result, *after]
            return report

        def pytest_collectreport(self, report):
            if report.failed:
                self.is_broken = True
                own_fault = report.nodeid in self.own_faults
                emit(kind="not_loaded", file=report.nodeid, message=message_of(report), own_fault=own_fault)

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
            if doubts and passes and getattr(item, "module", None) and _cannot_fail(item, folder, own):
                idle.add(item.nodeid)
            return result

        def pytest_runtest_logstart(self, nodeid, location):
            if not self.is_canary(nodeid):
                emit(kind="started", name=nodeid)

        def pytest_runtest_logreport(self, report):
            name = report.nodeid
            outcome, message = outcomes.get(name, ("passed", ""))
            if report.failed and outcome != "failed":
                outcome, message = "failed", message_of(report)
            elif (report.skipped or hasattr(report, "wasxfail")) and outcome == "passed":
                # One that may fail and passes shows no more than one that fails.
                outcome = "skipped"
            if doubts and report.failed and _cannot_run_here(report.longreprtext):
                idle.add(name)
            outcomes[name] = (outcome, message)
            if report.when == "teardown":
                del outcomes[name]
                if self.is_canary(name):
                    for canary in self.canaries:
                        if name == canary or name.startswith(canary + "::"):
                            self.canaries[canary] = outcome
                    return
                if name in idle:
                    counts["skipped"] += 1
                    emit(kind="idle", name=name)
                    return
                counts[outcome] += 1
                if outcome == "skipped":
                    emit(kind="skipped", name=name)
                else:
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
    reporter = Reporter()
    code = int(run(arguments + ["--"] + files, plugins=[reporter]))
    if code in (0, 1, 5):
        # What does not count has no say in how it ended.
        code = 1 if counts["failed"] or reporter.is_broken else 0 if counts["passed"] else 5
    return code, counts


def _with_unittest(emit, folder, files, own):
    counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
    names = {}
    canaries = {}
    runner = _Runner()
    texts = {file: _text_of(file) for file in own}

    def check(change=None):
        change = change or runner.change()
        if change:
            emit(kind="not_trusted", change=change)

    def name_of(test):
        return names.get(id(test)) or test.id()

    class Result(unittest.TextTestResult):
        def startTest(self, test):
            super().startTest(test)
            if id(test) not in canaries:
                emit(kind="started", name=name_of(test))
            self.journeyman_failure = None
            self.journeyman_skipped = False

        def stopTest(self, test):
            if id(test) in canaries:
                canaries[id(test)] = self.journeyman_failure is not None
                self.testsRun -= 1
            elif self.journeyman_failure is not None:
                counts["failed"] += 1
                emit(kind="test", name=name_of(test), passed=False, message=self.journeyman_failure)
            elif self.journeyman_skipped:
                counts["skipped"] += 1
                emit(kind="skipped", name=name_of(test))
            else:
                counts["passed"] += 1
                emit(kind="test", name=name_of(test), passed=True, message="")
            super().stopTest(test)

        def addFailure(self, test, error):
            if id(test) not in canaries:
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

    def canaries_for(module, file):
        function, later, case = _canaries(vars(module), file)
        tests = [
            unittest.FunctionTestCase(function),
            unittest.FunctionTestCase(_waiting(later)),
            *unittest.defaultTestLoader.loadTestsFromTestCase(case),
        ]
        canaries.update((id(test), False) for test in tests)
        return tests

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
            own_fault = _is_own_fault(error, os.path.join(folder, file), folder, own)
            message = _shorten(_own_traceback(error, folder))
            emit(kind="not_loaded", file=file, message=message, own_fault=own_fault)
            continue
        check()
        path = os.path.join(folder, file)
        if texts[path] != _text_of(path):
            check(f"{file} was written anew")
        modules = _code_modules(folder, own)
        _without_hooks(module, modules)
        found = [
            test
            for test in flatten(unittest.defaultTestLoader.loadTestsFromModule(module))
            if not _theirs(type(test).__name__, type(test), modules)
        ]
        for test in found:
            names[id(test)] = f"{file}::{type(test).__name__}::{test._testMethodName}"
        for name, function in vars(module).items():
            if _theirs(name, function, modules):
                continue
            if name.startswith("test") and inspect.isfunction(function) and not inspect.signature(function).parameters:
                is_async = inspect.iscoroutinefunction(function)
                test = unittest.FunctionTestCase(_waiting(function) if is_async else function)
                names[id(test)] = f"{file}::{name}"
                found.append(test)
        if not _like_a_test(file):
            found += flatten(doctest.DocTestSuite(module))
        counts["collected"] += len(found)
        for part in (canaries_for(module, path), found, canaries_for(module, path)):
            suite.addTests(part)
            # The suite forgets tests once they ran, and an id must not be used twice.
            names[file, len(names)] = part
    unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, buffer=True).run(suite)
    check()
    if not all(canaries.values()):
        check("a test that must fail: passed")
    return (1 if broken or counts["failed"] else 0), counts


def _waiting(function):
    return functools.wraps(function)(lambda: asyncio.run(function()))


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
    own = _test_files(folder, files)
    unittest.main = functools.partial(_not_here, folder, own)
    builtins.input = _nobody
    # Helpers beside a test file can be imported by it, modules of the project by everything.
    for path in [*dict.fromkeys(os.path.dirname(os.path.join(folder, file)) for file in files), folder]:
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
    sys.argv[1:] = []
    emit(kind="runner", name="pytest" if has_pytest else "unittest")
    if has_pytest:
        code, counts = _with_pytest(emit, folder, files, own, doubts)
    else:
        code, counts = _with_unittest(emit, folder, files, own)
    emit(kind="finished", code=code, **counts)
    _end(code)


_main()
