//! Secrets and ConfigMaps as manifests have them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Map, Value};

/// A Secret. Its values appear in no `Debug` output.
#[derive(Clone)]
pub struct Secret {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// `Opaque` unless said otherwise.
    pub r#type: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    data: BTreeMap<String, SecretSlice<u8>>,
}

/// A ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Text.
    pub data: BTreeMap<String, String>,
    /// Bytes.
    pub binary_data: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    /// A Secret made by hand, for the memory home and for tests.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        data: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            r#type: "Opaque".to_owned(),
            labels: BTreeMap::new(),
            data: data.into_iter().map(|(key, value)| (key, value.into())).collect(),
        }
    }

    /// The bytes under a key, as they are: a newline at the end is the user's.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(|value| value.expose_secret())
    }

    /// The text under a key; `None` where there is none or it is no UTF-8.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get(key)?).ok()
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(String::as_str)
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.r#type == other.r#type
            && self.labels == other.labels
            && self.data.len() == other.data.len()
            && self.data.keys().all(|key| self.get(key) == other.get(key))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, r#type, labels: _, data } = self;
        f.debug_struct("Secret")
            .field("namespace", namespace)
            .field("name", name)
            .field("type", r#type)
            .field("keys", &data.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What is wrong with a Secret or ConfigMap: where, and what. Never a value.
pub(super) struct Fault {
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

/// Reads the parts of a Secret; namespace and name are known.
pub(super) fn secret(
    namespace: &str,
    name: &str,
    manifest: &Map<String, Value>,
) -> Result<Secret, Vec<Fault>> {
    let mut faults = Vec::new();
    unknown_fields(manifest, &["data", "stringData", "type", "immutable"], &mut faults);
    let mut data: BTreeMap<String, SecretSlice<u8>> = BTreeMap::new();
    each(manifest, "data", &mut faults, |key, text| {
        check_key(key)?;
        data.insert(key.to_owned(), decode(text)?.into());
        Ok(())
    });
    each(manifest, "stringData", &mut faults, |key, text| {
        check_key(key)?;
        data.insert(key.to_owned(), text.as_bytes().to_vec().into());
        Ok(())
    });
    let r#type = match manifest.get("type") {
        None | Some(Value::Null) => "Opaque".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "Opaque".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => {
            faults
                .push(Fault { path: vec!["type".to_owned()], message: "type: must be a string".to_owned() });
            String::new()
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Secret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        r#type,
        labels: labels(manifest),
        data,
    })
}

/// Reads the parts of a ConfigMap; namespace and name are known.
pub(super) fn config_map(
    namespace: &str,
    name: &str,
    manifest: &Map<String, Value>,
) -> Result<ConfigMap, Vec<Fault>> {
    let mut faults = Vec::new();
    unknown_fields(manifest, &["data", "binaryData", "immutable"], &mut faults);
    let mut data = BTreeMap::new();
    each(manifest, "data", &mut faults, |key, text| {
        check_key(key)?;
        data.insert(key.to_owned(), text.to_owned());
        Ok(())
    });
    let mut binary_data = BTreeMap::new();
    each(manifest, "binaryData", &mut faults, |key, text| {
        check_key(key)?;
        binary_data.insert(key.to_owned(), decode(text)?);
        Ok(())
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(ConfigMap {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: labels(manifest),
        data,
        binary_data,
    })
}

fn unknown_fields(manifest: &Map<String, Value>, known: &[&str], faults: &mut Vec<Fault>) {
    for field in manifest.keys() {
        if !["apiVersion", "kind", "metadata"].contains(&field.as_str()) && !known.contains(&field.as_str()) {
            faults.push(Fault { path: vec![field.clone()], message: format!("unknown field {field:?}") });
        }
    }
}

fn each(
    manifest: &Map<String, Value>,
    field: &str,
    faults: &mut Vec<Fault>,
    mut take: impl FnMut(&str, &str) -> Result<(), String>,
) {
    let map = match manifest.get(field) {
        None | Some(Value::Null) => return,
        Some(Value::Object(map)) => map,
        Some(_) => {
            faults.push(Fault { path: vec![field.to_owned()], message: format!("{field}: must be a map") });
            return;
        }
    };
    for (key, value) in map {
        let result = match value {
            Value::String(text) => take(key, text),
            // Go reads a null as the empty string.
            Value::Null => take(key, ""),
            _ => Err("must be a string".to_owned()),
        };
        if let Err(reason) = result {
            let message = format!("{field}[{key}]: {reason}");
            faults.push(Fault { path: vec![field.to_owned(), key.clone()], message });
        }
    }
}

/// Base64 as Go's JSON decoder reads it: line breaks inside do not count.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let packed: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(packed).map_err(|_| "is not valid base64".to_owned())
}

fn check_key(key: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || key.len() > 253 || !key.chars().all(allowed) || matches!(key, "." | "..") {
        return Err("a valid config key must consist of alphanumeric characters, '-', '_' or '.'".to_owned());
    }
    Ok(())
}

/// The labels of any manifest.
pub(super) fn labels(manifest: &Map<String, Value>) -> BTreeMap<String, String> {
    let Some(labels) =
        manifest.get("metadata").and_then(|metadata| metadata.get("labels")).and_then(Value::as_object)
    else {
        return BTreeMap::new();
    };
    labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
