use super::upkeep::UNUSED_MAX;
use super::*;

const DAY: i64 = 24 * 3_600 * 1_000;

fn place() -> Place {
    Place {
        data_dir: None,
        store: "s".to_owned(),
        head: 10,
    }
}

fn outbox() -> Outbox {
    Outbox::open(&place(), Opening::First).unwrap()
}

fn delivery(hook: &str, task: &str, sequence: i64) -> NewDelivery {
    NewDelivery {
        hook: hook.to_owned(),
        hook_owner: None,
        target: "https://host".to_owned(),
        owner: "local".to_owned(),
        task: task.to_owned(),
        sequence,
        kind: "task_complete".to_owned(),
    }
}

fn failed(next_attempt_at: i64) -> Outcome {
    Outcome::Failed {
        error: "no".to_owned(),
        next_attempt_at,
        paused_until: 0,
        lifetime_ms: DAY,
    }
}

const DELIVERED: Outcome = Outcome::Delivered { error: None };

fn due_sequences(outbox: &mut Outbox, now: i64) -> Vec<i64> {
    let deliveries = outbox.next_deliveries("a", now, 100).unwrap();
    deliveries.iter().map(|one| one.sequence).collect()
}

fn head(outbox: &mut Outbox, now: i64) -> PendingDelivery {
    outbox.next_deliveries("a", now, 1).unwrap().remove(0)
}

#[test]
fn a_new_outbox_starts_at_the_journals_end_and_another_journal_resets_it() {
    let data_dir = tempfile::tempdir().unwrap();
    let here = |store: &str, head| Place {
        data_dir: Some(data_dir.path().to_owned()),
        store: store.to_owned(),
        head,
    };
    let mut first = Outbox::open(&here("s", 10), Opening::First).unwrap();
    assert_eq!(first.position().unwrap(), 10);
    first.enqueue(&[delivery("a", "t", 12)], 12, 0).unwrap();
    drop(first);
    let mut again = Outbox::open(&here("s", 20), Opening::First).unwrap();
    assert_eq!(
        (again.position().unwrap(), again.pending_count().unwrap()),
        (12, 1)
    );
    drop(again);
    // The journal was restored from a copy that is older than the position.
    let mut older = Outbox::open(&here("s", 11), Opening::First).unwrap();
    assert_eq!(
        (older.position().unwrap(), older.pending_count().unwrap()),
        (11, 0)
    );
    older.enqueue(&[delivery("a", "t", 13)], 13, 0).unwrap();
    drop(older);
    // The same process opens it again after its journal has grown.
    let mut reopened = Outbox::open(&here("s", 11), Opening::Again).unwrap();
    assert_eq!(
        (
            reopened.position().unwrap(),
            reopened.pending_count().unwrap()
        ),
        (13, 1)
    );
    drop(reopened);
    let mut other = Outbox::open(&here("t", 5), Opening::First).unwrap();
    assert_eq!(
        (other.position().unwrap(), other.pending_count().unwrap()),
        (5, 0)
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let data_dir = tempfile::tempdir().unwrap();
    let here = Place {
        data_dir: Some(data_dir.path().to_owned()),
        ..place()
    };
    let outbox = Outbox::open(&here, Opening::First).unwrap();
    outbox
        .connection
        .pragma_update(None, "user_version", FORMAT + 1)
        .unwrap();
    drop(outbox);
    let error = Outbox::open(&here, Opening::First).unwrap_err().to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn an_event_is_enqueued_once_per_hook() {
    let mut outbox = outbox();
    let both = [delivery("a", "t", 11), delivery("b", "t", 11)];
    outbox.enqueue(&both, 11, 0).unwrap();
    outbox.enqueue(&both, 11, 0).unwrap();
    assert_eq!(outbox.pending_count().unwrap(), 2);
}

#[test]
fn deliveries_of_one_task_are_in_order_and_do_not_block_other_tasks() {
    let mut outbox = outbox();
    let all = [
        delivery("a", "t", 11),
        delivery("a", "u", 12),
        delivery("a", "t", 13),
    ];
    outbox.enqueue(&all, 13, 0).unwrap();
    assert_eq!(due_sequences(&mut outbox, 0), [11, 12]);
    let first = head(&mut outbox, 0);
    outbox.record_outcome(&first, &failed(500), 100).unwrap();
    assert_eq!(
        due_sequences(&mut outbox, 499),
        [12],
        "the later one waits for it"
    );
    assert_eq!(due_sequences(&mut outbox, 500), [12, 11]);
    outbox.record_outcome(&first, &DELIVERED, 501).unwrap();
    assert_eq!(due_sequences(&mut outbox, 501), [12, 13]);
}

#[test]
fn a_delivery_that_failed_for_a_day_is_dead_and_the_next_one_of_its_task_follows() {
    let mut outbox = outbox();
    let all = [delivery("a", "t", 11), delivery("a", "t", 12)];
    outbox.enqueue(&all, 12, 0).unwrap();
    let first = head(&mut outbox, 5 * DAY);
    // The lifetime starts with the first failed attempt, however old the delivery is.
    assert_eq!(
        outbox.record_outcome(&first, &failed(0), 5 * DAY).unwrap(),
        0
    );
    let delivered_head = head(&mut outbox, 5 * DAY);
    assert_eq!(delivered_head.attempts, 1);
    outbox
        .enqueue(&[delivery("a", "u", 13)], 13, 5 * DAY + 1)
        .unwrap();
    assert_eq!(
        outbox.record_outcome(&first, &failed(0), 6 * DAY).unwrap(),
        2
    );
    // Younger deliveries of the hook are still attempted.
    assert_eq!(due_sequences(&mut outbox, 7 * DAY), [13]);
    let row = outbox.hooks().unwrap().remove(0);
    let view = row.view("x", true, 0);
    assert_eq!(
        (view.state.as_str(), view.dead, view.pending),
        ("failing", 2, 1)
    );
    assert_eq!(view.last_error.as_deref(), Some("no"));
    assert_eq!(outbox.retry("a", 7 * DAY).unwrap(), 3);
    assert_eq!(due_sequences(&mut outbox, 7 * DAY), [11, 13]);
}

#[test]
fn a_failing_hook_is_paused_as_a_whole() {
    let mut outbox = outbox();
    let all = [delivery("a", "t", 11), delivery("a", "u", 12)];
    outbox.enqueue(&all, 12, 0).unwrap();
    let first = head(&mut outbox, 0);
    let rests = Outcome::Failed {
        error: "no".to_owned(),
        next_attempt_at: 1_000,
        paused_until: 800,
        lifetime_ms: DAY,
    };
    outbox.record_outcome(&first, &rests, 0).unwrap();
    assert!(outbox.due(799).unwrap().is_empty());
    let due = outbox.due(800).unwrap();
    assert_eq!(
        (due[0].hook.as_str(), due[0].consecutive_failures),
        ("a", 1)
    );
    let second = head(&mut outbox, 800);
    outbox.record_outcome(&second, &DELIVERED, 800).unwrap();
    assert!(outbox.due(999).unwrap().is_empty());
    assert_eq!(outbox.due(1_000).unwrap()[0].consecutive_failures, 0);
}

#[test]
fn a_disabled_hook_gets_no_deliveries_until_it_is_retried() {
    let mut outbox = outbox();
    outbox
        .enqueue(&[delivery("a", "t", 11), delivery("a", "u", 12)], 12, 0)
        .unwrap();
    let first = head(&mut outbox, 0);
    let gone = Outcome::Disabled {
        error: "410".to_owned(),
    };
    assert_eq!(outbox.record_outcome(&first, &gone, 0).unwrap(), 2);
    outbox.enqueue(&[delivery("a", "v", 13)], 13, 0).unwrap();
    assert_eq!(outbox.pending_count().unwrap(), 0);
    let state = |outbox: &mut Outbox| outbox.hooks().unwrap()[0].view("", true, 0).state;
    assert_eq!(state(&mut outbox), "disabled");
    assert_eq!(outbox.retry("a", 0).unwrap(), 2);
    assert_eq!(state(&mut outbox), "ok");
    assert_eq!(due_sequences(&mut outbox, 0), [11, 12]);
}

#[test]
fn pending_deliveries_of_a_hook_are_bounded_and_further_ones_are_dead() {
    let mut outbox = outbox();
    let many = PENDING_MAX + DEAD_MAX + 5;
    let all: Vec<NewDelivery> = (0..many)
        .map(|at| delivery("a", &format!("t{at}"), 11 + at))
        .collect();
    outbox.enqueue(&all, 11 + many, 0).unwrap();
    outbox
        .enqueue(&[delivery("b", "t", 11)], 11 + many, 0)
        .unwrap();
    let views = outbox.views(0).unwrap();
    assert_eq!(views[0].pending, PENDING_MAX.unsigned_abs());
    assert_eq!(views[0].dead, DEAD_MAX.unsigned_abs());
    assert_eq!((views[1].pending, views[1].dead), (1, 0));
}

#[test]
fn deliveries_of_an_unconfigured_hook_die_after_the_lifetime() {
    let mut outbox = outbox();
    let all = [delivery("a", "t", 11), delivery("task-x", "t", 11)];
    outbox.enqueue(&all, 11, 0).unwrap();
    let known = ["a".to_owned()];
    assert_eq!(outbox.sweep(&known, DAY, DAY).unwrap(), 0);
    assert_eq!(outbox.sweep(&[], DAY - 1, DAY).unwrap(), 0);
    assert_eq!(outbox.sweep(&[], DAY, DAY).unwrap(), 1);
    assert_eq!(
        outbox.pending_count().unwrap(),
        1,
        "the task webhook keeps its delivery"
    );
}

#[test]
fn a_clock_that_was_set_back_delays_nothing() {
    let mut outbox = outbox();
    outbox
        .enqueue(&[delivery("a", "t", 11)], 11, 100 * DAY)
        .unwrap();
    assert!(due_sequences(&mut outbox, DAY).is_empty());
    outbox.bring_near(DAY).unwrap();
    assert_eq!(due_sequences(&mut outbox, DAY), [11]);
    let first = head(&mut outbox, DAY);
    outbox
        .record_outcome(&first, &failed(DAY + 500), DAY)
        .unwrap();
    outbox.bring_near(DAY - 500).unwrap();
    assert!(due_sequences(&mut outbox, DAY - 500).is_empty());
    outbox.make_due_beyond(DAY - 500, DAY - 500).unwrap();
    assert_eq!(due_sequences(&mut outbox, DAY - 500), [11]);
    // Its lifetime began when it first failed, not later than now.
    let late = failed(2 * DAY);
    assert_eq!(
        outbox.record_outcome(&first, &late, 2 * DAY - 500).unwrap(),
        1
    );
}

#[test]
fn webhooks_of_one_owners_tasks_share_their_bounds() {
    let mut outbox = outbox();
    let of = |owner: &str, at: i64| NewDelivery {
        hook_owner: Some(owner.to_owned()),
        ..delivery(&format!("task-{owner}{at}"), "t", 11 + at)
    };
    let many = PENDING_MAX + 2;
    let all: Vec<NewDelivery> = (0..many).map(|at| of("ada", at)).collect();
    outbox.enqueue(&all, 11 + many, 0).unwrap();
    outbox.enqueue(&[of("bob", 0)], 12 + many, 0).unwrap();
    assert_eq!(outbox.pending_count().unwrap(), PENDING_MAX + 1);
    assert_eq!(outbox.next_deliveries("task-bob0", 0, 1).unwrap().len(), 1);
}

#[test]
fn unused_task_webhooks_are_pruned_except_the_newest() {
    let mut outbox = outbox();
    let count = UNUSED_MAX + 3;
    for at in 0..count {
        let hook = format!("task-{at}");
        outbox
            .enqueue(&[delivery(&hook, "t", 11 + at)], 11 + at, at)
            .unwrap();
        let one = outbox.next_deliveries(&hook, at, 1).unwrap().remove(0);
        outbox.record_outcome(&one, &DELIVERED, at).unwrap();
    }
    assert_eq!(outbox.prune_hooks().unwrap(), 3);
    let names = outbox.hooks().unwrap();
    assert!(!names.iter().any(|row| row.name == "task-0"));
}
