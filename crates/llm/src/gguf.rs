//! Reads the metadata of weight files (GGUF: `docs/gguf.md` of github.com/ggml-org/ggml).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Error;
use crate::source::wrong;

/// The first bytes of a GGUF file.
pub(crate) const MAGIC: &[u8] = b"GGUF";

/// Whether a weight file contains a chat template. Models without one were not trained to follow instructions.
/// Searches the file's metadata, which precede the weights. Returns true if the file cannot be read.
pub(crate) fn has_chat_template(weights: &Path) -> bool {
    /// An upper bound for the size of the metadata, including the vocabulary.
    const METADATA_BYTES_MAX: u64 = 64 << 20;
    const STRETCH_BYTES: u64 = 1 << 20;
    const KEY: &[u8] = b"tokenizer.chat_template";
    let Ok(file) = File::open(weights) else {
        return true;
    };
    let mut file = file.take(METADATA_BYTES_MAX);
    // Reads a block at a time, together with the end of the previous one: the key is usually near the
    // beginning.
    let mut stretch = Vec::new();
    loop {
        let kept = stretch.len().saturating_sub(KEY.len());
        stretch.drain(..kept);
        match file.by_ref().take(STRETCH_BYTES).read_to_end(&mut stretch) {
            Ok(0) => return false,
            Ok(_) if stretch.windows(KEY.len()).any(|bytes| bytes == KEY) => return true,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// Checks whether a user's own file looks like a weight file.
pub(crate) fn check_file(path: &Path) -> Result<(), Error> {
    let begins = || {
        let mut first = [0; MAGIC.len()];
        File::open(path)?.read_exact(&mut first).map(|()| first)
    };
    let why = match begins() {
        Ok(first) if first == MAGIC => return Ok(()),
        Ok(_) => "it is no GGUF file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(wrong(format!(
        "{} cannot be used as a model: {why}",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_without_a_chat_template_are_told_from_those_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        for (metadata, has) in [
            (&b"GGUF..tokenizer.chat_template..{% for %}"[..], true),
            (b"GGUF..tokenizer.ggml.tokens", false),
        ] {
            std::fs::write(&file, metadata).unwrap();
            assert_eq!(has_chat_template(&file), has);
        }
        // It may span two blocks.
        let mut far = vec![b'.'; (1 << 20) - 10];
        far.extend(b"tokenizer.chat_template..");
        std::fs::write(&file, far).unwrap();
        assert!(has_chat_template(&file));
        assert!(has_chat_template(&folder.path().join("none")));
    }
}
