//! Reads an output stream to its end and keeps its first and last part. Knows nothing about processes.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

/// The part of an output stream that was kept.
pub(crate) struct Captured {
    pub(crate) text: String,
    pub(crate) truncated: bool,
}

/// Reads until the end of the stream, or until `stop` for a writer that does not end. Keeps at most
/// `bytes_max`, but continues to read, so that the writer does not block.
pub(crate) async fn capture(
    mut source: impl AsyncRead + Unpin,
    bytes_max: usize,
    stop: &CancellationToken,
) -> Captured {
    let mut kept = HeadAndTail::new(bytes_max);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            read = source.read(&mut buffer) => read,
            () = stop.cancelled() => break,
        };
        match read {
            // A broken pipe reads as its end: what came is all there is.
            Ok(0) | Err(_) => break,
            Ok(count) => kept.push(buffer.get(..count).unwrap_or_default()),
        }
    }
    kept.finish()
}

struct HeadAndTail {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    dropped: u64,
}

impl HeadAndTail {
    fn new(bytes_max: usize) -> Self {
        let tail_max = bytes_max / 2;
        Self {
            head: Vec::new(),
            head_max: bytes_max - tail_max,
            tail: VecDeque::new(),
            tail_max,
            dropped: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self
            .head_max
            .saturating_sub(self.head.len())
            .min(bytes.len());
        let (head, tail) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(tail);
        let excess = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    fn finish(self) -> Captured {
        let mut bytes = self.head;
        if self.dropped > 0 {
            bytes.extend_from_slice(
                format!("\n[... {} bytes left out ...]\n", self.dropped).as_bytes(),
            );
        }
        bytes.extend(self.tail);
        Captured {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            truncated: self.dropped > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn captured(bytes: &[u8], bytes_max: usize) -> Captured {
        capture(bytes, bytes_max, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn output_within_the_bound_is_kept_as_it_is() {
        let kept = captured(b"0123456789", 10).await;
        assert_eq!((kept.text.as_str(), kept.truncated), ("0123456789", false));
    }

    #[tokio::test]
    async fn output_beyond_the_bound_keeps_head_and_tail_with_a_mark() {
        let kept = captured(b"0123456789abcdef", 6).await;
        assert_eq!(kept.text, "012\n[... 10 bytes left out ...]\ndef");
        assert!(kept.truncated);
    }

    #[tokio::test]
    async fn bytes_that_are_no_utf_8_are_replaced() {
        assert_eq!(captured(b"a\xffb", 10).await.text, "a\u{fffd}b");
    }
}
