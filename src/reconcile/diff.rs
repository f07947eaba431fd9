//! What a revision would change on the clusters of HelmReleases, nothing applied; and whether clusters can be reached.

use std::sync::Arc;

use flux_api::{FluxObject, GitRepository, HelmRelease};
use tokio_util::sync::CancellationToken;

use super::chart::{ChartRef, build_chart_at};
use super::context::{Reconciler, Run};
use super::dependents;
use super::values_from::compose_values;
use crate::cluster::ObjectDiff;
use crate::model::{Cause, CauseKind, JobId, Kind, ObjectKey, cluster_name};
use crate::queue::{Lease, LeasedJob, Priority};
use crate::release::{self, ReleaseRequest};

/// What one release would change on its cluster.
pub struct ReleaseDiff {
    /// The HelmRelease.
    pub object: ObjectKey,
    /// Its cluster.
    pub cluster: String,
    /// The source revision that was rendered.
    pub revision: Option<String>,
    /// The changes, or why they cannot be told.
    pub outcome: Result<Vec<ObjectDiff>, String>,
}

/// Whether one member can be used.
pub struct Reach {
    /// The cluster.
    pub cluster: String,
    /// The objects that name it.
    pub objects: Vec<ObjectKey>,
    /// Its Kubernetes version, or why it cannot be used.
    pub version: Result<String, String>,
}

fn key(object: &FluxObject) -> ObjectKey {
    ObjectKey::new(object.kind(), object.namespace(), object.name())
}

impl Reconciler {
    /// The HelmReleases of a namespace, or all.
    pub fn releases(&self, namespace: Option<&str>) -> Vec<ObjectKey> {
        self.inner
            .objects
            .list(Kind::HelmRelease)
            .iter()
            .filter(|object| namespace.is_none_or(|namespace| namespace == object.namespace()))
            .map(|object| key(object))
            .collect()
    }

    /// What `revision` (a commit or its beginning, a branch, a tag, a reference; none for what the source stands at) would change for a release.
    pub async fn diff(&self, object: &ObjectKey, revision: Option<&str>) -> ReleaseDiff {
        let found = self.inner.objects.get_as::<HelmRelease>(&object.namespace, &object.name);
        let cluster = cluster_name(found.as_ref().and_then(|release| release.spec.kube_config.as_ref()));
        let mut rendered = None;
        let outcome = match found {
            None => Err(format!("`{object}` does not exist")),
            Some(release) => self.diff_release(object, &release, revision, &mut rendered).await,
        };
        ReleaseDiff { object: object.clone(), cluster, revision: rendered, outcome }
    }

    async fn diff_release(
        &self,
        object: &ObjectKey,
        release: &HelmRelease,
        revision: Option<&str>,
        rendered: &mut Option<String>,
    ) -> Result<Vec<ObjectDiff>, String> {
        let inner = &self.inner;
        let Some(template) = &release.spec.chart else {
            return Err("only releases with `spec.chart` can be compared".to_owned());
        };
        let source = dependents::source_of(release).ok_or("the release names no source")?;
        let git = inner
            .objects
            .get_as::<GitRepository>(&source.namespace, &source.name)
            .ok_or_else(|| format!("`{source}` does not exist"))?;
        let checkout = match revision {
            None => inner.source_checkout(&git).await?,
            Some(revision) => inner.checkout_named(&git, revision).await?,
        };
        *rendered = Some(checkout.revision.as_str().to_owned());
        let generation = release
            .helm_chart_name()
            .and_then(|(namespace, name)| {
                inner.objects.get(&ObjectKey::new(Kind::HelmChart, namespace, name))
            })
            .map_or(1, |chart| chart.metadata().generation);
        let job = not_a_job(object);
        let cancel = CancellationToken::new();
        let mut run = Run::new(inner, &job, cancel.clone());
        let chart = build_chart_at(
            &mut run,
            &git,
            &checkout,
            checkout.revision.as_str(),
            &ChartRef::from(&template.spec),
            generation,
        )
        .await
        .map_err(|failure| failure.message)?;
        let values = compose_values(&inner.objects, release).map_err(|problem| problem.message)?;
        let cluster = inner.cluster_of(release).map_err(|problem| problem.message)?;
        release::diff(&ReleaseRequest {
            cluster: &cluster,
            pool: &inner.pool,
            charts: &inner.recorded,
            clock: &inner.clock,
            cancel: &cancel,
            object: release,
            chart: &chart.chart,
            values: &values,
            oci_digest: "",
            forced: false,
            limits: &inner.settings.limits,
        })
        .await
    }

    /// Every cluster that HelmReleases name, and whether it answers.
    pub async fn reach(&self) -> Vec<Reach> {
        let mut members: std::collections::BTreeMap<String, Vec<Arc<FluxObject>>> =
            std::collections::BTreeMap::new();
        for object in self.inner.objects.list(Kind::HelmRelease) {
            let FluxObject::HelmRelease(release) = &*object else { continue };
            let name = cluster_name(release.spec.kube_config.as_ref());
            members.entry(name).or_default().push(Arc::clone(&object));
        }
        let checks = members.into_iter().map(|(cluster, objects)| async move {
            let version = match objects.first().map(|object| &**object) {
                Some(FluxObject::HelmRelease(release)) => match self.inner.cluster_of(release) {
                    Err(problem) => Err(problem.message),
                    Ok(member) => member
                        .capabilities()
                        .await
                        .map(|found| found.kube_version.git_version.clone())
                        .map_err(|error| error.to_string()),
                },
                _ => Err("no object names it".to_owned()),
            };
            Reach { cluster, objects: objects.iter().map(|object| key(object)).collect(), version }
        });
        futures::future::join_all(checks).await
    }
}

/// The parts of a reconcile take a job to note their steps under; a comparison has none.
fn not_a_job(object: &ObjectKey) -> LeasedJob {
    let id = JobId::generate();
    LeasedJob {
        id: id.clone(),
        object: object.clone(),
        causes: vec![Cause::of(CauseKind::Request)],
        payload: serde_json::Value::Null,
        attempts: 0,
        due_at: crate::model::Timestamp::UNIX_EPOCH,
        priority: Priority::Normal,
        lease: Lease { job: id, worker: String::new(), claim: 0 },
    }
}
