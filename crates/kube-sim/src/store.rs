//! One cluster's state: objects, the resource version counter, the log that watches read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

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

struct State {
    objects: HashMap<Name, BTreeMap<Name, Arc<Value>>>,
    resources: Vec<Resource>,
    version: u64,
    log: VecDeque<LogEntry>,
    next_address: u32,
    next_node_port: u32,
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
                next_address: 10,
                next_node_port: 30_000,
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
        state.admit(resource, namespace, &name, None, &mut object)?;
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
        state.admit(resource, namespace, name, Some(&live), &mut object)?;
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
        state.admit(resource, namespace, name, live.as_ref(), &mut object)?;
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

/// The status as it is, which may be none at all.
fn keep_status(live: &Value, object: &mut Value) {
    match live.get("status") {
        Some(status) => object["status"] = status.clone(),
        None => {
            if let Some(map) = object.as_object_mut() {
                map.remove("status");
            }
        }
    }
}

fn keep_identity(live: &Value, object: &mut Value) {
    for key in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        let kept = live["metadata"][key].clone();
        if !kept.is_null() {
            object["metadata"][key] = kept;
        }
    }
}

fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte))
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
}

fn prepare_new(resource: &Resource, namespace: Option<&str>, object: &mut Value) -> Result<(), Failure> {
    if !object["metadata"].is_object() {
        return Err(status::bad_request("the object provided has no metadata"));
    }
    if name_of(object).is_empty()
        && let Some(prefix) = object["metadata"]["generateName"].as_str()
    {
        let suffix: String = uuid::Uuid::new_v4().simple().to_string().chars().take(5).collect();
        object["metadata"]["name"] = json!(format!("{prefix}{suffix}"));
    }
    let name = name_of(object).to_owned();
    if !valid_name(&name) {
        let text = format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        );
        return Err(status::invalid(resource, &name, "metadata.name", &text));
    }
    object["apiVersion"] = json!(resource.api_version());
    object["kind"] = json!(resource.kind);
    object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    object["metadata"]["creationTimestamp"] = json!(now());
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("deletionTimestamp");
        match namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), json!(namespace)),
            None => metadata.remove("namespace"),
        };
    }
    if !matches!(resource.kind.as_str(), "ConfigMap" | "Secret" | "ServiceAccount" | "Event" | "Namespace") {
        object["metadata"]["generation"] = json!(1);
    }
    if resource.subresources.iter().any(|subresource| subresource == "status")
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    Ok(())
}

impl State {
    fn get(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&table(resource))?.get(&place(namespace, name)).cloned()
    }

    /// Defaults and the rules a client is most likely to run into.
    fn admit(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        live: Option<&Arc<Value>>,
        object: &mut Value,
    ) -> Result<(), Failure> {
        if live.is_none()
            && let Some(namespace) = namespace
        {
            let namespaces = self.objects.get(&(String::new(), "namespaces".to_owned()));
            match namespaces.and_then(|all| all.get(&(String::new(), namespace.to_owned()))) {
                None => return Err(status::namespace_not_found(namespace)),
                Some(found) if found["metadata"]["deletionTimestamp"].is_string() => {
                    return Err(status::terminating(resource, namespace, name));
                }
                Some(_) => {}
            }
        }
        let immutable = |field: &str, before: &Value, after: &Value| {
            if before == after {
                return Ok(());
            }
            let text = format!("Invalid value: {after}: field is immutable");
            Err(status::invalid(resource, name, field, &text))
        };
        if let ("ConfigMap" | "Secret", Some(live)) = (resource.kind.as_str(), live)
            && live["immutable"] == true
            && ["data", "binaryData", "immutable"].iter().any(|field| live[*field] != object[*field])
        {
            let field = if live["immutable"] == object["immutable"] { "data" } else { "immutable" };
            let text = "Forbidden: field is immutable when `immutable` is set";
            return Err(status::invalid(resource, name, field, text));
        }
        match resource.kind.as_str() {
            "Namespace" => {
                if live.is_none() {
                    object["spec"] = json!({ "finalizers": ["kubernetes"] });
                }
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
            "Secret" => {
                let plain = object.as_object_mut().and_then(|map| map.remove("stringData"));
                for (key, value) in plain.as_ref().and_then(Value::as_object).into_iter().flatten() {
                    use base64::Engine as _;
                    let text = value.as_str().unwrap_or_default();
                    object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(text));
                }
                if object["type"].is_null() {
                    object["type"] = json!("Opaque");
                }
                let size: usize = object["data"]
                    .as_object()
                    .map(|data| {
                        data.values().map(|value| value.as_str().unwrap_or_default().len() / 4 * 3).sum()
                    })
                    .unwrap_or(0);
                if size > 1024 * 1024 {
                    let text = "Too long: may not be more than 1048576 bytes";
                    return Err(status::invalid(resource, name, "data", text));
                }
                if let Some(live) = live {
                    immutable("type", &live["type"], &object["type"])?;
                }
            }
            "Service" => {
                for (field, default) in [
                    ("type", json!("ClusterIP")),
                    ("sessionAffinity", json!("None")),
                    ("internalTrafficPolicy", json!("Cluster")),
                    ("ipFamilyPolicy", json!("SingleStack")),
                    ("ipFamilies", json!(["IPv4"])),
                ] {
                    if object["spec"][field].is_null() {
                        object["spec"][field] = default;
                    }
                }
                if let Some(ports) = object["spec"]["ports"].as_array_mut() {
                    for port in ports {
                        if port["protocol"].is_null() {
                            port["protocol"] = json!("TCP");
                        }
                        if port["targetPort"].is_null() {
                            port["targetPort"] = port["port"].clone();
                        }
                    }
                }
                let headless = object["spec"]["clusterIP"].as_str() == Some("None");
                match live {
                    None if !headless && object["spec"]["clusterIP"].is_null() => {
                        self.next_address += 1;
                        let address = format!("10.96.{}.{}", self.next_address >> 8, self.next_address & 255);
                        object["spec"]["clusterIP"] = json!(address);
                        object["spec"]["clusterIPs"] = json!([address]);
                    }
                    Some(live) if object["spec"]["clusterIP"].is_null() => {
                        object["spec"]["clusterIP"] = live["spec"]["clusterIP"].clone();
                        object["spec"]["clusterIPs"] = live["spec"]["clusterIPs"].clone();
                    }
                    Some(live) => {
                        immutable(
                            "spec.clusterIPs[0]",
                            &live["spec"]["clusterIP"],
                            &object["spec"]["clusterIP"],
                        )?;
                    }
                    None => {}
                }
                let node_ports = matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"));
                if let Some(ports) = object["spec"]["ports"].as_array_mut() {
                    for port in ports {
                        if !node_ports {
                            if let Some(port) = port.as_object_mut() {
                                port.remove("nodePort");
                            }
                        } else if port["nodePort"].is_null() {
                            let kept = live.and_then(|live| {
                                live["spec"]["ports"].as_array()?.iter().find_map(|old| {
                                    (old["port"] == port["port"]).then(|| old["nodePort"].clone())
                                })
                            });
                            port["nodePort"] = match kept {
                                Some(kept) if !kept.is_null() => kept,
                                _ => {
                                    self.next_node_port += 1;
                                    json!(self.next_node_port)
                                }
                            };
                        }
                    }
                }
            }
            "Deployment" | "StatefulSet" | "ReplicaSet" => {
                if object["spec"]["replicas"].is_null() {
                    object["spec"]["replicas"] = json!(1);
                }
                if object["spec"]["selector"].is_null() {
                    return Err(status::invalid(resource, name, "spec.selector", "Required value"));
                }
                let labels = &object["spec"]["template"]["metadata"]["labels"];
                let fits = object["spec"]["selector"]["matchLabels"]
                    .as_object()
                    .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
                if !fits {
                    let text =
                        format!("Invalid value: {labels}: `selector` does not match template `labels`");
                    return Err(status::invalid(resource, name, "spec.template.metadata.labels", &text));
                }
                if let Some(live) = live {
                    immutable("spec.selector", &live["spec"]["selector"], &object["spec"]["selector"])?;
                }
            }
            "Job" => {
                if let Some(live) = live {
                    immutable("spec.template", &live["spec"]["template"], &object["spec"]["template"])?;
                }
            }
            _ => {}
        }
        Ok(())
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

    fn remove(&mut self, resource: &Resource, namespace: Option<&str>, name: &str, propagation: Propagation) {
        let Some(live) = self.get(resource, namespace, name) else { return };
        let waits = live["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if waits || resource.kind == "Namespace" {
            if !live["metadata"]["deletionTimestamp"].is_string() {
                let mut marked = (*live).clone();
                marked["metadata"]["deletionTimestamp"] = json!(now());
                marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                if resource.kind == "Namespace" {
                    marked["status"]["phase"] = json!("Terminating");
                }
                self.put(resource, namespace, marked, Some(live), false);
            }
            return;
        }
        let uid = live["metadata"]["uid"].clone();
        self.version += 1;
        let mut gone = (*live).clone();
        gone["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.entry(table(resource)).or_default().remove(&place(namespace, name));
        self.record(table(resource), LogKind::Deleted, Arc::new(gone), Some(live));
        if resource.kind == "CustomResourceDefinition" {
            self.refresh_definitions();
        }
        self.release_dependents(&uid, propagation);
    }

    /// Garbage collection: dependents of a deleted owner go, or lose the reference when orphaned.
    fn release_dependents(&mut self, uid: &Value, propagation: Propagation) {
        let owned = |object: &Value| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        let mut dependents = Vec::new();
        for (table, objects) in &self.objects {
            for ((namespace, name), object) in objects {
                if owned(object) {
                    dependents.push((table.clone(), namespace.clone(), name.clone()));
                }
            }
        }
        for (table, namespace, name) in dependents {
            let Some(resource) = self
                .resources
                .iter()
                .find(|resource| resource.group == table.0 && resource.plural == table.1)
                .cloned()
            else {
                continue;
            };
            let namespace = (!namespace.is_empty()).then_some(namespace);
            if propagation == Propagation::Orphan {
                let Some(live) = self.get(&resource, namespace.as_deref(), &name) else { continue };
                let mut freed = (*live).clone();
                if let Some(owners) = freed["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|owner| owner["uid"] != *uid);
                }
                self.put(&resource, namespace.as_deref(), freed, Some(live), false);
            } else {
                self.remove(&resource, namespace.as_deref(), &name, propagation);
            }
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

/// What the stand-in controllers may do: read everything, write statuses, finish deletions.
pub(crate) struct StateView<'s> {
    state: &'s mut State,
}

impl StateView<'_> {
    pub(crate) fn all(&self, group: &str, plural: &str) -> Vec<Arc<Value>> {
        self.state
            .objects
            .get(&(group.to_owned(), plural.to_owned()))
            .map(|objects| objects.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Changes made since the controllers last looked, so that settling costs what changed, not what exists.
    pub(crate) fn recent(&self, since: u64) -> Vec<LogEntry> {
        let from = self.state.log.partition_point(|entry| entry.version <= since);
        self.state.log.range(from..).cloned().collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.version
    }

    pub(crate) fn set_status(&mut self, group: &str, plural: &str, live: &Arc<Value>, status: Value) {
        if live["status"] == status {
            return;
        }
        let Some(resource) = self.resource(group, plural) else { return };
        let mut object = (**live).clone();
        object["status"] = status;
        let namespace = live["metadata"]["namespace"].as_str().map(str::to_owned);
        self.state.put(&resource, namespace.as_deref(), object, Some(Arc::clone(live)), false);
    }

    /// Deletes what a terminating namespace holds, then the namespace.
    pub(crate) fn finish_namespace(&mut self, live: &Arc<Value>) {
        let name = name_of(live).to_owned();
        let mut inside = Vec::new();
        for (table, objects) in &self.state.objects {
            for (namespace, object) in objects.keys() {
                if *namespace == name {
                    inside.push((table.clone(), object.clone()));
                }
            }
        }
        for ((group, plural), object) in inside {
            if let Some(resource) = self.resource(&group, &plural) {
                self.state.remove(&resource, Some(&name), &object, Propagation::Background);
            }
        }
        let left = self.state.objects.values().any(|all| all.keys().any(|(namespace, _)| *namespace == name));
        if !left && let Some(resource) = self.resource("", "namespaces") {
            let mut object = (**live).clone();
            object["spec"]["finalizers"] = json!([]);
            self.state.put(&resource, None, object, Some(Arc::clone(live)), false);
        }
    }

    fn resource(&self, group: &str, plural: &str) -> Option<Resource> {
        self.state
            .resources
            .iter()
            .find(|resource| resource.group == group && resource.plural == plural)
            .cloned()
    }
}
