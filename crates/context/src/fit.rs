//! Makes pieces fit: shortens entries, leaves entries out, cuts texts, in the order of rank and worth.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use journeyman_event::Tokens;
use journeyman_llm::Estimator;

use crate::piece::{Body, Entry, Extent, Piece, Rank};
use crate::profile::{Part, Profile};

/// The characters of a token that is cut off. A token has about four; three cut a little too much, which costs less than
/// another round of counting.
const TOKEN_CHARS: usize = 3;

/// Shortens the pieces by about `excess` tokens. Returns false if nothing can be shortened any more.
///
/// The parts of the context that have more than their share of the window yield first, down to that share: a very long test
/// result takes no room from what is related, nor the other way round. Then everything yields.
///
/// Both times, entries below [`Rank::Critical`] are first reduced to one line, so that as many as possible stay. Then, rank by
/// rank, entries are left out, and texts are cut and left out. Of critical pieces texts are cut before entries are left out.
pub(crate) fn shrink(pieces: &mut [Piece], excess: Tokens, profile: &Profile) -> bool {
    let mut open = Excess {
        estimator: Estimator::default(),
        tokens: excess,
        beyond: Some(beyond(pieces, profile)),
        has_taken: false,
    };
    open.take(pieces);
    open.beyond = None;
    open.take(pieces);
    open.has_taken
}

/// The tokens that each part has beyond its share.
fn beyond(pieces: &[Piece], profile: &Profile) -> BTreeMap<Part, Tokens> {
    let estimator = Estimator::default();
    let parts = Part::ALL.into_iter().map(|part| {
        let of_part = pieces.iter().filter(|piece| piece.part == Some(part));
        let tokens = of_part.map(|piece| estimator.estimate(&piece.text()));
        let tokens = tokens.fold(Tokens::ZERO, |sum, tokens| sum + tokens);
        (part, tokens - profile.part(part))
    });
    parts.collect()
}

/// What is still too much.
struct Excess {
    estimator: Estimator,
    tokens: Tokens,
    /// What each part may still lose; `None` if all of it.
    beyond: Option<BTreeMap<Part, Tokens>>,
    has_taken: bool,
}

impl Excess {
    fn take(&mut self, pieces: &mut [Piece]) {
        let lower = [Rank::Low, Rank::Medium, Rank::High];
        for rank in lower {
            self.shorten_entries(pieces, rank);
        }
        for rank in lower {
            self.drop_entries(pieces, rank);
            self.cut_texts(pieces, rank);
            self.drop_texts(pieces, rank);
        }
        self.shorten_entries(pieces, Rank::Critical);
        self.cut_texts(pieces, Rank::Critical);
        self.drop_entries(pieces, Rank::Critical);
        self.drop_texts(pieces, Rank::Critical);
    }

    fn is_gone(&self) -> bool {
        self.tokens == Tokens::ZERO
    }

    /// The most tokens that may be taken now from a piece of this part.
    fn allowed(&self, part: Option<Part>) -> Tokens {
        match &self.beyond {
            None => self.tokens,
            Some(beyond) => part.map_or(Tokens::ZERO, |part| self.tokens.min(beyond[&part])),
        }
    }

    /// Notes that a piece of this part lost so many tokens.
    fn took(&mut self, part: Option<Part>, taken: Tokens) {
        // However little it was, the loop must end.
        let taken = taken.max(Tokens(1));
        self.tokens = self.tokens - taken;
        if let (Some(part), Some(beyond)) = (part, &mut self.beyond) {
            beyond.entry(part).and_modify(|left| *left = *left - taken);
        }
        self.has_taken = true;
    }

    /// The tokens between two texts.
    fn difference(&self, before: &str, after: &str) -> Tokens {
        self.estimator.estimate(before) - self.estimator.estimate(after)
    }

    fn shorten_entries(&mut self, pieces: &mut [Piece], rank: Rank) {
        for (part, entry) in by_worth(pieces, rank, Entry::can_be_shortened) {
            if self.is_gone() {
                return;
            }
            if self.allowed(part) == Tokens::ZERO {
                continue;
            }
            self.took(part, self.difference(&entry.whole, &entry.line));
            entry.extent = Extent::Line;
        }
    }

    fn drop_entries(&mut self, pieces: &mut [Piece], rank: Rank) {
        for (part, entry) in by_worth(pieces, rank, |entry| entry.extent != Extent::Nothing) {
            if self.is_gone() {
                return;
            }
            if self.allowed(part) == Tokens::ZERO {
                continue;
            }
            self.took(part, self.difference(entry.text(), ""));
            entry.extent = Extent::Nothing;
        }
    }

    /// Cuts the longest text first.
    fn cut_texts(&mut self, pieces: &mut [Piece], rank: Rank) {
        for piece in by_length(pieces, rank) {
            if self.is_gone() {
                return;
            }
            let before = piece.text().len();
            let tokens = self.allowed(piece.part).0;
            let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
            if tokens == 0 {
                continue;
            }
            piece.cut(tokens.saturating_mul(TOKEN_CHARS));
            let taken = (before - piece.text().len()) / TOKEN_CHARS;
            if taken > 0 {
                self.took(piece.part, Tokens(taken as u64));
            }
        }
    }

    /// Leaves the longest text out first. Nothing is left out of a part that keeps its share.
    fn drop_texts(&mut self, pieces: &mut [Piece], rank: Rank) {
        if self.beyond.is_some() {
            return;
        }
        for piece in by_length(pieces, rank) {
            if self.is_gone() {
                return;
            }
            self.took(piece.part, self.difference(&piece.text(), ""));
            piece.leave_out();
        }
    }
}

/// The texts of a rank, the longest first.
fn by_length(pieces: &mut [Piece], rank: Rank) -> Vec<&mut Piece> {
    let of_rank = pieces.iter_mut().filter(|piece| piece.rank == rank);
    let is_text = |piece: &&mut Piece| match &piece.body {
        Body::Text { text, .. } => !text.is_empty(),
        Body::Entries { .. } => false,
    };
    let mut texts: Vec<&mut Piece> = of_rank.filter(is_text).collect();
    texts.sort_by_key(|piece| Reverse(piece.text().len()));
    texts
}

/// The entries of a rank that may yield, with their parts, the one of the lowest worth first, of equal ones the last.
fn by_worth(
    pieces: &mut [Piece],
    rank: Rank,
    may_yield: impl Fn(&Entry) -> bool,
) -> Vec<(Option<Part>, &mut Entry)> {
    let of_rank = pieces.iter_mut().filter(|piece| piece.rank == rank);
    let entries = of_rank.flat_map(|piece| {
        let part = piece.part;
        let entries = match &mut piece.body {
            Body::Entries { entries, .. } => entries.iter_mut(),
            Body::Text { .. } => [].iter_mut(),
        };
        entries.map(move |entry| (part, entry))
    });
    let mut entries: Vec<(Option<Part>, &mut Entry)> =
        entries.filter(|(_, entry)| may_yield(entry)).collect();
    entries.reverse();
    entries.sort_by(|(_, a), (_, b)| a.worth.total_cmp(&b.worth));
    entries
}
