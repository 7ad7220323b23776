//! What the strategy of whole files knows of a module: how far its rounds of writing, testing and correcting
//! have come. Nobody but that strategy (in `workflow`) reads it.

use serde::{Deserialize, Serialize};

use crate::payload::{Approach, CodeOrigin, Payload};

/// How far the rounds of a module have come that is written as a whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// How the present round goes about it.
    pub approach: Approach,
    /// Corrections that the present round has had.
    pub candidates: u32,
    /// The version that is being corrected.
    pub correcting: Option<u64>,
    /// Whether the module's generated tests are to be written anew.
    pub tests_wanted: bool,
    /// Corrections in a row that gave back the same code.
    pub unchanged: u32,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            approach: Approach::Write,
            candidates: 0,
            correcting: None,
            tests_wanted: false,
            unchanged: 0,
        }
    }
}

impl Rounds {
    /// Takes in an event of the module that counted. Whether it fits what is known: a correction that ends
    /// has begun.
    pub(super) fn take_in(&mut self, payload: &Payload) -> bool {
        match payload {
            Payload::ModuleIteration(round) => {
                self.approach = round.approach;
                self.candidates = 0;
                self.correcting = None;
                self.tests_wanted = round.approach == Approach::RewriteTests;
            }
            Payload::CodeGenerated(code) if code.origin == CodeOrigin::Edited => {
                self.correcting = None;
            }
            Payload::CorrectionStarted(started) => self.correcting = Some(started.from_version),
            Payload::CorrectionCompleted(completed) => {
                let has_begun = self.correcting.take() == Some(completed.from_version);
                self.unchanged = if completed.to_version == completed.from_version {
                    self.unchanged + 1
                } else {
                    0
                };
                self.candidates += 1;
                return has_begun;
            }
            Payload::TestsGenerated(_) => {
                self.unchanged = 0;
                self.tests_wanted = false;
            }
            _ => {}
        }
        true
    }
}
