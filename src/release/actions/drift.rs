//! What somebody changed on the cluster, and putting it right.
//!
//! Whether that is wanted is decided elsewhere.

use flux_api::{HelmRelease, annotation};
use helm_engine::release::Release;

use super::Performer;
use crate::cluster::{ApplyOptions, Drift, DriftIgnore, DriftOptions, Manifest, Selection};
use crate::release::FIELD_MANAGER;
use crate::render::plan::objects_of;

impl Performer<'_> {
    /// What somebody changed on the cluster since the release was made.
    pub async fn drift(&mut self, release: &Release) -> Result<Vec<Drift>, String> {
        let manifests = self.stored(release)?;
        let options = DriftOptions {
            apply: ApplyOptions {
                default_namespace: Some(release.namespace.clone()),
                ..self.apply_options()
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
