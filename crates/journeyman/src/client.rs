//! Speaks to a journeyman server: the one that holds the data folder, or one elsewhere.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use journeyman_event::payload::{TaskSubmitted, TestOrigin};
use journeyman_event::{Event, Sequence, TaskId, TaskState};
use journeyman_server::ServedSettings;
use journeyman_tasks::Intervention;
use journeyman_workflow::Moment;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::settings::{Conflicts, Settings};
use crate::socket::Place;

/// To get a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Events read at a time.
const PAGE: usize = 1_000;

/// A server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// Whether it is the holder of this machine's data folder.
    is_local: bool,
    /// Keeps the socket's address good.
    _place: Option<Place>,
}

/// What a server said is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refused {
    status: StatusCode,
    /// What kind of problem, where it said so.
    kind: String,
    detail: String,
}

/// Whether this came of the connection and not of what was asked: what was asked may have been done, and
/// may be asked again.
pub(crate) fn is_lost(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(<dyn std::error::Error>::is::<reqwest::Error>)
}

/// Whether a server cannot do it now: it is about to stop, its disk is full, or what stands before it (a
/// proxy) does not find it.
pub(crate) fn is_not_now(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| matches!(refused.status.as_u16(), 502..=504))
}

/// Whether a server is about to stop.
pub(crate) fn is_stopping(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.kind.ends_with(":shutting-down"))
}

/// What became of a request that was passed on.
pub(crate) enum Forwarded {
    /// It was answered, with whatever status.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Bytes,
    },
    /// Nobody took it, and why.
    NotTaken(String),
    /// Whether it was done is not known, and why.
    Lost(String),
}

/// What became of a stream of events.
pub(crate) enum Watched {
    /// The task has ended.
    Ended,
    /// The connection is gone.
    Lost,
}

impl Client {
    /// The server that the settings name, or the one that holds the data folder if it answers.
    pub(crate) async fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if let Some(url) = &settings.server {
            let url = url.trim_end_matches('/').to_owned();
            return Ok(Some(Self {
                http: builder().build()?,
                base: url,
                token: settings.token.clone(),
                is_local: false,
                _place: None,
            }));
        }
        let client = Self::over_socket(&settings.data_dir)?;
        Ok(match client {
            Some(client) if client.answers().await => Some(client),
            _ => None,
        })
    }

    fn over_socket(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(place) = Place::of(data_dir) else {
            return Ok(None); // there is no such folder
        };
        if !place.path().exists() {
            return Ok(None);
        }
        Ok(Some(Self {
            http: builder().unix_socket(place.path()).build()?,
            base: "http://localhost".to_owned(),
            token: None,
            is_local: true,
            _place: Some(place),
        }))
    }

    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Who it is, for a person.
    pub(crate) fn who(&self, settings: &Settings) -> String {
        if self.is_local {
            let folder = settings.data_dir.display();
            format!("the process that holds {folder}")
        } else {
            format!("the server at {}", self.base)
        }
    }

    /// What of our settings cannot be had there. A server of a version that does not tell its own has
    /// told nothing.
    pub(crate) async fn conflicts(&self, settings: &Settings) -> anyhow::Result<Conflicts> {
        let theirs = match self.ask(Method::GET, "/api/v1/settings", None).await {
            Ok(answer) => answer.json().await?,
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.status == StatusCode::NOT_FOUND => ServedSettings {
                    model: String::new(),
                    settings: Vec::new(),
                },
                _ => return Err(error),
            },
        };
        Ok(settings.conflicts(self.who(settings), &theirs))
    }

    /// Submits a task under this name.
    pub(crate) async fn submit(
        &self,
        task: &TaskId,
        content: &TaskSubmitted,
    ) -> anyhow::Result<()> {
        let request = submission(task, content, self.is_local);
        self.post("/api/v1/tasks", &request).await.map(|_| ())
    }

    async fn answers(&self) -> bool {
        let asked = self.http.get(format!("{}/health", self.base));
        matches!(asked.timeout(CONNECT_TIME).send().await, Ok(answer) if answer.status().is_success())
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let answer = self.request(method, path, body).send().await;
        let answer =
            answer.with_context(|| format!("the server at {} does not answer", self.base))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Value = answer.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().map_or_else(
            || format!("the server at {} answers {status}", self.base),
            str::to_owned,
        );
        let kind = problem["type"].as_str().unwrap_or_default().to_owned();
        let refused = Refused {
            status,
            kind,
            detail,
        };
        Err(refused.into())
    }

    /// Asks what somebody else wants to know.
    pub(crate) async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Forwarded {
        let answer = match self.request(method, path, body).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let problem = format!("the server at {} does not answer: {error}", self.base);
                return if error.is_connect() {
                    Forwarded::NotTaken(problem)
                } else {
                    Forwarded::Lost(problem)
                };
            }
        };
        let status = answer.status().as_u16();
        match answer.bytes().await {
            Ok(body) => Forwarded::Answered { status, body },
            Err(error) => Forwarded::Lost(format!("the server's answer broke off: {error}")),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.ask(Method::GET, path, None).await?.json().await?)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        Ok(self
            .ask(Method::POST, path, Some(body))
            .await?
            .json()
            .await?)
    }

    /// Does something to a task.
    pub(crate) async fn intervene(
        &self,
        task: &TaskId,
        intervention: &Intervention,
    ) -> anyhow::Result<Value> {
        let path = format!("/api/v1/tasks/{task}/interventions");
        self.post(&path, &body_of(intervention)).await
    }

    /// Events in order, a page of them.
    pub(crate) async fn events(
        &self,
        task: Option<&TaskId>,
        after: Sequence,
        until: Option<Sequence>,
    ) -> anyhow::Result<(Vec<Event>, bool)> {
        let mut path = format!("/api/v1/events?after={after}&limit={PAGE}");
        if let Some(task) = task {
            let _ = write!(path, "&task={task}"); // a String takes everything
        }
        if let Some(until) = until {
            let _ = write!(path, "&until={until}");
        }
        let text = self.ask(Method::GET, &path, None).await?.text().await?;
        let events: Result<Vec<Event>, _> = text.lines().map(Event::from_line).collect();
        let events = events.context("the server sent something that is no event")?;
        let has_more = events.len() == PAGE;
        Ok((events, has_more))
    }

    /// A task's state as it was then, or as it is now, folded here from its events.
    pub(crate) async fn state(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> anyhow::Result<Option<TaskState>> {
        let until = match moment {
            // A server counts in 63 bits.
            Some(Moment::Sequence(Sequence(at))) => Some(Sequence(at.min(i64::MAX.unsigned_abs()))),
            Some(Moment::Time(_)) | None => None,
        };
        let is_later = |event: &Event| match moment {
            Some(Moment::Time(time)) => event.occurred_at() > time,
            Some(Moment::Sequence(_)) | None => false,
        };
        let mut state = TaskState::default();
        loop {
            let (events, has_more) = self.events(Some(task), state.sequence, until).await?;
            let later = events.iter().position(is_later);
            for event in &events[..later.unwrap_or(events.len())] {
                state.evolve(event)?;
            }
            if !has_more || later.is_some() {
                return Ok((state.sequence > Sequence::ZERO).then_some(state));
            }
        }
    }

    /// Shows a task's events since a position and those to come, until the task ends or rests.
    pub(crate) async fn watch(
        &self,
        task: &TaskId,
        after: Sequence,
        mut show: impl FnMut(Event) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Watched> {
        let path = format!("/api/v1/tasks/{task}/stream?after={after}");
        let mut answer = match self.ask(Method::GET, &path, None).await {
            Ok(answer) => answer,
            Err(error) if error.is::<Refused>() => return Err(error),
            Err(_) => return Ok(Watched::Lost),
        };
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Watched::Ended);
        }
        let mut buffer = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.trim_end().strip_prefix("data: ") {
                    let event = Event::from_line(data);
                    if !show(event.context("the server sent something that is no event")?)? {
                        return Ok(Watched::Ended);
                    }
                }
            }
        }
        Ok(Watched::Lost)
    }

    /// For what works on files only.
    pub(crate) fn refuse(settings: &Settings, what: &str) -> anyhow::Result<()> {
        if settings.server.is_some() {
            bail!("{what} works on this machine's data folder only: leave --server out");
        }
        Ok(())
    }
}

/// An intervention as the server takes it.
fn body_of(intervention: &Intervention) -> Value {
    match intervention {
        Intervention::Instruct { instruction } => {
            json!({"kind": "instruction", "instruction": instruction})
        }
        Intervention::Answer { question, answer } => {
            json!({"kind": "answer", "question": question, "answer": answer})
        }
        Intervention::EditFile { path, source } => {
            json!({"kind": "edit_file", "path": path, "source": source})
        }
        Intervention::SkipModule { module } => json!({"kind": "skip_module", "module": module}),
        Intervention::Pause => json!({"kind": "pause"}),
        Intervention::Cancel => json!({"kind": "cancel"}),
        Intervention::Resume { limits, out } => json!({
            "kind": "resume",
            "budget": limits.and_then(|limits| limits.tokens_max),
            "timeout": limits.map(|limits| limits.active_max().as_secs_f64()),
            "max_iterations": limits.map(|limits| limits.iterations_max),
            "out": out,
        }),
    }
}

/// A submission as the server takes it. Only one on this machine writes into folders.
fn submission(task: &TaskId, content: &TaskSubmitted, is_local: bool) -> Value {
    // Each member by its name, so that a new one is thought of here.
    let TaskSubmitted {
        prompt,
        language,
        tests,
        limits,
        out,
        priority,
        answers,
        tools,
        review,
        ask,
        no_examples,
        depends_on,
        // A fork is another request.
        fork: _,
    } = content;
    // What stands in the prompt, the server finds there too.
    let files = tests.iter().filter(|test| test.origin == TestOrigin::File);
    let files = files.map(|test| json!({"name": test.name, "source": test.source}));
    json!({
        "task_id": task,
        "prompt": prompt,
        "language": language,
        "tests": files.collect::<Vec<_>>(),
        "budget": limits.tokens_max,
        "timeout": limits.active_max().as_secs_f64(),
        "max_iterations": limits.iterations_max,
        "out": out.as_ref().filter(|_| is_local),
        "priority": priority,
        "answers": answers,
        "tools": tools,
        "review": review,
        "ask": ask,
        "examples": !no_examples,
        "depends_on": depends_on,
    })
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIME)
        .no_proxy()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use journeyman_event::payload::{GivenTest, Limits};
    use journeyman_event::{Priority, Tokens};

    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_refused() {
        for (status, kind, waits, stops) in [
            (503, "urn:journeyman:problem:shutting-down", true, true),
            (503, "urn:journeyman:problem:journal-degraded", true, false),
            (502, "", true, false),
            (504, "", true, false),
            (500, "urn:journeyman:problem:internal", false, false),
            (409, "urn:journeyman:problem:task-exists", false, false),
        ] {
            let refused = Refused {
                status: StatusCode::from_u16(status).unwrap(),
                kind: kind.to_owned(),
                detail: String::new(),
            };
            let error = anyhow::Error::from(refused);
            let found = (is_not_now(&error), is_stopping(&error));
            assert_eq!(found, (waits, stops), "{status} {kind}");
        }
    }

    #[test]
    fn nothing_of_a_submission_is_lost_on_its_way_to_a_server() {
        let content = TaskSubmitted {
            tests: vec![GivenTest {
                name: "test_it.py".to_owned(),
                origin: TestOrigin::File,
                source: "x".to_owned(),
            }],
            limits: Limits {
                tokens_max: Some(Tokens(7)),
                iterations_max: NonZeroU32::new(3).unwrap(),
                active_ms_max: 1_500,
            },
            out: Some("/out".to_owned()),
            priority: Priority::HIGH,
            answers: vec!["yes".to_owned()],
            tools: Some(vec!["docs.*".to_owned()]),
            review: true,
            ask: true,
            no_examples: true,
            depends_on: vec![TaskId::new("t-0").unwrap()],
            ..TaskSubmitted::of("Make it")
        };
        let task = TaskId::new("t-1").unwrap();
        let sent = submission(&task, &content, true);
        let expected = json!({
            "task_id": "t-1",
            "prompt": "Make it",
            "language": "python",
            "tests": [{"name": "test_it.py", "source": "x"}],
            "budget": 7,
            "timeout": 1.5,
            "max_iterations": 3,
            "out": "/out",
            "priority": "high",
            "answers": ["yes"],
            "tools": ["docs.*"],
            "review": true,
            "ask": true,
            "examples": false,
            "depends_on": ["t-0"],
        });
        assert_eq!(sent, expected);
        // A folder of this machine means nothing on another one.
        assert_eq!(submission(&task, &content, false)["out"], Value::Null);
    }
}
