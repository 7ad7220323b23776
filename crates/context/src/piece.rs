//! A piece of a context: what it says, its layer, and how it gets shorter when there is no room.

use std::borrow::Cow;

use journeyman_event::Sequence;

use crate::profile::Part;

/// Marks the place where a text was cut.
pub(crate) const CUT_MARK: &str = "\n[... cut ...]\n";
/// A text is cut to this many characters at least, and then left out.
const CUT_CHARS_MIN: usize = 160;
/// The most characters of the short form of an entry.
const LINE_CHARS_MAX: usize = 200;

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

/// The order in which pieces yield when there is no room: the lowest rank first; pieces of rank `Critical` never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Low,
    Medium,
    High,
    /// It yields only if nothing else is left that could.
    Critical,
    /// It never yields.
    Required,
}

/// What stays of a text that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Head,
    Tail,
    /// Half of what stays is the beginning, half the end.
    Ends,
}

/// How much of an entry is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    Line,
    Nothing,
}

/// A part of a piece that is shortened and left out by itself.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) whole: String,
    /// What matters most of it, on one line; equal to the whole if that is short.
    pub(crate) line: String,
    pub(crate) extent: Extent,
    /// Entries of a lower worth yield first. The worths of all pieces of one rank are compared.
    pub(crate) worth: f64,
}

impl Entry {
    /// An entry of a text, whose short form is its beginning.
    pub(crate) fn new(text: String, worth: f64) -> Self {
        let line = beginning(&text, None);
        Self::shortened(text, line, worth)
    }

    /// An entry with a short form of its own.
    pub(crate) fn shortened(whole: String, line: String, worth: f64) -> Self {
        Self {
            whole,
            line,
            extent: Extent::Whole,
            worth,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self.extent {
            Extent::Whole => &self.whole,
            Extent::Line => &self.line,
            Extent::Nothing => "",
        }
    }

    pub(crate) fn can_be_shortened(&self) -> bool {
        self.extent == Extent::Whole && self.line.len() < self.whole.len()
    }
}

/// The beginning of a text on one line. Where that is not all, the event that has all is named, which the tool
/// `expand_context` shows.
pub(crate) fn beginning(text: &str, source: Option<Sequence>) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let Some((end, _)) = words.char_indices().nth(LINE_CHARS_MAX) else {
        return text.to_owned();
    };
    let source = source.map_or_else(String::new, |source| format!(" [event {source}]"));
    format!("{}...{source}", &words[..end])
}

/// What a piece says.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A text that is cut at one place.
    Text { text: String, keep: Keep },
    /// A heading with entries, one below the other, and the number of those that are left out. Without an entry that is
    /// sent there is no heading.
    Entries {
        heading: String,
        entries: Vec<Entry>,
    },
}

/// A text that may be included in a prompt.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) layer: LayerName,
    /// A description of the piece, such as `outline of cart`.
    pub(crate) name: String,
    pub(crate) body: Body,
    pub(crate) rank: Rank,
    /// The part of the context whose share it takes, if it has one.
    pub(crate) part: Option<Part>,
    /// Why it is there, where that is not obvious.
    pub(crate) why: String,
}

impl Piece {
    /// What of it is sent; empty if it is left out.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match &self.body {
            Body::Text { text, .. } => Cow::Borrowed(text),
            Body::Entries { heading, entries } => {
                let texts = entries.iter().map(Entry::text);
                let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
                match entries.len() - texts.len() {
                    _ if texts.is_empty() => Cow::Borrowed(""),
                    0 => Cow::Owned(format!("{heading}\n{}", texts.join("\n"))),
                    more => Cow::Owned(format!(
                        "{heading}\n{}\n[... {more} more ...]",
                        texts.join("\n")
                    )),
                }
            }
        }
    }

    /// The same piece as one that takes the share of a part.
    pub(crate) fn of(self, part: Part) -> Self {
        Self {
            part: Some(part),
            ..self
        }
    }

    /// Takes this many characters from a text, or as many as it can lose. Nothing of entries.
    pub(crate) fn cut(&mut self, chars: usize) {
        let Body::Text { text, keep } = &mut self.body else {
            return;
        };
        let all: Vec<char> = text.chars().collect();
        let rest = all
            .len()
            .saturating_sub(chars.saturating_add(CUT_MARK.len()));
        let rest = rest.max(CUT_CHARS_MIN);
        if rest + CUT_MARK.len() >= all.len() {
            return;
        }
        let (head, tail) = match keep {
            Keep::Head => (rest, 0),
            Keep::Tail => (0, rest),
            Keep::Ends => (rest - rest / 2, rest / 2),
        };
        let head: String = all[..head].iter().collect();
        let tail: String = all[all.len() - tail..].iter().collect();
        *text = format!("{head}{CUT_MARK}{tail}");
    }

    /// Leaves a text out. Nothing of entries.
    pub(crate) fn leave_out(&mut self) {
        if let Body::Text { text, .. } = &mut self.body {
            text.clear();
        }
    }
}

/// A text whose beginning is kept when it is cut.
pub(crate) fn piece(layer: LayerName, rank: Rank, name: impl Into<String>, text: String) -> Piece {
    piece_that_keeps(Keep::Head, layer, rank, name, text)
}

/// A text with what is kept when it is cut.
pub(crate) fn piece_that_keeps(
    keep: Keep,
    layer: LayerName,
    rank: Rank,
    name: impl Into<String>,
    text: String,
) -> Piece {
    Piece {
        layer,
        name: name.into(),
        body: Body::Text { text, keep },
        rank,
        part: None,
        why: String::new(),
    }
}

/// A heading with entries that yield one by one.
pub(crate) fn piece_of_entries(
    layer: LayerName,
    rank: Rank,
    name: impl Into<String>,
    heading: String,
    entries: Vec<Entry>,
) -> Piece {
    Piece {
        layer,
        name: name.into(),
        body: Body::Entries { heading, entries },
        rank,
        part: None,
        why: String::new(),
    }
}
