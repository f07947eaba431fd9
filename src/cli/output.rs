//! What commands print: results to stdout, marks and errors to stderr, tables as `flux` pads them.

use std::io::{self, IsTerminal as _, Write as _};

use crate::config::{Environment, ProcessEnvironment};
use crate::telemetry::{escape, one_line};

/// How the terminal takes what is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    /// Marks outside ASCII can be shown.
    pub(super) unicode: bool,
    /// stdout takes colours.
    pub(super) color: bool,
}

/// The signs at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Doing,
    Waiting,
    Done,
    Failed,
    Skipped,
}

impl Terminal {
    /// As this process' environment says.
    pub(super) fn new() -> Self {
        let variable = |name: &str| ProcessEnvironment.variable(name);
        let locale = variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG"));
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.ends_with("utf-8") || locale.ends_with("utf8")
        });
        let color = io::stdout().is_terminal()
            && variable("NO_COLOR").is_none()
            && variable("TERM").is_none_or(|term| term != "dumb");
        Self { unicode, color }
    }

    /// The sign.
    pub(super) fn sign(self, mark: Mark) -> &'static str {
        match (mark, self.unicode) {
            (Mark::Doing, true) => "►",
            (Mark::Waiting, true) => "◎",
            (Mark::Done, true) => "✔",
            (Mark::Failed, true) => "✗",
            (Mark::Skipped, true) => "–",
            (Mark::Doing, false) => ">",
            (Mark::Waiting, false) => "o",
            (Mark::Done, false) => "+",
            (Mark::Failed, false) => "x",
            (Mark::Skipped, false) => "-",
        }
    }

    /// A line on stderr, as flux' logger writes it.
    pub(super) fn say(self, mark: Mark, text: impl AsRef<str>) {
        // Nobody reads stderr any more: there is nobody to tell.
        drop(writeln!(io::stderr().lock(), "{} {}", self.sign(mark), clean(text.as_ref())));
    }

    /// An error: one sentence with its causes, and its hints on lines of their own.
    pub(super) fn fail(self, error: &anyhow::Error) {
        self.say(Mark::Failed, sentence(error));
    }
}

/// An error and its causes as one sentence, each said once; hints come last, whichever of them gave one.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hints = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        let (said, hint) =
            said.split_once("\nhint: ").map_or((said.as_str(), None), |(said, hint)| (said, Some(hint)));
        if let Some(hint) = hint.filter(|hint| !hints.contains(hint)) {
            hints.push_str("\nhint: ");
            hints.push_str(hint);
        }
        // Many errors show their cause in their own text.
        if !text.contains(said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(said);
        }
    }
    text + &hints
}

/// Control characters escaped, line ends kept: texts from clusters and forges end up on a terminal.
pub(super) fn clean(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Writes to stdout.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Rows under their header, each cell padded to its column and followed by a tab, as flux prints them.
pub(super) fn table(header: Option<&[&str]>, rows: &[Vec<String>]) -> String {
    padded(header, rows, &widths(header, rows))
}

/// The width of each column.
pub(super) fn widths(header: Option<&[&str]>, rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).chain(header.map(<[_]>::len)).max().unwrap_or(0);
    (0..columns)
        .map(|column| {
            let cells =
                rows.iter().filter_map(|row| row.get(column)).map(|cell| one_line(cell).chars().count());
            cells
                .chain(header.and_then(|header| header.get(column)).map(|name| name.len()))
                .max()
                .unwrap_or(0)
        })
        .collect()
}

/// As [`table`], with columns of given widths: rows that come later line up with earlier ones.
pub(super) fn padded(header: Option<&[&str]>, rows: &[Vec<String>], widths: &[usize]) -> String {
    let header = header.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let mut text = String::new();
    for row in header.iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // A message of several lines would break the table.
            let cell = one_line(cell);
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            line.push('\t');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A duration as a person says it: `12ms`, `1.4s`, `2m5s`, `3h4m`.
pub(super) fn span(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match micros {
        0..1_000 => "<1ms".to_owned(),
        1_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{}.{}s", seconds, micros / 100_000 % 10),
        60_000_000..3_600_000_000 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_and_stay_on_their_line() {
        let rows = vec![
            vec!["web".to_owned(), "True".to_owned(), "fine\u{1b}[2J\nforged".to_owned()],
            vec!["a-longer-name".to_owned(), "False".to_owned(), String::new()],
        ];
        let text = table(Some(&["NAME", "READY", "MESSAGE"]), &rows);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "NAME         \tREADY\tMESSAGE",
                "web          \tTrue \tfine\\u{1b}[2J\\nforged",
                "a-longer-name\tFalse",
            ]
        );
    }

    #[test]
    fn a_hint_in_a_cell_is_in_brackets() {
        let rows =
            vec![vec!["push".to_owned(), "it does not exist\nhint: make one".to_owned(), "x".to_owned()]];
        assert_eq!(table(None, &rows), "push\tit does not exist (hint: make one)\tx\n");
    }

    #[test]
    fn causes_are_said_once_and_hints_last() {
        let taken = std::io::Error::from_raw_os_error(98);
        let address = "127.0.0.1:9292".parse().unwrap();
        let error =
            crate::api::ListenError::Address { address, purpose: "webhooks", flag: "listen", source: taken };
        assert_eq!(
            sentence(&anyhow::Error::from(error).context("failed to start")),
            "failed to start: failed to listen on `127.0.0.1:9292` for webhooks: Address already in use (os error 98)\nhint: another program may have the port; choose one with `--listen`"
        );
        let told = anyhow::anyhow!("no room").context("failed to store the change: no room");
        assert_eq!(sentence(&told), "failed to store the change: no room");
    }

    #[test]
    fn spans() {
        let all = [999, 12_000, 1_449_000, 125_000_000, 11_040_000_000].map(span);
        assert_eq!(all, ["<1ms", "12ms", "1.4s", "2m5s", "3h4m"]);
    }
}
