//! What we know of every object, and how a new reading of the manifests changes it. Pure: no file system, no store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::{FINALIZER, FluxObject, Time};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::change::{Change, ChangeKind, ChangeTarget};
use super::config::{ConfigMap, Secret};
use super::overlay::Overlay;
use super::problem::{ChangeError, ConfigError, InvalidObject, ManifestProblem};
use super::store::{GeneratedRecord, StatusRecord, StoredObjects};
use crate::model::{Kind, ObjectKey, Timestamp};

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As its manifest has it.
    pub(super) base: Arc<FluxObject>,
    /// With overlay, generation and status: what everybody sees.
    pub(super) object: Arc<FluxObject>,
    /// Digest of the visible spec.
    pub(super) spec_hash: String,
    pub(super) origin: Origin,
}

/// Where an object comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A manifest.
    File(String),
    /// A reconciler made it for this object.
    Generated(ObjectKey),
    /// Its manifest is gone; it stays until its reconciler has cleaned up.
    Deleting,
}

/// A Secret or ConfigMap, or why it cannot be used.
pub(super) type ConfigEntry<T> = (String, Result<Arc<T>, ConfigError>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<ObjectKey, Entry>,
    pub(super) overlays: HashMap<ObjectKey, Overlay>,
    /// Statuses of earlier runs whose objects have not appeared yet.
    pub(super) records: BTreeMap<ObjectKey, StatusRecord>,
    pub(super) secrets: BTreeMap<(String, String), ConfigEntry<Secret>>,
    pub(super) config_maps: BTreeMap<(String, String), ConfigEntry<ConfigMap>>,
    /// Files and labels of Namespaces.
    pub(super) namespaces: BTreeMap<String, (String, BTreeMap<String, String>)>,
    pub(super) problems: Vec<ManifestProblem>,
    pub(super) invalid: BTreeMap<ObjectKey, InvalidObject>,
    /// Where in their files objects begin, as of the last reading.
    pub(super) lines: HashMap<ObjectKey, u32>,
    /// Objects whose manifest was not there any more, and since when.
    missing: HashMap<ObjectKey, Instant>,
    /// Counts writes; the next resource version.
    version: u64,
}

/// One reading of all manifests.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Objects by key, with their file.
    pub(super) objects: BTreeMap<ObjectKey, (String, Arc<FluxObject>)>,
    /// Their keys, which stay when the objects have been taken over.
    pub(super) found: HashSet<ObjectKey>,
    /// Where in their files they begin.
    pub(super) lines: HashMap<ObjectKey, u32>,
    /// Objects whose manifest is not valid, with file and message.
    pub(super) invalid: BTreeMap<ObjectKey, (String, String)>,
    pub(super) secrets: BTreeMap<(String, String), ConfigEntry<Secret>>,
    pub(super) config_maps: BTreeMap<(String, String), ConfigEntry<ConfigMap>>,
    pub(super) namespaces: BTreeMap<String, (String, BTreeMap<String, String>)>,
    pub(super) problems: Vec<ManifestProblem>,
    /// Files and directories of which something could not be read: what seems missing may only be hidden.
    pub(super) unclear: Vec<String>,
}

/// What a merge leads to.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) changes: Vec<Change>,
    pub(super) persist: Vec<Persist>,
    /// Whether manifests are missing that may be gone: look again after the grace period.
    pub(super) look_again: bool,
}

/// What to write to the store.
#[derive(Debug)]
pub(super) enum Persist {
    Status(StatusRecord),
    Generated(GeneratedRecord),
    RemoveGenerated(ObjectKey),
    Delete(ObjectKey),
}

impl Persist {
    pub(super) fn key(&self) -> &ObjectKey {
        match self {
            Self::Status(record) => &record.object,
            Self::Generated(record) => &record.object,
            Self::RemoveGenerated(key) | Self::Delete(key) => key,
        }
    }
}

impl Reading {
    /// Whether what the file held may still be there, unread.
    fn is_unclear(&self, file: &str) -> bool {
        self.unclear.iter().any(|unclear| {
            unclear == "."
                || file == unclear
                || file.strip_prefix(unclear).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl State {
    /// What earlier runs left.
    pub(super) fn restore(stored: StoredObjects) -> Self {
        let mut state = Self {
            overlays: stored
                .overlays
                .into_iter()
                .map(|record| (record.object, Overlay::from_patch(&record.patch)))
                .collect(),
            records: stored.statuses.into_iter().map(|record| (record.object.clone(), record)).collect(),
            ..Self::default()
        };
        for record in stored.generated {
            // Written by us, so readable; if it is not any more, its owner will make it anew.
            let Ok(mut object) = flux_api::decode(&record.manifest) else { continue };
            let origin = if record.owner == record.object {
                object.metadata_mut().finalizers = vec![FINALIZER.to_owned()];
                Origin::Deleting
            } else {
                Origin::Generated(record.owner)
            };
            state.put(&record.object, Arc::new(object), origin);
        }
        state
    }

    /// Takes in a new reading of the manifests.
    pub(super) fn merge(
        &mut self,
        mut reading: Reading,
        at: Timestamp,
        now: Instant,
        grace: Duration,
    ) -> Merged {
        let mut merged = Merged::default();
        self.lines = std::mem::take(&mut reading.lines);
        self.put_objects(&mut reading, &mut merged);
        self.drop_objects(&reading, at, now, grace, &mut merged);
        self.put_invalid(&mut reading, at, &mut merged);
        let secrets = std::mem::take(&mut reading.secrets);
        put_configs(
            &mut self.secrets,
            secrets,
            &reading,
            |(namespace, name)| ChangeTarget::Secret(namespace, name),
            Secret::same,
            &mut merged,
        );
        let config_maps = std::mem::take(&mut reading.config_maps);
        put_configs(
            &mut self.config_maps,
            config_maps,
            &reading,
            |(namespace, name)| ChangeTarget::ConfigMap(namespace, name),
            |a, b| a == b,
            &mut merged,
        );
        self.put_namespaces(&mut reading, &mut merged);
        self.problems = std::mem::take(&mut reading.problems);
        self.problems.extend(self.orphans(&reading));
        merged
    }

    fn put_namespaces(&mut self, reading: &mut Reading, merged: &mut Merged) {
        let mut read = std::mem::take(&mut reading.namespaces);
        for (name, (file, labels)) in &self.namespaces {
            if !read.contains_key(name) && reading.is_unclear(file) {
                read.insert(name.clone(), (file.clone(), labels.clone()));
            }
        }
        let had = std::mem::replace(&mut self.namespaces, read);
        for name in had.keys().chain(self.namespaces.keys()).collect::<BTreeSet<_>>() {
            let what = match (had.get(name), self.namespaces.get(name)) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                (Some((_, was)), Some((_, is))) if was == is => continue,
                (Some(_), Some(_)) => ChangeKind::MetadataChanged,
            };
            merged.changes.push(Change { target: ChangeTarget::Namespace(name.clone()), what });
        }
    }

    fn put_objects(&mut self, reading: &mut Reading, merged: &mut Merged) {
        for (key, (file, base)) in std::mem::take(&mut reading.objects) {
            self.missing.remove(&key);
            let (was, deleting) = match self.entries.get(&key) {
                None => (None, false),
                Some(entry) if matches!(entry.origin, Origin::Generated(_)) => {
                    let message =
                        format!("`{key}` is a name sluice uses itself; give this object another one");
                    reading.problems.push(ManifestProblem { file, line: 0, key: Some(key), message });
                    continue;
                }
                Some(entry) if Arc::ptr_eq(&entry.base, &base) && entry.origin != Origin::Deleting => {
                    if entry.origin != Origin::File(file.clone())
                        && let Some(entry) = self.entries.get_mut(&key)
                    {
                        entry.origin = Origin::File(file);
                    }
                    continue;
                }
                Some(entry) => (Some(entry.clone()), entry.origin == Origin::Deleting),
            };
            let record = self.put(&key, base, Origin::File(file));
            let is = &self.entries[&key];
            let what = match &was {
                None => Some(ChangeKind::Added),
                Some(was) if was.spec_hash != is.spec_hash => Some(ChangeKind::SpecChanged),
                Some(was) if deleting || visible(&was.object) != visible(&is.object) => {
                    Some(ChangeKind::MetadataChanged)
                }
                Some(_) => None,
            };
            if deleting {
                merged.persist.push(Persist::RemoveGenerated(key.clone()));
            }
            merged.persist.extend(record.map(Persist::Status));
            merged.changes.extend(what.map(|what| change(&key, what)));
        }
    }

    fn drop_objects(
        &mut self,
        reading: &Reading,
        at: Timestamp,
        now: Instant,
        grace: Duration,
        merged: &mut Merged,
    ) {
        let seen: Vec<(ObjectKey, String)> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match &entry.origin {
                Origin::File(file) => Some((key.clone(), file.clone())),
                Origin::Generated(_) | Origin::Deleting => None,
            })
            .collect();
        for (key, file) in seen {
            if reading.found.contains(&key) || reading.invalid.contains_key(&key) || reading.is_unclear(&file)
            {
                self.missing.remove(&key);
                continue;
            }
            let since = *self.missing.entry(key.clone()).or_insert(now);
            if now.duration_since(since) < grace {
                merged.look_again = true;
                continue;
            }
            self.missing.remove(&key);
            self.begin_deletion(&key, at, merged);
        }
    }

    /// The manifest is gone for good: releases and applied manifests are cleaned up first, the rest just goes.
    fn begin_deletion(&mut self, key: &ObjectKey, at: Timestamp, merged: &mut Merged) {
        let Some(entry) = self.entries.get(key) else { return };
        // Even without a status: its first run may be under way, and leaves something behind.
        if !needs_cleanup(key.kind) {
            self.forget(key, merged);
            return;
        }
        let mut base = FluxObject::clone(&entry.base);
        base.metadata_mut().deletion_timestamp = Some(Time::new(at));
        base.metadata_mut().finalizers = vec![FINALIZER.to_owned()];
        let manifest = base.to_json();
        merged.persist.extend(self.put(key, Arc::new(base), Origin::Deleting).map(Persist::Status));
        merged.persist.push(Persist::Generated(GeneratedRecord {
            object: key.clone(),
            owner: key.clone(),
            manifest,
        }));
        merged.changes.push(change(key, ChangeKind::MetadataChanged));
    }

    /// Removes an object and what was generated for it.
    pub(super) fn forget(&mut self, key: &ObjectKey, merged: &mut Merged) {
        let generated: Vec<ObjectKey> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.origin == Origin::Generated(key.clone()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in generated.iter().chain([key]) {
            self.overlays.remove(key);
            self.records.remove(key);
            if self.entries.remove(key).is_some() {
                merged.persist.push(Persist::Delete(key.clone()));
                merged.changes.push(change(key, ChangeKind::Removed));
            }
        }
    }

    fn put_invalid(&mut self, reading: &mut Reading, at: Timestamp, merged: &mut Merged) {
        let mut invalid = BTreeMap::new();
        for (key, (_, message)) in std::mem::take(&mut reading.invalid) {
            let last_good = self.entries.contains_key(&key);
            let was =
                self.invalid.get(&key).filter(|was| was.message == message && was.last_good == last_good);
            let since = was.map_or(at, |was| was.since);
            if was.is_none() {
                merged.changes.push(change(&key, ChangeKind::Invalid));
            }
            invalid.insert(key.clone(), InvalidObject { key, message, last_good, since });
        }
        for key in self.invalid.keys() {
            // Valid again with the very content it had before: nobody else will say so.
            if !invalid.contains_key(key) && !merged.changes.iter().any(|it| it.target == target(key)) {
                let what = if self.entries.contains_key(key) {
                    ChangeKind::MetadataChanged
                } else {
                    ChangeKind::Removed
                };
                merged.changes.push(change(key, what));
            }
        }
        self.invalid = invalid;
    }

    /// Releases of earlier runs whose manifest is nowhere to be seen. They are named, not uninstalled: a directory
    /// mounted late or given wrongly must not empty clusters.
    fn orphans(&self, reading: &Reading) -> Vec<ManifestProblem> {
        if !reading.unclear.is_empty() {
            return Vec::new();
        }
        self.records
            .values()
            .filter(|record| needs_cleanup(record.object.kind) && !is_blank(&record.status))
            .filter(|record| !self.invalid.contains_key(&record.object))
            .map(|record| ManifestProblem {
                file: ".".to_owned(),
                line: 0,
                key: Some(record.object.clone()),
                message: format!(
                    "`{}` was here in an earlier run and has no manifest now; what it applied is left in place\nhint: put the manifest back; to clean up, remove it again while sluice runs",
                    record.object
                ),
            })
            .collect()
    }

    /// What is to be kept of an object as it stands.
    pub(super) fn record(&self, key: &ObjectKey) -> Option<StatusRecord> {
        let entry = self.entries.get(key)?;
        Some(StatusRecord {
            object: key.clone(),
            status: entry.object.status_json(),
            generation: entry.object.metadata().generation,
            spec_hash: entry.spec_hash.clone(),
        })
    }

    /// What is to be kept of an object once its status is this one; `None` when it is that already.
    pub(super) fn status_to_be(
        &self,
        key: &ObjectKey,
        uid: &str,
        status: &Value,
    ) -> Result<Option<StatusRecord>, ChangeError> {
        let entry = self.entries.get(key).ok_or_else(|| ChangeError::NotFound(key.clone()))?;
        let found = &entry.object.metadata().uid;
        if found != uid {
            return Err(ChangeError::UidMismatch {
                key: key.clone(),
                expected: uid.to_owned(),
                found: found.clone(),
            });
        }
        let mut object = FluxObject::clone(&entry.object);
        object
            .set_status_json(status)
            .map_err(|error| ChangeError::BadStatus { key: key.clone(), reason: error.to_string() })?;
        let status = object.status_json();
        Ok((status != entry.object.status_json()).then(|| StatusRecord {
            object: key.clone(),
            status,
            generation: object.metadata().generation,
            spec_hash: entry.spec_hash.clone(),
        }))
    }

    /// Puts an object in, works out its generation, and returns what to keep of it if that rose.
    pub(super) fn put(
        &mut self,
        key: &ObjectKey,
        base: Arc<FluxObject>,
        origin: Origin,
    ) -> Option<StatusRecord> {
        let (generation, hash, status) = match self.entries.get(key) {
            Some(entry) => {
                (entry.object.metadata().generation, entry.spec_hash.clone(), entry.object.status_json())
            }
            None => match self.records.remove(key) {
                Some(record) => (record.generation.max(1), record.spec_hash, record.status),
                None => (0, String::new(), Value::Null),
            },
        };
        let mut object = FluxObject::clone(&base);
        if let Some(overlay) = self.overlays.get(key) {
            overlay.apply(&mut object);
        }
        let spec_hash = spec_hash(&object);
        let changed = spec_hash != hash;
        let new_generation = if changed { generation + 1 } else { generation };
        // A status of ours that cannot be read any more counts as none.
        if status.is_null() || object.set_status_json(&status).is_err() {
            let blank = object.set_status_json(&json!({}));
            debug_assert!(blank.is_ok(), "every status has defaults");
        }
        self.stamp(key, &mut object, new_generation);
        self.entries.insert(key.clone(), Entry { base, object: Arc::new(object), spec_hash, origin });
        if changed && generation > 0 { self.record(key) } else { None }
    }

    /// Sets what only we set: name, uid, generation, resource version.
    fn stamp(&mut self, key: &ObjectKey, object: &mut FluxObject, generation: i64) {
        self.version += 1;
        let metadata = object.metadata_mut();
        metadata.namespace.clone_from(&key.namespace);
        metadata.uid = uid(key);
        metadata.generation = generation;
        metadata.resource_version = self.version.to_string();
    }

    /// Replaces an object's status.
    pub(super) fn put_status(&mut self, key: &ObjectKey, status: &Value) {
        let Some(entry) = self.entries.get(key) else { return };
        let mut object = FluxObject::clone(&entry.object);
        if object.set_status_json(status).is_err() {
            return;
        }
        let generation = object.metadata().generation;
        self.stamp(key, &mut object, generation);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.object = Arc::new(object);
        }
    }
}

fn target(key: &ObjectKey) -> ChangeTarget {
    ChangeTarget::Object(key.clone())
}

pub(super) fn change(key: &ObjectKey, what: ChangeKind) -> Change {
    Change { target: target(key), what }
}

/// Kinds that leave something on clusters.
fn needs_cleanup(kind: Kind) -> bool {
    matches!(kind, Kind::HelmRelease | Kind::Kustomization)
}

fn is_blank(status: &Value) -> bool {
    status.as_object().is_none_or(serde_json::Map::is_empty)
}

/// Metadata that is the user's.
fn visible(object: &FluxObject) -> (&BTreeMap<String, String>, &BTreeMap<String, String>, Option<Time>) {
    let metadata = object.metadata();
    (&metadata.labels, &metadata.annotations, metadata.deletion_timestamp)
}

/// Stable for a key: the same after a restart, and after the manifest was away for a while.
pub(super) fn uid(key: &ObjectKey) -> String {
    /// Drawn once; only its difference from all others matters.
    const SPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6f0c_3d0e_51b8_4c37_9a1e_2b7d_5c44_e081);
    uuid::Uuid::new_v5(&SPACE, key.to_string().as_bytes()).to_string()
}

/// Digest of the spec in today's form: rewriting a manifest to a newer API version changes no generation.
pub(super) fn spec_hash(object: &FluxObject) -> String {
    let mut hasher = Sha256::new();
    canonical(&object.spec_json(), &mut hasher);
    hex::encode(hasher.finalize())
}

/// Feeds a value with its keys in order, each part fenced off from the next.
fn canonical(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            hasher.update([b'{']);
            for key in keys {
                canonical(&Value::String(key.clone()), hasher);
                canonical(&map[key], hasher);
            }
            hasher.update([b'}']);
        }
        Value::Array(items) => {
            hasher.update([b'[']);
            items.iter().for_each(|item| canonical(item, hasher));
            hasher.update([b']']);
        }
        scalar => {
            hasher.update(scalar.to_string());
            hasher.update([b',']);
        }
    }
}

fn put_configs<T>(
    have: &mut BTreeMap<(String, String), ConfigEntry<T>>,
    read: BTreeMap<(String, String), ConfigEntry<T>>,
    reading: &Reading,
    target: fn((String, String)) -> ChangeTarget,
    same: fn(&T, &T) -> bool,
    merged: &mut Merged,
) {
    let gone: Vec<(String, String)> = have
        .iter()
        .filter(|(name, (file, _))| !read.contains_key(*name) && !reading.is_unclear(file))
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        have.remove(&name);
        merged.changes.push(Change { target: target(name), what: ChangeKind::Removed });
    }
    for (name, (file, is)) in read {
        let what = match (have.get(&name).map(|(_, was)| was), &is) {
            (None, Ok(_)) => Some(ChangeKind::Added),
            (Some(Ok(was)), Ok(is)) if same(was, is) => None,
            (Some(_), Ok(_)) => Some(ChangeKind::SpecChanged),
            (Some(Err(was)), Err(is)) if was == is => None,
            (_, Err(_)) => Some(ChangeKind::Invalid),
        };
        merged.changes.extend(what.map(|what| Change { target: target(name.clone()), what }));
        // What was good stays in force while its manifest is broken, as with objects; an encrypted one never was.
        if let (Some((_, Ok(_))), Err(ConfigError::Invalid { .. })) = (have.get(&name), &is) {
            continue;
        }
        have.insert(name, (file, is));
    }
}
