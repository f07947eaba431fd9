//! Compares this engine with Helm's own answers and prints the score; `scripts/conformance` runs it.
//!
//! ```text
//! conformance helm [--charts [FILTER]] [--vectors [FILTER]] [--failures N] [--quiet]
//! conformance helm --profile v3.19 --answers FILE     another Helm's answers to the chart cases
//! conformance helm --lines      answers `eval` requests, one JSON line each, on stdin
//! conformance helm --templates  answers `template` requests likewise
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on them")]

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use helm_engine::HelmProfile;
use serde_json::{Value, json};

#[path = "../../../src/cli/chart_directory.rs"]
mod chart_directory;
#[path = "../tests/conformance/mod.rs"]
mod conformance;
#[path = "../tests/conformance/marks.rs"]
mod marks;
#[path = "../tests/conformance/requests.rs"]
mod requests;

use conformance::Outcome;

struct Options {
    charts: Option<String>,
    vectors: Option<String>,
    failures: usize,
    lines: bool,
    templates: bool,
    profile: String,
    answers: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        charts: None,
        vectors: None,
        failures: usize::MAX,
        lines: false,
        templates: false,
        profile: "v4.3.1".to_owned(),
        answers: None,
    };
    let mut args = std::env::args().skip(1).peekable();
    while let Some(arg) = args.next() {
        let mut filter = || args.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        match arg.as_str() {
            "helm" => {}
            "--charts" => options.charts = Some(filter()),
            "--vectors" => options.vectors = Some(filter()),
            "--failures" => options.failures = filter().parse().map_err(|_| "--failures wants a number")?,
            "--quiet" => options.failures = 0,
            "--profile" => options.profile = filter(),
            "--answers" => options.answers = Some(filter()),
            "--lines" => options.lines = true,
            "--templates" => options.templates = true,
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    if options.charts.is_none() && options.vectors.is_none() {
        options.charts = Some(String::new());
        options.vectors = Some(String::new());
    }
    Ok(options)
}

fn main() -> ExitCode {
    match options().and_then(|options| match (options.lines, options.templates) {
        (true, _) => lines(answer),
        (_, true) => {
            let profile = HelmProfile::by_name(&options.profile).ok_or("unknown profile")?;
            lines(move |line| template(line, &profile))
        }
        _ => compare(&options),
    }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Answers requests as the oracle does.
fn lines(answer: impl Fn(&str) -> Value + Send + 'static) -> Result<bool, String> {
    let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
        let mut out = io::stdout().lock();
        for line in io::stdin().lock().lines() {
            let line = line?;
            if !line.trim().is_empty() {
                writeln!(out, "{}", answer(&line))?;
                out.flush()?;
            }
        }
        Ok(())
    });
    let worker = worker.map_err(|error| error.to_string())?;
    let result: io::Result<()> = worker.join().map_err(|_| "a request panicked")?;
    result.map(|()| true).map_err(|error| error.to_string())
}

fn answer(line: &str) -> Value {
    let request: Value = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return json!({"id": null, "error": format!("bad request: {error}")}),
    };
    let id = request.get("id").cloned().unwrap_or_default();
    match conformance::eval(&request).map(String::from_utf8) {
        Ok(Ok(out)) => json!({"id": id, "out": out}),
        Ok(Err(bytes)) => json!({"id": id, "out_b64": STANDARD.encode(bytes.as_bytes())}),
        Err(error) => json!({"id": id, "error": error}),
    }
}

fn template(line: &str, profile: &HelmProfile) -> Value {
    let request: Value = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return json!({"id": null, "error": format!("bad request: {error}")}),
    };
    let id = request.get("id").cloned().unwrap_or_default();
    match requests::template(&request, profile) {
        Ok(out) => json!({"id": id, "out": out}),
        Err(error) => json!({"id": id, "error": error}),
    }
}

fn compare(options: &Options) -> Result<bool, String> {
    let corpus =
        conformance::corpus().ok_or("the corpus is not here\nhint: set `SLUICE_CORPUS` to its directory")?;
    let mut fine = true;
    if let Some(file) = &options.answers {
        return against(options, &corpus, file);
    }
    if let Some(filter) = &options.charts {
        let charts = conformance::chart_cases(&corpus, filter);
        let outcomes = conformance::parallel(&charts, |chart| conformance::run_chart(&corpus, chart));
        fine &= report("charts", &outcomes, options.failures, filter.is_empty().then_some(marks::CHARTS));
    }
    if let Some(filter) = &options.vectors {
        let pieces = conformance::vectors(&corpus, filter);
        let outcomes = conformance::parallel(&pieces, |piece| conformance::run_vectors(piece));
        fine &= report("vectors", &outcomes, options.failures, filter.is_empty().then_some(marks::VECTORS));
    }
    Ok(fine)
}

/// Compares a profile with the answers its Helm gave.
fn against(options: &Options, corpus: &Path, file: &str) -> Result<bool, String> {
    let profile = HelmProfile::by_name(&options.profile).ok_or("unknown profile")?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("failed to read `{file}`: {error}"))?;
    let mut answers = BTreeMap::new();
    for line in text.lines() {
        let answer: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        answers.insert(answer["id"].as_str().unwrap_or_default().to_owned(), answer);
    }
    let charts = conformance::chart_cases(corpus, options.charts.as_deref().unwrap_or_default());
    let outcomes =
        conformance::parallel(&charts, |chart| conformance::run_chart_against(chart, &profile, &answers));
    report("charts", &outcomes, options.failures, None);
    Ok(outcomes.iter().all(Outcome::passed))
}

/// Prints failures and scores; false below the marks.
fn report(what: &str, outcomes: &[Outcome], failures: usize, marks: Option<&[(&str, usize)]>) -> bool {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        let Some(difference) = &outcome.difference else { continue };
        let count = shown.entry(&outcome.group).or_default();
        *count += 1;
        if *count <= failures {
            println!("FAIL {}: {difference}\n", outcome.id);
        }
    }
    let marks: BTreeMap<&str, usize> = marks.into_iter().flatten().copied().collect();
    let mut fine = true;
    let (mut all, mut equal) = (0, 0);
    for (group, (passed, total)) in conformance::scores(outcomes) {
        let mark = marks.get(group.as_str()).copied().unwrap_or(0);
        let below = if passed < mark { format!("  BELOW ITS MARK OF {mark}") } else { String::new() };
        println!("{what:8} {group:40} {passed:6} of {total:6}{below}");
        fine &= passed >= mark;
        all += total;
        equal += passed;
    }
    println!("{what:8} {:40} {equal:6} of {all:6}", "all");
    fine
}
