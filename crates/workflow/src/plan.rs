//! Turns a model's plan, which is untrusted, into a valid one. It is repaired if the repair is obvious, and
//! otherwise rejected with a reason.

mod requirements;

use std::collections::BTreeSet;

use journeyman_context::QUESTIONS_MAX;
use journeyman_event::ModuleName;
use journeyman_event::payload::{
    AskedQuestion, GivenTest, PlannedFunction, PlannedModule, PlanningComplete, QuestionsAsked,
};
use journeyman_language::Language;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::json_in;
use crate::named::{functions_named, module_named};
use requirements::{add_example_calls, apply_prompt_names, apply_test_imports, last_module_needed};

/// The most modules in a plan. A small model that lists more is not planning seriously.
const MODULES_MAX: usize = 6;
/// The length to which questions are truncated, in characters.
const QUESTION_CHARS_MAX: usize = 500;
/// The module name for tasks whose prompt is the beginning of a file.
const STUB_MODULE: &str = "solution";

/// The plan for a prompt that is itself the beginning of a file; `None` if it is not.
pub fn plan_of_stub(
    language: &dyn Language,
    prompt: &str,
    tests: &[GivenTest],
) -> Option<PlanningComplete> {
    let signatures = language.stub_signatures(prompt);
    if signatures.is_empty() {
        return None;
    }
    let draft = DraftModule {
        name: STUB_MODULE.to_owned(),
        purpose: "Complete the code of the task, keeping what it begins with.".to_owned(),
        functions: as_the_task_says(signatures),
        depends_on: Vec::new(),
    };
    let draft = Draft {
        package: String::new(),
        modules: vec![draft],
        repairs: Vec::new(),
    };
    let mut plan = finish(language, draft, tests).ok()?;
    for module in &mut plan.modules {
        module.completes_prompt = true;
    }
    Some(plan)
}

fn as_the_task_says(signatures: Vec<String>) -> Vec<PlannedFunction> {
    let function = |signature| PlannedFunction {
        signature,
        behaviour: "as the task says".to_owned(),
    };
    signatures.into_iter().map(function).collect()
}

/// The plan for a prompt that names its one module and its functions, with given tests that call no others, so
/// that there is nothing left to plan. `None` otherwise. Small models add helpers to such a prompt, which only
/// mislead the code.
pub(crate) fn plan_of_names(
    language: &dyn Language,
    prompt: &str,
    tests: &[GivenTest],
) -> Option<PlanningComplete> {
    let name = module_named(language, prompt)?;
    let functions = as_the_task_says(functions_named(language, prompt));
    if functions.is_empty() || tests.is_empty() {
        return None;
    }
    let named = functions.len();
    let raw = RawModule {
        name,
        purpose: String::new(),
        functions: Vec::new(),
        depends_on: Vec::new(),
    };
    let raw = RawPlan {
        package: None,
        modules: vec![raw],
    };
    let mut draft = Draft::of(language, raw).ok()?;
    draft.modules[0].functions = functions;
    let plan = finish(language, draft, tests).ok()?;
    let [module] = plan.modules.as_slice() else {
        return None;
    };
    (module.functions.len() == named).then_some(plan)
}

/// Parses a model's plan. The error says what is wrong, worded for the model.
pub(crate) fn plan_of_answer(
    language: &dyn Language,
    answer: &str,
    prompt: &str,
    tests: &[GivenTest],
) -> Result<PlanningComplete, String> {
    let raw: RawPlan = json_in(answer)?;
    let mut draft = Draft::of(language, raw)?;
    apply_prompt_names(language, &mut draft, prompt);
    finish(language, draft, tests)
}

/// The questions a model asks instead of planning; `None` if it asks none.
pub(crate) fn questions_in_answer(answer: &str) -> Option<QuestionsAsked> {
    let raw: RawQuestions = json_in(answer).ok()?;
    let mut texts: Vec<String> = Vec::new();
    for question in raw.questions {
        let text: String = question.trim().chars().take(QUESTION_CHARS_MAX).collect();
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.truncate(QUESTIONS_MAX);
    let questions: Vec<AskedQuestion> = texts
        .into_iter()
        .zip(1..)
        .map(|(text, number)| AskedQuestion {
            id: format!("q{number}"),
            text,
        })
        .collect();
    (!questions.is_empty()).then_some(QuestionsAsked { questions })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuestions {
    questions: Vec<String>,
}

#[derive(Deserialize)]
struct RawPlan {
    #[serde(default)]
    package: Option<String>,
    modules: Vec<RawModule>,
}

#[derive(Deserialize)]
struct RawModule {
    name: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    functions: Vec<Value>,
    #[serde(default)]
    depends_on: Vec<Value>,
}

struct DraftModule {
    name: String,
    purpose: String,
    functions: Vec<PlannedFunction>,
    depends_on: Vec<String>,
}

struct Draft {
    package: String,
    modules: Vec<DraftModule>,
    repairs: Vec<String>,
}

impl Draft {
    fn of(language: &dyn Language, raw: RawPlan) -> Result<Self, String> {
        let mut repairs = Vec::new();
        let package = raw.package.unwrap_or_default();
        let package = match stem(language, &package) {
            Some(name) if !language.is_taken(&name) => name,
            Some(name) => {
                repairs.push(format!(
                    "package {name} renamed: it would hide the library's"
                ));
                format!("{name}_package")
            }
            None => String::new(),
        };
        let mut draft = Self {
            package,
            modules: Vec::new(),
            repairs,
        };
        for module in raw.modules {
            draft.add(language, module)?;
        }
        if draft.modules.is_empty() {
            return Err("it has no module that could be written".to_owned());
        }
        if draft.modules.len() > MODULES_MAX {
            return Err(format!("it has more than {MODULES_MAX} modules"));
        }
        Ok(draft)
    }

    fn add(&mut self, language: &dyn Language, raw: RawModule) -> Result<(), String> {
        let Some(name) = stem(language, &raw.name) else {
            return Err(format!(
                "{:?} is not a module name; use an identifier",
                raw.name
            ));
        };
        if name != raw.name {
            self.repairs
                .push(format!("module {:?} renamed to {name}", raw.name));
        }
        if language.is_test_module(&name) || language.is_for_tools(&name) {
            self.repairs.push(format!(
                "module {name} left out: it is not part of the program"
            ));
            return Ok(());
        }
        let functions = raw.functions.iter();
        let functions = functions.filter_map(|raw| function(language, raw));
        let functions: Vec<PlannedFunction> = functions.collect();
        let dropped = raw.functions.len() - functions.len();
        if dropped > 0 {
            self.repairs.push(format!(
                "module {name}: {dropped} functions without a signature left out"
            ));
        }
        let functions = with_methods_in_their_class(language, functions);
        if let Some(twin) = self.modules.iter_mut().find(|module| module.name == name) {
            self.repairs
                .push(format!("module {name} was planned twice: taken together"));
            twin.functions.extend(functions);
            return Ok(());
        }
        let depends_on = raw
            .depends_on
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|name| stem(language, name))
            .collect();
        self.modules.push(DraftModule {
            name,
            purpose: raw.purpose,
            functions,
            depends_on,
        });
        Ok(())
    }
}

impl Draft {
    /// Renames modules outside packages that would shadow a module of the standard library.
    fn hide_nothing(&mut self, language: &dyn Language) {
        if !self.package.is_empty() {
            return;
        }
        for at in 0..self.modules.len() {
            let name = self.modules[at].name.clone();
            if !language.is_taken(&name) {
                continue;
            }
            let renamed = format!("{name}_module");
            self.repairs.push(format!(
                "module {name} renamed to {renamed}: it would hide the library's"
            ));
            for dependency in self.modules.iter_mut().flat_map(|one| &mut one.depends_on) {
                if *dependency == name {
                    dependency.clone_from(&renamed);
                }
            }
            self.modules[at].name = renamed;
        }
    }

    /// Merges all modules into one.
    fn merge(&mut self) {
        let mut modules = std::mem::take(&mut self.modules).into_iter();
        let Some(mut first) = modules.next() else {
            return;
        };
        for module in modules {
            let repair = format!(
                "module {} taken into {}: one is asked for",
                module.name, first.name
            );
            self.repairs.push(repair);
            first.purpose = format!("{} {}", first.purpose.trim(), module.purpose.trim());
            first.functions.extend(module.functions);
        }
        self.modules.push(first);
    }
}

/// The bare module name in a model's text, without folder, package and extension. `None` if no valid name
/// remains.
fn stem(language: &dyn Language, text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains("..") || text.contains('\0') {
        return None;
    }
    let text = language.without_ending(text).trim_end_matches('/');
    let last = text.rsplit(['/', '\\', '.']).next()?;
    let name: String = last
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c == '-' || c == ' ' { '_' } else { c })
        .collect();
    let name = if name.is_empty() {
        name
    } else {
        language.file_name_of(&name)
    };
    (language.is_identifier(&name) && name.len() <= 60).then_some(name)
}

/// A function as a model wrote it: an object, or only its signature.
fn function(language: &dyn Language, raw: &Value) -> Option<PlannedFunction> {
    let (signature, behaviour) = match raw {
        Value::String(signature) => (signature.as_str(), ""),
        Value::Object(fields) => (
            fields
                .get("signature")
                .or_else(|| fields.get("name"))?
                .as_str()?,
            fields
                .get("behaviour")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        ),
        _ => return None,
    };
    Some(PlannedFunction {
        signature: language.signature(signature)?,
        behaviour: behaviour.trim().to_owned(),
    })
}

/// Moves methods that a model listed next to their class into the description of the class.
fn with_methods_in_their_class(
    language: &dyn Language,
    functions: Vec<PlannedFunction>,
) -> Vec<PlannedFunction> {
    let mut kept: Vec<PlannedFunction> = Vec::new();
    for function in functions {
        match kept.last_mut() {
            Some(class) if language.is_method_of(&function.signature, &class.signature) => {
                let method = format!(" Method `{}`: {}", function.signature, function.behaviour);
                class.behaviour.push_str(&method);
            }
            _ => kept.push(function),
        }
    }
    kept
}

/// Checks and completes names, dependencies, order and given tests. Runs for every plan, wherever it came from.
fn finish(
    language: &dyn Language,
    mut draft: Draft,
    tests: &[GivenTest],
) -> Result<PlanningComplete, String> {
    apply_test_imports(language, &mut draft, tests)?;
    draft.hide_nothing(language);
    for module in &mut draft.modules {
        let mut names = BTreeSet::new();
        module.functions.retain(|function| {
            let name = language.defined_name(&function.signature);
            name.is_some_and(|name| names.insert(name.to_owned()))
        });
    }
    add_example_calls(language, &mut draft, tests)?;
    let order = order(&mut draft);
    let full = |name: &str| {
        let name = if draft.package.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", draft.package)
        };
        ModuleName::new(name).map_err(|error| error.to_string())
    };
    let mut modules = Vec::new();
    for index in order {
        let module = &draft.modules[index];
        modules.push(PlannedModule {
            name: full(&module.name)?,
            purpose: module.purpose.trim().to_owned(),
            functions: module.functions.clone(),
            depends_on: module
                .depends_on
                .iter()
                .map(|name| full(name))
                .collect::<Result<_, String>>()?,
            given_tests: Vec::new(),
            completes_prompt: false,
        });
    }
    for test in tests {
        let index = last_module_needed(language, &modules, test);
        modules[index].given_tests.push(test.name.clone());
    }
    Ok(PlanningComplete {
        modules,
        repairs: draft.repairs,
    })
}

/// Cleans up the dependencies and sorts the modules so that each follows its dependencies. A cycle is cut at an
/// edge that contradicts the model's order.
fn order(draft: &mut Draft) -> Vec<usize> {
    let names: Vec<String> = draft
        .modules
        .iter()
        .map(|module| module.name.clone())
        .collect();
    let package = draft.package.clone();
    for module in &mut draft.modules {
        let mut seen = BTreeSet::new();
        let name = module.name.clone();
        let before = module.depends_on.len();
        module.depends_on.retain(|dependency| {
            dependency != &name && names.contains(dependency) && seen.insert(dependency.clone())
        });
        if module.depends_on.len() < before && package != name {
            draft.repairs.push(format!(
                "module {name}: dependencies on itself, unknown or repeated ones left out"
            ));
        }
    }
    let mut order: Vec<usize> = Vec::new();
    while order.len() < names.len() {
        let placed: BTreeSet<&str> = order.iter().map(|&index| names[index].as_str()).collect();
        let waiting = (0..names.len()).filter(|index| !order.contains(index));
        let ready = waiting.clone().find(|&index| {
            draft.modules[index]
                .depends_on
                .iter()
                .all(|name| placed.contains(name.as_str()))
        });
        let Some(next) = ready.or_else(|| waiting.clone().next()) else {
            break;
        };
        if ready.is_none() {
            let placed: BTreeSet<String> = placed.into_iter().map(str::to_owned).collect();
            draft.modules[next]
                .depends_on
                .retain(|name| placed.contains(name));
            draft.repairs.push(format!(
                "module {}: a cycle of dependencies was cut",
                names[next]
            ));
        }
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TestOrigin;
    use proptest::prelude::*;

    use journeyman_language::python::Python;

    use super::*;

    fn names(plan: &PlanningComplete) -> Vec<&str> {
        plan.modules
            .iter()
            .map(|module| module.name.as_str())
            .collect()
    }

    fn file(name: &str, source: &str) -> GivenTest {
        GivenTest {
            name: name.into(),
            origin: TestOrigin::File,
            source: source.into(),
        }
    }

    #[test]
    fn modules_follow_those_that_they_depend_on() {
        let plan = plan_of_answer(&Python, r#"{"package":"shop","modules":[
              {"name":"cli","purpose":"p","functions":[{"signature":"def main()","behaviour":""}],"depends_on":["cart","shop.prices"]},
              {"name":"cart.py","purpose":"p","functions":["add(x: int) -> int:"],"depends_on":["prices"]},
              {"name":"prices","purpose":"p","functions":[],"depends_on":[]}]}"#, "", &[])
        .unwrap();
        assert_eq!(names(&plan), ["shop.prices", "shop.cart", "shop.cli"]);
        assert_eq!(
            plan.modules[1].functions[0].signature,
            "def add(x: int) -> int"
        );
    }

    #[test]
    fn self_unknown_repeated_and_cyclic_dependencies_are_repaired_and_said() {
        let plan = plan_of_answer(
            &Python,
            r#"{"package":"","modules":[
              {"name":"a","functions":["def f()"],"depends_on":["a","b","b","requests"]},
              {"name":"b","functions":["def g()"],"depends_on":["a"]}]}"#,
            "",
            &[],
        )
        .unwrap();
        assert_eq!(names(&plan), ["a", "b"]);
        assert!(plan.modules[0].depends_on.is_empty());
        assert_eq!(plan.modules[1].depends_on[0].as_str(), "a");
        assert!(
            plan.repairs.iter().any(|repair| repair.contains("cycle")),
            "{:?}",
            plan.repairs
        );
    }

    #[test]
    fn names_that_look_like_paths_become_plain_or_are_refused() {
        let plan = plan_of_answer(
            &Python,
            r#"{"modules":[{"name":"src/My-Tool.py"}]}"#,
            "",
            &[],
        )
        .unwrap();
        assert_eq!(names(&plan), ["my_tool"]);
        for bad in ["../../etc/passwd", "..", "", "a b;c", "\u{0}"] {
            let json = serde_json::json!({"modules": [{"name": bad}]}).to_string();
            assert!(plan_of_answer(&Python, &json, "", &[]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_flat_module_never_hides_the_standard_library() {
        let plan = plan_of_answer(
            &Python,
            r#"{"package":"","modules":[{"name":"email"}]}"#,
            "",
            &[],
        )
        .unwrap();
        assert_eq!(names(&plan), ["email_module"]);
        let plan = plan_of_answer(
            &Python,
            r#"{"package":"v","modules":[{"name":"email"}]}"#,
            "",
            &[],
        )
        .unwrap();
        assert_eq!(names(&plan), ["v.email"]);
        // Where the tests take the package away, too.
        let plan = plan_of_answer(&Python,
            r#"{"package":"shop","modules":[{"name":"json"},{"name":"cart","depends_on":["json"]}]}"#,
            "",
            &[file("test_a.py", "from cart import f\nassert f() == 1\n")],
        )
        .unwrap();
        assert_eq!(names(&plan), ["json_module", "cart"]);
        assert_eq!(plan.modules[1].depends_on[0].as_str(), "json_module");
    }

    #[test]
    fn what_the_prompt_names_is_called_so() {
        let apart = r#"{"package":"roman","modules":[{"name":"to_roman","functions":["def to_roman(n)"]},
            {"name":"from_roman","functions":["def from_roman(text)"],"depends_on":["to_roman"]}]}"#;
        let one = r#"{"package":"kit","modules":[{"name":"m","functions":["def f()"]}]}"#;
        let two = r#"{"package":"","modules":[{"name":"roman"},{"name":"cli"}]}"#;
        for (answer, prompt, planned) in [
            (apart, "A module `roman` with two functions", &["roman"][..]),
            (
                apart,
                "A package `roman` with two modules",
                &["roman.to_roman", "roman.from_roman"],
            ),
            (
                apart,
                "Roman numerals",
                &["roman.to_roman", "roman.from_roman"],
            ),
            (one, "A module `slugs`", &["slugs"]),
            (one, "Slugs", &["m"]),
            (one, "A package of slugs", &["kit.m"]),
            (
                two,
                "A module `roman` and a command line",
                &["roman", "cli"],
            ),
        ] {
            let plan = plan_of_answer(&Python, answer, prompt, &[]).unwrap();
            assert_eq!(names(&plan), planned, "{prompt}");
        }
        let merged = plan_of_answer(&Python, apart, "A module `roman`", &[]).unwrap();
        assert_eq!(merged.modules[0].functions.len(), 2);
    }

    #[test]
    fn a_module_whose_name_is_none_for_a_file_is_renamed_and_not_asked_for_again() {
        for (given, name) in [
            ("größe", "groesse"),
            ("Œuvre", "oeuvre"),
            ("имя", "u438u43cu44f"),
            ("2048", "_2048"),
            ("class", "class_"),
        ] {
            let answer = format!(r#"{{"package":"","modules":[{{"name":"{given}"}}]}}"#);
            let plan = plan_of_answer(&Python, &answer, "", &[]).unwrap();
            assert_eq!(names(&plan), [name]);
            assert_eq!(plan.repairs.len(), 1, "{:?}", plan.repairs);
        }
        assert!(
            plan_of_answer(
                &Python,
                r#"{"package":"","modules":[{"name":"a$b"}]}"#,
                "",
                &[]
            )
            .is_err()
        );
    }

    #[test]
    fn every_name_that_given_tests_import_is_planned_once() {
        let one = r#"{"modules":[{"name":"m","functions":["def main()"]}]}"#;
        for (source, planned) in [
            ("from slug import slugify\nimport numpy\n", &["slug"][..]),
            ("import numpy\nfrom slug import slugify\n", &["slug"]),
            ("from a import f\nfrom b import G, h\n", &["a", "b"]),
            ("from m import f\nfrom b import g\n", &["m", "b"]),
            (
                "TEXT = \"\"\"\nimport other\n\"\"\"\nfrom slug import slugify\n",
                &["slug"],
            ),
            ("from src.app.slug import slugify\n", &["src.app.slug"]),
            ("import shop\nfrom shop.cart import add\n", &["shop.cart"]),
        ] {
            let plan = plan_of_answer(&Python, one, "", &[file("test_x.py", source)]).unwrap();
            assert_eq!(names(&plan), planned, "{source}: {:?}", plan.repairs);
        }
        let added = plan_of_answer(
            &Python,
            one,
            "",
            &[file("test_x.py", "from a import f\nfrom b import G, h\n")],
        )
        .unwrap();
        let signatures: Vec<&str> = added.modules[1]
            .functions
            .iter()
            .map(|f| f.signature.as_str())
            .collect();
        assert_eq!(signatures, ["class G", "def h(...)"]);
        let two = [file("test_x.py", "from a.x import f\nfrom b.y import g\n")];
        assert!(
            plan_of_answer(&Python, one, "", &two)
                .unwrap_err()
                .contains("not in one package")
        );
    }

    #[test]
    fn given_tests_fix_the_names() {
        let tests = [file("test_x.py", "from textkit.slug import slugify\n")];
        let plan = plan_of_answer(
            &Python,
            r#"{"package":"","modules":[{"name":"slugifier"}]}"#,
            "",
            &tests,
        )
        .unwrap();
        assert_eq!(names(&plan), ["textkit.slug"]);
        assert_eq!(plan.modules[0].given_tests, ["test_x.py"]);
        let two = r#"{"modules":[{"name":"one"},{"name":"two"}]}"#;
        assert!(
            plan_of_answer(&Python, two, "", &tests)
                .unwrap_err()
                .contains("textkit.slug")
        );
    }

    #[test]
    fn what_examples_call_is_planned() {
        let tests = [GivenTest {
            name: "test_examples.py".into(),
            origin: TestOrigin::Examples,
            source: ">>> shout('a')\n'A'".into(),
        }];
        let plan = plan_of_answer(
            &Python,
            r#"{"modules":[{"name":"m","functions":["def whisper(x)"]}]}"#,
            "",
            &tests,
        )
        .unwrap();
        assert!(
            plan.modules[0]
                .functions
                .iter()
                .any(|f| f.signature.starts_with("def shout"))
        );
    }

    #[test]
    fn a_plan_of_something_else_is_refused() {
        let tests = [GivenTest {
            name: "test_examples.py".into(),
            origin: TestOrigin::Examples,
            source: ">>> shout('a')\n'A'".into(),
        }];
        let other = r#"{"modules":[{"name":"convert","functions":["def to_kelvin(c)"]},
            {"name":"cli","functions":["def main()"]}]}"#;
        let refused = plan_of_answer(&Python, other, "Write shout(text).", &tests).unwrap_err();
        assert!(refused.contains("shout"), "{refused}");
        assert!(plan_of_answer(&Python, other, "Convert temperatures.", &[]).is_ok());
    }

    #[test]
    fn methods_listed_beside_their_class_are_described_with_it() {
        let plan = plan_of_answer(
            &Python,
            r#"{"modules":[{"name":"m","functions":["class Cache(capacity: int)",
              {"signature":"def get(self, key)","behaviour":"Finds."},"def make()"]}]}"#,
            "",
            &[],
        )
        .unwrap();
        let functions = &plan.modules[0].functions;
        assert_eq!(functions.len(), 2);
        assert!(
            functions[0]
                .behaviour
                .contains("`def get(self, key)`: Finds.")
        );
    }

    #[test]
    fn a_prompt_that_leaves_nothing_to_plan_is_its_own_plan() {
        let examples = |calls: &str| GivenTest {
            name: "test_examples.py".into(),
            origin: TestOrigin::Examples,
            source: format!(">>> {calls}(1)\n'I'"),
        };
        let roman = "A module `roman` with functions `to_roman(number)` and `from_roman(text)`.";
        let plan = plan_of_names(&Python, roman, &[examples("to_roman")]).unwrap();
        assert_eq!(names(&plan), ["roman"]);
        let signatures = plan.modules[0].functions.iter().map(|f| &f.signature);
        assert!(signatures.eq(["def to_roman(number)", "def from_roman(text)"]));
        assert_eq!(plan.modules[0].given_tests, ["test_examples.py"]);

        let renamed = plan_of_names(
            &Python,
            "The module `email`: `check(text)`",
            &[examples("check")],
        );
        assert_eq!(names(&renamed.unwrap()), ["email_module"]);
        for (prompt, tests) in [
            (roman, vec![]),
            (roman, vec![examples("is_roman")]),
            (
                roman,
                vec![file(
                    "test_x.py",
                    "from roman import parse\nfrom more import f\n",
                )],
            ),
            (
                "A module `roman` for Roman numerals.",
                vec![examples("to_roman")],
            ),
            ("A function `to_roman(number)`.", vec![examples("to_roman")]),
            (
                "A package with a module `roman`: `to_roman(number)`.",
                vec![examples("to_roman")],
            ),
        ] {
            assert!(plan_of_names(&Python, prompt, &tests).is_none(), "{prompt}");
        }
    }

    #[test]
    fn the_first_tasks_are_their_own_plans() {
        for prompt in [
            include_str!("../../../checks/demonstration/cards.txt"),
            include_str!("../../../checks/demonstration/roman.txt"),
            include_str!("../../../checks/demonstration/sizes.txt"),
            include_str!("../../../checks/demonstration/words.txt"),
        ] {
            let tests = Python.examples(prompt).tests;
            assert!(plan_of_names(&Python, prompt, &tests).is_some(), "{prompt}");
        }
    }

    #[test]
    fn a_stub_is_its_own_plan() {
        let plan = plan_of_stub(&Python, "def add(a, b):\n    \"\"\"Adds.\"\"\"\n", &[]).unwrap();
        assert_eq!(names(&plan), ["solution"]);
        assert!(plan_of_stub(&Python, "Write add(a, b).", &[]).is_none());
    }

    proptest! {
        #[test]
        fn any_graph_gives_an_order_in_which_dependencies_come_first(
            edges in prop::collection::vec((0..5_usize, 0..6_usize), 0..15),
        ) {
            let modules: Vec<Value> = (0..5).map(|i| serde_json::json!({
                "name": format!("m{i}"),
                "depends_on": edges.iter().filter(|e| e.0 == i).map(|e| format!("m{}", e.1)).collect::<Vec<_>>(),
            })).collect();
            let json = serde_json::json!({"modules": modules}).to_string();
            let plan = plan_of_answer(&Python, &json, "", &[]).unwrap();
            prop_assert_eq!(plan.modules.len(), 5);
            for (at, module) in plan.modules.iter().enumerate() {
                for dependency in &module.depends_on {
                    prop_assert!(plan.modules[..at].iter().any(|m| &m.name == dependency));
                }
            }
        }

        #[test]
        fn any_text_is_a_plan_or_a_reason(text in "(?s).{0,200}") {
            let _ = plan_of_answer(&Python, &text, "", &[]);
        }
    }
}
