//! The columns of `flux get`, read from objects as the API gives them.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::model::{Kind, cluster_name, short_cluster_name};

/// Which columns besides the kind's own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns {
    /// NAMESPACE in front.
    pub(super) namespace: bool,
    /// Names with their kind: `helmrelease/web`.
    pub(super) kind: bool,
    /// SOURCE after the name (Kustomization, HelmRelease).
    pub(super) source: bool,
    /// CLUSTER and SINCE at the end.
    pub(super) wide: bool,
}

/// The header of a kind's table.
pub(super) fn header(kind: Kind, columns: Columns) -> Vec<&'static str> {
    let mut names = Vec::new();
    if columns.namespace {
        names.push("NAMESPACE");
    }
    names.push("NAME");
    if columns.source && has_source(kind) {
        names.push("SOURCE");
    }
    names.extend_from_slice(match kind {
        Kind::ExternalArtifact => &["REVISION", "SOURCE", "READY", "MESSAGE"],
        Kind::ImageRepository => &["LAST SCAN", "SUSPENDED", "READY", "MESSAGE"],
        Kind::ImagePolicy => &["IMAGE", "TAG", "READY", "MESSAGE"],
        Kind::ImageUpdateAutomation => &["LAST RUN", "SUSPENDED", "READY", "MESSAGE"],
        Kind::Receiver | Kind::Alert => &["SUSPENDED", "READY", "MESSAGE"],
        Kind::Provider => &["READY", "MESSAGE"],
        Kind::GitRepository
        | Kind::OCIRepository
        | Kind::HelmRepository
        | Kind::HelmChart
        | Kind::Bucket
        | Kind::Kustomization
        | Kind::HelmRelease => &["REVISION", "SUSPENDED", "READY", "MESSAGE"],
    });
    if columns.wide {
        if has_source(kind) {
            names.push("CLUSTER");
        }
        names.push("SINCE");
    }
    names
}

/// The row of one object.
pub(super) fn row(kind: Kind, item: &Value, columns: Columns) -> Vec<String> {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (ready, message) = ready(kind, item);
    // A receiver's message is where people copy its path from.
    let message = if kind == Kind::Receiver { message } else { shorten(&message) };
    let suspended = title(item.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false));
    let name = text("/metadata/name");
    let mut cells = Vec::new();
    if columns.namespace {
        cells.push(text("/metadata/namespace"));
    }
    cells.push(if columns.kind { format!("{}/{name}", kind.as_str().to_ascii_lowercase()) } else { name });
    if columns.source && has_source(kind) {
        cells.push(source(item));
    }
    cells.extend(match kind {
        Kind::ExternalArtifact => {
            vec![shorten(&revision(kind, item)), referred(item, "/spec/sourceRef"), ready, message]
        }
        Kind::ImageRepository => vec![text("/status/lastScanResult/scanTime"), suspended, ready, message],
        Kind::ImagePolicy => {
            vec![text("/status/latestRef/name"), text("/status/latestRef/tag"), ready, message]
        }
        Kind::ImageUpdateAutomation => vec![text("/status/lastAutomationRunTime"), suspended, ready, message],
        Kind::Receiver | Kind::Alert => vec![suspended, ready, message],
        Kind::Provider => vec![ready, message],
        Kind::GitRepository
        | Kind::OCIRepository
        | Kind::HelmRepository
        | Kind::HelmChart
        | Kind::Bucket
        | Kind::Kustomization
        | Kind::HelmRelease => vec![shorten(&revision(kind, item)), suspended, ready, message],
    });
    if columns.wide {
        if has_source(kind) {
            cells.push(cluster(item));
        }
        cells.push(condition(item, "Ready").map(|it| member(it, "lastTransitionTime")).unwrap_or_default());
    }
    cells
}

/// What an object stands at.
pub(super) fn revision(kind: Kind, item: &Value) -> String {
    let pointers: &[&str] = match kind {
        Kind::Kustomization => &["/status/lastAppliedRevision"],
        Kind::HelmRelease => &["/status/history/0/chartVersion", "/status/lastAttemptedRevision"],
        _ => &["/status/artifact/revision"],
    };
    pointers.iter().find_map(|pointer| item.pointer(pointer)?.as_str()).unwrap_or_default().to_owned()
}

/// READY and MESSAGE. What nothing reconciles is ready, in flux' words, unless it says otherwise.
pub(super) fn ready(kind: Kind, item: &Value) -> (String, String) {
    let always = match kind {
        Kind::Alert => Some("Alert is Ready"),
        Kind::Provider => Some("Provider is Ready"),
        Kind::HelmRepository if item.pointer("/spec/type").and_then(Value::as_str) == Some("oci") => {
            Some("Helm repository is Ready")
        }
        _ => None,
    };
    match (condition(item, "Ready"), always) {
        (Some(condition), _) => (member(condition, "status"), member(condition, "message")),
        (None, Some(message)) => ("True".to_owned(), message.to_owned()),
        (None, None) => ("False".to_owned(), "waiting to be reconciled".to_owned()),
    }
}

/// Whether an object has a condition in a state (`ready=false`).
pub(super) fn has_condition(item: &Value, kind: &str, status: &str) -> bool {
    condition(item, kind).is_some_and(|condition| member(condition, "status").eq_ignore_ascii_case(status))
}

fn condition<'a>(item: &'a Value, kind: &str) -> Option<&'a Value> {
    let list = item.pointer("/status/conditions")?.as_array()?;
    list.iter().find(|condition| member(condition, "type").eq_ignore_ascii_case(kind))
}

fn member(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn has_source(kind: Kind) -> bool {
    matches!(kind, Kind::Kustomization | Kind::HelmRelease)
}

fn source(item: &Value) -> String {
    ["/spec/chart/spec/sourceRef", "/spec/chartRef", "/spec/sourceRef"]
        .iter()
        .find(|pointer| item.pointer(pointer).is_some())
        .map(|pointer| referred(item, pointer))
        .unwrap_or_default()
}

fn referred(item: &Value, pointer: &str) -> String {
    let Some(reference) = item.pointer(pointer) else { return String::new() };
    let own = item.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let namespace = reference.get("namespace").and_then(Value::as_str).unwrap_or(own);
    format!("{}/{namespace}/{}", member(reference, "kind"), member(reference, "name"))
}

/// The cluster an object is applied to, called as everywhere.
fn cluster(item: &Value) -> String {
    ["/spec/kubeConfig/secretRef/name", "/spec/kubeConfig/configMapRef/name"]
        .iter()
        .find_map(|pointer| item.pointer(pointer)?.as_str())
        .map_or_else(|| cluster_name(None), |name| short_cluster_name(name).to_owned())
}

fn title(yes: bool) -> String {
    if yes { "True" } else { "False" }.to_owned()
}

/// Commits and digests cut to eight characters, as flux shows them.
pub(super) fn shorten(text: &str) -> String {
    static HEX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b[a-f0-9]{40,128}\b").expect("the expression is a constant"));
    HEX.replace_all(text, |found: &regex::Captures<'_>| found[0][..8].to_owned()).into_owned()
}
