//! Shortens long texts: keeps the beginning and the end, with a mark that says how much is missing.

/// A text that was shortened to a maximum size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounded {
    pub(crate) text: String,
    /// Whether anything was left out.
    pub(crate) cut: bool,
}

/// The longest mark, in bytes.
const MARK_MAX: usize = 48;

/// Shortens a text to at most `max` bytes by leaving out its middle. Cuts between characters. If `max` is too
/// small for the mark, only a beginning is kept.
pub(crate) fn bounded(text: String, max: usize) -> Bounded {
    if text.len() <= max {
        return Bounded { text, cut: false };
    }
    let Some(room) = max.checked_sub(MARK_MAX) else {
        let text = text[..text.floor_char_boundary(max)].to_owned();
        return Bounded { text, cut: true };
    };
    // Errors are usually at the end, but the beginning says what the text is.
    let head = text.floor_char_boundary(room / 2);
    let tail = text.ceil_char_boundary(text.len() - (room - head));
    let left_out = tail - head;
    let (head, tail) = (&text[..head], &text[tail..]);
    Bounded {
        text: format!("{head}\n[... {left_out} bytes left out ...]\n{tail}"),
        cut: true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_stays() {
        let kept = bounded("é".into(), 2);
        assert_eq!((kept.text.as_str(), kept.cut), ("é", false));
    }

    #[test]
    fn beginning_and_end_are_kept_around_a_mark() {
        let text = format!("begin{}end", "x".repeat(1_000));
        let kept = bounded(text, 100);
        assert_eq!(
            kept.text,
            format!(
                "begin{}\n[... 956 bytes left out ...]\n{}end",
                "x".repeat(21),
                "x".repeat(23)
            )
        );
    }

    proptest! {
        #[test]
        fn it_is_never_longer_than_asked_and_accounts_for_every_byte(
            text in "\\PC{0,200}", max in 0_usize..300,
        ) {
            let kept = bounded(text.clone(), max);
            prop_assert!(kept.text.len() <= max.max(text.len().min(max)));
            prop_assert_eq!(kept.cut, text.len() > max);
            if kept.cut && max >= MARK_MAX {
                let (head, rest) = kept.text.rsplit_once("\n[... ").unwrap();
                let (count, tail) = rest.split_once(" bytes left out ...]\n").unwrap();
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                let count: usize = count.parse().unwrap();
                prop_assert_eq!(head.len() + count + tail.len(), text.len());
            } else {
                prop_assert!(text.starts_with(&kept.text));
            }
        }
    }
}
