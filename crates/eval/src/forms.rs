//! What each form of a request is worth: how often its answers are right, and for how many problems one of them is.

use std::collections::BTreeMap;
use std::fmt::Write;

use journeyman_event::payload::Form;
use serde::Serialize;

use crate::candidates::Candidate;

/// The number of answers for which the chance of a right one is estimated, as often as in the literature.
const SEVERAL: usize = 8;

/// What the answers in one form, or in all, are worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yield {
    /// The form; `None` for all together.
    pub form: Option<Form>,
    /// Problems that have answers in this form.
    pub problems: usize,
    /// The number of answers in this form.
    pub answers: usize,
    /// The share of answers with usable code, 0 to 1.
    pub usable: f64,
    /// The share of problems whose likeliest answer is right, 0 to 1; 0 where it was not asked for.
    pub greedy: f64,
    /// The mean share of right answers of a problem, 0 to 1.
    pub one: f64,
    /// The chance that one of 8 answers to a problem is right, 0 to 1, by the unbiased estimator of Chen et al., "Evaluating
    /// Large Language Models Trained on Code" (2021), over problems with at least 8 answers.
    pub several: f64,
    /// The share of problems of which some answer is right, 0 to 1.
    pub some: f64,
    /// Mean tokens of an answer.
    pub tokens: f64,
}

/// What each form is worth, and at the end all of them together.
pub fn yields(candidates: &[Candidate]) -> Vec<Yield> {
    let of = |form: Option<Form>| {
        let all = candidates.iter();
        let chosen: Vec<&Candidate> = all
            .filter(|candidate| form.is_none_or(|form| candidate.form == form))
            .collect();
        (!chosen.is_empty()).then(|| yield_of(form, &chosen))
    };
    let forms = Form::ALL.into_iter().map(Some).chain([None]);
    forms.filter_map(of).collect()
}

fn yield_of(form: Option<Form>, candidates: &[&Candidate]) -> Yield {
    let mut problems: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let of_problem = problems.entry(&candidate.problem).or_default();
        of_problem.push(candidate);
    }
    let is_right = |candidate: &&Candidate| candidate.right == Some(true);
    let right_of = |answers: &[&Candidate]| answers.iter().filter(|one| is_right(one)).count();
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (mut sum, mut count) = (0.0, 0.0);
        for value in values {
            sum += value;
            count += 1.0;
        }
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let truth = |is_so: bool| if is_so { 1.0 } else { 0.0 };
    let all = || problems.values();
    Yield {
        form,
        problems: problems.len(),
        answers: candidates.len(),
        usable: mean(&mut candidates.iter().map(|one| truth(one.right.is_some()))),
        greedy: mean(&mut all().map(|answers| {
            let mut greedy = answers.iter().filter(|one| one.temperature <= 0.0);
            truth(greedy.any(is_right))
        })),
        one: mean(&mut all().map(|answers| share(right_of(answers), answers.len()))),
        several: mean(
            &mut all()
                .filter(|answers| answers.len() >= SEVERAL)
                .map(|answers| chance(answers.len(), right_of(answers), SEVERAL)),
        ),
        some: mean(&mut all().map(|answers| truth(right_of(answers) > 0))),
        tokens: mean(&mut candidates.iter().map(|one| {
            let tokens = u32::try_from(one.completion_tokens.0).unwrap_or(u32::MAX);
            f64::from(tokens)
        })),
    }
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    number(part) / number(whole.max(1))
}

/// The chance that one of `k` answers drawn from `n`, of which `right` are right, is right: 1 - C(n - right, k) / C(n, k).
fn chance(n: usize, right: usize, k: usize) -> f64 {
    if n - right < k {
        return 1.0;
    }
    let wrong = (n - right + 1..=n).map(|i| 1.0 - share(k, i));
    1.0 - wrong.product::<f64>()
}

/// The table for people.
pub fn table(yields: &[Yield]) -> String {
    let mut text = String::from(
        "form         problems  answers  usable  greedy  pass@1  pass@8  any right  tokens",
    );
    for one in yields {
        let _ = write!(
            text,
            "\n{:<12} {:>8} {:>8} {:>6.1}% {:>6.1}% {:>6.1}% {:>6.1}% {:>9.1}% {:>7.0}",
            one.form.map_or("all", Form::as_str),
            one.problems,
            one.answers,
            100.0 * one.usable,
            100.0 * one.greedy,
            100.0 * one.one,
            100.0 * one.several,
            100.0 * one.some,
            one.tokens
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_a_right_answer_is_that_of_drawing_one() {
        for (n, right, k, expected) in [
            (10, 0, 8, 0.0),
            (10, 10, 1, 1.0),
            (10, 3, 8, 1.0),
            (10, 1, 1, 0.1),
            // 1 - C(8, 2) / C(10, 2) = 1 - 28 / 45
            (10, 2, 2, 1.0 - 28.0 / 45.0),
        ] {
            let found = chance(n, right, k);
            assert!((found - expected).abs() < 1e-12, "{n} {right} {k}: {found}");
        }
    }
}
