//! Tool calls in a model's answer. No tools are offered to the model through the server's API, but some models call
//! one anyway. Such a call is converted back to the text the model wrote, which the reader of the answer
//! understands.

use serde_json::{Value, json};

/// A tool call, or a fragment of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    /// The index of the call within the answer, if the server gives it.
    index: u64,
    name: String,
    /// JSON text; in a fragment it may be cut anywhere.
    pub(crate) arguments: String,
}

impl Call {
    /// The calls in a message or in a fragment of one.
    pub(crate) fn of(message: &Value) -> Vec<Self> {
        let list = match &message["tool_calls"] {
            Value::Array(calls) => calls.as_slice(),
            one @ Value::Object(_) => std::slice::from_ref(one),
            _ => &[],
        };
        let calls = list
            .iter()
            .map(|call| (call["index"].as_u64(), &call["function"]));
        // The older name, for one alone.
        let older = Some((None, &message["function_call"])).filter(|(_, call)| call.is_object());
        let read = |(index, function): (Option<u64>, &Value)| Self {
            index: index.unwrap_or_default(),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: match &function["arguments"] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        };
        calls.chain(older).map(read).collect()
    }

    /// Whether the arguments are complete.
    pub(crate) fn is_whole(&self) -> bool {
        serde_json::from_str::<Value>(&self.arguments).is_ok()
    }

    /// Appends a fragment to the calls received before.
    pub(crate) fn add(self, calls: &mut Vec<Self>) {
        let begun = calls.iter_mut().rfind(|call| {
            call.index == self.index
                && !call.is_whole()
                && (self.name.is_empty() || self.name == call.name)
        });
        match begun {
            Some(call) => call.arguments.push_str(&self.arguments),
            None => calls.push(self),
        }
    }

    /// The call in the form in which models write calls as text.
    pub(crate) fn text(&self) -> String {
        let read = serde_json::from_str::<Value>(&self.arguments);
        let arguments = read.unwrap_or_else(|_| self.arguments.as_str().into());
        let call = json!({"name": self.name, "arguments": arguments});
        format!("<tool_call>\n{call}\n</tool_call>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_put_together_from_the_pieces_of_every_form() {
        let one = json!({"name": "f", "arguments": "{\"a\": 1}"});
        let other = json!({"name": "g", "arguments": {"b": 2}});
        let piece = |index: u64, name: Value, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]});
        let both = [("f", "{\"a\": 1}"), ("g", "{\"b\":2}")];
        for (form, pieces, expected) in [
            (
                "whole",
                vec![json!({"tool_calls": [{"function": one}, {"function": other}]})],
                &both[..],
            ),
            (
                "one by one",
                vec![
                    json!({"tool_calls": [{"function": one}]}),
                    json!({"tool_calls": [{"function": other}]}),
                ],
                &both[..],
            ),
            (
                "in pieces",
                vec![
                    piece(0, json!("f"), ""),
                    piece(0, json!(null), "{\"a\""),
                    piece(0, json!(""), ": 1}"),
                    piece(1, json!("g"), "{\"b\":2}"),
                ],
                &both[..],
            ),
            (
                "a name in each",
                vec![piece(0, json!("f"), "{\"a\""), piece(0, json!("f"), ": 1}")],
                &both[..1],
            ),
            (
                "no list",
                vec![json!({"tool_calls": {"function": one}})],
                &both[..1],
            ),
            (
                "the older name",
                vec![json!({"function_call": one})],
                &both[..1],
            ),
            (
                "none",
                vec![json!({"tool_calls": null}), json!({"content": "x"})],
                &[],
            ),
        ] {
            let mut calls = Vec::new();
            for call in pieces.iter().flat_map(Call::of) {
                call.add(&mut calls);
            }
            let got: Vec<_> = calls
                .iter()
                .map(|call| (call.name.as_str(), call.arguments.as_str()))
                .collect();
            assert_eq!(got, expected, "{form}");
        }
        let cut = Call {
            index: 0,
            name: "f".to_owned(),
            arguments: "{\"a".to_owned(),
        };
        assert!(!cut.is_whole() && cut.text().contains("\"f\""), "{cut:?}");
    }
}
