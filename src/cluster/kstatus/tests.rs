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
    check("policy/v1", "PodDisruptionBudget", json!({}), Current, "AllowedDisruptions has been computed.");
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
    let status = |wanted: i64, replicas: i64, updated: i64, ready: i64, available: i64, conditions: Value| {
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
    check(kind.0, kind.1, status(2, 2, 2, 2, 2, json!([well[0]])), InProgress, "Deployment not Available");
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
    check(kind.0, kind.1, unschedulable("2026-01-01T00:00:50Z"), InProgress, "Pod has not been scheduled");
    check(kind.0, kind.1, unschedulable("2026-01-01T00:00:40Z"), Failed, "Pod could not be scheduled");
}

#[test]
fn jobs_started_complete_and_as_hooks() {
    let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"completions": 1}, "status": status});
    let complete = job(json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}));
    let failed = job(json!({"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}));
    let running = job(json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}));
    let table = [
        (&complete, "Current", "Job Completed. succeeded: 1/1", "Current", "Job Completed. succeeded: 1/1"),
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
