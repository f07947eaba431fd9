//! Asks Helm and this engine the same questions and prints where they differ; `scripts/oracle-helm`
//! runs it.
//!
//! ```text
//! differential ORACLE [--seconds N] [--seed N] [--only expressions|values|directories] [--found FILE]
//! ```
//!
//! Exits with 1 when something differed. Each difference is a line of `tests/data/differential.jsonl`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on them")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[path = "../../tests/conformance/mod.rs"]
mod conformance;
mod expressions;
mod renders;
mod seeded;

use seeded::Seeded;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A process that answers as Helm does.
struct Oracle {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    fn start(program: &str, what: &str) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["-timeout", "3s", what])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("failed to start `{program}`: {error}"))?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, question: &Value) -> Result<Value, Failure> {
        writeln!(self.input, "{question}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut answer: Value = serde_json::from_str(&line)?;
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("id");
        }
        Ok(answer)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It ends with its input; what remains of it is of no interest.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What one side says: text or error.
type Answer = Result<Vec<u8>, String>;

/// Something both are asked.
struct Question {
    /// What Helm is asked.
    request: Value,
    /// The line that is kept when the answers differ.
    kept: Value,
    here: Box<dyn FnOnce() -> Answer>,
}

struct Options {
    oracle: String,
    seconds: u64,
    seed: u64,
    only: String,
    found: Option<String>,
}

fn options() -> Result<Options, Failure> {
    let mut args = std::env::args().skip(1);
    let oracle = args
        .next()
        .ok_or("usage: differential ORACLE [--seconds N] [--seed N] [--only KIND] [--found FILE]")?;
    let mut options = Options { oracle, seconds: 60, seed: 1, only: String::new(), found: None };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("`{flag}` wants a value"))?;
        match flag.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--only" => options.only = value,
            "--found" => options.found = Some(value),
            _ => return Err(format!("unknown argument `{flag}`").into()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(|| options().and_then(|o| run(&o)));
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(0))) => ExitCode::SUCCESS,
        Ok(Ok(Ok(_))) => ExitCode::FAILURE,
        Ok(Ok(Err(error))) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        _ => ExitCode::from(2),
    }
}

/// Whether the two differ only as Go releases do: the oracle may be built with another Go than Helm's
/// own release. Those differences are in the corpus (`also`).
fn same_but_for_go(answer: &Value, here: &Answer) -> bool {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    let bytes = |key: &str| {
        let bytes = STANDARD.decode(answer[key].as_str()?).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (there, here) = match here {
        Ok(here) => (text("out").or_else(|| bytes("out_b64")), String::from_utf8_lossy(here).into_owned()),
        Err(error) => (text("error").or_else(|| bytes("error_b64")), error.clone()),
    };
    let Some(there) = there else { return false };
    let json_error =
        |text: &str| text.contains("invalid character") || text.contains("unexpected end of JSON");
    (json_error(&there) && json_error(&here))
        || there.replace("\\ufffd", "\u{fffd}") == here.replace("\\ufffd", "\u{fffd}")
}

/// Compares until the time is over; the number of differences.
fn run(options: &Options) -> Result<usize, Failure> {
    let mut found = match &options.found {
        Some(path) => Some(std::fs::File::options().create(true).append(true).open(path)?),
        None => None,
    };
    let mut differences = 0;
    let kinds = ["expressions", "values", "directories"];
    let chosen: Vec<&str> =
        kinds.into_iter().filter(|kind| options.only.is_empty() || options.only == *kind).collect();
    let share = Duration::from_secs(options.seconds) / u32::try_from(chosen.len().max(1))?;
    for kind in chosen {
        let mut oracle =
            Oracle::start(&options.oracle, if kind == "expressions" { "eval" } else { "template" })?;
        let mut random = Seeded::new(options.seed ^ kind.len() as u64);
        let mut source = renders::Source::new()?;
        let (begun, mut asked, mut unstable) = (Instant::now(), 0_u64, 0_u64);
        let mut errors: BTreeMap<bool, u64> = BTreeMap::new();
        while begun.elapsed() < share {
            let question = match kind {
                "expressions" => expressions::question(&mut random),
                "values" => match source.values(&mut random)? {
                    Some(question) => question,
                    None => break,
                },
                _ => source.directory(&mut random)?,
            };
            let answer = oracle.ask(&question.request)?;
            asked += 1;
            *errors.entry(answer.get("error").is_some()).or_default() += 1;
            let here = conformance::guarded(question.here);
            if conformance::matches_answer(&answer, &here) || same_but_for_go(&answer, &here) {
                continue;
            }
            let text = answer["error"].as_str().unwrap_or_default();
            if text.starts_with("oracle: ") {
                unstable += 1;
                continue;
            }
            // Go walks maps in random order: an answer that changes is none.
            let mut stable = true;
            for _ in 0..12 {
                stable &= oracle.ask(&question.request)? == answer;
            }
            if !stable {
                unstable += 1;
                continue;
            }
            differences += 1;
            let mut kept = question.kept;
            if let (Some(kept), Some(answer)) = (kept.as_object_mut(), answer.as_object()) {
                kept.extend(answer.clone());
            }
            println!("DIFFERENT {kept}");
            match &here {
                Ok(text) => println!("     here {}\n", json!(String::from_utf8_lossy(text))),
                Err(error) => println!("     here {}\n", json!({ "error": error })),
            }
            if let Some(file) = &mut found {
                writeln!(file, "{kept}")?;
            }
        }
        println!(
            "{kind}: {asked} asked, {} of them errors in helm, {unstable} unanswered or at random; seed {}",
            errors.get(&true).copied().unwrap_or_default(),
            options.seed,
        );
    }
    println!("{differences} differences");
    Ok(differences)
}
