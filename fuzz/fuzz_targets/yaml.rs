//! YAML in all its readings, and what was read written again. Heads of documents are read in two ways, which are
//! compared.
#![no_main]

use goyaml::{Options, Schema, StreamOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    drop(goyaml::from_slice(input));
    let text = String::from_utf8_lossy(input);
    drop(goyaml::yaml_to_json_strict(&text));
    if let Ok(value) = goyaml::from_yaml_any(&text) {
        if let Ok(written) = goyaml::to_yaml(&value) {
            // What was written is YAML.
            goyaml::from_yaml_any(&written).expect("what is written can be read");
        }
        drop(goyaml::to_yaml_pretty(&value));
        drop(goyaml::to_json(&value));
    }
    drop(helm_engine::manifest::sort_manifests([("c/templates/a.yaml", &*text)], &helm_engine::HelmProfile::default()));
    for document in goyaml::documents(&text, StreamOptions::default()).take(100) {
        drop(document);
    }
    for schema in [Schema::V2, Schema::V3] {
        drop(goyaml::node::parse_nodes(&text, Options { schema, ..Options::default() }));
    }
});
