//! How the prompts of two calls differ: which pieces came, went or changed, and what that did to their tokens.

use std::borrow::Cow;
use std::collections::BTreeMap;

use journeyman_event::Tokens;
use journeyman_event::payload::Verdict;
use similar::TextDiff;

use crate::sent::{SentCall, SentPiece};

/// Lines of context around each change.
const LINES_AROUND: usize = 2;
/// The most lines of both texts together for a line diff. Longer texts are only reported as changed.
const LINES_MAX: usize = 20_000;

/// How a piece changed from the first call to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The piece was sent in both calls with the same bytes.
    Same,
    /// The piece was sent in both calls with different texts.
    Changed,
    /// The piece was sent in the second call only.
    Came,
    /// The piece was sent in the first call only.
    Went,
    /// The piece was sent in both calls, but an older version recorded one of them without the pieces' texts.
    Unknown,
}

impl Change {
    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Came => "came",
            Self::Went => "went",
            Self::Unknown => "unknown",
        }
    }
}

/// One piece of the two prompts and how it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceChange {
    /// The name of the piece.
    pub name: String,
    /// The kind of change.
    pub change: Change,
    /// Its tokens in the first call; `None` if it was not sent or its size is not known.
    pub before: Option<Tokens>,
    /// Its tokens in the second call.
    pub after: Option<Tokens>,
    /// The reason recorded in the second call for sending, cutting or omitting it; may be empty.
    pub why: String,
    /// The changed lines as a unified diff; `None` unless the piece changed.
    pub lines: Option<String>,
}

/// The difference between two prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The pieces in the order of the second call, then the pieces that only the first call has.
    pub pieces: Vec<PieceChange>,
}

/// Compares two calls piece by piece.
pub fn difference(first: &SentCall, second: &SentCall) -> Difference {
    let before = numbered(first.pieces());
    let after = numbered(second.pieces());
    let mut pieces = Vec::new();
    for (key, piece) in &after {
        let earlier = before.iter().find(|(other, _)| other == key);
        pieces.extend(change(earlier.map(|(_, piece)| piece), Some(piece)));
    }
    for (key, piece) in &before {
        if !after.iter().any(|(other, _)| other == key) {
            pieces.extend(change(Some(piece), None));
        }
    }
    Difference { pieces }
}

/// Numbers the pieces, because several can have the same name: the n-th is compared with the n-th.
fn numbered(pieces: Vec<SentPiece<'_>>) -> Vec<((&str, usize), SentPiece<'_>)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let pieces = pieces.into_iter();
    pieces
        .map(|piece| {
            let nth = seen.entry(piece.name).or_default();
            *nth += 1;
            ((piece.name, *nth), piece)
        })
        .collect()
}

/// Compares one piece; `None` if neither call sent it.
fn change(before: Option<&SentPiece<'_>>, after: Option<&SentPiece<'_>>) -> Option<PieceChange> {
    let is_sent = |piece: &&SentPiece<'_>| piece.verdict != Verdict::LeftOut;
    let why = after.map_or("", |piece| piece.why);
    let name = after.or(before)?.name;
    let (before, after) = (before.filter(is_sent), after.filter(is_sent));
    let mut lines = None;
    let change = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Change::Came,
        (Some(_), None) => Change::Went,
        (Some(before), Some(after)) => match (before.text, after.text) {
            (Some(before), Some(after)) if before == after => Change::Same,
            (Some(before), Some(after)) => {
                lines = changed_lines(before, after);
                Change::Changed
            }
            _ => Change::Unknown,
        },
    };
    Some(PieceChange {
        name: name.to_owned(),
        change,
        before: before.and_then(|piece| piece.tokens),
        after: after.and_then(|piece| piece.tokens),
        why: why.to_owned(),
        lines,
    })
}

fn changed_lines(before: &str, after: &str) -> Option<String> {
    if before.lines().count() + after.lines().count() > LINES_MAX {
        return None;
    }
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::from_lines(&*before, &*after);
    let lines = diff.unified_diff().context_radius(LINES_AROUND).to_string();
    Some(lines)
}

/// The text with a line end after its last line, so that a diff does not join lines.
fn ended(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece<'c>(name: &'c str, verdict: Verdict, text: Option<&'c str>) -> SentPiece<'c> {
        SentPiece {
            name,
            verdict,
            why: "because",
            text,
            tokens: text.map(|text| Tokens(text.len() as u64)),
        }
    }

    #[test]
    fn a_piece_came_went_changed_or_is_the_same() {
        let old = piece("p", Verdict::Kept, Some("a\nb\nc\n"));
        let new = piece("p", Verdict::Cut, Some("a\nx\nc\n"));
        let out = piece("p", Verdict::LeftOut, None);
        let unknown = piece("p", Verdict::Kept, None);
        for (before, after, expected) in [
            (None, Some(&new), Some(Change::Came)),
            (Some(&out), Some(&new), Some(Change::Came)),
            (Some(&old), Some(&out), Some(Change::Went)),
            (Some(&old), None, Some(Change::Went)),
            (Some(&old), Some(&old), Some(Change::Same)),
            (Some(&old), Some(&new), Some(Change::Changed)),
            (Some(&old), Some(&unknown), Some(Change::Unknown)),
            (Some(&out), Some(&out), None),
            (Some(&out), None, None),
        ] {
            let change = change(before, after);
            assert_eq!(
                change.map(|one| one.change),
                expected,
                "{before:?} {after:?}"
            );
        }
        let changed = change(Some(&old), Some(&new));
        let lines = changed.and_then(|change| change.lines);
        assert_eq!(lines.as_deref(), Some("@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"));
    }

    #[test]
    fn pieces_of_the_same_name_are_compared_in_their_order() {
        let pieces = vec![
            piece("answer", Verdict::Kept, Some("1")),
            piece("task", Verdict::Kept, Some("t")),
            piece("answer", Verdict::Kept, Some("2")),
        ];
        let keys: Vec<(&str, usize)> = numbered(pieces).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [("answer", 1), ("task", 1), ("answer", 2)]);
    }
}
