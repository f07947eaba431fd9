//! Helm hooks: in order of weight and name, each awaited before the next, deleted as their policies say.
//!
//! Mirrors helm `pkg/action/hooks.go`.

use std::time::Duration;

use helm_engine::HookEvent;
use helm_engine::release::{HookPhase, ReleaseHook};
use tokio_util::sync::CancellationToken;

use super::FIELD_MANAGER;
use crate::cluster::{ApplyOptions, Cluster, Manifest, ObjectId, Propagation, WaitFor, WaitOptions};
use crate::model::Clock;
use crate::render::plan::object_of_hook;

/// Everything a hook run needs besides the hooks.
pub(super) struct HookRun<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) clock: &'a Clock,
    pub(super) namespace: &'a str,
    pub(super) timeout: Duration,
    pub(super) cancel: &'a CancellationToken,
}

/// The indices of the hooks of `event`, in the order they run.
fn order(hooks: &[ReleaseHook], event: HookEvent) -> Vec<usize> {
    let mut indices: Vec<usize> =
        (0..hooks.len()).filter(|index| hooks[*index].events.contains(&event)).collect();
    indices.sort_by(|a, b| (hooks[*a].weight, &hooks[*a].name).cmp(&(hooks[*b].weight, &hooks[*b].name)));
    indices
}

fn has_policy(hook: &ReleaseHook, policy: &str) -> bool {
    if hook.delete_policies.is_empty() {
        return policy == "before-hook-creation";
    }
    hook.delete_policies.iter().any(|found| found == policy)
}

impl HookRun<'_> {
    /// Runs the hooks of one event and notes in each how it went. The error is Helm's text.
    pub(super) async fn run(&self, hooks: &mut [ReleaseHook], event: HookEvent) -> Result<(), String> {
        let indices = order(hooks, event);
        for index in &indices {
            let hook = &mut hooks[*index];
            let manifest = self.manifest(hook)?;
            if has_policy(hook, "before-hook-creation") {
                self.delete(&manifest.id).await?;
            }
            hook.last_run.started_at = Some(self.clock.now().to_string());
            hook.last_run.phase = HookPhase::Running;
            let outcome = self.execute(&manifest).await;
            let hook = &mut hooks[*index];
            hook.last_run.completed_at = Some(self.clock.now().to_string());
            if let Err(error) = outcome {
                hook.last_run.phase = HookPhase::Failed;
                let text = format!("warning: Hook {} {} failed: {error}", event.as_str(), hook.path);
                if has_policy(hook, "hook-failed") {
                    self.delete(&manifest.id).await?;
                }
                return Err(text);
            }
            hook.last_run.phase = HookPhase::Succeeded;
        }
        for index in indices.iter().rev() {
            if has_policy(&hooks[*index], "hook-succeeded") {
                let id = self.manifest(&hooks[*index])?.id;
                self.delete(&id).await?;
            }
        }
        Ok(())
    }

    fn manifest(&self, hook: &ReleaseHook) -> Result<Manifest, String> {
        let json = object_of_hook(hook).map_err(|error| error.to_string())?;
        let mut manifest = Manifest::new(json, Some(hook.path.clone()))
            .map_err(|error| format!("{}: {error}", hook.path))?;
        if manifest.id.namespace.is_none() {
            manifest.id.namespace = Some(self.namespace.to_owned());
        }
        Ok(manifest)
    }

    async fn execute(&self, manifest: &Manifest) -> Result<(), String> {
        let options = ApplyOptions {
            field_manager: FIELD_MANAGER.to_owned(),
            default_namespace: Some(self.namespace.to_owned()),
            cancel: self.cancel.clone(),
            ..ApplyOptions::default()
        };
        let applied = self
            .cluster
            .apply(std::slice::from_ref(manifest), &options)
            .await
            .map_err(|error| error.to_string())?;
        // Only Jobs and Pods have an end to wait for; everything else is ready when it exists.
        if !matches!(manifest.id.kind.as_str(), "Job" | "Pod") {
            return Ok(());
        }
        let ids: Vec<ObjectId> = applied.changes.into_iter().map(|change| change.object).collect();
        let options = WaitOptions {
            timeout: self.timeout,
            wait_for: WaitFor::HookDone,
            cancel: self.cancel.clone(),
            ..WaitOptions::default()
        };
        self.cluster.wait(&ids, &options).await.map_err(|error| error.to_string())
    }

    async fn delete(&self, id: &ObjectId) -> Result<(), String> {
        // Helm never deletes a CustomResourceDefinition for a hook: its objects would go with it.
        if id.kind == "CustomResourceDefinition" {
            return Ok(());
        }
        let existed =
            self.cluster.remove(id, Propagation::Background).await.map_err(|error| error.to_string())?;
        if !existed {
            return Ok(());
        }
        let options = WaitOptions {
            timeout: self.timeout,
            wait_for: WaitFor::Deleted,
            cancel: self.cancel.clone(),
            ..WaitOptions::default()
        };
        self.cluster.wait(std::slice::from_ref(id), &options).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, weight: i64, event: HookEvent) -> ReleaseHook {
        ReleaseHook { name: name.into(), weight, events: vec![event], ..ReleaseHook::default() }
    }

    #[test]
    fn hooks_run_by_weight_then_name() {
        let hooks = [
            hook("b", 0, HookEvent::PreInstall),
            hook("a", 0, HookEvent::PreInstall),
            hook("z", -5, HookEvent::PreInstall),
            hook("other", -9, HookEvent::PostInstall),
        ];
        assert_eq!(order(&hooks, HookEvent::PreInstall), [2, 1, 0]);
    }

    #[test]
    fn without_a_policy_the_old_object_goes_before_the_new_one_comes() {
        let plain = hook("a", 0, HookEvent::PreInstall);
        assert!(has_policy(&plain, "before-hook-creation"));
        assert!(!has_policy(&plain, "hook-succeeded"));
        let mut kept = plain;
        kept.delete_policies = vec!["hook-failed".into()];
        assert!(!has_policy(&kept, "before-hook-creation"));
    }
}
