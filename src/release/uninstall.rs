//! The end of a release: its object is being deleted, or now names another release.

use flux_api::{HelmRelease, reason};
use helm_engine::Limits;
use helm_engine::release::SharedCharts;
use tokio_util::sync::CancellationToken;

use super::actions::{Performer, Timings};
use super::names;
use super::run::ReleaseEvent;
use super::storage::Storage;
use crate::cluster::Cluster;
use crate::model::{Clock, Severity};
use crate::render::hidden::HiddenTexts;
use crate::render::pool::RenderPool;

/// Uninstalls a release whose object is being deleted or now names another release.
///
/// # Errors
/// With the text for the condition.
pub async fn uninstall(
    cluster: &Cluster,
    pool: &RenderPool,
    charts: &SharedCharts,
    clock: &Clock,
    cancel: &CancellationToken,
    object: &HelmRelease,
) -> Result<Option<ReleaseEvent>, String> {
    // What the status remembers wins: the spec may already name something else.
    let observed = object.status.history.first();
    let name = observed
        .map(|snapshot| snapshot.name.clone())
        .unwrap_or_else(|| names::shorten(&object.composed_release_name()));
    let namespace =
        object.status.storage_namespace.clone().unwrap_or_else(|| object.storage_namespace().to_owned());
    let storage =
        Storage::new(cluster.clone(), namespace, &name, clock.clone(), pool.clone(), charts.clone());
    let history = storage.history().await.map_err(|error| error.to_string())?;
    let Some(last) = history.last() else { return Ok(None) };
    let described = format!(
        "{} with chart {}@{}",
        names::full_name(&last.namespace, &last.name, last.version),
        last.chart.metadata.name,
        last.chart.metadata.version
    );
    let mut performer = Performer {
        cluster,
        storage: &storage,
        pool,
        clock,
        cancel,
        object,
        release_name: &name,
        limits: &Limits::default(),
        hidden: &HiddenTexts::default(),
        timings: Timings::default(),
    };
    let event = |severity, reason, message| ReleaseEvent {
        severity,
        reason,
        message,
        chart_version: last.chart.metadata.version.clone(),
        app_version: last.chart.metadata.app_version.clone(),
        config_digest: String::new(),
    };
    match performer.uninstall(&history).await {
        Ok(_) => Ok(Some(event(
            Severity::Info,
            reason::UNINSTALL_SUCCEEDED,
            format!("Helm uninstall succeeded for release {described}"),
        ))),
        Err(failure) => Err(format!("Helm uninstall failed for release {described}: {}", failure.message)),
    }
}
