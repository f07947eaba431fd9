//! Archives, includes and ignore rules.

use std::time::Duration;

use sluice::demo::repository::Change::{Executable, Link, Remove, Write};
use sluice::demo::repository::DemoRepository;
use sluice::model::{Kind, ObjectKey};
use sluice::source::{ArtifactRequest, GitCheckout, GitRequest, Include};

use crate::world::*;

/// Name, type, mode, modification time, owner of each entry of a stored artifact.
fn listing(world: &World, path: &str) -> Vec<String> {
    let file = std::fs::File::open(world.directory.path().join("state/artifacts").join(path)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            format!("{:o} {}", header.mode().unwrap(), entry.path().unwrap().display())
        })
        .collect()
}

#[tokio::test]
async fn artifacts_are_normalised_shared_swept_and_verified() {
    let world = world().await;
    let repository = &world.repository;
    let changes = [
        Write("charts/app/Chart.yaml", b"name: app"),
        Write("charts/app/icon.png", b"png"),
        Write(".github/workflows/ci.yaml", b"ci"),
        Write(".gitignore", b"x"),
        Write("deploy/app.yaml", b"a"),
        Executable("run.sh", b"#!/bin/sh"),
        Link("link", "run.sh"),
    ];
    let first = repository.commit("main", &changes, "one").unwrap();
    let checkout = world.fetch(&world.request()).await;
    let key = |name: &str| ObjectKey::new(Kind::GitRepository, "ns", name);
    let store = async |name: &str, checkout: &GitCheckout, ignore: Option<&str>| {
        let request = ArtifactRequest { key: &key(name), checkout, ignore, includes: &[] };
        world.sources.artifact(request).await.unwrap()
    };
    let artifact = store("app", &checkout, None).await;
    assert_eq!(artifact.path, format!("gitrepository/ns/app/{first}.tar.gz"));
    assert_eq!(artifact.revision, checkout.revision);
    assert_eq!(artifact.last_update_time, world.clock.now());
    assert_eq!(
        listing(&world, &artifact.path),
        [
            "750 charts",
            "750 charts/app",
            "600 charts/app/Chart.yaml",
            "750 deploy",
            "600 deploy/app.yaml",
            "700 run.sh"
        ],
        "Flux's defaults leave out VCS files, CI and pictures; links are dropped"
    );
    let path = world.sources.verify_artifact(&artifact).await.unwrap().unwrap();
    assert_eq!(artifact.size, std::fs::metadata(&path).unwrap().len());
    let twin = store("twin", &checkout, None).await;
    assert_eq!(twin.digest, artifact.digest);
    let blobs = || std::fs::read_dir(world.directory.path().join("state/artifacts/sha256")).unwrap().count();
    assert_eq!(blobs(), 1, "equal content is stored once");
    let narrow = store("twin", &checkout, Some("/*\n!/deploy/\n")).await;
    assert_eq!(listing(&world, &narrow.path), ["750 deploy", "600 deploy/app.yaml"]);
    let stored = |name: &str| {
        std::fs::read_dir(world.directory.path().join("state/artifacts/gitrepository/ns").join(name))
            .unwrap()
            .count()
    };
    for number in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        repository.commit("main", &[Write("n", format!("{number}").as_bytes())], "n").unwrap();
        let checkout = world.fetch(&world.request()).await;
        let last = store("app", &checkout, None).await;
        assert!(world.sources.verify_artifact(&last).await.unwrap().is_some());
    }
    assert_eq!((stored("app"), stored("twin"), blobs()), (2, 1, 3));
    assert_eq!(world.sources.verify_artifact(&artifact).await.unwrap(), None, "the first is swept");
    let path = world.sources.verify_artifact(&narrow).await.unwrap().unwrap();
    std::fs::write(&path, b"tampered").unwrap();
    assert_eq!(world.sources.verify_artifact(&narrow).await.unwrap(), None);
    world.sources.remove_artifacts(&key("app")).await.unwrap();
    world.sources.remove_artifacts(&key("twin")).await.unwrap();
    assert_eq!(blobs(), 0);
    for (namespace, name) in [("..", "x"), ("ns", "../../x"), ("", "x")] {
        let key = ObjectKey::new(Kind::GitRepository, namespace, name);
        let request = ArtifactRequest { key: &key, checkout: &checkout, ignore: None, includes: &[] };
        assert_eq!(world.sources.artifact(request).await.unwrap_err().reason(), "IllegalPath");
    }
}

#[tokio::test]
async fn includes_take_part_of_another_artifact() {
    let world = world().await;
    let other = DemoRepository::create(world.directory.path().join("git/other.git"), "main").unwrap();
    other
        .commit(
            "main",
            &[Write("base/b.yaml", b"b"), Write("x.yaml", b"x"), Write("base/pic.png", b"p")],
            "o",
        )
        .unwrap();
    world.repository.commit("main", &[Write("a.yaml", b"a")], "a").unwrap();
    let key = |name: &str| ObjectKey::new(Kind::GitRepository, "ns", name);
    let request = GitRequest { url: format!("{}/other.git", world.forge.url), ..world.request() };
    let included = world.fetch(&request).await;
    let (other_key, app_key) = (key("other"), key("app"));
    let request = ArtifactRequest { key: &other_key, checkout: &included, ignore: None, includes: &[] };
    let artifact = world.sources.artifact(request).await.unwrap();
    let include = Include { artifact, from_path: "./base".into(), to_path: "vendor/base".into() };
    let checkout = world.fetch(&world.request()).await;
    let includes = [include.clone()];
    let request = ArtifactRequest { key: &app_key, checkout: &checkout, ignore: None, includes: &includes };
    let combined = world.sources.artifact(request).await.unwrap();
    assert_eq!(
        listing(&world, &combined.path),
        ["600 a.yaml", "750 vendor", "750 vendor/base", "600 vendor/base/b.yaml"]
    );
    let reading = world.sources.with_includes(&checkout, &includes).await.unwrap();
    assert_eq!(read(&reading, "vendor/base/b.yaml").await.as_deref(), Some("b"));
    assert_eq!(names(&reading, "").await, ["a.yaml", "vendor/base/b.yaml"]);
    assert_ne!(reading.repository.tree_id("").await.unwrap(), checkout.repository.tree_id("").await.unwrap());
    for (from, to, reason) in
        [("none", "v", "CopyFailure"), ("../x", "v", "CopyFailure"), ("", "../x", "IllegalPath")]
    {
        let include = Include { from_path: from.into(), to_path: to.into(), ..include.clone() };
        let refused = world.sources.with_includes(&checkout, &[include]).await.unwrap_err();
        assert_eq!(refused.reason(), reason, "{refused}");
    }
}

#[tokio::test]
async fn sourceignore_files_count_from_where_they_stand() {
    let world = world().await;
    world
        .repository
        .commit(
            "main",
            &[
                Write(".sourceignore", b"*.md\n"),
                Write("readme.md", b"1"),
                Write("a/.sourceignore", b"/x.yaml\n!keep.md\n"),
                Write("a/x.yaml", b"1"),
                Write("a/b/x.yaml", b"1"),
                Write("a/keep.md", b"1"),
                Write("pic.png", b"1"),
            ],
            "x",
        )
        .unwrap();
    let checkout = world.fetch(&world.request()).await;
    let left = async |spec: Option<&str>| {
        let rules = checkout.repository.ignore_rules(spec).await.unwrap();
        let files = checkout.repository.files("", &rules, checkout.repository.file_limits()).await.unwrap();
        files.unwrap().into_keys().collect::<Vec<_>>()
    };
    assert_eq!(
        left(None).await,
        [".sourceignore", "a/.sourceignore", "a/b/x.yaml", "a/keep.md", "pic.png"],
        "one pattern anywhere drops the defaults"
    );
    assert_eq!(left(Some("a/\n!readme.md")).await, [".sourceignore", "pic.png", "readme.md"]);
    world
        .repository
        .commit("main", &[Remove(".sourceignore"), Remove("a/.sourceignore")], "without")
        .unwrap();
    let bare = world.fetch(&world.request()).await;
    let rules = bare.repository.ignore_rules(None).await.unwrap();
    assert!(rules.excludes("pic.png", false));
}
