//! Objects as the other rooms see them.

mod directory;
mod life;
mod manifests;
mod secrets;

use std::sync::Arc;

use flux_api::{FluxObject, GitRepository};

use super::{Change, ChangeKind, ChangeTarget, Objects};
use crate::model::{Clock, Kind, ObjectKey};

pub(super) fn clock() -> Clock {
    Clock::manual("2026-01-02T03:04:05Z".parse().unwrap())
}

/// Memory with one file of manifests.
pub(super) async fn holding(text: &str) -> Objects {
    let objects = Objects::memory(clock());
    objects.put_manifests("app.yaml", text).await;
    objects
}

/// All problems as text.
pub(super) fn problems(objects: &Objects) -> Vec<String> {
    objects.problems().iter().map(ToString::to_string).collect()
}

pub(super) fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "apps", name)
}

pub(super) fn git(name: &str) -> ObjectKey {
    key(Kind::GitRepository, name)
}

pub(super) fn get(objects: &Objects, key: &ObjectKey) -> Arc<FluxObject> {
    objects.get(key).unwrap_or_else(|| panic!("no `{key}`: {:?}", problems(objects)))
}

pub(super) fn interval(objects: &Objects, name: &str) -> String {
    objects.get_as::<GitRepository>("apps", name).unwrap().spec.interval.to_string()
}

/// A GitRepository of that interval.
pub(super) fn git_manifest(name: &str, interval: &str) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: {name}\n  namespace: apps\nspec:\n  interval: {interval}\n  url: https://example.com/{name}.git\n"
    )
}

pub(super) fn release_manifest(name: &str, more: &str) -> String {
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: {name}\n  namespace: apps\nspec:\n  interval: 1m\n  chartRef: {{kind: OCIRepository, name: c}}\n{more}"
    )
}

/// What was told since the last call.
pub(super) fn told(changes: &mut tokio::sync::broadcast::Receiver<Change>) -> Vec<(String, ChangeKind)> {
    let mut all = Vec::new();
    while let Ok(Change { target, what }) = changes.try_recv() {
        all.push((target.to_string(), what));
    }
    all
}

/// The next change of that object, waiting for it.
pub(super) async fn next(
    changes: &mut tokio::sync::broadcast::Receiver<Change>,
    key: &ObjectKey,
) -> ChangeKind {
    let wanted = ChangeTarget::Object(key.clone());
    let wait = async {
        loop {
            let change = changes.recv().await.unwrap();
            if change.target == wanted {
                return change.what;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.expect("the change comes")
}
