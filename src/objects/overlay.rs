//! What people change at run time, laid over the manifest: suspend and annotations. The manifest itself stays.

use std::collections::BTreeMap;

use flux_api::FluxObject;
use serde_json::{Map, Value, json};

/// Changes to one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Overlay {
    pub(super) suspend: Option<bool>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Overlay {
    /// From a merge patch; what is no overlay of ours in it is left out.
    pub(super) fn from_patch(patch: &Value) -> Self {
        let annotations = patch.pointer("/metadata/annotations").and_then(Value::as_object);
        Self {
            suspend: patch.pointer("/spec/suspend").and_then(Value::as_bool),
            annotations: annotations
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        }
    }

    /// As a merge patch.
    pub(super) fn to_patch(&self) -> Value {
        let mut patch = Map::new();
        if let Some(suspend) = self.suspend {
            patch.insert("spec".to_owned(), json!({ "suspend": suspend }));
        }
        if !self.annotations.is_empty() {
            patch.insert("metadata".to_owned(), json!({ "annotations": self.annotations }));
        }
        Value::Object(patch)
    }

    /// Lays the changes over an object.
    pub(super) fn apply(&self, object: &mut FluxObject) {
        if let Some(suspend) = self.suspend {
            object.set_suspended(suspend);
        }
        object.metadata_mut().annotations.extend(self.annotations.clone());
    }
}
