//! The portfolio: candidates are drawn in several forms until those that pass what tests there are agree on what else they
//! do. Pure, and the same for a running task and for recorded candidates.
//!
//! Sources: more candidates pay, with diminishing returns (Brown et al., "Large Language Monkeys", 2024, arXiv
//! 2407.21787); different forms of the request give more different ones (arXiv 2502.11027); programs that behave alike on
//! made-up inputs are more often right than others (Chen et al., "`CodeT`", 2022, arXiv 2207.10397; Li et al., "S*", 2025,
//! arXiv 2502.14382), and disagreement tells wrong ones (arXiv 2507.00057). A small model writes inputs far better than
//! expectations (arXiv 2501.12793), so that nothing is expected of a probe but that it behaves alike.

use journeyman_event::payload::Form;

/// The sampling temperature of candidates that stay near the likeliest.
pub const WARM: f32 = 0.7;
/// The sampling temperature of candidates that differ.
pub const HOT: f32 = 1.0;

/// Up to this many candidates are near the likeliest.
const CONFIRM_MAX: usize = 6;
/// Up to this many are drawn where those that pass disagree.
const EXPLORE_MAX: usize = 20;
/// Up to this many are drawn where none passes.
const DEEP_MAX: usize = 40;

/// So many that agree are enough, whatever their forms.
const ENOUGH: usize = 3;

/// A candidate that was tried, as far as it matters for the next step.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// How it was asked for.
    pub form: Form,
    /// Whether it passes the tests; without tests, whether it loads. Answers without usable code do not.
    pub passes: bool,
    /// How it behaves on each probe.
    pub behaviour: Vec<String>,
}

/// A further candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// How it is asked for.
    pub form: Form,
    /// The sampling temperature.
    pub temperature: f32,
}

/// The candidate that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place among those that were tried, from 0.
    pub at: usize,
    /// The number of candidates that behave like it, itself included.
    pub agree: usize,
    /// The number of forms among these.
    pub forms: usize,
    /// The number of candidates that pass.
    pub passing: usize,
    /// The number of candidates that were drawn.
    pub drawn: usize,
}

impl Choice {
    /// Whether enough others agree with it, so that it can be relied on.
    pub const fn is_agreed(self) -> bool {
        let beside = self.passing - self.agree;
        (self.agree >= ENOUGH || self.forms > 1) && self.agree > 2 * beside
    }
}

/// The next candidate to draw, given all that were tried, in order; `None` when there are enough.
pub fn next_draw(tried: &[Tried], forms: &[Form]) -> Option<Draw> {
    let choice = choose(tried);
    let is_enough = match choice {
        Some(choice) if choice.is_agreed() => true,
        Some(_) => tried.len() >= EXPLORE_MAX,
        None => tried.len() >= DEEP_MAX,
    };
    if is_enough {
        return None;
    }
    let turn = tried.len() / forms.len().max(1);
    let temperature = match turn {
        // The likeliest answer of each form, once.
        0 => 0.0,
        _ if tried.len() < CONFIRM_MAX => WARM,
        odd if odd % 2 == 1 => WARM,
        _ => HOT,
    };
    let form = forms.get(tried.len() % forms.len().max(1)).copied();
    Some(Draw {
        form: form.unwrap_or_default(),
        temperature,
    })
}

/// The candidate to keep: the first of those that pass and behave alike, of the largest such group, counted by forms and
/// then by candidates. `None` if none passes.
pub fn choose(tried: &[Tried]) -> Option<Choice> {
    let passing: Vec<(usize, &Tried)> = tried
        .iter()
        .enumerate()
        .filter(|(_, one)| one.passes)
        .collect();
    let choice_of = |&(at, first): &(usize, &Tried)| {
        let alike = passing
            .iter()
            .filter(|(_, other)| other.behaviour == first.behaviour);
        let mut forms: Vec<Form> = alike.clone().map(|(_, other)| other.form).collect();
        forms.sort_unstable();
        forms.dedup();
        Choice {
            at,
            agree: alike.count(),
            forms: forms.len(),
            passing: passing.len(),
            drawn: tried.len(),
        }
    };
    let choices = passing.iter().map(choice_of);
    // Of equals the first, whose code is the likeliest.
    choices
        .rev()
        .max_by_key(|choice| (choice.forms, choice.agree))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(all: &[(Form, Option<&str>)]) -> Vec<Tried> {
        let one = |&(form, behaviour): &(Form, Option<&str>)| Tried {
            form,
            passes: behaviour.is_some(),
            behaviour: behaviour.into_iter().map(str::to_owned).collect(),
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn the_largest_group_that_behaves_alike_is_chosen_and_of_it_the_first() {
        use Form::{Description, File};
        for (all, expected) in [
            (&[][..], None),
            (&[(File, None)], None),
            (&[(File, None), (File, Some("a"))], Some((1, 1))),
            (
                &[(File, Some("a")), (File, Some("b")), (File, Some("b"))],
                Some((1, 2)),
            ),
            (&[(File, Some("a")), (File, Some("b"))], Some((0, 1))),
            // Two forms tell more than two candidates of one.
            (
                &[
                    (File, Some("a")),
                    (File, Some("a")),
                    (File, Some("b")),
                    (Description, Some("b")),
                ],
                Some((2, 2)),
            ),
        ] {
            let found = choose(&tried(all)).map(|choice| (choice.at, choice.agree));
            assert_eq!(found, expected, "{all:?}");
        }
    }

    #[test]
    fn candidates_are_drawn_until_they_agree() {
        use Form::{Description, File};
        let forms = [File, Description];
        let draw = |form, temperature| Some(Draw { form, temperature });
        for (all, expected) in [
            (vec![], draw(File, 0.0)),
            (vec![(File, Some("a"))], draw(Description, 0.0)),
            // An easy problem ends after two calls.
            (vec![(File, Some("a")), (Description, Some("a"))], None),
            (
                vec![(File, Some("a")), (Description, Some("b"))],
                draw(File, WARM),
            ),
            (
                vec![(File, None), (Description, Some("b"))],
                draw(File, WARM),
            ),
            (vec![(File, None); 8], draw(File, HOT)),
            (vec![(File, None); 10], draw(File, WARM)),
            (vec![(File, Some("a")); 3], None),
            (vec![(File, None); DEEP_MAX], None),
        ] {
            assert_eq!(next_draw(&tried(&all), &forms), expected, "{all:?}");
        }
        let alone = [vec![(File, Some("a"))], vec![(File, None); EXPLORE_MAX - 1]].concat();
        assert_eq!(next_draw(&tried(&alone), &forms), None);
        assert!(!choose(&tried(&alone)).unwrap().is_agreed());
    }
}
