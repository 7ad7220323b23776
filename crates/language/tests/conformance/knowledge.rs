//! What is known without running anything.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_language::{LastBlock, of};

use super::Sample;

fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn file(name: &str, source: &str) -> GivenTest {
    GivenTest {
        name: name.to_owned(),
        origin: TestOrigin::File,
        source: source.to_owned(),
    }
}

pub(crate) fn it_is_found_by_its_name(sample: &Sample) {
    let name = sample.language.name();
    assert_eq!(name, name.to_lowercase());
    let found = of(name).expect("it is in the list of all");
    assert_eq!(found.name(), name);
    assert!(of("").is_none() && of(&name.to_uppercase()).is_none());
}

pub(crate) fn it_is_spoken_of(sample: &Sample) {
    let words = sample.language.prompt_texts();
    for (prompt, needed) in [
        (words.plan, words.title),
        (words.code, words.title),
        (words.fix, words.title),
        (words.review, words.title),
        (words.answer, words.title),
        (words.code, words.fence),
        (words.tests, words.fence),
        (words.fix, words.fence),
    ] {
        assert!(prompt.contains(needed), "{needed}: {prompt}");
    }
    // Prompts that give one answer in JSON show its form.
    assert!(words.plan.contains("\"modules\"") && words.review.contains("\"findings\""));
    assert!(words.ask_for_tests("shop.sums").contains("shop.sums"));
    assert!(words.import_from("shop.sums").contains("shop.sums"));
    let block = words.block("x");
    assert_eq!(block, format!("```{}\nx\n```", words.fence));
    assert!(!words.test_tools.is_empty());
}

pub(crate) fn names_are_told_apart(sample: &Sample) {
    let language = sample.language;
    assert!(language.is_identifier("sums") && language.is_name("sums"));
    for bad in ["", "1st", "a b", "a-b", "../x", "a/b", "a\0b"] {
        assert!(
            !language.is_identifier(bad) && !language.is_name(bad),
            "{bad:?}"
        );
    }
    // A file's name is plain wherever it is kept.
    assert!(!language.is_identifier("größe"));
    for name in ["größe", "1st", "ñandú", "名前", "a", ""]
        .iter()
        .chain(sample.reserved)
    {
        let near = language.file_name_of(name);
        assert!(language.is_identifier(&near), "{name:?} -> {near:?}");
    }
    for word in sample.reserved {
        assert!(
            !language.is_identifier(word) && !language.is_name(word),
            "{word}"
        );
    }
    assert!(language.is_builtin(sample.builtin) && !language.is_builtin(sample.function));
    assert!(language.is_taken("tests") && !language.is_taken("sums"));
    assert!(!language.is_test_module("sums") && !language.is_for_tools("sums"));
    assert!(!language.is_third_party("sums"));
}

pub(crate) fn paths_are_apart_and_stay_inside(sample: &Sample) {
    let language = sample.language;
    let modules = ["sums", "shop.sums", "shop.cart", "shop_sums"];
    let mut paths = BTreeSet::new();
    for module in modules {
        let path = language.module_path(module);
        assert!(is_inside(&path) && !language.is_test_file(&path), "{path}");
        let file = path.rsplit('/').next().unwrap_or_default();
        let leaf = module.rsplit('.').next().unwrap_or_default();
        assert_eq!(language.without_ending(file), leaf);
        assert!(paths.insert(path), "{module} lies where another does");
        for path in language.package_files(module) {
            assert!(is_inside(&path) && path.contains('/'), "{path}");
            assert!(!language.is_test_file(&path), "{path}");
        }
        let [first, second] = language.generated_tests_paths(module);
        assert_ne!(first, second);
        for path in [first, second] {
            assert!(is_inside(&path) && language.is_test_file(&path), "{path}");
            assert!(!paths.contains(&path));
        }
    }
    assert!(language.package_files("sums").is_empty());
    assert_eq!(language.without_ending("sums"), "sums");
    let name = language.test_file_name("given", sample.tests, &[]);
    let path = language.given_tests_path(&name);
    assert!(is_inside(&path) && language.is_test_file(&path), "{path}");
    assert!(language.is_test_of(&path, &path));
    let [other, _] = language.generated_tests_paths("sums");
    assert!(!language.is_test_of(&other, &path));
    if let Some((path, text)) = language.disputed(&["a", "b\"c"]) {
        assert!(is_inside(&path) && !language.is_test_file(&path), "{path}");
        assert!(text.contains('a'));
    }
}

pub(crate) fn signatures_define_names(sample: &Sample) {
    let language = sample.language;
    let defined = |text: &str| language.defined_name(text).map(str::to_owned);
    assert_eq!(defined(sample.signature).as_deref(), Some(sample.function));
    for text in ["", "1 + 1", "Adds two numbers.", sample.function] {
        assert_eq!(language.defined_name(text), None, "{text}");
    }
    for name in [sample.function, "Sum"] {
        assert_eq!(defined(&language.signature_of(name)).as_deref(), Some(name));
    }
    for text in [sample.signature, sample.call] {
        // As models and people write it.
        for signature in [language.signature(text), language.whole_signature(text)] {
            let signature = signature.unwrap_or_else(|| panic!("{text} is a signature"));
            assert_eq!(defined(&signature).as_deref(), Some(sample.function));
            assert_eq!(language.signature(&signature), Some(signature));
        }
    }
    assert_eq!(language.signature(""), None);
    assert_eq!(language.whole_signature(sample.function), None);
    assert!(!language.is_method_of(sample.signature, sample.signature));
}

pub(crate) fn sources_are_read(sample: &Sample) {
    let language = sample.language;
    let names = [sample.function, "missing"];
    assert_eq!(language.undefined(sample.right, &names), ["missing"]);
    assert_eq!(language.undefined(sample.unreadable, &names), [""; 0]);
    assert_eq!(language.foreign_imports(sample.tests), ["sums"]);
    assert_eq!(
        language.imported_from(sample.tests, "sums"),
        [sample.function]
    );
    assert!(
        language
            .foreign_imports(sample.import_of_library)
            .is_empty()
    );
    assert!(language.foreign_imports(sample.right).is_empty());
    assert!(language.mentions(sample.right, sample.function));
    let longer = format!("{}x", sample.function);
    assert!(!language.mentions(&longer, sample.function));
    let outline = language.outline(sample.with_unused);
    assert!(
        outline.lines().count() == 2 && outline.contains("forgotten"),
        "{outline}"
    );
    assert_eq!(language.outline(""), "");
}

pub(crate) fn sources_are_put_right(sample: &Sample) {
    let language = sample.language;
    let names = [sample.function];
    // Nothing is changed that is right.
    assert_eq!(
        language.completed_from(sample.right, sample.right, &names),
        sample.right
    );
    assert_eq!(
        language.without_own_imports(sample.right, "sums"),
        sample.right
    );
    assert_eq!(
        language.with_full_imports(sample.tests, &["sums"]),
        sample.tests
    );
    assert_eq!(
        language.tests_of(sample.tests, "sums", &names),
        sample.tests
    );
    // What is left out is put back.
    let completed = language.completed_from(sample.import_of_library, sample.right, &names);
    assert!(
        language.undefined(&completed, &names).is_empty(),
        "{completed}"
    );
    assert!(completed.contains(sample.import_of_library.trim()));
    let full = language.with_full_imports(sample.short_import, &["shop.sums"]);
    assert_eq!(language.foreign_imports(&full), ["shop.sums"], "{full}");
    let alone = language.without_own_imports(sample.tests, "sums");
    assert!(language.foreign_imports(&alone).is_empty(), "{alone}");
    // A test file imports what it tests, and does not bring a copy.
    for source in [sample.tests_without_import, sample.tests_with_copy] {
        let whole = language.tests_of(source, "sums", &names);
        assert_eq!(language.imported_from(&whole, "sums"), names, "{whole}");
        let outline = language.outline(&whole);
        let defined: Vec<&str> = outline
            .lines()
            .filter_map(|line| language.defined_name(line))
            .collect();
        assert!(!defined.contains(&sample.function), "{whole}");
        assert_eq!(language.tests_of(&whole, "sums", &names), whole);
    }
}

pub(crate) fn a_prompt_may_begin_a_file(sample: &Sample) {
    let language = sample.language;
    let signatures = language.stub_signatures(sample.stub);
    let names: Vec<Option<&str>> = signatures
        .iter()
        .map(|one| language.defined_name(one))
        .collect();
    assert_eq!(names, [Some(sample.function)]);
    for prompt in ["", "Write a function that adds.", sample.call] {
        assert!(language.stub_signatures(prompt).is_empty(), "{prompt}");
    }
}

pub(crate) fn a_prompt_shows_what_it_expects(sample: &Sample) {
    let language = sample.language;
    let asked = format!("Write a module `sums` with a function `{}`.\n", sample.call);
    let found = language.examples(&asked);
    assert!(found.tests.is_empty() && found.left_out.is_none());
    let functions = language.functions_asked_for(&asked, Some("sums"));
    let names: Vec<Option<&str>> = functions
        .iter()
        .map(|one| language.defined_name(one))
        .collect();
    assert_eq!(names, [Some(sample.function)]);
    assert!(language.functions_asked_for("", None).is_empty());
    for shown in [sample.examples, sample.assertions] {
        let tests = language
            .examples(&format!("{asked}\n{shown}\n\nThank you.\n"))
            .tests;
        assert_eq!(tests.len(), 1, "{tests:?}");
        assert_ne!(tests[0].origin, TestOrigin::File);
        assert_eq!(tests[0].source, shown);
        let short = language.examples_in_short(&tests);
        assert_eq!(short.len(), 2, "{short:?}");
        assert!(short.iter().all(|one| one.contains(sample.function)));
    }
    let given = [file("test", sample.tests)];
    assert!(language.examples_in_short(&given).is_empty());
    assert_eq!(language.example_behind(&given, "test"), None);
}

pub(crate) fn an_answer_holds_a_file(sample: &Sample) {
    let language = sample.language;
    let words = language.prompt_texts();
    let said = |source: &str| format!("Here it is:\n\n{}\n\nDone.", words.block(source.trim()));
    let names = &[sample.function];
    let found = language.code_in_answer(&said(sample.right), None, names);
    assert_eq!(found.as_deref(), Ok(sample.right));
    let found = language.tests_in_answer(&said(sample.tests), None);
    assert_eq!(found.as_deref(), Ok(sample.tests));
    for none in ["", "I cannot do that."] {
        assert!(language.code_in_answer(none, None, names).is_err());
        assert!(language.tests_in_answer(none, None).is_err());
    }
    assert!(
        language
            .tests_in_answer(&said(sample.no_tests), None)
            .is_err()
    );

    let open = |source: &str| format!("```{}\n{source}", words.fence);
    let cut = language.code_in_answer(&open(sample.right), Some("be short"), names);
    assert_eq!(cut, Err("be short".to_owned()));
    let left_open = LastBlock::Open(format!("{}\n", sample.right.trim_end()));
    assert_eq!(language.last_block(&open(sample.right)), left_open);
    assert_eq!(language.last_block(&said(sample.right)), LastBlock::Closed);
    assert_eq!(language.last_block("I cannot do that."), LastBlock::Missing);

    let tool = format!("{}\n```tool\n{{}}\n```", said(sample.right));
    assert_eq!(language.blocks_in_answer(&tool, "tool"), ["{}\n"]);
    assert!(
        language
            .blocks_in_answer(&said(sample.right), "tool")
            .is_empty()
    );
    let same = language.restore_unchanged(sample.right, &[sample.wrong]);
    assert_eq!(same.as_deref(), Ok(sample.right));
}

pub(crate) fn given_tests_are_judged(sample: &Sample) {
    let language = sample.language;
    for source in [sample.tests, sample.hidden_test] {
        assert_eq!(language.test_file_problem(source), None, "{source}");
    }
    for source in [sample.no_tests, sample.unreadable, ""] {
        assert!(language.test_file_problem(source).is_some(), "{source}");
    }
    assert!(language.never_run(sample.tests).is_empty());
    assert!(!language.never_run(sample.hidden_test).is_empty());

    let mut taken: Vec<GivenTest> = Vec::new();
    for name in [
        "sums",
        "sums",
        "../../etc/passwd",
        "tests",
        "größe",
        "",
        "a b",
    ] {
        let name = language.test_file_name(name, sample.tests, &taken);
        assert!(is_inside(&name) && !name.contains('/'), "{name}");
        assert!(
            language.is_identifier(language.without_ending(&name)),
            "{name}"
        );
        assert!(
            language.is_test_file(&language.given_tests_path(&name)),
            "{name}"
        );
        // One that is called like the module that it tests would hide it.
        assert_ne!(language.without_ending(&name), "sums");
        assert!(taken.iter().all(|other| other.name != name), "{name}");
        taken.push(file(&name, sample.tests));
    }
    assert_eq!(language.imports_problem(&taken, ""), None);
    assert!(language.tests_notes(&taken, "").is_empty());
    let helper = language.without_ending(&taken[0].name).to_owned();
    assert!(language.is_given(&helper, &taken) && !language.is_given("sums", &taken));
    for (origin, source) in [
        (TestOrigin::Examples, sample.examples),
        (TestOrigin::Assertions, sample.assertions),
        (TestOrigin::Code, sample.code),
    ] {
        let test = GivenTest {
            origin,
            ..file("test", source)
        };
        let called = language.called_names(&test);
        assert!(called.contains(sample.function), "{origin:?}: {called:?}");
        assert!(!called.contains(sample.builtin));
    }
}

pub(crate) fn code_that_evades_is_told(sample: &Sample) {
    let language = sample.language;
    assert_eq!(language.evasion(sample.right, &["test_sums.py"]), None);
    let (line, what) = language
        .evasion(sample.evading, &[])
        .expect("it looks at who runs it");
    assert!(line >= 1 && !what.is_empty());
}

pub(crate) fn commands_name_what_they_run(sample: &Sample) {
    let language = sample.language;
    let [path, other] = language.generated_tests_paths("sums");
    let command = language.test_command(None, &[&path, &other]);
    assert!(
        command.contains(&path) && command.contains(&other),
        "{command}"
    );
    let command = language.test_command(Some("/opt/tool"), &[&path]);
    assert!(command.contains("/opt/tool"), "{command}");
    let module = language.module_path("sums");
    let read = |_: &str| Some(sample.right.to_owned());
    assert_eq!(language.program_command(&[&module, &path], &read), None);
}
