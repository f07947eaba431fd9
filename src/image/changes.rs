//! What a run of the setters changed: file → object → changes, as Flux's templates see it.

use std::collections::{BTreeMap, BTreeSet};

use super::pinned::Reference;

/// The object a change was made in. Files that hold no Kubernetes objects (values of a chart) leave it empty.
///
/// Ordered as Go orders it as the key of a map: by API version, kind, name, namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectIdentifier {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace, where the file says it.
    pub namespace: String,
}

/// One scalar that was set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What stood there.
    pub old_value: String,
    /// What stands there now.
    pub new_value: String,
    /// The marker's setter: `namespace:policy`, then perhaps `:name`, `:tag` or `:digest`.
    pub setter: String,
}

/// Changes by object.
pub type ObjectChanges = BTreeMap<ObjectIdentifier, Vec<Change>>;

/// All changes of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// By the file's path below `update.path`.
    pub files: BTreeMap<String, ObjectChanges>,
    /// The image and policy behind each setter that changed something.
    pub(super) images: BTreeMap<String, PolicyImage>,
}

/// The image a setter took its value from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PolicyImage {
    pub(super) reference: Reference,
    pub(super) namespace: String,
    pub(super) policy: String,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every change once, by file and object.
    pub fn all(&self) -> Vec<&Change> {
        let mut seen = BTreeSet::new();
        self.files
            .values()
            .flat_map(BTreeMap::values)
            .flatten()
            .filter(|change| seen.insert(*change))
            .collect()
    }

    /// The changes of each object, whatever file they are in.
    pub fn objects(&self) -> ObjectChanges {
        let mut objects = ObjectChanges::new();
        for (object, changes) in self.files.values().flatten() {
            objects.entry(object.clone()).or_default().extend(changes.iter().cloned());
        }
        objects
    }

    /// The images behind these changes, each once.
    pub(super) fn images_of<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Vec<&PolicyImage> {
        let mut seen = BTreeSet::new();
        changes
            .into_iter()
            .filter_map(|change| self.images.get(&change.setter))
            .filter(|image| seen.insert(*image))
            .collect()
    }
}
