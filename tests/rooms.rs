//! Proves the direction of imports between the rooms of `src/`: `use crate::<room>` only along the arrows below.
//!
//! A new arrow is a decision: change the table in a commit of its own and say why.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may import. `app` and `cli` wire everything and may import all of them.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("telemetry", &[]),
    ("config", &["model", "telemetry"]),
    ("queue", &["model", "telemetry"]),
    ("objects", &["model", "telemetry"]),
    ("source", &["model", "telemetry"]),
    ("cluster", &["model", "telemetry"]),
    ("render", &["model", "telemetry", "source"]),
    ("release", &["model", "telemetry", "cluster", "render"]),
    ("image", &["model", "telemetry", "source"]),
    ("notify", &["model", "telemetry"]),
    ("receiver", &["model", "telemetry", "queue", "objects"]),
    ("api", &["model", "telemetry", "queue", "objects"]),
    (
        "reconcile",
        &[
            "model",
            "telemetry",
            "queue",
            "objects",
            "source",
            "cluster",
            "render",
            "release",
            "image",
            "notify",
        ],
    ),
    ("demo", &["model", "telemetry", "app", "cluster", "objects", "receiver"]),
];

const MAY_IMPORT_EVERYTHING: &[&str] = &["app", "cli", "main", "lib"];

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms a line names: `use crate::queue::X`, `crate::objects::Y`, `use crate::{model::A, queue::B}`.
fn rooms_named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            for item in list.trim_end_matches([';', '}']).split(',') {
                rooms.push(item.trim().split("::").next().unwrap_or_default().to_owned());
            }
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn rooms_import_only_along_the_arrows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut offences = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let room = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if MAY_IMPORT_EVERYTHING.contains(&room.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            offences.push(format!("src/{}: `{room}` is no room of tests/rooms.rs", relative.display()));
            continue;
        };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for named in rooms_named(line) {
                let is_room = MAY_IMPORT.iter().any(|(name, _)| *name == named)
                    || MAY_IMPORT_EVERYTHING.contains(&named.as_str());
                if is_room && named != room && !allowed.contains(&named.as_str()) {
                    offences.push(format!(
                        "src/{}:{}: `{room}` may not import `{named}`: {}",
                        relative.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(offences.is_empty(), "imports against the direction of the rooms:\n{}", offences.join("\n"));
}

#[test]
fn the_scanner_sees_every_way_to_name_a_room() {
    assert_eq!(rooms_named("use crate::queue::Job;"), ["queue"]);
    assert_eq!(rooms_named("use crate::{model::ObjectKey, queue::Job};"), ["model", "queue"]);
    assert_eq!(rooms_named("let x = crate::objects::get(crate::model::id());"), ["objects", "model"]);
    assert!(rooms_named("// crate::queue is not used here").is_empty());
}
