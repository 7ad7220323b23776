//! The lines of standard input and output. What is no message is answered here, in the protocol's own form: the SDK passes
//! it over in silence, and a client would wait.

use std::io;

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream,
};
use tokio::sync::Mutex;

use crate::json_rpc::Malformed;

/// Bytes of one line of input. A longer one is answered with an error, and nothing is read any more.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Bytes that may be on their way to the service, and as many from it.
const BUFFER_BYTES: usize = 64 << 10;

/// A stream for the service, on which only messages come, and what carries them from `input` and to `output`: to be
/// polled until it ends, which it does when the service's end is dropped. Where the input ends, the service is told so and
/// may still answer.
pub(crate) fn checked<R, W>(
    input: R,
    output: W,
) -> (DuplexStream, impl Future<Output = io::Result<()>>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (service, ours) = tokio::io::duplex(BUFFER_BYTES);
    let carry = async move {
        let (from_service, mut to_service) = tokio::io::split(ours);
        let output = Mutex::new(output);
        let inward = async {
            let mut input = BufReader::new(input);
            while let Some(line) = next_line(&mut input, LINE_BYTES_MAX + 1).await? {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let is_too_long = line.len() as u64 > LINE_BYTES_MAX;
                let malformed = if is_too_long {
                    Some(Malformed::too_long(LINE_BYTES_MAX))
                } else {
                    Malformed::find(&line)
                };
                match malformed {
                    None => to_service.write_all(&line).await?,
                    Some(malformed) => {
                        write_line(&output, malformed.to_string().as_bytes()).await?;
                    }
                }
                if is_too_long {
                    break;
                }
            }
            to_service.shutdown().await
        };
        let outward = async {
            let mut lines = BufReader::new(from_service);
            while let Some(line) = next_line(&mut lines, u64::MAX).await? {
                write_line(&output, line.trim_ascii_end()).await?;
            }
            io::Result::Ok(())
        };
        tokio::pin!(outward);
        tokio::select! {
            ended = &mut outward => ended,
            ended = inward => {
                ended?;
                outward.await
            }
        }
    };
    (service, carry)
}

/// The next line with its end, or as much of it as may be read; none at the end of the input.
async fn next_line<R: AsyncRead + Unpin>(
    lines: &mut BufReader<R>,
    bytes_max: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = lines.take(bytes_max).read_until(b'\n', &mut line).await?;
    Ok((read > 0).then_some(line))
}

/// Writes one line as a whole. Lines of concurrent writers are not mixed.
async fn write_line<W: AsyncWrite + Unpin>(output: &Mutex<W>, line: &[u8]) -> io::Result<()> {
    let mut output = output.lock().await;
    output.write_all(line).await?;
    output.write_all(b"\n").await?;
    output.flush().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn what_is_no_message_is_answered_and_the_others_reach_the_service() {
        let (client, input_and_output) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(input_and_output);
        let (service, carry) = checked(input, output);
        let client = async {
            let (answers, mut questions) = tokio::io::split(client);
            let text = "{oops\n\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n{\"id\":7,\"method\":\"ping\"}\n";
            questions.write_all(text.as_bytes()).await.unwrap();
            questions.shutdown().await.unwrap();
            let mut answers = BufReader::new(answers);
            let mut all: Vec<Value> = Vec::new();
            while let Some(line) = next_line(&mut answers, u64::MAX).await.unwrap() {
                all.push(serde_json::from_slice(&line).unwrap());
            }
            all
        };
        let service = async {
            let (questions, mut answers) = tokio::io::split(service);
            let mut questions = BufReader::new(questions);
            while let Some(line) = next_line(&mut questions, u64::MAX).await.unwrap() {
                answers.write_all(&line).await.unwrap();
            }
        };
        let (mut all, carried, ()) = tokio::join!(client, carry, service);
        carried.unwrap();
        all.sort_by_key(|answer| answer["error"]["code"].as_i64());
        let found: Vec<(&Value, &Value)> = all
            .iter()
            .map(|answer| (&answer["id"], &answer["error"]["code"]))
            .collect();
        let ping = (&json!(1), &Value::Null);
        let parse = (&Value::Null, &json!(-32_700));
        let request = (&json!(7), &json!(-32_600));
        assert_eq!(found, [ping, parse, request]);
    }
}
