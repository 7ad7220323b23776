//! The bare model: one greedy answer to a plain request, cached by content.

use std::fs;
use std::path::Path;

use journeyman_event::{ContentHash, Tokens};
use journeyman_llm::{Message, MessageRole, ModelInfo, ModelServer, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::dataset::Problem;

/// The most tokens of the bare model's answer. Longer answers are repetitions.
const ANSWER_MAX: Tokens = Tokens(1_024);

/// The answer of the bare model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BareAnswer {
    pub(crate) text: String,
    pub(crate) tokens: Tokens,
    pub(crate) seconds: f64,
}

impl BareAnswer {
    /// The code in the answer: the longest fenced block, or else the whole text.
    pub(crate) fn code(&self) -> &str {
        let mut longest = "";
        for block in self.text.split("```").skip(1).step_by(2) {
            let (language, code) = block.split_once('\n').unwrap_or(("", block));
            let code = if language.trim().chars().all(char::is_alphanumeric) {
                code
            } else {
                block
            };
            if code.len() > longest.len() {
                longest = code;
            }
        }
        if longest.is_empty() {
            &self.text
        } else {
            longest
        }
    }
}

/// Asks the model once with greedy sampling, or returns the cached answer to the same request.
pub(crate) async fn bare(
    server: &dyn ModelServer,
    info: &ModelInfo,
    problem: &Problem,
    cache: &Path,
    cancel: &CancellationToken,
) -> Result<BareAnswer, Error> {
    let content = format!(
        "Complete the following Python code. Answer with the whole code in one ```python block.\n\n\
         ```python\n{}\n```",
        problem.prompt.trim()
    );
    let key =
        json!({"model": info.name, "server": info.server, "content": content, "max": ANSWER_MAX});
    let name = ContentHash::of(key.to_string().as_bytes())
        .to_string()
        .replace(':', "-");
    let path = cache.join(format!("bare-{name}.json"));
    if let Ok(text) = fs::read_to_string(&path)
        && let Ok(answer) = serde_json::from_str(&text)
    {
        return Ok(answer);
    }
    let request = Request {
        messages: vec![Message {
            role: MessageRole::User,
            content,
        }],
        max_tokens: ANSWER_MAX,
        temperature: 0.0,
        seed: Some(0),
        stop: Vec::new(),
        trace: None,
        schema: None,
    };
    let answer = server.answer(&request, &mut |_| {}, cancel).await?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a call")]
    let answer = BareAnswer {
        tokens: answer.usage.prompt + answer.usage.completion,
        seconds: answer.total_ms as f64 / 1_000.0,
        text: answer.text,
    };
    let partial = path.with_extension("partial");
    let text = json!(answer).to_string();
    fs::write(&partial, text).map_err(|e| Error::io(&partial, e))?;
    fs::rename(&partial, &path).map_err(|e| Error::io(&path, e))?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let answer = BareAnswer {
            text: text.to_owned(),
            tokens: Tokens::ZERO,
            seconds: 0.0,
        };
        answer.code().to_owned()
    }

    #[test]
    fn the_longest_block_is_the_code() {
        assert_eq!(code("a\n```python\nx = 1\n```\nb\n```\ny\n```"), "x = 1\n");
        assert_eq!(code("```py\nx = 1"), "x = 1");
        assert_eq!(code("x = 1"), "x = 1");
    }
}
