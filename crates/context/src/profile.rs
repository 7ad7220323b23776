//! Divides a model's context window into shares by percentage, so that a reserve suitable for a large window does
//! not consume a small one.

use journeyman_event::Tokens;

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
    /// The part of it in which what is related is told in full: of a window of 8,192 tokens 1,204. The rest of it is told
    /// in one line each.
    pub related: Tokens,
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
/// Of the context, in per cent.
const RELATED_PERCENT: u64 = 30;
const SMALL_WINDOW: u64 = 8_192;
const LARGE_WINDOW: u64 = 32_768;

impl Profile {
    /// The shares of a window: up to 8,192 tokens those for 8,192, from 32,768 tokens those for 32,768, and
    /// interpolated in between.
    pub fn of(window: Tokens) -> Self {
        let at = window.0.clamp(SMALL_WINDOW, LARGE_WINDOW) - SMALL_WINDOW;
        let span = LARGE_WINDOW - SMALL_WINDOW;
        let share = |index: usize| {
            let thousandths = (SMALL[index] * (span - at) + LARGE[index] * at) / span;
            Tokens(window.0.saturating_mul(thousandths) / 1_000)
        };
        Self {
            window,
            system: share(0),
            task: share(1),
            context: share(2),
            related: share(2).percent(RELATED_PERCENT),
            generation: share(3),
            thoughts: share(3),
            buffer: share(4),
        }
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
    }

    proptest! {
        #[test]
        fn the_shares_of_any_window_fit_into_it(window in 2_048_u64..=1_048_576) {
            let p = Profile::of(Tokens(window));
            let sum = p.system + p.task + p.context + p.generation + p.buffer;
            prop_assert!(sum <= p.window);
            prop_assert!(p.generation.0 >= 500);
            prop_assert!(p.prompt_max() + p.generation + p.buffer <= p.window);
        }
    }
}
