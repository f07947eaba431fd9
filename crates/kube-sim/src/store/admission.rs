//! What an object must be like to be let in: defaults, identity, and the rules a client is most likely to run into.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{State, name_of, now};
use crate::resources::Resource;
use crate::status::{self, Failure};

impl State {
    /// Defaults and the rules a client is most likely to run into. What a dry run is given stays free.
    pub(super) fn admit(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        live: Option<&Arc<Value>>,
        object: &mut Value,
        dry_run: bool,
    ) -> Result<(), Failure> {
        let mut given = self.given;
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
                        given.address += 1;
                        let address = format!("10.96.{}.{}", given.address >> 8, given.address & 255);
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
                                    given.node_port += 1;
                                    json!(given.node_port)
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
        if !dry_run {
            self.given = given;
        }
        Ok(())
    }
}

pub(super) fn prepare_new(
    resource: &Resource,
    namespace: Option<&str>,
    object: &mut Value,
) -> Result<(), Failure> {
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

fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte))
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
}

/// The status as it is, which may be none at all.
pub(super) fn keep_status(live: &Value, object: &mut Value) {
    match live.get("status") {
        Some(status) => object["status"] = status.clone(),
        None => {
            if let Some(map) = object.as_object_mut() {
                map.remove("status");
            }
        }
    }
}

pub(super) fn keep_identity(live: &Value, object: &mut Value) {
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
