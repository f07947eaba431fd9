//! A HelmChart: built from its source, its status written. Those made for a HelmRelease are kept by the release.

use flux_api::{
    Condition, ConditionStatus, FluxObject, HelmChart, HelmChartStatus, condition_type as t, conditions,
    reason,
};

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
            let is_new =
                status.artifact.as_ref().is_none_or(|artifact| artifact.revision != built.chart.version);
            if is_new {
                let path = format!(
                    "helmchart/{}/{}/{}-{}.tgz",
                    key.namespace, key.name, built.chart.name, built.chart.version
                );
                status.artifact = Some(flux_api::Artifact {
                    url: format!("{}/{path}", run.inner.settings.artifact_host),
                    path,
                    revision: built.chart.version.clone(),
                    last_update_time: Some(now),
                    ..flux_api::Artifact::default()
                });
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
