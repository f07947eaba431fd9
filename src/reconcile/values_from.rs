//! Values of a HelmRelease: the Secrets and ConfigMaps it names, read and composed.

use flux_api::{ConfigKind, HelmRelease, ValuesRef};
use helm_engine::values::{Map, Value};

use crate::objects::Objects;
use crate::render::values::{ComposedValues, ValuesReference, compose};

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValuesProblem {
    pub(super) message: String,
    /// Only a change of the object, Secret or ConfigMap helps.
    pub(super) permanent: bool,
}

/// The composed values of a release.
pub(super) fn compose_values(
    objects: &Objects,
    release: &HelmRelease,
) -> Result<ComposedValues, ValuesProblem> {
    let mut references = Vec::new();
    for reference in &release.spec.values_from {
        if let Some(resolved) = resolve(objects, &release.metadata.namespace, reference)? {
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
    objects: &Objects,
    namespace: &str,
    reference: &ValuesRef,
) -> Result<Option<ValuesReference>, ValuesProblem> {
    let key = reference.values_key.as_deref().filter(|key| !key.is_empty()).unwrap_or("values.yaml");
    let name = &reference.name;
    let kind = reference.kind.unwrap_or(ConfigKind::ConfigMap);
    let optional = if reference.optional { "optional " } else { "" };
    let described =
        format!("{optional}{} chart values reference '{namespace}/{name}' with key '{key}'", kind.as_str());
    let refuse = |why: &str| ValuesProblem {
        message: format!("could not resolve {described}: {why}"),
        permanent: false,
    };
    let found = match kind {
        ConfigKind::Secret => match objects.secret(namespace, name) {
            Err(error) => return Err(refuse(&error.to_string())),
            Ok(None) => None,
            Ok(Some(secret)) => {
                Some(secret.get(key).map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)))
            }
        },
        ConfigKind::ConfigMap => match objects.config_map(namespace, name) {
            Err(error) => return Err(refuse(&error.to_string())),
            Ok(None) => None,
            Ok(Some(map)) => Some(map.data.get(key).map(|text| Ok(text.clone()))),
        },
    };
    let missing = |why: &str| if reference.optional { Ok(None) } else { Err(refuse(why)) };
    match found {
        None => missing(&format!("{}s {name:?} not found", kind.as_str().to_lowercase())),
        Some(None) => missing("key not found"),
        Some(Some(Err(_))) => Err(refuse("the value is not UTF-8")),
        Some(Some(Ok(text))) => Ok(Some(ValuesReference {
            described,
            text,
            target_path: reference.target_path.clone().filter(|path| !path.is_empty()),
            literal: reference.literal,
            secret: kind == ConfigKind::Secret,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clock;

    const CONFIG: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: apps}
data:
  values.yaml: 'image: {tag: v1}'
  list: '- canary-canary'
  broken: 'a: [canary-canary'
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: apps}
stringData:
  password: canary-canary
data:
  binary: /wAB/g==
";

    fn release(values_from: &str) -> HelmRelease {
        let manifest = format!(
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: app, namespace: apps}}\nspec:\n  interval: 1m\n  chart: {{spec: {{chart: app, sourceRef: {{kind: GitRepository, name: app}}}}}}\n  valuesFrom: {values_from}\n"
        );
        match flux_api::decode(&goyaml::yaml_to_json(&manifest).unwrap()).unwrap() {
            flux_api::FluxObject::HelmRelease(release) => *release,
            other => panic!("{}", other.kind()),
        }
    }

    async fn composed(values_from: &str) -> Result<ComposedValues, ValuesProblem> {
        let objects = Objects::memory(Clock::system());
        assert_eq!(objects.put_manifests("config.yaml", CONFIG).await, []);
        compose_values(&objects, &release(values_from))
    }

    #[tokio::test]
    async fn h66_values_that_are_missing_optional_binary_or_no_map_are_told_as_flux_tells_them() {
        for (values_from, message) in [
            (
                "[{kind: ConfigMap, name: gone}]",
                "could not resolve ConfigMap chart values reference 'apps/gone' with key 'values.yaml': configmaps \"gone\" not found",
            ),
            (
                "[{kind: Secret, name: keys}]",
                "could not resolve Secret chart values reference 'apps/keys' with key 'values.yaml': key not found",
            ),
            (
                "[{kind: Secret, name: keys, valuesKey: binary}]",
                "could not resolve Secret chart values reference 'apps/keys' with key 'binary': the value is not UTF-8",
            ),
            (
                "[{kind: ConfigMap, name: config, valuesKey: list}]",
                "could not resolve ConfigMap chart values reference 'apps/config' with key 'list': error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type common.Values",
            ),
            (
                "[{kind: ConfigMap, name: config, valuesKey: list, optional: true}]",
                "could not resolve optional ConfigMap chart values reference 'apps/config' with key 'list': error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type common.Values",
            ),
            (
                "[{kind: ConfigMap, name: config, valuesKey: broken}]",
                "could not resolve ConfigMap chart values reference 'apps/config' with key 'broken': error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'",
            ),
        ] {
            assert_eq!(composed(values_from).await.unwrap_err().message, message);
        }
        let fine = "[{kind: Secret, name: gone, optional: true}, {kind: Secret, name: keys, optional: true}, {kind: ConfigMap, name: config}, {kind: Secret, name: keys, valuesKey: password, targetPath: auth.password}]";
        let composed = composed(fine).await.unwrap();
        assert_eq!(
            helm_engine::values::map_to_json(&composed.values),
            serde_json::json!({ "image": { "tag": "v1" }, "auth": { "password": "canary-canary" } })
        );
        assert_eq!(composed.hidden.mask("no canary-canary, but v1"), "no ***, but v1");
    }
}
