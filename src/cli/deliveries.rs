//! `sluice deliveries`: the inbox of webhooks.

use serde_json::Value;

use super::client::{Client, escape};
use super::explain::{facts, render};
use super::output::{Mark, clean, print, table};
use super::usage::usage;
use super::{Answer, Context, Format, formatted};
use crate::api::wire::{DeliveryDetail, DeliveryLine, Rejection, Replayed};

/// The inbox of webhooks
#[derive(Debug, clap::Subcommand)]
pub(super) enum Deliveries {
    /// What came in, newest first
    List(ListArgs),
    /// One delivery: headers, body, and what came of it
    Show(ShowArgs),
    /// Handle a stored delivery once more
    Replay(ReplayArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Those that were refused instead: the agent remembers the last hundred of each Receiver
    #[arg(long)]
    rejected: bool,
    /// Only those of this Receiver (`namespace/name`)
    #[arg(long, value_name = "RECEIVER")]
    receiver: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Leave the header out
    #[arg(long)]
    no_header: bool,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The beginning of the delivery's id, or of its sender's
    id: String,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// The beginning of the delivery's id, or of its sender's
    id: String,
}

pub(super) async fn run(command: Deliveries, cx: &Context) -> anyhow::Result<Answer> {
    match command {
        Deliveries::List(args) => list(args, cx).await,
        Deliveries::Show(args) => show(args, cx).await,
        Deliveries::Replay(args) => replay(args, cx).await,
    }
}

async fn list(args: ListArgs, cx: &Context) -> anyhow::Result<Answer> {
    let client = Client::new(cx)?;
    let mut path = format!("/deliveries?limit={}", args.limit);
    if args.rejected {
        path.push_str("&rejected=true");
    }
    if let Some(receiver) = &args.receiver {
        let full = match receiver.split('/').count() {
            1 => format!("Receiver/{}/{receiver}", client.the_namespace().await?),
            2 => format!("Receiver/{receiver}"),
            _ => receiver.clone(),
        };
        path.push_str(&format!("&receiver={}", escape(&full)));
    }
    if let (None, Some(namespace)) = (&args.receiver, client.namespace()) {
        path.push_str(&format!("&namespace={}", escape(namespace)));
    }
    if args.rejected && args.output == Some(Format::Name) {
        return Err(usage("what was refused is not stored and has no id\nhint: `-o json` has all of it"));
    }
    let found: Vec<Value> = client.get(&path).await?;
    match args.output {
        Some(Format::Name) => {
            let ids = found.iter().filter_map(|it| it.get("id")?.as_str());
            print(&ids.map(|id| format!("{id}\n")).collect::<String>())?;
        }
        Some(format @ (Format::Json | Format::Yaml)) => print(&formatted(&found, format)?)?,
        None | Some(Format::Wide) if args.rejected => {
            let lines: Vec<Rejection> = serde_json::from_value(Value::Array(found))?;
            print(&rejected_table(&lines, !args.no_header))?;
        }
        None | Some(Format::Wide) => {
            let lines: Vec<DeliveryLine> = serde_json::from_value(Value::Array(found))?;
            print(&inbox_table(&lines, !args.no_header, args.output == Some(Format::Wide)))?;
        }
    }
    Ok(Answer::Done)
}

fn inbox_table(lines: &[DeliveryLine], with_header: bool, wide: bool) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let receiver = format!("{}/{}", line.receiver.namespace, line.receiver.name);
            let mut row = vec![
                line.id.clone(),
                format!("{:.3}", line.received_at),
                receiver,
                line.event.clone(),
                outcome(line),
                facts(&line.facts),
            ];
            if wide {
                row.push(line.sender_id.clone().unwrap_or_default());
            }
            row
        })
        .collect();
    let mut header = vec!["ID", "RECEIVED", "RECEIVER", "EVENT", "OUTCOME", "ABOUT"];
    if wide {
        header.push("SENDER ID");
    }
    table(with_header.then_some(&header[..]), &rows)
}

/// What came of a delivery, in a few words.
fn outcome(line: &DeliveryLine) -> String {
    let jobs: Vec<String> = line.jobs.iter().map(|(state, count)| format!("{count} {state}")).collect();
    match (&line.note, jobs.is_empty()) {
        (Some(note), true) => note.clone(),
        (None, true) => "nothing to do".to_owned(),
        (_, false) => format!("jobs: {}", jobs.join(", ")),
    }
}

fn rejected_table(lines: &[Rejection], with_header: bool) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                format!("{:.3}", line.at),
                format!("{}/{}", line.receiver.namespace, line.receiver.name),
                line.from.clone().unwrap_or_default(),
                line.event.clone(),
                line.reason.clone(),
            ]
        })
        .collect();
    table(with_header.then_some(&["AT", "RECEIVER", "FROM", "EVENT", "REASON"][..]), &rows)
}

async fn show(args: ShowArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let detail: DeliveryDetail = client.get(&format!("/deliveries/{}", escape(&args.id))).await?;
    if let Some(format) = args.output.filter(|format| *format != Format::Wide) {
        if format == Format::Name {
            print(&format!("{}\n", detail.line.id))?;
        } else {
            print(&formatted(&detail, format)?)?;
        }
        return Ok(Answer::Done);
    }
    let mut story = detail.story;
    story.deliveries = vec![detail.line];
    let mut text = render(&story, terminal);
    text.push_str("\nheaders\n");
    for (name, value) in &detail.headers {
        text.push_str(&format!("  {}: {}\n", clean(name), clean(value)));
    }
    text.push_str(&format!("\nbody ({} bytes)\n", detail.body_size));
    match (detail.body, detail.body_base64) {
        (Some(body), _) => text.push_str(&clean(&pretty(&body))),
        (None, Some(base64)) => text.push_str(&base64),
        (None, None) => text.push_str("  not kept any more"),
    }
    text.push('\n');
    print(&text)?;
    Ok(Answer::Done)
}

/// JSON indented; anything else as it is.
fn pretty(body: &str) -> String {
    serde_json::from_str::<Value>(body)
        .and_then(|json| serde_json::to_string_pretty(&json))
        .unwrap_or_else(|_| body.to_owned())
}

async fn replay(args: ReplayArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let done: Replayed = client.post(&format!("/deliveries/{}/replay", escape(&args.id)), &(), None).await?;
    if let Some(note) = &done.note {
        terminal.say(Mark::Skipped, note);
    }
    for object in &done.objects {
        terminal.say(Mark::Done, format!("{object} will be reconciled"));
    }
    if done.objects.is_empty() && done.note.is_none() {
        terminal.say(Mark::Skipped, "there was nothing to do");
    }
    Ok(Answer::Done)
}
