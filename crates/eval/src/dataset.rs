//! Data sets: `HumanEval` and MBPP as JSON lines, exercises as folders. Only the scorer reads them.
//!
//! Formats: `HumanEval`'s `{"task_id", "prompt", "entry_point", "test"}` (Chen et al., 2021), MBPP's `{"task_id",
//! "text" or "prompt", "code", "test_list", "test_setup_code"}` (Austin et al., 2021), and Exercism's practice
//! folders (`.docs/instructions.md`, `slug.py`, `slug_test.py`).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The largest data set accepted.
const BYTES_MAX: u64 = 256 << 20;

/// Whether the workflow may see the tests that score it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The workflow does not see the tests.
    Blind,
    /// The tests are given with the task, as by a user who has tests.
    TestsGiven,
}

impl Mode {
    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::TestsGiven => "tests-given",
        }
    }
}

/// The public part of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The id of the problem in the data set.
    pub id: String,
    /// The prompt: the beginning of a Python file.
    pub prompt: String,
    /// The test file given with the task, if any.
    pub tests: Option<String>,
}

/// A problem with the hidden tests that score it.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub(crate) id: String,
    pub(crate) prompt: String,
    /// The module name under which the tests import the solution, besides `solution`.
    pub(crate) module: String,
    pub(crate) test: Test,
}

/// How a solution is tested.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// A program that is appended to the solution and run.
    Program(String),
    /// A test file that imports the solution.
    File(String),
}

/// A data set: a file of JSON lines, optionally compressed with gzip, or a folder of exercises.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: PathBuf,
    problems: Vec<Hidden>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    HumanEval {
        task_id: String,
        prompt: String,
        entry_point: String,
        test: String,
    },
    Mbpp {
        task_id: serde_json::Value,
        #[serde(alias = "prompt")]
        text: String,
        code: String,
        test_list: Vec<String>,
        #[serde(default)]
        test_setup_code: String,
        #[serde(default)]
        test_imports: Vec<String>,
    },
}

impl Dataset {
    /// Opens a data set.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let problems = if path.is_dir() {
            exercises(path)?
        } else {
            lines(path)?
        };
        if problems.is_empty() {
            return Err(Error::Dataset {
                path: path.to_owned(),
                problem: "it has no problem".to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            problems,
        })
    }

    /// The public part of every problem, in order.
    pub fn public(&self, mode: Mode) -> Vec<Problem> {
        let public = |hidden: &Hidden| Problem {
            id: hidden.id.clone(),
            prompt: hidden.prompt.clone(),
            tests: (mode == Mode::TestsGiven).then(|| match &hidden.test {
                Test::File(source) => source.clone(),
                Test::Program(program) => as_test_file(program),
            }),
        };
        self.problems.iter().map(public).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Result<&Hidden, Error> {
        let found = self.problems.iter().find(|problem| problem.id == id);
        found.ok_or_else(|| Error::Dataset {
            path: self.path.clone(),
            problem: format!("it has no problem {id}"),
        })
    }
}

/// Converts a test program to a file for pytest.
fn as_test_file(program: &str) -> String {
    if let Some((checks, call)) = program.trim_end().rsplit_once('\n')
        && call.starts_with("check(")
    {
        return format!("from solution import *\n\n{checks}\n\n\ndef test_given():\n    {call}\n");
    }
    let mut text = String::from("from solution import *\n");
    let (asserts, setup): (Vec<&str>, Vec<&str>) = program
        .lines()
        .partition(|line| line.starts_with("assert "));
    for line in setup {
        text.push_str(line);
        text.push('\n');
    }
    for (number, line) in asserts.iter().enumerate() {
        let number = number + 1;
        text.extend([
            "\n\ndef test_given_",
            &number.to_string(),
            "():\n    ",
            line,
            "\n",
        ]);
    }
    text
}

fn lines(path: &Path) -> Result<Vec<Hidden>, Error> {
    let file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut text = String::new();
    let compressed = path.extension().is_some_and(|ending| ending == "gz");
    let mut reader: Box<dyn Read> = if compressed {
        Box::new(GzDecoder::new(file).take(BYTES_MAX))
    } else {
        Box::new(file.take(BYTES_MAX))
    };
    reader
        .read_to_string(&mut text)
        .map_err(|e| Error::io(path, e))?;
    let mut problems = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let read = serde_json::from_str::<Line>(line).map_err(|_| Error::Dataset {
            path: path.to_owned(),
            problem: format!(
                "line {} has the fields neither of HumanEval (task_id, prompt, entry_point, test) \
                 nor of MBPP (task_id, text, code, test_list)",
                number + 1
            ),
        })?;
        problems.push(hidden(read, path)?);
    }
    Ok(problems)
}

fn hidden(line: Line, path: &Path) -> Result<Hidden, Error> {
    Ok(match line {
        Line::HumanEval {
            task_id,
            prompt,
            entry_point,
            test,
        } => Hidden {
            id: task_id,
            prompt,
            module: "solution".to_owned(),
            test: Test::Program(format!("{}\n\ncheck({entry_point})\n", test.trim_end())),
        },
        Line::Mbpp {
            task_id,
            text,
            code,
            test_list,
            test_setup_code,
            test_imports,
        } => {
            let id = match task_id {
                serde_json::Value::String(id) => id,
                other => format!("MBPP/{other}"),
            };
            // The signature is public: without it no name would fit.
            let signature = signature(&code, &test_list).ok_or_else(|| Error::Dataset {
                path: path.to_owned(),
                problem: format!("problem {id} has no function that its tests call"),
            })?;
            let text = text.trim().replace("\"\"\"", "'''");
            Hidden {
                id,
                prompt: format!("{signature}\n    \"\"\"{text}\"\"\"\n"),
                module: "solution".to_owned(),
                test: Test::Program(format!(
                    "{}\n{test_setup_code}\n{}\n",
                    test_imports.join("\n"),
                    test_list.join("\n")
                )),
            }
        }
    })
}

/// The line that defines the function under test, without type hints that the data set does not have.
fn signature<'c>(code: &'c str, tests: &[String]) -> Option<&'c str> {
    let called = |line: &&str| {
        let name = line["def ".len()..]
            .split('(')
            .next()
            .unwrap_or_default()
            .trim();
        tests.iter().any(|test| test.contains(&format!("{name}(")))
    };
    code.lines()
        .map(str::trim_end)
        .filter(|line| line.starts_with("def ") && line.ends_with(':'))
        .rfind(called)
}

fn exercises(folder: &Path) -> Result<Vec<Hidden>, Error> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.is_dir() && path.join(".docs/instructions.md").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().map(|folder| exercise(folder)).collect()
}

fn exercise(folder: &Path) -> Result<Hidden, Error> {
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|e| Error::io(path, e));
    let slug = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let module = slug.replace('-', "_");
    let mut instructions = read(folder.join(".docs/instructions.md"))?;
    let more = folder.join(".docs/instructions.append.md");
    if more.is_file() {
        instructions.push('\n');
        instructions.push_str(&read(more)?);
    }
    let stub = read(folder.join(format!("{module}.py")))?;
    let tests = read(folder.join(format!("{module}_test.py")))?;
    Ok(Hidden {
        id: slug.to_owned(),
        prompt: format!(
            "\"\"\"{}\n\"\"\"\n\n{}",
            instructions
                .trim()
                .replace("\"\"\"", "'''")
                .replace('\\', "\\\\"),
            stub.trim_start()
        ),
        module,
        test: Test::File(tests),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blind_problem_has_nothing_of_its_tests_and_a_given_one_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.jsonl");
        let human = r#"{"task_id":"H/0","prompt":"def f(x):\n    \"\"\"Doubles.\"\"\"\n","entry_point":"f","canonical_solution":"SECRET","test":"def check(candidate):\n    assert candidate(1) == 2\n"}"#;
        let mbpp = r#"{"task_id":7,"text":"Halves.","code":"import math\ndef g(x, y):\n  return SECRET","test_list":["assert g(2, 1) == 1","assert g(4, 1) == 2"]}"#;
        fs::write(&path, format!("{human}\n{mbpp}\n")).unwrap();
        let set = Dataset::open(&path).unwrap();
        let blind = set.public(Mode::Blind);
        assert_eq!(blind[1].id, "MBPP/7");
        assert_eq!(blind[1].prompt, "def g(x, y):\n    \"\"\"Halves.\"\"\"\n");
        let text = serde_json::to_string(&blind).unwrap();
        assert!(
            !text.contains("SECRET") && !text.contains("assert"),
            "{text}"
        );
        let given = set.public(Mode::TestsGiven);
        assert!(
            given[0]
                .tests
                .as_ref()
                .unwrap()
                .ends_with("def test_given():\n    check(f)\n")
        );
        assert!(
            given[1]
                .tests
                .as_ref()
                .unwrap()
                .contains("def test_given_2():\n    assert g(4, 1) == 2")
        );
    }

    #[test]
    fn a_folder_of_exercises_is_a_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let exercise = folder.path().join("two-fer");
        fs::create_dir_all(exercise.join(".docs")).unwrap();
        fs::write(exercise.join(".docs/instructions.md"), "# Two-fer\nShare.").unwrap();
        fs::write(
            exercise.join("two_fer.py"),
            "def two_fer(name):\n    pass\n",
        )
        .unwrap();
        fs::write(
            exercise.join("two_fer_test.py"),
            "from two_fer import two_fer\n",
        )
        .unwrap();
        let set = Dataset::open(folder.path()).unwrap();
        assert_eq!(
            set.public(Mode::Blind)[0].prompt,
            "\"\"\"# Two-fer\nShare.\n\"\"\"\n\ndef two_fer(name):\n    pass\n"
        );
        assert_eq!(set.find("two-fer").unwrap().module, "two_fer");
        assert!(set.find("none").is_err());
    }

    #[test]
    fn a_line_of_another_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.jsonl");
        fs::write(&path, "{\"a\":1}\n").unwrap();
        let error = Dataset::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 1") && error.contains("entry_point"),
            "{error}"
        );
        fs::write(&path, "\n").unwrap();
        assert!(
            Dataset::open(&path)
                .unwrap_err()
                .to_string()
                .contains("no problem")
        );
    }
}
