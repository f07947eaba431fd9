//! Helm's verbs on one cluster: install, upgrade, rollback, uninstall, test, unlock.
//!
//! Each verb stores a pending revision first, so that a crash is visible, and the outcome last. Mirrors helm
//! `pkg/action/{install,upgrade,rollback,uninstall}.go` with the settings helm-controller gives them. Nothing here
//! decides which verb runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_api::{CrdsPolicy, DeletionPropagation, HelmRelease, ServerSideApplyMode, annotation};
use helm_engine::release::{Info, Release, ReleaseChart, ReleaseHook, Status};
use helm_engine::values::{Map, map_to_json};
use helm_engine::{Capabilities, HookEvent, Limits, ReleaseOptions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::FIELD_MANAGER;
use super::hooks::HookRun;
use super::storage::Storage;
use crate::cluster::{
    Action, ApplyOptions, Change, Cluster, DeleteOptions, Deleted, DiffOptions, Drift, DriftIgnore,
    DriftOptions, Manifest, ObjectDiff, ObjectId, Propagation, Selection, WaitFor, WaitOptions,
};
use crate::model::{Clock, Timestamp};
use crate::render::chart::BuiltChart;
use crate::render::hidden::HiddenTexts;
use crate::render::plan::{Origin, Plan, PlanRequest, PlannedObject, objects_of, plan};
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

/// Steps that are skipped more often than not are told only when they took this long.
const WORTH_TELLING: Duration = Duration::from_millis(1);

/// What is the same for all objects Helm owns.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

impl Performer<'_> {
    fn now(&self) -> String {
        self.clock.now().to_string()
    }

    fn namespace(&self) -> &str {
        self.object.release_namespace()
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

    async fn render(
        &mut self,
        chart: &BuiltChart,
        values: &Map,
        revision: i64,
        is_upgrade: bool,
        skip_schema: bool,
    ) -> Result<Plan, String> {
        let cluster = self.cluster.clone();
        let capabilities =
            self.timed("discovery", async move {
                cluster.capabilities().await.map_err(|error| error.to_string())
            })
            .await?;
        // What is known of a cluster already takes no time, and is not worth a line of the story.
        self.timings.steps.pop_if(|(step, _, took, _)| *step == "discovery" && *took < WORTH_TELLING);
        let cluster = self.cluster.clone();
        let handle = tokio::runtime::Handle::current();
        let common = self.object.spec.common_metadata.clone().unwrap_or_default();
        let request = PlanRequest {
            chart: Arc::clone(&chart.compiled),
            values: values.clone(),
            release: ReleaseOptions {
                name: self.release_name.to_owned(),
                namespace: self.namespace().to_owned(),
                revision,
                is_install: !is_upgrade,
                is_upgrade,
                service: "Helm".to_owned(),
            },
            capabilities: Arc::new(helm_capabilities(&capabilities)),
            lookup: Box::new(ClusterLookup { cluster, handle }),
            limits: self.limits.clone(),
            skip_schema_validation: skip_schema,
            origin: Origin {
                name: self.object.metadata.name.clone(),
                namespace: self.object.metadata.namespace.clone(),
            },
            common_labels: common.labels,
            common_annotations: common.annotations,
            label_hooks: self.object.spec.post_render_strategy() != flux_api::PostRenderStrategy::NoHooks,
        };
        let (pool, hidden) = (self.pool.clone(), self.hidden.clone());
        self.timed("render", async move {
            // A chart's `fail` may print any value, those out of Secrets too.
            pool.run(move || plan(request).map_err(|error| hidden.mask(&error.to_string())))
                .await
                .map_err(|error| error.to_string())?
        })
        .await
    }

    fn manifests(&self, objects: &[PlannedObject], owned: bool) -> Result<Vec<Manifest>, String> {
        objects
            .iter()
            .map(|object| {
                let mut json = object.json.clone();
                if owned {
                    own(&mut json, self.release_name, self.namespace());
                }
                Manifest::new(json, Some(object.source.clone()))
                    .map_err(|error| format!("{}: {error}", object.source))
            })
            .collect()
    }

    /// Applies objects; with `owned` they are marked as Helm's.
    async fn apply(&mut self, objects: &[PlannedObject], force: bool) -> Result<Vec<Change>, String> {
        let manifests = self.manifests(objects, true)?;
        let options = ApplyOptions {
            field_manager: FIELD_MANAGER.to_owned(),
            recreate_on_immutable: force,
            default_namespace: Some(self.namespace().to_owned()),
            cancel: self.cancel.clone(),
            ..ApplyOptions::default()
        };
        let cluster = self.cluster.clone();
        let mut partly = Vec::new();
        let applied = self
            .timed("apply", async {
                cluster.apply(&manifests, &options).await.map_err(|error| {
                    partly = created(&error.applied.changes);
                    error.to_string()
                })
            })
            .await;
        self.timings.created.extend(partly);
        let applied = applied?;
        self.timings.created.extend(created(&applied.changes));
        self.timings.warnings.extend(
            applied.warnings.iter().map(|warning| format!("{}: {}", warning.object.subject(), warning.text)),
        );
        Ok(applied.changes)
    }

    async fn wait_ready(&mut self, changes: &[Change], timeout: Duration, jobs: bool) -> Result<(), String> {
        // What its own answer showed as ready needs no watch.
        let ids: Vec<ObjectId> = changes
            .iter()
            // A Job that runs counts as current, but `waitForJobs` wants its end.
            .filter(|change| !change.ready || (jobs && change.object.kind == "Job"))
            .map(|change| change.object.clone())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let options = WaitOptions {
            timeout,
            wait_for: if jobs { WaitFor::ReadyWithJobs } else { WaitFor::Ready },
            fail_fast: true,
            cancel: self.cancel.clone(),
            ..WaitOptions::default()
        };
        let cluster = self.cluster.clone();
        self.timed(
            "wait",
            async move { cluster.wait(&ids, &options).await.map_err(|error| error.to_string()) },
        )
        .await
    }

    async fn run_hooks(
        &mut self,
        hooks: &mut [ReleaseHook],
        event: HookEvent,
        timeout: Duration,
    ) -> Result<(), String> {
        if !hooks.iter().any(|hook| hook.events.contains(&event)) {
            return Ok(());
        }
        let run = HookRun {
            cluster: self.cluster,
            clock: self.clock,
            namespace: self.object.release_namespace(),
            timeout,
            cancel: self.cancel,
        };
        let started = self.clock.now();
        let clock = std::time::Instant::now();
        let outcome = run.run(hooks, event).await;
        let detail = outcome.as_ref().err().cloned().unwrap_or_default();
        self.timings.steps.push((event.as_str(), started, clock.elapsed(), detail));
        outcome
    }

    /// Objects that left the release, except those annotated to stay.
    fn leaving(&self, before: &[PlannedObject], kept: &[ObjectId]) -> Vec<ObjectId> {
        let mut gone = Vec::new();
        for object in before {
            if stays(object) {
                continue;
            }
            let Ok(manifest) = Manifest::new(object.json.clone(), None) else { continue };
            let mut id = manifest.id;
            let same = |other: &ObjectId| {
                let namespaces =
                    id.namespace.is_none() || other.namespace.is_none() || id.namespace == other.namespace;
                other.group == id.group && other.kind == id.kind && other.name == id.name && namespaces
            };
            if kept.iter().any(same) {
                continue;
            }
            id.namespace.get_or_insert_with(|| self.namespace().to_owned());
            gone.push(id);
        }
        gone
    }

    /// Deletes objects that left the release.
    async fn prune(&mut self, before: &[PlannedObject], kept: &[ObjectId]) -> Result<(), String> {
        let gone = self.leaving(before, kept);
        if gone.is_empty() {
            return Ok(());
        }
        let cluster = self.cluster.clone();
        self.timed("prune", async move {
            // Somebody may have marked the live object alone; Helm looks there as well.
            let keep = ("helm.sh/resource-policy".to_owned(), "keep".to_owned());
            let options = DeleteOptions { unless: vec![keep], ..DeleteOptions::default() };
            deleted(&cluster.delete(&gone, &options).await)
        })
        .await
    }

    /// `crds/` as the policy says: never templated, never part of the release.
    async fn apply_definitions(&mut self, plan: &Plan, policy: CrdsPolicy) -> Result<(), String> {
        if plan.definitions.is_empty() || policy == CrdsPolicy::Skip {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for object in &plan.definitions {
            let manifest = Manifest::new(object.json.clone(), Some(object.source.clone()))
                .map_err(|error| format!("{}: {error}", object.source))?;
            let exists = policy == CrdsPolicy::Create
                && self
                    .cluster
                    .get_metadata(&manifest.id)
                    .await
                    .map_err(|error| error.to_string())?
                    .is_some();
            if !exists {
                wanted.push(manifest);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let options = ApplyOptions {
            field_manager: FIELD_MANAGER.to_owned(),
            cancel: self.cancel.clone(),
            ..ApplyOptions::default()
        };
        let cluster = self.cluster.clone();
        let timeout = self.object.spec.timeout();
        let cancel = self.cancel.clone();
        self.timed("crds", async move {
            let applied = cluster
                .apply(&wanted, &options)
                .await
                .map_err(|error| format!("failed to apply CRDs: {error}"))?;
            let ids: Vec<ObjectId> = applied.changes.into_iter().map(|change| change.object).collect();
            let options = WaitOptions { timeout, cancel, ..WaitOptions::default() };
            cluster.wait(&ids, &options).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// Refuses to take objects that belong to another release.
    async fn check_ownership(&self, objects: &[PlannedObject]) -> Result<(), String> {
        for object in objects {
            let Ok(mut manifest) = Manifest::new(object.json.clone(), None) else { continue };
            if manifest.id.namespace.is_none() {
                manifest.id.namespace = Some(self.namespace().to_owned());
            }
            let live = self.cluster.get_metadata(&manifest.id).await.map_err(|error| error.to_string())?;
            let Some(live) = live else { continue };
            let annotation = |key: &str| live.annotations.get(key).map(String::as_str);
            let ours = live.labels.get(MANAGED_BY).map(String::as_str) == Some("Helm")
                && annotation("meta.helm.sh/release-name") == Some(self.release_name)
                && annotation("meta.helm.sh/release-namespace") == Some(self.namespace());
            if !ours {
                return Err(format!(
                    "unable to continue with install: {} \"{}\" in namespace \"{}\" exists and cannot be imported into the current release: invalid ownership metadata",
                    manifest.id.kind,
                    manifest.id.name,
                    manifest.id.namespace.as_deref().unwrap_or_default()
                ));
            }
        }
        Ok(())
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
        let mut release = self.record(chart, values, &plan, revision);
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
        let apply = ApplyOptions {
            field_manager: FIELD_MANAGER.to_owned(),
            default_namespace: Some(self.namespace().to_owned()),
            dry_run: true,
            cancel: self.cancel.clone(),
            ..ApplyOptions::default()
        };
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
        let mut release = self.record(chart, &values, &plan, revision);
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

    async fn remove(
        &mut self,
        release: &mut Release,
        hooks: bool,
        wait: bool,
        timeout: Duration,
        spec: &flux_api::Uninstall,
    ) -> Result<(), String> {
        if hooks {
            self.run_hooks(&mut release.hooks, HookEvent::PreDelete, timeout).await?;
        }
        let mut objects = objects_of(&release.manifest).map_err(|error| error.to_string())?;
        objects.reverse();
        let mut ids = Vec::new();
        for object in &objects {
            if let (false, Ok(manifest)) = (stays(object), Manifest::new(object.json.clone(), None)) {
                let mut id = manifest.id;
                id.namespace.get_or_insert_with(|| self.namespace().to_owned());
                ids.push(id);
            }
        }
        let propagation = match spec.deletion_propagation {
            Some(DeletionPropagation::Foreground) => Propagation::Foreground,
            Some(DeletionPropagation::Orphan) => Propagation::Orphan,
            Some(DeletionPropagation::Background) | None => Propagation::Background,
        };
        let cluster = self.cluster.clone();
        let cancel = self.cancel.clone();
        let gone = ids.clone();
        self.timed("delete", async move {
            let options = DeleteOptions { propagation, ..DeleteOptions::default() };
            deleted(&cluster.delete(&gone, &options).await)?;
            if wait {
                let options =
                    WaitOptions { timeout, wait_for: WaitFor::Deleted, cancel, ..WaitOptions::default() };
                cluster.wait(&gone, &options).await.map_err(|error| error.to_string())?;
            }
            Ok(())
        })
        .await?;
        if hooks {
            self.run_hooks(&mut release.hooks, HookEvent::PostDelete, timeout).await?;
        }
        Ok(())
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

    /// What somebody changed on the cluster since the release was made.
    pub async fn drift(&mut self, release: &Release) -> Result<Vec<Drift>, String> {
        let manifests = self.stored(release)?;
        let options = DriftOptions {
            apply: ApplyOptions {
                field_manager: FIELD_MANAGER.to_owned(),
                default_namespace: Some(release.namespace.clone()),
                cancel: self.cancel.clone(),
                ..ApplyOptions::default()
            },
            ignore: may_differ(self.object),
            unless: vec![(annotation::DRIFT_DETECTION.to_owned(), "disabled".to_owned())],
        };
        let cluster = self.cluster.clone();
        self.timed("drift", async move {
            cluster.drift(&manifests, &options).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// Puts right what was changed. What was done, and what could not be, comes back as lines for people.
    pub async fn correct(&mut self, release: &Release, drifts: &[Drift]) -> Result<(), String> {
        let manifests = self.stored(release)?;
        let cluster = self.cluster.clone();
        let corrected = self
            .timed("correct", async move { Ok(cluster.correct(&manifests, drifts, FIELD_MANAGER).await) })
            .await?;
        let done: Vec<String> = corrected
            .done
            .iter()
            .map(|(object, action)| format!("{} {}", object.subject(), action.as_str()))
            .collect();
        self.timings.corrected = done;
        if corrected.failed.is_empty() { Ok(()) } else { Err(corrected.failed.join("\n")) }
    }

    /// The objects of a stored release, marked as Helm's.
    fn stored(&self, release: &Release) -> Result<Vec<Manifest>, String> {
        let objects = objects_of(&release.manifest).map_err(|error| error.to_string())?;
        self.manifests(&objects, true)
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

    async fn ensure_namespaces(&mut self) -> Result<(), String> {
        let release = self.object.release_namespace().to_owned();
        let storage = self.object.storage_namespace().to_owned();
        let cluster = self.cluster.clone();
        self.timed("namespace", async move {
            let second = async {
                if storage == release { Ok(false) } else { cluster.ensure_namespace(&storage, &[]).await }
            };
            let (first, second) = tokio::join!(cluster.ensure_namespace(&release, &[]), second);
            first.and(second).map(|_| ()).map_err(|error| error.to_string())
        })
        .await
    }

    fn record(&self, chart: &BuiltChart, values: &Map, plan: &Plan, version: i64) -> Release {
        let Value::Object(config) = map_to_json(values) else {
            unreachable!("a map of values is a JSON object");
        };
        Release {
            name: self.release_name.to_owned(),
            info: Info { last_deployed: Some(self.now()), notes: plan.notes.clone(), ..Info::default() },
            chart: ReleaseChart::from(&chart.compiled.to_chart()),
            config,
            manifest: plan.manifest_text.clone(),
            hooks: plan.hooks.iter().map(|hook| hook.hook.clone()).collect(),
            version,
            namespace: self.namespace().to_owned(),
            apply_method: "ssa".to_owned(),
            labels: BTreeMap::new(),
        }
    }

    /// Stores the pending revision; the oldest ones beyond the limit go at the same time.
    async fn announce(&mut self, release: &Release, history: &[Release]) -> Result<(), String> {
        let outdated = outdated(history, self.object.spec.max_history());
        let storage = self.storage.clone();
        self.timed("announce", async move {
            storage.create(release, &outdated).await.map_err(|error| error.to_string())
        })
        .await
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

    /// Stores the revision as deployed, and those before it as superseded.
    async fn succeed(&mut self, mut release: Release, description: &str, superseded: &[Release]) -> Outcome {
        // Should the record not get through, storage still says pending, and so must what is remembered of it.
        let pending = release.clone();
        release.info.status = Status::Deployed;
        release.info.description = description.to_owned();
        let storage = self.storage.clone();
        let stored = release.clone();
        let older: Vec<Release> = superseded
            .iter()
            .filter(|old| old.version != release.version)
            .map(|old| {
                let mut old = old.clone();
                old.info.status = Status::Superseded;
                old
            })
            .collect();
        let outcome = self
            .timed("record", async move {
                let new = storage.update(&stored);
                let old = futures::future::try_join_all(older.iter().map(|old| storage.update(old)));
                futures::future::try_join(new, old).await.map(|_| ()).map_err(|error| error.to_string())
            })
            .await;
        match outcome {
            Ok(()) => Ok(release),
            Err(message) => Err(ActionFailure {
                message,
                release: Some(Box::new(pending)),
                cancelled: false,
                unrecorded: true,
            }),
        }
    }

    /// `cleanupOnFail`: what the failed verb created goes again. The error comes back, with what went wrong here.
    async fn clean_up(&mut self, verb: &str, message: String) -> String {
        // A newer revision takes over; what was created for this one is likely to be in that one too.
        if self.timings.created.is_empty() || self.cancel.is_cancelled() {
            return message;
        }
        let gone = std::mem::take(&mut self.timings.created);
        let cluster = self.cluster.clone();
        let outcome = self
            .timed("cleanup", async move { deleted(&cluster.delete(&gone, &DeleteOptions::default()).await) })
            .await;
        match outcome {
            Ok(()) => message,
            Err(error) => format!(
                "an error occurred while cleaning up resources. original {verb} error: {message}: {error}"
            ),
        }
    }

    async fn fail(&mut self, mut release: Release, description: String, message: String) -> Outcome {
        release.info.status = Status::Failed;
        release.info.description = description;
        let cancelled = self.cancel.is_cancelled();
        // The record matters even when the cluster is in trouble; if it cannot be written, the release stays pending
        // and the next run unlocks it.
        let stored = self.storage.update(&release).await;
        let message = match stored {
            Ok(()) => message,
            Err(error) => format!("{message} (and the failure could not be recorded: {error})"),
        };
        Err(ActionFailure { message, release: Some(Box::new(release)), cancelled, unrecorded: false })
    }
}

/// The oldest revisions that have to go for a new one to fit; the last deployed one always stays.
fn outdated(history: &[Release], limit: i64) -> Vec<i64> {
    if limit <= 0 {
        return Vec::new();
    }
    let keep = usize::try_from(limit - 1).unwrap_or(0);
    let excess = history.len().saturating_sub(keep);
    let deployed = history
        .iter()
        .rev()
        .find(|release| release.info.status == Status::Deployed)
        .map(|release| release.version);
    history
        .iter()
        .map(|release| release.version)
        .filter(|version| Some(*version) != deployed)
        .take(excess)
        .collect()
}

/// Those that were not there before.
fn created(changes: &[Change]) -> Vec<ObjectId> {
    let new = changes.iter().filter(|change| change.action == Action::Created);
    new.map(|change| change.object.clone()).collect()
}

/// `helm.sh/resource-policy: keep`.
fn stays(object: &PlannedObject) -> bool {
    object.json["metadata"]["annotations"]["helm.sh/resource-policy"]
        .as_str()
        .is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"))
}

/// `spec.driftDetection.ignore` as the cluster's room takes it.
fn may_differ(object: &HelmRelease) -> Vec<DriftIgnore> {
    let rules = object.spec.drift_detection.iter().flat_map(|drift| &drift.ignore);
    rules
        .map(|rule| DriftIgnore {
            paths: rule.paths.clone(),
            target: rule.target.as_ref().map(|target| {
                let text = |field: &Option<String>| field.clone().unwrap_or_default();
                Selection {
                    group: text(&target.group),
                    version: text(&target.version),
                    kind: text(&target.kind),
                    name: text(&target.name),
                    namespace: text(&target.namespace),
                    labels: text(&target.label_selector),
                    annotations: text(&target.annotation_selector),
                }
            }),
        })
        .collect()
}

/// How a verb applies and waits.
struct Verb {
    hooks: bool,
    wait: bool,
    jobs: bool,
    force: bool,
    timeout: Duration,
}

fn hook_error(event: HookEvent, error: &str) -> String {
    match event {
        HookEvent::PreInstall => format!("failed pre-install: {error}"),
        HookEvent::PostInstall => format!("failed post-install: {error}"),
        HookEvent::PreUpgrade => format!("pre-upgrade hooks failed: {error}"),
        HookEvent::PostUpgrade => format!("post-upgrade hooks failed: {error}"),
        other => format!("{} hooks failed: {error}", other.as_str()),
    }
}

/// What could not be deleted is an error; what was gone already is none.
fn deleted(report: &Deleted) -> Result<(), String> {
    match report.failed.first() {
        None => Ok(()),
        Some(first) => Err(match report.failed.len() {
            1 => first.error.to_string(),
            several => format!("{} (and {} more)", first.error, several - 1),
        }),
    }
}

/// Marks an object as the release's, as Helm does when it applies; the stored manifest stays without.
fn own(json: &mut Value, name: &str, namespace: &str) {
    let metadata = &mut json["metadata"];
    let mut put = |field: &str, key: &str, value: &str| {
        if !metadata[field].is_object() {
            metadata[field] = json!({});
        }
        metadata[field][key] = json!(value);
    };
    put("labels", MANAGED_BY, "Helm");
    put("annotations", "meta.helm.sh/release-name", name);
    put("annotations", "meta.helm.sh/release-namespace", namespace);
}

/// What templates may ask of the cluster, in Helm's form.
fn helm_capabilities(found: &crate::cluster::Capabilities) -> Capabilities {
    let mut capabilities = Capabilities::default();
    if let Ok(version) = helm_engine::KubeVersion::parse(&found.kube_version.git_version) {
        capabilities.kube_version = version;
    }
    capabilities.api_versions = found.api_versions();
    capabilities
}

/// Answers `lookup` from the member cluster. Runs on a render thread, which may block.
struct ClusterLookup {
    cluster: Cluster,
    handle: tokio::runtime::Handle,
}

impl helm_engine::Lookup for ClusterLookup {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        self.handle.block_on(async {
            if name.is_empty() {
                let scope = crate::cluster::ListScope {
                    namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
                    labels: String::new(),
                };
                let items =
                    self.cluster.list(api_version, kind, &scope).await.map_err(|error| error.to_string())?;
                Ok(json!({ "apiVersion": api_version, "kind": format!("{kind}List"), "items": items }))
            } else {
                let id = ObjectId::new(api_version, kind, namespace, name);
                let found = self.cluster.get(&id).await.map_err(|error| error.to_string())?;
                Ok(found.unwrap_or_else(|| json!({})))
            }
        })
    }
}
