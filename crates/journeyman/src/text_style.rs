//! How text looks on a terminal: colour, marks, and characters that the locale has.

use std::env;
use std::io::IsTerminal;

/// Whether there is to be colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    /// On a terminal that can, unless the environment says otherwise.
    #[default]
    Auto,
    /// Wherever it goes.
    Always,
    /// Nowhere.
    Never,
}

impl Colour {
    /// Its name, as in the settings.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// Whether what is written there has colour: with `auto` as `NO_COLOR` (<https://no-color.org>) and
    /// `CLICOLOR`, `CLICOLOR_FORCE` (<https://bixense.com/clicolors>) want it.
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

/// Whether the terminal knows no more than lines of text.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Colours and marks, or what there is without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextStyle {
    /// Whether there is colour.
    pub(crate) has_colour: bool,
    /// Whether the terminal's locale is UTF-8.
    pub(crate) has_unicode: bool,
    /// Whether a person looks at a terminal.
    pub(crate) is_screen: bool,
}

impl TextStyle {
    /// For what is written there.
    pub(crate) fn of(colour: Colour, to: &impl IsTerminal) -> Self {
        Self {
            has_colour: colour.is_for(to),
            has_unicode: !to.is_terminal() || is_utf8(),
            is_screen: to.is_terminal(),
        }
    }

    /// A mark for what is as it should be.
    pub(crate) fn good(self) -> String {
        self.coloured("32", if self.has_unicode { "✓" } else { "ok" })
    }

    /// A mark for what is not.
    pub(crate) fn bad(self) -> String {
        self.coloured("31", if self.has_unicode { "✗" } else { "x" })
    }

    /// A mark for what needs a look.
    pub(crate) fn open(self) -> String {
        self.coloured("33", if self.has_unicode { "●" } else { "!" })
    }

    /// What matters.
    pub(crate) fn strong(self, text: &str) -> String {
        self.coloured("1", &self.plain(text))
    }

    /// What matters less.
    pub(crate) fn faint(self, text: &str) -> String {
        self.coloured("2", &self.plain(text))
    }

    /// A text with the marks of ours that the locale has.
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

/// Whether the locale writes UTF-8 (POSIX: the first of these variables that says anything).
fn is_utf8() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    said.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
