//! Parses Python literals in running text: finds their end, and converts them to Python's spelling. Implemented by
//! hand, because a parse tree does not show where a literal in a sentence ends, and does not contain literals such
//! as other languages' `true`.

/// The deepest nesting of a literal that is read as an example.
const DEPTH_MAX: usize = 20;

/// The literal at the start of `text`, in Python's spelling, and the text after it. `true`, `false` and `null`
/// of other languages are converted.
pub(super) fn literal(text: &str) -> Option<(String, &str)> {
    let mut scanner = Scanner {
        rest: text,
        out: String::new(),
    };
    scanner.value(0)?;
    Some((scanner.out, scanner.rest))
}

/// The arguments of a call after its opening parenthesis, and the text after the closing one. Only literals,
/// positional or named.
pub(super) fn arguments(text: &str) -> Option<(String, &str)> {
    let mut scanner = Scanner {
        rest: text,
        out: String::new(),
    };
    scanner.items(')', 0, Scanner::argument)?;
    scanner.out.pop();
    Some((scanner.out, scanner.rest))
}

/// The identifier at the start of `text`, and the text after it.
pub(super) fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..end];
    super::is_name(name).then_some((name, &text[end..]))
}

struct Scanner<'t> {
    rest: &'t str,
    out: String,
}

impl Scanner<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(c)?;
        self.out.push(c);
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.rest.chars().next()? {
            '[' => self.open('[', ']', depth),
            '(' => self.open('(', ')', depth),
            '{' => self.open('{', '}', depth),
            '\'' | '"' => self.string(),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => self.word(),
        }
    }

    fn open(&mut self, open: char, close: char, depth: usize) -> Option<()> {
        self.take(open)?;
        let item: fn(&mut Self, usize) -> Option<()> = if open == '{' {
            Self::entry
        } else {
            Self::value
        };
        self.items(close, depth + 1, item)
    }

    /// Comma-separated items up to and including `close`.
    fn items(
        &mut self,
        close: char,
        depth: usize,
        item: fn(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        loop {
            self.skip_space();
            if self.rest.starts_with(close) {
                return self.take(close);
            }
            item(self, depth)?;
            self.skip_space();
            if self.rest.starts_with(',') {
                self.take(',')?;
                self.out.push(' ');
            } else if !self.rest.starts_with(close) {
                return None;
            }
        }
    }

    /// `key: value` of a dictionary, or an element of a set.
    fn entry(&mut self, depth: usize) -> Option<()> {
        self.value(depth)?;
        self.skip_space();
        if self.rest.starts_with(':') {
            self.take(':')?;
            self.out.push(' ');
            self.skip_space();
            self.value(depth)?;
        }
        Some(())
    }

    fn argument(&mut self, depth: usize) -> Option<()> {
        if let Some((name, after)) = identifier(self.rest)
            && let Some(value) = after.trim_start().strip_prefix('=')
        {
            self.out.push_str(name);
            self.out.push('=');
            self.rest = value;
            self.skip_space();
        }
        self.value(depth)
    }

    fn string(&mut self) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' => return None,
                c if c == quote => {
                    let (text, rest) = self.rest.split_at(at + 1);
                    self.out.push_str(text);
                    self.rest = rest;
                    return Some(());
                }
                _ => {}
            }
        }
        None
    }

    fn number(&mut self) -> Option<()> {
        let unsigned = self.rest.trim_start_matches(['-', '+']);
        let mut end = self.rest.len() - unsigned.len();
        if end > 1 {
            return None;
        }
        let mut chars = unsigned.chars().peekable();
        let mut previous = ' ';
        while let Some(c) = chars.next() {
            // A full stop after a number ends the sentence, unless a digit follows.
            let stop = c == '.' && !chars.peek().is_some_and(char::is_ascii_digit);
            let exponent_sign = matches!(c, '-' | '+') && matches!(previous, 'e' | 'E');
            let part = c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '_') || exponent_sign;
            if stop || !part {
                break;
            }
            previous = c;
            end += 1;
        }
        let (text, rest) = self.rest.split_at(end);
        if text.replace('_', "").parse::<f64>().is_err() || rest.starts_with(char::is_alphanumeric)
        {
            return None;
        }
        self.out.push_str(text);
        self.rest = rest;
        Some(())
    }

    fn word(&mut self) -> Option<()> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.out.push_str(match word {
            "True" | "true" | "TRUE" => "True",
            "False" | "false" | "FALSE" => "False",
            "None" | "none" | "null" => "None",
            _ => return None,
        });
        self.rest = rest;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_every_kind_end_where_they_end() {
        for (text, spelled, rest) in [
            ("5.", "5", "."),
            ("-2.5e-3, x", "-2.5e-3", ", x"),
            ("[1,2 , [3]] and", "[1, 2, [3]]", " and"),
            ("{'a': 1,'b':(2,)}", "{'a': 1, 'b': (2, )}", ""),
            ("true # so", "True", " # so"),
            (r#""a\"b" x"#, r#""a\"b""#, " x"),
            ("None.", "None", "."),
            ("[]", "[]", ""),
        ] {
            assert_eq!(literal(text), Some((spelled.to_owned(), rest)), "{text}");
        }
        for text in [
            "", "x", "[1", "'open", "1a", "--1", "[x]", "Truest", "[1 2]",
        ] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn arguments_are_literals_and_may_have_names() {
        assert_eq!(
            arguments("[1], n = 2) == 3"),
            Some(("[1], n=2".to_owned(), " == 3"))
        );
        assert_eq!(arguments(") is 1"), Some((String::new(), " is 1")));
        assert_eq!(arguments("x) == 1"), None);
        assert_eq!(arguments("[[[[[[[[[[[[[[[[[[[[[[1"), None);
    }
}
