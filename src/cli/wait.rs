//! `sluice wait`: for CI, returns when every cluster has a revision, and says who has not.

use std::time::{Duration, Instant};

use super::client::{Client, escape};
use super::columns::shorten;
use super::output::{Mark, print, table};
use super::usage::usage;
use super::words::{name_line, parse_one};
use super::{Answer, Context, Format, formatted, seconds};
use crate::api::wire::{WaitMember, WaitReport, WaitState};

/// Wait until an object, and all that takes its content from it, stands at a revision
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Kind and name: `source git app`, `hr web` …
    #[arg(value_name = "KIND NAME", required = true)]
    words: Vec<String>,
    /// The revision, or the commit or its beginning; without it, ready at whatever is newest
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = seconds)]
    timeout: Duration,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(super) async fn run(args: WaitArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    /// The API holds an answer for a minute at most.
    const HOLD: u64 = 30;
    let (kind, name) = parse_one(&args.words).map_err(usage)?;
    let client = Client::new(cx)?;
    let namespace = client.the_namespace().await?;
    let deadline = Instant::now() + args.timeout;
    let revision = args.revision.as_deref().map(|it| format!("&revision={}", escape(it))).unwrap_or_default();
    let mut last: Option<WaitReport> = None;
    let report = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(report) = last.take_if(|report| report.done || report.failed || left.is_zero()) {
            break report;
        }
        let hold = left.as_secs().min(HOLD);
        let path = format!(
            "/wait?kind={kind}&namespace={}&name={}&timeout={hold}{revision}",
            escape(&namespace),
            escape(&name)
        );
        last = Some(client.get_slowly(&path, Duration::from_secs(hold + 10)).await?);
    };
    match args.output {
        None => print(&render(&report.members, shorten))?,
        Some(Format::Wide) => print(&render(&report.members, str::to_owned))?,
        Some(Format::Name) => {
            let names = report.members.iter().map(|member| name_line(&member.object));
            print(&names.collect::<String>())?;
        }
        Some(format) => print(&formatted(&report, format)?)?,
    }
    if report.done {
        return Ok(Answer::Done);
    }
    let missing = report.members.iter().filter(|member| member.state != WaitState::Ready).count();
    let why = if report.failed { "failed" } else { "is not there in time" };
    terminal.say(Mark::Failed, format!("{kind} {name} {why}: {missing} of {} miss it\nhint: `sluice explain` with the commit tells what happened", report.members.len()));
    Ok(Answer::Failed)
}

fn render(members: &[WaitMember], shown: fn(&str) -> String) -> String {
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            let state = match member.state {
                WaitState::Ready => "ready",
                WaitState::Waiting => "waiting",
                WaitState::Failed => "failed",
                WaitState::Suspended => "suspended",
            };
            let revision = member.revision.as_deref().map(shown).unwrap_or_default();
            let cluster = member.cluster.clone().unwrap_or_else(|| "-".to_owned());
            vec![member.object.to_string(), cluster, state.to_owned(), revision, shown(&member.message)]
        })
        .collect();
    table(Some(&["OBJECT", "CLUSTER", "STATE", "REVISION", "MESSAGE"]), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ObjectKey};

    #[test]
    fn who_is_waited_for_is_named_with_its_cluster() {
        let member =
            |kind: Kind, name: &str, cluster: Option<&str>, state: WaitState, revision: &str| WaitMember {
                object: ObjectKey::new(kind, "apps", name),
                cluster: cluster.map(str::to_owned),
                state,
                revision: Some(revision.to_owned()),
                message: String::new(),
            };
        let commit = "master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
        let members = [
            member(Kind::GitRepository, "app", None, WaitState::Ready, commit),
            member(Kind::HelmRelease, "web", Some("member1"), WaitState::Suspended, "1.0.0"),
        ];
        insta::assert_snapshot!(render(&members, shorten).replace('\t', "|"), @r"
        OBJECT                |CLUSTER|STATE    |REVISION            |MESSAGE
        GitRepository/apps/app|-      |ready    |master@sha1:8b1a9953
        HelmRelease/apps/web  |member1|suspended|1.0.0
        ");
        assert!(render(&members, str::to_owned).contains(commit));
    }
}
