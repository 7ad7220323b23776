//! Finds what a failing test's message says is wrong, among the lines that say where.

/// What is wrong, on one line: the lines that pytest marks with `E`, else the last line of a traceback, else the first line.
pub fn telling(message: &str) -> String {
    let lines = || {
        message
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let marked: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix("E "))
        .flat_map(str::split_whitespace)
        .collect();
    if !marked.is_empty() {
        return marked.join(" ");
    }
    let is_traceback = lines().any(|line| line.starts_with("Traceback (most recent call last)"));
    let line = if is_traceback {
        lines().next_back()
    } else {
        lines().next()
    };
    line.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_among_the_lines_that_say_where() {
        for (message, expected) in [
            (
                "tests/test_sums.py:5: in test_adds\n    assert add('1', '2') == 3\nE   assert 4 == 3\nE    +  where 4 = add('1', '2')",
                "assert 4 == 3 + where 4 = add('1', '2')",
            ),
            (
                "Traceback (most recent call last):\n  File \"sums.py\", line 2, in add\nValueError: no number\n",
                "ValueError: no number",
            ),
            ("\n  expected 3, got 4\nmore", "expected 3, got 4"),
            ("", ""),
        ] {
            assert_eq!(telling(message), expected);
        }
    }
}
