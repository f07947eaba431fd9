//! Helm's verbs on one cluster: install, upgrade, rollback, uninstall, test, unlock.
//!
//! Each verb stores a pending revision first, so that a crash is visible, and the outcome last. Mirrors helm
//! `pkg/action/{install,upgrade,rollback,uninstall}.go` with the settings helm-controller gives them. Nothing here
//! decides which verb runs.

mod drift;
mod objects;
mod record;
mod render;

use std::time::Duration;

use flux_api::{HelmRelease, ServerSideApplyMode};
use helm_engine::release::{Info, Release, ReleaseHook, Status};
use helm_engine::values::Map;
use helm_engine::{HookEvent, Limits};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::objects::hook_error;
use super::FIELD_MANAGER;
use super::storage::Storage;
use crate::cluster::{ApplyOptions, Cluster, DiffOptions, ObjectDiff, ObjectId};
use crate::model::{Clock, Timestamp};
use crate::render::chart::BuiltChart;
use crate::render::hidden::HiddenTexts;
use crate::render::plan::{PlannedObject, objects_of};
use crate::render::pool::RenderPool;

/// What one run of a verb works with.
pub struct Performer<'a> {
    /// The member cluster.
    pub cluster: &'a Cluster,
    /// The release's history.
    pub storage: &'a Storage,
    /// Where CPU work goes.
    pub pool: &'a RenderPool,
    /// The time.
    pub clock: &'a Clock,
    /// Stops waiting when a newer revision is there.
    pub cancel: &'a CancellationToken,
    /// The object.
    pub object: &'a HelmRelease,
    /// The release's name.
    pub release_name: &'a str,
    /// When a hostile chart is stopped.
    pub limits: &'a Limits,
    /// What messages must not show.
    pub hidden: &'a HiddenTexts,
    /// How long the parts of the verb took, for `sluice explain`.
    pub timings: Timings,
}

/// Durations of one verb's parts.
#[derive(Debug, Default)]
pub struct Timings {
    /// `(step, started, duration, detail)` in order.
    pub steps: Vec<(&'static str, Timestamp, Duration, String)>,
    /// What the cluster now holds, for the inventory; `None` until something was applied.
    pub inventory: Option<Vec<ObjectId>>,
    /// Warnings the API server sent.
    pub warnings: Vec<String>,
    /// What was put right after a drift, a line for each object.
    pub corrected: Vec<String>,
    /// Objects that this verb created.
    pub created: Vec<ObjectId>,
}

/// A verb that failed after it began; the record of the failure is in storage where one could be written.
#[derive(Debug)]
pub struct ActionFailure {
    /// Helm's text.
    pub message: String,
    /// The revision that failed, if one was stored.
    pub release: Option<Box<Release>>,
    /// It stopped because a newer revision came, not because anything is wrong.
    pub cancelled: bool,
    /// The objects are as wanted, but the record in storage does not say so.
    pub unrecorded: bool,
}

impl ActionFailure {
    fn early(message: impl ToString) -> Self {
        Self { message: message.to_string(), release: None, cancelled: false, unrecorded: false }
    }
}

type Outcome = Result<Release, ActionFailure>;

impl Performer<'_> {
    fn now(&self) -> String {
        self.clock.now().to_string()
    }

    fn namespace(&self) -> &str {
        self.object.release_namespace()
    }

    /// How everything of the release is applied.
    fn apply_options(&self) -> ApplyOptions {
        ApplyOptions {
            field_manager: FIELD_MANAGER.to_owned(),
            default_namespace: Some(self.namespace().to_owned()),
            cancel: self.cancel.clone(),
            ..ApplyOptions::default()
        }
    }

    async fn timed<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let started = self.clock.now();
        let clock = std::time::Instant::now();
        let outcome = work.await;
        let detail = outcome.as_ref().err().cloned().unwrap_or_default();
        self.timings.steps.push((step, started, clock.elapsed(), detail));
        outcome
    }

    /// Installs the chart as revision `revision`.
    pub async fn install(&mut self, chart: &BuiltChart, values: &Map, history: &[Release]) -> Outcome {
        let spec = self.object.spec.install();
        let timeout = self.object.spec.install_timeout();
        if spec.create_namespace {
            self.ensure_namespaces().await.map_err(ActionFailure::early)?;
        }
        let revision = history.last().map_or(1, |last| last.version + 1);
        let plan = self
            .render(chart, values, revision, false, spec.disable_schema_validation)
            .await
            .map_err(ActionFailure::early)?;
        self.apply_definitions(&plan, spec.crds()).await.map_err(ActionFailure::early)?;
        if spec.disable_take_ownership {
            self.check_ownership(&plan.objects).await.map_err(ActionFailure::early)?;
        }
        let now = self.now();
        let mut release = self.record(values, &plan, revision);
        release.info.first_deployed = Some(now);
        release.info.status = Status::PendingInstall;
        release.info.description = "Initial install underway".to_owned();
        self.announce(&release, history).await.map_err(ActionFailure::early)?;

        let outcome = self
            .carry_out(
                &mut release,
                &plan.objects,
                None,
                HookEvent::PreInstall,
                HookEvent::PostInstall,
                Verb {
                    hooks: !spec.disable_hooks,
                    wait: !spec.disable_wait,
                    jobs: !spec.disable_wait_for_jobs,
                    force: false,
                    timeout,
                },
            )
            .await;
        match outcome {
            Ok(()) => self.succeed(release, "Install complete", &[]).await,
            Err(message) => {
                let failed = format!("Release \"{}\" failed: {message}", self.release_name);
                self.fail(release, failed, message).await
            }
        }
    }

    /// What an install or upgrade would change on the cluster: changed and new objects, and those that would go.
    pub async fn diff(
        &mut self,
        chart: &BuiltChart,
        values: &Map,
        history: &[Release],
    ) -> Result<Vec<ObjectDiff>, String> {
        let revision = history.last().map_or(1, |last| last.version + 1);
        let plan = self.render(chart, values, revision, !history.is_empty(), false).await?;
        let manifests = self.manifests(&plan.objects, true)?;
        let apply = ApplyOptions { dry_run: true, ..self.apply_options() };
        let mut found =
            self.cluster.diff(&manifests, &DiffOptions { apply }).await.map_err(|error| error.to_string())?;
        let current =
            history.iter().rev().find(|release| release.info.status == Status::Deployed).or(history.last());
        if let Some(current) = current {
            let kept: Vec<ObjectId> = found.iter().map(|diff| diff.object.clone()).collect();
            let before = objects_of(&current.manifest).map_err(|error| error.to_string())?;
            for id in self.leaving(&before, &kept) {
                found.extend(self.cluster.diff_removed(&id).await.map_err(|error| error.to_string())?);
            }
        }
        Ok(found)
    }

    /// Upgrades to a new revision.
    pub async fn upgrade(&mut self, chart: &BuiltChart, values: &Map, history: &[Release]) -> Outcome {
        let spec = self.object.spec.upgrade();
        let timeout = self.object.spec.upgrade_timeout();
        let Some(last) = history.last() else {
            return Err(ActionFailure::early(format!("\"{}\" has no deployed releases", self.release_name)));
        };
        let deployed: Vec<Release> =
            history.iter().filter(|release| release.info.status == Status::Deployed).cloned().collect();
        let current = deployed.last().unwrap_or(last).clone();
        let mut values = values.clone();
        if spec.preserve_values {
            let kept = helm_engine::values::Value::from(Value::Object(current.config.clone()));
            if let helm_engine::values::Value::Map(kept) = kept {
                values = helm_engine::values::merge_maps(kept, values);
            }
        }
        let revision = last.version + 1;
        let plan = self
            .render(chart, &values, revision, true, spec.disable_schema_validation)
            .await
            .map_err(ActionFailure::early)?;
        self.apply_definitions(&plan, spec.crds()).await.map_err(ActionFailure::early)?;
        let before = objects_of(&current.manifest).map_err(ActionFailure::early)?;
        if spec.disable_take_ownership {
            self.check_ownership(&plan.objects).await.map_err(ActionFailure::early)?;
        }
        let mut release = self.record(&values, &plan, revision);
        release.info.first_deployed = current.info.first_deployed.clone();
        release.info.status = Status::PendingUpgrade;
        release.info.description = "Preparing upgrade".to_owned();
        release.labels = current.labels.clone();
        self.announce(&release, history).await.map_err(ActionFailure::early)?;

        // Server-side apply has no use for `force`; replacing is what it means without it.
        let force = spec.force && spec.server_side_apply() == ServerSideApplyMode::Disabled;
        let outcome = self
            .carry_out(
                &mut release,
                &plan.objects,
                Some(&before),
                HookEvent::PreUpgrade,
                HookEvent::PostUpgrade,
                Verb {
                    hooks: !spec.disable_hooks,
                    wait: !spec.disable_wait,
                    jobs: !spec.disable_wait_for_jobs,
                    force,
                    timeout,
                },
            )
            .await;
        match outcome {
            Ok(()) => self.succeed(release, "Upgrade complete", &deployed).await,
            Err(message) => {
                let failed = format!("Upgrade \"{}\" failed: {message}", self.release_name);
                let message =
                    if spec.cleanup_on_fail { self.clean_up("upgrade", message).await } else { message };
                self.fail(release, failed, message).await
            }
        }
    }

    /// Rolls back to what revision `to` had, as a new revision.
    pub async fn rollback(&mut self, to: i64, history: &[Release]) -> Outcome {
        let spec = self.object.spec.rollback();
        let timeout = self.object.spec.rollback_timeout();
        let (Some(last), Some(target)) =
            (history.last(), history.iter().find(|release| release.version == to))
        else {
            return Err(ActionFailure::early(format!("release: revision {to} not found")));
        };
        let objects = objects_of(&target.manifest).map_err(ActionFailure::early)?;
        let before = objects_of(&last.manifest).map_err(ActionFailure::early)?;
        let mut release = target.clone();
        release.version = last.version + 1;
        release.info = Info {
            first_deployed: last.info.first_deployed.clone(),
            last_deployed: Some(self.now()),
            deleted: None,
            description: format!("Rollback to {to}"),
            status: Status::PendingRollback,
            rollback_revision: to,
            notes: target.info.notes.clone(),
        };
        for hook in &mut release.hooks {
            hook.last_run = helm_engine::release::HookExecution::default();
        }
        self.announce(&release, history).await.map_err(ActionFailure::early)?;
        let superseded: Vec<Release> =
            history.iter().filter(|release| release.info.status == Status::Deployed).cloned().collect();
        let outcome = self
            .carry_out(
                &mut release,
                &objects,
                Some(&before),
                HookEvent::PreRollback,
                HookEvent::PostRollback,
                Verb {
                    hooks: !spec.disable_hooks,
                    wait: !spec.disable_wait,
                    jobs: !spec.disable_wait_for_jobs,
                    force: false,
                    timeout,
                },
            )
            .await;
        match outcome {
            Ok(()) => {
                let description = format!("Rollback to {to}");
                self.succeed(release, &description, &superseded).await
            }
            Err(message) => {
                let failed = format!("Rollback \"{}\" failed: {message}", self.release_name);
                let message =
                    if spec.cleanup_on_fail { self.clean_up("rollback", message).await } else { message };
                self.fail(release, failed, message).await
            }
        }
    }

    /// Removes the release's objects and, unless it is to be kept, its history.
    pub async fn uninstall(&mut self, history: &[Release]) -> Outcome {
        let spec = self.object.spec.uninstall();
        let timeout = self.object.spec.uninstall_timeout();
        let Some(last) = history.last() else {
            return Err(ActionFailure::early("release: not found"));
        };
        let mut release = last.clone();
        if release.info.status != Status::Uninstalled {
            release.info.status = Status::Uninstalling;
            release.info.deleted = Some(self.now());
            release.info.description = "Deletion in progress (or silently failed)".to_owned();
            self.storage.update(&release).await.map_err(ActionFailure::early)?;
            let outcome =
                self.remove(&mut release, !spec.disable_hooks, !spec.disable_wait, timeout, &spec).await;
            if let Err(message) = outcome {
                let cancelled = self.cancel.is_cancelled();
                return Err(ActionFailure {
                    message,
                    release: Some(Box::new(release)),
                    cancelled,
                    unrecorded: false,
                });
            }
            release.info.status = Status::Uninstalled;
            release.info.description = "Uninstallation complete".to_owned();
        }
        if spec.keep_history {
            self.storage.update(&release).await.map_err(ActionFailure::early)?;
        } else {
            for stored in history {
                self.storage.delete(stored.version).await.map_err(ActionFailure::early)?;
            }
        }
        Ok(release)
    }

    /// Runs the release's test hooks and stores how they went.
    pub async fn test(&mut self, history: &[Release]) -> Outcome {
        let spec = self.object.spec.test();
        let timeout = self.object.spec.test_timeout();
        let Some(last) = history.last() else {
            return Err(ActionFailure::early("release: not found"));
        };
        let mut release = last.clone();
        let wanted = |name: &str| {
            let named = |exclude: bool| {
                spec.filters.iter().any(|filter| filter.exclude == exclude && filter.name == name)
            };
            let includes = spec.filters.iter().any(|filter| !filter.exclude);
            !named(true) && (!includes || named(false))
        };
        let mut chosen: Vec<ReleaseHook> =
            release.hooks.iter().filter(|hook| wanted(&hook.name)).cloned().collect();
        let outcome = self.run_hooks(&mut chosen, HookEvent::Test, timeout).await;
        for hook in chosen {
            if let Some(stored) =
                release.hooks.iter_mut().find(|stored| stored.name == hook.name && stored.path == hook.path)
            {
                *stored = hook;
            }
        }
        self.storage.update(&release).await.map_err(ActionFailure::early)?;
        match outcome {
            Ok(()) => Ok(release),
            Err(message) => {
                let cancelled = self.cancel.is_cancelled();
                Err(ActionFailure { message, release: Some(Box::new(release)), cancelled, unrecorded: false })
            }
        }
    }

    /// Marks a release whose verb was cut off as failed, so that the next verb may run.
    pub async fn unlock(&mut self, history: &[Release]) -> Outcome {
        let Some(last) = history.last() else {
            return Err(ActionFailure::early("release: not found"));
        };
        let mut release = last.clone();
        let stale = release.info.status;
        release.info.status = Status::Failed;
        release.info.description = format!("Release unlocked from stale '{stale}' state");
        self.storage.update(&release).await.map_err(ActionFailure::early)?;
        Ok(release)
    }

    async fn carry_out(
        &mut self,
        release: &mut Release,
        objects: &[PlannedObject],
        before: Option<&[PlannedObject]>,
        pre: HookEvent,
        post: HookEvent,
        verb: Verb,
    ) -> Result<(), String> {
        if verb.hooks {
            self.run_hooks(&mut release.hooks, pre, verb.timeout)
                .await
                .map_err(|error| hook_error(pre, &error))?;
        }
        let changes = self.apply(objects, verb.force).await?;
        let ids: Vec<ObjectId> = changes.iter().map(|change| change.object.clone()).collect();
        if let Some(before) = before {
            self.prune(before, &ids).await?;
        }
        self.timings.inventory = Some(ids);
        if verb.wait {
            self.wait_ready(&changes, verb.timeout, verb.jobs).await?;
        }
        if verb.hooks {
            self.run_hooks(&mut release.hooks, post, verb.timeout)
                .await
                .map_err(|error| hook_error(post, &error))?;
        }
        Ok(())
    }
}

/// How a verb applies and waits.
struct Verb {
    hooks: bool,
    wait: bool,
    jobs: bool,
    force: bool,
    timeout: Duration,
}
