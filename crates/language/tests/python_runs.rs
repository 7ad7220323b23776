//! What the Python adapter reports of tests, imports and dead code; what tested code can do about it (nothing).

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

#[path = "../../sandbox/tests/common/mod.rs"]
mod common;

use journeyman_language::{DeadCodeKind, Runner, TestOutcome};
use journeyman_sandbox::Limits;
use tokio_util::sync::CancellationToken;

const ADD: &str = "def add(a, b):\n    return a + b\n";

at_each_level! {
    passing_tests_pass => |sandboxed| {
        sandboxed.write("calc/__init__.py", "");
        sandboxed.write("calc/add.py", ADD);
        sandboxed.write("flat.py", "TWO = 2\n");
        sandboxed.write("tests/helper.py", "THREE = 3\n");
        sandboxed.write(
            "tests/test_add.py",
            "from calc.add import add\nfrom flat import TWO\nfrom helper import THREE\nimport pytest\n\n\
             @pytest.mark.parametrize('a', [1, 2])\ndef test_add(a, tmp_path):\n    (tmp_path / 'x').write_text('x')\n    \
             assert add(a, TWO) == a + 2\n\ndef test_three():\n    assert THREE == 3\n",
        );
        let report = sandboxed.test(&["tests/test_add.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Passed, "{report:#?}");
        assert_eq!((report.passed, report.failed), (3, 0));
        assert_eq!(report.runner.as_deref(), Some("pytest"));
        assert_eq!(report.tests[0].name, "tests/test_add.py::test_add[1]");
    }

    calls_behave_alike_if_no_test_could_tell_them_apart => |sandboxed| {
        let one = "import os, sys, time\n\n\
            class P:\n    def __init__(self, x):\n        self.x = x\n\n\
            def value(x):\n    return {'a': [1.0, 0.1 + 0.2], 'b': {3, 1, 2}, 'c': P(x)}\n\n\
            def error(x):\n    raise ValueError('one')\n\n\
            def change(x):\n    x.append(1)\n    return x\n\n\
            def say(x):\n    print(x)\n\n\
            def many(x):\n    return (n for n in range(x))\n\n\
            def slow(x):\n    while True:\n        pass\n\n\
            async def later(x):\n    return x\n\n\
            def deep(x):\n    return deep(x)\n\n\
            def end(x):\n    os._exit(0)\n";
        let other = "class P:\n    def __init__(self, x):\n        self.x = x\n\n\
            def value(x):\n    return {'c': P(x), 'b': {2, 3, 1}, 'a': [1, 0.3]}\n\n\
            def error(x):\n    raise ValueError('another')\n\n\
            def change(x):\n    return x + [1]\n\n\
            def say(x):\n    return None\n\n\
            def many(x):\n    return iter(range(x))\n\n\
            def slow(x):\n    import time\n    time.sleep(60)\n\n\
            async def later(x):\n    return x + 1\n\n\
            def deep(x):\n    raise RecursionError\n\n\
            def end(x):\n    return 1\n";
        let calls = [
            "value('x')", "error(1)", "change([2])", "say('y')", "many(3)", "slow(1)", "later(x=1)", "deep(1)", "missing(1)",
            "end(1)", "value(1)",
        ].map(str::to_owned);
        let cancel = CancellationToken::new();
        let mut found = Vec::new();
        for source in [one, other] {
            sandboxed.write("probed.py", source);
            let python = &sandboxed.python;
            let probed = python.probe(&sandboxed.sandbox, sandboxed.folder.path(), "probed", &calls, &cancel);
            found.push(probed.await.expect("it runs"));
        }
        let same: Vec<bool> = found[0].iter().zip(&found[1]).map(|(a, b)| a == b).collect();
        let expected = [true, true, false, false, true, true, false, true, true, false, false];
        assert_eq!(same, expected, "{found:#?}");
        assert_eq!(found[0][1], "raises ValueError");
        assert_eq!(found[0][5], "takes too long");
        assert!(found[0][2].contains("changes its arguments"), "{found:#?}");
        // After a call that ended the process none was made.
        assert_eq!((found[0][9].as_str(), found[0][10].as_str()), ("", ""));
        sandboxed.write("probed.py", "syntax error");
        let python = &sandboxed.python;
        let probed = python.probe(&sandboxed.sandbox, sandboxed.folder.path(), "probed", &calls, &cancel);
        assert!(probed.await.expect("it runs").iter().all(String::is_empty));
    }

    code_that_prints_without_end_while_it_is_loaded_is_told_so => |sandboxed| {
        sandboxed.write("loud.py", "for _ in range(200):\n    print('x' * (1 << 20))\n\ndef f():\n    return 1\n");
        sandboxed.write("test_loud.py", "from loud import f\n\ndef test_f():\n    assert f() == 1\n");
        let report = sandboxed.test(&["test_loud.py"]).await;
        assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
        assert!(report.detail.starts_with("the code printed or wrote too much"), "{}", report.detail);
    }

    a_failing_test_says_what_was_expected_and_got => |sandboxed| {
        sandboxed.write("calc.py", "def add(a, b):\n    return a - b\n\ndef crash():\n    return {}['key']\n");
        sandboxed.write(
            "test_calc.py",
            "from calc import add, crash\n\ndef test_add():\n    assert add(1, 2) == 3\n\n\
             def test_crash():\n    print('before')\n    crash()\n\ndef test_good():\n    pass\n\n\
             def test_exit():\n    raise SystemExit(0)\n",
        );
        let report = sandboxed.test(&["test_calc.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Failed, "{report:#?}");
        assert_eq!((report.passed, report.failed), (1, 3));
        let add = &report.tests[0].message;
        assert!(add.contains("assert -1 == 3") && add.contains("add(1, 2)"), "{add}");
        assert!(!add.contains(&sandboxed.folder.path().display().to_string()), "{add}");
        let crash = &report.tests[1].message;
        assert!(crash.contains("calc.py:5: in crash") && crash.contains("KeyError: 'key'"), "{crash}");
        assert!(crash.contains("printed: before"), "{crash}");
    }

    code_that_does_not_load_is_named => |sandboxed| {
        sandboxed.write("broken.py", "def f(:\n    pass\n");
        sandboxed.write("test_broken.py", "import broken\n\ndef test_f():\n    pass\n");
        sandboxed.write("test_missing.py", "import no_such_module\n");
        sandboxed.write("test_good.py", "def test_good():\n    pass\n");
        let report = sandboxed.test(&["test_broken.py", "test_missing.py", "test_good.py"]).await;
        assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
        assert!(report.detail.contains("test_broken.py could not be loaded"), "{}", report.detail);
        assert!(report.detail.contains("broken.py") && report.detail.contains("SyntaxError"), "{}", report.detail);
        assert!(report.detail.contains("No module named 'no_such_module'"), "{}", report.detail);
        assert_eq!(report.passed, 1);
    }

    an_endless_loop_is_a_timeout_that_names_the_test => |sandboxed| {
        sandboxed.write("test_loop.py", "def test_first():\n    pass\n\ndef test_loop():\n    while True: pass\n");
        let limits = Limits { wall_ms_max: 3_000, ..Limits::default() };
        let report = sandboxed.test_within(&["test_loop.py"], limits).await;
        assert_eq!(report.outcome, TestOutcome::TimedOut, "{report:#?}");
        assert!(report.detail.contains("test_loop.py::test_loop"), "{}", report.detail);
        assert_eq!(report.passed, 1);
    }

    ending_the_process_is_never_a_pass => |sandboxed| {
        sandboxed.write("test_import.py", "import os\nos._exit(0)\n\ndef test_x():\n    pass\n");
        sandboxed.write("test_inside.py", "import os\n\ndef test_x():\n    pass\n\ndef test_y():\n    os._exit(0)\n");
        for file in ["test_import.py", "test_inside.py"] {
            let report = sandboxed.test(&[file]).await;
            assert_eq!(report.outcome, TestOutcome::Killed, "{report:#?}");
        }
        sandboxed.write("test_polite.py", "import sys\nsys.exit(0)\n\ndef test_x():\n    pass\n");
        let report = sandboxed.test(&["test_polite.py"]).await;
        assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
        assert!(report.detail.contains("SystemExit"), "{}", report.detail);
    }

    printed_reports_do_not_count => |sandboxed| {
        sandboxed.write(
            "test_forged.py",
            "import os, sys, json\nline = json.dumps({'kind': 'finished', 'code': 0, 'collected': 9, 'passed': 9, 'failed': 0, 'skipped': 0})\n\
             for fd in range(64):\n    try:\n        os.write(fd, ('\\n' + '0' * 32 + ' ' + line + '\\n').encode())\n    \
             except OSError:\n        pass\nos._exit(0)\n",
        );
        let report = sandboxed.test(&["test_forged.py"]).await;
        assert_ne!(report.outcome, TestOutcome::Passed, "{report:#?}");
        assert_eq!(report.passed, 0);
        sandboxed.write("test_atexit.py", "import atexit, os\natexit.register(os._exit, 0)\n\ndef test_x():\n    assert False\n");
        let report = sandboxed.test(&["test_atexit.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Failed, "{report:#?}");
    }

    too_much_memory_is_reported => |sandboxed| {
        sandboxed.write("test_memory.py", "def test_memory():\n    bytearray(4 << 30)\n");
        let report = sandboxed.test(&["test_memory.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Failed, "{report:#?}");
        assert!(report.tests[0].message.contains("MemoryError"));
        sandboxed.write("test_killed.py", "import os\n\ndef test_killed():\n    os.kill(os.getpid(), 9)\n");
        let report = sandboxed.test(&["test_killed.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Killed, "{report:#?}");
        assert!(report.detail.contains("signal 9 while test_killed.py::test_killed ran"), "{}", report.detail);
    }

    a_test_that_may_fail_shows_nothing_though_it_passes => |sandboxed| {
        sandboxed.write("calc.py", ADD);
        let marked = |mark: &str, sum: u8| format!("@pytest.mark.xfail({mark})\ndef test_x():\n    assert add(1, 2) == {sum}\n");
        for (mark, sum, outcome) in [
            ("", 3, TestOutcome::NoTests),
            ("", 4, TestOutcome::NoTests),
            ("strict=True", 3, TestOutcome::Failed),
            ("strict=True", 4, TestOutcome::NoTests),
        ] {
            sandboxed.write("test_x.py", &format!("import pytest\nfrom calc import add\n\n{}", marked(mark, sum)));
            let report = sandboxed.test(&["test_x.py"]).await;
            assert_eq!(report.outcome, outcome, "{mark} {sum}: {report:#?}");
            let skipped = usize::from(outcome == TestOutcome::NoTests);
            assert_eq!((report.skipped.len(), report.passed), (skipped, 0), "{mark} {sum}: {report:#?}");
        }
    }

    a_test_file_that_cannot_be_loaded_is_blamed_only_where_the_code_has_no_part => |sandboxed| {
        sandboxed.write("calc.py", "import json\nX = 'missing.json'\n\ndef load(path):\n    return json.load(open(path))\n");
        sandboxed.write("broken.py", "def f():\n\tif 1:\n        return 1\n");
        let head = "import json\nimport sys\nfrom pathlib import Path\nimport calc\n\nHERE = Path(__file__).parent\n\n\
            def read(name):\n    return (HERE / name).read_text()\n\ndef made(name):\n    return calc.load(name)\n\n";
        for (line, is_own) in [
            ("DATA = json.load(open('missing.json'))", true),
            ("DATA = read('missing.json')", true),
            ("sys.exit()", true),
            ("from . import helper", true),
            ("1 / 0", true),
            ("def f():\n\tif 1:\n        return 1", true),
            ("def f():\n    if 1:\n        pass\n   return 1", true),
            ("return 1", true),
            ("pytest_plugins = ['no_such_plugin']", true),
            ("import broken", false),
            ("DATA = made('missing.json')", false),
            ("DATA = calc.load('missing.json')", false),
            ("DATA = open(calc.X)", false),
            ("NAME = calc.X\nDATA = read(NAME)", false),
            ("Y = calc.Y", false),
            ("from calc import g", false),
            ("import no_such_module", false),
            ("assert calc.X == 1", false),
        ] {
            sandboxed.write("test_calc.py", &format!("{head}{line}\n\ndef test_x():\n    assert calc.X\n"));
            let report = sandboxed.test(&["test_calc.py"]).await;
            assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{line}: {report:#?}");
            assert_eq!(report.broken_tests, is_own, "{line}: {report:#?}");
        }
    }

    no_tests_is_no_pass => |sandboxed| {
        sandboxed.write("test_nothing.py", "X = 1\n");
        sandboxed.write("test_skipped.py", "import pytest\n\n@pytest.mark.skip\ndef test_x():\n    assert False\n");
        for file in ["test_nothing.py", "test_skipped.py"] {
            let report = sandboxed.test(&[file]).await;
            assert_eq!(report.outcome, TestOutcome::NoTests, "{report:#?}");
        }
    }

    code_that_skips_or_ends_its_tests_is_no_pass => |sandboxed| {
        let good = "\n\ndef good():\n    return 1\n";
        for (end, outcome, passed) in [
            ("pytest.skip('no')", TestOutcome::Failed, 2),
            ("pytest.xfail('no')", TestOutcome::Failed, 2),
            ("raise unittest.SkipTest('no')", TestOutcome::Failed, 2),
            ("pytest.exit('done', returncode=0)", TestOutcome::Killed, 1),
            ("sys.exit(0)", TestOutcome::Failed, 2),
            ("os._exit(0)", TestOutcome::Killed, 1),
        ] {
            let code = format!("import os, sys, unittest\nimport pytest\n\ndef bad():\n    {end}\n{good}");
            sandboxed.write("calc.py", &code);
            sandboxed.write(
                "test_calc.py",
                "import calc\n\ndef test_first():\n    assert calc.good() == 1\n\ndef test_second():\n    \
                 assert calc.bad() == 1\n\ndef test_third():\n    assert calc.good() == 1\n",
            );
            let report = sandboxed.test(&["test_calc.py"]).await;
            assert_eq!((report.outcome, report.passed), (outcome, passed), "{end}: {report:#?}");
        }
        // What a test does itself is its own affair.
        sandboxed.write("test_own.py", "import pytest\n\ndef test_a():\n    pass\n\ndef test_b():\n    pytest.skip('later')\n");
        let report = sandboxed.test(&["test_own.py"]).await;
        assert_eq!((report.outcome, report.skipped.len()), (TestOutcome::Passed, 1), "{report:#?}");
    }

    code_that_changes_how_tests_are_run_is_no_pass => |sandboxed| {
        let wrong = "def add(a, b):\n    return a - b\n";
        let hooks = "def pytest_pyfunc_call(pyfuncitem): return True\n";
        for (change, told) in [
            ("import _pytest.python as p\np.Function.runtest = lambda self: None", "Function.runtest"),
            ("import unittest\nunittest.TestCase.run.__code__ = (lambda self, result=None: None).__code__", "TestCase.run"),
            ("import builtins\nbuiltins.len = lambda x: 3", "builtins.len"),
            ("import sys, types\nsys.modules['pytest'] = types.ModuleType('pytest')", "pytest is another module"),
            ("import sys\nsys.settrace(lambda *a: None)", "traced"),
            ("import pytest\nAssertionError = pytest.skip.Exception", "a test that must fail: "),
            ("import asyncio\nasyncio.run = lambda c: c.close()", "a test that must fail: "),
            ("pytest_plugins = ['calc']", "a test that must fail: "),
            ("open('test_calc.py', 'w').write('def test_add(): pass')", "written anew"),
        ] {
            sandboxed.write("calc.py", &format!("{wrong}{hooks}{change}\n"));
            sandboxed.write("test_calc.py", "from calc import *\n\ndef test_add():\n    assert add(1, 2) == 3\n");
            let report = sandboxed.test(&["test_calc.py"]).await;
            assert_eq!((report.outcome, report.passed), (TestOutcome::Killed, 0), "{change}: {report:#?}");
            assert!(report.tests.is_empty() && report.detail.contains(told), "{change}: {report:#?}");
        }
    }

    what_a_test_file_takes_over_with_everything_is_not_its_own => |sandboxed| {
        let theirs = "import unittest\nimport pytest\n\ndef test_theirs():\n    pass\n\nclass TestTheirs(unittest.TestCase):\n    \
             def test_one(self):\n        pass\n\n@pytest.fixture(autouse=True)\ndef skip():\n    pytest.skip('no')\n\n\
             pytestmark = pytest.mark.skip\n\ndef setup_module(module):\n    1 / 0\n";
        sandboxed.write("calc.py", &format!("{ADD}{theirs}"));
        let own = "from calc import *\n\n";
        sandboxed.write("test_calc.py", &format!("{own}def test_add():\n    assert add(1, 2) == 3\n"));
        let report = sandboxed.test(&["test_calc.py"]).await;
        assert_eq!((report.outcome, report.passed), (TestOutcome::Passed, 1), "{report:#?}");
        sandboxed.write("test_none.py", own);
        let report = sandboxed.test(&["test_none.py"]).await;
        assert_eq!(report.outcome, TestOutcome::NoTests, "{report:#?}");
    }

    code_that_does_more_than_define_when_it_is_loaded_is_told_so => |sandboxed| {
        sandboxed.write("test_calc.py", "import calc\n\ndef test_x():\n    assert calc.add(1, 2) == 3\n");
        for (end, told) in [
            ("import unittest\nunittest.main()", "calc.py runs tests while it is loaded"),
            ("import pytest\npytest.main()", "calc.py runs tests while it is loaded"),
            ("def main(): return 0\nimport sys\nsys.exit(main())", "ended while the file is loaded"),
            ("input()", "nobody is there to answer"),
            ("import threading, time\ndef work(): time.sleep(30)\nthreading.Thread(target=work).start()", "leaves a thread running (work)"),
            ("while True: pass", "while code was loaded: what waits, prints, serves"),
        ] {
            sandboxed.write("calc.py", &format!("{ADD}{end}\n"));
            let limits = Limits { wall_ms_max: 4_000, ..Limits::default() };
            let report = sandboxed.test_within(&["test_calc.py"], limits).await;
            assert_ne!(report.outcome, TestOutcome::Passed, "{end}: {report:#?}");
            assert!(report.detail.contains(told) && report.detail.contains("if __name__ == '__main__':"), "{end}: {report:#?}");
        }
    }

    a_module_does_not_stand_in_for_the_test_runner => |sandboxed| {
        let fake = "import sys\n\ndef main(*args, **kwargs):\n    return 0\n\ndef __getattr__(name):\n    return main\n";
        for module in ["pytest.py", "pluggy.py", "unittest.py"] {
            sandboxed.write(module, fake);
        }
        sandboxed.write("test_x.py", "def test_x():\n    assert False\n");
        let report = sandboxed.test(&["test_x.py"]).await;
        assert_eq!((report.outcome, report.failed), (TestOutcome::Failed, 1), "{report:#?}");
    }

    unittest_classes_and_doctests_run_too => |sandboxed| {
        sandboxed.write("calc.py", &format!("{ADD}\ndef twice(a):\n    '''\n    >>> twice(2)\n    5\n    '''\n    return a * 2\n"));
        sandboxed.write(
            "test_calc.py",
            "import unittest\nfrom calc import add\n\nclass AddTest(unittest.TestCase):\n    def test_add(self):\n        \
             self.assertEqual(add(1, 2), 3)\n\n    def test_bad(self):\n        self.assertEqual(add(1, 2), 4)\n",
        );
        let report = sandboxed.test(&["test_calc.py", "calc.py"]).await;
        assert_eq!(report.outcome, TestOutcome::Failed, "{report:#?}");
        assert_eq!((report.passed, report.failed), (1, 2), "{report:#?}");
        assert!(report.tests[1].message.contains("3 != 4"), "{report:#?}");
        assert!(report.tests[2].message.contains("Expected:"), "{report:#?}");
    }

    nothing_above_the_folder_is_loaded => |sandboxed| {
        sandboxed.write("conftest.py", "raise RuntimeError('not mine')\n");
        sandboxed.write("pytest.ini", "[pytest]\naddopts = --no-such-option\n");
        sandboxed.write("inner/test_x.py", "def test_x():\n    pass\n");
        let report = sandboxed
            .python
            .run_tests(&sandboxed.sandbox, &sandboxed.folder.path().join("inner"), &["test_x.py"], None, &CancellationToken::new())
            .await
            .expect("the tests can be run");
        assert_eq!(report.outcome, TestOutcome::Passed, "{report:#?}");
    }

    tests_that_say_nothing_of_the_code_do_not_count => |sandboxed| {
        sandboxed.write("calc.py", "def add(a, b):\n    return a + b\n\ndef is_even(n):\n    return n % 2 == 0\n\nclass Stack:\n    \
            def __init__(self):\n        self.items = []\n    def push(self, x):\n        self.items.append(x)\n\n\
            class Config:\n    _only = None\n    def __new__(cls):\n        cls._only = cls._only or object.__new__(cls)\n        return cls._only\n");
        let head = "import pytest\nimport unittest\nfrom calc import add, is_even, Config, Stack\n\ndef helper(x):\n    return x * 2\n\n\
            @pytest.fixture\ndef stack():\n    return Stack()\n\nKEPT = Stack()\nKEPT.push(1)\nMADE = add(1, 2)\n\n\
            @pytest.mark.parametrize('function', [add])\ndef test_passed_on(function):\n    assert function(1, 2) == 3\n\n";
        let tests = [
            ("assert add(1, 2) == 3", true), ("assert add(1, 2) != 4", true), ("assert is_even(2)", true),
            ("assert not is_even(1)", true), ("assert is_even(2) is True", true), ("assert add(1, 2) is not None", true),
            ("with pytest.raises(TypeError): add(1)", true), ("s = Stack(); s.push(1); assert s.items == [1]", true),
            ("pass", false), ("assert True", false), ("assert add(1, 2) == add(1, 2)", false), ("add(1, 2)", false),
            ("assert add(1, 2) or True", false), ("assert Config() is Config()", true), ("assert Config() == Config()", false),
            ("assert len({add(1, 2), add(1, 2)}) == 1", false), ("assert KEPT.items == [1]", true), ("assert MADE == 3", true),
            ("assert helper(2) == 4", false), ("try:\n        assert add(1, 2) == 9\n    except Exception:\n        pass", false),
        ];
        let made = |(number, (body, _)): (usize, &(&str, bool))| {
            format!("def test_{number}():\n    {body}\n\n")
        };
        let mut file = head.to_owned();
        file.extend(tests.iter().enumerate().map(made));
        file += "def test_stack(stack):\n    stack.push(1)\n    assert stack.items == [1]\n\ndef test_plugin(mocker):\n    assert add(1, 2) == 3\n\n\
            class TestOld(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n    \
            def test_nothing(self):\n        self.assertTrue(True)\n    def test_parts(self):\n        for n in (1, 2):\n            \
             with self.subTest(n=n):\n                self.assertEqual(add(n, n), 2 * n)\n    \
             def test_idle_parts(self):\n        with self.subTest(n=1):\n            self.assertTrue(True)\n";
        sandboxed.write("test_calc.py", &file);
        let cancel = CancellationToken::new();
        let folder = sandboxed.folder.path();
        let doubted = sandboxed.python.run_doubted_tests(&sandboxed.sandbox, folder, &["test_calc.py"], &cancel).await;
        let report = doubted.expect("the tests can be run");
        assert_eq!(report.outcome, TestOutcome::Passed, "{report:#?}");
        let is_idle = |name: &str| report.idle.iter().any(|idle| idle.ends_with(&format!("::{name}")));
        for (number, (body, counts)) in tests.iter().enumerate() {
            assert_eq!(!is_idle(&format!("test_{number}")), *counts, "{body}: {:?}", report.idle);
        }
        assert!(!is_idle("test_passed_on[add]"), "{:?}", report.idle);
        assert!(!is_idle("test_stack") && is_idle("test_plugin"), "{:?}", report.idle);
        assert!(!is_idle("test_parts") && is_idle("test_idle_parts"), "{:?}", report.idle);
        assert!(!is_idle("test_add") && is_idle("test_nothing"), "{:?}", report.idle);
        // What a test looks at elsewhere than in what it calls is not overlooked.
        sandboxed.write("shown.py", "import logging\n\ndef twice(a):\n    '''\n    >>> twice(2)\n    4\n    '''\n    return a * 2\n\n\
            def save(path, text):\n    logging.warning('saved')\n    path.write_text(text)\n\n\
            if __name__ == '__main__':\n    print(twice(2))\n");
        sandboxed.write("test_shown.py", "import doctest\nimport subprocess\nimport sys\nimport pytest\nimport warnings\nimport shown\n\n\
            def test_docs():\n    assert doctest.testmod(shown).failed == 0\n\ndef test_docs_unseen():\n    doctest.testmod(shown)\n\n\
            def test_run():\n    assert subprocess.check_output([sys.executable, 'shown.py']) == b'4\\n'\n\n\
            def test_saved(tmp_path):\n    shown.save(tmp_path / 'x', 'hi')\n    assert (tmp_path / 'x').read_text() == 'hi'\n\n\
            def test_logged(tmp_path, caplog):\n    shown.save(tmp_path / 'x', 'hi')\n    assert 'saved' in caplog.text\n\n\
            def test_warns():\n    with warnings.catch_warnings():\n        warnings.simplefilter('error')\n        shown.twice(1)\n");
        let doubted = sandboxed.python.run_doubted_tests(&sandboxed.sandbox, folder, &["test_shown.py"], &cancel).await;
        let report = doubted.expect("the tests can be run");
        assert_eq!(report.idle, ["test_shown.py::test_docs_unseen", "test_shown.py::test_warns"], "{report:#?}");
        // Neither is what is no function: errors, constants, other names of something, what the library has, the text.
        sandboxed.write("things.py", "import operator\nimport re\nfrom operator import mul\n\nclass AppError(Exception):\n    code = 7\n    \
            def __init__(self, n):\n        super().__init__(f'code {n}')\n\nadd = operator.add\nISO = re.compile('[0-9]+')\nRATE = 3\n\
            LIMIT = 9\n__version__ = '2'\n\nclass Store:\n    size = 0\n\nstore = Store()\n\ndef check(n):\n    '''Checks.'''\n    return n > 0\n");
        sandboxed.write("tests/helping.py", "from things import RATE\n\ndef helped():\n    return RATE\n");
        let head = "import inspect\nimport pytest\nimport things\nfrom operator import sub, mul as times\nfrom things import AppError, add, mul, ISO, RATE, store, check\n\
            from helping import helped\n\nTRIPLE = RATE * 2\nMY = 3\n\n";
        let tests = [
            ("e = AppError(3); assert str(e) == 'code 3'", true), ("assert AppError.code == 7", true),
            ("with pytest.raises(AppError): raise AppError(1)", true), ("assert issubclass(AppError, Exception)", true),
            ("with pytest.raises(AppError) as e: raise AppError(3)\n    assert str(e.value) == 'code 3'", true),
            ("assert add(1, 2) == 3", true), ("assert mul(2, 3) == 6", true), ("assert things.mul(2, 3) == 6", true),
            ("assert ISO.match('1')", true), ("assert not things.ISO.match('a')", true), ("assert RATE == 3", true),
            ("assert things.LIMIT == 9", true), ("from things import LIMIT\n    assert LIMIT == 9", true),
            ("assert things.__version__ == '2'", true), ("assert store.size == 0", true), ("assert TRIPLE == 6", true),
            ("assert helped() == 3", true), ("assert check.__doc__ == 'Checks.'", true),
            ("assert 'eval' not in open('things.py').read()", true), ("assert 'eval' not in inspect.getsource(check)", true),
            ("assert times(2, 3) == 6 and sub(2, 1) == 1", false), ("assert MY == 3", false), ("check(1)", false),
            ("try:\n        check(1)\n    except AppError:\n        pass", false), ("add(1, 2); mul(1, 2)", false),
            ("assert RATE or True", false), ("assert things.RATE == RATE", false),
        ];
        let mut file = head.to_owned();
        file.extend(tests.iter().enumerate().map(made));
        sandboxed.write("tests/test_things.py", &file);
        let doubted = sandboxed.python.run_doubted_tests(&sandboxed.sandbox, folder, &["tests/test_things.py"], &cancel).await;
        let report = doubted.expect("the tests can be run");
        assert_eq!(report.failed, 0, "{report:#?}");
        for (number, (body, counts)) in tests.iter().enumerate() {
            let is_idle = report.idle.iter().any(|idle| idle.ends_with(&format!("::test_{number}")));
            assert_eq!(!is_idle, *counts, "{body}: {:?}", report.idle);
        }
        sandboxed.write("test_idle.py", "import calc\n\ndef test_x():\n    assert True\n");
        let doubted = sandboxed.python.run_doubted_tests(&sandboxed.sandbox, folder, &["test_idle.py"], &cancel).await;
        let report = doubted.expect("the tests can be run");
        assert_eq!(report.outcome, TestOutcome::NoTests, "{report:#?}");
        assert!(report.detail.contains("test_idle.py::test_x"), "{}", report.detail);
    }

    tests_run_however_they_were_meant_to_be_started => |sandboxed| {
        sandboxed.write("calc.py", ADD);
        sandboxed.write("pluggy.py", "raise RuntimeError('not the real one')\n");
        sandboxed.write(
            "test_calc.py",
            "import unittest\nfrom calc import add\n\nasync def test_async():\n    assert add(1, 2) == 3\n\n\
             class T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n\nunittest.main()\n",
        );
        let report = sandboxed.test(&["test_calc.py"]).await;
        assert_eq!((report.outcome, report.passed), (TestOutcome::Passed, 2), "{report:#?}");
        sandboxed.write("asks.py", "name = input('Name? ')\n");
        sandboxed.write("test_asks.py", "import asks\n\ndef test_x():\n    assert asks.name\n");
        let report = sandboxed.test(&["test_asks.py"]).await;
        assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
        assert!(report.detail.contains("nobody is there to answer"), "{}", report.detail);
    }

    imports_are_checked => |sandboxed| {
        sandboxed.write("validators/__init__.py", "");
        sandboxed.write("validators/email.py", "def check(): pass\n");
        sandboxed.write("bad.py", "import validators\n1 / 0\n");
        sandboxed.write("ends.py", "import os\nos._exit(0)\n");
        sandboxed.write("json.py", "X = 1\n");
        sandboxed.write("tests_itself.py", "import unittest\nunittest.main()\n");
        sandboxed.write("exits.py", "import sys\nsys.exit()\n");
        let thread = |more: &str| format!("import threading\nimport time\n\ndef work():\n    time.sleep(30)\n\n{more}\n");
        sandboxed.write("waits.py", &thread("threading.Thread(target=work).start()"));
        sandboxed.write("serves.py", &thread("threading.Thread(target=work, daemon=True).start()"));
        sandboxed.write("soon.py", &thread("threading.Thread(target=print).start()"));
        sandboxed.write("pool.py", "from concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor()\nPOOL.submit(print)\n");
        let expected = [
            ("validators.email", None),
            ("bad", Some("bad.py:2: in <module>")),
            ("missing", Some("No module named 'missing'")),
            ("ends", Some("ended the process")),
            ("json", Some("module of Python itself")),
            ("tests_itself", Some("runs tests while it is loaded")),
            ("waits", Some("leaves a thread running (work)")),
            ("serves", None),
            ("soon", None),
            ("pool", None),
            ("exits", Some("ended while the file is loaded")),
        ];
        for (module, error) in expected {
            let check = sandboxed
                .python
                .check_import(&sandboxed.sandbox, sandboxed.folder.path(), module, &CancellationToken::new())
                .await
                .expect("the import can be tried");
            assert_eq!(check.imports, error.is_none(), "{module}: {check:?}");
            assert!(check.error.contains(error.unwrap_or_default()), "{module}: {check:?}");
        }
    }

    dead_code_is_found_without_running_it => |sandboxed| {
        sandboxed.write(
            "app.py",
            "import os\nimport sys\nfrom json import dumps\nimport re as regex\n\nraise RuntimeError\n\n\
             def used():\n    return dumps(sys.argv)\n\ndef unused():\n    return unused()\n\n\
             class Used:\n    pass\n\nclass Unused:\n    pass\n\n@decorated\ndef registered():\n    pass\n\n\
             def main():\n    used()\n",
        );
        sandboxed.write("test_app.py", "from app import Used\n\ndef test_used():\n    Used()\n");
        sandboxed.write("broken.py", "def f(:\n");
        let dead = sandboxed
            .python
            .analyse(&sandboxed.sandbox, sandboxed.folder.path(), &["app.py", "test_app.py", "broken.py"], &CancellationToken::new())
            .await
            .expect("the analysis can be run");
        let found: Vec<_> = dead.iter().map(|dead| (dead.name.as_str(), dead.line, dead.kind)).collect();
        assert_eq!(
            found,
            [
                ("os", 1, DeadCodeKind::Import),
                ("regex", 4, DeadCodeKind::Import),
                ("unused", 11, DeadCodeKind::Function),
                ("Unused", 17, DeadCodeKind::Class),
            ]
        );
    }
}

#[tokio::test]
async fn without_pytest_unittest_runs_the_tests() {
    let mut sandboxed = common::Sandboxed::new(journeyman_sandbox::Level::Landlock).await;
    sandboxed.python = common::bare_python().await;
    sandboxed.sandbox =
        common::sandbox(journeyman_sandbox::Level::Landlock, &sandboxed.python).await;
    sandboxed.write("calc.py", ADD);
    sandboxed.write(
        "tests/test_calc.py",
        "import unittest\nfrom calc import add\n\nclass AddTest(unittest.TestCase):\n    def test_add(self):\n        \
         self.assertEqual(add(1, 2), 3)\n\n    def test_bad(self):\n        self.assertEqual(add(1, 2), 4)\n\n\
         def test_plain():\n    assert add(2, 2) == 4\n",
    );
    let report = sandboxed.test(&["tests/test_calc.py"]).await;
    assert_eq!(report.outcome, TestOutcome::Failed, "{report:#?}");
    assert_eq!(report.runner.as_deref(), Some("unittest"));
    assert_eq!((report.passed, report.failed), (2, 1), "{report:#?}");
    assert_eq!(
        report.tests[1].name,
        "tests/test_calc.py::AddTest::test_bad"
    );
    assert!(report.tests[1].message.contains("3 != 4"), "{report:#?}");
    sandboxed.write(
        "own.py",
        "import unittest\n\ndef test_theirs():\n    pass\n",
    );
    sandboxed.write(
        "tests/test_own.py",
        "from own import *\n\nasync def test_x():\n    assert 1 == 2\n",
    );
    let report = sandboxed.test(&["tests/test_own.py"]).await;
    assert_eq!((report.passed, report.failed), (0, 1), "{report:#?}");
    sandboxed.write(
        "own.py",
        "import unittest\nunittest.TestCase.run = lambda *a: None\n",
    );
    let report = sandboxed.test(&["tests/test_own.py"]).await;
    assert!(
        report.detail.contains("changes how tests are run"),
        "{report:#?}"
    );
    sandboxed.write("tests/test_broken.py", "1 / 0\n");
    let report = sandboxed.test(&["tests/test_broken.py"]).await;
    assert!(report.broken_tests, "{report:#?}");
    assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
}
