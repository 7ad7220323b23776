//! Divides a model's context window into shares by percentage, so that a reserve suitable for a large window does
//! not consume a small one.

use journeyman_event::Tokens;

/// A named part of the context share. What one part does not use, the others may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The modules of the plan in a line each.
    ModuleSummary,
    /// What the knowledge graph relates to the module, as far as it is told in full.
    Related,
    /// The outlines of the modules that the module imports.
    Dependencies,
    /// Earlier attempts, and failures of other modules.
    Errors,
    /// The results of the last test run.
    TestResults,
    /// What similar tasks show.
    Patterns,
}

impl Part {
    /// All parts, in the order of their shares.
    pub const ALL: [Self; 6] = [
        Self::ModuleSummary,
        Self::Related,
        Self::Dependencies,
        Self::Errors,
        Self::TestResults,
        Self::Patterns,
    ];

    /// The name used in events and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModuleSummary => "module summary",
            Self::Related => "related",
            Self::Dependencies => "dependencies",
            Self::Errors => "errors",
            Self::TestResults => "test results",
            Self::Patterns => "patterns",
        }
    }
}

/// The shares of a window, in tokens. Without `thoughts` their sum never exceeds the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The whole window.
    pub window: Tokens,
    /// For the system prompt.
    pub system: Tokens,
    /// For the task in the user's words.
    pub task: Tokens,
    /// For all other parts of the prompt.
    pub context: Tokens,
    /// The parts of the share for the context, in the order of [`Part::ALL`].
    parts: [Tokens; 6],
    /// For the answer.
    pub generation: Tokens,
    /// For the thoughts of a model that thinks before answering, if the prompt leaves room.
    pub thoughts: Tokens,
    /// A reserve for chat templates and inexact token counts.
    pub buffer: Tokens,
}

/// Shares in thousandths: system, task, context, generation, buffer.
const SMALL: [u64; 5] = [60, 40, 490, 310, 100];
const LARGE: [u64; 5] = [15, 15, 370, 460, 140];
/// The parts of the context in thousandths of it, in the order of [`Part::ALL`]: of windows of 8,192 and of 32,768 tokens
/// about 300 and 500 for the module summary, 1,200 and 3,000 for what is related, 800 and 2,500 for dependencies, 400 and
/// 1,500 for errors, 1,300 and 2,500 for test results, and 2,000 of the larger one for patterns.
const SMALL_PARTS: [u64; 6] = [75, 300, 200, 100, 324, 0];
const LARGE_PARTS: [u64; 6] = [41, 248, 206, 124, 206, 165];
const SMALL_WINDOW: u64 = 8_192;
const LARGE_WINDOW: u64 = 32_768;

impl Profile {
    /// The shares of a window: up to 8,192 tokens those for 8,192, from 32,768 tokens those for 32,768, and
    /// interpolated in between.
    pub fn of(window: Tokens) -> Self {
        let at = window.0.clamp(SMALL_WINDOW, LARGE_WINDOW) - SMALL_WINDOW;
        let span = LARGE_WINDOW - SMALL_WINDOW;
        let between = |small: u64, large: u64| (small * (span - at) + large * at) / span;
        let part_of =
            |whole: Tokens, thousandths: u64| Tokens(whole.0.saturating_mul(thousandths) / 1_000);
        let share = |index: usize| part_of(window, between(SMALL[index], LARGE[index]));
        let part =
            |index: usize| part_of(share(2), between(SMALL_PARTS[index], LARGE_PARTS[index]));
        Self {
            window,
            system: share(0),
            task: share(1),
            context: share(2),
            parts: std::array::from_fn(part),
            generation: share(3),
            thoughts: share(3),
            buffer: share(4),
        }
    }

    /// The share of a part of the context.
    pub fn part(&self, part: Part) -> Tokens {
        self.parts[part as usize]
    }

    /// The most tokens a prompt may have: the window minus the answer and the buffer.
    pub fn prompt_max(&self) -> Tokens {
        self.window - self.generation - self.buffer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_shares_of_8k_and_32k_are_those_of_the_design() {
        let small = Profile::of(Tokens(8_192));
        assert_eq!((small.system, small.task), (Tokens(491), Tokens(327)));
        assert_eq!(
            (small.context, small.generation),
            (Tokens(4_014), Tokens(2_539))
        );
        let large = Profile::of(Tokens(32_768));
        assert_eq!(
            (large.context, large.generation),
            (Tokens(12_124), Tokens(15_073))
        );
        let parts = |profile: &Profile| Part::ALL.map(|part| profile.part(part).0);
        assert_eq!(parts(&small), [301, 1_204, 802, 401, 1_300, 0]);
        assert_eq!(parts(&large), [497, 3_006, 2_497, 1_503, 2_497, 2_000]);
    }

    proptest! {
        #[test]
        fn the_shares_of_any_window_fit_into_it(window in 2_048_u64..=1_048_576) {
            let p = Profile::of(Tokens(window));
            let sum = p.system + p.task + p.context + p.generation + p.buffer;
            prop_assert!(sum <= p.window);
            prop_assert!(p.generation.0 >= 500);
            let parts = Part::ALL.map(|part| p.part(part));
            prop_assert!(parts.into_iter().fold(Tokens::ZERO, |sum, part| sum + part) <= p.context);
            prop_assert!(p.prompt_max() + p.generation + p.buffer <= p.window);
        }
    }
}
