//! A HelmChart: built from its source, its status written. Those made for a HelmRelease are kept by the release.

use flux_api::{
    Condition, ConditionStatus, FluxObject, HelmChart, HelmChartStatus, condition_type as t, conditions,
    reason,
};
use sha2::{Digest as _, Sha256};

use super::chart::{ChartAt, ChartRef, NoChart, build_chart};
use super::context::{Done, Run};
use super::dependents;
use crate::model::{CauseKind, Kind, ObjectKey, Severity};

/// Builds the chart and wakes the releases that use it.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, chart: &HelmChart) -> Done {
    let interval = chart.spec.interval.get();
    let key = run.job.object.clone();
    let built =
        build_chart(run, &chart.metadata.namespace, &ChartRef::from(&chart.spec), chart.metadata.generation)
            .await;
    let before = chart.status.artifact.as_ref().map(|artifact| artifact.revision.clone());
    let status = write(run, object, chart, &built).await;
    let after = status.artifact.as_ref().map(|artifact| artifact.revision.clone());
    let owner = run.inner.objects.owner(&key);
    if before != after && owner.is_none() {
        let cause = run.cause.then(CauseKind::Dependency);
        for dependent in dependents::of_source(&run.inner.objects, &key) {
            run.wake(dependent, cause.clone());
        }
        for release in run.inner.objects.list(Kind::HelmRelease) {
            if let FluxObject::HelmRelease(release) = &*release
                && dependents::source_of(release).as_ref() == Some(&key)
            {
                let release =
                    ObjectKey::new(Kind::HelmRelease, &release.metadata.namespace, &release.metadata.name);
                run.wake(release, cause.clone());
            }
        }
    }
    match built {
        Ok(_) => Done::Interval(interval),
        Err(NoChart { message, waiting: true, .. }) => {
            Done::Wait { after: run.inner.settings.requeue_dependency.min(interval), why: message }
        }
        Err(NoChart { message, stalled: true, .. }) => {
            Done::Stalled { error: message, interval: Some(interval) }
        }
        Err(NoChart { message, .. }) => Done::Retry { error: message, interval, after: None },
    }
}

/// The digest an artifact must have. No package is made, so it is one of what the chart is known by: the same chart has
/// the same digest, after a restart and on another machine.
fn identity_digest(name: &str, version: &str, values_files: &[String]) -> String {
    let mut hasher = Sha256::new();
    for part in [name, version].into_iter().chain(values_files.iter().map(String::as_str)) {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

/// Writes the chart's status and emits its events; the new status comes back.
pub(super) async fn write(
    run: &mut Run<'_>,
    object: &FluxObject,
    chart: &HelmChart,
    built: &Result<ChartAt, NoChart>,
) -> HelmChartStatus {
    let key = ObjectKey::new(Kind::HelmChart, &chart.metadata.namespace, &chart.metadata.name);
    let (generation, now) = (chart.metadata.generation, run.time());
    let mut status = chart.status.clone();
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    match built {
        Ok(built) => {
            for stale in [t::FETCH_FAILED, t::BUILD_FAILED, t::STALLED, t::RECONCILING, t::ARTIFACT_OUTDATED]
            {
                conditions::remove(&mut status.conditions, stale);
            }
            let message = built.chart.message();
            for kind in [t::ARTIFACT_IN_STORAGE, t::READY] {
                let condition = Condition::new(
                    kind,
                    ConditionStatus::True,
                    reason::CHART_PACKAGE_SUCCEEDED,
                    message.clone(),
                );
                conditions::set(&mut status.conditions, condition, generation, now);
            }
            status.observed_generation = generation;
            status.observed_chart_name = Some(built.chart.name.clone());
            status.observed_source_artifact_revision = Some(built.source_revision.clone());
            status.observed_values_files = if chart.spec.ignore_missing_values_files {
                built.chart.values_files.clone()
            } else {
                Vec::new()
            };
            let had = status.artifact.take();
            let is_new = had.as_ref().is_none_or(|had| had.revision != built.chart.version);
            let path = format!(
                "helmchart/{}/{}/{}-{}.tgz",
                key.namespace, key.name, built.chart.name, built.chart.version
            );
            status.artifact = Some(flux_api::Artifact {
                url: format!("{}/{path}", run.inner.settings.artifact_host),
                path,
                revision: built.chart.version.clone(),
                digest: identity_digest(&built.chart.name, &built.chart.version, &built.chart.values_files),
                last_update_time: had.filter(|_| !is_new).and_then(|had| had.last_update_time).or(Some(now)),
                ..flux_api::Artifact::default()
            });
            if is_new {
                run.event_of(
                    object,
                    &key,
                    Severity::Info,
                    reason::CHART_PACKAGE_SUCCEEDED,
                    message,
                    &[("revision", built.chart.version.as_str())],
                );
            }
        }
        Err(failure) => {
            let kind = if failure.waiting { t::FETCH_FAILED } else { t::BUILD_FAILED };
            for (kind, holds) in [(kind, ConditionStatus::True), (t::READY, ConditionStatus::False)] {
                let condition = Condition::new(kind, holds, failure.reason.clone(), failure.message.clone());
                conditions::set(&mut status.conditions, condition, generation, now);
            }
            if failure.stalled {
                status.observed_generation = generation;
                conditions::mark_stalled(
                    &mut status.conditions,
                    &failure.reason,
                    &failure.message,
                    generation,
                    now,
                );
            } else {
                conditions::mark_reconciling(
                    &mut status.conditions,
                    reason::PROGRESSING_WITH_RETRY,
                    &failure.message,
                    generation,
                    now,
                );
            }
            let told = conditions::get(&chart.status.conditions, t::READY)
                .is_some_and(|ready| ready.message == failure.message);
            if !told && !failure.waiting {
                run.event_of(object, &key, Severity::Error, &failure.reason, failure.message.clone(), &[]);
            }
        }
    }
    if status != chart.status {
        run.write_status(&key, &chart.metadata.uid, &status).await;
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_charts_have_equal_digests() {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let digest = |version: &str, names: &[&str]| identity_digest("web", version, &files(names));
        let one = digest("1.0.0+8b1a9953c461", &["values.yaml"]);
        assert_eq!(one, digest("1.0.0+8b1a9953c461", &["values.yaml"]));
        let (algorithm, hex) = one.split_once(':').unwrap();
        assert_eq!((algorithm, hex.len()), ("sha256", 64));
        for other in [
            digest("1.0.0+000000000000", &["values.yaml"]),
            digest("1.0.0+8b1a9953c461", &[]),
            digest("1.0.0+8b1a9953c461", &["values", ".yaml"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
