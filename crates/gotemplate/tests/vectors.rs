//! Runs the vectors of `corpus/helm/vectors` whose functions this crate has.
//!
//! What Helm puts around text/template (its objects, `include`, `tpl`, the rewriting of errors) is done
//! here only as far as these vectors need it; the complete run belongs to `helm-engine`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use support::{Case, Outcome, render};

fn corpus() -> Option<PathBuf> {
    let candidates = [
        std::env::var_os("SLUICE_CORPUS").map(PathBuf::from),
        Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus"))),
        Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus"))),
    ];
    candidates.into_iter().flatten().map(|dir| dir.join("helm/vectors")).find(|dir| dir.is_dir())
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

/// Groups that must pass in full once their functions are there.
const COMPLETE: &[&str] = &[
    "printf",
    "compare",
    "builtins",
    "range",
    "scope",
    "syntax",
    "trim",
    "flow",
    "templates",
    "errors",
    "numbers",
];

#[test]
fn vectors() {
    let Some(dir) = corpus() else {
        eprintln!("skipped: no corpus; set SLUICE_CORPUS");
        return;
    };
    // SLUICE_VECTORS names groups, or one case, to run alone with their differences shown.
    let only = std::env::var("SLUICE_VECTORS").unwrap_or_default();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|p| p.to_string_lossy().ends_with(".jsonl.gz")) {
        for case in support::read(path) {
            let wanted = only.is_empty() || only.split(',').any(|o| o == case.group || o == case.id);
            if wanted {
                run(&case, tallies.entry(case.group.clone()).or_default(), !only.is_empty());
            }
        }
    }
    let mut broken = Vec::new();
    let mut total = Tally::default();
    for (group, tally) in &tallies {
        let shown = tally.failed.iter().take(5).cloned().collect::<Vec<_>>().join(" ");
        println!(
            "{group:16} passed {:5} failed {:5} skipped {:5} {shown}",
            tally.passed,
            tally.failed.len(),
            tally.skipped
        );
        total.passed += tally.passed;
        total.skipped += tally.skipped;
        total.failed.extend(tally.failed.iter().cloned());
        if COMPLETE.contains(&group.as_str()) {
            broken.extend(tally.failed.iter().cloned());
        }
    }
    println!(
        "{:16} passed {:5} failed {:5} skipped {:5}",
        "total",
        total.passed,
        total.failed.len(),
        total.skipped
    );
    assert!(broken.is_empty(), "{} vectors differ: {broken:?}", broken.len());
}

fn run(case: &Case, tally: &mut Tally, verbose: bool) {
    let outcome = render(case);
    if case.accepted.contains(&outcome) {
        tally.passed += 1;
        return;
    }
    if let Outcome::Error(text) = &outcome
        && (text.contains("function \"") && text.ends_with("not defined") || text.contains("vectors:"))
    {
        tally.skipped += 1;
        return;
    }
    if case.accepted[0].to_string().contains("internal.apiserver.k8s.io/v1alpha1") {
        // It prints the default API versions, which are Helm's to know.
        tally.skipped += 1;
        return;
    }
    if verbose {
        println!("--- {}\n{}\nwant {}\ngot  {outcome}", case.id, case.template, case.accepted[0]);
    }
    tally.failed.push(case.id.clone());
}
