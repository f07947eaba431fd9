//! Why a workload does not get ready: its pods know.
//!
//! Asked once, when a wait has been lost; never a reason for the wait to fail.

use std::time::Duration;

use serde_json::Value;

use super::member::Call;
use super::object::ObjectId;
use super::pool::Cluster;
use super::read::{collection, query};

/// The answer is a courtesy: it must not hold up the failure.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pods looked at; those of one workload tend to say the same.
const PODS: usize = 20;
/// Different causes told.
const CAUSES: usize = 3;
/// Image pull errors can run over pages.
const LONGEST: usize = 300;

impl Cluster {
    /// What keeps the pods behind `selector` from running, each cause once.
    pub(super) async fn pod_causes(&self, owner: &ObjectId, selector: &str) -> Vec<String> {
        let attempt = format!("read the pods of {} `{}`", owner.kind, owner.place());
        let path = format!(
            "{}?limit={PODS}&labelSelector={}",
            collection("v1", "pods", owner.namespace.as_deref()),
            query(selector)
        );
        let call = Call { headers: &self.headers, ..Call::get(path, &attempt) };
        let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, self.member.call(&call)).await else {
            return Vec::new();
        };
        let list: Value = answer.json().unwrap_or_default();
        let mut causes: Vec<String> = Vec::new();
        for cause in list["items"].as_array().into_iter().flatten().filter_map(cause_of) {
            if causes.len() < CAUSES && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        causes
    }
}

/// The first thing that keeps a pod from running.
fn cause_of(pod: &Value) -> Option<String> {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return None;
    }
    let said = |what: String, reason: &Value, message: &Value| {
        let reason = reason.as_str().filter(|r| !r.is_empty())?;
        let message = message.as_str().unwrap_or_default().trim();
        let text = if message.is_empty() {
            format!("{what}: {reason}")
        } else {
            format!("{what}: {reason}: {message}")
        };
        Some(text.chars().take(LONGEST).collect())
    };
    for field in ["initContainerStatuses", "containerStatuses"] {
        for container in pod["status"][field].as_array().into_iter().flatten() {
            let what = || format!("container `{}`", container["name"].as_str().unwrap_or_default());
            let waiting = &container["state"]["waiting"];
            let is_ordinary =
                matches!(waiting["reason"].as_str(), Some("ContainerCreating" | "PodInitializing"));
            if !is_ordinary && let Some(cause) = said(what(), &waiting["reason"], &waiting["message"]) {
                return Some(cause);
            }
            let ended = &container["state"]["terminated"];
            if ended["exitCode"].as_i64().is_some_and(|code| code != 0) {
                return said(what(), &ended["reason"], &ended["message"]);
            }
        }
    }
    let conditions = pod["status"]["conditions"].as_array();
    let unscheduled =
        conditions.into_iter().flatten().find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
    said("pod".to_owned(), &unscheduled["reason"], &unscheduled["message"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_say_what_keeps_them() {
        let waiting = |reason: &str, message: &str| json!({"status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}]}});
        let table = [
            (
                waiting("ImagePullBackOff", "Back-off pulling image"),
                Some("container `c`: ImagePullBackOff: Back-off pulling image"),
            ),
            (waiting("CrashLoopBackOff", ""), Some("container `c`: CrashLoopBackOff")),
            (waiting("ContainerCreating", ""), None),
            (
                json!({"status": {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}}),
                Some("container `c`: Error"),
            ),
            (
                json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}}),
                Some("pod: Unschedulable: 0/1 nodes"),
            ),
            (
                json!({"metadata": {"deletionTimestamp": "x"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "U"}]}}),
                None,
            ),
            (json!({"status": {"phase": "Running"}}), None),
        ];
        for (pod, expected) in table {
            assert_eq!(cause_of(&pod).as_deref(), expected, "{pod}");
        }
    }
}
