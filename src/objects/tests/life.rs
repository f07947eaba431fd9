//! How objects change: generations, statuses, overlays, generated ones, deletion, restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flux_api::{HelmChart, decode};
use serde_json::{Value, json};

use super::super::{ChangeError, DirectorySettings, MemoryStore, StatusStore};
use super::*;

#[tokio::test]
async fn the_generation_rises_with_the_spec_and_only_with_it() {
    let objects = holding(&git_manifest("a", "1m")).await;
    let mut changes = objects.subscribe();
    let first = get(&objects, &git("a"));
    assert_eq!(first.metadata().generation, 1);

    objects.put_manifests("app.yaml", &git_manifest("a", "2m")).await;
    let second = get(&objects, &git("a"));
    assert_eq!((second.metadata().generation, &second.metadata().uid), (2, &first.metadata().uid));
    assert_ne!(second.metadata().resource_version, first.metadata().resource_version);

    // Written otherwise, the same content.
    objects.put_manifests("app.yaml", &format!("# comment\n{}", git_manifest("a", "120s"))).await;
    let labelled = git_manifest("a", "2m").replace("  name: a\n", "  name: a\n  labels: {team: x}\n");
    objects.put_manifests("app.yaml", &labelled).await;
    assert_eq!(get(&objects, &git("a")).metadata().generation, 2);

    objects.put_manifests("app.yaml", &git_manifest("a", "1m")).await;
    assert_eq!(get(&objects, &git("a")).metadata().generation, 3);
    objects.put_manifests("app.yaml", "").await;
    let a = "GitRepository/apps/a".to_owned();
    assert_eq!(
        told(&mut changes),
        [
            (a.clone(), ChangeKind::SpecChanged),
            (a.clone(), ChangeKind::MetadataChanged),
            (a.clone(), ChangeKind::SpecChanged),
            (a, ChangeKind::Removed),
        ]
    );
}

#[tokio::test]
async fn a_status_belongs_to_one_uid() {
    let objects = holding(&git_manifest("a", "1m")).await;
    let uid = get(&objects, &git("a")).metadata().uid.clone();
    let mut changes = objects.subscribe();
    let status = json!({"observedGeneration": 1, "lastHandledReconcileAt": "x"});
    objects.patch_status(&git("a"), &uid, status.clone()).await.unwrap();
    assert_eq!(get(&objects, &git("a")).status_json(), status);
    // The same again is no change.
    objects.patch_status(&git("a"), &uid, status.clone()).await.unwrap();
    assert_eq!(told(&mut changes), [("GitRepository/apps/a".to_owned(), ChangeKind::StatusChanged)]);

    let other = objects.patch_status(&git("a"), "other", json!({})).await.unwrap_err();
    assert!(matches!(other, ChangeError::UidMismatch { .. }));
    let bad = objects.patch_status(&git("a"), &uid, json!({"observedGeneration": "x"})).await.unwrap_err();
    assert!(matches!(bad, ChangeError::BadStatus { .. }));
    let gone = objects.patch_status(&git("b"), &uid, json!({})).await.unwrap_err();
    assert!(matches!(gone, ChangeError::NotFound(_)));

    // A change of the spec leaves the status.
    objects.put_manifests("app.yaml", &git_manifest("a", "2m")).await;
    assert_eq!(get(&objects, &git("a")).status_json(), status);
}

#[tokio::test]
async fn suspend_is_laid_over_the_manifest() {
    let objects = holding(&git_manifest("a", "1m")).await;
    let mut changes = objects.subscribe();
    objects.set_suspend(&git("a"), true).await.unwrap();
    let object = get(&objects, &git("a"));
    assert_eq!((object.suspended(), object.metadata().generation), (true, 2));
    objects.set_suspend(&git("a"), true).await.unwrap();
    // It outlives edits of the manifest.
    objects.put_manifests("app.yaml", &git_manifest("a", "2m")).await;
    assert!(get(&objects, &git("a")).suspended());
    objects.set_suspend(&git("a"), false).await.unwrap();
    let object = get(&objects, &git("a"));
    assert_eq!((object.suspended(), object.metadata().generation), (false, 4));
    assert_eq!(told(&mut changes), vec![("GitRepository/apps/a".to_owned(), ChangeKind::SpecChanged); 3]);
    assert!(matches!(objects.set_suspend(&git("b"), true).await, Err(ChangeError::NotFound(_))));
}

#[tokio::test]
async fn annotations_are_laid_over_the_manifest() {
    let objects = holding(&git_manifest("a", "1m")).await;
    let mut changes = objects.subscribe();
    let request = |at: &str| BTreeMap::from([("reconcile.fluxcd.io/requestedAt".to_owned(), at.to_owned())]);
    objects.annotate(&git("a"), request("1")).await.unwrap();
    objects.annotate(&git("a"), request("1")).await.unwrap();
    objects.annotate(&git("a"), request("2")).await.unwrap();
    let object = get(&objects, &git("a"));
    assert_eq!((object.requested_at(), object.metadata().generation), (Some("2"), 1));
    assert_eq!(told(&mut changes), vec![("GitRepository/apps/a".to_owned(), ChangeKind::MetadataChanged); 2]);
}

fn chart(name: &str, version: &str) -> HelmChart {
    let manifest = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"chart": "c", "version": version, "interval": "1m", "sourceRef": {"kind": "GitRepository", "name": "g"}},
    });
    decode(&manifest).unwrap().get::<HelmChart>().unwrap().clone()
}

#[tokio::test]
async fn generated_charts_belong_to_their_release() {
    let objects = holding(&release_manifest("r", "")).await;
    let (owner, key) = (key(Kind::HelmRelease, "r"), key(Kind::HelmChart, "apps-r"));
    let mut changes = objects.subscribe();
    objects.apply_generated(&owner, chart("apps-r", "1.x")).await.unwrap();
    objects.apply_generated(&owner, chart("apps-r", "1.x")).await.unwrap();
    objects.apply_generated(&owner, chart("apps-r", "2.x")).await.unwrap();
    assert_eq!(get(&objects, &key).metadata().generation, 2);
    assert_eq!(objects.owner(&key), Some(owner.clone()));
    let name = "HelmChart/apps/apps-r".to_owned();
    assert_eq!(
        told(&mut changes),
        [(name.clone(), ChangeKind::Added), (name.clone(), ChangeKind::SpecChanged)]
    );
    let other = objects.apply_generated(&git("x"), chart("apps-r", "1.x")).await.unwrap_err();
    assert!(matches!(other, ChangeError::NotOwned { .. }));

    objects.remove_generated(&key).await.unwrap();
    objects.remove_generated(&key).await.unwrap();
    assert!(objects.get(&key).is_none());
    assert_eq!(told(&mut changes), [(name.clone(), ChangeKind::Removed)]);

    // A manifest cannot take a generated name, nor a reconciler a manifest's.
    objects.apply_generated(&owner, chart("apps-r", "1.x")).await.unwrap();
    objects.put_manifests("chart.yaml", &chart("apps-r", "3.x").into_flux_text()).await;
    assert_eq!(
        problems(&objects),
        ["chart.yaml: `HelmChart/apps/apps-r` is a name sluice uses itself; give this object another one"]
    );
    objects.put_manifests("chart.yaml", &chart("mine", "3.x").into_flux_text()).await;
    assert!(objects.apply_generated(&owner, chart("mine", "1.x")).await.is_err());
    // It goes with its owner.
    told(&mut changes);
    objects.put_manifests("app.yaml", "").await;
    assert_eq!(told(&mut changes), [("HelmRelease/apps/r".to_owned(), ChangeKind::MetadataChanged)]);
    objects.finalize(&owner).await.unwrap();
    assert_eq!(
        told(&mut changes),
        [(name, ChangeKind::Removed), ("HelmRelease/apps/r".to_owned(), ChangeKind::Removed)]
    );
}

trait Text {
    fn into_flux_text(self) -> String;
}

impl Text for HelmChart {
    fn into_flux_text(self) -> String {
        FluxObject::from(self).to_json().to_string()
    }
}

#[tokio::test]
async fn a_release_without_manifest_stays_until_it_is_cleaned_up() {
    let objects = holding(&release_manifest("r", "")).await;
    let r = key(Kind::HelmRelease, "r");
    let uid = get(&objects, &r).metadata().uid.clone();
    objects.patch_status(&r, &uid, json!({"observedGeneration": 1})).await.unwrap();
    let mut changes = objects.subscribe();
    objects.put_manifests("app.yaml", "").await;
    let leaving = get(&objects, &r);
    assert_eq!(leaving.metadata().deletion_timestamp.unwrap().to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(leaving.metadata().finalizers, ["finalizers.fluxcd.io"]);
    assert_eq!((leaving.observed_generation(), objects.file(&r)), (1, None));

    // Back again: nothing is deleted.
    objects.put_manifests("app.yaml", &release_manifest("r", "")).await;
    assert_eq!(get(&objects, &r).metadata().deletion_timestamp, None);
    assert!(!objects.finalize(&r).await.unwrap());

    objects.put_manifests("app.yaml", "").await;
    assert!(objects.finalize(&r).await.unwrap());
    assert!(objects.get(&r).is_none());
    let name = "HelmRelease/apps/r".to_owned();
    assert_eq!(
        told(&mut changes),
        [
            (name.clone(), ChangeKind::MetadataChanged),
            (name.clone(), ChangeKind::MetadataChanged),
            (name.clone(), ChangeKind::MetadataChanged),
            (name, ChangeKind::Removed),
        ]
    );
}

#[tokio::test]
async fn a_broken_edit_keeps_the_last_good_object() {
    let objects = holding(&git_manifest("a", "1m")).await;
    let mut changes = objects.subscribe();
    objects.put_manifests("app.yaml", &git_manifest("a", "5")).await;
    assert_eq!(interval(&objects, "a"), "1m0s");
    let invalid = objects.invalid();
    assert_eq!((invalid.len(), invalid[0].last_good), (1, true));
    // Half a file: the object is not in it, but may be in the other half.
    objects.put_manifests("app.yaml", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: [\n").await;
    assert_eq!(interval(&objects, "a"), "1m0s");
    assert_eq!(objects.invalid(), []);
    objects.put_manifests("app.yaml", &git_manifest("a", "1m")).await;
    assert_eq!(problems(&objects), Vec::<String>::new());
    assert_eq!(get(&objects, &git("a")).metadata().generation, 1);
    let a = "GitRepository/apps/a".to_owned();
    assert_eq!(told(&mut changes), [(a.clone(), ChangeKind::Invalid), (a, ChangeKind::MetadataChanged)]);
}

/// A directory home that is not watched, over a store that outlives it.
async fn start(dir: &Path, store: &Arc<MemoryStore>) -> Objects {
    let settings = DirectorySettings { removal_grace: Duration::ZERO, ..DirectorySettings::default() };
    let store: Arc<dyn StatusStore> = store.clone();
    Objects::directory_with(dir.to_owned(), store, clock(), settings).await.unwrap().0
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

#[tokio::test]
async fn statuses_generations_and_overlays_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    write(dir.path(), "a.yaml", &git_manifest("a", "1m"));
    write(dir.path(), "r.yaml", &release_manifest("r", ""));
    let objects = start(dir.path(), &store).await;
    let uid = get(&objects, &git("a")).metadata().uid.clone();
    objects.set_suspend(&git("a"), true).await.unwrap();
    objects.patch_status(&git("a"), &uid, json!({"observedGeneration": 2})).await.unwrap();
    let owner = key(Kind::HelmRelease, "r");
    objects.apply_generated(&owner, chart("apps-r", "1.x")).await.unwrap();

    let objects = start(dir.path(), &store).await;
    let object = get(&objects, &git("a"));
    assert_eq!(
        (object.metadata().generation, object.suspended(), object.observed_generation()),
        (2, true, 2)
    );
    assert_eq!(object.metadata().uid, uid);
    assert_eq!(objects.owner(&key(Kind::HelmChart, "apps-r")), Some(owner));

    // Edited while nobody looked.
    write(dir.path(), "a.yaml", &git_manifest("a", "7m"));
    let objects = start(dir.path(), &store).await;
    let object = get(&objects, &git("a"));
    assert_eq!((object.metadata().generation, object.observed_generation()), (3, 2));
    assert!(object.suspended());
}

#[tokio::test]
async fn a_deletion_under_way_outlives_a_restart_but_an_absence_at_the_start_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    write(dir.path(), "r.yaml", &release_manifest("r", "  releaseName: kept\n"));
    write(dir.path(), "s.yaml", &release_manifest("s", ""));
    let objects = start(dir.path(), &store).await;
    for name in ["r", "s"] {
        let key = key(Kind::HelmRelease, name);
        let uid = get(&objects, &key).metadata().uid.clone();
        objects.patch_status(&key, &uid, json!({"observedGeneration": 1})).await.unwrap();
    }
    std::fs::remove_file(dir.path().join("r.yaml")).unwrap();
    objects.rescan().await.unwrap();
    drop(objects);

    std::fs::remove_file(dir.path().join("s.yaml")).unwrap();
    let objects = start(dir.path(), &store).await;
    let leaving: flux_api::HelmRelease = objects.get_as("apps", "r").unwrap();
    assert!(leaving.metadata.deletion_timestamp.is_some());
    assert_eq!(leaving.spec.release_name.as_deref(), Some("kept"));
    assert_eq!(leaving.status.observed_generation, 1);
    assert!(objects.get(&key(Kind::HelmRelease, "s")).is_none());
    let found = problems(&objects);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(".: `HelmRelease/apps/s` was here in an earlier run"), "{}", found[0]);

    // It comes back as it was.
    write(dir.path(), "s.yaml", &release_manifest("s", ""));
    objects.rescan().await.unwrap();
    assert_eq!(get(&objects, &key(Kind::HelmRelease, "s")).observed_generation(), 1);
    assert_eq!(problems(&objects), Vec::<String>::new());
}

/// A store that is full.
#[derive(Default)]
struct Full(MemoryStore);

impl StatusStore for Full {
    fn load_all(&self) -> futures::future::BoxFuture<'_, anyhow::Result<super::super::StoredObjects>> {
        self.0.load_all()
    }
    fn put_status(
        &self,
        _: super::super::StatusRecord,
    ) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Err(anyhow::anyhow!("disk full")) })
    }
    fn delete(&self, object: &ObjectKey) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        self.0.delete(object)
    }
    fn put_generated(
        &self,
        _: super::super::GeneratedRecord,
    ) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Err(anyhow::anyhow!("disk full")) })
    }
    fn remove_generated(&self, object: &ObjectKey) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        self.0.remove_generated(object)
    }
    fn put_overlay(
        &self,
        _: super::super::OverlayRecord,
    ) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Err(anyhow::anyhow!("disk full")) })
    }
}

#[tokio::test]
async fn what_is_not_stored_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.yaml", &git_manifest("a", "1m"));
    let store: Arc<dyn StatusStore> = Arc::new(Full::default());
    let (objects, _watcher) = Objects::directory(dir.path().to_owned(), store, clock()).await.unwrap();
    let uid = get(&objects, &git("a")).metadata().uid.clone();
    let error = objects.patch_status(&git("a"), &uid, json!({"observedGeneration": 1})).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to store the change of `GitRepository/apps/a`: disk full");
    assert!(objects.set_suspend(&git("a"), true).await.is_err());
    assert!(objects.apply_generated(&git("a"), chart("x", "1")).await.is_err());
    let object = get(&objects, &git("a"));
    assert_eq!((object.status_json(), object.suspended()), (json!({}), false));
    assert_eq!(objects.all().len(), 1);
    // A change of the manifest is taken in all the same.
    write(dir.path(), "a.yaml", &git_manifest("a", "3m"));
    objects.rescan().await.unwrap();
    assert_eq!(interval(&objects, "a"), "3m0s");
    let _: Value = object.to_json();
}

#[tokio::test]
async fn labels_of_namespaces_are_those_of_their_manifests_and_the_one_all_have() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: web}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {env: prod}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: 'not a name'}\n";
    let objects = holding(text).await;
    let pairs = |name: &str| {
        let labels = objects.namespace_labels(name);
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(pairs("web"), "env=prod kubernetes.io/metadata.name=web team=web");
    assert_eq!(pairs("other"), "kubernetes.io/metadata.name=other");
    assert!(problems(&objects).is_empty());
}

#[tokio::test]
async fn a_staged_status_is_shown_at_once_and_kept_when_its_job_ends() {
    let objects = holding(&(git_manifest("a", "1m") + "---\n" + &git_manifest("b", "1m"))).await;
    let uid = |name: &str| get(&objects, &git(name)).metadata().uid.clone();
    let (a, b) = (uid("a"), uid("b"));
    let mut changes = objects.subscribe();
    let status = json!({"observedGeneration": 1});
    objects.stage_status(&git("a"), &a, &status).unwrap();
    objects.stage_status(&git("a"), &a, &status).unwrap();
    assert_eq!(get(&objects, &git("a")).status_json(), status);
    assert_eq!(told(&mut changes), [("GitRepository/apps/a".to_owned(), ChangeKind::StatusChanged)]);
    let wrong = objects.stage_status(&git("a"), &b, &json!({})).unwrap_err();
    assert!(matches!(wrong, ChangeError::UidMismatch { .. }));

    // A job that could not be ended leaves it to the next one.
    let keys = [git("a"), git("b")];
    let mut unsaved = objects.unsaved(&keys).await;
    assert_eq!(unsaved.take_records().len(), 1);
    drop(unsaved);
    let mut unsaved = objects.unsaved(&keys).await;
    let records = unsaved.take_records();
    assert_eq!((records.len(), &records[0].object, &records[0].status), (1, &git("a"), &status));
    // What comes after the records were taken is not kept with them.
    objects.stage_status(&git("a"), &a, &json!({"observedGeneration": 2})).unwrap();
    unsaved.kept();
    let mut unsaved = objects.unsaved(&keys).await;
    assert_eq!(unsaved.take_records()[0].status, json!({"observedGeneration": 2}));
    unsaved.kept();
    assert!(objects.unsaved(&keys).await.take_records().is_empty());
}
