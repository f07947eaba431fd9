//! `sluice check`: whether manifests are valid and clusters can be reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::client::Client;
use super::output::{Mark, Terminal, clean, print};
use super::{Answer, Context, Document, formatted, seconds};
use crate::api::wire::{ClusterReach, ProblemLine};
use crate::cluster::{ClusterSettings, Clusters, KubeconfigPolicy};
use crate::config::{Flags, ProcessEnvironment, Settings};
use crate::model::{Clock, ObjectKey};
use crate::objects::{MemoryStore, Objects};
use crate::{receiver, reconcile};

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
    output: Option<Document>,
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
        Some(dir) => offline(dir, &rules(&cx.flags.0)?).await?,
        None => running(&Client::new(cx)?, args.timeout).await?,
    };
    match args.output {
        None => print(&render(&report, terminal))?,
        Some(document) => print(&formatted(&report, document.into())?)?,
    }
    let bad = !report.problems.is_empty() || report.clusters.iter().any(|cluster| cluster.error.is_some());
    Ok(if bad { Answer::Failed } else { Answer::Done })
}

/// What an agent would allow, by the settings it would be started with.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    no_cross_namespace_refs: bool,
    kubeconfigs: KubeconfigPolicy,
}

fn rules(flags: &Flags) -> anyhow::Result<Rules> {
    // Nothing is kept here: any place will do where none is named.
    let mut anywhere = Flags::default();
    anywhere.set("state", ".");
    let settings = Settings::load(&flags.over(&anywhere), &ProcessEnvironment)?;
    Ok(Rules {
        no_cross_namespace_refs: settings.no_cross_namespace_refs,
        kubeconfigs: KubeconfigPolicy {
            exec: settings.insecure_kubeconfig_exec,
            insecure_tls: settings.insecure_kubeconfig_tls,
            ..KubeconfigPolicy::default()
        },
    })
}

async fn offline(dir: PathBuf, rules: &Rules) -> anyhow::Result<Report> {
    let shown = dir.display().to_string();
    let (objects, _watcher) = Objects::directory(dir, Arc::new(MemoryStore::default()), Clock::system())
        .await
        .with_context(|| format!("failed to check the manifests in `{shown}`"))?;
    let written = objects.problems().into_iter().map(|it| ProblemLine {
        file: it.file,
        line: it.line,
        object: it.key,
        message: it.message,
    });
    let settings = ClusterSettings { policy: rules.kubeconfigs, ..ClusterSettings::default() };
    let clusters = Clusters::new(settings, Clock::system());
    let meant = reconcile::examine(&objects, &clusters, rules.no_cross_namespace_refs);
    let unserved = receiver::unserved(&objects).into_iter().map(|(key, why)| (key, why.to_string()));
    let at = |(key, message): (ObjectKey, String)| ProblemLine {
        file: objects.file(&key).unwrap_or_default(),
        line: objects.line(&key),
        message: format!("`{key}`: {message}"),
        object: Some(key),
    };
    let mut problems: Vec<ProblemLine> = written.chain(meant.into_iter().chain(unserved).map(at)).collect();
    problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(Report { objects: objects.all().len(), problems, clusters: Vec::new() })
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
        let report = offline(dir.path().to_owned(), &Rules::default()).await.unwrap();
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
    async fn what_cannot_work_is_named_by_file_and_line() {
        let receiver = "apiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata:\n  name: push\n  namespace: gitops-project\nspec:\n  type: github\n  secretRef: {name: token}\n  resources: [{kind: GitRepository, name: git-repo}]\n";
        let encrypted = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: token\n  namespace: gitops-project\nstringData: {token: 'ENC[AES256_GCM,data:x]'}\nsops: {version: 3.9.0}\n";
        let release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: web\n  namespace: gitops-project\nspec:\n  interval: 1m\n  chart: {spec: {chart: ./c, sourceRef: {kind: GitRepository, name: gone}}}\n";
        let both = format!("{GOOD}---\n{receiver}");
        let (text, good) =
            check(&[("git.yaml", &both), ("secret.yaml", encrypted), ("web.yaml", release)]).await;
        assert!(!good);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("✗ git.yaml:10: `Receiver/gitops-project/push`: unable to read token from secret `gitops-project/token`: "),
            "{text}"
        );
        assert!(lines[0].contains("encrypted with SOPS"), "{text}");
        assert_eq!(
            lines[1],
            "✗ web.yaml:1: `HelmRelease/gitops-project/web`: `GitRepository/gitops-project/gone` does not exist"
        );
        assert_eq!(lines[2], "✗ 3 objects, 2 problems");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error() {
        let error =
            format!("{:#}", offline("/nonexistent/manifests".into(), &Rules::default()).await.unwrap_err());
        assert!(error.contains("/nonexistent/manifests"), "{error}");
    }
}
