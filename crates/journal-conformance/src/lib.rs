//! The test suite that every engine of the journal must pass: `suite!` runs all tests on a new engine.
//!
//! Floor 3, for tests only. It uses only the public interface of the journal and knows nothing about any engine.
//! What is specific to one engine (files, access rights, a failing disk) is tested with that engine.
// All of it are tests: they end by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::assigning_clones
)]

#[doc(hidden)]
pub mod append;
#[doc(hidden)]
pub mod concurrency;
#[doc(hidden)]
pub mod erasure;
#[doc(hidden)]
pub mod holding;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod principals;
#[doc(hidden)]
pub mod snapshots;
#[doc(hidden)]
pub mod subscription;
#[doc(hidden)]
pub mod transfer;
#[doc(hidden)]
pub mod verify;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use journeyman_event::payload::UserIntervention;
use journeyman_event::{
    Draft, Event, EventId, NewEvent, Owner, Payload, Principal, Revision, SeededRandom, Sequence,
    SteppedTime, TaskId, TimeSource, VectorClock,
};
use journeyman_journal::{Append, Engine, Expected, Filter, Journal};

/// Generates a test for each check, run against the engine that the function creates.
///
/// ```
/// use std::sync::Arc;
/// use journeyman_journal::Memory;
/// use journeyman_journal_conformance::Store;
///
/// journeyman_journal_conformance::suite!(|| Store::new(Arc::new(Memory::new())));
/// ```
#[macro_export]
macro_rules! suite {
    ($make:expr) => {
        $crate::checks! { $make;
            append: [
                sequences_and_revisions_have_no_gap,
                an_append_answers_the_stored_events,
                an_empty_store_reads_as_empty_and_beyond_the_end_there_is_nothing,
                reads_page_filter_and_go_both_ways,
                a_wrong_revision_is_a_conflict_and_writes_nothing,
                an_identical_retry_answers_the_first_positions,
                partly_known_ids_are_a_conflict,
                a_known_id_with_anything_else_changed_is_a_conflict,
                a_bad_append_names_its_field,
                streams_of_the_system_are_written_by_the_system_only,
                a_large_payload_is_kept_as_a_blob_and_read_whole,
                one_mebibyte_of_data_stays_in_the_line_and_ten_are_taken,
                a_reference_to_a_blob_that_the_owner_does_not_have_is_refused,
                unicode_newlines_and_unknown_kinds_come_back_as_they_were,
                the_summary_is_listed_and_stays_until_it_is_replaced,
                blobs_are_per_owner_and_stored_once,
                an_append_whose_caller_went_away_is_written_all_the_same,
                what_a_filter_takes_is_found_however_far_apart_it_lies,
                large_events_come_in_small_pages,
            ];
            concurrency: [
                a_hundred_writers_leave_no_gap_and_no_repeat,
                of_those_who_expect_the_same_revision_exactly_one_wins,
                conflicts_in_a_group_commit_leave_their_neighbours_alone,
                the_same_append_many_times_at_once_is_written_once,
                callers_wait_when_the_queue_is_full,
                dropping_the_journal_finishes_what_it_accepted,
            ];
            erasure: [
                an_erased_stream_keeps_its_places_and_hashes_and_says_nothing,
                an_erased_stream_is_closed_to_everything,
                of_an_append_and_an_erasure_at_once_one_comes_first,
                a_text_goes_when_nothing_cites_it_any_more,
                a_text_that_is_cited_while_it_is_looked_for_stays,
                what_follows_an_erased_stream_ends_and_what_follows_all_goes_on,
                what_was_erased_is_in_no_export_and_comes_back_by_no_import,
                an_erasure_that_was_cut_off_goes_on_from_its_record,
            ];
            holding: [
                one_writer_at_a_time_and_the_store_keeps_its_name,
                a_journal_for_reading_makes_nothing_and_writes_nothing,
            ];
            model: [
                the_journal_answers_and_holds_what_its_model_does,
            ];
            principals: [
                another_owner_sees_nothing_of_mine,
                the_system_sees_every_stream_in_the_stores_order,
                only_the_system_verifies,
            ];
            snapshots: [
                the_newest_that_is_not_too_new_is_given_also_after_reopening,
                one_that_does_not_fit_is_passed_over_and_only_a_few_are_kept,
            ];
            subscription: [
                racing_appends_reach_every_subscriber_once_and_in_order,
                a_filtered_subscription_gets_its_own_events_only,
                a_subscriber_waits_while_only_others_write,
                a_dropped_wait_loses_nothing,
                a_backlog_of_many_pages_is_given_whole,
                a_position_beyond_the_end_is_waited_for,
                a_read_only_journal_follows_live_appends,
                a_live_reader_that_falls_far_behind_misses_nothing,
                a_live_reader_of_one_task_that_falls_far_behind_misses_nothing,
            ];
            transfer: [
                a_store_is_the_same_after_export_and_import,
                a_line_that_breaks_a_rule_is_named_with_those_that_come_after_it_in_its_stream,
                a_payload_that_is_missing_in_the_file_is_named,
                an_exported_line_that_was_changed_does_not_fit_its_hash,
                tasks_of_two_stores_are_not_made_one,
                what_an_import_takes_is_text_however_its_lines_end,
                lists_show_nothing_of_a_stream_of_which_a_part_was_refused,
                nobody_imports_what_belongs_to_another_or_comes_from_nowhere,
            ];
            verify: [
                a_clock_that_goes_back_is_named_and_an_unknown_cause_is_counted,
                a_clock_that_goes_back_beside_anothers_progress_is_named,
                verifying_beside_a_writer_sees_one_moment,
            ];
        }
    };
}

/// Generates one test per check.
#[doc(hidden)]
#[macro_export]
macro_rules! checks {
    ($make:expr; $($group:ident: [$($check:ident),* $(,)?];)*) => {
        $($(
            #[test]
            fn $check() {
                $crate::run($crate::$group::$check($make));
            }
        )*)*
    };
}

/// Creates an empty store.
pub type Fresh = fn() -> Store;

/// A store that a check opens, closes and opens again.
pub struct Store {
    engine: Arc<dyn Engine>,
    /// A value that lives as long as the store, such as its folder.
    _kept: Option<Box<dyn Any + Send>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

impl Store {
    /// A store in this engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            _kept: None,
        }
    }

    /// The same with a value that must outlive it, such as a temporary folder.
    #[must_use]
    pub fn keeping(self, kept: impl Any + Send) -> Self {
        Self {
            _kept: Some(Box::new(kept)),
            ..self
        }
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Opens it for writing.
    pub fn open(&self) -> Journal {
        Journal::open(self.engine.clone(), &SeededRandom::new(1)).unwrap()
    }

    /// Opens it for reading.
    pub fn open_read_only(&self) -> Journal {
        Journal::open_read_only(self.engine.clone()).unwrap()
    }
}

/// Runs one check in its own async runtime.
pub fn run(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(check);
}

/// A new store and its open journal.
pub fn fresh(store: Fresh) -> (Store, Journal) {
    let store = store();
    let journal = store.open();
    (store, journal)
}

/// Makes events. Different seeds give different ids.
pub struct Maker {
    time: SteppedTime,
    random: SeededRandom,
}

impl Maker {
    /// The same seed gives the same events.
    pub fn new(seed: u64) -> Self {
        Self {
            time: SteppedTime::default(),
            random: SeededRandom::new(seed),
        }
    }

    /// A draft of an event with only this text.
    pub fn draft(&self, principal: &Principal, task: &str, text: &str) -> Draft {
        Draft {
            id: EventId::new(&self.time, &self.random),
            task_id: TaskId::new(task).unwrap(),
            owner: principal.owner().clone(),
            module: None,
            occurred_at: self.time.now(),
            actor: "user".to_owned(),
            clock: VectorClock::default(),
            causation_id: None,
            code_version: 0,
            code_hash: None,
            payload: Payload::UserIntervention(UserIntervention {
                instruction: text.to_owned(),
            }),
        }
    }

    /// The same, checked.
    pub fn event(&self, principal: &Principal, task: &str, text: &str) -> NewEvent {
        new_event(self.draft(principal, task, text))
    }

    /// This many of them, each with its number as text.
    pub fn events(&self, principal: &Principal, task: &str, count: usize) -> Vec<NewEvent> {
        (0..count)
            .map(|n| self.event(principal, task, &format!("{task} {n}")))
            .collect()
    }

    /// An append of this many events at any revision of the stream.
    pub fn append(&self, principal: &Principal, task: &str, count: usize) -> Append {
        append(task, Expected::Any, self.events(principal, task, count))
    }
}

/// A draft as it is appended.
pub fn new_event(draft: Draft) -> NewEvent {
    let now = draft.occurred_at;
    NewEvent::new(draft, now).unwrap()
}

/// An append of only these events.
pub fn append(task: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append {
        task_id: TaskId::new(task).unwrap(),
        expected,
        events,
        blobs: Vec::new(),
        summary: None,
    }
}

/// An expected revision of the stream.
pub fn at(revision: u64) -> Expected {
    Expected::Revision(Revision(revision))
}

/// The principal of an owner.
pub fn user(name: &str) -> Principal {
    Principal::user(Owner::new(name).unwrap())
}

/// The filter for the events of a task.
pub fn of_task(task: &str) -> Filter {
    Filter::of_task(&TaskId::new(task).unwrap())
}

/// All events that the principal sees, oldest first.
pub async fn all(journal: &Journal, principal: &Principal) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(Sequence::ZERO, Event::sequence);
        let page = journal
            .read(principal, &Filter::default(), after, 1_000)
            .await
            .unwrap();
        events.extend(page.events);
        if page.ended {
            return events;
        }
    }
}

/// The sequence numbers of events.
pub fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.sequence().0).collect()
}

/// The revisions of events.
pub fn revisions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.revision().0).collect()
}

/// The stored lines of events.
pub fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.line().to_owned()).collect()
}

/// Verifies the whole store, which must be valid.
pub async fn assert_sound(journal: &Journal) {
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    assert_eq!(report.first_bad, None);
    assert_eq!(
        report.head,
        journal.head(&Principal::system()).await.unwrap()
    );
}
