//! The simulated model as a server: OpenAI's chat completions over HTTP, either correct or with one misbehaviour of
//! real servers, selected by name. For misbehaviours of Ollama it uses Ollama's native API.
//!
//! It implements HTTP/1.1 by hand, with one request per connection, because many misbehaviours (bytes cut anywhere,
//! resets, connections that stay open) cannot be expressed with an HTTP library.

mod http;
mod misbehaviour;
mod ollama;
mod reply;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journeyman_event::Tokens;
use journeyman_llm::{Message, MessageRole, ModelServer, Request};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use misbehaviour::{MISBEHAVIOURS, Misbehaviour, misbehaviour};
use reply::Reply;

use crate::{Script, SimulatedModel};

/// The name of the served model.
pub const SERVED_MODEL: &str = "simulated";
/// The longest answer, in tokens, if the request sets no limit.
const ANSWER_TOKENS_MAX: u64 = 4_096;

/// The options of a server.
#[derive(Clone, Copy, Debug)]
pub struct SimServerOptions {
    /// The address to listen on; port 0 selects any free port.
    pub address: SocketAddr,
    /// The script of the model. Latencies are ignored.
    pub script: Script,
    /// The misbehaviour; `None` for a correct server.
    pub misbehaviour: Option<&'static Misbehaviour>,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct SimServer {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    misbehaviour: Option<&'static Misbehaviour>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The number of requests per route.
    asked: HashMap<Route, u32>,
    /// The bodies of the requests for answers.
    calls: Vec<Value>,
}

/// The route of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Route {
    /// The list of models.
    Models,
    /// A request for an answer.
    Chat,
    /// An answer, at the address that [`Route::Chat`] redirects to.
    Moved,
    /// An answer, in Ollama's native API.
    OllamaChat,
    /// Any other request of Ollama's native API.
    About(ollama::About),
    Other,
}

impl Route {
    fn of(path: &str, body: &Value) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        if let Some(route) = Self::of_ollama(path, body) {
            return route;
        }
        match path {
            "/v1/models" => Self::Models,
            "/v1/chat/completions" => Self::Chat,
            "/moved/chat/completions" => Self::Moved,
            _ => Self::Other,
        }
    }
}

/// A request, and what a correct server would answer.
struct Call<'a> {
    route: Route,
    /// The number of requests for this route so far, including this one.
    nth: u32,
    body: &'a Value,
    text: &'a str,
    prompt_tokens: u64,
    completion_tokens: u64,
    was_cut: bool,
}

impl SimServer {
    /// Starts a server.
    pub async fn start(options: SimServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            script: options.script,
            misbehaviour: options.misbehaviour,
            seen: Mutex::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            // An error on one connection must not end the server.
            loop {
                if let Ok((socket, _)) = listener.accept().await {
                    let shared = serving.clone();
                    tokio::spawn(async move { shared.serve(socket).await });
                }
            }
        });
        Ok(Self {
            url,
            shared,
            accepting,
        })
    }

    /// The URL of the server, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bodies of the requests for answers so far, in order.
    pub fn calls(&self) -> Vec<Value> {
        self.shared.seen().calls.clone()
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request. Ignores clients that disconnect.
    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let asked = http::read(&mut socket).await?;
        let route = Route::of(&asked.path, &asked.body);
        let nth = {
            let mut seen = self.seen();
            if matches!(route, Route::Chat | Route::OllamaChat) {
                seen.calls.push(asked.body.clone());
            }
            let nth = seen.asked.entry(route).or_default();
            *nth += 1;
            *nth
        };
        let reply = self.reply(route, nth, &asked.body).await;
        http::write(socket, reply).await
    }

    async fn reply(&self, route: Route, nth: u32, body: &Value) -> Reply {
        let answer = match route {
            Route::Chat | Route::Moved | Route::OllamaChat => {
                let script = Script {
                    latency_ms: 0,
                    ..self.script
                };
                let model = SimulatedModel::new(script);
                let never = CancellationToken::new();
                let request = request(body);
                match model.answer(&request, &mut |_| {}, &never).await {
                    Ok(answer) => Some(answer),
                    Err(error) => return Reply::fails(400, &error.to_string()),
                }
            }
            Route::Models | Route::About(_) | Route::Other => None,
        };
        let usage = answer.as_ref().map(|answer| answer.usage);
        let usage = usage.unwrap_or_default();
        let call = Call {
            route,
            nth,
            body,
            text: answer.as_ref().map_or("", |answer| &answer.text),
            prompt_tokens: usage.prompt.0,
            completion_tokens: usage.completion.0,
            was_cut: answer
                .as_ref()
                .is_some_and(|answer| answer.finish != journeyman_llm::FinishReason::Stop),
        };
        let played = self.misbehaviour.and_then(|one| (one.play)(&call));
        played.unwrap_or_else(|| match route {
            Route::Models => Reply::json(&json!({"object": "list", "data": [
                {"id": SERVED_MODEL, "object": "model", "max_model_len": self.script.window},
            ]})),
            Route::Chat | Route::Moved => Reply::answer(&call),
            Route::OllamaChat | Route::About(_) | Route::Other => {
                Reply::fails(404, "there is no such route")
            }
        })
    }
}

/// Parses the body of a request. Members that are missing or of an unexpected type are ignored.
fn request(body: &Value) -> Request {
    let list = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let message = |message: &Value| Message {
        role: message["role"]
            .as_str()
            .and_then(|role| role.parse().ok())
            .unwrap_or(MessageRole::User),
        content: message["content"].as_str().unwrap_or_default().to_owned(),
    };
    let limits = ["max_tokens", "max_completion_tokens"];
    let limit = limits.iter().find_map(|name| body[name].as_u64());
    let limit = limit.or_else(|| body["options"]["num_predict"].as_u64());
    Request {
        messages: list.iter().map(message).collect(),
        max_tokens: Tokens(limit.unwrap_or(ANSWER_TOKENS_MAX)),
        temperature: 0.0,
        seed: body["seed"].as_u64(),
        stop: Vec::new(),
        trace: None,
        schema: None,
    }
}
