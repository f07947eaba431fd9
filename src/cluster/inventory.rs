//! The inventory of a Kustomization or HelmRelease: which objects it has put into a cluster, and so what to prune.
//!
//! Pure, in Flux's form (`status.inventory`), so that either may go on from the other's.

use serde::{Deserialize, Serialize};

use super::object::ObjectId;

/// One object of an inventory, as it stands in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryEntry {
    /// `<namespace>_<name>_<group>_<kind>`.
    pub id: String,
    /// The API version within the group.
    pub v: String,
}

/// The objects somebody has put into a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inventory {
    /// In the order of their application.
    pub entries: Vec<InventoryEntry>,
}

impl InventoryEntry {
    /// The object's entry.
    pub fn of(object: &ObjectId) -> Self {
        Self { id: object.inventory_id(), v: object.version.clone() }
    }

    /// The object meant; none when the entry is damaged.
    pub fn object(&self) -> Option<ObjectId> {
        ObjectId::from_inventory(&self.id, &self.v)
    }
}

impl Inventory {
    /// The inventory of these objects, each once.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let mut inventory = Self::default();
        inventory.add(objects);
        inventory
    }

    /// Adds objects that are not in yet: those whose deletion failed must not be forgotten.
    pub fn add<'a>(&mut self, objects: impl IntoIterator<Item = &'a ObjectId>) {
        let mut known: std::collections::HashSet<String> =
            self.entries.iter().map(|entry| entry.id.clone()).collect();
        for object in objects {
            let entry = InventoryEntry::of(object);
            if known.insert(entry.id.clone()) {
                self.entries.push(entry);
            }
        }
    }

    /// The objects, damaged entries left out.
    pub fn objects(&self) -> Vec<ObjectId> {
        self.entries.iter().filter_map(InventoryEntry::object).collect()
    }

    /// What was in `before` and is in here no longer: to be pruned. The API version does not matter.
    pub fn stale_since(&self, before: &Inventory) -> Vec<ObjectId> {
        let kept: std::collections::HashSet<&str> =
            self.entries.iter().map(|entry| entry.id.as_str()).collect();
        let stale = before.entries.iter().filter(|entry| !kept.contains(entry.id.as_str()));
        stale.filter_map(InventoryEntry::object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> [ObjectId; 3] {
        [
            ObjectId::new("v1", "Namespace", "", "shop"),
            ObjectId::new("apps/v1", "Deployment", "shop", "web"),
            ObjectId::new("autoscaling/v1", "HorizontalPodAutoscaler", "shop", "web"),
        ]
    }

    #[test]
    fn what_left_the_inventory_is_stale_whatever_its_version() {
        let [namespace, web, scaler] = ids();
        let before = Inventory::of([&namespace, &web, &scaler]);
        let newer = ObjectId { version: "v2".to_owned(), ..scaler.clone() };
        let now = Inventory::of([&namespace, &newer]);
        assert_eq!(now.stale_since(&before), std::slice::from_ref(&web));
        assert_eq!(before.stale_since(&now), []);
        assert_eq!(Inventory::default().stale_since(&before), ids());
    }

    #[test]
    fn it_reads_and_writes_the_form_of_a_status() {
        let json = r#"[{"id":"_shop__Namespace","v":"v1"},{"id":"shop_web_apps_Deployment","v":"v1"}]"#;
        let inventory: Inventory = serde_json::from_str(json).unwrap();
        assert_eq!(inventory.objects(), ids()[..2]);
        assert_eq!(serde_json::to_string(&inventory).unwrap(), json);
    }

    #[test]
    fn failed_deletions_are_kept_once() {
        let [namespace, web, _] = ids();
        let mut inventory = Inventory::of([&namespace, &namespace]);
        inventory.add([&web, &namespace]);
        assert_eq!(inventory.objects(), [namespace, web]);
    }
}
