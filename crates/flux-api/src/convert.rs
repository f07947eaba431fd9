//! Retired API versions to today's form. Works on checked values, so shapes are known.

use serde_json::{Map, Value, json};

use crate::kind::Kind;

/// Rewrites spec and status of any older version in place; today's pass through unchanged.
pub(crate) fn to_current(kind: Kind, spec: &mut Value, status: &mut Value) {
    match kind {
        Kind::GitRepository | Kind::Bucket => drop_access(spec),
        Kind::HelmChart => {
            drop_access(spec);
            values_file(spec);
        }
        Kind::HelmRelease => {
            if let Some(chart) = spec.pointer_mut("/chart/spec") {
                values_file(chart);
            }
            if let Some(renderers) = spec.get_mut("postRenderers").and_then(Value::as_array_mut) {
                for renderer in renderers {
                    if let Some(kustomize) = renderer.get_mut("kustomize") {
                        old_patches(kustomize);
                    }
                }
            }
        }
        Kind::Kustomization => old_patches(spec),
        Kind::ImagePolicy => latest_image(status),
        Kind::Receiver => webhook_path(status),
        _ => {}
    }
    if kind.is_source() {
        for field in ["artifact", "includedArtifacts"] {
            match status.get_mut(field) {
                Some(Value::Array(many)) => many.iter_mut().for_each(checksum),
                Some(one) => checksum(one),
                None => {}
            }
        }
    }
}

fn take(value: &mut Value, field: &str) -> Option<Value> {
    value.as_object_mut()?.remove(field)
}

/// Never implemented for these kinds.
fn drop_access(spec: &mut Value) {
    take(spec, "accessFrom");
    take(spec, "gitImplementation");
}

/// The single values file was merged before the list.
fn values_file(spec: &mut Value) {
    let Some(Value::String(first)) = take(spec, "valuesFile") else { return };
    if first.is_empty() {
        return;
    }
    let Some(map) = spec.as_object_mut() else { return };
    match map.entry("valuesFiles").or_insert_with(|| json!([])) {
        Value::Array(files) => files.insert(0, Value::String(first)),
        other => *other = json!([first]),
    }
}

/// kustomize runs strategic merges before `patches` and JSON patches after them; all three are patches today.
fn old_patches(spec: &mut Value) {
    let merges = take(spec, "patchesStrategicMerge");
    let jsons = take(spec, "patchesJson6902");
    take(spec, "validation");
    if merges.is_none() && jsons.is_none() {
        return;
    }
    let items = |list: Option<Value>| match list {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let mut patches: Vec<Value> = Vec::new();
    for merge in items(merges) {
        // Written inline as an object, or as a block of text.
        let text = match merge {
            Value::String(text) => text,
            object => object.to_string(),
        };
        patches.push(json!({ "patch": text }));
    }
    patches.extend(items(take(spec, "patches")));
    for mut one in items(jsons) {
        let mut patch = Map::new();
        patch.insert(
            "patch".to_owned(),
            Value::String(take(&mut one, "patch").unwrap_or_default().to_string()),
        );
        if let Some(target) = take(&mut one, "target") {
            patch.insert("target".to_owned(), target);
        }
        patches.push(Value::Object(patch));
    }
    if let Some(map) = spec.as_object_mut() {
        map.insert("patches".to_owned(), Value::Array(patches));
    }
}

/// `name:tag` in one string; a port is no tag.
fn latest_image(status: &mut Value) {
    let Some(Value::String(image)) = take(status, "latestImage") else { return };
    let Some(map) = status.as_object_mut() else { return };
    if map.contains_key("latestRef") {
        return;
    }
    if let Some((name, tag)) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        map.insert("latestRef".to_owned(), json!({ "name": name, "tag": tag }));
    }
}

/// The path was called a URL.
fn webhook_path(status: &mut Value) {
    let Some(path) = take(status, "url") else { return };
    if let Some(map) = status.as_object_mut() {
        map.entry("webhookPath").or_insert(path);
    }
}

/// The checksum was a bare sha256.
fn checksum(artifact: &mut Value) {
    let Some(Value::String(sum)) = take(artifact, "checksum") else { return };
    if let Some(map) = artifact.as_object_mut()
        && !sum.is_empty()
    {
        map.entry("digest").or_insert_with(|| Value::String(format!("sha256:{sum}")));
    }
}
