//! A HelmRelease: wait for what it depends on, compose values, build the chart, bring the release on the member
//! cluster to what is wanted, say how it went.
//!
//! Mirrors fluxcd/helm-controller `internal/controller/helmrelease_controller.go`.

use std::time::Duration;

use flux_api::{
    ChartNameChangeStrategy, Condition, ConditionStatus, FluxObject, HelmChart, HelmChartSpec, HelmRelease,
    HelmReleaseStatus, ObjectMeta, annotation, condition_type as t, conditions, reason,
};

use super::chart::{ChartAt, ChartRef, NoChart, build_chart};
use super::context::{Done, Run, at};
use super::kubeconfig::cluster_name;
use super::values_from::compose_values;
use super::{dependents, helm_chart};
use crate::model::{CauseKind, Digest, Kind, ObjectKey, Revision, Severity};
use crate::objects::DependencyProblem;
use crate::queue::{Applied, StepOutcome};
use crate::release::{self, ReleaseOutcome, ReleaseRequest, Verdict};

/// Why a run cannot go on, before anything was done to a cluster.
struct Blocked {
    reason: String,
    message: String,
    done: Done,
    /// Whether `Ready` is False now, or stays what it was.
    not_ready: bool,
}

/// Brings the release to what its object wants.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, release: &HelmRelease) -> Done {
    let key = run.job.object.clone();
    let interval = release.spec.interval.get();
    if release.metadata.deletion_timestamp.is_some() {
        return delete(run, object, release, &key).await;
    }
    let mut status = release.status.clone();
    let outcome = prepare_and_run(run, object, release, &mut status).await;
    let generation = release.metadata.generation;
    let now = run.time();
    note_handled(object, &mut status);
    match outcome {
        Ok((outcome, chart)) => settle(run, object, release, &key, outcome, &chart).await,
        Err(blocked) => {
            if blocked.not_ready {
                let ready = Condition::new(
                    t::READY,
                    ConditionStatus::False,
                    blocked.reason.clone(),
                    blocked.message.clone(),
                );
                conditions::set(&mut status.conditions, ready, generation, now);
            }
            match &blocked.done {
                Done::Stalled { .. } => {
                    status.observed_generation = generation;
                    conditions::mark_stalled(
                        &mut status.conditions,
                        &blocked.reason,
                        &blocked.message,
                        generation,
                        now,
                    );
                }
                _ => conditions::mark_reconciling(
                    &mut status.conditions,
                    reason::PROGRESSING_WITH_RETRY,
                    &blocked.message,
                    generation,
                    now,
                ),
            }
            let told = conditions::get(&release.status.conditions, t::READY)
                .is_some_and(|ready| ready.message == blocked.message);
            if !told {
                let severity =
                    if matches!(blocked.done, Done::Wait { .. }) { Severity::Trace } else { Severity::Error };
                run.event(object, severity, &blocked.reason, blocked.message.clone(), &[]);
            }
            run.write_status(&key, &release.metadata.uid, &status).await;
            let done = cap(blocked.done, interval);
            if let Done::Wait { after, why } = &done {
                // Nothing failed and nothing was done: the story would be silent.
                let now = run.inner.now();
                let detail = format!("{why}; again in {after:?}, or when that changes");
                run.step("postpone", now, Duration::ZERO, StepOutcome::Skipped, detail);
            }
            done
        }
    }
}

/// A wait is never longer than the interval.
fn cap(done: Done, interval: Duration) -> Done {
    match done {
        Done::Wait { after, why } => Done::Wait { after: after.min(interval), why },
        other => other,
    }
}

/// Requests by annotation count as handled at the end of the run, whatever came of it.
fn note_handled(object: &FluxObject, status: &mut HelmReleaseStatus) {
    let Some(requested) = object.requested_at() else { return };
    status.last_handled_reconcile_at = Some(requested.to_owned());
    let is_now = |name: &str| object.metadata().annotation(name) == Some(requested);
    if is_now(annotation::FORCE_AT) {
        status.last_handled_force_at = Some(requested.to_owned());
    }
    if is_now(annotation::RESET_AT) {
        status.last_handled_reset_at = Some(requested.to_owned());
    }
}

/// An unhandled `forceAt` or `resetAt`: it must equal an unhandled `requestedAt`.
fn asked(object: &FluxObject, name: &str, handled: Option<&str>, handled_reconcile: Option<&str>) -> bool {
    let Some(requested) = object.requested_at() else { return false };
    object.metadata().annotation(name) == Some(requested)
        && handled != Some(requested)
        && handled_reconcile != Some(requested)
}

async fn prepare_and_run(
    run: &mut Run<'_>,
    object: &FluxObject,
    release: &HelmRelease,
    status: &mut HelmReleaseStatus,
) -> Result<(ReleaseOutcome, ChartAt), Blocked> {
    check_spec(run, release)?;
    check_dependencies(run, release)?;
    let chart = chart(run, release, status).await?;
    let values = compose_values(&run.inner.objects, release).map_err(|problem| Blocked {
        reason: "ValuesError".to_owned(),
        message: problem.message.clone(),
        done: if problem.permanent {
            Done::Stalled { error: problem.message, interval: Some(release.spec.interval.get()) }
        } else {
            Done::Retry { error: problem.message, interval: release.spec.interval.get(), after: None }
        },
        not_ready: true,
    })?;
    let cluster = run.inner.cluster_of(release).map_err(|problem| Blocked {
        reason: "RESTClientError".to_owned(),
        message: problem.message.clone(),
        done: if problem.stalled {
            Done::Stalled { error: problem.message, interval: Some(release.spec.interval.get()) }
        } else {
            Done::Retry { error: problem.message, interval: release.spec.interval.get(), after: None }
        },
        not_ready: true,
    })?;
    if asked(
        object,
        annotation::RESET_AT,
        status.last_handled_reset_at.as_deref(),
        status.last_handled_reconcile_at.as_deref(),
    ) {
        status.failures = 0;
        status.install_failures = 0;
        status.upgrade_failures = 0;
    }
    let forced = asked(
        object,
        annotation::FORCE_AT,
        status.last_handled_force_at.as_deref(),
        status.last_handled_reconcile_at.as_deref(),
    );
    let inner = run.inner;
    let mut working = release.clone();
    working.status = status.clone();
    if let Some(observed) = target_changed(release, status, &chart.chart.name) {
        // The release moved: what is at the old place goes first (Flux does the same).
        let mut old = release.clone();
        old.status = status.clone();
        old.spec.target_namespace = Some(observed);
        release::uninstall(
            &cluster,
            &run.inner.pool,
            &run.inner.recorded,
            &run.inner.clock,
            &run.cancel,
            &old,
        )
        .await
        .map_err(|message| Blocked {
            reason: reason::UNINSTALL_FAILED.to_owned(),
            done: Done::Retry { error: message.clone(), interval: release.spec.interval.get(), after: None },
            message,
            not_ready: true,
        })?;
        status.history.clear();
        status.storage_namespace = None;
        working.status = status.clone();
    }
    let cancel = run.cancel.clone();
    let request = ReleaseRequest {
        cluster: &cluster,
        pool: &inner.pool,
        charts: &inner.recorded,
        clock: &inner.clock,
        cancel: &cancel,
        object: &working,
        chart: &chart.chart,
        values: &values,
        oci_digest: "",
        forced,
        limits: &inner.settings.limits,
    };
    run_release(run, release, &request, &chart).await.map(|outcome| (outcome, chart))
}

async fn run_release(
    run: &mut Run<'_>,
    release: &HelmRelease,
    request: &ReleaseRequest<'_>,
    chart: &ChartAt,
) -> Result<ReleaseOutcome, Blocked> {
    let outcome = release::run(request).await.map_err(|error| {
        let message = error.to_string();
        Blocked {
            reason: "StateError".to_owned(),
            done: Done::Retry { error: message.clone(), interval: release.spec.interval.get(), after: None },
            message,
            not_ready: true,
        }
    })?;
    let name = cluster_name(release.spec.kube_config.as_ref());
    for step in &outcome.steps {
        let result = if step.error.is_empty() { StepOutcome::Done } else { StepOutcome::Failed };
        let noted = run.step(step.step, step.started, step.duration, result, step.error.clone());
        noted.cluster = Some(name.clone());
        noted.revision = at(&chart.source_revision);
    }
    Ok(outcome)
}

/// Whether release name, namespace, storage namespace or (unless it may change in place) the chart's name differ from
/// what the history was made with; the old release namespace comes back.
fn target_changed(release: &HelmRelease, status: &HelmReleaseStatus, chart_name: &str) -> Option<String> {
    let head = status.history.first()?;
    let name = release::names::shorten(&release.composed_release_name());
    let storage_moved =
        status.storage_namespace.as_deref().is_some_and(|stored| stored != release.storage_namespace());
    let renamed = !head.chart_name.is_empty()
        && head.chart_name != chart_name
        && release.spec.upgrade().chart_name_change_strategy() == ChartNameChangeStrategy::Reinstall;
    let moved =
        head.name != name || head.namespace != release.release_namespace() || storage_moved || renamed;
    moved.then(|| head.namespace.clone())
}

/// What this version cannot do, said plainly instead of ignored.
fn check_spec(run: &Run<'_>, release: &HelmRelease) -> Result<(), Blocked> {
    let interval = release.spec.interval.get();
    let stall = |reason: &str, message: String| Blocked {
        reason: reason.to_owned(),
        done: Done::Stalled { error: message.clone(), interval: Some(interval) },
        message,
        not_ready: true,
    };
    let unsupported = |what: &str| {
        stall(
            reason::FEATURE_GATE_DISABLED,
            format!("`{what}` is not supported by this version; the release is left as it is"),
        )
    };
    if let Some(field) = unsupported_field(release) {
        return Err(unsupported(field));
    }
    if let Some(source) = dependents::source_of(release)
        && run.inner.settings.no_cross_namespace_refs
        && source.namespace != release.metadata.namespace
    {
        return Err(stall(
            reason::ACCESS_DENIED,
            format!(
                "can't access '{}/{}/{}', cross-namespace references have been blocked",
                source.kind, source.namespace, source.name
            ),
        ));
    }
    Ok(())
}

/// A field that is set and that this version cannot do.
pub(super) fn unsupported_field(release: &HelmRelease) -> Option<&'static str> {
    if release.spec.post_renderers.iter().any(|renderer| renderer.kustomize.is_some()) {
        return Some("spec.postRenderers");
    }
    if !release.spec.health_check_exprs.is_empty() {
        return Some("spec.healthCheckExprs");
    }
    let by_expression = release.spec.depends_on.iter().any(|dependency| dependency.ready_expr.is_some());
    by_expression.then_some("spec.dependsOn[].readyExpr")
}

fn check_dependencies(run: &Run<'_>, release: &HelmRelease) -> Result<(), Blocked> {
    let own = ObjectKey::new(Kind::HelmRelease, &release.metadata.namespace, &release.metadata.name);
    let blocked = |message: String, done: Done| Blocked {
        reason: reason::DEPENDENCY_NOT_READY.to_owned(),
        message,
        done,
        not_ready: true,
    };
    if let Some(problem) = run.inner.objects.dependency_problem(&own) {
        let message = problem.to_string();
        let done = match problem {
            DependencyProblem::Missing(_) => {
                Done::Wait { after: run.inner.settings.requeue_dependency, why: message.clone() }
            }
            DependencyProblem::Itself(_) | DependencyProblem::Cycle(_) => {
                Done::Stalled { error: message.clone(), interval: Some(release.spec.interval.get()) }
            }
        };
        return Err(blocked(message, done));
    }
    for dependency in &release.spec.depends_on {
        let namespace = dependency.namespace(&release.metadata.namespace);
        let found = run.inner.objects.get_as::<HelmRelease>(namespace, &dependency.name);
        let ready = found.is_some_and(|other| {
            other.status.observed_generation == other.metadata.generation
                && conditions::is_ready(&other.status.conditions)
        });
        if !ready {
            let message = format!("dependency '{namespace}/{}' is not ready", dependency.name);
            let done = Done::Wait { after: run.inner.settings.requeue_dependency, why: message.clone() };
            return Err(blocked(message, done));
        }
    }
    Ok(())
}

/// The chart, and with `spec.chart` the HelmChart object that stands for it.
async fn chart(
    run: &mut Run<'_>,
    release: &HelmRelease,
    status: &mut HelmReleaseStatus,
) -> Result<ChartAt, Blocked> {
    let interval = release.spec.interval.get();
    let own = ObjectKey::new(Kind::HelmRelease, &release.metadata.namespace, &release.metadata.name);
    let (chart_key, built) = if let (Some(template), Some((namespace, name))) =
        (&release.spec.chart, release.helm_chart_name())
    {
        let spec = HelmChartSpec {
            chart: template.spec.chart.clone(),
            version: template.spec.version.clone(),
            source_ref: flux_api::SourceRef { namespace: None, ..template.spec.source_ref.clone() },
            interval: template.spec.interval.unwrap_or(release.spec.interval),
            reconcile_strategy: template.spec.reconcile_strategy,
            values_files: template.spec.values_files.clone(),
            ignore_missing_values_files: template.spec.ignore_missing_values_files,
            verify: template.spec.verify.clone(),
            suspend: false,
        };
        let common = template.metadata.clone().unwrap_or_default();
        let mut labels = common.labels;
        labels.insert("helm.toolkit.fluxcd.io/name".to_owned(), release.metadata.name.clone());
        labels.insert("helm.toolkit.fluxcd.io/namespace".to_owned(), release.metadata.namespace.clone());
        let wanted = HelmChart {
            api_version: Kind::HelmChart.api_version(),
            metadata: ObjectMeta {
                name: name.clone(),
                namespace: namespace.clone(),
                labels,
                annotations: common.annotations,
                ..ObjectMeta::default()
            },
            spec,
            status: flux_api::HelmChartStatus::default(),
        };
        run.inner.objects.apply_generated(&own, wanted).await.map_err(|error| Blocked {
            reason: "HelmChartSyncErr".to_owned(),
            message: error.to_string(),
            done: Done::Retry { error: error.to_string(), interval, after: None },
            not_ready: true,
        })?;
        status.helm_chart = Some(format!("{namespace}/{name}"));
        let key = ObjectKey::new(Kind::HelmChart, &namespace, &name);
        let generation = run.inner.objects.get(&key).map_or(1, |chart| chart.metadata().generation);
        let built = build_chart(run, &namespace, &ChartRef::from(&template.spec), generation).await;
        (key, built)
    } else if let Some(reference) = &release.spec.chart_ref {
        let namespace = reference.namespace(&release.metadata.namespace);
        let key = ObjectKey::new(reference.kind, namespace, &reference.name);
        let built = match (reference.kind, run.inner.objects.get_as::<HelmChart>(namespace, &reference.name))
        {
            (Kind::HelmChart, Some(chart)) => {
                build_chart(run, namespace, &ChartRef::from(&chart.spec), chart.metadata.generation).await
            }
            (Kind::HelmChart, None) => Err(NoChart {
                reason: reason::SOURCE_UNAVAILABLE.to_owned(),
                message: format!("HelmChart '{namespace}/{}' is not ready: not found", reference.name),
                stalled: false,
                waiting: true,
            }),
            (other, _) => Err(NoChart {
                reason: reason::UNSUPPORTED_SOURCE_KIND.to_owned(),
                message: format!("`spec.chartRef` to a {other} is not supported by this version"),
                stalled: true,
                waiting: false,
            }),
        };
        (key, built)
    } else {
        return Err(Blocked {
            reason: "InvalidSpec".to_owned(),
            message: "either `spec.chart` or `spec.chartRef` must be set".to_owned(),
            done: Done::Stalled { error: "no chart".to_owned(), interval: None },
            not_ready: true,
        });
    };
    if let Some(object) = run.inner.objects.get(&chart_key)
        && let FluxObject::HelmChart(chart) = &*object
        && release.spec.chart.is_some()
    {
        helm_chart::write(run, &object, chart, &built).await;
    }
    built.map_err(|failure| {
        let message = format!(
            "HelmChart '{}/{}' is not ready: {}",
            chart_key.namespace, chart_key.name, failure.message
        );
        let done = if failure.waiting {
            Done::Wait { after: run.inner.settings.requeue_dependency, why: message.clone() }
        } else if failure.stalled {
            // The chart's source wakes the release when it changes; nothing to retry before that.
            Done::Wait { after: interval, why: message.clone() }
        } else {
            Done::Retry { error: message.clone(), interval, after: None }
        };
        Blocked { reason: "SourceNotReady".to_owned(), message, done, not_ready: true }
    })
}

async fn settle(
    run: &mut Run<'_>,
    object: &FluxObject,
    release: &HelmRelease,
    key: &ObjectKey,
    outcome: ReleaseOutcome,
    chart: &ChartAt,
) -> Done {
    let interval = release.spec.interval.get();
    let generation = release.metadata.generation;
    let now = run.time();
    let mut status = outcome.status;
    note_handled(object, &mut status);
    if let Some((namespace, name)) = release.helm_chart_name() {
        status.helm_chart = Some(format!("{namespace}/{name}"));
    }
    let ready = summary(release, &status);
    if let Some(ready) = ready {
        conditions::set(&mut status.conditions, ready, generation, now);
    }
    let cluster = cluster_name(release.spec.kube_config.as_ref());
    for event in &outcome.events {
        let metadata = [
            ("revision", event.chart_version.as_str()),
            ("app-version", event.app_version.as_str()),
            ("token", event.config_digest.as_str()),
            ("cluster", cluster.as_str()),
        ];
        run.event(object, event.severity, event.reason, event.message.clone(), &metadata);
    }
    let message =
        conditions::get(&status.conditions, t::READY).map(|ready| ready.message.clone()).unwrap_or_default();
    let done = match outcome.verdict {
        Verdict::Ready => {
            status.observed_generation = generation;
            conditions::remove(&mut status.conditions, t::RECONCILING);
            conditions::remove(&mut status.conditions, t::STALLED);
            if outcome.acted
                && let Some(head) = status.history.first()
            {
                run.applied.push(Applied {
                    object: key.clone(),
                    cluster,
                    digest: Digest::new(head.digest.clone()),
                    revision: Revision::new(chart.source_revision.clone()),
                    release_version: Some(head.version),
                    at: run.inner.now(),
                });
            }
            Done::Interval(interval)
        }
        Verdict::Stalled => {
            status.observed_generation = generation;
            conditions::remove(&mut status.conditions, t::RECONCILING);
            let stalled = conditions::get(&status.conditions, t::STALLED)
                .map(|stalled| stalled.message.clone())
                .unwrap_or_default();
            Done::Stalled { error: format!("{stalled}: {message}"), interval: Some(interval) }
        }
        Verdict::Retry | Verdict::RetryAfter(_) => {
            conditions::mark_reconciling(
                &mut status.conditions,
                reason::PROGRESSING_WITH_RETRY,
                &message,
                generation,
                now,
            );
            let after = match outcome.verdict {
                Verdict::RetryAfter(after) => Some(after),
                _ => None,
            };
            Done::Retry { error: message, interval, after }
        }
        Verdict::Superseded => {
            conditions::mark_reconciling(
                &mut status.conditions,
                reason::PROGRESSING,
                "a newer revision is being applied",
                generation,
                now,
            );
            Done::Superseded
        }
    };
    run.write_status(key, &release.metadata.uid, &status).await;
    let was_ready =
        conditions::is_ready(&release.status.conditions) && release.status.observed_generation == generation;
    if matches!(done, Done::Interval(_)) && (!was_ready || outcome.acted) {
        let cause = run.cause.then(CauseKind::Dependency);
        for dependent in dependents::of_release(&run.inner.objects, key) {
            run.wake(dependent, cause.clone());
        }
    }
    done
}

/// `Ready` sums up the newest of Remediated, TestSuccess and Released.
fn summary(release: &HelmRelease, status: &HelmReleaseStatus) -> Option<Condition> {
    let test = release.spec.test();
    let mut considered: Vec<&Condition> = Vec::new();
    for kind in [t::REMEDIATED, t::TEST_SUCCESS, t::RELEASED] {
        if kind == t::TEST_SUCCESS && (!test.enable || test.ignore_failures) {
            continue;
        }
        considered.extend(conditions::get(&status.conditions, kind));
    }
    let newest = considered.iter().map(|condition| condition.observed_generation).max()?;
    let winner = considered.into_iter().find(|condition| condition.observed_generation == newest)?;
    // A remediation that worked still means that what was wanted is not there.
    let status = if winner.r#type == t::REMEDIATED { ConditionStatus::False } else { winner.status };
    Some(Condition::new(t::READY, status, winner.reason.clone(), winner.message.clone()))
}

/// Says that the release is still on its cluster, and tries again.
async fn uninstall_failed(
    run: &mut Run<'_>,
    object: &FluxObject,
    release: &HelmRelease,
    key: &ObjectKey,
    message: String,
) -> Done {
    let mut status = release.status.clone();
    let ready = Condition::new(t::READY, ConditionStatus::False, reason::UNINSTALL_FAILED, message.clone());
    let now = run.time();
    conditions::set(&mut status.conditions, ready, release.metadata.generation, now);
    run.event(object, Severity::Error, reason::UNINSTALL_FAILED, message.clone(), &[]);
    run.write_status(key, &release.metadata.uid, &status).await;
    Done::Retry { error: message, interval: release.spec.interval.get(), after: None }
}

/// The object's manifest is gone: take the release off its cluster, then let the object go.
async fn delete(run: &mut Run<'_>, object: &FluxObject, release: &HelmRelease, key: &ObjectKey) -> Done {
    let interval = release.spec.interval.get();
    if !release.spec.suspend && !release.status.history.is_empty() {
        match run.inner.cluster_of(release) {
            // A kubeconfig that is there but cannot be used may be mended; what is on the cluster waits for that.
            Err(problem) if !problem.missing => {
                let message = format!("uninstall is not possible: {}", problem.message);
                return uninstall_failed(run, object, release, key, message).await;
            }
            // Without a way to the cluster there is nothing left to do; the same as in Flux.
            Err(problem) => {
                tracing::warn!(object = %key, "skipped the uninstall of `{key}`: {}", problem.message);
            }
            Ok(cluster) => {
                let watch = run.stopwatch();
                let outcome = release::uninstall(
                    &cluster,
                    &run.inner.pool,
                    &run.inner.recorded,
                    &run.inner.clock,
                    &run.cancel,
                    release,
                )
                .await;
                let took = watch.elapsed();
                match outcome {
                    Ok(event) => {
                        run.step("uninstall", watch.started, took, StepOutcome::Done, "").cluster =
                            Some(cluster_name(release.spec.kube_config.as_ref()));
                        if let Some(event) = event {
                            let metadata = [("revision", event.chart_version.as_str())];
                            run.event(object, event.severity, event.reason, event.message, &metadata);
                        }
                    }
                    Err(message) => {
                        run.step("uninstall", watch.started, took, StepOutcome::Failed, message.clone());
                        return uninstall_failed(run, object, release, key, message).await;
                    }
                }
            }
        }
    }
    if let Some((namespace, name)) = release.helm_chart_name() {
        let chart = ObjectKey::new(Kind::HelmChart, namespace, name);
        if run.inner.objects.owner(&chart).as_ref() == Some(key)
            && let Err(error) = run.inner.objects.remove_generated(&chart).await
        {
            return Done::Retry { error: error.to_string(), interval, after: None };
        }
    }
    match run.inner.objects.finalize(key).await {
        Ok(true) => Done::Gone,
        Ok(false) => Done::Wait { after: Duration::ZERO, why: "the manifest is back".to_owned() },
        Err(error) => Done::Retry { error: error.to_string(), interval, after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> HelmRelease {
        HelmRelease {
            metadata: ObjectMeta {
                name: "member1-app".into(),
                namespace: "gitops-project".into(),
                generation: 2,
                ..ObjectMeta::default()
            },
            ..HelmRelease::default()
        }
    }

    fn condition(kind: &str, status: ConditionStatus, generation: i64) -> Condition {
        let mut condition = Condition::new(kind, status, format!("{kind}Reason"), format!("{kind} text"));
        condition.observed_generation = generation;
        condition
    }

    #[test]
    fn ready_is_the_newest_of_its_parts() {
        let release = release();
        let mut status = HelmReleaseStatus::default();
        assert!(summary(&release, &status).is_none());
        status.conditions = vec![
            condition(t::RELEASED, ConditionStatus::True, 2),
            condition(t::REMEDIATED, ConditionStatus::True, 1),
        ];
        let ready = summary(&release, &status).unwrap();
        assert_eq!((ready.status, ready.message.as_str()), (ConditionStatus::True, "Released text"));
        status.conditions[1].observed_generation = 2;
        assert_eq!(summary(&release, &status).unwrap().status, ConditionStatus::False);
    }

    #[test]
    fn a_request_to_force_counts_once() {
        let mut object = FluxObject::from(release());
        let set = |object: &mut FluxObject, name: &str, value: &str| {
            object.metadata_mut().annotations.insert(name.to_owned(), value.to_owned());
        };
        set(&mut object, annotation::REQUESTED_AT, "t1");
        assert!(!asked(&object, annotation::FORCE_AT, None, None));
        set(&mut object, annotation::FORCE_AT, "t1");
        assert!(asked(&object, annotation::FORCE_AT, None, None));
        assert!(!asked(&object, annotation::FORCE_AT, Some("t1"), None));
        set(&mut object, annotation::REQUESTED_AT, "t2");
        assert!(!asked(&object, annotation::FORCE_AT, None, None));
    }

    #[test]
    fn a_moved_release_is_noticed() {
        let release = release();
        let mut status = HelmReleaseStatus::default();
        assert_eq!(target_changed(&release, &status, "web"), None);
        status.history = vec![flux_api::Snapshot {
            name: "member1-app".into(),
            namespace: "gitops-project".into(),
            chart_name: "web".into(),
            ..flux_api::Snapshot::default()
        }];
        assert_eq!(target_changed(&release, &status, "web"), None);
        assert!(target_changed(&release, &status, "renamed").is_some());
        let mut in_place = release.clone();
        in_place.spec.upgrade = Some(flux_api::Upgrade {
            chart_name_change_strategy: Some(ChartNameChangeStrategy::InPlaceUpdate),
            ..flux_api::Upgrade::default()
        });
        assert_eq!(target_changed(&in_place, &status, "renamed"), None);
        let mut moved = release;
        moved.spec.target_namespace = Some("app".into());
        assert_eq!(target_changed(&moved, &status, "web").as_deref(), Some("gitops-project"));
    }
}
