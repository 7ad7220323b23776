//! Applies a diff of an answer to code of the same answer that stands above it. A change whose place is not clear is not
//! made.

/// The code with the changes of a diff; `None` if one of them does not fit at exactly one place.
pub(super) fn changed(code: &str, diff: &str) -> Option<String> {
    const HEADS: &[&str] = &["diff ", "index ", "--- ", "+++ ", "*** ", "\\ No newline"];
    let mut hunks: Vec<Hunk<'_>> = vec![Hunk::default()];
    for line in diff.lines() {
        if line.starts_with("@@") {
            hunks.push(Hunk::default());
        } else if !HEADS.iter().any(|head| line.starts_with(head)) {
            hunks.last_mut()?.add(line)?;
        }
    }
    hunks.retain(Hunk::changes);
    let mut lines: Vec<&str> = code.lines().collect();
    for hunk in &hunks {
        lines = hunk.applied(&lines)?;
    }
    (!hunks.is_empty()).then(|| lines.iter().flat_map(|line| [line, "\n"]).collect())
}

/// Lines in a row before and after a change.
#[derive(Default)]
struct Hunk<'d> {
    before: Vec<&'d str>,
    after: Vec<&'d str>,
}

impl<'d> Hunk<'d> {
    fn add(&mut self, line: &'d str) -> Option<()> {
        if let Some(removed) = line.strip_prefix('-') {
            self.before.push(removed);
        } else if let Some(added) = line.strip_prefix('+') {
            self.after.push(added);
        } else {
            let kept = if line.is_empty() {
                line
            } else {
                line.strip_prefix(' ')?
            };
            self.before.push(kept);
            self.after.push(kept);
        }
        Some(())
    }

    fn changes(&self) -> bool {
        self.before != self.after
    }

    fn applied<'c>(&self, lines: &[&'c str]) -> Option<Vec<&'c str>>
    where
        'd: 'c,
    {
        let is_here = |at: &usize| {
            let mut pairs = lines[*at..].iter().zip(&self.before);
            pairs.all(|(line, before)| line.trim_end() == before.trim_end())
        };
        let last = lines.len().checked_sub(self.before.len())?;
        let mut places = (0..=last).filter(is_here);
        let (at, None) = (
            places.next().filter(|_| !self.before.is_empty())?,
            places.next(),
        ) else {
            return None;
        };
        let (above, below) = (&lines[..at], &lines[at + self.before.len()..]);
        Some([above, &self.after, below].concat())
    }
}
