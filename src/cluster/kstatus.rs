//! Whether an object is ready, by the rules of kstatus as Flux's fork of cli-utils has them (v1.2.2).
//!
//! Pure: an object as the server sent it in, a status out. The texts are kstatus's own; people search for them.

use serde_json::Value;

use crate::model::Timestamp;

/// How long a pod may be unschedulable before that counts as a failure; kstatus's `ScheduleWindow`.
const SCHEDULE_WINDOW_SECONDS: i64 = 15;

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

fn pod(object: &Value, now: Timestamp) -> Status {
    match text(object, "/status/phase") {
        "Succeeded" => Status::current("Pod has completed successfully"),
        "Failed" => Status::current("Pod has completed, but not successfully"),
        "Running" => {
            if conditions(object).any(|c| c.kind == "Ready" && c.status == "True") {
                return Status::current("Pod is Ready");
            }
            let looping = crash_looping(object);
            if looping.is_empty() {
                Status::in_progress("Pod is running but is not Ready")
            } else {
                Status::failed(format!("Containers in CrashLoop state: {}", looping.join(",")))
            }
        }
        "Pending" if is_unschedulable(object) => {
            let created = text(object, "/metadata/creationTimestamp").parse::<Timestamp>();
            let waited = created.map_or(0, |created| now.duration_since(created).as_secs());
            if waited < SCHEDULE_WINDOW_SECONDS {
                Status::in_progress("Pod has not been scheduled")
            } else {
                Status::failed("Pod could not be scheduled")
            }
        }
        "Pending" => Status::in_progress("Pod is in the Pending phase"),
        "" => Status::in_progress("Pod phase not available"),
        phase => Status::unknown(format!("unknown phase {phase}")),
    }
}

fn is_unschedulable(pod: &Value) -> bool {
    conditions(pod).any(|c| c.kind == "PodScheduled" && c.status == "False" && c.reason == "Unschedulable")
}

fn crash_looping(pod: &Value) -> Vec<&str> {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let is_looping = |c: &&Value| text(c, "/state/waiting/reason") == "CrashLoopBackOff";
    containers.into_iter().flatten().filter(is_looping).map(|c| text(c, "/name")).collect()
}

/// Whether a pod has failed in a way that its owner will not get over: not one being replaced, nor one that waits for
/// room (cli-utils `isTransientPodFailure`).
pub(super) fn pod_has_failed(pod: &Value, now: Timestamp) -> bool {
    compute(pod, now).health == Health::Failed
        && text(pod, "/metadata/deletionTimestamp").is_empty()
        && !is_unschedulable(pod)
}

/// The status of a StatefulSet or ReplicaSet, its failed pods considered.
pub(super) fn with_failed_pods(status: Status, failed_pods: usize) -> Status {
    if status.health == Health::InProgress && failed_pods > 0 {
        Status::failed(format!("{failed_pods} pods have failed"))
    } else {
        status
    }
}

fn stateful_set(object: &Value) -> Status {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Status::current("StatefulSet is using the ondelete update strategy");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let ready = number(object, "/status/readyReplicas", 0);
    let current = number(object, "/status/currentReplicas", 0);
    let updated = number(object, "/status/updatedReplicas", 0);
    let replicas = number(object, "/status/replicas", 0);
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition", -1);
    if wanted > replicas {
        return Status::in_progress(format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > ready {
        return Status::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Status::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    if partition != -1 {
        if updated < wanted - partition {
            return Status::in_progress(format!("updated: {updated}/{}", wanted - partition));
        }
        return Status::current(format!("Partition rollout complete. updated: {updated}"));
    }
    if wanted > current {
        return Status::in_progress(format!("current: {current}/{wanted}"));
    }
    if text(object, "/status/currentRevision") != text(object, "/status/updateRevision") {
        return Status::in_progress("Waiting for updated revision to match current");
    }
    Status::current(format!("All replicas scheduled as expected. Replicas: {replicas}"))
}

fn deployment(object: &Value) -> Status {
    let no_deadline = i64::from(i32::MAX);
    let mut progressing = number(object, "/spec/progressDeadlineSeconds", no_deadline) == no_deadline;
    let mut available = false;
    for condition in conditions(object) {
        match condition.kind {
            "Progressing" if condition.reason == "ProgressDeadlineExceeded" => {
                return Status::failed("Progress deadline exceeded");
            }
            "Progressing" if condition.status == "True" && condition.reason == "NewReplicaSetAvailable" => {
                progressing = true;
            }
            "Available" if condition.status == "True" => available = true,
            _ => {}
        }
    }
    let wanted = number(object, "/spec/replicas", 1);
    let replicas = number(object, "/status/replicas", 0);
    let updated = number(object, "/status/updatedReplicas", 0);
    let ready = number(object, "/status/readyReplicas", 0);
    let available_replicas = number(object, "/status/availableReplicas", 0);
    if wanted > replicas {
        return Status::in_progress(format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > updated {
        return Status::in_progress(format!("Updated: {updated}/{wanted}"));
    }
    if replicas > wanted {
        return Status::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    if updated > available_replicas {
        return Status::in_progress(format!("Available: {available_replicas}/{updated}"));
    }
    if wanted > ready {
        return Status::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if !progressing {
        return Status::in_progress("ReplicaSet not Available");
    }
    if !available {
        return Status::in_progress("Deployment not Available");
    }
    Status::current(format!("Deployment is available. Replicas: {replicas}"))
}

fn replica_set(object: &Value) -> Status {
    if conditions(object).any(|c| c.kind == "ReplicaFailure" && c.status == "True") {
        return Status::in_progress("Replica Failure condition. Check Pods");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let replicas = number(object, "/status/replicas", 0);
    let ready = number(object, "/status/readyReplicas", 0);
    let available = number(object, "/status/availableReplicas", 0);
    let labelled = number(object, "/status/fullyLabeledReplicas", 0);
    if wanted > labelled {
        return Status::in_progress(format!("Labelled: {labelled}/{wanted}"));
    }
    if wanted > available {
        return Status::in_progress(format!("Available: {available}/{wanted}"));
    }
    if wanted > ready {
        return Status::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Status::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    Status::current(format!("ReplicaSet is available. Replicas: {replicas}"))
}

fn daemon_set(object: &Value) -> Status {
    for pointer in ["/metadata/generation", "/status/observedGeneration"] {
        if object.pointer(pointer).and_then(Value::as_i64).is_none() {
            let field = pointer[1..].replace('/', ".");
            return Status::in_progress(format!("{} {field} not found", text(object, "/kind")));
        }
    }
    let wanted = number(object, "/status/desiredNumberScheduled", -1);
    if wanted == -1 {
        return Status::in_progress("Missing .status.desiredNumberScheduled");
    }
    let steps = [
        ("Current", "/status/currentNumberScheduled"),
        ("Updated", "/status/updatedNumberScheduled"),
        ("Available", "/status/numberAvailable"),
        ("Ready", "/status/numberReady"),
    ];
    for (word, pointer) in steps {
        let have = number(object, pointer, 0);
        if wanted > have {
            return Status::in_progress(format!("{word}: {have}/{wanted}"));
        }
    }
    Status::current(format!("All replicas scheduled as expected. Replicas: {wanted}"))
}

struct JobCounts {
    completions: i64,
    succeeded: i64,
    failed: i64,
}

fn job_counts(object: &Value) -> JobCounts {
    let parallelism = number(object, "/spec/parallelism", 1);
    JobCounts {
        completions: number(object, "/spec/completions", parallelism),
        succeeded: number(object, "/status/succeeded", 0),
        failed: number(object, "/status/failed", 0),
    }
}

fn job_ended(object: &Value, counts: &JobCounts) -> Option<Status> {
    let JobCounts { completions, succeeded, failed } = counts;
    conditions(object).find_map(|condition| match (condition.kind, condition.status) {
        ("Complete", "True") => {
            Some(Status::current(format!("Job Completed. succeeded: {succeeded}/{completions}")))
        }
        ("Failed", "True") => Some(Status::failed(format!("Job Failed. failed: {failed}/{completions}"))),
        _ => None,
    })
}

/// A Job that runs is current: plain readiness does not wait for its end.
fn job_started(object: &Value) -> Status {
    let counts = job_counts(object);
    if let Some(status) = job_ended(object, &counts) {
        return status;
    }
    if text(object, "/status/startTime").is_empty() {
        return Status::in_progress("Job not started");
    }
    let JobCounts { succeeded, failed, completions: _ } = counts;
    let active = number(object, "/status/active", 0);
    Status::current(format!("Job in progress. success:{succeeded}, active: {active}, failed: {failed}"))
}

fn job_complete(object: &Value) -> Status {
    job_ended(object, &job_counts(object)).unwrap_or_else(|| Status::in_progress("Job in progress"))
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
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    #[track_caller]
    fn check(api_version: &str, kind: &str, rest: Value, health: Health, message: &str) {
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "generation": 1}});
        merge(&mut object, rest);
        assert_eq!(compute(&object, now()), Status::new(health, message), "{object}");
    }

    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }

    use Health::{Current, Failed, InProgress, Terminating, Unknown};

    #[test]
    fn rules_for_every_kind() {
        let terminating = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        check("v1", "ConfigMap", terminating, Terminating, "Resource scheduled for deletion");
        check(
            "x/v1",
            "W",
            json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}),
            InProgress,
            "W generation is 2, but latest observed generation is 1",
        );
        let condition = |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "reason": "R", "message": "why"}]}});
        check("x/v1", "W", condition("Reconciling", "True"), InProgress, "why");
        check("x/v1", "W", condition("Stalled", "True"), Failed, "why");
        check("x/v1", "W", condition("Ready", "True"), Current, "Resource is Ready");
        check("x/v1", "W", condition("Ready", "False"), InProgress, "why");
        check("x/v1", "W", condition("Ready", "Unknown"), InProgress, "why");
        check("x/v1", "W", json!({}), Current, "Resource is current");
        for kind in ["Secret", "ConfigMap"] {
            check("v1", kind, json!({}), Current, "Resource is always ready");
        }
        check("batch/v1", "CronJob", json!({}), Current, "Resource is always ready");
        check("v1", "Service", json!({}), Current, "Service is ready");
        check(
            "v1",
            "Service",
            json!({"spec": {"type": "LoadBalancer"}}),
            InProgress,
            "ClusterIP not set. Service type: LoadBalancer",
        );
        check(
            "v1",
            "Service",
            json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}}),
            Current,
            "Service is ready",
        );
        check("v1", "PersistentVolumeClaim", json!({}), InProgress, "PVC is not Bound. phase: unknown");
        check("v1", "PersistentVolumeClaim", json!({"status": {"phase": "Bound"}}), Current, "PVC is Bound");
        check(
            "policy/v1",
            "PodDisruptionBudget",
            json!({}),
            Current,
            "AllowedDisruptions has been computed.",
        );
        let crd = |conditions: Value| json!({"status": {"conditions": conditions}});
        let definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        check(definition.0, definition.1, json!({}), InProgress, "Install in progress");
        check(
            definition.0,
            definition.1,
            crd(json!([{"type": "Established", "status": "True"}])),
            Current,
            "CRD is established",
        );
        check(
            definition.0,
            definition.1,
            crd(json!([{"type": "NamesAccepted", "status": "False", "message": "taken"}])),
            Failed,
            "taken",
        );
        check(
            definition.0,
            definition.1,
            crd(json!([{"type": "Established", "status": "False", "reason": "Installing"}])),
            InProgress,
            "Install in progress",
        );
    }

    #[test]
    fn deployments() {
        let kind = ("apps/v1", "Deployment");
        let status = |wanted: i64,
                      replicas: i64,
                      updated: i64,
                      ready: i64,
                      available: i64,
                      conditions: Value| {
            json!({"spec": {"replicas": wanted, "progressDeadlineSeconds": 600}, "status": {"observedGeneration": 1,
                "replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": available,
                "conditions": conditions}})
        };
        let well = json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}, {"type": "Available", "status": "True"}]);
        check(kind.0, kind.1, json!({}), InProgress, "Replicas: 0/1");
        check(kind.0, kind.1, status(2, 2, 1, 2, 2, well.clone()), InProgress, "Updated: 1/2");
        check(kind.0, kind.1, status(2, 3, 2, 2, 2, well.clone()), InProgress, "Pending termination: 1");
        check(kind.0, kind.1, status(2, 2, 2, 1, 1, well.clone()), InProgress, "Available: 1/2");
        check(kind.0, kind.1, status(2, 2, 2, 1, 2, well.clone()), InProgress, "Ready: 1/2");
        check(kind.0, kind.1, status(2, 2, 2, 2, 2, json!([])), InProgress, "ReplicaSet not Available");
        check(
            kind.0,
            kind.1,
            status(2, 2, 2, 2, 2, json!([well[0]])),
            InProgress,
            "Deployment not Available",
        );
        check(kind.0, kind.1, status(2, 2, 2, 2, 2, well), Current, "Deployment is available. Replicas: 2");
        let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        check(kind.0, kind.1, status(2, 2, 2, 0, 0, late), Failed, "Progress deadline exceeded");
    }

    #[test]
    fn stateful_replica_and_daemon_sets() {
        let kind = ("apps/v1", "StatefulSet");
        let status = |replicas: i64, ready: i64, current: i64, updated: i64| {
            json!({"spec": {"replicas": 2}, "status": {"replicas": replicas, "readyReplicas": ready,
                "currentReplicas": current, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "a"}})
        };
        check(kind.0, kind.1, status(1, 1, 1, 1), InProgress, "Replicas: 1/2");
        check(kind.0, kind.1, status(2, 1, 2, 2), InProgress, "Ready: 1/2");
        check(kind.0, kind.1, status(3, 2, 2, 2), InProgress, "Pending termination: 1");
        check(kind.0, kind.1, status(2, 2, 1, 2), InProgress, "current: 1/2");
        check(kind.0, kind.1, status(2, 2, 2, 2), Current, "All replicas scheduled as expected. Replicas: 2");
        let mut other = status(2, 2, 2, 2);
        other["status"]["updateRevision"] = "b".into();
        check(kind.0, kind.1, other, InProgress, "Waiting for updated revision to match current");
        let mut partition = status(2, 2, 0, 0);
        partition["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}});
        check(kind.0, kind.1, partition.clone(), InProgress, "updated: 0/1");
        partition["status"]["updatedReplicas"] = 1.into();
        check(kind.0, kind.1, partition, Current, "Partition rollout complete. updated: 1");
        check(
            kind.0,
            kind.1,
            json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
            Current,
            "StatefulSet is using the ondelete update strategy",
        );

        let kind = ("apps/v1", "DaemonSet");
        check(kind.0, kind.1, json!({}), InProgress, "DaemonSet status.observedGeneration not found");
        let status = |counts: [i64; 5]| {
            json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": counts[0],
            "currentNumberScheduled": counts[1], "updatedNumberScheduled": counts[2], "numberAvailable": counts[3], "numberReady": counts[4]}})
        };
        check(kind.0, kind.1, status([2, 1, 2, 2, 2]), InProgress, "Current: 1/2");
        check(kind.0, kind.1, status([2, 2, 1, 2, 2]), InProgress, "Updated: 1/2");
        check(kind.0, kind.1, status([2, 2, 2, 1, 2]), InProgress, "Available: 1/2");
        check(kind.0, kind.1, status([2, 2, 2, 2, 1]), InProgress, "Ready: 1/2");
        check(
            kind.0,
            kind.1,
            status([2, 2, 2, 2, 2]),
            Current,
            "All replicas scheduled as expected. Replicas: 2",
        );

        let kind = ("apps/v1", "ReplicaSet");
        check(kind.0, kind.1, json!({}), InProgress, "Labelled: 0/1");
        check(
            kind.0,
            kind.1,
            json!({"status": {"fullyLabeledReplicas": 1, "availableReplicas": 1, "readyReplicas": 1, "replicas": 1}}),
            Current,
            "ReplicaSet is available. Replicas: 1",
        );
    }

    #[test]
    fn pods() {
        let kind = ("v1", "Pod");
        let phase = |phase: &str| json!({"status": {"phase": phase}});
        check(kind.0, kind.1, json!({}), InProgress, "Pod phase not available");
        check(kind.0, kind.1, phase("Succeeded"), Current, "Pod has completed successfully");
        check(kind.0, kind.1, phase("Failed"), Current, "Pod has completed, but not successfully");
        check(kind.0, kind.1, phase("Pending"), InProgress, "Pod is in the Pending phase");
        check(kind.0, kind.1, phase("Odd"), Unknown, "unknown phase Odd");
        check(kind.0, kind.1, phase("Running"), InProgress, "Pod is running but is not Ready");
        check(
            kind.0,
            kind.1,
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
            Current,
            "Pod is Ready",
        );
        let looping = json!({"status": {"phase": "Running", "containerStatuses": [
            {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, {"name": "b", "state": {"running": {}}},
            {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        check(kind.0, kind.1, looping, Failed, "Containers in CrashLoop state: a,c");
        let unschedulable = |created: &str| {
            json!({"metadata": {"creationTimestamp": created}, "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}})
        };
        check(
            kind.0,
            kind.1,
            unschedulable("2026-01-01T00:00:50Z"),
            InProgress,
            "Pod has not been scheduled",
        );
        check(kind.0, kind.1, unschedulable("2026-01-01T00:00:40Z"), Failed, "Pod could not be scheduled");
    }

    #[test]
    fn jobs_started_complete_and_as_hooks() {
        let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"completions": 1}, "status": status});
        let complete = job(json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}));
        let failed = job(json!({"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}));
        let running = job(json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}));
        let table = [
            (
                &complete,
                "Current",
                "Job Completed. succeeded: 1/1",
                "Current",
                "Job Completed. succeeded: 1/1",
            ),
            (&failed, "Failed", "Job Failed. failed: 1/1", "Failed", "Job Failed. failed: 1/1"),
            (
                &running,
                "Current",
                "Job in progress. success:0, active: 1, failed: 0",
                "InProgress",
                "Job in progress",
            ),
            (&job(json!({})), "InProgress", "Job not started", "InProgress", "Job in progress"),
        ];
        for (job, plain, plain_text, with_jobs, with_jobs_text) in table {
            let status = compute(job, now());
            assert_eq!((status.health.as_str(), &*status.message), (plain, plain_text));
            for status in [compute_with_jobs(job, now()), compute_hook(job)] {
                assert_eq!((status.health.as_str(), &*status.message), (with_jobs, with_jobs_text));
            }
        }
        let pod = |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": phase}});
        assert_eq!(compute_hook(&pod("Succeeded")).message, "pod a succeeded");
        assert_eq!(compute_hook(&pod("Failed")).health, Failed);
        assert_eq!(compute_hook(&pod("Running")).health, InProgress);
        assert_eq!(compute_hook(&json!({"apiVersion": "apps/v1", "kind": "Deployment"})).health, Current);
    }

    #[test]
    fn pods_fail_their_owner_only_for_good() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {"phase": "Running", "containerStatuses": [
            {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        assert!(pod_has_failed(&pod, now()));
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!pod_has_failed(&pod, now()));
        let waiting = Status::in_progress("Ready: 0/1");
        assert_eq!(with_failed_pods(waiting.clone(), 0), waiting);
        assert_eq!(with_failed_pods(waiting, 2), Status::failed("2 pods have failed"));
        let current = Status::current("x");
        assert_eq!(with_failed_pods(current.clone(), 2), current);
    }

    #[test]
    fn misshapen_objects_do_no_harm() {
        for object in [
            json!(null),
            json!([]),
            json!({"kind": 7, "status": {"conditions": [7, {"type": 1}], "phase": []}}),
            json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running", "containerStatuses": [1, {"name": []}]}}),
        ] {
            compute(&object, now());
            compute_hook(&object);
            compute_with_jobs(&object, now());
        }
    }
}
