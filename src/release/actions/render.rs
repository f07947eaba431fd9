//! From chart and values to what is to be applied, with the answers of the member cluster.
//!
//! Applies nothing.

use std::sync::Arc;
use std::time::Duration;

use helm_engine::values::Map;
use helm_engine::{Capabilities, ReleaseOptions};
use serde_json::{Value, json};

use super::Performer;
use crate::cluster::{Cluster, ObjectId};
use crate::render::chart::BuiltChart;
use crate::render::plan::{Origin, Plan, PlanRequest, plan};

/// Steps that are skipped more often than not are told only when they took this long.
const WORTH_TELLING: Duration = Duration::from_millis(1);

impl Performer<'_> {
    pub(super) async fn render(
        &mut self,
        chart: &BuiltChart,
        values: &Map,
        revision: i64,
        is_upgrade: bool,
        skip_schema: bool,
    ) -> Result<Plan, String> {
        let cluster = self.cluster.clone();
        let capabilities =
            self.timed("discovery", async move {
                cluster.capabilities().await.map_err(|error| error.to_string())
            })
            .await?;
        // What is known of a cluster already takes no time, and is not worth a line of the story.
        self.timings.steps.pop_if(|(step, _, took, _)| *step == "discovery" && *took < WORTH_TELLING);
        let cluster = self.cluster.clone();
        let handle = tokio::runtime::Handle::current();
        let common = self.object.spec.common_metadata.clone().unwrap_or_default();
        let request = PlanRequest {
            chart: Arc::clone(&chart.compiled),
            values: values.clone(),
            release: ReleaseOptions {
                name: self.release_name.to_owned(),
                namespace: self.namespace().to_owned(),
                revision,
                is_install: !is_upgrade,
                is_upgrade,
                service: "Helm".to_owned(),
            },
            capabilities: Arc::new(helm_capabilities(&capabilities)),
            lookup: Box::new(ClusterLookup { cluster, handle }),
            limits: self.limits.clone(),
            skip_schema_validation: skip_schema,
            origin: Origin {
                name: self.object.metadata.name.clone(),
                namespace: self.object.metadata.namespace.clone(),
            },
            common_labels: common.labels,
            common_annotations: common.annotations,
            label_hooks: self.object.spec.post_render_strategy() != flux_api::PostRenderStrategy::NoHooks,
        };
        let (pool, hidden) = (self.pool.clone(), self.hidden.clone());
        self.timed("render", async move {
            // A chart's `fail` may print any value, those out of Secrets too.
            pool.run(move || plan(request).map_err(|error| hidden.mask(&error.to_string())))
                .await
                .map_err(|error| error.to_string())?
        })
        .await
    }
}

/// What templates may ask of the cluster, in Helm's form.
fn helm_capabilities(found: &crate::cluster::Capabilities) -> Capabilities {
    let mut capabilities = Capabilities::default();
    if let Ok(version) = helm_engine::KubeVersion::parse(&found.kube_version.git_version) {
        capabilities.kube_version = version;
    }
    capabilities.api_versions = found.api_versions();
    capabilities
}

/// Answers `lookup` from the member cluster. Runs on a render thread, which may block.
struct ClusterLookup {
    cluster: Cluster,
    handle: tokio::runtime::Handle,
}

impl helm_engine::Lookup for ClusterLookup {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        self.handle.block_on(async {
            if name.is_empty() {
                let scope = crate::cluster::ListScope {
                    namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
                    labels: String::new(),
                };
                let items =
                    self.cluster.list(api_version, kind, &scope).await.map_err(|error| error.to_string())?;
                Ok(json!({ "apiVersion": api_version, "kind": format!("{kind}List"), "items": items }))
            } else {
                let id = ObjectId::new(api_version, kind, namespace, name);
                let found = self.cluster.get(&id).await.map_err(|error| error.to_string())?;
                Ok(found.unwrap_or_else(|| json!({})))
            }
        })
    }
}
