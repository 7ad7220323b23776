//! How the server itself is: its health, its queue, its settings; and tickets for its sockets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::Whole;
use crate::limits::CONCURRENT_MAX;
use crate::problem::Problem;

/// Whether the process lives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// The program's version.
    pub version: String,
}

/// Whether work can be done now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether it can.
    pub ready: bool,
    /// What stands in the way.
    pub reasons: Vec<String>,
}

/// A ticket for a WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// `?ticket=` of the WebSocket's address. It is good once.
    pub ticket: String,
    /// For how many seconds.
    pub seconds: u64,
}

/// Tasks of one priority.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Depth {
    /// The level's name, or the number.
    pub priority: String,
    /// How many wait.
    pub tasks: usize,
}

/// How long something took lately, in seconds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Times {
    /// Half of them.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
}

/// The queue as it is now, and what it did since the server was started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// Who waits, by priority.
    pub waiting: Vec<Depth>,
    /// Tasks that are worked on.
    pub running: usize,
    /// Places that are taken.
    pub places_taken: usize,
    /// Submitters that wait for a place.
    pub submitters: usize,
    /// Seconds since which the oldest waiting task could have been started.
    pub oldest_waiting: Option<f64>,
    /// How long tasks waited.
    pub waiting_time: Option<Times>,
    /// How long they were worked on.
    pub service_time: Option<Times>,
    /// Tasks submitted.
    pub submitted: u64,
    /// Tasks refused.
    pub refused: u64,
    /// Times that a task was stopped for a more urgent one.
    pub preempted: u64,
    /// Tasks that left.
    pub finished: u64,
    /// Of them, tasks whose time limit was spent.
    pub timed_out: u64,
}

/// How much of the queue runs at once; what is not said stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// Tasks that are worked on at once.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    pub max_concurrent: Option<Whole>,
    /// Tasks that start them.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    pub workers: Option<Whole>,
}

impl QueueChange {
    /// How many tasks are to be worked on at once, and how many are to start them, where that is said.
    pub fn checked(&self) -> Result<(Option<usize>, Option<usize>), Problem> {
        let check = |field: &str, number: Option<Whole>| {
            let check = |Whole(number)| {
                let fits = usize::try_from(number).ok();
                fits.filter(|number| (1..=CONCURRENT_MAX).contains(number))
                    .ok_or_else(|| {
                        let detail = format!("`{field}` is a number from 1 to {CONCURRENT_MAX}");
                        Problem::field(field, detail)
                    })
            };
            number.map(check).transpose()
        };
        let max_concurrent = check("max_concurrent", self.max_concurrent)?;
        Ok((max_concurrent, check("workers", self.workers)?))
    }
}

/// A setting as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedSetting {
    /// Its name, as in the configuration file.
    pub key: String,
    /// Its value as text; empty for one that is not set.
    pub value: String,
    /// Whether it is told to admins only: it says something of the server's machine.
    #[serde(skip)]
    pub is_private: bool,
}

/// What the server works with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServedSettings {
    /// The model, as its server calls it.
    pub model: String,
    /// The settings that decide how tasks are worked on; for whoever is no admin without those of the
    /// server's machine.
    pub settings: Vec<ServedSetting>,
}
