//! What somebody changed on a cluster behind a release's back, and putting it right again.
//!
//! Mirrors `Diff` and `ApplyDiff` of fluxcd/helm-controller (`internal/action/diff.go`) and fluxcd/pkg `ssa/jsondiff`: the
//! server says what an apply would make of each object, and the difference is a JSON patch. When to look, and what to
//! tell people, is decided elsewhere.

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::applied::{Action, ApplyOptions};
use super::apply::carries;
use super::error::{ApiError, Reason};
use super::object::{Manifest, ObjectId};
use super::patch::{self, Operation, Verb};
use super::pool::Cluster;
use super::selector::{Selection, Selector};
use super::write::Patch;

/// One object that is not as its manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which object, its namespace filled in.
    pub object: ObjectId,
    /// In which way.
    pub what: Drifted,
    /// Its place in the list that was compared.
    pub index: usize,
}

/// In which way an object differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drifted {
    /// It is gone.
    Removed,
    /// These operations would bring it back.
    Changed(Vec<Operation>),
    /// A rule or a label says not to look at it.
    Excluded,
}

impl Drift {
    /// Flux's line for it: `Deployment/shop/web changed (0 additions, 1 changes, 0 removals)`.
    pub fn summary(&self) -> String {
        let subject = self.object.subject();
        match &self.what {
            Drifted::Removed => format!("{subject} removed"),
            Drifted::Excluded => format!("{subject} excluded"),
            Drifted::Changed(operations) => {
                let count = |verb| operations.iter().filter(|operation| operation.verb == verb).count();
                let (added, changed, removed) = (count(Verb::Add), count(Verb::Replace), count(Verb::Remove));
                format!("{subject} changed ({added} additions, {changed} changes, {removed} removals)")
            }
        }
    }

    /// Whether there is something to put right.
    pub fn is_change(&self) -> bool {
        self.what != Drifted::Excluded
    }
}

/// What may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftIgnore {
    /// JSON pointers; an empty one means the whole object.
    pub paths: Vec<String>,
    /// Whose; every object's when absent.
    pub target: Option<Selection>,
}

/// How to compare.
#[derive(Clone, Debug, Default)]
pub struct DriftOptions {
    /// As the objects were applied.
    pub apply: ApplyOptions,
    /// What may differ.
    pub ignore: Vec<DriftIgnore>,
    /// Labels or annotations (key, value) of manifests that are not to be looked at.
    pub unless: Vec<(String, String)>,
}

/// What came of putting things right.
#[derive(Debug, Default)]
pub struct Corrected {
    /// What was done to which object.
    pub done: Vec<(ObjectId, Action)>,
    /// What could not be done, in the words of the one who reads them.
    pub failed: Vec<String>,
}

/// The paths of one rule, and whose they are.
type Rule<'o> = (Option<Selector>, &'o [String]);

impl Cluster {
    /// Compares the objects with the cluster. Only those that differ, or are excluded, come back.
    ///
    /// # Errors
    /// When a rule cannot be read, or an object could not be compared.
    pub async fn drift(&self, objects: &[Manifest], options: &DriftOptions) -> Result<Vec<Drift>, ApiError> {
        let mut rules: Vec<Rule<'_>> = Vec::new();
        for rule in &options.ignore {
            let selector = match &rule.target {
                None => None,
                Some(selection) => Some(Selector::new(selection).map_err(|message| {
                    let attempt = "read a rule of what may differ";
                    self.member.error(attempt, Reason::Refused { code: 400, message })
                })?),
            };
            rules.push((selector, &rule.paths));
        }
        let apply = ApplyOptions { dry_run: true, force_conflicts: true, ..options.apply.clone() };
        let (apply, rules) = (&apply, &rules);
        let one = |index: usize| {
            Box::pin(
                async move { self.drift_of(&objects[index], index, apply, rules, &options.unless).await },
            )
        };
        let mut found = Vec::new();
        let mut running = stream::iter((0..objects.len()).map(one)).buffered(apply.concurrency.max(1));
        while let Some(drift) = running.next().await {
            found.extend(drift?);
        }
        Ok(found)
    }

    async fn drift_of(
        &self,
        manifest: &Manifest,
        index: usize,
        apply: &ApplyOptions,
        rules: &[Rule<'_>],
        unless: &[(String, String)],
    ) -> Result<Option<Drift>, ApiError> {
        let object = self.resolve(manifest, apply).await?;
        let metadata = &manifest.json["metadata"];
        let paths: Vec<&String> = rules
            .iter()
            .filter(|(selector, _)| selector.as_ref().is_none_or(|one| one.matches(&object, metadata)))
            .flat_map(|(_, paths)| paths.iter())
            .collect();
        if carries(metadata, unless) || paths.iter().any(|path| path.is_empty()) {
            return Ok(Some(Drift { object, what: Drifted::Excluded, index }));
        }
        let Some(mut live) = self.get(&object).await? else {
            // What an apply would refuse cannot be brought back either.
            self.would_become(manifest, apply).await?;
            return Ok(Some(Drift { object, what: Drifted::Removed, index }));
        };
        let mut wanted = self.would_become(manifest, apply).await?;
        for path in paths {
            patch::remove(&mut live, path);
            patch::remove(&mut wanted, path);
        }
        let operations = difference(&live, &wanted);
        Ok((!operations.is_empty()).then_some(Drift { object, what: Drifted::Changed(operations), index }))
    }

    /// Puts back what is gone and patches what was changed: first the one, then the other, in the order given.
    pub async fn correct(&self, objects: &[Manifest], drifts: &[Drift], field_manager: &str) -> Corrected {
        let mut corrected = Corrected::default();
        for drift in drifts.iter().filter(|drift| drift.what == Drifted::Removed) {
            let mut manifest = objects[drift.index].clone();
            manifest.id = drift.object.clone();
            if let Some(namespace) = &drift.object.namespace {
                manifest.json["metadata"]["namespace"] = json!(namespace);
            }
            match self.create(&manifest, field_manager).await {
                Ok(_) => corrected.done.push((drift.object.clone(), Action::Created)),
                Err(error) => {
                    corrected.failed.push(format!("{} creation failure: {error}", drift.object.subject()));
                }
            }
        }
        for drift in drifts {
            let Drifted::Changed(operations) = &drift.what else { continue };
            let patch = Patch::Json(operations.iter().map(Operation::to_json).collect());
            match self.patch_object(&drift.object, &patch, field_manager).await {
                Ok(_) => corrected.done.push((drift.object.clone(), Action::Configured)),
                Err(error) => {
                    corrected.failed.push(format!("{} patch failure: {error}", drift.object.subject()));
                }
            }
        }
        corrected
    }
}

/// What an apply would change: in labels and annotations what it adds or sets, in the rest everything but the status.
fn difference(live: &Value, wanted: &Value) -> Vec<Operation> {
    let marks = |object: &Value| {
        let mut kept = json!({});
        for field in ["annotations", "labels"] {
            if let Some(map) = object["metadata"].get(field) {
                kept["metadata"][field] = map.clone();
            }
        }
        kept
    };
    let rest = |object: &Value| {
        let mut kept = object.clone();
        if let Some(fields) = kept.as_object_mut() {
            fields.remove("metadata");
            fields.remove("status");
        }
        kept
    };
    let mut operations = patch::between(&marks(live), &marks(wanted));
    // Controllers add labels of their own; that they would go is no drift.
    operations.retain(|operation| operation.verb != Verb::Remove);
    operations.extend(patch::between(&rest(live), &rest(wanted)));
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_others_and_the_status_are_no_drift() {
        let long = "x".repeat(300);
        let live = json!({
            "metadata": {"labels": {"ours": "1", "theirs": "2", "long": long}, "generation": 4},
            "spec": {"replicas": 1, "long": long}, "status": {"ready": 1},
        });
        let wanted = json!({
            "metadata": {"labels": {"ours": "1", "long": long}}, "spec": {"replicas": 1, "long": long},
        });
        assert_eq!(difference(&live, &wanted), []);
        let wanted = json!({
            "metadata": {"labels": {"ours": "3", "long": long}}, "spec": {"replicas": 2, "long": long},
        });
        let told: Vec<String> =
            difference(&live, &wanted).iter().map(|operation| format!("{operation:?}")).collect();
        assert_eq!(told, ["replace /metadata/labels/ours", "replace /spec/replicas"]);
    }

    #[test]
    fn drift_is_told_in_fluxs_words() {
        let object = ObjectId::new("apps/v1", "Deployment", "shop", "web");
        let told = |what| Drift { object: object.clone(), what, index: 0 }.summary();
        let operation =
            |verb| Operation { verb, path: "/spec/secret".to_owned(), value: json!("not to be shown") };
        let changed = Drifted::Changed(vec![operation(Verb::Replace), operation(Verb::Add)]);
        assert!(!format!("{changed:?}").contains("not to be shown"), "{changed:?}");
        assert_eq!(told(changed), "Deployment/shop/web changed (1 additions, 1 changes, 0 removals)");
        assert_eq!(told(Drifted::Removed), "Deployment/shop/web removed");
        assert_eq!(told(Drifted::Excluded), "Deployment/shop/web excluded");
    }
}
