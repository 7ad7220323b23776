//! A piece of a context: a text, its layer, and what happens to it when there is no room.

/// The layer a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LayerName {
    State,
    History,
    Current,
}

impl LayerName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::History => "history",
            Self::Current => "current",
        }
    }
}

/// The order in which pieces are cut or dropped when there is no room: the lowest rank first, the task never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Low,
    Medium,
    High,
    Critical,
}

/// Which end of a piece is kept when it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepEnd {
    Head,
    Tail,
}

/// A text that may be included in a prompt.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) layer: LayerName,
    /// A description of the piece, such as `outline of cart`.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) rank: Rank,
    pub(crate) keep: KeepEnd,
    /// Why it is there, where that is not obvious.
    pub(crate) why: String,
}

/// A piece whose beginning is kept when it is cut.
pub(crate) fn piece(layer: LayerName, rank: Rank, name: impl Into<String>, text: String) -> Piece {
    Piece {
        layer,
        name: name.into(),
        text,
        rank,
        keep: KeepEnd::Head,
        why: String::new(),
    }
}
