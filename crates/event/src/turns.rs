//! Detects the end of a turn in the text of an answer. A server that does not know a model's chat template passes
//! the template's marks on as text, and the model continues with further turns.
//!
//! It is here because both the client of a model server and the reader of a recorded answer need it, and a recorded
//! answer has to be read in the same way again.

/// The marks that end a turn in the templates of models.
const ENDS: &[&str] = &[
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|return|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
];
/// How the marks of templates begin: those that end a turn, and those that start the next one.
const MARKS: &[&str] = &[
    "<|",
    "<｜",
    "<s>",
    "</s>",
    "<start_of_turn>",
    "<end_of_turn>",
];
/// The mark before the name of a channel.
const CHANNEL: &str = "<|channel|>";
/// Names of the next speaker, where no other mark precedes them.
const SPEAKERS: &[&str] = &["assistant\n", "model\n", "system\n", "user\n"];
/// The length in bytes of the longest mark with what must follow it.
const END_BYTES_MAX: usize = 48;

/// The position where the first turn of a text ends: at a mark followed by the end of the text, a line break,
/// another mark or the next speaker. In strings of program code a mark is followed by something else. If the
/// answer uses channels (OpenAI's Harmony format), `<|end|>` only ends one of several messages.
pub fn end_of_turn(text: &str) -> Option<usize> {
    end_of(text, text.contains(CHANNEL))
}

fn end_of(text: &str, has_channels: bool) -> Option<usize> {
    ENDS.iter()
        .filter(|end| !(has_channels && **end == "<|end|>"))
        .filter_map(|end| {
            let mut marks = text.match_indices(end);
            marks.find(|(at, _)| {
                let rest = text[at + end.len()..].trim_start_matches(' ');
                // In HTML it ends what is struck through.
                let is_html = *end == "</s>" && text[..*at].contains("<s>");
                !is_html
                    && (rest.is_empty()
                        || rest.starts_with(['\n', '\r'])
                        || MARKS.iter().any(|mark| rest.starts_with(mark))
                        || SPEAKERS.iter().any(|speaker| rest.starts_with(speaker)))
            })
        })
        .map(|(at, _)| at)
        .min()
}

/// Watches an answer while it streams. It keeps the last 48 bytes of what came.
#[derive(Debug, Default)]
pub struct TurnDetector {
    /// The end of the text so far.
    tail: String,
    /// Whether the answer uses channels.
    has_channels: bool,
}

impl TurnDetector {
    /// Takes the next piece of text. Returns true if the turn has ended and text follows.
    pub fn ended(&mut self, piece: &str) -> bool {
        self.tail.push_str(piece);
        // A mark at the very end may stand in a string whose rest is still to come.
        self.has_channels |= self.tail.contains(CHANNEL);
        let ended = end_of(self.tail.trim_end_matches(' '), self.has_channels).is_some_and(|at| {
            let line = self.tail[at..].trim_end_matches(' ');
            // Of what came before it too little is known to tell HTML.
            let goes_on = line.contains(['\n', '\r']) || line.matches('<').count() > 1;
            goes_on && !line.starts_with("</s>")
        });
        let mut from = self.tail.len().saturating_sub(END_BYTES_MAX);
        while !self.tail.is_char_boundary(from) {
            from += 1;
        }
        self.tail.drain(..from);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_at_a_mark_and_not_in_the_strings_of_a_program() {
        for (text, end) in [
            ("x = 1\n<|im_end|>\n<|im_start|>user\n", Some(6)),
            ("x = 1<end_of_turn>\n", Some(5)),
            ("x = 1<|im_end|><|im_start|>", Some(5)),
            ("x = 1</s>", Some(5)),
            ("x = 1</s><s>", Some(5)),
            ("PAGE = '<s>x</s>\n", None),
            ("PAGE = text.replace('x', '</s><p>')", None),
            ("x = 1<|im_end|>", Some(5)),
            ("x = 1\n<|im_end|>user\nThanks", Some(6)),
            ("END = \"<|im_end|>\"\n", None),
            ("x < 1\n", None),
            (
                "<|channel|>analysis<|message|>Simple, and so long that the channel's mark is out of sight.<|end|>\
                 <|start|>assistant<|channel|>final<|message|>x = 1\n",
                None,
            ),
        ] {
            assert_eq!(end_of_turn(text), end, "{text}");
            let mut turn = TurnDetector::default();
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            let ended = pieces.iter().any(|piece| turn.ended(piece));
            let goes_on = end
                .is_some_and(|at| text[at..] != *"<|im_end|>" && !text[at..].starts_with("</s>"));
            assert_eq!(ended, goes_on, "{text} in pieces");
            assert_eq!(TurnDetector::default().ended(text), goes_on, "{text}");
        }
    }
}
