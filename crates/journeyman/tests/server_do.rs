//! What a user does to tasks over REST: interventions, pause, resume, cancel, retry, fork.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::{Duration, Instant};

use common::Home;
use common::server::{GOOD, SLOW, STEADY, STUB, Server, check_history, count, kinds, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn sequence(event: &Value) -> u64 {
    event["sequence"].as_u64().unwrap()
}

/// The prompt of the first model call after a position, as soon as there is one.
fn next_prompt(server: &Server, task: &str, after: u64) -> String {
    let call = until("another model call", || {
        let mut events = server.events(task).into_iter();
        events.find(|e| e["kind"] == "model_call_started" && sequence(e) > after)
    });
    let at = sequence(&call);
    let context = server
        .get(&format!("{TASKS}/{task}/context?at={at}"))
        .expect(200);
    context["messages"].to_string()
}

#[test]
fn an_instruction_and_an_answer_are_part_of_the_next_prompt() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "planning_complete");
    let before = sequence(server.events(&task).last().unwrap());
    let view = server
        .intervene(
            &task,
            &json!({"kind": "instruction", "instruction": "Mind the zebras"}),
        )
        .expect(200);
    assert!(view["instructions"].to_string().contains("Mind the zebras"));
    let said = server.event(&task, "user_intervention");
    assert!(sequence(&said) > before);
    let prompt = next_prompt(&server, &task, sequence(&said));
    assert!(prompt.contains("Mind the zebras"), "{prompt}");
    let answer = json!({"kind": "answer", "question": "Which colour?", "answer": "Vermilion"});
    server.intervene(&task, &answer).expect(200);
    let said = server.event(&task, "user_answered");
    let prompt = next_prompt(&server, &task, sequence(&said));
    assert!(prompt.contains("Vermilion"), "{prompt}");
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete");
    let late = json!({"kind": "instruction", "instruction": "Too late"});
    let problem = server.intervene(&task, &late).problem(409);
    assert_eq!(problem["type"], "urn:journeyman:problem:task-ended");
    check_history(&server.events(&task));
}

/// A model that asks two questions where it may.
const CURIOUS: &str = "latency_ms=0&wrong=0&malformed=0&questions=2";

#[test]
fn a_task_that_may_ask_rests_until_its_questions_are_answered_and_survives_a_crash_meanwhile() {
    let home = Home::new();
    let server = Server::start(&home, CURIOUS, &["--max-concurrent", "1"]);
    let task = server.submit(&json!({"prompt": "Make a thing", "ask": true}));
    let view = until("the task asks", || {
        Some(server.task(&task)).filter(|view| view["pause"] == "question")
    });
    assert_eq!(view["status"], "paused");
    assert_eq!(
        view["questions"],
        json!([
            {"id": "q1", "text": "What about part 1?", "answer": null, "is_open": true},
            {"id": "q2", "text": "What about part 2?", "answer": null, "is_open": true},
        ])
    );
    // It holds no slot meanwhile, and a restart does not make it go on.
    let other = server.submit(&json!({"prompt": STUB}));
    assert_eq!(server.ended(&other)["status"], "complete");
    server.crash();
    let server = Server::start(&home, CURIOUS, &[]);
    assert_eq!(server.recovered, 0);
    let first = json!({"kind": "answer", "question": "q1", "answer": "Magenta"});
    let view = server.intervene(&task, &first).expect(200);
    assert_eq!(
        (&view["status"], &view["pause"]),
        (&json!("paused"), &json!("question"))
    );
    let last = json!({"kind": "answer", "answer": "Cerulean"});
    let view = server.intervene(&task, &last).expect(200);
    assert_ne!(view["status"], "paused");
    assert_eq!(view["questions"][1]["answer"], "Cerulean");
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete");
    assert_eq!(
        view["instructions"],
        json!(["What about part 1? Magenta", "What about part 2? Cerulean"])
    );
    let events = server.events(&task);
    assert_eq!(count(&events, "questions_asked"), 1, "asked once");
    let at = sequence(&server.event(&task, "planning_complete"));
    let context = server
        .get(&format!("{TASKS}/{task}/context?at={at}"))
        .expect(200);
    let prompt = context["messages"].to_string();
    assert!(
        prompt.contains("Magenta") && prompt.contains("Cerulean"),
        "{prompt}"
    );
    check_history(&events);
}

#[test]
fn a_task_that_asks_goes_on_without_answers_when_it_is_resumed_and_asks_nobody_who_is_not_there() {
    let home = Home::new();
    let server = Server::start(&home, CURIOUS, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing", "ask": true}));
    until("the task asks", || {
        Some(server.task(&task)).filter(|view| view["pause"] == "question")
    });
    server
        .intervene(&task, &json!({"kind": "resume"}))
        .expect(200);
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete");
    assert_eq!(view["questions"][0]["is_open"], false);
    assert_eq!(view["questions"][0]["answer"], Value::Null);
    let silent = server.submit(&json!({"prompt": "Make a thing"}));
    let view = server.ended(&silent);
    assert_eq!(view["questions"], json!([]));
    assert_eq!(count(&server.events(&silent), "questions_asked"), 0);
}

#[test]
fn finished_code_is_reviewed_where_that_is_wanted_and_its_verification_stays() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB, "review": true}));
    let view = server.ended(&task);
    assert_eq!(
        (&view["status"], &view["verification"]),
        (&json!("complete"), &json!("given_tests"))
    );
    assert_eq!(view["review"], json!(["The simulated reviewer read it."]));
    let events = server.events(&task);
    check_history(&events);
    let review = server.event(&task, "review_completed");
    assert_eq!(review["actor"], "reviewer");
    let plain = server.submit(&json!({"prompt": STUB}));
    assert_eq!(server.ended(&plain)["review"], Value::Null);
    // Without tokens for it there is none, and the task is complete all the same.
    let spent = events
        .iter()
        .take_while(|event| event["data"]["purpose"] != "review")
        .filter(|event| event["kind"] == "model_call_completed")
        .map(|event| {
            let tokens = |name: &str| event["data"][name].as_u64().unwrap();
            tokens("prompt_tokens") + tokens("completion_tokens")
        })
        .sum::<u64>();
    let short = json!({"prompt": STUB, "review": true, "budget": spent + 300});
    let short = server.submit(&short);
    let view = server.ended(&short);
    assert_eq!(view["status"], "complete", "{view}");
    assert_eq!(view["review"], json!([]));
}

#[test]
fn finished_modules_are_summarised_for_those_after_them_where_that_is_wanted() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    // The simulated model plans three modules for it.
    let task = &server.submit(&json!({"prompt": "Make a things", "summaries": true}));
    let view = server.ended(task);
    assert_eq!(view["status"], "complete");
    let events = server.events(task);
    check_history(&events);
    let of = |event: &&Value| event["kind"] == "summary_completed";
    let made: Vec<&Value> = events.iter().filter(of).collect();
    let modules = view["modules"].as_array().unwrap();
    // One of each module but the last, which nothing comes after, and one of the task.
    assert_eq!(made.len(), modules.len(), "{made:?}");
    for event in &made {
        assert_eq!(event["actor"], "summariser");
        assert_eq!(event["data"]["origin"], "model");
        assert_eq!(
            event["data"]["summary"]["summary"],
            "The simulated summary."
        );
    }
    let first = modules[0]["name"].as_str().unwrap();
    assert_eq!(made[0]["module"], first);
    let prompt = next_prompt(&server, task, sequence(made[0]));
    assert!(
        prompt.contains(&format!("- {first}: The simulated summary.")),
        "{prompt}"
    );
    // The names are those of the code, whatever the model says.
    let summary = server
        .get(&format!("{TASKS}/{task}/summary?name={first}"))
        .expect(200);
    assert_eq!(summary["origin"], "model");
    let functions = summary["summary"]["functions"].as_array().unwrap();
    assert!(!functions.is_empty());
    // Before it was made, and without a model, it is taken from the code.
    let before = sequence(made[0]) - 1;
    let summary = server
        .get(&format!("{TASKS}/{task}/summary?name={first}&at={before}"))
        .expect(200);
    assert_eq!(summary["origin"], "extracted");
    assert_eq!(summary["summary"]["of"], "module");
    let function = functions[0].as_str().unwrap();
    let summary = server
        .get(&format!("{TASKS}/{task}/summary?name={first}.{function}"))
        .expect(200);
    assert_eq!(summary["summary"]["of"], "function");
    assert_eq!(
        server.get(&format!("{TASKS}/{task}/summary")).expect(200)["summary"]["of"],
        "task"
    );
    server
        .get(&format!("{TASKS}/{task}/summary?name=nothing"))
        .problem(404);
    server.get(&format!("{TASKS}/nothing/summary")).problem(404);
    server
        .get(&format!("{TASKS}/{task}/summary?name="))
        .problem(422);
}

#[test]
fn a_file_that_the_user_writes_is_the_next_version_and_is_tested() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.event(&task, "code_generated");
    server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    let source = "def step(value):\n    return 1 + value  # mine\n";
    let edit = json!({"kind": "edit_file", "path": "solution.py", "source": source});
    let view = server.intervene(&task, &edit).expect(200);
    assert_eq!(view["status"], "paused");
    assert_eq!(view["modules"][0]["version"], 2);
    server
        .intervene(&task, &json!({"kind": "resume"}))
        .expect(200);
    let view = server.ended(&task);
    assert_eq!(
        (&view["status"], &view["verification"]),
        (&json!("complete"), &json!("given_tests"))
    );
    let latest = server.get(&format!("{TASKS}/{task}/files/solution.py"));
    assert_eq!(latest.text(), source);
    let first = server.get(&format!("{TASKS}/{task}/files/solution.py?version=1"));
    assert_ne!(first.text(), source);
    let events = server.events(&task);
    let edited = events
        .iter()
        .position(|event| event["code_version"] == 2)
        .unwrap();
    let tested = events[edited..]
        .iter()
        .find(|event| event["kind"] == "test_started");
    assert_eq!(tested.unwrap()["data"]["code"][0]["version"], 2);
    check_history(&events);
}

#[test]
fn a_module_that_is_skipped_is_not_worked_on_any_more() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    let plan = server.event(&task, "planning_complete");
    let last = plan["data"]["modules"].as_array().unwrap().last().unwrap()["name"].clone();
    let skip = json!({"kind": "skip_module", "module": last});
    let view = server.intervene(&task, &skip).expect(200);
    let modules = view["modules"].as_array().unwrap();
    assert_eq!(modules.last().unwrap()["is_skipped"], true);
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete", "{view}");
    let events = server.events(&task);
    let about = |event: &&Value| event["module"] == last && event["kind"] == "model_call_started";
    assert_eq!(
        events.iter().filter(about).count(),
        0,
        "{:?}",
        kinds(&events)
    );
}

#[test]
fn a_running_task_pauses_resumes_and_repeats_nothing() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "module_complete");
    let pause = json!({"kind": "pause"});
    for _ in 0..2 {
        let view = server.intervene(&task, &pause).expect(200);
        assert_eq!(
            (&view["status"], &view["pause"]),
            (&json!("paused"), &json!("user"))
        );
    }
    let revision = server.task(&task)["revision"].clone();
    let other = server.submit(&json!({"prompt": STUB}));
    server.ended(&other);
    assert_eq!(
        server.task(&task)["revision"],
        revision,
        "a paused task rests"
    );
    for _ in 0..2 {
        let view = server
            .intervene(&task, &json!({"kind": "resume"}))
            .expect(200);
        assert_ne!(view["status"], "paused");
    }
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    check_history(&events);
    assert_eq!(count(&events, "task_paused"), 1);
    assert_eq!(count(&events, "task_resumed"), 1);
}

#[test]
fn a_queued_task_pauses_resumes_and_is_cancelled_where_it_waits() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let busy = server.submit(&json!({"prompt": "x"}));
    server.wait(&busy, "running");
    let task = server.submit(&json!({"prompt": "x"}));
    let view = server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    assert_eq!(
        (&view["status"], &view["pause"]),
        (&json!("paused"), &json!("user"))
    );
    let view = server
        .intervene(&task, &json!({"kind": "resume"}))
        .expect(200);
    assert_eq!(
        (&view["status"], &view["pause"]),
        (&json!("queued"), &json!(null))
    );
    for _ in 0..3 {
        let view = server
            .post(&format!("{TASKS}/{task}/cancel"), &json!({}))
            .expect(200);
        assert_eq!(view["status"], "cancelled");
    }
    let events = server.events(&task);
    assert_eq!(count(&events, "task_cancelled"), 1);
    assert_eq!(count(&events, "task_started"), 0);
    for kind in ["pause", "resume"] {
        server.intervene(&task, &json!({"kind": kind})).problem(409);
    }
}

#[test]
fn a_task_that_was_paused_before_it_began_still_waits_for_those_it_depends_on() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let first = server.submit(&json!({"prompt": "x"}));
    let second = server.submit(&json!({"prompt": "x", "depends_on": [first]}));
    server
        .intervene(&second, &json!({"kind": "pause"}))
        .expect(200);
    server
        .intervene(&second, &json!({"kind": "resume"}))
        .expect(200);
    let third = server.submit(&json!({"prompt": "x"}));
    server.event(&third, "model_call_started");
    assert_eq!(server.task(&second)["status"], "queued");
    server
        .post(&format!("{TASKS}/{first}/cancel"), &json!({}))
        .expect(200);
    server.event(&second, "model_call_started");
}

#[test]
fn cancel_ends_a_running_and_a_paused_task_once_and_frees_its_place() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let running = server.submit(&json!({"prompt": "x"}));
    server.event(&running, "model_call_started");
    let next = server.submit(&json!({"prompt": "x"}));
    // Without a body, and with an intervention, it is the same.
    for _ in 0..2 {
        let answer = server.ask("POST", &format!("{TASKS}/{running}/cancel"), &[], b"");
        assert_eq!(answer.expect(200)["status"], "cancelled");
    }
    let view = server
        .intervene(&running, &json!({"kind": "cancel"}))
        .expect(200);
    assert_eq!(view["status"], "cancelled");
    let events = server.events(&running);
    assert_eq!(count(&events, "task_cancelled"), 1);
    check_history(&events);
    server.event(&next, "model_call_started");
    server
        .intervene(&next, &json!({"kind": "pause"}))
        .expect(200);
    let view = server
        .post(&format!("{TASKS}/{next}/cancel"), &json!(null))
        .expect(200);
    assert_eq!(view["status"], "cancelled");
    until("the place is free", || {
        server
            .get("/metrics")
            .text()
            .contains("journeyman_tasks_running 0")
            .then_some(())
    });
    let work = home.data_dir().join("work");
    assert_eq!(
        std::fs::read_dir(work).unwrap().count(),
        0,
        "no folder is left"
    );
}

/// The processes that a server started, those below them too.
fn processes_below(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![server.child.id().to_string()];
    while let Some(parent) = open.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task"));
        for thread in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            open.extend(children.split_whitespace().map(str::to_owned));
            found.extend(children.split_whitespace().map(str::to_owned));
        }
    }
    found
}

#[test]
fn code_that_never_yields_is_gone_within_a_second_of_a_cancel_or_its_time() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let busy = "from simulated.core import core_step\n\n\ndef test_busy():\n    while True:\n        pass\n";
    let tests = json!([{"name": "test_busy.py", "source": busy}]);
    let cancelled = server.submit(&json!({"prompt": "x", "tests": tests}));
    server.event(&cancelled, "test_started");
    until("the code runs", || {
        Some(()).filter(|()| !processes_below(&server).is_empty())
    });
    let began = Instant::now();
    let view = server
        .post(&format!("{TASKS}/{cancelled}/cancel"), &json!({}))
        .expect(200);
    assert_eq!(view["status"], "cancelled");
    until("its processes are gone", || {
        Some(()).filter(|()| processes_below(&server).is_empty())
    });
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let late = server.submit(&json!({"prompt": "x", "tests": tests, "timeout": 1.5}));
    let view = server.ended(&late);
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
    assert_eq!(count(&server.events(&late), "test_started"), 1);
    assert_eq!(processes_below(&server), Vec::<String>::new());
}

#[test]
fn a_task_at_a_limit_goes_on_with_a_larger_one_only() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing", "budget": 300}));
    let view = server.ended(&task);
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("failed"), &json!("budget"))
    );
    server
        .intervene(&task, &json!({"kind": "resume"}))
        .problem(409);
    let more = json!({"kind": "resume", "budget": 50_000});
    let view = server.intervene(&task, &more).expect(200);
    assert_eq!(view["tokens_max"], 50_000);
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete", "{view}");
}

#[test]
fn a_task_is_done_once_more_as_another_task() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB, "priority": "high", "answers": ["blue"]}));
    server.ended(&task);
    let answer = server.post(&format!("{TASKS}/{task}/retry"), &json!({}));
    let accepted = answer.expect(202);
    let again = accepted["task_id"].as_str().unwrap();
    assert_ne!(again, task);
    assert_eq!(
        answer.header("location"),
        Some(format!("{TASKS}/{again}").as_str())
    );
    let view = server.ended(again);
    assert_eq!(view["status"], "complete");
    for same in ["prompt", "priority", "instructions", "timeout"] {
        assert_eq!(view[same], server.task(&task)[same], "{same}");
    }
    assert_eq!(view["forked_from"], task);
    let calls = |task: &str| count(&server.events(task), "model_call_started");
    assert_eq!(calls(again), calls(&task), "all of it is done again");
}

#[test]
fn a_fork_repeats_nothing_of_what_it_inherits_and_cites_it() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.ended(&task);
    let parent = server.events(&task);
    let done = parent
        .iter()
        .position(|e| e["kind"] == "module_complete")
        .unwrap();
    let at = sequence(&parent[done]);
    let answer = server.post(
        &format!("{TASKS}/{task}/fork?at={at}"),
        &json!({"priority": "low"}),
    );
    let fork = answer.expect(202)["task_id"].as_str().unwrap().to_owned();
    let view = server.ended(&fork);
    assert_eq!(
        (&view["status"], &view["forked_from"]),
        (&json!("complete"), &json!(task))
    );
    assert_eq!(view["priority"], "low");
    let events = server.events(&fork);
    check_history(&events);
    let (copied, new): (Vec<&Value>, Vec<&Value>) =
        events.iter().partition(|event| !event["origin"].is_null());
    assert_eq!(copied[0]["kind"], "task_submitted");
    for event in &copied[1..] {
        let cited = &event["origin"]["sequence"];
        let original = parent.iter().find(|one| one["sequence"] == *cited).unwrap();
        for same in [
            "kind",
            "module",
            "actor",
            "occurred_at",
            "data",
            "code_hash",
        ] {
            assert_eq!(event[same], original[same], "{same}");
        }
        assert_eq!(event["origin"]["hash"], original["hash"]);
    }
    let calls = |events: &[&Value]| {
        let started = events.iter().filter(|e| e["kind"] == "model_call_started");
        started.count()
    };
    let of_parent = calls(&parent.iter().collect::<Vec<_>>());
    let before = calls(&parent[..=done].iter().collect::<Vec<_>>());
    assert_eq!(calls(&copied), before);
    assert_eq!(
        calls(&new),
        of_parent - before,
        "what was inherited is not asked again"
    );
    let first = |events: &[&Value]| {
        let found = events.iter().find(|e| e["kind"] == "code_generated");
        found.map(|e| e["code_hash"].clone())
    };
    assert_eq!(first(&copied), first(&parent.iter().collect::<Vec<_>>()));
    // The parent is as it was.
    assert_eq!(server.events(&task), parent);
}

#[test]
fn a_fork_whose_past_is_too_long_is_refused_and_never_cut_short() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "x", "budget": 1_000_000_000}));
    server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    let say = || {
        let said = json!({"kind": "instruction", "instruction": "Mind the zebras"});
        sequence(&server.intervene(&task, &said).expect(200))
    };
    // What rests and goes on is not inherited, and makes the past longer than one read.
    let rest = || {
        let [resume, pause] = ["resume", "pause"].map(|kind| json!({"kind": kind}));
        server.intervene(&task, &resume).expect(200);
        server.intervene(&task, &pause).expect(200)
    };
    for _ in 0..4 {
        say();
    }
    let fits = say();
    until("it is long", || {
        rest()["revision"].as_u64().filter(|&events| events > 1_300)
    });
    let too_late = say();
    let fork = |at: u64| server.post(&format!("{TASKS}/{task}/fork?at={at}"), &json!({}));
    assert_eq!(fork(too_late).problem(422)["field"], "at");
    let forked = fork(fits).expect(202)["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let instructions = server.task(&forked)["instructions"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(instructions, 5);
}

#[test]
fn a_fork_takes_another_prompt_and_name_and_refuses_what_does_not_fit() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "x", "answers": ["blue"]}));
    server.event(&task, "model_call_started");
    let at = sequence(&server.events(&task)[0]);
    let url = format!("{TASKS}/{task}/fork?at={at}");
    let changes = json!({"prompt": "y", "task_id": "forked", "answers": ["red"], "timeout": 77});
    server.post(&url, &changes).expect(202);
    let view = server.task("forked");
    assert_eq!(
        (&view["prompt"], &view["timeout"]),
        (&json!("y"), &json!(77.0))
    );
    assert_eq!(view["instructions"], json!(["red"]));
    server.post(&url, &changes).problem(409);
    // No body at all, and null, change nothing.
    let plain = server.ask("POST", &url, &[], b"").expect(202);
    let plain = server.task(plain["task_id"].as_str().unwrap());
    assert_eq!(
        (&plain["prompt"], &plain["instructions"]),
        (&json!("x"), &json!(["blue"]))
    );
    server.post(&url, &json!(null)).expect(202);
    for (body, field) in [
        (json!({"prompt": ""}), "prompt"),
        (json!({"task_id": "/"}), "task_id"),
        (json!({"priority": "urgent"}), "priority"),
        (json!({"more": 1}), "more"),
        (json!([]), "body"),
    ] {
        assert_eq!(
            server.post(&url, &body).problem(422)["field"],
            field,
            "{body}"
        );
    }
    let no_place = server.post(&format!("{TASKS}/{task}/fork"), &json!({}));
    assert_eq!(no_place.problem(422)["field"], "at");
    let too_early = server.post(&format!("{TASKS}/{task}/fork?at=0"), &json!({}));
    assert_eq!(too_early.problem(422)["field"], "at");
}

/// What the server says of an intervention that was sent with this id; events before it are passed over.
fn told(socket: &mut common::server::Socket, id: &Value) -> Value {
    loop {
        let message = socket.hear().unwrap();
        if message["type"] != "event" && &message["id"] == id {
            return message;
        }
    }
}

#[test]
fn a_websocket_takes_interventions_and_says_what_became_of_each() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "model_call_started");
    let mut socket = server.socket(&format!("/ws/{task}"));
    let mut say = |id: Value, intervention: Value| {
        let message = json!({"type": "intervene", "id": id, "intervention": intervention});
        socket.say(&message);
        told(&mut socket, &id)
    };
    let done = say(
        json!(1),
        json!({"kind": "instruction", "instruction": "Mind the zebras"}),
    );
    assert_eq!((&done["v"], &done["type"]), (&json!(1), &json!("done")));
    assert_eq!(done["task"]["instructions"], json!(["Mind the zebras"]));
    assert_eq!(
        say(json!("p"), json!({"kind": "pause"}))["task"]["status"],
        "paused"
    );
    let refused = say(json!(2), json!({"kind": "instruction", "instruction": " "}));
    assert_eq!(refused["type"], "problem");
    assert_eq!(refused["problem"]["status"], 422);
    assert_eq!(refused["problem"]["field"], "instruction");
    assert_eq!(
        say(json!(3), json!({"kind": "dance"}))["problem"]["field"],
        "kind"
    );
    assert_eq!(
        say(json!(4), json!({"kind": "cancel"}))["task"]["status"],
        "cancelled"
    );
    assert_eq!(server.task(&task)["status"], "cancelled");
    check_history(&server.events(&task));

    // Over a socket of all tasks the task is named.
    let mut all = server.socket("/ws");
    let message = json!({"type": "intervene", "id": 5, "intervention": {"kind": "pause"}});
    all.say(&message);
    assert_eq!(told(&mut all, &json!(5))["problem"]["field"], "task_id");
    let message = json!({"type": "intervene", "id": 6, "task_id": "t-none", "intervention": {"kind": "pause"}});
    all.say(&message);
    assert_eq!(told(&mut all, &json!(6))["problem"]["status"], 404);
    all.say(&json!({"type": "dance"}));
    let closed = loop {
        match all.hear() {
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert_eq!(closed, 4400);
}
