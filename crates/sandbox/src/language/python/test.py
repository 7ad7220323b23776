# Runs test files with pytest, or with unittest where there is no pytest, and reports each result as it comes.
import importlib.util


def _like_a_test(file):
    name = os.path.basename(file)
    return name.startswith("test_") or name.endswith("_test.py")


def _is_code(path, folder, own):
    # Of the project, and neither one of the test files nor what configures them.
    return path.startswith(folder + os.sep) and path not in own and os.path.basename(path) != "conftest.py"


def _with_pytest(emit, folder, files):
    import unittest

    import pytest

    counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
    outcomes = {}
    own = {os.path.join(folder, file) for file in files}
    skips = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
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

        def pytest_runtest_logstart(self, nodeid, location):
            emit(kind="started", name=nodeid)

        def pytest_runtest_logreport(self, report):
            name = report.nodeid
            outcome, message = outcomes.get(name, ("passed", ""))
            if report.failed and outcome != "failed":
                outcome, message = "failed", message_of(report)
            elif report.skipped and outcome == "passed":
                outcome = "skipped"
            outcomes[name] = (outcome, message)
            if report.when == "teardown":
                del outcomes[name]
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
    code = int(pytest.main(arguments + ["--"] + files, plugins=[Reporter()]))
    return code, counts


def _with_unittest(emit, folder, files):
    import doctest
    import inspect
    import traceback
    import unittest

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
                test = unittest.FunctionTestCase(function)
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


def _main():
    emit = _open_channel()
    folder = os.getcwd()
    files = sys.argv[1:]
    has_pytest = importlib.util.find_spec("pytest") is not None
    # Before the project's modules can stand in for it, or for what it needs.
    for name in ["doctest", "inspect", "traceback", "unittest", *["pytest"] * has_pytest]:
        importlib.import_module(name)
    # Helpers beside a test file can be imported by it, modules of the project by everything.
    for path in [*dict.fromkeys(os.path.dirname(os.path.join(folder, file)) for file in files), folder]:
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
    sys.argv[1:] = []
    emit(kind="runner", name="pytest" if has_pytest else "unittest")
    code, counts = (_with_pytest if has_pytest else _with_unittest)(emit, folder, files)
    emit(kind="finished", code=code, **counts)
    _end(code)


_main()
