//! `sluice get`: what `flux get` prints.

use std::time::Duration;

use anyhow::bail;
use serde_json::Value;

use super::client::{Client, escape};
use super::columns::{Columns, has_condition, header, row};
use super::output::{Mark, Terminal, padded, print, table, widths};
use super::sse::Events;
use super::usage::usage;
use super::words::{Selection, name_line, parse};
use super::{Answer, Context, Format, formatted};
use crate::api::wire::StreamEvent;
use crate::model::{Kind, ObjectKey};

/// Show objects and how they stand
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// What: `all`, `sources git`, `helmreleases` (`hr`), `kustomizations` (`ks`), `images policy`, `receivers`, `alerts`, `alert-providers` …, and a name if only one is meant
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Leave the header out
    #[arg(long)]
    no_header: bool,
    /// Go on and print each object again when it changes
    #[arg(short, long)]
    watch: bool,
    /// Only objects with these labels (`app=web,tier!=db`)
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    label_selector: Option<String>,
    /// Only objects with a condition in this state (`ready=false`)
    #[arg(long, value_name = "TYPE=STATUS")]
    status_selector: Option<String>,
    /// Show where each Kustomization or HelmRelease takes its content from
    #[arg(long)]
    show_source: bool,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// Which objects are wanted.
struct Wanted {
    selection: Selection,
    names: Vec<String>,
    namespace: Option<String>,
    labels: Vec<Requirement>,
    condition: Option<(String, String)>,
}

struct Requirement {
    key: String,
    value: Option<String>,
    negated: bool,
}

pub(super) async fn run(args: GetArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let (selection, names) = parse(&args.words).map_err(usage)?;
    let client = Client::new(cx)?;
    let condition = match &args.status_selector {
        None => None,
        Some(text) => match text.split_once('=') {
            Some((kind, status)) => Some((kind.to_owned(), status.to_owned())),
            None => {
                return Err(usage(format!(
                    "`--status-selector` is `type=status`, for example `ready=false`, and not `{text}`"
                )));
            }
        },
    };
    let labels = args.label_selector.as_deref().map(requirements).transpose()?.unwrap_or_default();
    if args.watch && !matches!(selection, Selection::Kind(_)) {
        return Err(usage("a watch is of one kind\nhint: for example `sluice get hr --watch`"));
    }
    let namespace = if args.all_namespaces { None } else { Some(client.the_namespace().await?) };
    let wanted = Wanted { selection, names, namespace, labels, condition };
    let list = client.objects(wanted.namespace.as_deref()).await?;
    let items: Vec<Value> = list.items.into_iter().filter(|item| wanted.takes(item)).collect();
    let columns = Columns {
        namespace: args.all_namespaces,
        kind: !matches!(selection, Selection::Kind(_)),
        source: args.show_source,
        wide: args.output == Some(Format::Wide),
    };
    if let Some(format) = args.output.filter(|format| *format != Format::Wide) {
        print(&text(&items, format, !wanted.names.is_empty())?)?;
        return Ok(missing(&wanted, &items, terminal));
    }
    let tables = tables(&items, selection, columns, !args.no_header);
    print(&tables)?;
    if items.is_empty() && wanted.names.is_empty() && selection != Selection::All {
        let whose =
            wanted.namespace.as_ref().map_or("any".to_owned(), |namespace| format!("\"{namespace}\""));
        let what = match selection {
            Selection::Kind(kind) => kind.as_str(),
            Selection::Sources => "source",
            Selection::Images => "image",
            Selection::All => "",
        };
        terminal.say(Mark::Failed, format!("no {what} objects found in {whose} namespace"));
    }
    if let (true, Selection::Kind(kind)) = (args.watch, selection) {
        let first: Vec<Vec<String>> = items.iter().map(|item| row(kind, item, columns)).collect();
        return watch(&client, kind, &wanted, columns, first).await;
    }
    Ok(missing(&wanted, &items, terminal))
}

/// Says which of the names given are not there.
fn missing(wanted: &Wanted, items: &[Value], terminal: Terminal) -> Answer {
    let whose = wanted.namespace.as_ref().map_or("any".to_owned(), |namespace| format!("\"{namespace}\""));
    let mut answer = Answer::Done;
    for name in &wanted.names {
        if !items.iter().any(|item| item.pointer("/metadata/name").and_then(Value::as_str) == Some(name)) {
            let kind = match wanted.selection {
                Selection::Kind(kind) => kind.as_str(),
                _ => "",
            };
            terminal.say(Mark::Failed, format!("{kind} object '{name}' not found in {whose} namespace"));
            answer = Answer::Failed;
        }
    }
    answer
}

impl Wanted {
    fn takes(&self, item: &Value) -> bool {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let label = |key: &str| item.get("metadata")?.get("labels")?.get(key)?.as_str();
        kind_of(item).is_some_and(|kind| self.selection.kinds().contains(&kind))
            && self.namespace.as_deref().is_none_or(|namespace| namespace == text("/metadata/namespace"))
            && (self.names.is_empty() || self.names.iter().any(|name| name == text("/metadata/name")))
            && self.labels.iter().all(|it| {
                let found = label(&it.key);
                let holds = match &it.value {
                    Some(value) => found == Some(value),
                    None => found.is_some(),
                };
                holds != it.negated
            })
            && self.condition.as_ref().is_none_or(|(kind, status)| has_condition(item, kind, status))
    }
}

fn requirements(selector: &str) -> anyhow::Result<Vec<Requirement>> {
    let parts = selector.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut found = Vec::new();
    for part in parts {
        let (key, value, negated) = if let Some((key, value)) = part.split_once("!=") {
            (key, Some(value), true)
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (key, Some(value), false)
        } else if let Some(key) = part.strip_prefix('!') {
            (key, None, true)
        } else {
            (part, None, false)
        };
        if key.trim().is_empty() || key.contains([' ', '(', ')']) {
            return Err(usage(format!(
                "`{part}` is not a label requirement\nhint: write `key=value`, `key!=value`, `key` or `!key`"
            )));
        }
        let value = value.map(|value| value.trim().to_owned());
        found.push(Requirement { key: key.trim().to_owned(), value, negated });
    }
    Ok(found)
}

pub(super) fn kind_of(item: &Value) -> Option<Kind> {
    item.get("kind")?.as_str()?.parse().ok()
}

/// One table per kind that has objects, in flux' order, with an empty line after each when there may be several.
pub(super) fn tables(items: &[Value], selection: Selection, columns: Columns, with_header: bool) -> String {
    let mut text = String::new();
    for kind in selection.kinds() {
        let rows: Vec<Vec<String>> = items
            .iter()
            .filter(|item| kind_of(item) == Some(kind))
            .map(|item| row(kind, item, columns))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let names = header(kind, columns);
        text.push_str(&table(with_header.then_some(&names[..]), &rows));
        if !matches!(selection, Selection::Kind(_)) {
            text.push('\n');
        }
    }
    text
}

fn text(items: &[Value], format: Format, single: bool) -> anyhow::Result<String> {
    if format == Format::Name {
        let line = |item: &Value| {
            let kind = kind_of(item)?;
            let name = item.pointer("/metadata/name")?.as_str()?;
            Some(name_line(&ObjectKey::new(kind, "", name)))
        };
        return Ok(items.iter().filter_map(line).collect());
    }
    match items {
        [only] if single => formatted(only, format),
        items => formatted(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}), format),
    }
}

/// Prints an object's row again whenever it changes.
async fn watch(
    client: &Client,
    kind: Kind,
    wanted: &Wanted,
    columns: Columns,
    mut shown: Vec<Vec<String>>,
) -> anyhow::Result<Answer> {
    let names = header(kind, columns);
    let mut events = Events::new(client.follow("/stream").await?);
    while let Some(event) = events.next().await? {
        let Ok(event) = serde_json::from_str::<StreamEvent>(&event.data) else { continue };
        let Ok(key) = event.target.parse::<ObjectKey>() else { continue };
        if key.kind != kind {
            continue;
        }
        let path =
            format!("/objects?kind={kind}&namespace={}&name={}", escape(&key.namespace), escape(&key.name));
        let list: crate::api::wire::ObjectList = client.get_slowly(&path, Duration::from_secs(35)).await?;
        for item in list.items.iter().filter(|item| wanted.takes(item)) {
            let row = row(kind, item, columns);
            // Much changes that no column shows.
            if !shown.contains(&row) {
                let same = |other: &Vec<String>| {
                    other[..1 + usize::from(columns.namespace)] == row[..1 + usize::from(columns.namespace)]
                };
                shown.retain(|other| !same(other));
                shown.push(row.clone());
                let widths = widths(Some(&names), &shown);
                print(&padded(None, &[row], &widths))?;
            }
        }
    }
    bail!("the agent ended the watch")
}

#[cfg(test)]
#[path = "get_tests.rs"]
mod tests;
