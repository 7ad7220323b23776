//! How far estimates are from what a model server counts, before any report and when calibrated.
//!
//! `cargo run -p journeyman-llm --example token_figures -- URL`
//!
//! The server must count (llama.cpp's does). Measured are pieces of about 2,000 bytes of this repository's own pages and
//! sources, and the CJK and emoji texts of the estimator's tests. Of each class every second piece is reported to the
//! estimator, those of all classes in turn; the others are what it is measured with. The error is the mean over the
//! pieces of the difference in per cent of the true count.

#![allow(clippy::print_stdout)] // a program for people

use std::error::Error;
use std::path::{Path, PathBuf};

use journeyman_event::Tokens;
use journeyman_llm::{Estimator, Message, MessageRole, ModelServer, OpenAi, OpenAiOptions};

const PIECE_BYTES: usize = 2_000;
/// Of each class.
const PIECES_MAX: usize = 60;
const TEXTS: &str = include_str!("../src/estimate/texts.txt");

struct Counted {
    text: String,
    tokens: Tokens,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: token_figures URL")?;
    let server = OpenAi::new(OpenAiOptions::new(&url, ""))?;
    let name = server.describe().await?.name;
    println!("{name}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut classes = Vec::new();
    for (class, texts) in [
        ("prose", pieces(&[root.join("docs")], "md")?),
        (
            "code",
            pieces(
                &[root.join("crates/server/src"), root.join("crates/llm/src")],
                "rs",
            )?,
        ),
        ("cjk", of_class("cjk")),
        ("emoji", of_class("emoji")),
    ] {
        let mut counted = Vec::new();
        for text in texts {
            let tokens = tokens(&server, &text).await?;
            counted.push(Counted { text, tokens });
        }
        classes.push((class, counted));
    }
    let mut calibrated = Estimator::default();
    for at in (0..PIECES_MAX).step_by(2) {
        for (_, counted) in &classes {
            // A class with few texts reports them again.
            let one = &counted[at % (counted.len() - counted.len() % 2)];
            calibrated.calibrate(&one.text, one.tokens);
        }
    }
    println!(
        "{:<8} {:>7} {:>8} {:>8} {:>11}",
        "class", "pieces", "tokens", "cold", "calibrated"
    );
    for (class, counted) in &classes {
        let held_out: Vec<&Counted> = counted.iter().skip(1).step_by(2).collect();
        let tokens: u64 = held_out.iter().map(|one| one.tokens.0).sum();
        println!(
            "{class:<8} {:>7} {tokens:>8} {:>6.1} % {:>9.1} %",
            held_out.len(),
            mean_error(&Estimator::default(), &held_out),
            mean_error(&calibrated, &held_out),
        );
    }
    Ok(())
}

/// What the server counts for a text, without its chat template.
async fn tokens(server: &OpenAi, text: &str) -> Result<Tokens, Box<dyn Error>> {
    let count = async |content: &str| {
        let message = Message {
            role: MessageRole::User,
            content: content.to_owned(),
        };
        server.count(&[message]).await
    };
    let (whole, empty) = (count(text).await?, count("").await?);
    if !whole.exact {
        return Err("this server does not count tokens".into());
    }
    Ok(whole.tokens - empty.tokens)
}

fn mean_error(estimator: &Estimator, counted: &[&Counted]) -> f64 {
    let errors = counted.iter().map(|one| {
        let missed = estimator.estimate(&one.text).0.abs_diff(one.tokens.0);
        100.0 * float(missed) / float(one.tokens.0)
    });
    errors.sum::<f64>() / float(counted.len() as u64)
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The first pieces of the files in folders, each of whole lines.
fn pieces(folders: &[PathBuf], extension: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|own| own == extension));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let mut piece = String::new();
        for line in std::fs::read_to_string(file)?.split_inclusive('\n') {
            piece.push_str(line);
            if piece.len() >= PIECE_BYTES {
                found.push(std::mem::take(&mut piece));
            }
        }
    }
    found.truncate(PIECES_MAX);
    Ok(found)
}

fn of_class(class: &str) -> Vec<String> {
    let cases = TEXTS
        .split("\n=====\n")
        .filter_map(|case| case.split_once('\n'));
    let own = cases.filter(|(head, _)| head.starts_with(class));
    own.map(|(_, text)| text.to_owned()).collect()
}
