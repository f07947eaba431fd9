//! Stand-ins for the controllers a cluster needs to look alive: workloads become ready, namespaces finish terminating.
//!
//! They run inside the write that caused them, so there is nothing to wait for. An image tag `broken` or `crash` (also
//! as a suffix, `app:1.2-broken`) keeps a workload from becoming ready, as on the project's real test clusters.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::store::{LogKind, StateView, now};

/// Brings everything up to date that the last write touched.
pub(crate) fn settle(view: &mut StateView<'_>) {
    let mut seen = view.version().saturating_sub(64);
    // A status write can itself be the change another controller waits for; a few rounds reach the end.
    for _ in 0..8 {
        let recent = view.recent(seen);
        seen = view.version();
        let mut touched = Vec::new();
        for entry in recent {
            if entry.kind == LogKind::Deleted {
                continue;
            }
            let name = entry.object["metadata"]["name"].clone();
            let namespace = entry.object["metadata"]["namespace"].clone();
            let key = (entry.group, entry.plural, namespace, name);
            if !touched.contains(&key) {
                touched.push(key);
            }
        }
        for (group, plural, namespace, name) in touched {
            let live = view.all(&group, &plural).into_iter().find(|object| {
                object["metadata"]["name"] == name && object["metadata"]["namespace"] == namespace
            });
            if let Some(live) = live {
                settle_one(view, &group, &plural, &live);
            }
        }
        if view.version() == seen {
            return;
        }
    }
}

fn settle_one(view: &mut StateView<'_>, group: &str, plural: &str, live: &Arc<Value>) {
    match (group, plural) {
        ("", "namespaces") => {
            if live["metadata"]["deletionTimestamp"].is_string() {
                view.finish_namespace(live);
            } else if live["status"]["phase"].is_null() {
                view.set_status(group, plural, live, json!({ "phase": "Active" }));
            }
        }
        ("apps", "deployments") => view.set_status(group, plural, live, deployment_status(live)),
        ("apps", "statefulsets" | "replicasets") => {
            view.set_status(group, plural, live, replica_status(live))
        }
        ("apps", "daemonsets") => {
            let ready = i64::from(!is_broken(live));
            let status = json!({
                "observedGeneration": live["metadata"]["generation"], "currentNumberScheduled": 1,
                "desiredNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": ready,
                "numberAvailable": ready, "updatedNumberScheduled": 1,
            });
            view.set_status(group, plural, live, status);
        }
        ("", "pods") => {
            let status = if is_broken(live) {
                json!({ "phase": "Pending", "conditions": [condition("Ready", "False", "ContainersNotReady", live)] })
            } else if matches!(live["spec"]["restartPolicy"].as_str(), Some("Never" | "OnFailure")) {
                json!({ "phase": if fails(live) { "Failed" } else { "Succeeded" } })
            } else {
                json!({ "phase": "Running", "conditions": [condition("Ready", "True", "", live)] })
            };
            view.set_status(group, plural, live, status);
        }
        ("batch", "jobs") => {
            let status = if fails(&live["spec"]["template"]) || fails(live) {
                json!({ "failed": 1, "conditions": [condition("Failed", "True", "BackoffLimitExceeded", live)] })
            } else if is_broken(live) {
                json!({ "active": 1 })
            } else {
                json!({ "succeeded": 1, "conditions": [condition("Complete", "True", "", live)] })
            };
            view.set_status(group, plural, live, status);
        }
        ("", "persistentvolumeclaims") => view.set_status(group, plural, live, json!({ "phase": "Bound" })),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            let status = json!({
                "conditions": [
                    condition("NamesAccepted", "True", "NoConflicts", live),
                    condition("Established", "True", "InitialNamesAccepted", live),
                ],
                "acceptedNames": live["spec"]["names"],
                "storedVersions": [],
            });
            view.set_status(group, plural, live, status);
        }
        _ => {}
    }
}

/// A condition; the transition time of an unchanged one is kept.
fn condition(kind: &str, status: &str, reason: &str, live: &Value) -> Value {
    let before = live["status"]["conditions"]
        .as_array()
        .and_then(|list| list.iter().find(|item| item["type"] == kind && item["status"] == status));
    let since = before.map_or_else(|| json!(now()), |item| item["lastTransitionTime"].clone());
    json!({ "type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": since })
}

fn deployment_status(live: &Value) -> Value {
    let replicas = live["spec"]["replicas"].as_i64().unwrap_or(1);
    let generation = &live["metadata"]["generation"];
    if is_broken(live) {
        return json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "unavailableReplicas": replicas,
            "conditions": [
                condition("Available", "False", "MinimumReplicasUnavailable", live),
                condition("Progressing", "True", "ReplicaSetUpdated", live),
            ],
        });
    }
    let mut status = json!({
        "observedGeneration": generation,
        "conditions": [
            condition("Available", "True", "MinimumReplicasAvailable", live),
            condition("Progressing", "True", "NewReplicaSetAvailable", live),
        ],
    });
    if replicas > 0 {
        for key in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            status[key] = json!(replicas);
        }
    }
    status
}

fn replica_status(live: &Value) -> Value {
    let replicas = live["spec"]["replicas"].as_i64().unwrap_or(1);
    let ready = if is_broken(live) { 0 } else { replicas };
    json!({
        "observedGeneration": live["metadata"]["generation"], "replicas": replicas, "readyReplicas": ready,
        "availableReplicas": ready, "currentReplicas": replicas, "updatedReplicas": replicas,
        "currentRevision": "sim-1", "updateRevision": "sim-1",
    })
}

fn tags(object: &Value) -> Vec<String> {
    let pod = if object["spec"]["template"].is_object() {
        &object["spec"]["template"]["spec"]
    } else {
        &object["spec"]
    };
    pod["containers"]
        .as_array()
        .map(|containers| {
            containers
                .iter()
                .filter_map(|container| {
                    let image = container["image"].as_str()?;
                    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
                    Some(tag.rsplit('-').next().unwrap_or(tag).to_owned())
                })
                .collect()
        })
        .unwrap_or_default()
}

fn is_broken(object: &Value) -> bool {
    tags(object).iter().any(|tag| tag == "broken" || tag == "crash")
}

fn fails(object: &Value) -> bool {
    tags(object).iter().any(|tag| tag == "fail")
}
