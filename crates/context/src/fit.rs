//! Makes pieces fit: shortens entries, leaves entries out, cuts texts, in the order of rank and worth.

use std::cmp::Reverse;

use journeyman_event::Tokens;
use journeyman_llm::Estimator;

use crate::piece::{Body, Entry, Extent, Piece, Rank};

/// The characters of a token that is cut off. A token has about four; three cut a little too much, which costs less than
/// another round of counting.
const TOKEN_CHARS: usize = 3;

/// Shortens the pieces by about `excess` tokens. Returns false if nothing can be shortened any more.
///
/// First, entries below [`Rank::Critical`] are reduced to one line, so that as many as possible stay. Then, rank by rank,
/// entries are left out, and texts are cut and left out. Of critical pieces texts are cut before entries are left out.
pub(crate) fn shrink(pieces: &mut [Piece], excess: Tokens) -> bool {
    let mut open = Excess {
        estimator: Estimator::default(),
        tokens: excess,
        has_taken: false,
    };
    for rank in [Rank::Low, Rank::Medium, Rank::High] {
        open.shorten_entries(pieces, rank);
    }
    for rank in [Rank::Low, Rank::Medium, Rank::High] {
        open.drop_entries(pieces, rank);
        open.cut_texts(pieces, rank);
        open.drop_texts(pieces, rank);
    }
    open.shorten_entries(pieces, Rank::Critical);
    open.cut_texts(pieces, Rank::Critical);
    open.drop_entries(pieces, Rank::Critical);
    open.drop_texts(pieces, Rank::Critical);
    open.has_taken
}

/// What is still too much.
struct Excess {
    estimator: Estimator,
    tokens: Tokens,
    has_taken: bool,
}

impl Excess {
    fn is_gone(&self) -> bool {
        self.tokens == Tokens::ZERO
    }

    fn took(&mut self, before: &str, after: &str) {
        let taken = self.estimator.estimate(before) - self.estimator.estimate(after);
        // However little it was, the loop must end.
        self.tokens = self.tokens - taken.max(Tokens(1));
        self.has_taken = true;
    }

    fn shorten_entries(&mut self, pieces: &mut [Piece], rank: Rank) {
        for entry in by_worth(pieces, rank, Entry::can_be_shortened) {
            if self.is_gone() {
                return;
            }
            self.took(&entry.whole, &entry.line);
            entry.extent = Extent::Line;
        }
    }

    fn drop_entries(&mut self, pieces: &mut [Piece], rank: Rank) {
        for entry in by_worth(pieces, rank, |entry| entry.extent != Extent::Nothing) {
            if self.is_gone() {
                return;
            }
            self.took(entry.text(), "");
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
            let tokens = usize::try_from(self.tokens.0).unwrap_or(usize::MAX);
            let chars = tokens.saturating_mul(TOKEN_CHARS);
            piece.cut(chars);
            let taken = before - piece.text().len();
            let taken = Tokens((taken / TOKEN_CHARS) as u64);
            self.tokens = self.tokens - taken;
            self.has_taken |= taken > Tokens::ZERO;
        }
    }

    /// Leaves the longest text out first.
    fn drop_texts(&mut self, pieces: &mut [Piece], rank: Rank) {
        for piece in by_length(pieces, rank) {
            if self.is_gone() {
                return;
            }
            self.took(&piece.text(), "");
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

/// The entries of a rank that may yield, the one of the lowest worth first, of equal ones the last.
fn by_worth(
    pieces: &mut [Piece],
    rank: Rank,
    may_yield: impl Fn(&Entry) -> bool,
) -> Vec<&mut Entry> {
    let of_rank = pieces.iter_mut().filter(|piece| piece.rank == rank);
    let entries = of_rank.flat_map(|piece| match &mut piece.body {
        Body::Entries { entries, .. } => entries.iter_mut(),
        Body::Text { .. } => [].iter_mut(),
    });
    let mut entries: Vec<&mut Entry> = entries.filter(|entry| may_yield(entry)).collect();
    entries.reverse();
    entries.sort_by(|a, b| a.worth.total_cmp(&b.worth));
    entries
}
