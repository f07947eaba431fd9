//! `sluice explain`: the story of a delivery, a commit or an object, and what nothing came of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::client::{Client, escape};
use super::columns::shorten;
use super::output::{Mark, Terminal, clean, print, span};
use super::usage::usage;
use super::{Answer, Context, Document, formatted};
use crate::api::wire::{DeliveryLine, JobLine, MessageLine, StepLine, StoryView};
use crate::model::{Kind, ObjectKey, Timestamp};

/// Tell the story of a delivery, a commit or an object
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The beginning of a delivery's id or of a commit; or `Kind/namespace/name`, `hr/name`, or kind and name
    #[arg(value_name = "ID", required = true, num_args = 1..=3)]
    what: Vec<String>,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Document>,
}

pub(super) async fn run(args: ExplainArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let what = match &args.what[..] {
        // A delivery, a commit, or an object's full name.
        [one] if one.split('/').count() != 2 => one.clone(),
        words => {
            let (kind, name) = super::words::parse_one(words).map_err(usage)?;
            ObjectKey::new(kind, client.the_namespace().await?, name).to_string()
        }
    };
    let path: Vec<String> = what.split('/').map(escape).collect();
    let story: StoryView = client.get(&format!("/explain/{}", path.join("/"))).await?;
    match args.output {
        None => print(&render(&story, terminal))?,
        Some(document) => print(&formatted(&story, document.into())?)?,
    }
    Ok(Answer::Done)
}

/// The story as people read it.
pub(super) fn render(story: &StoryView, terminal: Terminal) -> String {
    let mut text = String::new();
    let begin = beginning(story);
    for delivery in &story.deliveries {
        delivery_lines(&mut text, delivery, terminal);
    }
    let mut by_job: BTreeMap<&str, Vec<&StepLine>> = BTreeMap::new();
    let mut loose = Vec::new();
    for step in &story.steps {
        match &step.job {
            Some(job) => by_job.entry(job).or_default().push(step),
            None => loose.push(step),
        }
    }
    if !loose.is_empty() {
        text.push('\n');
        step_lines(&mut text, &loose, terminal);
    }
    // In the order in which they ran; a job that was put in for an interval may have waited long for this.
    let mut jobs: Vec<&JobLine> = story.jobs.iter().collect();
    jobs.sort_by_key(|job| job.started_at.unwrap_or(job.due_at.max(job.created_at)));
    for job in jobs {
        text.push('\n');
        job_line(&mut text, job, begin, terminal);
        let steps = by_job.get(job.id.as_str()).map_or(&[][..], Vec::as_slice);
        step_lines(&mut text, steps, terminal);
        // A failed step says it better; what failed between two steps is said here.
        let said = steps.last().is_some_and(|step| step.outcome == "failed");
        if let Some(error) = job.last_error.as_deref().filter(|error| !said && !error.is_empty()) {
            line(&mut text, "    ", terminal.sign(Mark::Failed), &[error]);
        }
    }
    if story.jobs.is_empty() && !story.deliveries.is_empty() {
        text.push_str("\nno job came of it\n");
    }
    if !story.messages.is_empty() {
        text.push_str("\nmessages\n");
        for message in &story.messages {
            message_line(&mut text, message, terminal);
        }
    }
    if !story.objects.is_empty() {
        text.push_str("\nnow\n");
        for object in &story.objects {
            let (mark, revision) = match object.ready.as_str() {
                _ if object.suspended => (Mark::Skipped, "suspended: nothing is done for it".to_owned()),
                "True" => (Mark::Done, object.revision.as_deref().map(shorten).unwrap_or_default()),
                "False" => (Mark::Failed, object.revision.as_deref().map(shorten).unwrap_or_default()),
                _ => (Mark::Waiting, object.revision.as_deref().map(shorten).unwrap_or_default()),
            };
            // A receiver's message is where people copy its path from.
            let message = match object.object.kind {
                Kind::Receiver => object.message.clone(),
                _ => shorten(&object.message),
            };
            line(&mut text, "  ", terminal.sign(mark), &[&object.object.to_string(), &revision, &message]);
        }
    }
    if let Some(summary) = summary(story, terminal) {
        text.push('\n');
        text.push_str(&summary);
    }
    text.trim_start_matches('\n').to_owned()
}

fn line(text: &mut String, indent: &str, sign: &str, parts: &[&str]) {
    let parts: Vec<String> = parts.iter().filter(|part| !part.is_empty()).map(|part| clean(part)).collect();
    let body = parts.join("  ").replace('\n', &format!("\n{indent}  "));
    push(text, format_args!("{indent}{sign} {body}\n"));
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String cannot fail");
}

fn delivery_lines(text: &mut String, delivery: &DeliveryLine, terminal: Terminal) {
    let event = if delivery.event.is_empty() { "event without a name" } else { &delivery.event };
    push(
        text,
        format_args!(
            "delivery {}: {} from {} to {}\n",
            delivery.id,
            clean(event),
            delivery.provider,
            delivery.receiver
        ),
    );
    push(
        text,
        format_args!(
            "  received {:.3}, on disk {} later\n",
            delivery.received_at,
            span(micros(delivery.received_at, delivery.stored_at))
        ),
    );
    let facts = facts(&delivery.facts);
    if !facts.is_empty() {
        push(text, format_args!("  {}\n", clean(&facts)));
    }
    if let Some(note) = &delivery.note {
        line(text, "  ", terminal.sign(Mark::Skipped), &[note]);
    }
}

/// What a body said, in a line: `ref refs/heads/master, commit 8b1a9953`.
pub(super) fn facts(facts: &Value) -> String {
    const TOLD: &[&str] = &["repository", "ref", "commit", "tag", "digest", "release"];
    let told = TOLD.iter().filter_map(|name| {
        let value = facts.get(name)?.as_str()?;
        Some(format!("{name} {}", shorten(value)))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn job_line(text: &mut String, job: &JobLine, begin: Option<Timestamp>, terminal: Terminal) {
    let mark = match job.state.as_str() {
        "done" => Mark::Done,
        "failed" | "dead" => Mark::Failed,
        "superseded" => Mark::Skipped,
        "running" => Mark::Doing,
        _ => Mark::Waiting,
    };
    let since = job
        .started_at
        .zip(begin)
        .map(|(started, begin)| format!("+{}", span(micros(begin, started))))
        .unwrap_or_default();
    let causes: Vec<&str> = job.causes.iter().map(|cause| cause.kind.as_str()).collect();
    let took = match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => format!("took {}", span(micros(started, finished))),
        _ => job.state.clone(),
    };
    let end = match (&job.superseded_by, job.state.as_str()) {
        (Some(_), _) | (None, "superseded") => "a newer push took its place".to_owned(),
        (None, "dead") => "set aside: it took the worker down too often".to_owned(),
        (None, _) => String::new(),
    };
    let attempts = match job.attempts {
        0 => String::new(),
        1 => "failed once".to_owned(),
        many => format!("failed {many} times"),
    };
    line(
        text,
        "",
        terminal.sign(mark),
        &[
            &format!("{since:<8}"),
            &job.object.to_string(),
            &format!("({})", causes.join(", ")),
            &took,
            &attempts,
            &end,
        ],
    );
}

fn step_lines(text: &mut String, steps: &[&StepLine], terminal: Terminal) {
    let names = steps.iter().map(|step| step.step.chars().count()).max().unwrap_or(0);
    let clusters = steps
        .iter()
        .filter_map(|step| step.cluster.as_ref())
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    for step in steps {
        let mark = match step.outcome.as_str() {
            "done" => Mark::Done,
            "failed" => Mark::Failed,
            _ => Mark::Skipped,
        };
        let outcome =
            if step.outcome == "done" || step.outcome == "failed" { "" } else { step.outcome.as_str() };
        let cluster = step.cluster.as_deref().unwrap_or_default();
        line(
            text,
            "    ",
            terminal.sign(mark),
            &[
                &format!("{:<names$}", step.step),
                &format!("{cluster:<clusters$}"),
                &format!("{:>6}", span(step.duration_us)),
                outcome,
                &shorten(&step.detail),
            ],
        );
    }
}

fn message_line(text: &mut String, message: &MessageLine, terminal: Terminal) {
    let mark = match message.state.as_str() {
        "sent" => Mark::Done,
        "dead" => Mark::Failed,
        _ => Mark::Waiting,
    };
    let took = match message.finished_at {
        Some(finished) => format!("{} after {}", message.state, span(micros(message.created_at, finished))),
        None => message.state.clone(),
    };
    line(
        text,
        "  ",
        terminal.sign(mark),
        &[
            &message.provider.to_string(),
            &took,
            &format!("{}: {}", message.reason, shorten(&message.message)),
        ],
    );
    if let Some(error) = message.last_error.as_deref().filter(|_| message.state != "sent") {
        line(text, "    ", terminal.sign(Mark::Failed), &[error]);
    }
}

/// From when on everything is counted: the first delivery's arrival, else the first job.
fn beginning(story: &StoryView) -> Option<Timestamp> {
    let deliveries = story.deliveries.iter().map(|delivery| delivery.received_at).min();
    deliveries.or_else(|| story.jobs.iter().map(|job| job.created_at).min())
}

/// How long the push took to each cluster.
fn summary(story: &StoryView, terminal: Terminal) -> Option<String> {
    // With several pushes in one story there is no one time to tell.
    let [delivery] = &story.deliveries[..] else { return None };
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    for step in &story.steps {
        let is_apply =
            matches!(step.object.kind, Kind::HelmRelease | Kind::Kustomization) && step.step == "apply";
        let Some(cluster) = step.cluster.as_deref().filter(|_| is_apply && step.outcome == "done") else {
            continue;
        };
        let end = micros(delivery.received_at, step.started_at).saturating_add(step.duration_us);
        let cluster = if cluster.is_empty() { "the agent's own cluster" } else { cluster };
        // The first apply after the push; a later one is another story.
        let first = reached.entry(cluster.to_owned()).or_insert(end);
        *first = (*first).min(end);
    }
    let last = *reached.values().max()?;
    let each: Vec<String> =
        reached.iter().map(|(cluster, took)| format!("{} {}", clean(cluster), span(*took))).collect();
    Some(format!(
        "{} from push to applied: {} ({})\n",
        terminal.sign(Mark::Done),
        span(last),
        each.join(", ")
    ))
}

fn micros(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_microsecond() - from.as_microsecond()).unwrap_or(0)
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
