//! The revisions a verb stores: pending first, the outcome last.
//!
//! How they lie on the member is `storage`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use helm_engine::release::{Info, Release, Status};
use helm_engine::values::{Map, map_to_json};
use serde_json::Value;

use super::{ActionFailure, Outcome, Performer};
use crate::render::plan::Plan;

impl Performer<'_> {
    pub(super) fn record(&self, values: &Map, plan: &Plan, version: i64) -> Release {
        let Value::Object(config) = map_to_json(values) else {
            unreachable!("a map of values is a JSON object");
        };
        Release {
            name: self.release_name.to_owned(),
            info: Info { last_deployed: Some(self.now()), notes: plan.notes.clone(), ..Info::default() },
            chart: Arc::clone(&plan.chart),
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
    pub(super) async fn announce(&mut self, release: &Release, history: &[Release]) -> Result<(), String> {
        let outdated = outdated(history, self.object.spec.max_history());
        let storage = self.storage.clone();
        self.timed("announce", async move {
            storage.create(release, &outdated).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// Stores the revision as deployed, and those before it as superseded.
    pub(super) async fn succeed(
        &mut self,
        mut release: Release,
        description: &str,
        superseded: &[Release],
    ) -> Outcome {
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

    pub(super) async fn fail(
        &mut self,
        mut release: Release,
        description: String,
        message: String,
    ) -> Outcome {
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
