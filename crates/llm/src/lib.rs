//! Model servers: clients, and the managed llama.cpp server.
//!
//! Floor 2. A model server describes itself, counts tokens and answers requests. Each wire format is implemented in
//! one module. This crate does not know what is asked or why, and records nothing.
//!
//! To add a model server, write a module that implements [`ModelServer`] and add it to `connect`.

mod calls;
mod catalogue;
mod connect;
mod embedding;
mod error;
mod error_reply;
mod estimate;
mod gguf;
mod http;
mod llama_cpp;
mod managed;
mod model;
mod models;
mod number;
mod ollama;
mod openai;
mod repetition;
mod secrets;
mod served;
mod source;
mod sse;
mod stream;

pub use catalogue::{CataloguedModel, catalogue};
pub use connect::{
    Connected, Connection, FoundServer, LazyServer, check, connect, describe, discover_servers,
};
pub use embedding::{EmbedError, Embedder, batch_len};
pub use error::Error;
pub use estimate::Estimator;
pub use http::shown;
pub use managed::{
    EngineInfo, EnginePurpose, EngineState, EngineStatus, LLAMA_CPP, Managed, ManagedEmbedder,
    ManagedOptions, SupervisorCommand, SupervisorTimeouts, engine, find_engine, stop_engine,
    supervise,
};
pub use model::{
    Answer, Delta, FinishReason, Message, MessageRole, ModelInfo, ModelServer, OnDelta, Request,
    TokenCount, Usage, Window, WindowSource,
};
pub use models::{Model, ModelState, Models};
pub use ollama::{Ollama, OllamaOptions};
pub use openai::{EmbedderOptions, OpenAi, OpenAiEmbedder, OpenAiOptions};
pub use served::other_model;
pub use source::{FileSelector, Source};
