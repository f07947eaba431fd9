//! Answers the oracle's `template` requests: a chart's directory or archive, values in all their forms, what
//! `helm template` prints.

use std::path::Path;
use std::rc::Rc;

use helm_engine::values::{Map, Value as Node, load_values, merge_maps, strvals};
use helm_engine::{
    Capabilities, HelmProfile, KubeVersion, Limits, NoCluster, ReleaseOptions, TemplateOutput, load_archive,
    load_files,
};
use serde_json::Value;

use super::chart_directory;

/// The output, or the text after `Error: `.
pub(crate) fn template(request: &Value, profile: &HelmProfile) -> Result<String, String> {
    let text = |field: &str| request[field].as_str().unwrap_or_default().to_owned();
    let list = |field: &str| -> Vec<String> {
        let items = request[field].as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut capabilities = Capabilities::defaults(profile);
    let version = text("kube_version");
    if !version.is_empty() {
        capabilities.kube_version = KubeVersion::parse_as(&version, profile)
            .map_err(|error| format!("invalid kube version '{version}': {error}"))?;
    }
    capabilities.api_versions.extend(list("api_versions"));
    let mut values = Map::new();
    for file in list("values_files") {
        let data = std::fs::read(&file).map_err(|error| error.to_string())?;
        let loaded = load_values(&data).map_err(|error| format!("failed to parse {file}: {error}"))?;
        values = merge_maps(values, loaded);
    }
    if let Node::Map(inline) = Node::from_json(&request["values"]) {
        values = merge_maps(values, inline);
    }
    for line in list("set_json") {
        strvals::parse_json_into(&line, &mut values)
            .map_err(|_| format!("failed parsing --set-json data {line}"))?;
    }
    for line in list("set") {
        strvals::parse_into(&line, &mut values)
            .map_err(|error| format!("failed parsing --set data: {error}"))?;
    }
    for line in list("set_string") {
        strvals::parse_into_string(&line, &mut values)
            .map_err(|error| format!("failed parsing --set-string data: {error}"))?;
    }
    for line in list("set_literal") {
        strvals::parse_literal_into(&line, &mut values)
            .map_err(|error| format!("failed parsing --set-literal data: {error}"))?;
    }
    let path = text("chart");
    let path = Path::new(&path);
    let chart = if path.is_dir() {
        let files = chart_directory::read(path).map_err(|error| error.to_string())?;
        load_files(&files)
    } else {
        load_archive(&std::fs::read(path).map_err(|error| error.to_string())?)
    };
    let compiled =
        chart.map_err(|error| error.to_string())?.compile(profile).map_err(|error| error.cli_text())?;
    compiled.check().map_err(|error| error.cli_text())?;
    let or = |field: &str, default: &str| {
        Some(text(field)).filter(|text| !text.is_empty()).unwrap_or(default.into())
    };
    let release = ReleaseOptions {
        name: or("release", "rel"),
        namespace: or("namespace", "default"),
        ..ReleaseOptions::default()
    };
    let rendered = compiled
        .render(&values, &release, &capabilities, Rc::new(NoCluster), &Limits::default())
        .map_err(|error| error.cli_text())?;
    let include_crds = request["include_crds"].as_bool().unwrap_or(false);
    rendered
        .template_output(&TemplateOutput { include_crds, ..TemplateOutput::default() })
        .map_err(|error| error.to_string())
}
