//! `sluice diff`: what a revision would change on each cluster, with nothing applied.

use std::time::Duration;

use anyhow::Context as _;
use similar::TextDiff;

use super::client::Client;
use super::output::{Mark, Terminal, clean, print};
use super::usage::usage;
use super::words::{Selection, parse};
use super::{Answer, Context, Format, formatted, seconds};
use crate::api::wire::{DiffReport, DiffRequest, ObjectDiff, ResourceChange};
use crate::model::ObjectKey;

/// Show what would change on each cluster; exit code 0: nothing, 1: something, 2: it could not be told
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Kind and name (`hr web`, `ks apps`); without them every release and Kustomization of the namespace
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    /// At this commit (or its beginning), branch, tag or reference of the source; without it at what it stands at
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = seconds)]
    timeout: Duration,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(super) async fn run(args: DiffArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    match told(&args, cx).await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            terminal.fail(&error);
            Ok(Answer::Trouble)
        }
    }
}

async fn told(args: &DiffArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let namespace = if args.all_namespaces { None } else { Some(client.the_namespace().await?) };
    let objects = if args.words.is_empty() {
        Vec::new()
    } else {
        let (selection, names) = parse(&args.words).map_err(usage)?;
        let Selection::Kind(kind) = selection else {
            anyhow::bail!(
                "a diff is of a HelmRelease or a Kustomization\nhint: for example `sluice diff hr web`"
            );
        };
        let namespace = namespace
            .as_deref()
            .context("names need a namespace\nhint: give it with `-n` instead of `-A`")?;
        names.into_iter().map(|name| ObjectKey::new(kind, namespace, name)).collect()
    };
    let request = DiffRequest { objects, namespace, revision: args.revision.clone() };
    let report: DiffReport = client.post("/diff", &request, Some(args.timeout)).await?;
    if report.objects.is_empty() {
        // Exit code 0 would say that nothing would change.
        anyhow::bail!(nothing_found(request.namespace.as_deref()));
    }
    match args.output {
        None | Some(Format::Wide | Format::Name) => {
            print(&render(&report, args.output == Some(Format::Name), terminal))?
        }
        Some(format) => print(&formatted(&report, format)?)?,
    }
    let mut answer = Answer::Done;
    for object in &report.objects {
        match &object.error {
            Some(error) => {
                terminal.say(Mark::Failed, format!("{}: {error}", title(object)));
                answer = Answer::Trouble;
            }
            None if !object.changes.is_empty() && answer != Answer::Trouble => answer = Answer::Failed,
            None => {}
        }
    }
    Ok(answer)
}

fn nothing_found(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("no HelmRelease objects found in \"{namespace}\" namespace"),
        None => "no HelmRelease objects found in any namespace".to_owned(),
    }
}

fn title(object: &ObjectDiff) -> String {
    if object.cluster.is_empty() {
        object.object.to_string()
    } else {
        format!("{} on {}", object.object, object.cluster)
    }
}

fn render(report: &DiffReport, names_only: bool, terminal: Terminal) -> String {
    let mut text = String::new();
    for object in report.objects.iter().filter(|object| object.error.is_none() && !object.changes.is_empty())
    {
        let at = object.revision.as_deref().map(|revision| format!(" at {revision}")).unwrap_or_default();
        text.push_str(&clean(&format!("{} {}{at}", terminal.sign(Mark::Doing), title(object))));
        text.push('\n');
        for change in &object.changes {
            text.push_str(&headline(change));
            if !names_only {
                text.push_str(&hunks(change, terminal));
            }
        }
        text.push('\n');
    }
    text
}

fn headline(change: &ResourceChange) -> String {
    let what = match (&change.before, &change.after) {
        (None, _) => "created",
        (_, None) => "removed",
        (Some(_), Some(_)) => "changed",
    };
    format!("{} {what}\n", clean(&change.resource))
}

fn hunks(change: &ResourceChange, terminal: Terminal) -> String {
    let before = change.before.as_deref().unwrap_or_default();
    let after = change.after.as_deref().unwrap_or_default();
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(3).to_string();
    let mut painted = String::with_capacity(text.len());
    for line in text.lines() {
        let line = clean(line);
        let color = match (terminal.color, line.as_bytes().first()) {
            (true, Some(b'+')) => "\u{1b}[32m",
            (true, Some(b'-')) => "\u{1b}[31m",
            (true, Some(b'@')) => "\u{1b}[36m",
            _ => "",
        };
        let end = if color.is_empty() { "" } else { "\u{1b}[0m" };
        painted.push_str(&format!("{color}{line}{end}\n"));
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[tokio::test]
    async fn a_diff_of_nothing_is_no_diff_without_changes() {
        let dir = tempfile::tempdir().unwrap();
        let routes = axum::Router::new()
            .route("/api/v1/diff", axum::routing::post(async || axum::Json(DiffReport::default())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut flags = crate::config::Flags::default();
        flags.set("server", server);
        flags.set("namespace", "nope");
        flags.set("state", dir.path().display().to_string());
        let terminal = Terminal { unicode: true, color: false };
        let cx = Context { terminal, flags: crate::config::ClientFlags(flags) };
        let args = DiffArgs {
            words: Vec::new(),
            revision: None,
            all_namespaces: false,
            timeout: Duration::from_secs(10),
            output: None,
        };
        let error = told(&args, &cx).await.unwrap_err();
        assert_eq!(error.to_string(), "no HelmRelease objects found in \"nope\" namespace");
        assert_eq!(run(args, &cx).await.unwrap(), Answer::Trouble);
        serving.abort();
    }

    #[test]
    fn a_diff_reads_like_a_diff() {
        let change = |resource: &str, before: Option<&str>, after: Option<&str>| ResourceChange {
            resource: resource.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let report = DiffReport {
            objects: vec![ObjectDiff {
                object: ObjectKey::new(Kind::HelmRelease, "apps", "web"),
                cluster: "member1".to_owned(),
                revision: Some("1.0.0+8b1a9953c461".to_owned()),
                error: None,
                changes: vec![
                    change(
                        "Service/app/web",
                        Some("spec:\n  type: ClusterIP\n"),
                        Some("spec:\n  type: NodePort\n"),
                    ),
                    change("ConfigMap/app/new", None, Some("data:\n  a: b\n")),
                ],
            }],
        };
        insta::assert_snapshot!(render(&report, false, Terminal { unicode: true, color: false }), @r"
        ► HelmRelease/apps/web on member1 at 1.0.0+8b1a9953c461
        Service/app/web changed
        @@ -1,2 +1,2 @@
         spec:
        -  type: ClusterIP
        +  type: NodePort
        ConfigMap/app/new created
        @@ -0,0 +1,2 @@
        +data:
        +  a: b
        ");
    }
}
