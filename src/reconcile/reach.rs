//! Whether the clusters that releases name can be used: for `sluice check`.

use std::collections::BTreeMap;

use flux_api::HelmRelease;
use futures::StreamExt as _;

use super::context::Reconciler;
use super::kubeconfig::cluster_name;
use crate::model::{Kind, ObjectKey};

/// Clusters asked at once: a dead one holds up nobody for long.
const AT_ONCE: usize = 32;

/// One member cluster, by the name releases know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The cluster.
    pub cluster: String,
    /// The releases that name it.
    pub objects: Vec<ObjectKey>,
    /// Its Kubernetes version, or why it cannot be used.
    pub version: Result<String, String>,
}

impl Reconciler {
    /// Asks every cluster that a release names for its version.
    pub async fn reach(&self) -> Vec<Reach> {
        let mut named: BTreeMap<(String, String), Vec<std::sync::Arc<flux_api::FluxObject>>> =
            BTreeMap::new();
        for object in self.inner.objects.list(Kind::HelmRelease) {
            let Some(release) = object.get::<HelmRelease>() else { continue };
            let cluster = cluster_name(release.spec.kube_config.as_ref());
            named.entry((object.namespace().to_owned(), cluster)).or_default().push(object.clone());
        }
        let asked = named.into_iter().map(|((_, cluster), objects)| async move {
            let version = match objects.first().and_then(|object| object.get::<HelmRelease>()) {
                Some(release) => self.version_of(release).await,
                None => Err("nothing names it any more".to_owned()),
            };
            let objects = objects
                .iter()
                .map(|object| ObjectKey::new(Kind::HelmRelease, object.namespace(), object.name()))
                .collect();
            Reach { cluster, objects, version }
        });
        futures::stream::iter(asked).buffered(AT_ONCE).collect().await
    }

    async fn version_of(&self, release: &HelmRelease) -> Result<String, String> {
        let cluster = self.inner.cluster_of(release).map_err(|problem| problem.message)?;
        let capabilities = cluster.capabilities().await.map_err(|error| error.to_string())?;
        Ok(capabilities.kube_version.git_version.clone())
    }
}
