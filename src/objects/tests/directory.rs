//! A real directory, really watched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::{DirectorySettings, DirectoryWatcher, MemoryStore};
use super::*;

/// No waiting where nothing is waited for; the rescan never comes.
const SETTINGS: DirectorySettings = DirectorySettings {
    quiet: Duration::from_millis(20),
    patience: Duration::from_secs(2),
    rescan: Duration::from_secs(3600),
    removal_grace: Duration::from_millis(100),
};

async fn open_with(dir: &Path, settings: DirectorySettings) -> (Objects, DirectoryWatcher) {
    let store = Arc::new(MemoryStore::default());
    Objects::directory_with(dir.to_owned(), store, clock(), settings).await.unwrap()
}

async fn open(dir: &Path) -> (Objects, DirectoryWatcher) {
    open_with(dir, SETTINGS).await
}

#[tokio::test]
async fn changes_are_seen_without_being_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), git_manifest("a", "1m")).unwrap();
    let (objects, watcher) = open(dir.path()).await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(watcher.run(cancel.clone()));
    let mut changes = objects.subscribe();

    fs::write(dir.path().join("a.yaml"), git_manifest("a", "2m")).unwrap();
    assert_eq!(next(&mut changes, &git("a")).await, ChangeKind::SpecChanged);
    assert_eq!(interval(&objects, "a"), "2m0s");

    // In a directory made just now, and renamed into place as editors do.
    fs::create_dir_all(dir.path().join("deep/er")).unwrap();
    fs::write(dir.path().join("deep/er/.tmp"), git_manifest("b", "1m")).unwrap();
    fs::rename(dir.path().join("deep/er/.tmp"), dir.path().join("deep/er/b.yml")).unwrap();
    assert_eq!(next(&mut changes, &git("b")).await, ChangeKind::Added);

    fs::remove_dir_all(dir.path().join("deep")).unwrap();
    assert_eq!(next(&mut changes, &git("b")).await, ChangeKind::Removed);

    cancel.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_no_event_told_is_found_by_the_rescan() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), git_manifest("a", "1m")).unwrap();
    let settings = DirectorySettings { rescan: Duration::from_millis(50), ..SETTINGS };
    let (objects, watcher) = open_with(dir.path(), settings).await;
    // The system tells nothing any more, as on some network file systems.
    let watcher = watcher.without_events();
    let cancel = CancellationToken::new();
    let running = tokio::spawn(watcher.run(cancel.clone()));
    let mut changes = objects.subscribe();
    fs::write(dir.path().join("a.yaml"), git_manifest("a", "2m")).unwrap();
    assert_eq!(next(&mut changes, &git("a")).await, ChangeKind::SpecChanged);
    cancel.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_manifest_must_stay_away_to_be_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, git_manifest("a", "1m")).unwrap();
    let settings = DirectorySettings { removal_grace: Duration::from_secs(3600), ..SETTINGS };
    let (objects, _watcher) = open_with(dir.path(), settings).await;
    fs::remove_file(&file).unwrap();
    assert!(objects.rescan().await.unwrap(), "to be looked for again");
    get(&objects, &git("a"));
    fs::write(&file, "").unwrap();
    assert!(objects.rescan().await.unwrap());
    get(&objects, &git("a"));
    fs::write(&file, git_manifest("a", "1m")).unwrap();
    assert!(!objects.rescan().await.unwrap());
}

#[tokio::test]
async fn a_directory_that_is_gone_takes_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), git_manifest("a", "1m")).unwrap();
    let settings = DirectorySettings { removal_grace: Duration::ZERO, ..SETTINGS };
    let (objects, _watcher) = open_with(&root, settings).await;
    fs::rename(&root, dir.path().join("away")).unwrap();
    assert!(objects.rescan().await.is_err());
    assert!(objects.rescan().await.is_err());
    get(&objects, &git("a"));
    assert_eq!(problems(&objects).len(), 1, "{:?}", problems(&objects));
    fs::rename(dir.path().join("away"), &root).unwrap();
    assert!(!objects.rescan().await.unwrap());
    assert_eq!(problems(&objects), Vec::<String>::new());

    let store = Arc::new(MemoryStore::default());
    let missing = Objects::directory(dir.path().join("nowhere"), store, clock()).await;
    assert!(missing.is_err());
}

#[tokio::test]
async fn only_manifests_inside_the_directory_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::write(outside.path().join("out.yaml"), git_manifest("out", "1m")).unwrap();
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::create_dir_all(root.join("..data")).unwrap();
    fs::create_dir_all(root.join("chart/templates")).unwrap();
    fs::write(root.join("chart/Chart.yaml"), "name: chart\n").unwrap();
    fs::write(root.join("chart/templates/x.yaml"), "{{ if .x }}\n").unwrap();
    for (file, name) in [
        ("sub/a.yaml", "a"),
        ("b.json", "b"),
        ("c.yml", "c"),
        (".hidden.yaml", "hidden"),
        (".git/x.yaml", "hidden"),
        ("d.yaml.bak", "backup"),
        ("e.txt", "text"),
        ("..data/mounted.yaml", "mounted"),
    ] {
        fs::write(root.join(file), git_manifest(name, "1m")).unwrap();
    }
    symlink(outside.path().join("out.yaml"), root.join("out.yaml")).unwrap();
    symlink(outside.path(), root.join("outside")).unwrap();
    symlink("nowhere.yaml", root.join("dangling.yaml")).unwrap();
    symlink("..", root.join("sub/loop")).unwrap();
    symlink("sub", root.join("again")).unwrap();
    // As Kubernetes mounts ConfigMaps.
    symlink("..data/mounted.yaml", root.join("mounted.yaml")).unwrap();
    let (objects, _watcher) = open(root).await;
    let names: Vec<String> = objects.all().iter().map(|object| object.name().to_owned()).collect();
    assert_eq!(names, ["a", "b", "c", "mounted"]);
    let found = problems(&objects);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("dangling.yaml: is a link that leads nowhere"), "{}", found[0]);
    assert_eq!(found[1], "out.yaml: is a link out of the directory and is not followed");
    assert_eq!(objects.file(&git("a")).as_deref(), Some("sub/a.yaml"));
}

#[tokio::test]
async fn a_thousand_objects_load_and_an_edit_touches_one() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..1000 {
        fs::write(dir.path().join(format!("{number}.yaml")), release_manifest(&format!("r{number}"), ""))
            .unwrap();
    }
    let (objects, _watcher) = open(dir.path()).await;
    assert_eq!(objects.list(Kind::HelmRelease).len(), 1000);
    let mut changes = objects.subscribe();
    fs::write(dir.path().join("7.yaml"), release_manifest("r7", "  timeout: 9m\n")).unwrap();
    objects.rescan().await.unwrap();
    assert_eq!(told(&mut changes), [("HelmRelease/apps/r7".to_owned(), ChangeKind::SpecChanged)]);
}
