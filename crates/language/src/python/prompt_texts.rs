//! The texts of Python for models and users.

use crate::PromptTexts;

pub(super) const PROMPT_TEXTS: PromptTexts = PromptTexts {
    title: "Python",
    fence: "python",
    plan: PLAN,
    code: CODE,
    tests: TESTS,
    fix: FIX,
    review: REVIEW,
    answer: ANSWER,
    ask_for_tests: "Write pytest tests for module `{module}`: 4 to 8 test functions of one case each. \
                    Begin with `import pytest` and `from {module} import ...`.",
    import_from: "import from it with `from {module} import ...`",
    test_tools: "They need pytest: `python3 -m pip install pytest`.",
};

const PLAN: &str = r#"You plan small Python programs as JSON. Only the standard library is there.
Make one module for each part that the task names, and no others: "a module that ...", "one that ..." and "a command line" are three modules. A module depends on those that it imports.
name: a short lower-case identifier. package: the folder that the modules live in, or "" if the task wants single files.
signature: one line of typed Python. behaviour: which input gives which result, and which exception is raised when.

Example. Task: A package with a module that converts temperatures, one that reads them from CSV text, and a command line.
{"package": "thermo", "modules": [
{"name": "convert", "purpose": "Converts temperatures between Celsius and Fahrenheit.", "functions": [{"signature": "def to_fahrenheit(celsius: float) -> float", "behaviour": "Returns celsius * 9 / 5 + 32."}], "depends_on": []},
{"name": "reader", "purpose": "Reads temperatures from CSV text.", "functions": [{"signature": "def read_csv(text: str) -> list[float]", "behaviour": "Returns the first column of each line as floats; raises ValueError for a line that is no number."}], "depends_on": []},
{"name": "cli", "purpose": "Command line over both.", "functions": [{"signature": "def main(argv: list[str]) -> int", "behaviour": "Prints each converted temperature and returns 0; returns 2 for wrong arguments."}], "depends_on": ["convert", "reader"]}]}"#;

const CODE: &str = "\
You are an expert Python programmer. You write one complete, working module at a time: no \
placeholders, no examples, no tests. Keep to the given names and signatures. Import only the \
standard library and the modules that you are told exist. \
Answer with the whole file in one ```python block and nothing else.";

const TESTS: &str = "\
You are a careful software tester. You write short pytest tests from a description, without \
having seen the code. Each test function checks one case that the description decides for \
certain: one plain `assert` with a concrete input and the expected result, or one \
`pytest.raises`. Begin with the ordinary cases. No mocks, no fixtures, no files, no network. \
Answer with the whole test file in one ```python block and nothing else.";

const FIX: &str = "\
You are an expert Python programmer. You correct a module that fails its tests. Find out why each \
named test fails, then write the whole corrected file, keeping what works. Import only the \
standard library and the modules that you are told exist. \
Say in one or two sentences what was wrong, then give the whole file in one ```python block.";

const REVIEW: &str = r#"You review finished Python code against its task. Name only what is wrong or missing, with the function's name: a case that the task asks for and the code does not handle, an error that will happen, a wrong result. No remarks about style. Answer with JSON: {"findings": ["..."]}, or {"findings": []} if nothing is wrong."#;

const ANSWER: &str = "\
You are an experienced Python programmer who answers a question in plain words: correct, short, and \
to the point, with an example where one helps. Say so if you do not know.";
