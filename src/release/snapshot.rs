//! What `status.history` remembers of a release, and the digests that tell whether somebody else touched it.
//!
//! Mirrors fluxcd/helm-controller `internal/release/observation.go` and `digest.go`.

use std::collections::BTreeMap;

use flux_api::{ReleaseAction, Snapshot, TestHookStatus, Time};
use helm_engine::release::{HookPhase, Release, ReleaseHook, Status};
use helm_engine::values::{Map, go_json, to_yaml};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The parts of a release record that Flux hashes, in its order.
#[derive(Serialize)]
struct Observation<'a> {
    name: &'a str,
    version: i64,
    info: &'a helm_engine::release::Info,
    #[serde(rename = "chartMetadata")]
    chart_metadata: &'a helm_engine::Metadata,
    config: &'a serde_json::Map<String, serde_json::Value>,
    manifest: &'a str,
    hooks: Vec<&'a ReleaseHook>,
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty", rename = "ociDigest")]
    oci_digest: &'a str,
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn is_test(hook: &ReleaseHook) -> bool {
    hook.events.contains(&helm_engine::HookEvent::Test)
}

/// The digest of a stored release; test hooks are left out, because anybody may run `helm test`.
pub fn digest(release: &Release, oci_digest: &str) -> String {
    let observation = Observation {
        name: &release.name,
        version: release.version,
        info: &release.info,
        chart_metadata: &release.chart.metadata,
        config: &release.config,
        manifest: &release.manifest,
        hooks: release.hooks.iter().filter(|hook| !is_test(hook)).collect(),
        namespace: &release.namespace,
        oci_digest,
    };
    let mut json = go_json(&observation).expect("all keys of an observation are texts");
    json.push(b'\n');
    sha256(&json)
}

/// The digest of the values a user gave; no values hash as no bytes.
pub fn config_digest(values: &Map) -> String {
    if values.is_empty() { sha256(b"") } else { sha256(to_yaml(values).as_bytes()) }
}

/// The digest of any part of a spec (post-renderers, common metadata).
pub fn spec_digest<T: Serialize>(part: &T) -> String {
    sha256(&serde_json::to_vec(part).expect("a spec is JSON"))
}

/// What the history keeps of one release.
pub fn of(
    release: &Release,
    config_digest: &str,
    oci_digest: &str,
    action: Option<ReleaseAction>,
) -> Snapshot {
    let time = |text: &Option<String>| -> Option<Time> { text.as_deref()?.parse().ok().map(Time::new) };
    Snapshot {
        api_version: Some("v2".to_owned()),
        digest: digest(release, oci_digest),
        name: release.name.clone(),
        namespace: release.namespace.clone(),
        version: release.version,
        status: release.info.status.as_str().to_owned(),
        action,
        chart_name: release.chart.metadata.name.clone(),
        chart_version: release.chart.metadata.version.clone(),
        app_version: Some(release.chart.metadata.app_version.clone()).filter(|version| !version.is_empty()),
        config_digest: config_digest.to_owned(),
        first_deployed: time(&release.info.first_deployed),
        last_deployed: time(&release.info.last_deployed),
        deleted: time(&release.info.deleted),
        test_hooks: None,
        oci_digest: Some(oci_digest.to_owned()).filter(|digest| !digest.is_empty()),
    }
}

/// The results of a release's test hooks, as the history shows them.
pub fn test_results(release: &Release) -> BTreeMap<String, TestHookStatus> {
    let time = |text: &Option<String>| -> Option<Time> { text.as_deref()?.parse().ok().map(Time::new) };
    release
        .hooks
        .iter()
        .filter(|hook| is_test(hook))
        .map(|hook| {
            let ran = hook.last_run.phase != HookPhase::Never;
            let status = TestHookStatus {
                last_started: time(&hook.last_run.started_at),
                last_completed: time(&hook.last_run.completed_at),
                phase: ran.then(|| hook.last_run.phase.as_str().to_owned()),
            };
            (hook.name.clone(), status)
        })
        .collect()
}

/// `<namespace>/<name>.v<version>`.
pub fn full_name(snapshot: &Snapshot) -> String {
    super::names::full_name(&snapshot.namespace, &snapshot.name, snapshot.version)
}

/// `<chart name>@<chart version>`.
pub fn chart_of(snapshot: &Snapshot) -> String {
    format!("{}@{}", snapshot.chart_name, snapshot.chart_version)
}

/// Whether test hooks of this release have been run.
pub fn has_been_tested(snapshot: &Snapshot) -> bool {
    snapshot.test_hooks.as_ref().is_some_and(|hooks| {
        hooks.is_empty() || hooks.values().any(|hook| hook.phase.is_some() || hook.last_started.is_some())
    })
}

/// Whether a test hook of this release failed.
pub fn has_failed_test(snapshot: &Snapshot) -> bool {
    snapshot
        .test_hooks
        .as_ref()
        .is_some_and(|hooks| hooks.values().any(|hook| hook.phase.as_deref() == Some("Failed")))
}

/// The newest release before the latest that ended well: the target of a rollback.
pub fn previous(history: &[Snapshot], ignore_test_failures: bool) -> Option<&Snapshot> {
    history.iter().skip(1).find(|snapshot| {
        let good =
            snapshot.status == Status::Deployed.as_str() || snapshot.status == Status::Superseded.as_str();
        good && (ignore_test_failures || !has_failed_test(snapshot))
    })
}

/// Drops what is older than the newest earlier release that ended well, and everything beyond five.
pub fn truncate(history: &mut Vec<Snapshot>, ignore_test_failures: bool) {
    /// How many releases the status keeps when none before the latest ended well.
    const KEEP: usize = 5;
    history.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.version));
    let good = previous(history, ignore_test_failures).map(|snapshot| snapshot.version);
    match good.and_then(|version| history.iter().position(|snapshot| snapshot.version == version)) {
        Some(place) => history.truncate(place + 1),
        None => history.truncate(KEEP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(version: i64, status: &str) -> Snapshot {
        Snapshot { version, status: status.to_owned(), ..Snapshot::default() }
    }

    #[test]
    fn empty_values_hash_as_nothing() {
        assert_eq!(
            config_digest(&Map::new()),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn history_keeps_the_last_good_release_behind_the_newest() {
        let mut history = vec![
            snapshot(5, "deployed"),
            snapshot(4, "failed"),
            snapshot(3, "superseded"),
            snapshot(2, "superseded"),
        ];
        truncate(&mut history, false);
        assert_eq!(history.iter().map(|snapshot| snapshot.version).collect::<Vec<_>>(), [5, 4, 3]);
        let mut failures: Vec<Snapshot> = (1..=9).rev().map(|version| snapshot(version, "failed")).collect();
        truncate(&mut failures, false);
        assert_eq!(failures.len(), 5);
    }

    #[test]
    fn a_release_whose_tests_failed_is_no_rollback_target() {
        let mut tested = snapshot(1, "superseded");
        let failed = TestHookStatus { phase: Some("Failed".into()), ..TestHookStatus::default() };
        tested.test_hooks = Some(BTreeMap::from([("t".to_owned(), failed)]));
        let history = [snapshot(2, "failed"), tested];
        assert!(previous(&history, false).is_none());
        assert_eq!(previous(&history, true).map(|snapshot| snapshot.version), Some(1));
    }
}
