//! Values of a HelmRelease: the Secrets and ConfigMaps it names, read and composed.

use flux_api::{ConfigKind, HelmRelease, ValuesRef};
use helm_engine::values::{Map, Value};

use super::context::Inner;
use crate::render::values::{ValuesReference, compose};

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValuesProblem {
    pub(super) message: String,
    /// Only a change of the object, Secret or ConfigMap helps.
    pub(super) permanent: bool,
}

impl Inner {
    /// The composed values of a release.
    pub(super) fn compose_values(&self, release: &HelmRelease) -> Result<Map, ValuesProblem> {
        let mut references = Vec::new();
        for reference in &release.spec.values_from {
            if let Some(resolved) = self.resolve(&release.metadata.namespace, reference)? {
                references.push(resolved);
            }
        }
        let inline = match release.spec.values.as_ref().map(Value::from_json) {
            Some(Value::Map(map)) => map,
            _ => Map::new(),
        };
        compose(&references, inline)
            .map_err(|error| ValuesProblem { message: error.to_string(), permanent: true })
    }

    fn resolve(
        &self,
        namespace: &str,
        reference: &ValuesRef,
    ) -> Result<Option<ValuesReference>, ValuesProblem> {
        let key = reference.values_key.as_deref().filter(|key| !key.is_empty()).unwrap_or("values.yaml");
        let name = &reference.name;
        let kind = reference.kind.unwrap_or(ConfigKind::ConfigMap);
        let optional = if reference.optional { "optional " } else { "" };
        let described = format!("{} '{namespace}/{name}' with key '{key}'", kind.as_str());
        let refuse = |why: &str| ValuesProblem {
            message: format!(
                "could not resolve {optional}{} chart values reference '{namespace}/{name}' with key '{key}': {why}",
                kind.as_str()
            ),
            permanent: false,
        };
        let found = match kind {
            ConfigKind::Secret => match self.objects.secret(namespace, name) {
                Err(error) => return Err(refuse(&error.to_string())),
                Ok(None) => None,
                Ok(Some(secret)) => {
                    Some(secret.get(key).map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)))
                }
            },
            ConfigKind::ConfigMap => match self.objects.config_map(namespace, name) {
                Err(error) => return Err(refuse(&error.to_string())),
                Ok(None) => None,
                Ok(Some(map)) => Some(map.data.get(key).map(|text| Ok(text.clone()))),
            },
        };
        let missing = |why: &str| if reference.optional { Ok(None) } else { Err(refuse(why)) };
        match found {
            None => missing("not found"),
            Some(None) => missing("missing key"),
            Some(Some(Err(_))) => Err(refuse("the value is not UTF-8")),
            Some(Some(Ok(text))) => Ok(Some(ValuesReference {
                described,
                text,
                target_path: reference.target_path.clone().filter(|path| !path.is_empty()),
                literal: reference.literal,
            })),
        }
    }
}
