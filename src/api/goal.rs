//! When a wait is over: pure judgements over one object's status.

use flux_api::{Condition, ConditionStatus, FluxObject, HelmChart, condition_type, conditions, reason};

use super::fault::Fault;
use super::wire::{ObjectNow, WaitMember, WaitState};
use crate::model::{ObjectKey, Timestamp, cluster_of};

/// Shortest commit prefix that counts as one: git's own default.
const SHORTEST_COMMIT: usize = 7;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Ready at this revision or commit.
    Revision(String),
    /// This request was handled.
    Handled(String),
    /// Ready at the spec as it is now.
    Ready,
}

/// Where an object stands with regard to a goal. `also` are revisions it is known to have that its own status does not
/// show: those of its chart, and what the store says was applied.
pub(super) fn judge(goal: &Goal, object: &FluxObject, also: &[String], fault: Option<Fault>) -> WaitMember {
    let key = ObjectKey::new(object.kind(), object.namespace(), object.name());
    let (ready, mut message) = ready(object);
    let arrived = match goal {
        Goal::Ready => true,
        Goal::Handled(wanted) => {
            object.last_handled_reconcile_at().is_some_and(|handled| is_at_least(handled, wanted))
        }
        Goal::Revision(wanted) => revisions(object).iter().chain(also).any(|have| is_revision(wanted, have)),
    };
    // A revision reaches a cluster, and a request is handled, by the manifest that is in force.
    let fault = fault.filter(|_| *goal == Goal::Ready || is_static(object));
    let state = if let Some(fault) = fault {
        message = fault.message;
        WaitState::Failed
    } else if is_static(object) {
        if ready == ConditionStatus::False { WaitState::Failed } else { WaitState::Ready }
    } else if object.suspended() {
        // Nothing more is done for it: it has it, or it will not get it without help.
        if arrived && ready == ConditionStatus::True {
            WaitState::Ready
        } else {
            message = left_out(goal, arrived, &key, &message);
            WaitState::Suspended
        }
    } else {
        let attempted = match goal {
            Goal::Revision(wanted) => attempted(object).is_some_and(|have| is_revision(wanted, &have)),
            Goal::Ready | Goal::Handled(_) => arrived,
        };
        match ready {
            ConditionStatus::True if is_settled(object) && arrived => WaitState::Ready,
            ConditionStatus::False if has_failed(object, goal) && (arrived || attempted) => WaitState::Failed,
            ConditionStatus::True | ConditionStatus::False | ConditionStatus::Unknown => WaitState::Waiting,
        }
    };
    WaitMember { object: key, cluster: cluster_of(object), state, revision: revision(object), message }
}

/// Why the wait for a suspended object is over.
fn left_out(goal: &Goal, arrived: bool, key: &ObjectKey, message: &str) -> String {
    match goal {
        Goal::Revision(_) if !arrived => format!("`{key}` is suspended and does not have it"),
        Goal::Handled(_) if !arrived => format!("`{key}` is suspended and did not look at it"),
        Goal::Revision(_) | Goal::Handled(_) | Goal::Ready => {
            format!("`{key}` is suspended and not ready: {message}")
        }
    }
}

/// How an object stands, for stories.
pub(super) fn now(object: &FluxObject, fault: Option<Fault>) -> ObjectNow {
    let (ready, message) = match fault {
        Some(fault) => (ConditionStatus::False, fault.message),
        None => ready(object),
    };
    ObjectNow {
        object: ObjectKey::new(object.kind(), object.namespace(), object.name()),
        ready: ready.as_str().to_owned(),
        message,
        revision: revision(object),
        suspended: object.suspended(),
    }
}

/// Kinds and objects that nothing reconciles; `flux` shows them as ready, too.
pub(super) fn is_static(object: &FluxObject) -> bool {
    match object {
        FluxObject::Provider(_) | FluxObject::Alert(_) => true,
        FluxObject::HelmRepository(one) => one.spec.is_oci(),
        _ => false,
    }
}

fn ready(object: &FluxObject) -> (ConditionStatus, String) {
    match conditions::get(object.conditions(), condition_type::READY) {
        Some(condition) => (condition.status, condition.message.clone()),
        None if is_static(object) => (ConditionStatus::True, String::new()),
        None => (ConditionStatus::Unknown, "waiting to be reconciled".to_owned()),
    }
}

/// The status is about the spec as it is now, and no work is under way.
fn is_settled(object: &FluxObject) -> bool {
    is_observed(object) && !conditions::is_reconciling(object.conditions())
}

fn is_observed(object: &FluxObject) -> bool {
    // ExternalArtifacts and the static kinds observe nothing.
    object.observed_generation() == 0 && is_static(object)
        || object.observed_generation() == object.metadata().generation
        || matches!(object, FluxObject::ExternalArtifact(_))
}

/// It failed and will stay so: stalled, or at the end of an attempt that somebody asked for.
fn has_failed(object: &FluxObject, goal: &Goal) -> bool {
    let list: &[Condition] = object.conditions();
    // A source that has never been fetched has observed nothing, and its condition still is about this generation.
    let about_this = conditions::get(list, condition_type::READY)
        .is_some_and(|ready| ready.observed_generation == object.metadata().generation);
    if !about_this && !is_observed(object) {
        return false;
    }
    if conditions::is_stalled(list) {
        return true;
    }
    let retrying = conditions::get(list, condition_type::RECONCILING)
        .is_none_or(|condition| condition.reason == reason::PROGRESSING_WITH_RETRY);
    // A push's failure may pass at the next try; who asked for one attempt wants to hear how that one ended.
    matches!(goal, Goal::Handled(_)) && retrying
}

/// What the object stands at, as `flux get` shows it.
pub(super) fn revision(object: &FluxObject) -> Option<String> {
    match object {
        FluxObject::Kustomization(one) => one.status.last_applied_revision.clone(),
        FluxObject::HelmRelease(one) => one
            .status
            .history
            .first()
            .map(|release| release.chart_version.clone())
            .or_else(|| one.status.last_attempted_revision.clone()),
        FluxObject::ImagePolicy(one) => {
            one.status.latest_ref.as_ref().map(|image| format!("{}:{}", image.name, image.tag))
        }
        FluxObject::ImageUpdateAutomation(one) => one.status.observed_source_revision.clone(),
        other => other.artifact().map(|artifact| artifact.revision.clone()),
    }
    .filter(|revision| !revision.is_empty())
}

/// Every revision the object has, or has had and gone past.
fn revisions(object: &FluxObject) -> Vec<String> {
    match object {
        FluxObject::HelmRelease(one) => {
            one.status.history.iter().map(|release| release.chart_version.clone()).collect()
        }
        FluxObject::HelmChart(one) => {
            revision(object).into_iter().chain(one.status.observed_source_artifact_revision.clone()).collect()
        }
        other => revision(other).into_iter().collect(),
    }
}

/// What it last tried to get to.
fn attempted(object: &FluxObject) -> Option<String> {
    match object {
        FluxObject::HelmRelease(one) => one.status.last_attempted_revision.clone(),
        FluxObject::Kustomization(one) => one.status.last_attempted_revision.clone(),
        _ => None,
    }
}

/// The source revision a release stands at through its chart: a push that changes no chart makes no new release, and
/// yet the release has it as soon as its chart has looked at the commit.
pub(super) fn through_chart(release: &FluxObject, chart: &HelmChart) -> Option<String> {
    let stands_at = revision(release)?;
    let chart_at = chart.status.artifact.as_ref()?;
    (chart_at.revision == stands_at).then(|| chart.status.observed_source_artifact_revision.clone()).flatten()
}

/// Whether `wanted` (a revision, a commit, the beginning of a commit) means `have`.
pub(super) fn is_revision(wanted: &str, have: &str) -> bool {
    if wanted == have {
        return true;
    }
    let Some(commit) = hex_part(wanted) else {
        // `1.0.0` means `1.0.0@sha256:…`, as tags of OCI artifacts and git are shown.
        return have.split_once('@').is_some_and(|(tag, _)| tag == wanted);
    };
    hex_part(have).is_some_and(|have| have.starts_with(&commit) || commit.starts_with(&have))
}

/// The commit or digest in a revision: after the algorithm, else in a version's build metadata, else the whole text.
fn hex_part(text: &str) -> Option<String> {
    let part = match (text.rsplit_once(':'), text.rsplit_once('+')) {
        (Some((_, digest)), _) => digest,
        (None, Some((_, build))) => build.split('.').next().unwrap_or_default(),
        (None, None) => text,
    };
    let is_hex = part.len() >= SHORTEST_COMMIT && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| part.to_ascii_lowercase())
}

/// Whether the request handled is the one wanted or a later one.
fn is_at_least(handled: &str, wanted: &str) -> bool {
    match (handled.parse::<Timestamp>(), wanted.parse::<Timestamp>()) {
        (Ok(handled), Ok(wanted)) => handled >= wanted,
        _ => handled == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_commits() {
        let commit = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
        for (wanted, have, same) in [
            (commit, "master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", true),
            ("8b1a995", "master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", true),
            (commit, "1.0.0+8b1a9953c461.1", true),
            (commit, "1.0.0+8b1a9953c461", true),
            ("master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", "1.0.0+8b1a9953c461", true),
            ("1.0.0+8b1a9953c461", "1.0.0+8b1a9953c461.2", true),
            ("8b1a99", "master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", false),
            ("0000000", "master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", false),
            ("1.0.1", "1.0.1@sha256:0011223344556677", true),
            ("1.0.1", "1.0.0", false),
            ("1.0.0", "1.0.0+8b1a9953c461", false),
            ("master", "master@sha1:8b1a9953c461", true),
        ] {
            assert_eq!(is_revision(wanted, have), same, "{wanted} {have}");
        }
    }

    fn release(status: serde_json::Value) -> FluxObject {
        let mut object = flux_api::decode(&serde_json::json!({
            "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": {"interval": "1m", "chartRef": {"kind": "OCIRepository", "name": "web"}},
        }))
        .unwrap();
        object.metadata_mut().generation = 2;
        object.set_status_json(&status).unwrap();
        object
    }

    fn condition(kind: &str, status: &str, reason: &str) -> serde_json::Value {
        serde_json::json!({"type": kind, "status": status, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-11-24T10:00:00Z", "observedGeneration": 2})
    }

    fn state(goal: &Goal, status: serde_json::Value) -> WaitState {
        judge(goal, &release(status), &[], None).state
    }

    #[test]
    fn a_revision_is_there_when_its_release_is_ready() {
        use serde_json::json;
        let goal = Goal::Revision("8b1a9953c461".to_owned());
        let at = |generation: i64, conditions: Vec<serde_json::Value>, version: &str| {
            json!({"observedGeneration": generation, "conditions": conditions, "lastAttemptedRevision": "1.0.0+8b1a9953c461",
                   "history": [{"chartVersion": version}]})
        };
        let good = vec![condition("Ready", "True", "UpgradeSucceeded")];
        assert_eq!(state(&goal, at(2, good.clone(), "1.0.0+8b1a9953c461")), WaitState::Ready);
        assert_eq!(state(&goal, at(2, good.clone(), "1.0.0+000000000000")), WaitState::Waiting);
        assert_eq!(state(&goal, at(1, good.clone(), "1.0.0+8b1a9953c461")), WaitState::Waiting);
        let busy = vec![
            condition("Reconciling", "True", "Progressing"),
            condition("Ready", "Unknown", "Progressing"),
        ];
        assert_eq!(state(&goal, at(2, busy, "1.0.0+8b1a9953c461")), WaitState::Waiting);
        let again = vec![
            condition("Reconciling", "True", "ProgressingWithRetry"),
            condition("Ready", "False", "UpgradeFailed"),
        ];
        assert_eq!(state(&goal, at(2, again, "1.0.0+000000000000")), WaitState::Waiting);
        let stalled = vec![
            condition("Stalled", "True", "RetriesExceeded"),
            condition("Ready", "False", "UpgradeFailed"),
        ];
        assert_eq!(state(&goal, at(2, stalled, "1.0.0+000000000000")), WaitState::Failed);
    }

    #[test]
    fn a_suspended_release_has_the_revision_or_ends_the_wait() {
        let judged = |goal: &Goal, version: &str, ready: &str| {
            let mut object = release(serde_json::json!({
                "observedGeneration": 1, "conditions": [condition("Ready", ready, "R")],
                "history": [{"chartVersion": version}],
            }));
            object.set_suspended(true);
            let member = judge(goal, &object, &[], None);
            (member.state, member.message)
        };
        let goal = Goal::Revision("8b1a9953c461".to_owned());
        assert_eq!(judged(&goal, "1.0.0+8b1a9953c461", "True"), (WaitState::Ready, "m".to_owned()));
        assert_eq!(
            judged(&goal, "1.0.0+000000000000", "True"),
            (WaitState::Suspended, "`HelmRelease/apps/web` is suspended and does not have it".to_owned())
        );
        let failed =
            (WaitState::Suspended, "`HelmRelease/apps/web` is suspended and not ready: m".to_owned());
        assert_eq!(judged(&goal, "1.0.0+8b1a9953c461", "False"), failed);
        assert_eq!(judged(&Goal::Ready, "1.0.0", "False"), failed);
        assert_eq!(judged(&Goal::Ready, "1.0.0", "True").0, WaitState::Ready);
        let handled = Goal::Handled("2026-11-24T10:00:00Z".to_owned());
        assert_eq!(judged(&handled, "1.0.0", "True").0, WaitState::Suspended);
    }

    #[test]
    fn a_request_is_handled_whether_it_went_well_or_not() {
        use serde_json::json;
        let goal = Goal::Handled("2026-11-24T10:00:00.000000001Z".to_owned());
        let at = |handled: &str, ready: &str| json!({"observedGeneration": 2, "conditions": [condition("Ready", ready, "R")], "lastHandledReconcileAt": handled});
        assert_eq!(state(&goal, at("2026-11-24T09:00:00Z", "True")), WaitState::Waiting);
        assert_eq!(state(&goal, at("2026-11-24T10:00:00.000000001Z", "True")), WaitState::Ready);
        assert_eq!(state(&goal, at("2026-11-24T10:00:01Z", "True")), WaitState::Ready);
        assert_eq!(state(&goal, at("2026-11-24T10:00:01Z", "False")), WaitState::Failed);
        let mut never = at("2026-11-24T10:00:01Z", "False");
        never["observedGeneration"] = json!(0);
        assert_eq!(state(&goal, never), WaitState::Failed);
    }
}
