//! A piece of a context: a text, where it stands, and what becomes of it when there is no room.

/// Which layer a piece belongs to.
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

/// Who yields first when there is no room: the lowest rank, and the task never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Low,
    Medium,
    High,
    Critical,
}

/// Which end of a piece survives a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepEnd {
    Head,
    Tail,
}

/// A text that may be sent.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) layer: LayerName,
    /// Where it comes from, in words: `outline of cart`.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) rank: Rank,
    pub(crate) keep: KeepEnd,
}

/// A piece of which the beginning survives a cut.
pub(crate) fn piece(layer: LayerName, rank: Rank, name: impl Into<String>, text: String) -> Piece {
    Piece {
        layer,
        name: name.into(),
        text,
        rank,
        keep: KeepEnd::Head,
    }
}
