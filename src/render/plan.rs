//! What one release shall put on one cluster: rendered documents as objects, with Flux's origin labels, and the text
//! that is stored in the release.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use helm_engine::release::{ReleaseChart, ReleaseHook};
use helm_engine::values::Map;
use helm_engine::{
    Capabilities, CompiledChart, Limits, Lookup, NoCluster, ReleaseOptions, RenderContext, RenderError,
};
use serde_json::Value;

/// The HelmRelease that everything rendered is labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// What is rendered, and for whom.
pub struct PlanRequest {
    /// The chart.
    pub chart: Arc<CompiledChart>,
    /// The composed values.
    pub values: Map,
    /// Name, namespace, revision, install or upgrade.
    pub release: ReleaseOptions,
    /// What the cluster can do.
    pub capabilities: Arc<Capabilities>,
    /// Answers `lookup`.
    pub lookup: Box<dyn Lookup + Send>,
    /// When to stop.
    pub limits: Limits,
    /// Leave JSON schemas out.
    pub skip_schema_validation: bool,
    /// Labels `helm.toolkit.fluxcd.io/name` and `/namespace`.
    pub origin: Origin,
    /// `spec.commonMetadata`: labels and annotations for every object.
    pub common_labels: BTreeMap<String, String>,
    /// See `common_labels`.
    pub common_annotations: BTreeMap<String, String>,
    /// Whether hooks get labels too (`postRenderStrategy` combined or separate).
    pub label_hooks: bool,
}

/// One object of the release.
#[derive(Clone)]
pub struct PlannedObject {
    /// The template it came from.
    pub source: String,
    /// The object.
    pub json: Value,
}

/// One hook with its object.
#[derive(Clone)]
pub struct PlannedHook {
    /// The hook as the release stores it.
    pub hook: ReleaseHook,
    /// Its object.
    pub json: Value,
}

/// A rendered release.
#[derive(Clone)]
pub struct Plan {
    /// Objects in install order.
    pub objects: Vec<PlannedObject>,
    /// Hooks in install order.
    pub hooks: Vec<PlannedHook>,
    /// CustomResourceDefinitions of `crds/` (chart and enabled subcharts).
    pub definitions: Vec<PlannedObject>,
    /// The `manifest` of the release record.
    pub manifest_text: String,
    /// The rendered `NOTES.txt`.
    pub notes: String,
    /// The `chart` of the release record.
    pub chart: Arc<ReleaseChart>,
}

impl std::fmt::Debug for Plan {
    /// Counts only: objects may be Secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { objects, hooks, definitions, manifest_text: _, notes: _, chart: _ } = self;
        f.debug_struct("Plan")
            .field("objects", &objects.len())
            .field("hooks", &hooks.len())
            .field("definitions", &definitions.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Helm's own text.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A rendered document is no object.
    #[error("unable to build kubernetes objects from release manifest: error in `{path}`: {reason}")]
    Document {
        /// The template.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// Label that tells which HelmRelease an object belongs to.
const ORIGIN_NAME: &str = "helm.toolkit.fluxcd.io/name";
/// See [`ORIGIN_NAME`].
const ORIGIN_NAMESPACE: &str = "helm.toolkit.fluxcd.io/namespace";

/// Renders and labels. Runs on a render thread.
pub fn plan(mut request: PlanRequest) -> Result<Plan, PlanError> {
    let lookup: Box<dyn Lookup + Send> = std::mem::replace(&mut request.lookup, Box::new(NoCluster));
    let lookup: Box<dyn Lookup> = lookup;
    let request = &request;
    let mut context =
        RenderContext::new(&request.release, &request.capabilities, Rc::from(lookup), &request.limits);
    context.skip_schema_validation = request.skip_schema_validation;
    let rendered = request.chart.render_with(&request.values, &context)?;
    let mut objects = Vec::new();
    let mut manifest_text = String::new();
    for manifest in &rendered.manifests {
        for json in documents(&manifest.path, &manifest.content)? {
            let mut json = json;
            label(&mut json, request);
            write_document(&mut manifest_text, &manifest.path, &json)?;
            objects.push(PlannedObject { source: manifest.path.clone(), json });
        }
    }
    let mut hooks = Vec::new();
    for hook in &rendered.hooks {
        for json in documents(&hook.path, &hook.manifest)? {
            let mut json = json;
            let mut stored = ReleaseHook::from(hook);
            if request.label_hooks {
                label(&mut json, request);
                stored.manifest = yaml(&hook.path, &json)?;
            }
            hooks.push(PlannedHook { hook: stored, json });
        }
    }
    let mut definitions = Vec::new();
    for file in &rendered.crds {
        let text = String::from_utf8_lossy(&file.data);
        for json in documents(&file.filename, &text)? {
            if json["kind"] == "CustomResourceDefinition" {
                let mut json = json;
                label(&mut json, request);
                definitions.push(PlannedObject { source: file.filename.clone(), json });
            }
        }
    }
    let chart = rendered.release_chart();
    Ok(Plan { objects, hooks, definitions, manifest_text, notes: rendered.notes, chart })
}

/// The objects of a stored manifest, for rollback, uninstall and pruning.
pub fn objects_of(manifest: &str) -> Result<Vec<PlannedObject>, PlanError> {
    let mut objects = Vec::new();
    for document in helm_engine::release::split_manifest(manifest) {
        let source = document.source.unwrap_or_default();
        for json in documents(source, document.text)? {
            objects.push(PlannedObject { source: source.to_owned(), json });
        }
    }
    Ok(objects)
}

/// The object of a stored hook.
pub fn object_of_hook(hook: &ReleaseHook) -> Result<Value, PlanError> {
    documents(&hook.path, &hook.manifest)?.into_iter().next().ok_or_else(|| PlanError::Document {
        path: hook.path.clone(),
        reason: "the hook has no object".to_owned(),
    })
}

/// Reads one rendered file piece: one document, several, or a `List` of them; nothing for a mere comment.
fn documents(path: &str, text: &str) -> Result<Vec<Value>, PlanError> {
    let refuse = |reason: String| PlanError::Document { path: path.to_owned(), reason };
    let mut found = Vec::new();
    for document in goyaml::documents_with(text, goyaml::StreamOptions::default(), goyaml::JsonBuilder) {
        let json = document.value.map_err(|error| refuse(error.to_string()))?;
        match json {
            Value::Null => {}
            Value::Object(mut map) => {
                let is_list =
                    map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
                match map.remove("items") {
                    Some(Value::Array(items)) if is_list => found.extend(items),
                    Some(items) => {
                        map.insert("items".to_owned(), items);
                        found.push(Value::Object(map));
                    }
                    None if map.is_empty() => {}
                    None => found.push(Value::Object(map)),
                }
            }
            _ => return Err(refuse("the document is not an object".to_owned())),
        }
    }
    Ok(found)
}

fn label(json: &mut Value, request: &PlanRequest) {
    if !json["metadata"].is_object() {
        json["metadata"] = Value::Object(serde_json::Map::new());
    }
    let metadata = &mut json["metadata"];
    let mut put = |field: &str, key: &str, value: &str| {
        if !metadata[field].is_object() {
            metadata[field] = Value::Object(serde_json::Map::new());
        }
        metadata[field][key] = Value::String(value.to_owned());
    };
    for (key, value) in &request.common_labels {
        put("labels", key, value);
    }
    for (key, value) in &request.common_annotations {
        put("annotations", key, value);
    }
    put("labels", ORIGIN_NAME, &request.origin.name);
    put("labels", ORIGIN_NAMESPACE, &request.origin.namespace);
}

fn yaml(path: &str, json: &Value) -> Result<String, PlanError> {
    goyaml::to_yaml(json)
        .map_err(|error| PlanError::Document { path: path.to_owned(), reason: error.to_string() })
}

fn write_document(out: &mut String, path: &str, json: &Value) -> Result<(), PlanError> {
    out.push_str("---\n# Source: ");
    out.push_str(path);
    out.push('\n');
    out.push_str(&yaml(path, json)?);
    Ok(())
}
