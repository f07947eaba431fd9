//! `dependsOn`: who waits for whom, and whether anybody waits for ever.

use std::collections::HashSet;

use flux_api::{DependencyRef, FluxObject};

use super::Objects;
use crate::model::ObjectKey;

/// Why an object's dependencies can never become ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyProblem {
    /// It waits for itself.
    #[error("`{0}` depends on itself")]
    Itself(ObjectKey),
    /// It waits for somebody who waits for it.
    #[error("dependency cycle: {}", show(.0))]
    Cycle(Vec<ObjectKey>),
    /// It waits for somebody who is not there.
    #[error("dependency `{0}` does not exist")]
    Missing(ObjectKey),
}

fn show(cycle: &[ObjectKey]) -> String {
    let names: Vec<String> = cycle.iter().map(|key| format!("`{key}`")).collect();
    names.join(" -> ")
}

/// The objects that `object` waits for, as keys.
pub fn dependencies(object: &FluxObject) -> Vec<ObjectKey> {
    let list: &[DependencyRef] = match object {
        FluxObject::HelmRelease(release) => &release.spec.depends_on,
        FluxObject::Kustomization(kustomization) => &kustomization.spec.depends_on,
        _ => &[],
    };
    let own = object.namespace();
    list.iter()
        .map(|reference| ObjectKey::new(object.kind(), reference.namespace(own), &reference.name))
        .collect()
}

impl Objects {
    /// What is wrong with the dependencies of `key`: itself, a cycle it is part of, or one that is missing.
    pub fn dependency_problem(&self, key: &ObjectKey) -> Option<DependencyProblem> {
        let of = |key: &ObjectKey| self.get(key).map(|object| dependencies(&object)).unwrap_or_default();
        let direct = of(key);
        if direct.contains(key) {
            return Some(DependencyProblem::Itself(key.clone()));
        }
        // Depth first, each object once; a way back to `key` is a cycle.
        let mut seen: HashSet<ObjectKey> = HashSet::new();
        let mut stack: Vec<Vec<ObjectKey>> = vec![vec![key.clone()]];
        while let Some(way) = stack.pop() {
            let Some(last) = way.last() else { continue };
            for next in of(last) {
                if next == *key {
                    let mut cycle = way.clone();
                    cycle.push(next);
                    return Some(DependencyProblem::Cycle(cycle));
                }
                if seen.insert(next.clone()) {
                    let mut longer = way.clone();
                    longer.push(next);
                    stack.push(longer);
                }
            }
        }
        direct.into_iter().find(|dependency| self.get(dependency).is_none()).map(DependencyProblem::Missing)
    }
}
