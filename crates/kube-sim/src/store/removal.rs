//! Deletion: finalizers, terminating namespaces, dependents.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{LogKind, Propagation, State, now, place, table};
use crate::resources::Resource;

impl State {
    pub(super) fn remove(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        propagation: Propagation,
    ) {
        let Some(live) = self.get(resource, namespace, name) else { return };
        let waits = live["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if waits || resource.kind == "Namespace" {
            if !live["metadata"]["deletionTimestamp"].is_string() {
                let mut marked = (*live).clone();
                marked["metadata"]["deletionTimestamp"] = json!(now());
                marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                if resource.kind == "Namespace" {
                    marked["status"]["phase"] = json!("Terminating");
                }
                self.put(resource, namespace, marked, Some(live), false);
            }
            return;
        }
        let uid = live["metadata"]["uid"].clone();
        self.version += 1;
        let mut gone = (*live).clone();
        gone["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.entry(table(resource)).or_default().remove(&place(namespace, name));
        self.record(table(resource), LogKind::Deleted, Arc::new(gone), Some(live));
        if resource.kind == "CustomResourceDefinition" {
            self.refresh_definitions();
        }
        self.release_dependents(&uid, propagation);
    }

    /// Garbage collection: dependents of a deleted owner go, or lose the reference when orphaned.
    fn release_dependents(&mut self, uid: &Value, propagation: Propagation) {
        let owned = |object: &Value| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        let mut dependents = Vec::new();
        for (table, objects) in &self.objects {
            for ((namespace, name), object) in objects {
                if owned(object) {
                    dependents.push((table.clone(), namespace.clone(), name.clone()));
                }
            }
        }
        for (table, namespace, name) in dependents {
            let Some(resource) = self
                .resources
                .iter()
                .find(|resource| resource.group == table.0 && resource.plural == table.1)
                .cloned()
            else {
                continue;
            };
            let namespace = (!namespace.is_empty()).then_some(namespace);
            if propagation == Propagation::Orphan {
                let Some(live) = self.get(&resource, namespace.as_deref(), &name) else { continue };
                let mut freed = (*live).clone();
                if let Some(owners) = freed["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|owner| owner["uid"] != *uid);
                }
                self.put(&resource, namespace.as_deref(), freed, Some(live), false);
            } else {
                self.remove(&resource, namespace.as_deref(), &name, propagation);
            }
        }
    }
}
