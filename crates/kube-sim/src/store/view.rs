//! The store as the stand-in controllers see it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{LogEntry, Propagation, State, name_of};
use crate::resources::Resource;

/// What the stand-in controllers may do: read everything, write statuses, finish deletions.
pub(crate) struct StateView<'s> {
    pub(super) state: &'s mut State,
}

impl StateView<'_> {
    pub(crate) fn all(&self, group: &str, plural: &str) -> Vec<Arc<Value>> {
        self.state
            .objects
            .get(&(group.to_owned(), plural.to_owned()))
            .map(|objects| objects.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Changes made since the controllers last looked, so that settling costs what changed, not what exists.
    pub(crate) fn recent(&self, since: u64) -> Vec<LogEntry> {
        let from = self.state.log.partition_point(|entry| entry.version <= since);
        self.state.log.range(from..).cloned().collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.version
    }

    pub(crate) fn set_status(&mut self, group: &str, plural: &str, live: &Arc<Value>, status: Value) {
        if live["status"] == status {
            return;
        }
        let Some(resource) = self.resource(group, plural) else { return };
        let mut object = (**live).clone();
        object["status"] = status;
        let namespace = live["metadata"]["namespace"].as_str().map(str::to_owned);
        self.state.put(&resource, namespace.as_deref(), object, Some(Arc::clone(live)), false);
    }

    /// Deletes what a terminating namespace holds, then the namespace.
    pub(crate) fn finish_namespace(&mut self, live: &Arc<Value>) {
        let name = name_of(live).to_owned();
        let mut inside = Vec::new();
        for (table, objects) in &self.state.objects {
            for (namespace, object) in objects.keys() {
                if *namespace == name {
                    inside.push((table.clone(), object.clone()));
                }
            }
        }
        for ((group, plural), object) in inside {
            if let Some(resource) = self.resource(&group, &plural) {
                self.state.remove(&resource, Some(&name), &object, Propagation::Background);
            }
        }
        let left = self.state.objects.values().any(|all| all.keys().any(|(namespace, _)| *namespace == name));
        if !left && let Some(resource) = self.resource("", "namespaces") {
            let mut object = (**live).clone();
            object["spec"]["finalizers"] = json!([]);
            self.state.put(&resource, None, object, Some(Arc::clone(live)), false);
        }
    }

    fn resource(&self, group: &str, plural: &str) -> Option<Resource> {
        self.state
            .resources
            .iter()
            .find(|resource| resource.group == group && resource.plural == plural)
            .cloned()
    }
}
