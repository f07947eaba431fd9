//! What verbs do to the objects of a release: apply, wait, run hooks, prune, delete, and whose they are.
//!
//! Stores nothing.

use std::time::Duration;

use flux_api::{CrdsPolicy, DeletionPropagation};
use helm_engine::HookEvent;
use helm_engine::release::{Release, ReleaseHook};
use serde_json::{Value, json};

use super::Performer;
use crate::cluster::{
    Action, ApplyOptions, Change, DeleteOptions, Deleted, Manifest, ObjectId, Propagation, WaitFor,
    WaitOptions,
};
use crate::release::hooks::HookRun;
use crate::render::plan::{Plan, PlannedObject, objects_of};

/// What is the same for all objects Helm owns.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

impl Performer<'_> {
    pub(super) fn manifests(&self, objects: &[PlannedObject], owned: bool) -> Result<Vec<Manifest>, String> {
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
    pub(super) async fn apply(
        &mut self,
        objects: &[PlannedObject],
        force: bool,
    ) -> Result<Vec<Change>, String> {
        let manifests = self.manifests(objects, true)?;
        let options = ApplyOptions { recreate_on_immutable: force, ..self.apply_options() };
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

    pub(super) async fn wait_ready(
        &mut self,
        changes: &[Change],
        timeout: Duration,
        jobs: bool,
    ) -> Result<(), String> {
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

    pub(super) async fn run_hooks(
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
    pub(super) fn leaving(&self, before: &[PlannedObject], kept: &[ObjectId]) -> Vec<ObjectId> {
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
    pub(super) async fn prune(&mut self, before: &[PlannedObject], kept: &[ObjectId]) -> Result<(), String> {
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
    pub(super) async fn apply_definitions(&mut self, plan: &Plan, policy: CrdsPolicy) -> Result<(), String> {
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
        let options = ApplyOptions { default_namespace: None, ..self.apply_options() };
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
    pub(super) async fn check_ownership(&self, objects: &[PlannedObject]) -> Result<(), String> {
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

    pub(super) async fn ensure_namespaces(&mut self) -> Result<(), String> {
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

    pub(super) async fn remove(
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

    /// `cleanupOnFail`: what the failed verb created goes again. The error comes back, with what went wrong here.
    pub(super) async fn clean_up(&mut self, verb: &str, message: String) -> String {
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

pub(super) fn hook_error(event: HookEvent, error: &str) -> String {
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
