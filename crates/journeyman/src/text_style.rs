//! The appearance of text on a terminal: colours, symbols, and the characters that the locale supports.

use std::env;
use std::io::IsTerminal;

/// Whether to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    /// On a terminal that supports it, unless the environment says otherwise.
    #[default]
    Auto,
    /// For every output.
    Always,
    /// For no output.
    Never,
}

impl Colour {
    /// Parses the name used in the settings.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// Whether to use colour for this output; with `auto` according to `NO_COLOR` (<https://no-color.org>) and
    /// `CLICOLOR`, `CLICOLOR_FORCE` (<https://bixense.com/clicolors>).
    pub(crate) fn is_for(self, to: &impl IsTerminal) -> bool {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if variable("NO_COLOR").is_some() => false,
            Self::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto if variable("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => to.is_terminal() && !is_dumb(),
        }
    }
}

/// Whether the terminal supports only plain lines.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Colours and symbols, or plain replacements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextStyle {
    /// Whether to use colour.
    pub(crate) has_colour: bool,
    /// Whether the locale is UTF-8.
    pub(crate) has_unicode: bool,
    /// Whether the output is a terminal.
    pub(crate) is_screen: bool,
}

impl TextStyle {
    /// The style for this output.
    pub(crate) fn of(colour: Colour, to: &impl IsTerminal) -> Self {
        Self {
            has_colour: colour.is_for(to),
            has_unicode: !to.is_terminal() || is_utf8(),
            is_screen: to.is_terminal(),
        }
    }

    /// The symbol for something in order.
    pub(crate) fn good(self) -> String {
        self.coloured("32", if self.has_unicode { "✓" } else { "ok" })
    }

    /// The symbol for something that failed.
    pub(crate) fn bad(self) -> String {
        self.coloured("31", if self.has_unicode { "✗" } else { "x" })
    }

    /// The symbol for something that needs attention.
    pub(crate) fn open(self) -> String {
        self.coloured("33", if self.has_unicode { "●" } else { "!" })
    }

    /// The text, emphasised if possible.
    pub(crate) fn strong(self, text: &str) -> String {
        self.coloured("1", &self.plain(text))
    }

    /// Less important text.
    pub(crate) fn faint(self, text: &str) -> String {
        self.coloured("2", &self.plain(text))
    }

    /// Replaces our symbols in a text if the locale does not support them.
    pub(crate) fn plain(self, text: &str) -> String {
        if self.has_unicode {
            return text.to_owned();
        }
        text.replace('·', "-").replace('…', "...")
    }

    fn coloured(self, code: &str, text: &str) -> String {
        if self.has_colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether the locale is UTF-8 (POSIX: by the first of these variables that is set).
fn is_utf8() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    said.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
