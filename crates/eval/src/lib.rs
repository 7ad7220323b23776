//! Accuracy benchmarks: each problem is given to the whole workflow and, in the same run, once to the bare model.
//! Hidden tests score both.
//!
//! Floor 7. Two processes work together. The evaluation ([`evaluate`]) never opens a data set. It gets the public
//! part of each problem from the scorer, a separate process ([`problems`], [`score`]). Only the scorer reads hidden
//! tests, and it scores code after the task has ended. The retention benchmark ([`retention`]) measures prompts and calls no
//! model.

mod bare;
mod candidates;
mod dataset;
mod error;
mod evaluate;
mod forms;
mod html;
mod record;
mod replay;
mod report;
mod retention;
mod score;
mod scorer;
mod statistics;

pub use candidates::{Candidate, Recorded, Recording};
pub use dataset::{Dataset, Mode, Problem};
pub use error::Error;
pub use evaluate::{Evaluation, evaluate};
pub use forms::{Yield, table, yields};
pub use html::html;
pub use record::{Draws, Record, Sampling, record};
pub use replay::{Replay, ReplayReport, Replayed, replay};
pub use report::{Attempt, Point, ProblemReport, Report, Share, Summary, Worked};
pub use retention::{
    Answered, ContextCost, Method, QuestionsReport, Retained, RetentionReport, questions, retention,
};
pub use score::{Score, score};
pub use scorer::Scorer;
