//! What state a release is in: a pure function over what was stored, observed and wanted.
//!
//! Mirrors `DetermineReleaseState` of fluxcd/helm-controller (`internal/reconcile/state.go`), in its order.

use flux_api::Snapshot;
use helm_engine::release::{Release, Status};

use super::snapshot;
use crate::cluster::Drift;

/// Where a release stands, compared with what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseState {
    /// As wanted.
    InSync,
    /// Deployed, but from another chart or other values.
    OutOfSync(String),
    /// Nothing is installed.
    Absent(String),
    /// Somebody else's release, or changed behind our back.
    Unmanaged(String),
    /// An action was cut off; the release must be unlocked first.
    Locked(String),
    /// Deployed and not tested yet, although tests are asked for.
    Untested,
    /// Deployed, and changed on the cluster since. The cluster has to be asked for it: see `run`.
    Drifted(Vec<Drift>),
    /// The last action or its tests failed.
    Failed(String),
    /// In a status nobody expects here.
    Unknown(String),
}

/// What the object wants.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Name of the chart.
    pub chart_name: &'a str,
    /// Version of the chart, with Flux's suffix.
    pub chart_version: &'a str,
    /// Digest of the composed values.
    pub config_digest: &'a str,
    /// Whether post-renderers or common metadata differ from those last applied.
    pub post_render_changed: Option<&'static str>,
    /// Whether tests are to be run.
    pub tests: bool,
    /// Whether failed tests are no failure.
    pub ignore_test_failures: bool,
}

/// Decides the state. `latest` is the newest stored revision, `history` is `status.history`, newest first.
pub fn determine(latest: Option<&Release>, history: &[Snapshot], wanted: &Wanted<'_>) -> ReleaseState {
    let Some(latest) = latest else {
        return ReleaseState::Absent("no release in storage for object".to_owned());
    };
    if latest.info.status.is_pending() {
        return ReleaseState::Locked(format!("release with status '{}'", latest.info.status));
    }
    let uninstalled = latest.info.status == Status::Uninstalled;
    let Some(observed) = history.first() else {
        return if uninstalled {
            ReleaseState::Absent("found uninstalled release in storage".to_owned())
        } else {
            ReleaseState::Unmanaged("found existing release in storage".to_owned())
        };
    };
    if observed.name != latest.name || observed.version != latest.version {
        return ReleaseState::Unmanaged("release not observed to be made for object".to_owned());
    }
    if observed.digest != snapshot::digest(latest, observed.oci_digest.as_deref().unwrap_or_default()) {
        return ReleaseState::Unmanaged("release digest verification error".to_owned());
    }
    match latest.info.status {
        Status::Failed => ReleaseState::Failed("release is in a failed state".to_owned()),
        // An uninstall that was cut off: the remediation is repeated, or an upgrade brings everything back.
        Status::Uninstalling => ReleaseState::Failed("release is stuck in uninstalling".to_owned()),
        Status::Uninstalled => ReleaseState::Absent("found uninstalled release in storage".to_owned()),
        Status::Deployed => deployed(latest, observed, wanted),
        Status::Unknown
        | Status::Superseded
        | Status::PendingInstall
        | Status::PendingUpgrade
        | Status::PendingRollback => ReleaseState::Unknown(format!(
            "unable to determine state for release with status '{}'",
            latest.info.status
        )),
    }
}

fn deployed(latest: &Release, observed: &Snapshot, wanted: &Wanted<'_>) -> ReleaseState {
    if latest.chart.metadata.name != wanted.chart_name
        || latest.chart.metadata.version != wanted.chart_version
    {
        return ReleaseState::OutOfSync("release chart changed".to_owned());
    }
    if observed.config_digest != wanted.config_digest {
        return ReleaseState::OutOfSync("release config values changed".to_owned());
    }
    if let Some(change) = wanted.post_render_changed {
        return ReleaseState::OutOfSync(change.to_owned());
    }
    if wanted.tests {
        if !snapshot::has_been_tested(observed) {
            return ReleaseState::Untested;
        }
        if !wanted.ignore_test_failures && snapshot::has_failed_test(observed) {
            return ReleaseState::Failed("release has test in failed phase".to_owned());
        }
    }
    ReleaseState::InSync
}

#[cfg(test)]
mod tests {
    use helm_engine::release::Info;

    use super::*;

    fn release(version: i64, status: Status) -> Release {
        let mut release = Release {
            name: "app".into(),
            namespace: "apps".into(),
            version,
            info: Info { status, ..Info::default() },
            ..Release::default()
        };
        let chart = std::sync::Arc::make_mut(&mut release.chart);
        chart.metadata.name = "web".into();
        chart.metadata.version = "1.0.0".into();
        release
    }

    const WANTED: Wanted<'static> = Wanted {
        chart_name: "web",
        chart_version: "1.0.0",
        config_digest: "sha256:v",
        post_render_changed: None,
        tests: false,
        ignore_test_failures: false,
    };

    fn observed(release: &Release) -> Vec<Snapshot> {
        vec![snapshot::of(release, "sha256:v", "", None)]
    }

    #[test]
    fn the_table_of_states() {
        let deployed = release(1, Status::Deployed);
        let history = observed(&deployed);
        assert!(matches!(determine(None, &[], &WANTED), ReleaseState::Absent(_)));
        assert_eq!(determine(Some(&deployed), &history, &WANTED), ReleaseState::InSync);
        assert!(matches!(determine(Some(&deployed), &[], &WANTED), ReleaseState::Unmanaged(_)));
        for status in [Status::PendingInstall, Status::PendingUpgrade, Status::PendingRollback] {
            let pending = release(1, status);
            assert!(matches!(
                determine(Some(&pending), &observed(&pending), &WANTED),
                ReleaseState::Locked(_)
            ));
            assert!(matches!(determine(Some(&pending), &[], &WANTED), ReleaseState::Locked(_)));
        }
        let failed = release(2, Status::Failed);
        assert!(matches!(determine(Some(&failed), &observed(&failed), &WANTED), ReleaseState::Failed(_)));
        let stuck = release(2, Status::Uninstalling);
        assert!(matches!(determine(Some(&stuck), &observed(&stuck), &WANTED), ReleaseState::Failed(_)));
        let uninstalled = release(1, Status::Uninstalled);
        assert!(matches!(determine(Some(&uninstalled), &[], &WANTED), ReleaseState::Absent(_)));
        assert!(matches!(
            determine(Some(&uninstalled), &observed(&uninstalled), &WANTED),
            ReleaseState::Absent(_)
        ));
    }

    #[test]
    fn another_chart_or_other_values_are_out_of_sync() {
        let deployed = release(1, Status::Deployed);
        let history = observed(&deployed);
        let chart = Wanted { chart_version: "1.0.1", ..WANTED };
        assert_eq!(
            determine(Some(&deployed), &history, &chart),
            ReleaseState::OutOfSync("release chart changed".into())
        );
        let values = Wanted { config_digest: "sha256:w", ..WANTED };
        assert_eq!(
            determine(Some(&deployed), &history, &values),
            ReleaseState::OutOfSync("release config values changed".into())
        );
    }

    #[test]
    fn a_release_changed_behind_our_back_is_unmanaged() {
        let deployed = release(1, Status::Deployed);
        let history = observed(&deployed);
        let mut changed = deployed.clone();
        changed.manifest = "kind: Other".into();
        assert_eq!(
            determine(Some(&changed), &history, &WANTED),
            ReleaseState::Unmanaged("release digest verification error".into())
        );
        let newer = release(2, Status::Deployed);
        assert!(matches!(determine(Some(&newer), &history, &WANTED), ReleaseState::Unmanaged(_)));
    }

    #[test]
    fn tests_asked_for_and_not_run_make_it_untested() {
        let deployed = release(1, Status::Deployed);
        let wanted = Wanted { tests: true, ..WANTED };
        assert_eq!(determine(Some(&deployed), &observed(&deployed), &wanted), ReleaseState::Untested);
    }
}
