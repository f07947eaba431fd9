//! The text of a pull request, from the commit's message and what changed.
//!
//! Says nothing that differs from run to run, so that an unchanged pull request is not written again.

use std::fmt::Write as _;

use super::super::changes::Changes;

/// GitHub's limit of a text is 65,536 characters, GitLab's a million.
const BODY_CHARS: usize = 60_000;
/// GitHub's and GitLab's limit of a title is 255 or 256.
const TITLE_CHARS: usize = 250;

/// Title and text: the message's first line, the rest of it, and a list of what changed.
pub fn describe(automation: &str, message: &str, changes: &Changes) -> (String, String) {
    let mut lines = message.lines();
    let subject = lines.find(|line| !line.trim().is_empty()).unwrap_or("Update images");
    let title: String = subject.trim().chars().filter(|c| !c.is_control()).take(TITLE_CHARS).collect();
    let rest: Vec<&str> = lines.collect();
    let mut body = rest.join("\n").trim().to_owned();
    if !body.is_empty() {
        body.push_str("\n\n");
    }
    for (path, objects) in &changes.files {
        writeln!(body, "{}", code(path)).expect("writing to a string");
        for change in objects.values().flatten() {
            writeln!(body, "* {} → {}", code(&change.old_value), code(&change.new_value))
                .expect("writing to a string");
        }
        body.push('\n');
    }
    write!(
        body,
        "Made by the ImageUpdateAutomation {}; what is pushed to this branch by hand is overwritten.",
        code(automation)
    )
    .expect("writing to a string");
    if body.chars().count() > BODY_CHARS {
        body = body.chars().take(BODY_CHARS).chain(['…']).collect();
    }
    (title, body)
}

/// Whether two texts are the same to a person: forges change line ends and trim.
pub(super) fn same(one: &str, other: &str) -> bool {
    let lines = |text: &str| text.trim().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines(one) == lines(other)
}

/// As code in Markdown, on one line, whatever it contains.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    match longest {
        0 if text.is_empty() => "(nothing)".to_owned(),
        0 => format!("`{text}`"),
        _ => format!("{fence} {text} {fence}"),
    }
}
