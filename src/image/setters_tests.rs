//! The setters beside Flux's own answers, and over every YAML file of the corpus.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use goyaml::node::Style;
use serde::Deserialize;

use super::*;

const DIGEST: &str = "sha256:6745aaad46d795c9836632e1fb62f24b7e7f4c843144da8e47a5465c411a14be";

fn pinned(policy: &str, image: &str, tag: &str, digest: &str) -> Pinned {
    Pinned {
        namespace: "ns".to_owned(),
        policy: policy.to_owned(),
        image: image.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
    }
}

fn policies() -> Vec<Pinned> {
    vec![
        pinned("app", "reg.io/team/app", "1.0.1", ""),
        pinned("pinned", "reg.io/pinned", "2.0", DIGEST),
        pinned("number", "reg.io/number", "010", ""),
    ]
}

fn run(text: &str) -> Updated {
    update([File { path: "values.yaml", content: text.as_bytes() }], &policies()).unwrap()
}

fn edited(text: &str) -> String {
    let updated = run(text);
    assert_eq!(updated.skipped, []);
    match updated.files.get("values.yaml") {
        Some(content) => String::from_utf8(content.clone()).unwrap(),
        None => text.to_owned(),
    }
}

/// One question to Flux's own code and its answer, see `tests/oracle/images`.
#[derive(Deserialize)]
struct Vector {
    name: String,
    files: BTreeMap<String, String>,
    policies: Vec<VectorPolicy>,
    changes: Vec<VectorChange>,
    out: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct VectorPolicy {
    namespace: String,
    name: String,
    image: String,
    tag: String,
    digest: String,
}

#[derive(Deserialize, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "PascalCase")]
struct VectorChange {
    #[serde(rename = "APIVersion")]
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    old: String,
    new: String,
    setter: String,
}

/// Cases in which another answer than Flux's is given on purpose; see `docs/differences.md`.
const DIFFERENT: [(&str, &str); 2] = [
    ("emptyseqval", "go-yaml gives the comment behind an empty item to the item after it"),
    ("meta_in", "the object of a change is named as it was before the change"),
];

fn check(vector: &Vector) -> Result<(), String> {
    let policies: Vec<Pinned> = vector
        .policies
        .iter()
        .map(|policy| Pinned {
            namespace: policy.namespace.clone(),
            policy: policy.name.clone(),
            image: policy.image.clone(),
            tag: policy.tag.clone(),
            digest: policy.digest.clone(),
        })
        .collect();
    let files = vector.files.iter().map(|(path, text)| File { path, content: text.as_bytes() });
    let updated = update(files, &policies)?;
    let mut changes: Vec<VectorChange> = Vec::new();
    for (object, found) in updated.changes.files.values().flatten() {
        changes.extend(found.iter().map(|change| VectorChange {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            old: change.old_value.clone(),
            new: change.new_value.clone(),
            setter: change.setter.clone(),
        }));
    }
    let mut expected: Vec<&VectorChange> = vector.changes.iter().collect();
    expected.sort();
    changes.sort();
    if !changes.iter().eq(expected.iter().copied()) {
        return Err(format!("changed {changes:?}\nFlux     {expected:?}\nskipped {:?}", updated.skipped));
    }
    for (path, before) in &vector.files {
        let ours = updated.files.get(path).map_or(before.as_bytes(), Vec::as_slice);
        let flux = &vector.out[path];
        // A `List` is written to another file by Flux, and a number that became a string is given a tag that is wrong.
        if flux == before
            || ["!!float ", "!!int ", "!!null ", "!!timestamp ", "!!bool "]
                .iter()
                .any(|tag| flux.contains(tag))
        {
            continue;
        }
        let (ours, flux) = (values(std::str::from_utf8(ours).unwrap()), values(flux));
        if ours != flux {
            return Err(format!("reads as {ours:?}\nFlux     {flux:?}"));
        }
    }
    Ok(())
}

/// What the documents of a text mean; what kyaml itself takes out or adds is left out.
fn values(text: &str) -> Vec<serde_json::Value> {
    let mut values = Vec::new();
    for (_, piece) in pieces(text).unwrap() {
        let options = Options { schema: Schema::V3, ..Options::default() };
        let mut value = goyaml::decode(piece, options, &mut goyaml::JsonBuilder).unwrap_or_default();
        if let Some(metadata) = value.get_mut("metadata") {
            if let Some(map) = metadata.as_object_mut()
                && map
                    .get("annotations")
                    .is_some_and(|found| !found.is_object() || found == &serde_json::json!({}))
            {
                map.remove("annotations");
            }
            if metadata.is_null() || metadata == &serde_json::json!({}) {
                value.as_object_mut().unwrap().remove("metadata");
            }
        }
        if !value.is_null() {
            values.push(value);
        }
    }
    values
}

#[test]
fn the_same_scalars_are_set_as_flux_sets() {
    let mut failed = Vec::new();
    let mut count = 0;
    for line in include_str!("testdata/setters.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        count += 1;
        let different = DIFFERENT.iter().any(|(name, _)| *name == vector.name);
        match check(&vector) {
            Ok(()) if different => failed.push(format!("{}: no longer different", vector.name)),
            Ok(()) => {}
            Err(_) if different => {}
            Err(error) => failed.push(format!("{}: {error}", vector.name)),
        }
    }
    assert!(failed.is_empty() && count > 90, "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_marker_says_which_part_of_the_image_is_set() {
    assert_eq!(
        edited(
            "repository: \"old\" # {\"$imagepolicy\": \"ns:app:name\"}\n\
             tag: \"\" # {\"$imagepolicy\": \"ns:app:tag\"}\n\
             image: 'x' # {\"$imagepolicy\": \"ns:app\"}\n\
             pinned: x # {\"$imagepolicy\": \"ns:pinned\"}\n\
             digest: x # {\"$imagepolicy\": \"ns:pinned:digest\"}\n"
        ),
        format!(
            "repository: \"reg.io/team/app\" # {{\"$imagepolicy\": \"ns:app:name\"}}\n\
             tag: \"1.0.1\" # {{\"$imagepolicy\": \"ns:app:tag\"}}\n\
             image: 'reg.io/team/app:1.0.1' # {{\"$imagepolicy\": \"ns:app\"}}\n\
             pinned: reg.io/pinned:2.0@{DIGEST} # {{\"$imagepolicy\": \"ns:pinned\"}}\n\
             digest: {DIGEST} # {{\"$imagepolicy\": \"ns:pinned:digest\"}}\n"
        )
    );
}

#[test]
fn a_tag_that_looks_like_a_number_stays_a_string() {
    let marker = "# {\"$imagepolicy\": \"ns:number:tag\"}";
    for (before, after) in
        [("v1", "\"010\""), ("0.9", "\"010\""), ("\"9\"", "\"010\""), ("'9'", "'010'"), ("~", "\"010\"")]
    {
        assert_eq!(edited(&format!("tag: {before} {marker}\n")), format!("tag: {after} {marker}\n"));
    }
    // The number that stood there leaves no tag behind.
    let marker = "# {\"$imagepolicy\": \"ns:app:tag\"}";
    assert_eq!(edited(&format!("tag: 1.0 {marker}\n")), format!("tag: 1.0.1 {marker}\n"));
}

#[test]
fn line_ends_byte_order_mark_comments_and_spaces_stay() {
    let text = "\u{feff}# top\r\na:   old   # {\"$imagepolicy\": \"ns:app:tag\"}\r\n\r\n# between\r\n- b: [ 1,2 ]\r\n";
    assert_eq!(run(text).skipped.len(), 1, "a mapping and a list in one document are no YAML");
    let text = "\u{feff}# top\r\na:   old   # {\"$imagepolicy\": \"ns:app:tag\"}\r\n\r\n# between\r\nb: [ 1,2 ]   \r\n\r\n";
    assert_eq!(edited(text), text.replace("old", "1.0.1"));
}

#[test]
fn what_stands_at_the_present_value_is_not_touched() {
    let text = "tag: 1.0.1 # {\"$imagepolicy\": \"ns:app:tag\"}\n";
    let updated = run(text);
    assert!(updated.files.is_empty() && updated.changes.is_empty());
}

#[test]
fn markers_of_unknown_policies_and_other_namespaces_are_left_alone() {
    for setter in ["ns:nobody", "other:app", "app", "ns:app:part", "ns:app:tag:tag"] {
        let updated = run(&format!("tag: old # {{\"$imagepolicy\": \"{setter}\"}}\n"));
        assert!(updated.files.is_empty() && updated.skipped.is_empty(), "{setter}");
    }
}

#[test]
fn an_invalid_image_stops_the_whole_run() {
    let mut policies = policies();
    policies.push(pinned("evil", "reg.io/app", "1.0.0\nevil: true", ""));
    let file = File { path: "a.yaml", content: b"tag: old # {\"$imagepolicy\": \"ns:app:tag\"}\n" };
    let error = update([file], &policies).unwrap_err();
    assert_eq!(
        error,
        "encountered invalid image ref \"reg.io/app:1.0.0\\nevil: true\": could not parse reference: reg.io/app:1.0.0\nevil: true"
    );
}

#[test]
fn a_list_is_changed_where_it_stands() {
    let text = "kind: List\nitems:\n- kind: Pod\n  metadata: {name: a}\n  image: x # {\"$imagepolicy\": \"ns:app\"}\n";
    let updated = run(text);
    let (object, _) = updated.changes.files["values.yaml"].first_key_value().unwrap();
    assert_eq!((object.kind.as_str(), object.name.as_str()), ("Pod", "a"));
    assert_eq!(edited(text), text.replace("image: x", "image: reg.io/team/app:1.0.1"));
}

#[test]
fn h82_binary_and_broken_files_are_skipped_and_the_others_changed() {
    let good = b"tag: old # {\"$imagepolicy\": \"ns:app:tag\"}\n".to_vec();
    let latin1 = [b"name: caf\xe9\n".to_vec(), good.clone()].concat();
    let binary = [b"\x7fELF\0\0\x01".to_vec(), good.clone()].concat();
    let template = [b"{{- if .Values.b }}\na: b\n".to_vec(), good.clone()].concat();
    let deep = [vec![b'['; 300], good.clone()].concat();
    let utf16: Vec<u8> =
        String::from_utf8(good.clone()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let all = [
        ("binary.yaml", &binary),
        ("deep.yaml", &deep),
        ("good.yaml", &good),
        ("latin1.yaml", &latin1),
        ("template.yaml", &template),
        ("utf16.yaml", &utf16),
    ];
    let updated = update(all.iter().map(|(path, content)| File { path, content }), &policies()).unwrap();
    assert_eq!(updated.files.keys().collect::<Vec<_>>(), ["good.yaml"]);
    let skipped: Vec<&str> = updated.skipped.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(skipped, ["binary.yaml", "deep.yaml", "latin1.yaml", "template.yaml"]);
}

#[test]
fn only_yaml_files_are_looked_at() {
    for (path, wanted) in [
        ("a.yaml", true),
        ("dir/a.yml", true),
        ("dir/Kustomization", true),
        ("Kustomization", true),
        ("a.json", false),
        ("a.yaml.tpl", false),
        ("MyKustomization", false),
        ("a.YAML", false),
        ("Kustomization/x.txt", false),
    ] {
        assert_eq!(is_wanted(path), wanted, "{path}");
    }
}

/// The corpus's YAML: what Helm rendered, values of charts, kustomizations.
fn corpus() -> Vec<(String, String)> {
    let Some(root) = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from).filter(|root| root.is_dir()) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    let gunzip = |path: &Path| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    };
    for entry in std::fs::read_dir(root.join("helm/goldens")).unwrap() {
        let path = entry.unwrap().path();
        texts.push((path.display().to_string(), gunzip(&path)));
    }
    for name in ["public", "small", "krusty"] {
        for line in gunzip(&root.join(format!("kustomize/{name}.jsonl.gz"))).lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            for (path, text) in case["files"].as_object().into_iter().flatten() {
                if is_wanted(path) {
                    texts.push((format!("{name} {} {path}", case["id"]), text.as_str().unwrap().to_owned()));
                }
            }
        }
    }
    // The largest take most of the time and show nothing that others do not.
    texts.retain(|(_, text)| text.len() < 32 << 10);
    texts.sort();
    texts.dedup_by(|(_, one), (_, other)| one == other);
    texts
}

#[test]
fn over_the_corpus_exactly_the_bytes_of_marked_scalars_change() {
    let texts = corpus();
    if texts.is_empty() {
        println!("no corpus at $SLUICE_CORPUS: skipped");
        return;
    }
    let (mut files, mut scalars) = (0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chance = |of: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33).is_multiple_of(of)
    };
    for (name, text) in &texts {
        let Some(marked) = with_markers(text, &mut chance) else { continue };
        let updated = update([File { path: "f.yaml", content: marked.as_bytes() }], &policies()).unwrap();
        let Some(content) = updated.files.get("f.yaml") else { continue };
        files += 1;
        let content = std::str::from_utf8(content).unwrap();
        scalars += only_scalars_differ(name, &marked, content);
        // What was set once stays as it is.
        let again = update([File { path: "f.yaml", content: content.as_bytes() }], &policies()).unwrap();
        assert!(again.files.is_empty() && again.changes.is_empty(), "{name}: changed twice");
    }
    assert!(files > 1000 && scalars > 5000, "only {scalars} scalars of {files} files were changed");
}

/// The text with markers behind some of its one-line scalars; none if it has no fit one.
fn with_markers(text: &str, chance: &mut impl FnMut(u64) -> bool) -> Option<String> {
    let mut places = Vec::new();
    for (start, piece) in pieces(text).ok()? {
        let options = Options { schema: Schema::V3, ..Options::default() };
        for document in parse_nodes(piece, options).ok()? {
            document.root.visit(&mut |_, node| {
                let end = start + node.span.end;
                let line_ends = text[end..].starts_with(['\n', '\r']) || end == text.len();
                let one_line = !text[start + node.span.start..end].contains('\n');
                let block = matches!(node.style, Style::Literal | Style::Folded);
                if node.as_scalar().is_some() && !node.span.is_empty() && line_ends && one_line && !block {
                    places.push(end);
                }
            });
        }
    }
    places.sort_unstable();
    places.dedup();
    let rarely = (places.len() as u64 / 8).max(1);
    places.retain(|_| chance(rarely));
    let mut marked = text.to_owned();
    for (i, at) in places.iter().enumerate().rev() {
        let part = ["", ":tag", ":name"][i % 3];
        let policy = ["app", "number"][i % 2];
        marked.insert_str(*at, &format!(" # {{\"$imagepolicy\": \"ns:{policy}{part}\"}}"));
    }
    (!places.is_empty()).then_some(marked)
}

/// Compares before and after node by node: only marked scalars differ, and outside of their bytes nothing does.
fn only_scalars_differ(name: &str, before: &str, after: &str) -> usize {
    let options = Options { schema: Schema::V3, ..Options::default() };
    let (old, new) = (pieces(before).unwrap(), pieces(after).unwrap());
    assert_eq!(old.len(), new.len(), "{name}");
    let mut rebuilt = String::new();
    let mut changed = 0;
    let mut at = 0;
    for ((start, one), (new_start, other)) in old.iter().zip(&new) {
        let (one, other) = (parse_nodes(one, options).unwrap(), parse_nodes(other, options).unwrap());
        assert_eq!(one.len(), other.len(), "{name}");
        for (one, other) in one.iter().zip(&other) {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            one.root.visit(&mut |path, node| left.push((path.to_owned(), node)));
            other.root.visit(&mut |path, node| right.push((path.to_owned(), node)));
            assert_eq!(left.len(), right.len(), "{name}");
            for ((path, node), (new_path, new_node)) in left.iter().zip(&right) {
                assert_eq!(path, new_path, "{name}");
                assert_eq!((&node.tag, &node.anchor), (&new_node.tag, &new_node.anchor), "{name} {path}");
                let (Some(text), Some(new_text)) = (node.as_scalar(), new_node.as_scalar()) else { continue };
                if text == new_text {
                    continue;
                }
                assert!(node.line_comment.contains("$imagepolicy"), "{name} {path} has no marker");
                let string = new_node.is_string(Schema::V2) && new_node.is_string(Schema::V3);
                assert!(string || node.tag.is_some(), "{name} {path}: {new_text} is no string");
                rebuilt.push_str(&before[at..start + node.span.start]);
                rebuilt.push_str(&after[new_start + new_node.span.start..new_start + new_node.span.end]);
                at = start + node.span.end;
                changed += 1;
            }
        }
    }
    rebuilt.push_str(&before[at..]);
    assert_eq!(rebuilt, after, "{name}: more than scalars changed");
    changed
}
