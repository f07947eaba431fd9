//! Whether an object is ready, by the rules of kstatus as Flux's fork of cli-utils has them (v1.2.2).
//!
//! Pure: an object as the server sent it in, a status out. The texts are kstatus's own; people search for them.

mod workloads;

use serde_json::Value;

use self::workloads::{daemon_set, deployment, job_complete, job_started, pod, replica_set, stateful_set};
pub(super) use self::workloads::{pod_has_failed, with_failed_pods};
use crate::model::Timestamp;

/// kstatus's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// As specified, and settled.
    Current,
    /// On its way.
    InProgress,
    /// Will not get there by itself.
    Failed,
    /// Being deleted.
    Terminating,
    /// Not there.
    NotFound,
    /// Cannot be told.
    Unknown,
}

impl Health {
    /// kstatus's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Current => "Current",
            Health::InProgress => "InProgress",
            Health::Failed => "Failed",
            Health::Terminating => "Terminating",
            Health::NotFound => "NotFound",
            Health::Unknown => "Unknown",
        }
    }
}

/// An object's health, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The verdict.
    pub health: Health,
    /// kstatus's message.
    pub message: String,
}

impl Status {
    fn new(health: Health, message: impl Into<String>) -> Self {
        Self { health, message: message.into() }
    }

    fn current(message: impl Into<String>) -> Self {
        Self::new(Health::Current, message)
    }

    fn in_progress(message: impl Into<String>) -> Self {
        Self::new(Health::InProgress, message)
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::new(Health::Failed, message)
    }

    /// The status of an object that is not there.
    pub(super) fn not_found() -> Self {
        Self::new(Health::NotFound, "Resource not found")
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Health::Unknown, message)
    }
}

/// The status of an object.
pub fn compute(object: &Value, now: Timestamp) -> Status {
    if let Some(status) = generic(object) {
        return status;
    }
    match kind_of(object) {
        ("", "Service") => service(object),
        ("", "Pod") => pod(object, now),
        ("", "Secret" | "ConfigMap") | ("batch", "CronJob") => Status::current("Resource is always ready"),
        ("", "PersistentVolumeClaim") => claim(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("policy", "PodDisruptionBudget") => Status::current("AllowedDisruptions has been computed."),
        ("batch", "Job") => job_started(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => ready_condition(object).unwrap_or_else(|| Status::current("Resource is current")),
    }
}

/// As [`compute`], but a Job is current only once it is complete (`waitForJobs`).
pub fn compute_with_jobs(object: &Value, now: Timestamp) -> Status {
    match kind_of(object) {
        ("batch", "Job") => generic(object).unwrap_or_else(|| job_complete(object)),
        _ => compute(object, now),
    }
}

/// The status of a hook: Jobs and Pods must end well, anything else is done once it exists (Helm's
/// `WatchUntilReady`).
pub fn compute_hook(object: &Value) -> Status {
    match kind_of(object) {
        ("batch", "Job") => job_complete(object),
        ("", "Pod") => {
            let name = text(object, "/metadata/name");
            match text(object, "/status/phase") {
                "Succeeded" => Status::current(format!("pod {name} succeeded")),
                "Failed" => Status::failed(format!("pod {name} failed")),
                _ => Status::in_progress("Pod in progress"),
            }
        }
        _ => Status::current("Resource is current"),
    }
}

fn kind_of(object: &Value) -> (&str, &str) {
    let (group, _) = super::object::split_api_version(text(object, "/apiVersion"));
    (group, text(object, "/kind"))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

fn conditions(object: &Value) -> impl Iterator<Item = Condition<'_>> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten().map(|condition| Condition {
        kind: text(condition, "/type"),
        status: text(condition, "/status"),
        reason: text(condition, "/reason"),
        message: text(condition, "/message"),
    })
}

fn generic(object: &Value) -> Option<Status> {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Some(Status::new(Health::Terminating, "Resource scheduled for deletion"));
    }
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        let kind = text(object, "/kind");
        return Some(Status::in_progress(format!(
            "{kind} generation is {generation}, but latest observed generation is {observed}"
        )));
    }
    conditions(object).find_map(|condition| match (condition.kind, condition.status) {
        ("Reconciling", "True") => Some(Status::in_progress(condition.message)),
        ("Stalled", "True") => Some(Status::failed(condition.message)),
        _ => None,
    })
}

fn ready_condition(object: &Value) -> Option<Status> {
    let ready = conditions(object).filter(|c| c.kind == "Ready");
    ready
        .filter_map(|condition| match condition.status {
            "True" => Some(Status::current("Resource is Ready")),
            "False" | "Unknown" => Some(Status::in_progress(condition.message)),
            _ => None,
        })
        .next()
}

fn service(object: &Value) -> Status {
    if text(object, "/spec/type") == "LoadBalancer" && text(object, "/spec/clusterIP").is_empty() {
        return Status::in_progress("ClusterIP not set. Service type: LoadBalancer");
    }
    Status::current("Service is ready")
}

fn claim(object: &Value) -> Status {
    match object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("unknown") {
        "Bound" => Status::current("PVC is Bound"),
        phase => Status::in_progress(format!("PVC is not Bound. phase: {phase}")),
    }
}

fn definition(object: &Value) -> Status {
    for condition in conditions(object) {
        match (condition.kind, condition.status) {
            ("NamesAccepted", "False") => return Status::failed(condition.message),
            ("Established", "False") if condition.reason != "Installing" => {
                return Status::failed(condition.message);
            }
            ("Established", "True") => return Status::current("CRD is established"),
            _ => {}
        }
    }
    Status::in_progress("Install in progress")
}

#[cfg(test)]
mod tests;
