//! Starts the managed model server, streams one answer, and lets it go, so that it ends: what a managed
//! server takes and leaves, by hand. What is missing (Python environment, engine, weights) is fetched first.
//!
//! `cargo run -p journeyman-llm --example managed -- DATA_DIR MODEL`

#![allow(clippy::print_stdout, clippy::print_stderr)] // printing is what it is for

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Hub};
use journeyman_llm::{
    Delta, EnginePurpose, Managed, ManagedOptions, Message, MessageRole, ModelServer, Request,
    SupervisorCommand, SupervisorTimeouts, find_engine, supervise,
};
use tokio_util::sync::CancellationToken;

/// This program is its own supervisor.
const SUPERVISE: &str = "supervise";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [first, config] if first == SUPERVISE => Ok(supervise(config)?),
        _ => use_server(arguments),
    }
}

#[tokio::main]
async fn use_server(arguments: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut arguments = arguments.into_iter();
    let (Some(data_dir), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("usage: managed DATA_DIR MODEL".into());
    };
    let start = Instant::now();
    let seconds = move || start.elapsed().as_secs_f32();
    let report = move |step| eprintln!("{:7.1} s  {step}", seconds());
    let environment = Environment::ensure(data_dir.as_ref(), &report).await?;
    let options = ManagedOptions {
        purpose: EnginePurpose::Answers,
        data_dir: data_dir.into(),
        environment,
        engine: find_engine(),
        model,
        context: Tokens(2_048),
        slots: 1,
        idle: Duration::ZERO,
        timeouts: SupervisorTimeouts::default(),
        supervisor: SupervisorCommand {
            program: std::env::current_exe()?,
            arguments: vec![SUPERVISE.into()],
        },
        hub: Hub::default(),
    };
    let server = Managed::start(options, &report).await?;
    let info = server.describe().await?;
    let window = info.window.tokens;
    eprintln!(
        "{:7.1} s  {} is ready, {window} tokens",
        seconds(),
        info.name
    );

    let request = Request {
        messages: vec![Message {
            role: MessageRole::User,
            content: "Write a Python function that tells whether a number is prime.".to_owned(),
        }],
        max_tokens: Tokens(200),
        temperature: 0.2,
        seed: Some(1),
        stop: Vec::new(),
        trace: None,
        schema: None,
    };
    let count = server.count(&request.messages).await?;
    let mut show = |delta: Delta<'_>| {
        print!("{}", delta.text);
        std::io::stdout().flush().ok();
    };
    let never = CancellationToken::new();
    let answer = server.answer(&request, &mut show, &never).await?;
    println!();
    eprintln!("{:7.1} s  counted {count:?}; {:?}", seconds(), answer.usage);
    Ok(())
}
