//! The rules of state that has versions, each as a law over made-up histories of writes.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::sync::{Barrier, Mutex};

use journeyman_event::{StaleVersion, Versioned};
use journeyman_fuzz::fuzz;
use proptest::prelude::*;

/// Versions as writers may bring them: small ones that collide often, and those around the bounds of 31, 32, 53 and 64 bits.
fn version() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..8_u64,
        1 => prop::sample::select(vec![
            u64::from(u32::MAX) / 2,
            u64::from(u32::MAX),
            1 << 53,
            i64::MAX.unsigned_abs(),
            u64::MAX - 1,
            u64::MAX,
        ]),
        1 => any::<u64>(),
    ]
}

fn writes() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(version(), 0..20)
}

/// A value after these writes, each of a state that is named by its place among them.
fn written(writes: &[u64]) -> Versioned<usize> {
    let mut state = Versioned::empty();
    for (place, version) in writes.iter().enumerate() {
        let _ = state.replace(*version, place); // what is refused is the affair of other laws
    }
    state
}

#[test]
fn an_empty_one_answers_version_0_and_no_state() {
    let state: Versioned<u8> = Versioned::default();
    assert_eq!((state.version(), state.get()), (0, None));
    assert_eq!(state, Versioned::empty());
}

#[test]
fn version_0_is_taken_as_the_initial_one_and_once() {
    let mut state = Versioned::empty();
    assert_eq!(state.replace(0, "first"), Ok(None));
    assert_eq!((state.version(), state.get()), (0, Some(&"first")));
    let stale = StaleVersion {
        current: 0,
        given: 0,
    };
    assert_eq!(state.replace(0, "second"), Err(stale));
    assert_eq!(state.replace(1, "third"), Ok(Some("first")));
}

#[test]
fn an_empty_one_takes_a_state_of_any_version() {
    fuzz(256, &version(), |version| {
        let mut state = Versioned::empty();
        prop_assert_eq!(state.replace(version, ()), Ok(None));
        prop_assert_eq!(&state, &Versioned::new(version, ()));
        prop_assert_eq!(state.version(), version);
        Ok(())
    });
}

#[test]
fn a_higher_version_replaces_whatever_was_left_out_between() {
    fuzz(256, &(writes(), version()), |(writes, next)| {
        let mut state = written(&writes);
        let (before, held) = (state.version(), state.get().copied());
        if held.is_none() || next > before {
            prop_assert_eq!(state.replace(next, usize::MAX), Ok(held));
            prop_assert_eq!((state.version(), state.get()), (next, Some(&usize::MAX)));
        }
        Ok(())
    });
}

#[test]
fn an_equal_or_lower_version_is_refused_with_both_and_changes_nothing() {
    fuzz(256, &(writes(), version()), |(writes, next)| {
        let mut state = written(&writes);
        let before = state.clone();
        if before.get().is_some() && next <= before.version() {
            let stale = StaleVersion {
                current: before.version(),
                given: next,
            };
            prop_assert_eq!(state.replace(next, usize::MAX), Err(stale));
            prop_assert_eq!(&state, &before);
            let words = stale.to_string();
            prop_assert!(words.contains(&format!("version {next} ")), "{}", words);
            let current = format!("version {}", before.version());
            prop_assert!(words.contains(&current), "{}", words);
        }
        Ok(())
    });
}

#[test]
fn what_is_held_is_the_first_state_of_the_highest_version_that_was_brought() {
    fuzz(256, &writes(), |writes| {
        let state = written(&writes);
        let highest = writes.iter().copied().max();
        prop_assert_eq!(state.version(), highest.unwrap_or(0));
        let first = writes.iter().position(|version| Some(*version) == highest);
        prop_assert_eq!(state.get().copied(), first);
        Ok(())
    });
}

#[test]
fn after_the_highest_version_of_64_bits_nothing_is_taken() {
    let mut state = Versioned::new(u64::MAX - 1, 0);
    state.replace(u64::MAX, 1).unwrap();
    for given in [0, 1, u64::MAX - 1, u64::MAX] {
        let current = u64::MAX;
        assert_eq!(
            state.replace(given, 2),
            Err(StaleVersion { current, given })
        );
    }
    assert_eq!((state.version(), state.get()), (u64::MAX, Some(&1)));
}

/// What came of writers that each brought a state at the same moment: each one's version, and whether it was taken.
fn race(held: &Mutex<Versioned<usize>>, versions: &[u64]) -> Vec<Result<usize, StaleVersion>> {
    let together = Barrier::new(versions.len());
    std::thread::scope(|scope| {
        let writers = versions.iter().enumerate().map(|(writer, version)| {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                let replaced = held.lock().unwrap().replace(*version, writer);
                replaced.map(|_| writer)
            })
        });
        let writers: Vec<_> = writers.collect();
        writers.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn of_writers_of_one_version_at_once_one_wins_and_the_others_get_a_conflict() {
    for version in [1, 2, u64::MAX] {
        let held = Mutex::new(Versioned::new(0, usize::MAX));
        let ended = race(&held, &[version; 16]);
        let winners: Vec<usize> = ended.iter().filter_map(|one| one.ok()).collect();
        assert_eq!(winners.len(), 1, "{ended:?}");
        let conflict = StaleVersion {
            current: version,
            given: version,
        };
        let lost = ended.iter().filter(|one| **one == Err(conflict)).count();
        assert_eq!(lost, 15, "{ended:?}");
        assert_eq!(held.lock().unwrap().get(), Some(&winners[0]));
    }
}

#[test]
fn whatever_writers_bring_at_once_the_highest_version_is_held_and_of_each_version_one_won_at_most()
{
    let versions = prop::collection::vec(version(), 2..8);
    fuzz(32, &versions, |versions| {
        let held = Mutex::new(Versioned::empty());
        let ended = race(&held, &versions);
        let held = held.into_inner().unwrap();
        prop_assert_eq!(Some(held.version()), versions.iter().copied().max());
        for version in &versions {
            let of_it = versions.iter().zip(&ended).filter(|(of, _)| *of == version);
            let won = of_it.filter(|(_, one)| one.is_ok()).count();
            prop_assert!(won <= 1, "{} writers of version {} won", won, version);
        }
        Ok(())
    });
}
