//! How a model's window is divided: by percentage, so that a small window is not starved by a
//! reserve made for a large one.

use journeyman_event::Tokens;

/// The shares of one window. Without thoughts they never add up to more than the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The whole window.
    pub window: Tokens,
    /// For the system prompt.
    pub system: Tokens,
    /// For the task in the user's words.
    pub task: Tokens,
    /// For everything else that is sent.
    pub context: Tokens,
    /// For the answer.
    pub generation: Tokens,
    /// For what a model thinks before its answer, if it does and as far as the prompt leaves room.
    pub thoughts: Tokens,
    /// Kept free: templates and counts that are not exact.
    pub buffer: Tokens,
}

/// Shares in thousandths: system, task, context, generation, buffer.
const SMALL: [u64; 5] = [60, 40, 490, 310, 100];
const LARGE: [u64; 5] = [15, 15, 370, 460, 140];
const SMALL_WINDOW: u64 = 8_192;
const LARGE_WINDOW: u64 = 32_768;

impl Profile {
    /// The shares of a window: those of 8,192 up to there, those of 32,768 from there, and between
    /// the two in proportion.
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
            generation: share(3),
            thoughts: share(3),
            buffer: share(4),
        }
    }

    /// The most that a prompt may take: the window less the answer and the buffer.
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
