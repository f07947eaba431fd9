//! Helm's own answers, in the test run: all vectors and a share of the charts; every chart with
//! `CONFORMANCE=full`. `scripts/conformance helm` shows the same in detail.

use std::path::Path;

mod conformance;
#[path = "conformance/marks.rs"]
mod marks;

use conformance::Outcome;

/// Charts that are always compared: the ones most used, and every repository's first.
fn is_sampled(chart: &Path, at: usize) -> bool {
    const ALWAYS: &[&str] =
        &["hello-kubernetes", "podinfo", "ingress-nginx", "metrics-server", "kube-prometheus-stack"];
    let name = chart.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ALWAYS.iter().any(|chart| name.starts_with(chart)) || at.is_multiple_of(8)
}

/// Every group reaches its mark; a partial run must reach the same share of it.
fn check(what: &str, outcomes: &[Outcome], marks: &[(&str, usize)], all: bool) {
    let scores = conformance::scores(outcomes);
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
    let mut below = Vec::new();
    for (group, mark) in marks {
        let Some((passed, total)) = scores.get(*group) else {
            assert!(!all, "{what}: nothing was compared in `{group}`");
            continue;
        };
        // A part of the charts has no mark of its own: all of it must be equal.
        let wanted = if all { *mark } else { *total };
        if *passed < wanted {
            below.push(format!("{group}: {passed} of {total}, the mark is {wanted}"));
        }
    }
    let shown: Vec<String> = failed
        .iter()
        .filter(|outcome| below.iter().any(|line| line.starts_with(&format!("{}:", outcome.group))))
        .take(5)
        .map(|outcome| format!("{}: {}", outcome.id, outcome.difference.as_deref().unwrap_or_default()))
        .collect();
    let (equal, total) = (outcomes.len() - failed.len(), outcomes.len());
    let (below, shown) = (below.join("\n"), shown.join("\n\n"));
    assert!(
        below.is_empty(),
        "{what}: {equal} of {total} equal to helm; below their marks:\n{below}\n\n{shown}"
    );
}

#[test]
fn public_charts_render_as_helm_renders_them() {
    let Some(corpus) = conformance::corpus() else {
        eprintln!("skipped: the corpus is not on this machine");
        return;
    };
    let full = std::env::var("CONFORMANCE").is_ok_and(|value| value == "full");
    let mut charts = conformance::chart_cases(&corpus, "");
    if !full {
        let mut at = 0;
        charts.retain(|chart| {
            at += 1;
            is_sampled(&chart.chart, at - 1)
        });
    }
    let outcomes = conformance::parallel(&charts, |chart| conformance::run_chart(&corpus, chart));
    check("charts", &outcomes, marks::CHARTS, full);
}

#[test]
fn vectors_evaluate_as_helm_evaluates_them() {
    let Some(corpus) = conformance::corpus() else {
        eprintln!("skipped: the corpus is not on this machine");
        return;
    };
    let pieces = conformance::vectors(&corpus, "");
    let outcomes = conformance::parallel(&pieces, |piece| conformance::run_vectors(piece));
    check("vectors", &outcomes, marks::VECTORS, true);
}

#[test]
fn small_charts_render_as_helm_renders_them() {
    let outcomes: Vec<Outcome> =
        include_str!("data/charts.jsonl").lines().flat_map(conformance::run_small_chart).collect();
    let wrong: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| Some(format!("{}: {}", outcome.id, outcome.difference.as_deref()?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), outcomes.len(), wrong.join("\n\n"));
}

/// What `scripts/oracle-helm --found` once wrote.
#[test]
fn differences_once_found_are_gone() {
    let mut outcomes = Vec::new();
    for line in include_str!("data/differential.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        if case["template"].is_string() {
            outcomes.extend(conformance::run_vectors(&[case]));
        } else {
            outcomes.extend(conformance::run_small_chart(line));
        }
    }
    assert!(!outcomes.is_empty());
    for outcome in outcomes {
        assert!(outcome.passed(), "{}: {}", outcome.id, outcome.difference.unwrap_or_default());
    }
}
