//! One cluster's state: objects, the resource version counter, the log that watches read.

mod admission;
mod removal;
mod view;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

use self::admission::{keep_identity, keep_status, prepare_new};
pub(crate) use self::view::StateView;
use crate::apply::{self, Writer, comparable};
use crate::faults::{Fault, Observer};
use crate::resources::{self, Resource};
use crate::select::Selector;
use crate::status::{self, Failure};
use crate::workloads;

/// How many changes a watch can resume over; older positions answer 410, as after an etcd compaction.
const LOG_LENGTH: usize = 4096;

type Name = (String, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogKind {
    Added,
    Modified,
    Deleted,
}

#[derive(Debug, Clone)]
pub(crate) struct LogEntry {
    pub(crate) version: u64,
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) kind: LogKind,
    pub(crate) object: Arc<Value>,
    pub(crate) previous: Option<Arc<Value>>,
}

/// A simulated cluster.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) token: String,
    state: Mutex<State>,
    version: watch::Sender<u64>,
    pub(crate) requests: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// The last of what Services were given.
#[derive(Clone, Copy)]
struct Given {
    address: u32,
    node_port: u32,
}

struct State {
    objects: HashMap<Name, BTreeMap<Name, Arc<Value>>>,
    resources: Vec<Resource>,
    version: u64,
    log: VecDeque<LogEntry>,
    given: Given,
    fault: Option<Fault>,
    observer: Option<Observer>,
}

/// A write as a handler hands it in.
pub(crate) struct WriteOptions {
    pub(crate) writer: Writer,
    pub(crate) dry_run: bool,
}

/// How dependents go when their owner is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Cluster {
    pub(crate) fn new(name: String, token: String) -> Self {
        let cluster = Self {
            name,
            token,
            state: Mutex::new(State {
                objects: HashMap::new(),
                resources: resources::built_in(),
                version: 1,
                log: VecDeque::new(),
                given: Given { address: 10, node_port: 30_000 },
                fault: None,
                observer: None,
            }),
            version: watch::channel(1).0,
            requests: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        };
        for namespace in ["default", "kube-system"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            let options = WriteOptions {
                writer: Writer { manager: "kube-apiserver".into(), subresource: String::new() },
                dry_run: false,
            };
            let resource = cluster.find("", "v1", "namespaces").expect("namespaces are built in");
            cluster.create(&resource, None, object, &options).expect("an empty cluster takes its namespaces");
        }
        cluster
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
        // Wakes hanging requests, which look at the fault again.
        self.version.send_modify(|_| {});
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.lock().fault.clone()
    }

    pub(crate) fn set_observer(&self, observer: Option<Observer>) {
        self.lock().observer = observer;
    }

    pub(crate) fn observer(&self) -> Option<Observer> {
        self.lock().observer.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no request panics while it holds the state")
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn resources(&self) -> Vec<Resource> {
        self.lock().resources.clone()
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Resource> {
        self.lock()
            .resources
            .iter()
            .find(|resource| {
                resource.group == group && resource.version == version && resource.plural == plural
            })
            .cloned()
    }

    /// Changes after `position`, or the oldest position that can still be resumed from.
    pub(crate) fn log_since(&self, position: u64) -> Result<(Vec<LogEntry>, u64), u64> {
        let state = self.lock();
        if let Some(first) = state.log.front()
            && state.log.len() >= LOG_LENGTH
            && position + 1 < first.version
        {
            return Err(first.version);
        }
        let from = state.log.partition_point(|entry| entry.version <= position);
        Ok((state.log.range(from..).cloned().collect(), state.version))
    }

    /// Forgets the log, so that every older watch must list again (etcd compaction).
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        let version = state.version + 1;
        let marker = Arc::new(Value::Null);
        state.version = version;
        state.log.clear();
        for _ in 0..LOG_LENGTH {
            state.log.push_back(LogEntry {
                version,
                group: "-".to_owned(),
                plural: "-".to_owned(),
                kind: LogKind::Modified,
                object: Arc::clone(&marker),
                previous: None,
            });
        }
        drop(state);
        self.version.send_replace(version);
    }

    pub(crate) fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Arc<Value>, Failure> {
        self.lock().get(resource, namespace, name).ok_or_else(|| status::not_found(resource, name))
    }

    pub(crate) fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> (Vec<Arc<Value>>, u64) {
        let state = self.lock();
        let items = state
            .objects
            .get(&table(resource))
            .map(|objects| {
                objects
                    .iter()
                    .filter(|((place, _), object)| {
                        namespace.is_none_or(|namespace| namespace == place) && selector.matches(object)
                    })
                    .map(|(_, object)| Arc::clone(object))
                    .collect()
            })
            .unwrap_or_default();
        (items, state.version)
    }

    pub(crate) fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, Failure> {
        let mut state = self.lock();
        prepare_new(resource, namespace, &mut object)?;
        let name = name_of(&object).to_owned();
        if state.get(resource, namespace, &name).is_some() {
            return Err(status::already_exists(resource, &name));
        }
        state.admit(resource, namespace, &name, None, &mut object, options.dry_run)?;
        apply::record_update(resource, None, &mut object, &options.writer, &now());
        let stored = state.put(resource, namespace, object, None, options.dry_run);
        self.publish(state, options);
        Ok(stored)
    }

    /// Replaces an object; `change` makes the new state from the live one.
    pub(crate) fn update(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        options: &WriteOptions,
        change: impl FnOnce(&Value) -> Result<Value, Failure>,
    ) -> Result<Arc<Value>, Failure> {
        let mut state = self.lock();
        let live = state.get(resource, namespace, name).ok_or_else(|| status::not_found(resource, name))?;
        let mut object = change(&live)?;
        let wanted_version = object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        if let Some(version) = wanted_version
            && !version.is_empty()
            && live["metadata"]["resourceVersion"].as_str() != Some(version.as_str())
        {
            return Err(status::conflict(resource, name));
        }
        if options.writer.subresource == "status" {
            let status = object["status"].clone();
            object = (*live).clone();
            object["status"] = status;
        } else if resource.subresources.iter().any(|subresource| subresource == "status") {
            keep_status(&live, &mut object);
        }
        keep_identity(&live, &mut object);
        state.admit(resource, namespace, name, Some(&live), &mut object, options.dry_run)?;
        object["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        if comparable(&object) == comparable(&live) {
            return Ok(live);
        }
        apply::record_update(resource, Some(&live), &mut object, &options.writer, &now());
        let stored = state.put(resource, namespace, object, Some(live), options.dry_run);
        self.publish(state, options);
        Ok(stored)
    }

    /// Server-side apply; the flag says whether the object was created.
    pub(crate) fn apply(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        mut wanted: Value,
        options: &WriteOptions,
        force: bool,
    ) -> Result<(Arc<Value>, bool), Failure> {
        let mut state = self.lock();
        if wanted["metadata"]["managedFields"].as_array().is_some_and(|fields| !fields.is_empty()) {
            return Err(status::bad_request("metadata.managedFields must be nil"));
        }
        if !wanted["metadata"].is_object() {
            wanted["metadata"] = json!({});
        }
        wanted["metadata"]["name"] = json!(name);
        if let Some(namespace) = namespace {
            wanted["metadata"]["namespace"] = json!(namespace);
        }
        let live = state.get(resource, namespace, name);
        if live.is_none() && !options.writer.subresource.is_empty() {
            return Err(status::not_found(resource, name));
        }
        let outcome = apply::apply(resource, live.as_deref(), &wanted, &options.writer, force, &now())?;
        let mut object = outcome.object;
        match &live {
            Some(live) => {
                if options.writer.subresource != "status"
                    && resource.subresources.iter().any(|subresource| subresource == "status")
                {
                    keep_status(live, &mut object);
                }
                keep_identity(live, &mut object);
            }
            None => prepare_new(resource, namespace, &mut object)?,
        }
        state.admit(resource, namespace, name, live.as_ref(), &mut object, options.dry_run)?;
        if let Some(live) = &live
            && !outcome.changed
            && comparable(&object) == comparable(live)
        {
            return Ok((Arc::clone(live), false));
        }
        let created = live.is_none();
        let stored = state.put(resource, namespace, object, live, options.dry_run);
        self.publish(state, options);
        Ok((stored, created))
    }

    pub(crate) fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        propagation: Propagation,
        preconditions: &Value,
        dry_run: bool,
    ) -> Result<Arc<Value>, Failure> {
        let mut state = self.lock();
        let live = state.get(resource, namespace, name).ok_or_else(|| status::not_found(resource, name))?;
        for (field, what, perhaps) in
            [("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")]
        {
            if let Some(wanted) = preconditions[field].as_str()
                && live["metadata"][field].as_str() != Some(wanted)
            {
                let found = live["metadata"][field].as_str().unwrap_or_default();
                let text = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been {perhaps}"
                );
                return Err(status::precondition(resource, name, &text));
            }
        }
        if !dry_run {
            state.remove(resource, namespace, name, propagation);
        }
        let options =
            WriteOptions { writer: Writer { manager: String::new(), subresource: String::new() }, dry_run };
        self.publish(state, &options);
        Ok(live)
    }

    fn publish(&self, mut state: std::sync::MutexGuard<'_, State>, options: &WriteOptions) {
        if options.dry_run {
            return;
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        workloads::settle(&mut StateView { state: &mut state });
        let version = state.version;
        drop(state);
        self.version.send_replace(version);
    }
}

fn table(resource: &Resource) -> Name {
    (resource.group.clone(), resource.plural.clone())
}

fn place(namespace: Option<&str>, name: &str) -> Name {
    (namespace.unwrap_or_default().to_owned(), name.to_owned())
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl State {
    fn get(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&table(resource))?.get(&place(namespace, name)).cloned()
    }

    fn put(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        mut object: Value,
        live: Option<Arc<Value>>,
        dry_run: bool,
    ) -> Arc<Value> {
        if let Some(live) = &live
            && object["metadata"]["generation"].is_i64()
            && spec_of(live) != spec_of(&object)
        {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = json!(generation);
        }
        if dry_run {
            return Arc::new(object);
        }
        let free = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        let finished = object["metadata"]["deletionTimestamp"].is_string()
            && free(&object["metadata"]["finalizers"])
            && (resource.kind != "Namespace" || free(&object["spec"]["finalizers"]));
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let key = place(namespace, name_of(&object));
        let table = table(resource);
        if finished {
            self.objects.entry(table.clone()).or_default().remove(&key);
        } else {
            self.objects.entry(table.clone()).or_default().insert(key, Arc::clone(&object));
        }
        let kind = match (&live, finished) {
            (_, true) => LogKind::Deleted,
            (None, false) => LogKind::Added,
            (Some(_), false) => LogKind::Modified,
        };
        self.record(table, kind, Arc::clone(&object), live);
        if resource.kind == "CustomResourceDefinition" {
            self.refresh_definitions();
        }
        object
    }

    fn record(&mut self, table: Name, kind: LogKind, object: Arc<Value>, previous: Option<Arc<Value>>) {
        if self.log.len() >= LOG_LENGTH {
            self.log.pop_front();
        }
        let version = self.version;
        self.log.push_back(LogEntry { version, group: table.0, plural: table.1, kind, object, previous });
    }

    fn refresh_definitions(&mut self) {
        let definitions: Vec<Arc<Value>> = self
            .objects
            .get(&("apiextensions.k8s.io".to_owned(), "customresourcedefinitions".to_owned()))
            .map(|all| all.values().cloned().collect())
            .unwrap_or_default();
        self.resources = resources::built_in();
        for definition in definitions {
            self.resources.extend(resources::of_definition(&definition));
        }
    }
}

fn spec_of(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(map) = copy.as_object_mut() {
        map.remove("metadata");
        map.remove("status");
    }
    copy
}
