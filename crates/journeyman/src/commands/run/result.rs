//! The result of a task: writes it into the user's folder and prints it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journeyman_event::payload::{FailureReason, Verification};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{TaskId, TaskState};
use journeyman_fetch::Environment;
use journeyman_language::{Language, of_task};
use journeyman_workflow::{
    TaskFile, answered, examples_notice, headline, left_out_notice, remarks, task_files,
    write_result,
};
use serde_json::{Value, json};

use super::RunRequest;
use crate::event_text::name;
use crate::exit::Exit;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::text_format::{count_text, duration_text, group_digits, shell_quoted, visible};
use crate::text_style::TextStyle;

/// Writes a result that was made elsewhere, or earlier, into the user's folder.
pub(super) async fn copy_result(
    task: &TaskId,
    request: &RunRequest,
    mut state: TaskState,
) -> anyhow::Result<TaskState> {
    let asked = state.submission.as_ref();
    let is_there = |out: &str| {
        state.output.is_some() && asked.is_some_and(|asked| asked.out.as_deref() == Some(out))
    };
    let Some(out) = request.out().filter(|out| !is_there(out)) else {
        return Ok(state);
    };
    if !state.status.is_ended() || !state.has_result() || state.output_problem.is_some() {
        return Ok(state);
    }
    let (folder, task, result) = (PathBuf::from(out), task.clone(), state.clone());
    let written = tokio::task::spawn_blocking(move || write_result(&folder, &task, &result));
    match written.await? {
        Ok(files) => state.output = Some(files),
        Err(problem) => {
            let detail = problem.to_string();
            state.output_problem = Some(detail.clone());
            if let Some(Ending::Complete(_)) = state.ending {
                let reason = FailureReason::Output;
                state.ending = Some(Ending::Failed { reason, detail });
            }
        }
    }
    if let Some(asked) = &mut state.submission {
        asked.out = Some(out.to_owned());
    }
    Ok(state)
}

/// Prints the result on standard output.
pub(super) fn tell_result(
    settings: &Settings,
    progress: &Progress,
    task: &TaskId,
    state: &TaskState,
) {
    if settings.json {
        progress.result(visible(&as_json(task, state).to_string()).into_owned());
        return;
    }
    let text_style = progress.text_style();
    let place = settings.place_flags();
    let resume = format!("journeyman resume {task}{place}{}", settings.model_flags());
    for line in lines(task, state, &resume, text_style) {
        progress.result(line);
    }
    let folder = asked_out(state).map(Path::new);
    let output = state.output.as_deref().unwrap_or_default();
    let paths: Vec<&str> = output.iter().map(|file| file.path.as_str()).collect();
    match folder {
        Some(folder) if !paths.is_empty() => {
            let interpreter = Environment::find(&settings.data_dir)
                .map_or_else(|| "python3".into(), |found| found.interpreter());
            let made = Made {
                folder,
                paths: &paths,
                files: &task_files(state),
                language: of_task(state),
            };
            for line in made.lines(&interpreter, text_style) {
                progress.result(line);
            }
        }
        _ => progress.result(format!("files: `journeyman files {task}{place}`")),
    }
    for line in hints(&resume, state) {
        progress.result(line);
    }
}

fn asked_out(state: &TaskState) -> Option<&str> {
    state.submission.as_ref()?.out.as_deref()
}

fn as_json(task: &TaskId, state: &TaskState) -> Value {
    let verification = match &state.ending {
        Some(Ending::Complete(verification)) => serde_json::to_value(verification),
        _ => Ok(json!({"by": "none"})),
    };
    let verification = verification.unwrap_or_default();
    let output = state.output.as_deref().unwrap_or_default();
    let files: Vec<&str> = output.iter().map(|file| file.path.as_str()).collect();
    json!({
        "type": "result",
        "task_id": task,
        "status": state.status,
        "verification": verification["by"],
        "confidence": verification.get("confidence"),
        "reason": match &state.ending {
            Some(Ending::Failed { reason, .. }) => Some(name(reason)),
            _ => None,
        },
        "remarks": remarks(state),
        "files": files,
        "answer": state.reply.as_ref().map(|reply| &reply.text),
        "tokens": state.spent,
        "seconds": state.worked().as_secs_f64(),
    })
}

/// How the task ended, which given tests there were, and what it cost.
fn lines(task: &TaskId, state: &TaskState, resume: &str, text_style: TextStyle) -> Vec<String> {
    let end = match &state.ending {
        Some(Ending::Complete(_)) if let Some(reply) = &state.reply => answered(reply),
        Some(ending) => headline(state, ending),
        None => format!("{}: `{resume}` goes on.", capitalised(state.status)),
    };
    let mark = match &state.ending {
        Some(Ending::Complete(Verification::GivenTests)) => text_style.good(),
        Some(Ending::Complete(_)) | None => text_style.open(),
        Some(Ending::Failed { .. } | Ending::Cancelled) => text_style.bad(),
    };
    let end = text_style.strong(&visible(&end));
    let mut lines = vec![if text_style.is_screen {
        format!("{mark} {end}")
    } else {
        end
    }];
    let remarks = remarks(state);
    lines.extend(
        remarks
            .iter()
            .map(|remark| text_style.plain(&visible(remark))),
    );
    let asked = state.submission.as_ref();
    let taken = asked.and_then(|asked| examples_notice(of_task(state), &asked.tests));
    let notices = taken.into_iter().chain(asked.and_then(left_out_notice));
    lines.extend(notices.map(|notice| text_style.plain(&visible(&notice))));
    let time = Duration::try_from(state.worked()).unwrap_or_default();
    lines.push(format!(
        "task {task}: {} of {}, {}",
        group_digits(state.spent.0),
        count_text(state.token_budget().0, "token"),
        duration_text(time)
    ));
    lines
}

/// What the user can do next.
fn hints(resume: &str, state: &TaskState) -> Vec<String> {
    let hints = [
        (
            state.output_problem.is_some(),
            format!("`{resume} --out DIR` writes the result elsewhere"),
        ),
        (
            Exit::of(state.ending.as_ref()) == Exit::Limit && !state.may_be_tried_again(),
            format!("`{resume}` with a larger limit goes on"),
        ),
        (
            state.may_be_tried_again(),
            format!("`{resume}` tries it again"),
        ),
    ];
    let so = hints.into_iter().filter(|(is_so, _)| *is_so);
    so.map(|(_, hint)| hint).collect()
}

fn capitalised(status: Status) -> &'static str {
    match status {
        Status::Paused => "Paused",
        _ => "Interrupted",
    }
}

/// What was written into a folder.
struct Made<'a> {
    folder: &'a Path,
    paths: &'a [&'a str],
    files: &'a [TaskFile],
    language: &'a dyn Language,
}

impl Made<'_> {
    /// The files with their numbers of lines, and how to run them.
    fn lines(&self, interpreter: &Path, text_style: TextStyle) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let count = count_text(self.paths.len() as u64, "file");
        let mut lines = vec![format!("{count} in {}", visible(&folder))];
        let width = self.paths.iter().map(|path| path.chars().count()).max();
        let width = width.unwrap_or_default();
        lines.extend(self.paths.iter().map(|path| {
            let length = self.length(path).map(|length| count_text(length, "line"));
            let length = text_style.faint(&length.unwrap_or_default());
            format!("  {:<width$}  {length}", visible(path))
                .trim_end()
                .to_owned()
        }));
        if !self.folder.is_dir() {
            // It is on the server's machine.
            return lines;
        }
        let inside = format!("cd {}", shell_quoted(&folder));
        let tests = self.paths.iter().copied();
        let tests: Vec<&str> = tests
            .filter(|path| self.language.is_test_file(path))
            .collect();
        let tests = (!tests.is_empty()).then(|| {
            let interpreter = shell_quoted(&interpreter.display().to_string());
            let command = self.language.test_command(Some(&interpreter), &tests);
            ("tests", format!("{inside} && {command}"))
        });
        let text = |path: &str| {
            let file = self.files.iter().rfind(|file| file.path == path);
            file.map(|file| file.text.clone())
        };
        let program = self.language.program_command(self.paths, &text);
        let program = program.map(|command| ("program", format!("{inside} && {command}")));
        let has_summary = self.paths.contains(&"SUMMARY.md");
        let summary = has_summary.then(|| {
            let path = self.folder.join("SUMMARY.md");
            ("summary", path.display().to_string())
        });
        let how = [tests, program, summary].into_iter().flatten();
        lines.extend(how.map(|(what, text)| {
            let what = text_style.faint(&format!("{what:<7}"));
            format!("{what}  {}", visible(&text))
        }));
        lines
    }

    /// The number of lines of a file, as written or as it is on disk.
    fn length(&self, path: &str) -> Option<u64> {
        let made = self.files.iter().rfind(|file| file.path == path);
        let there = || fs::read_to_string(self.folder.join(path)).ok();
        let text = made.map(|file| file.text.clone()).or_else(there)?;
        Some(text.lines().count() as u64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use journeyman_language::python::Python;

    use super::*;

    const BARE: TextStyle = TextStyle {
        has_colour: false,
        has_unicode: true,
        is_screen: false,
    };
    /// The files, and the module that is a program.
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

    const MAIN: &str = "def main():\n    pass\n\n\nif __name__ == \"__main__\":\n    main()\n";

    fn told(folder: &Path, files: &[(&str, &str)]) -> Vec<String> {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let file = |(path, text): &(&str, &str)| TaskFile {
            path: (*path).to_owned(),
            version: Some(1),
            text: (*text).to_owned(),
        };
        let files: Vec<TaskFile> = files.iter().map(file).collect();
        let made = Made {
            folder,
            paths: &paths,
            files: &files,
            language: &Python,
        };
        made.lines(Path::new("/data/bin/python"), BARE)
    }

    #[test]
    fn what_was_made_is_told_with_its_lines_and_how_to_run_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("my code");
        fs::create_dir(&folder).unwrap();
        let here = folder.display();
        let files = [
            ("SUMMARY.md", "a\n"),
            ("pack/__init__.py", ""),
            ("pack/cli.py", MAIN),
            ("pack/core.py", MAIN),
            ("tests/checks.py", MAIN),
            ("tests/conftest.py", ""),
            ("tests/test_pack_core.py", MAIN),
        ];
        assert_eq!(
            told(&folder, &files),
            [
                format!("7 files in {here}"),
                "  SUMMARY.md               1 line".to_owned(),
                "  pack/__init__.py         0 lines".to_owned(),
                "  pack/cli.py              6 lines".to_owned(),
                "  pack/core.py             6 lines".to_owned(),
                "  tests/checks.py          6 lines".to_owned(),
                "  tests/conftest.py        0 lines".to_owned(),
                "  tests/test_pack_core.py  6 lines".to_owned(),
                format!(
                    "tests    cd '{here}' && /data/bin/python -m pytest tests/checks.py tests/test_pack_core.py"
                ),
                format!("program  cd '{here}' && python3 -m pack.cli"),
                format!("summary  {here}/SUMMARY.md"),
            ]
        );
    }

    #[test]
    fn a_program_is_what_the_language_runs_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cases: [Case<'_>; 5] = [
            (&[("solution.py", "x = 1\n")], None),
            (&[("tests/test_solution.py", MAIN)], None),
            (&[("solution.py", MAIN)], Some("solution")),
            (&[("a/__main__.py", ""), ("a/cli.py", MAIN)], Some("a")),
            (&[("a/one.py", MAIN), ("a/two.py", MAIN)], Some("a.two")),
        ];
        for (files, module) in cases {
            let lines = told(folder.path(), files);
            let program = lines.iter().find(|line| line.starts_with("program"));
            let program = program.and_then(|line| line.rsplit(' ').next());
            assert_eq!(program, module, "{lines:?}");
        }
        // What is on another machine is not run here.
        let lines = told(Path::new("/not/here"), &[("solution.py", MAIN)]);
        assert_eq!(lines, ["1 file in /not/here", "  solution.py  6 lines"]);
    }
}
