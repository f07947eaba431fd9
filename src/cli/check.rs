//! `sluice check`: whether manifests are valid and clusters can be reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::client::Client;
use super::output::{Mark, Terminal, clean, print};
use super::{Answer, Context, Format, formatted, seconds};
use crate::api::wire::{ClusterReach, ProblemLine};
use crate::model::Clock;
use crate::objects::{MemoryStore, Objects};

/// Validate manifests; without a directory, those of the running agent and the reach of its clusters
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The directory with manifests; no agent is needed
    dir: Option<PathBuf>,
    /// How long to wait for clusters
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = seconds)]
    timeout: Duration,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    objects: usize,
    problems: Vec<ProblemLine>,
    clusters: Vec<ClusterReach>,
}

pub(super) async fn run(args: CheckArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let report = match args.dir {
        Some(dir) => offline(dir).await?,
        None => running(&Client::new(cx)?, args.timeout).await?,
    };
    match args.output {
        None | Some(Format::Wide | Format::Name) => print(&render(&report, terminal))?,
        Some(format) => print(&formatted(&report, format)?)?,
    }
    let bad = !report.problems.is_empty() || report.clusters.iter().any(|cluster| cluster.error.is_some());
    Ok(if bad { Answer::Failed } else { Answer::Done })
}

async fn offline(dir: PathBuf) -> anyhow::Result<Report> {
    let shown = dir.display().to_string();
    let (objects, _watcher) = Objects::directory(dir, Arc::new(MemoryStore::default()), Clock::system())
        .await
        .with_context(|| format!("failed to check the manifests in `{shown}`"))?;
    let problems = objects.problems().into_iter().map(|it| ProblemLine {
        file: it.file,
        line: it.line,
        object: it.key,
        message: it.message,
    });
    Ok(Report { objects: objects.all().len(), problems: problems.collect(), clusters: Vec::new() })
}

async fn running(client: &Client, timeout: Duration) -> anyhow::Result<Report> {
    let problems = client.get("/problems").await?;
    let objects = client.objects(None).await?.items.len();
    let clusters = client.get_slowly("/clusters", timeout).await?;
    Ok(Report { objects, problems, clusters })
}

fn render(report: &Report, terminal: Terminal) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let place = match problem.line {
            0 => problem.file.clone(),
            line => format!("{}:{line}", problem.file),
        };
        text.push_str(&clean(&format!("{} {place}: {}", terminal.sign(Mark::Failed), problem.message)));
        text.push('\n');
    }
    for cluster in &report.clusters {
        let line = match (&cluster.error, &cluster.version) {
            (Some(error), _) => {
                format!("{} cluster {}: {error}", terminal.sign(Mark::Failed), cluster.cluster)
            }
            (None, Some(version)) => {
                format!("{} cluster {}: Kubernetes {version}", terminal.sign(Mark::Done), cluster.cluster)
            }
            (None, None) => format!("{} cluster {}: answers", terminal.sign(Mark::Done), cluster.cluster),
        };
        text.push_str(&clean(&line));
        text.push('\n');
    }
    let problems = match report.problems.len() {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    let unreachable = report.clusters.iter().filter(|cluster| cluster.error.is_some()).count();
    let clusters =
        if unreachable > 0 { format!(", {unreachable} clusters cannot be used") } else { String::new() };
    let mark = if report.problems.is_empty() && unreachable == 0 { Mark::Done } else { Mark::Failed };
    text.push_str(&format!("{} {} objects, {problems}{clusters}\n", terminal.sign(mark), report.objects));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminal = Terminal { unicode: true, color: false };

    async fn check(files: &[(&str, &str)]) -> (String, bool) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let report = offline(dir.path().to_owned()).await.unwrap();
        (render(&report, TERMINAL), report.problems.is_empty())
    }

    const GOOD: &str = "apiVersion: source.toolkit.fluxcd.io/v1beta2\nkind: GitRepository\nmetadata:\n  name: git-repo\n  namespace: gitops-project\nspec:\n  interval: 1m0s\n  url: http://git.example/repo\n";

    #[tokio::test]
    async fn good_manifests_pass() {
        assert_eq!(check(&[("git.yaml", GOOD)]).await, ("✔ 1 objects, no problems\n".to_owned(), true));
    }

    #[tokio::test]
    async fn bad_ones_are_named_by_file_and_line() {
        let bad = GOOD.replace("git-repo", "other").replace("interval", "intervall");
        let (text, good) = check(&[("bad.yaml", &bad), ("git.yaml", GOOD), ("torn.yaml", "a: [\n")]).await;
        assert!(!good);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("✗ bad.yaml:"), "{text}");
        assert!(text.contains("bad.yaml:7: unknown field \"spec.intervall\""), "{text}");
        assert!(text.contains("✗ torn.yaml:"), "{text}");
        assert!(text.ends_with(" problems\n"), "{text}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error() {
        let error = format!("{:#}", offline("/nonexistent/manifests".into()).await.unwrap_err());
        assert!(error.contains("/nonexistent/manifests"), "{error}");
    }
}
