//! The rules for what runs: pods, their controllers, jobs.

use serde_json::Value;

use super::{Health, Status, compute, conditions, number, text};
use crate::model::Timestamp;

/// How long a pod may be unschedulable before that counts as a failure; kstatus's `ScheduleWindow`.
const SCHEDULE_WINDOW_SECONDS: i64 = 15;

pub(super) fn pod(object: &Value, now: Timestamp) -> Status {
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
pub(in crate::cluster) fn pod_has_failed(pod: &Value, now: Timestamp) -> bool {
    compute(pod, now).health == Health::Failed
        && text(pod, "/metadata/deletionTimestamp").is_empty()
        && !is_unschedulable(pod)
}

/// The status of a StatefulSet or ReplicaSet, its failed pods considered.
pub(in crate::cluster) fn with_failed_pods(status: Status, failed_pods: usize) -> Status {
    if status.health == Health::InProgress && failed_pods > 0 {
        Status::failed(format!("{failed_pods} pods have failed"))
    } else {
        status
    }
}

pub(super) fn stateful_set(object: &Value) -> Status {
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

pub(super) fn deployment(object: &Value) -> Status {
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

pub(super) fn replica_set(object: &Value) -> Status {
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

pub(super) fn daemon_set(object: &Value) -> Status {
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
pub(super) fn job_started(object: &Value) -> Status {
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

pub(super) fn job_complete(object: &Value) -> Status {
    job_ended(object, &job_counts(object)).unwrap_or_else(|| Status::in_progress("Job in progress"))
}
