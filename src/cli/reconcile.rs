//! `sluice reconcile`, `suspend`, `resume`: flux' sentences, flux' waiting.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::client::{Client, escape, path_of};
use super::columns::{ready, revision};
use super::output::{Mark, Terminal};
use super::usage::usage;
use super::words::{Selection, human, parse, parse_one};
use super::{Answer, Context, seconds};
use crate::api::wire::{ReconcileRequest, Requested, Suspended, WaitReport, WaitState};
use crate::model::{Kind, ObjectKey};

/// Reconcile an object now, and wait for it
#[derive(Debug, clap::Args)]
pub(super) struct ReconcileArgs {
    /// Kind and name: `hr web`, `source git app`, `ks apps` …
    #[arg(value_name = "KIND NAME", required = true)]
    words: Vec<String>,
    /// Fetch its sources first
    #[arg(long)]
    with_source: bool,
    /// Install or upgrade once, whatever the state (HelmRelease)
    #[arg(long)]
    force: bool,
    /// Start counting failures anew (HelmRelease)
    #[arg(long)]
    reset: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = seconds)]
    timeout: Duration,
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
}

/// Leave objects alone
#[derive(Debug, clap::Args)]
pub(super) struct SuspendArgs {
    /// Kind and names: `hr web`, `source git app` …
    #[arg(value_name = "KIND NAME", required = true)]
    words: Vec<String>,
    /// Every object of the kind in the namespace
    #[arg(long)]
    all: bool,
}

/// Take up suspended objects again
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// Kind and names: `hr web`, `source git app` …
    #[arg(value_name = "KIND NAME", required = true)]
    words: Vec<String>,
    /// Every object of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = seconds)]
    timeout: Duration,
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn reconcile(args: ReconcileArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let (kind, name) = parse_one(&args.words).map_err(usage)?;
    let client = Client::new(cx)?;
    let key = ObjectKey::new(kind, client.the_namespace().await?, name);
    let deadline = Instant::now() + args.timeout;
    let request = ReconcileRequest { with_source: false, force: args.force, reset: args.reset };
    if args.with_source {
        let sources: Vec<ObjectKey> = client.get(&format!("{}/sources", path_of(&key))).await?;
        for source in sources {
            one(&client, &source, ReconcileRequest::default(), (!args.no_wait).then_some(deadline), terminal)
                .await?;
        }
    }
    one(&client, &key, request, (!args.no_wait).then_some(deadline), terminal).await?;
    Ok(Answer::Done)
}

async fn one(
    client: &Client,
    key: &ObjectKey,
    request: ReconcileRequest,
    deadline: Option<Instant>,
    terminal: Terminal,
) -> anyhow::Result<()> {
    let ObjectKey { kind, namespace, name } = key;
    must_exist(client, key).await?;
    terminal.say(Mark::Doing, format!("annotating {kind} {name} in {namespace} namespace"));
    let requested: Requested = client.post(&format!("{}/reconcile", path_of(key)), &request, None).await?;
    terminal.say(Mark::Done, format!("{kind} annotated"));
    let Some(deadline) = deadline else { return Ok(()) };
    terminal.say(Mark::Waiting, format!("waiting for {kind} reconciliation"));
    let at = format!("&requested_at={}", escape(&requested.requested_at));
    let report = wait(client, key, &at, deadline).await?;
    let Some(report) = report else {
        bail!(
            "timed out waiting for {kind} reconciliation\nhint: `sluice explain {key}` shows what it is doing"
        );
    };
    if report.failed {
        let message = report.members.first().map(|it| it.message.as_str()).unwrap_or_default();
        bail!("{kind} reconciliation failed: '{message}'");
    }
    let item: Value = client.get(&path_of(key)).await?;
    terminal.say(Mark::Done, success(*kind, &item));
    Ok(())
}

/// Nothing is said to be under way for what is not there.
async fn must_exist(client: &Client, key: &ObjectKey) -> anyhow::Result<()> {
    client.get::<Value>(&path_of(key)).await.map(drop)
}

/// Asks again and again until it is over; `None` when time is up.
async fn wait(
    client: &Client,
    key: &ObjectKey,
    goal: &str,
    deadline: Instant,
) -> anyhow::Result<Option<WaitReport>> {
    /// The API holds an answer for a minute at most.
    const HOLD: u64 = 30;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let hold = left.as_secs().clamp(1, HOLD);
        let path = format!(
            "/wait?kind={}&namespace={}&name={}&timeout={hold}{goal}",
            key.kind,
            escape(&key.namespace),
            escape(&key.name)
        );
        let report: WaitReport = client.get_slowly(&path, Duration::from_secs(hold + 10)).await?;
        if report.done || report.failed {
            return Ok(Some(report));
        }
    }
}

/// What flux says when it went well.
fn success(kind: Kind, item: &Value) -> String {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        Kind::HelmRelease | Kind::Kustomization => format!("applied revision {}", revision(kind, item)),
        Kind::ImageRepository => {
            let count = item.pointer("/status/lastScanResult/tagCount").and_then(Value::as_i64).unwrap_or(0);
            format!("scan fetched {count} tags")
        }
        Kind::ImagePolicy => {
            format!("selected ref {}:{}", text("/status/latestRef/name"), text("/status/latestRef/tag"))
        }
        Kind::ImageUpdateAutomation => ready(kind, item).1,
        Kind::Receiver => format!("generated webhook URL {}", text("/status/webhookPath")),
        Kind::Provider | Kind::Alert => format!("{kind} is ready"),
        _ => format!("fetched revision {}", revision(kind, item)),
    }
}

/// The objects named, or all of the kind.
async fn objects(client: &Client, words: &[String], all: bool) -> anyhow::Result<Vec<ObjectKey>> {
    let (selection, names) = parse(words).map_err(usage)?;
    let Selection::Kind(kind) = selection else {
        return Err(usage("one kind is expected\nhint: for example `hr web`"));
    };
    match (all, names.is_empty()) {
        (true, false) => return Err(usage("`--all` takes no names")),
        (false, true) => return Err(usage(format!("{} name is required\nhint: or `--all`", human(kind)))),
        (true, true) | (false, false) => {}
    }
    let namespace = client.the_namespace().await?;
    if all {
        let list = client.objects(Some(&namespace)).await?;
        let name = |item: &Value| Some(item.pointer("/metadata/name")?.as_str()?.to_owned());
        let of_kind = list.items.iter().filter(|item| super::get::kind_of(item) == Some(kind));
        return Ok(of_kind.filter_map(name).map(|name| ObjectKey::new(kind, &namespace, name)).collect());
    }
    let mut keys: Vec<ObjectKey> =
        names.into_iter().map(|name| ObjectKey::new(kind, &namespace, name)).collect();
    keys.dedup();
    Ok(keys)
}

pub(super) async fn suspend(args: SuspendArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let mut answer = Answer::Done;
    for key in objects(&client, &args.words, args.all).await? {
        let what = human(key.kind);
        if let Err(error) = must_exist(&client, &key).await {
            terminal.fail(&error);
            answer = Answer::Failed;
            continue;
        }
        terminal.say(Mark::Doing, format!("suspending {what} {} in {} namespace", key.name, key.namespace));
        match client.post::<Suspended>(&format!("{}/suspend", path_of(&key)), &(), None).await {
            Ok(_) => terminal.say(Mark::Done, format!("{what} suspended")),
            Err(error) => {
                terminal.fail(&error);
                answer = Answer::Failed;
            }
        }
    }
    Ok(answer)
}

pub(super) async fn resume(args: ResumeArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let deadline = Instant::now() + args.timeout;
    let mut answer = Answer::Done;
    let mut resumed = Vec::new();
    for key in objects(&client, &args.words, args.all).await? {
        let what = human(key.kind);
        if let Err(error) = must_exist(&client, &key).await {
            terminal.fail(&error);
            answer = Answer::Failed;
            continue;
        }
        terminal.say(Mark::Doing, format!("resuming {what} {} in {} namespace", key.name, key.namespace));
        match client.post::<Suspended>(&format!("{}/resume", path_of(&key)), &(), None).await {
            Ok(done) => {
                terminal.say(Mark::Done, format!("{what} resumed"));
                resumed.push((key, done.is_static));
            }
            Err(error) => {
                terminal.fail(&error);
                answer = Answer::Failed;
            }
        }
    }
    for (key, is_static) in resumed {
        if is_static || args.no_wait {
            continue;
        }
        let kind = key.kind;
        terminal.say(Mark::Waiting, format!("waiting for {kind} reconciliation"));
        match wait(&client, &key, "", deadline).await? {
            Some(report) if report.members.iter().all(|it| it.state == WaitState::Ready) => {
                terminal.say(Mark::Done, format!("{kind} {} reconciliation completed", key.name));
                let item: Value = client.get(&path_of(&key)).await?;
                terminal.say(Mark::Done, success(kind, &item));
            }
            Some(report) => {
                let message = report.members.first().map(|it| it.message.clone()).unwrap_or_default();
                terminal.say(Mark::Failed, format!("{kind} {} reconciliation failed: '{message}'", key.name));
                answer = Answer::Failed;
            }
            None => {
                terminal
                    .say(Mark::Failed, format!("timed out waiting for {kind} {} reconciliation", key.name));
                answer = Answer::Failed;
            }
        }
    }
    Ok(answer)
}
