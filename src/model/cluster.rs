//! What member clusters are called.

use flux_api::{FluxObject, KubeConfigRef};

/// How statuses, stories and tables call the cluster an object is applied to; `None` for kinds that are applied to none.
pub fn cluster_of(object: &FluxObject) -> Option<String> {
    let reference = match object {
        FluxObject::HelmRelease(release) => &release.spec.kube_config,
        FluxObject::Kustomization(kustomization) => &kustomization.spec.kube_config,
        _ => return None,
    };
    Some(cluster_name(reference.as_ref()))
}

/// The same for a reference to a kubeconfig: the Secret's name without what everybody's ends in.
pub fn cluster_name(reference: Option<&KubeConfigRef>) -> String {
    let Some(reference) = reference else { return "in-cluster".to_owned() };
    let secret = reference.secret_ref.as_ref().map(|secret| secret.name.as_str());
    let name = secret.or(reference.config_map_ref.as_ref().map(|map| map.name.as_str())).unwrap_or("unnamed");
    short_cluster_name(name).to_owned()
}

/// The name of a Secret or ConfigMap, as that of a cluster.
pub fn short_cluster_name(name: &str) -> &str {
    name.strip_suffix("-kubeconfig").filter(|short| !short.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use flux_api::{LocalRef, SecretKeyRef};

    use super::*;

    #[test]
    fn clusters_are_called_by_their_secret() {
        let of = |name: &str| KubeConfigRef {
            secret_ref: Some(SecretKeyRef { name: name.into(), key: None }),
            config_map_ref: None,
        };
        assert_eq!(cluster_name(Some(&of("member1-kubeconfig"))), "member1");
        assert_eq!(cluster_name(Some(&of("prod"))), "prod");
        assert_eq!(cluster_name(Some(&of("-kubeconfig"))), "-kubeconfig");
        let map = KubeConfigRef { secret_ref: None, config_map_ref: Some(LocalRef { name: "eks".into() }) };
        assert_eq!(cluster_name(Some(&map)), "eks");
        assert_eq!(cluster_name(None), "in-cluster");
    }
}
