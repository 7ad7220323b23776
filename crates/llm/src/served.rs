//! Tells whether a model that a server says it used may be the one it was asked for.

/// A remark for a person about a server that says it used another model; `None` where the names may be of one model: a
/// path, a file, or a version of it.
pub fn other_model(asked: &str, served: &str) -> Option<String> {
    let bare = |name: &str| {
        let lower = name.trim().to_lowercase();
        let last = lower.rsplit(['/', '\\']).next().unwrap_or_default();
        let last = last.strip_suffix(".gguf").unwrap_or(last);
        last.strip_suffix(":latest").unwrap_or(last).to_owned()
    };
    let (wanted, used) = (bare(asked), bare(served));
    let is_one = wanted.is_empty()
        || used.is_empty()
        || wanted.starts_with(&used)
        || used.starts_with(&wanted);
    (!is_one)
        .then(|| format!("the model server was asked for {asked} and says that {served} answered"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_or_a_path_of_a_model_is_that_model_and_another_name_is_another() {
        for (asked, served) in [
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("qwen2.5-coder", "qwen2.5-coder:0.5b"),
            ("qwen2.5-coder:latest", "qwen2.5-coder"),
            ("Qwen/Qwen2.5-Coder-7B", "qwen2.5-coder-7b"),
            ("qwen", "/models/qwen.gguf"),
            ("", "anything"),
            ("qwen", ""),
        ] {
            assert_eq!(other_model(asked, served), None, "{asked} {served}");
        }
        let told = other_model("gpt-4o", "gpt-3.5-turbo");
        let words = "the model server was asked for gpt-4o and says that gpt-3.5-turbo answered";
        assert_eq!(told.as_deref(), Some(words));
    }
}
