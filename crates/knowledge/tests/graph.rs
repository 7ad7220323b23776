//! The graph of a task: what events make of it, at any moment, and what is related to what.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::collections::BTreeSet;

use common::{CART, Life, MONEY, SUMS, SUMS_TESTS, known, lines};
use journeyman_event::payload::{
    AnswerRejected, CodeGenerated, CodeOrigin, CodeUnderTest, GivenTest, ModuleComplete, Purpose,
    ReviewCompleted, TaskSubmitted, TestOrigin, TestScope, TestStarted, UserIntervention,
    Verification,
};
use journeyman_event::{ContentHash, ModuleName, Payload, Tokens};
use journeyman_knowledge::{
    Depth, Graph, Index, Kind, Knowledge, NodeId, NotFound, RelatedNode, Relation, Walk, dot, svg,
};
use proptest::prelude::*;

fn said(text: &str) -> UserIntervention {
    UserIntervention {
        instruction: text.to_owned(),
    }
}

/// A task in which a module failed twice and was corrected, with decisions of the user and of a review.
fn whole_life() -> Life {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code(
        "shop.sums",
        1,
        "def add_amounts(first, second):\n    return first\n",
    );
    life.tests("shop.sums", SUMS_TESTS);
    life.run(
        "shop.sums",
        1,
        &[
            ("test_adds", Some("assert '1' == 3\n  at line 5")),
            ("test_empty", Some("assert '' == 0")),
        ],
    );
    life.say(
        None,
        "user",
        said("parse_amount must take commas, as in shop.money."),
    );
    life.code(
        "shop.sums",
        2,
        "def add_amounts(first, second):\n    return 1\n",
    );
    life.run(
        "shop.sums",
        2,
        &[
            ("test_adds", Some("assert '1' == 3\n  at line 6")),
            ("test_empty", Some("assert 1 == 0")),
        ],
    );
    life.code("shop.sums", 3, SUMS);
    life.run(
        "shop.sums",
        3,
        &[("test_adds", None), ("test_empty", Some("ValueError: ''"))],
    );
    life.code("shop.cart", 1, CART);
    life.say(
        Some("shop.sums"),
        "conductor",
        ModuleComplete {
            verification: Verification::None,
            disputed: vec!["test_empty".to_owned()],
        },
    );
    life.say(
        None,
        "reviewer",
        ReviewCompleted {
            findings: vec!["cart_total() starts from a string.".to_owned()],
            problem: None,
        },
    );
    life
}

#[test]
fn a_life_makes_this_graph() {
    insta::assert_snapshot!(lines(&whole_life().graph()));
}

#[test]
fn a_generated_test_is_of_its_module_alone_although_it_ran_with_what_that_needs() {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code("shop.sums", 1, SUMS);
    let code = ["shop.money", "shop.sums"].map(|module| CodeUnderTest {
        module: ModuleName::new(module).unwrap(),
        version: 1,
        hash: ContentHash::of(b"x"),
    });
    let started = TestStarted {
        scope: TestScope::Module,
        origin: TestOrigin::Generated,
        files: vec!["tests/test_shop_sums.py".to_owned()],
        code: code.to_vec(),
        basis: None,
    };
    let intent = life.say(Some("shop.sums"), "tester", started);
    life.end("shop.sums", intent, &[("test_adds", None)]);
    let graph = life.graph();
    let tested = graph
        .links()
        .filter(|(_, link, _)| link.relation == Relation::TestedBy);
    let tested: Vec<&str> = tested.map(|(module, _, _)| module.id.as_str()).collect();
    assert_eq!(tested, ["module:shop.sums"]);
}

fn ids(graph: &Graph, kind: Kind) -> BTreeSet<String> {
    let nodes = graph.nodes().filter(|node| node.kind == kind);
    nodes.map(|node| node.id.to_string()).collect()
}

fn linked(graph: &Graph, from: &str, relation: Relation, to: &str) -> bool {
    let mut links = graph.links();
    links.any(|(a, link, b)| {
        a.id.as_str() == from && link.relation == relation && b.id.as_str() == to
    })
}

#[test]
fn code_is_linked_to_what_it_uses_in_whichever_way_it_is_imported() {
    let ways = [
        ("from shop.money import parse_amount\n", "parse_amount('1')"),
        ("from shop.money import parse_amount as p\n", "p('1')"),
        ("from .money import parse_amount\n", "parse_amount('1')"),
        ("from . import money\n", "money.parse_amount('1')"),
        ("from shop import money as m\n", "m.parse_amount('1')"),
        ("import shop.money\n", "shop.money.parse_amount('1')"),
        ("import shop.money as m\n", "m.parse_amount('1')"),
        ("from money import parse_amount\n", "parse_amount('1')"),
        ("from shop.money import *\n", "parse_amount('1')"),
        (
            "",
            "\n    from shop.money import parse_amount\n    parse_amount('1')",
        ),
    ];
    for (import, call) in ways {
        let mut life = Life::of_shop();
        life.code("shop.money", 1, MONEY);
        life.code(
            "shop.cart",
            1,
            &format!("{import}def f(x):\n    y = {call}\n").replace("y = \n", "\n"),
        );
        let graph = life.graph();
        let to = "func:shop.money.parse_amount";
        assert!(
            linked(&graph, "func:shop.cart.f", Relation::References, to),
            "{import}"
        );
        assert!(
            linked(
                &graph,
                "module:shop.cart",
                Relation::DependsOn,
                "module:shop.money"
            ),
            "{import}"
        );
    }
    // A name that is given a value in the function is not the other module's.
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code(
        "shop.cart",
        1,
        "def f(parse_amount):\n    return parse_amount('1')\n",
    );
    let graph = life.graph();
    assert!(!linked(
        &graph,
        "func:shop.cart.f",
        Relation::References,
        "func:shop.money.parse_amount"
    ));
}

#[test]
fn a_failure_is_caused_by_the_versions_that_show_it_and_fixed_by_the_one_that_does_not() {
    let graph = whole_life().graph();
    let error = graph.find("error:7").unwrap();
    assert_eq!(
        error.summary,
        "test_adds failed with shop.sums version 1, 2: assert '1' == 3; gone with shop.sums version 3"
    );
    for version in [1, 2] {
        let attempt = format!("attempt:shop.sums@{version}");
        assert!(linked(&graph, "error:7", Relation::CausedBy, &attempt));
    }
    assert!(linked(
        &graph,
        "error:7",
        Relation::FixedBy,
        "attempt:shop.sums@3"
    ));
    assert!(linked(
        &graph,
        "error:7",
        Relation::References,
        "test:shop.sums::test_adds"
    ));
    assert!(linked(
        &graph,
        "func:shop.sums.add_amounts",
        Relation::TestedBy,
        "test:shop.sums::test_adds"
    ));
}

#[test]
fn what_is_told_of_older_code_is_stale_until_it_is_told_anew() {
    let mut life = Life::of_shop();
    life.code("shop.sums", 1, SUMS);
    life.tests("shop.sums", SUMS_TESTS);
    life.run(
        "shop.sums",
        1,
        &[("test_adds", Some("no")), ("test_empty", None)],
    );
    let stale = |life: &Life| -> Vec<String> {
        let graph = life.graph();
        let nodes = graph.nodes().filter(|node| node.is_stale());
        nodes.map(|node| node.id.to_string()).collect()
    };
    assert!(stale(&life).is_empty());
    life.code("shop.sums", 2, SUMS);
    assert_eq!(
        stale(&life),
        [
            "test:shop.sums::test_adds",
            "test:shop.sums::test_empty",
            "error:6"
        ]
    );
    // A run that was begun before the code was written tells nothing of it, whenever it ends.
    let early = life.begin("shop.sums", 2);
    life.code("shop.sums", 3, SUMS);
    life.end(
        "shop.sums",
        early,
        &[("test_adds", Some("no")), ("test_empty", None)],
    );
    assert_eq!(stale(&life).len(), 3);
    life.run(
        "shop.sums",
        3,
        &[("test_adds", Some("no")), ("test_empty", None)],
    );
    assert!(stale(&life).is_empty());
}

#[test]
fn an_answer_of_no_use_is_an_error_until_there_is_one_of_use() {
    let mut life = Life::of_shop();
    let rejected = AnswerRejected {
        purpose: Purpose::Code,
        problem: "there is no code in it".to_owned(),
    };
    life.say(Some("shop.money"), "coder", rejected);
    let summary = |life: &Life| life.graph().find("error:3").unwrap().summary.clone();
    assert_eq!(
        summary(&life),
        "an answer (code) could not be used: there is no code in it"
    );
    life.code("shop.money", 1, MONEY);
    assert!(
        summary(&life).ends_with("; gone with shop.money version 1"),
        "{}",
        summary(&life)
    );
}

#[test]
fn given_tests_are_linked_to_what_they_test() {
    let mut life = Life::of("x");
    let file = |name: &str, origin, source: &str| GivenTest {
        name: name.to_owned(),
        origin,
        source: source.to_owned(),
    };
    life.say(
        None,
        "user",
        TaskSubmitted {
            tests: vec![
                file("test_sums.py", TestOrigin::File, SUMS_TESTS),
                file(
                    "test_assertions.py",
                    TestOrigin::Assertions,
                    "assert cart_total([]) == '0'",
                ),
            ],
            ..TaskSubmitted::of("x")
        },
    );
    life.plan(&[("shop.sums", &[]), ("shop.cart", &[])]);
    life.code("shop.sums", 1, SUMS);
    life.code("shop.cart", 1, CART);
    let graph = life.graph();
    assert!(linked(
        &graph,
        "func:shop.sums.add_amounts",
        Relation::TestedBy,
        "test:test_sums.py::test_adds"
    ));
}

#[test]
fn a_plan_that_needs_what_is_not_there_and_events_of_the_future_are_passed_over_and_told() {
    let mut life = Life::of("x");
    life.plan(&[("a", &["b"])]);
    let from_the_future = Payload::Unknown {
        kind: "from_the_future".to_owned(),
        data: "{}".to_owned(),
    };
    life.say(None, "user", from_the_future);
    let known = life.known();
    assert_eq!(known.skipped(), 1);
    let graph = known.graph();
    assert_eq!(graph.missing()[0].to.as_str(), "module:b");
    let related = graph.related(&[NodeId::new(Kind::Module, "a")], walk(2, 1_000));
    assert_eq!(related.missing, ["module:b"]);
}

// Related.

fn walk(depth: usize, tokens: u64) -> Walk {
    Walk {
        depth: Depth::new(depth),
        tokens: Tokens(tokens),
    }
}

/// Modules of a name and what each imports.
fn modules(all: &[(&str, &[&str])]) -> Graph {
    let mut known = Knowledge::default();
    for (name, needs) in all {
        let imports: Vec<String> = needs
            .iter()
            .map(|need| format!("import {need}\n"))
            .collect();
        known.put_file(name, "python", &imports.concat());
    }
    known.graph()
}

fn told(graph: &Graph, focus: &str, walk: Walk) -> Vec<String> {
    let related = graph.related(&[NodeId::new(Kind::Module, focus)], walk);
    let mut told: Vec<String> = related.nodes.iter().map(RelatedNode::arrows).collect();
    told.sort();
    told
}

#[test]
fn a_cycle_is_walked_once() {
    let graph = modules(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
    assert_eq!(told(&graph, "a", walk(3, 1_000)), ["[-> b]", "[<- c]"]);
    let own = modules(&[("a", &["a"])]);
    assert!(told(&own, "a", walk(3, 1_000)).is_empty());
}

#[test]
fn ten_levels_are_walked_as_deep_as_was_asked_for_and_no_deeper_than_three() {
    let names: Vec<String> = (0..11).map(|at| format!("m{at:02}")).collect();
    let needs: Vec<Vec<&str>> = (0..11)
        .map(|at| names.get(at + 1).map(String::as_str).into_iter().collect())
        .collect();
    let all: Vec<(&str, &[&str])> = names
        .iter()
        .zip(&needs)
        .map(|(name, needs)| (&**name, &**needs))
        .collect();
    let graph = modules(&all);
    assert_eq!(told(&graph, "m00", walk(1, 1_000)), ["[-> m01]"]);
    assert_eq!(Depth::default(), Depth::new(2));
    assert_eq!(
        told(&graph, "m00", walk(99, 1_000)),
        ["[-> m01 -> m02 -> m03]", "[-> m01 -> m02]", "[-> m01]"]
    );
    let whole = Walk {
        depth: Depth::WHOLE,
        tokens: Tokens(1_000),
    };
    assert_eq!(told(&graph, "m00", whole).len(), 10);
    assert_eq!(
        told(&graph, "m10", walk(2, 1_000)),
        ["[<- m09 <- m08]", "[<- m09]"]
    );
}

#[test]
fn what_is_related_to_nothing_stays_and_what_is_not_there_is_named() {
    let graph = modules(&[("a", &[]), ("b", &[])]);
    assert_eq!(graph.nodes().len(), 2);
    let focus = [
        NodeId::new(Kind::Module, "a"),
        NodeId::new(Kind::Module, "zzz"),
    ];
    let related = graph.related(&focus, walk(3, 1_000));
    assert!(related.nodes.is_empty());
    assert_eq!(related.missing, ["module:zzz"]);
    let nothing = Knowledge::default()
        .graph()
        .related(&focus, walk(3, 1_000))
        .nodes
        .len();
    assert_eq!(nothing, 0);
}

#[test]
fn a_budget_of_nothing_takes_nothing_and_what_does_not_fit_is_counted() {
    let graph = whole_life().graph();
    let focus = [NodeId::new(Kind::Module, "shop.cart")];
    let none = graph.related(&focus, walk(3, 0));
    assert!(none.nodes.is_empty() && none.left_out > 5 && none.tokens == Tokens::ZERO);
    let all = graph.related(&focus, walk(3, 100_000));
    assert_eq!(all.left_out, 0);
    assert_eq!(all.nodes.len(), none.left_out);
}

#[test]
fn what_is_needed_ranks_before_what_is_not_and_a_focus_changes_the_order() {
    let graph = whole_life().graph();
    let first = |focus: &str| {
        let focus = [graph.find(focus).unwrap().id.clone()];
        let related = graph.related(&focus, walk(3, 100_000));
        let rank = |name: &str| {
            let found = related
                .nodes
                .iter()
                .find(|one| one.node.id.as_str() == name);
            found.map_or(0.0, |one| one.rank)
        };
        (rank("module:shop.sums"), rank("module:shop.money"))
    };
    let (sums, money) = first("func:cart_total");
    assert!(sums > money, "{sums} {money}");
    let (sums, money) = first("class:Money");
    assert!(money > sums, "{sums} {money}");
}

#[test]
fn a_thing_is_found_by_its_id_or_its_name_and_who_is_meant_is_asked_otherwise() {
    let graph = whole_life().graph();
    for name in [
        "func:shop.sums.add_amounts",
        "shop.sums.add_amounts",
        "add_amounts",
        "func:add_amounts",
        " sums.add_amounts ",
    ] {
        let found = graph.find(name).unwrap();
        assert_eq!(found.id.as_str(), "func:shop.sums.add_amounts", "{name}");
    }
    assert_eq!(graph.find("shop.cart").unwrap().kind, Kind::Module);
    let NotFound::None { near, .. } = graph.find("amounts").unwrap_err() else {
        panic!("it is nothing's whole name");
    };
    assert_eq!(near[0].as_str(), "func:shop.sums.add_amounts");
    let mut known = Knowledge::default();
    known.put_file("a", "python", "def f(): pass\n");
    known.put_file("b", "python", "def f(): pass\n");
    let graph = known.graph();
    assert!(matches!(graph.find("f"), Err(NotFound::Several { all, .. }) if all.len() == 2));
    assert!(graph.find("a.f").is_ok());
    assert!(matches!(graph.find(""), Err(NotFound::None { .. })));
}

#[test]
fn words_find_what_they_are_parts_of() {
    let mut known = Knowledge::default();
    known.put_file(
        "web.forms",
        "python",
        "def validate_email(text):\n    pass\n\n\ndef show(page): pass\n",
    );
    known.put_file(
        "web.mail",
        "python",
        "def sendMail(to):\n    \"\"\"Sends an email.\"\"\"\n",
    );
    let index = Index::of(&known.graph());
    let found = |text: &str| -> Vec<String> {
        let found = index.search(text, 10).into_iter();
        found.map(|one| one.id.to_string()).collect()
    };
    assert_eq!(
        found("email validation")[0],
        "func:web.forms.validate_email"
    );
    assert_eq!(found("validateEmail")[0], "func:web.forms.validate_email");
    assert!(found("emails").contains(&"func:web.mail.sendMail".to_owned()));
    assert!(found("zebra").is_empty() && found("").is_empty() && found("--").is_empty());
    assert_eq!(index.search("web", 1).len(), 1);
    assert!(
        Index::of(&Knowledge::default().graph())
            .search("x", 10)
            .is_empty()
    );
}

#[test]
fn pictures_are_the_same_each_time_and_nothing_in_a_text_gets_out_of_its_place() {
    let mut life = Life::of("</title><script>alert(1)</script> \u{1b}[31m \" \\ & \n\u{ffff}");
    life.plan(&[("a", &[])]);
    life.code("a", 1, "def f():\n    \"\"\"<b>\"\"\"\n");
    let graph = life.graph();
    let (drawn, text) = (svg(&graph), dot(&graph));
    assert_eq!((&drawn, &text), (&svg(&life.graph()), &dot(&life.graph())));
    for bad in ["<script", "<b>", "\u{1b}", "\u{ffff}"] {
        assert!(!drawn.contains(bad), "{bad} {drawn}");
    }
    assert!(drawn.contains("&lt;script&gt;") && drawn.contains("&quot;"));
    for line in text.lines() {
        let quotes = line.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(quotes.matches('"').count() % 2, 0, "{line}");
    }
    assert!(svg(&Knowledge::default().graph()).ends_with("</svg>\n"));
}

// Laws.

/// Something that happens in a life.
#[derive(Clone, Debug)]
enum Deed {
    Code(usize, usize),
    Tests(usize),
    Run(usize, bool, bool),
    Say(usize),
    Plan(bool),
    Stale(usize),
}

const NAMES: [&str; 3] = ["shop.money", "shop.sums", "shop.cart"];
const SOURCES: [&str; 5] = [MONEY, SUMS, CART, "def (: broken", ""];

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..3_usize, 0..5_usize).prop_map(|(module, source)| Deed::Code(module, source)),
        1 => (0..3_usize).prop_map(Deed::Tests),
        4 => (0..3_usize, any::<bool>(), any::<bool>()).prop_map(|(m, a, b)| Deed::Run(m, a, b)),
        1 => (0..5_usize).prop_map(Deed::Say),
        1 => any::<bool>().prop_map(Deed::Plan),
        1 => (0..3_usize).prop_map(Deed::Stale),
    ]
}

/// The life, and the source that each planned module has in the end.
fn lived(deeds: &[Deed]) -> (Life, [Option<&'static str>; 3]) {
    let mut life = Life::of_shop();
    let mut versions = [0_u64; 3];
    let mut sources = [None; 3];
    for deed in deeds {
        match *deed {
            Deed::Code(module, source) => {
                versions[module] += 1;
                life.code(NAMES[module], versions[module], SOURCES[source]);
                sources[module] = Some(SOURCES[source]);
            }
            Deed::Tests(module) => life.tests(NAMES[module], SUMS_TESTS),
            Deed::Run(module, adds, empty) => {
                let of = |passes: bool| (!passes).then_some("it fails");
                let tests = [("test_adds", of(adds)), ("test_empty", of(empty))];
                life.run(NAMES[module], versions[module], &tests);
            }
            Deed::Say(which) => {
                life.say(None, "user", said(SOURCES[which]));
            }
            Deed::Plan(whole) => {
                if whole {
                    life.plan(&[
                        ("shop.money", &[]),
                        ("shop.sums", &["shop.money"]),
                        ("shop.cart", &[]),
                    ]);
                    (versions, sources) = ([0; 3], [None; 3]);
                }
            }
            // A version that is not newer than the one there is.
            Deed::Stale(module) => {
                if versions[module] > 0 {
                    let code = CodeGenerated {
                        origin: CodeOrigin::Generated,
                        source: "def stale(): pass\n".to_owned(),
                    };
                    life.record(
                        Some(NAMES[module]),
                        "coder",
                        versions[module],
                        None,
                        code.into(),
                    );
                }
            }
        }
    }
    (life, sources)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_one_by_one_make_the_graph_that_all_at_once_make_at_every_position(
        deeds in prop::collection::vec(any_deed(), 0..16),
    ) {
        let (life, sources) = lived(&deeds);
        let mut growing = Knowledge::default();
        for (at, event) in life.events.iter().enumerate() {
            growing.evolve(event);
            let whole = known(&life.events[..=at]);
            prop_assert_eq!(lines(&growing.graph()), lines(&whole.graph()));
            prop_assert_eq!(&growing, &whole);
        }
        // Events that went in already change nothing.
        let before = growing.clone();
        for event in &life.events {
            growing.evolve(event);
        }
        prop_assert_eq!(&growing, &before);
        // Of code there is what the newest version of each module has, and nothing else.
        let mut fresh = Knowledge::default();
        for (name, source) in NAMES.iter().zip(sources) {
            if let Some(source) = source {
                fresh.put_file(name, "python", source);
            }
        }
        let graph = growing.graph();
        for kind in [Kind::Function, Kind::Class] {
            prop_assert_eq!(ids(&graph, kind), ids(&fresh.graph(), kind));
        }
    }

    #[test]
    fn what_is_related_never_exceeds_its_budget(
        deeds in prop::collection::vec(any_deed(), 0..16),
        tokens in 0..400_u64,
        depth in 0..5_usize,
        module in 0..3_usize,
    ) {
        let graph = lived(&deeds).0.graph();
        let focus = [NodeId::new(Kind::Module, NAMES[module])];
        let related = graph.related(&focus, walk(depth, tokens));
        let sum: Tokens = related.nodes.iter().map(|one| one.tokens).sum();
        prop_assert_eq!(sum, related.tokens);
        prop_assert!(sum <= Tokens(tokens));
        prop_assert!(related.nodes.iter().all(|one| (1..=3).contains(&one.distance())));
        prop_assert_eq!(&related, &graph.related(&focus, walk(depth, tokens)));
        let ranks: f64 = graph.related(&focus, walk(3, 1_000_000)).nodes.iter().map(|one| one.rank).sum();
        prop_assert!(ranks < 1.0 + 1e-6);
    }
}
