//! Which object of a cluster is meant, and what it should look like.
//!
//! Plain data: nothing here talks to a cluster. Scope (namespaced or not) is not known here; `discovery` knows it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One object of a cluster: group, version, kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// API group, empty for the core group.
    pub group: String,
    /// API version within the group (`v1`).
    pub version: String,
    /// Kind (`Deployment`).
    pub kind: String,
    /// Namespace; none for cluster-scoped objects and for those whose namespace is still to be filled in.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// The groups' kinds whose names may hold a `:`, which an inventory id writes as `__` (cli-utils `RBACGroupKind`).
const COLON_KINDS: [&str; 4] = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

impl ObjectId {
    /// The object `kind` `namespace`/`name` of `api_version` (`apps/v1`, `v1`). An empty namespace counts as none.
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let (group, version) = split_api_version(api_version);
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// Group and version as manifests write them: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The namespace, empty when there is none.
    pub fn namespace_or_empty(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Flux's inventory id: `<namespace>_<name>_<group>_<kind>`, with `:` of RBAC names written as `__`.
    pub fn inventory_id(&self) -> String {
        let name = if self.group == RBAC_GROUP && COLON_KINDS.contains(&self.kind.as_str()) {
            self.name.replace(':', "__")
        } else {
            self.name.clone()
        };
        format!("{}_{}_{}_{}", self.namespace_or_empty(), name, self.group, self.kind)
    }

    /// Reads an inventory entry back: its id and its version (`v`). None when it is not one.
    pub fn from_inventory(id: &str, version: &str) -> Option<Self> {
        let (namespace, rest) = id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        if name.is_empty() || kind.is_empty() {
            return None;
        }
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: name.replace("__", ":"),
        })
    }

    /// How Flux names an object in its messages: `Deployment/shop/web`, `Namespace/shop`.
    pub fn subject(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}/{}/{}", self.kind, namespace, self.name),
            None => format!("{}/{}", self.kind, self.name),
        }
    }

    /// The object's name with its namespace, as our own error texts write it: `shop/web`.
    pub(crate) fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether both mean the same object of a cluster, whatever API version they were written in.
    pub fn same_object(&self, other: &ObjectId) -> bool {
        self.group == other.group
            && self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }

    pub(crate) fn is_crd(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition"
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inventory_id())
    }
}

/// `apps/v1` as (`apps`, `v1`), `v1` as (``, `v1`).
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One rendered object, ready to be applied.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// Which object it is.
    pub id: ObjectId,
    /// The object itself.
    pub json: Value,
    /// Where it came from (`chart/templates/web.yaml`), for messages.
    pub source: Option<String>,
}

/// A document cannot be an object of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The document is no mapping.
    #[error("the document is not an object")]
    NotAnObject,
    /// A field every object needs is missing or no string.
    #[error("the object has no `{0}`")]
    Missing(&'static str),
    /// A name the API's paths cannot carry.
    #[error("`{0}` cannot be the name or namespace of an object")]
    BadName(String),
}

impl Manifest {
    /// Reads the identity out of a rendered object.
    pub fn new(json: Value, source: Option<String>) -> Result<Self, ManifestError> {
        let Value::Object(object) = &json else { return Err(ManifestError::NotAnObject) };
        let text = |field: &'static str| match object.get(field).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(ManifestError::Missing(field)),
        };
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        let metadata = object.get("metadata").and_then(Value::as_object);
        let field = |name: &str| metadata.and_then(|m| m.get(name)).and_then(Value::as_str).unwrap_or("");
        let (namespace, name) = (field("namespace"), field("name"));
        if name.is_empty() {
            return Err(ManifestError::Missing("metadata.name"));
        }
        for part in [namespace, name] {
            check_segment(part)?;
        }
        for part in [api_version, kind] {
            if part.contains([' ', '?', '#', '%', '\\']) || part.matches('/').count() > 1 {
                return Err(ManifestError::BadName(part.to_owned()));
            }
        }
        Ok(Self { id: ObjectId::new(api_version, kind, namespace, name), json, source })
    }
}

/// Refuses what would leave its place in a URL path; what else is wrong with a name the API server says better.
fn check_segment(part: &str) -> Result<(), ManifestError> {
    let bad = part.contains(['/', '%', '?', '#', '\\'])
        || part.chars().any(|c| c.is_control() || c.is_whitespace())
        || part == "."
        || part == ".."
        || part.len() > 253;
    if bad { Err(ManifestError::BadName(part.chars().take(80).collect())) } else { Ok(()) }
}

/// Shows the identity only: the object may be a Secret.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, json: _, source } = self;
        f.debug_struct("Manifest").field("id", id).field("source", source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inventory_ids_are_those_of_flux_and_read_back() {
        let table = [
            (ObjectId::new("apps/v1", "Deployment", "shop", "web"), "shop_web_apps_Deployment"),
            (ObjectId::new("v1", "Namespace", "", "shop"), "_shop__Namespace"),
            (ObjectId::new("v1", "ConfigMap", "a", "b"), "a_b__ConfigMap"),
            (
                ObjectId::new("rbac.authorization.k8s.io/v1", "ClusterRole", "", "system:view"),
                "_system__view_rbac.authorization.k8s.io_ClusterRole",
            ),
        ];
        for (id, text) in table {
            assert_eq!(id.inventory_id(), text);
            assert_eq!(id.to_string(), text);
            let version = id.version.clone();
            assert_eq!(ObjectId::from_inventory(text, &version), Some(id));
        }
        for broken in ["", "a", "a_b", "a_b_c", "__apps_"] {
            assert_eq!(ObjectId::from_inventory(broken, "v1"), None, "{broken}");
        }
    }

    #[test]
    fn a_manifest_needs_kind_version_and_a_usable_name() {
        let manifest = Manifest::new(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}),
            None,
        )
        .unwrap();
        assert_eq!(manifest.id, ObjectId::new("v1", "ConfigMap", "b", "a"));
        let refuse = |json| Manifest::new(json, None).unwrap_err();
        assert_eq!(refuse(json!([1])), ManifestError::NotAnObject);
        assert_eq!(refuse(json!({"kind": "A"})), ManifestError::Missing("apiVersion"));
        assert_eq!(
            refuse(json!({"apiVersion": "v1", "kind": "A", "metadata": {}})),
            ManifestError::Missing("metadata.name")
        );
        for name in ["../x", "..", "a%2fb", "a b", "a\nb", "a?b"] {
            let json = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": name}});
            assert_eq!(refuse(json), ManifestError::BadName(name.to_owned()));
        }
        let json = json!({"apiVersion": "../../x/v1", "kind": "A", "metadata": {"name": "a"}});
        assert!(matches!(refuse(json), ManifestError::BadName(_)));
    }

    #[test]
    fn debug_of_a_manifest_holds_no_data() {
        let json = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "c2VjcmV0"}});
        let text = format!("{:?}", Manifest::new(json, None).unwrap());
        assert!(!text.contains("c2VjcmV0"), "{text}");
    }
}
