//! The state kept for the whole-file strategy: the progress of a module's rounds of writing, testing and
//! correcting. Only that strategy (in `workflow`) reads it.

use serde::{Deserialize, Serialize};

use crate::payload::{Approach, CodeOrigin, Payload};

/// The progress of the rounds of one module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// What the current round does.
    pub approach: Approach,
    /// The number of corrections made in the current round.
    pub candidates: u32,
    /// The version being corrected, if a correction is in progress.
    pub correcting: Option<u64>,
    /// Whether the module's generated tests must be written again.
    pub tests_wanted: bool,
    /// The number of corrections in a row that returned unchanged code.
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
    /// Applies an event of the module. Returns false if a correction ended that had not started.
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
