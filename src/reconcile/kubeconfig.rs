//! The member cluster of a HelmRelease: kubeconfig Secret to client, with Flux's key rules.

use flux_api::HelmRelease;

use super::context::Inner;
use super::secrets::SecretProblem;
use crate::cluster::{Cluster, ClusterIdentity, SecretBytes, ServiceAccount};
use crate::objects::Secret;

pub(super) use crate::model::cluster_name;

/// The keys a kubeconfig may stand under when `kubeConfig.secretRef.key` names none, in order.
const KEYS: [&str; 2] = ["value", "value.yaml"];

/// Why there is no client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoCluster {
    /// The text for the condition.
    pub(super) message: String,
    /// Only a change of the object or Secret helps.
    pub(super) stalled: bool,
    /// There is no kubeconfig at all.
    pub(super) missing: bool,
}

/// The kubeconfig in a Secret.
pub(super) fn kubeconfig_of<'s>(secret: &'s Secret, key: Option<&str>) -> Result<&'s [u8], String> {
    let named = format!("{}/{}", secret.namespace, secret.name);
    let found = |key: &str| secret.get(key).filter(|bytes| !bytes.is_empty());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => found(key)
            .ok_or_else(|| format!("KubeConfig secret '{named}' does not contain a '{key}' key with data")),
        None => KEYS.iter().find_map(|key| found(key)).ok_or_else(|| {
            format!("KubeConfig secret '{named}' does not contain a 'value' or 'value.yaml' key with data")
        }),
    }
}

impl Inner {
    /// A client for the release's cluster.
    pub(super) fn cluster_of(&self, object: &HelmRelease) -> Result<Cluster, NoCluster> {
        let namespace = &object.metadata.namespace;
        let account = object
            .spec
            .service_account_name
            .clone()
            .or_else(|| self.settings.default_service_account.clone())
            .filter(|name| !name.is_empty());
        let impersonate = account.map(|name| ServiceAccount { namespace: namespace.clone(), name });
        let refuse = |message: String, stalled: bool| NoCluster { message, stalled, missing: false };
        let Some(reference) = &object.spec.kube_config else {
            let identity = ClusterIdentity { object: "the cluster sluice runs in".to_owned(), impersonate };
            return self.clusters.connect_in_cluster(identity).map_err(|_| NoCluster {
                missing: true,
                ..refuse(
                    format!(
                        "HelmRelease '{namespace}/{}' has no `spec.kubeConfig`, and sluice does not run in a cluster\nhint: name the member's kubeconfig in `spec.kubeConfig.secretRef`",
                        object.metadata.name
                    ),
                    true,
                )
            });
        };
        let Some(secret_ref) = &reference.secret_ref else {
            return Err(refuse(
                "`spec.kubeConfig.configMapRef` (log-in to a cloud provider's cluster) is not supported by this version\nhint: use `spec.kubeConfig.secretRef`"
                    .to_owned(),
                true,
            ));
        };
        let secret = self.need_secret(namespace, &secret_ref.name).map_err(|problem| NoCluster {
            missing: matches!(problem, SecretProblem::Missing { .. }),
            ..refuse(problem.to_string(), false)
        })?;
        let bytes = kubeconfig_of(&secret, secret_ref.key.as_deref()).map_err(|text| refuse(text, false))?;
        let identity =
            ClusterIdentity { object: format!("Secret `{namespace}/{}`", secret_ref.name), impersonate };
        self.clusters
            .connect(&SecretBytes::from(bytes.to_vec()), identity)
            .map_err(|error| refuse(error.to_string(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&str, &str)]) -> Secret {
        Secret::new(
            "gitops-project",
            "member1-kubeconfig",
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())),
        )
    }

    #[test]
    fn the_kubeconfig_is_found_under_each_of_its_keys() {
        for key in KEYS {
            assert_eq!(kubeconfig_of(&secret(&[(key, "x")]), None).unwrap(), b"x");
        }
        assert_eq!(kubeconfig_of(&secret(&[("value", "a"), ("own", "b")]), Some("own")).unwrap(), b"b");
    }

    #[test]
    fn h95_a_missing_or_empty_key_is_named() {
        assert_eq!(
            kubeconfig_of(&secret(&[("other", "x")]), None).unwrap_err(),
            "KubeConfig secret 'gitops-project/member1-kubeconfig' does not contain a 'value' or 'value.yaml' key with data"
        );
        assert!(kubeconfig_of(&secret(&[("value", "")]), None).is_err());
        assert_eq!(
            kubeconfig_of(&secret(&[("value", "x")]), Some("mine")).unwrap_err(),
            "KubeConfig secret 'gitops-project/member1-kubeconfig' does not contain a 'mine' key with data"
        );
    }
}
