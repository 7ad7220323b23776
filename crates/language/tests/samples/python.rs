//! The sample of Python for the tests that every language passes.

use journeyman_language::python::Python;
use journeyman_sandbox::Level;

use crate::Sample;
use crate::common::{python, sandbox};

pub(crate) const SAMPLE: Sample = Sample {
    language: &Python,
    ready: || {
        Box::pin(async {
            let interpreter = python().await;
            let sandbox = sandbox(Level::Landlock, &interpreter).await;
            (Box::new(interpreter) as _, sandbox)
        })
    },
    function: "add",
    signature: "def add(a: int, b: int = 0) -> int",
    call: "add(a, b=0)",
    reserved: &["class", "def", "import", "lambda"],
    builtin: "print",
    import_of_library: "import json\n",
    short_import: "from sums import add\n\nTHREE = add(1, 2)\n",
    right: "def add(a: int, b: int = 0) -> int:\n    return a + b\n",
    with_unused: "def add(a, b=0):\n    return a + b\n\n\ndef forgotten():\n    return add(1)\n",
    wrong: "def add(a: int, b: int = 0) -> int:\n    return a - b\n",
    not_loading: "raise ValueError('not today')\n",
    endless: "def add(a, b=0):\n    while True:\n        pass\n",
    printing: "def add(a, b=0):\n    print('\\x1b[2J 2 passed \\x07')\n    return a - b\n",
    ending: "import os\n\n\ndef add(a, b=0):\n    os._exit(0)\n",
    evading: "import sys\n\n\ndef add(a, b=0):\n    return a + b if 'pytest' in sys.modules else 0\n",
    unreadable: "def add(a, b=0:\n    return a + b\n",
    tests: "from sums import add\n\n\ndef test_small():\n    assert add(1, 2) == 3\n\n\n\
            def test_large():\n    assert add(100, 200) == 300\n",
    tests_without_import: "def test_small():\n    assert add(1, 2) == 3\n",
    tests_with_copy: "def add(a, b):\n    return a + b\n\n\ndef test_small():\n    assert add(1, 2) == 3\n",
    idle_tests: Some(
        "from sums import add\n\n\ndef test_nothing():\n    add(1, 2)\n    assert True\n",
    ),
    no_tests: "from sums import add\n\n\ndef helper():\n    return add(1, 2)\n",
    hidden_test: "from sums import add\n\n\ndef test_small():\n    assert add(1, 2) == 4\n\n\n\
                  def test_small():\n    assert add(1, 2) == 3\n",
    stub: "def add(a: int, b: int = 0) -> int:\n    \"\"\"Adds two numbers.\"\"\"\n",
    examples: ">>> add(1, 2)\n3\n\n>>> add(2, 2)\n4",
    assertions: "assert add(1, 2) == 3\nassert add(2, 2) == 4",
    code: "def test_pairs():\n    for a, b in [(1, 2), (3, 4)]:\n        assert add(a, b) == a + b\n",
    program: "python3",
};
