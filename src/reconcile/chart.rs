//! Building a chart out of a git source: what HelmChart objects and HelmReleases share.

use std::sync::Arc;

use flux_api::{GitRepository, HelmChartSpec, HelmChartTemplateSpec, ReconcileStrategy, SourceRef, reason};

use super::context::{Run, at};
use crate::model::Kind;
use crate::queue::StepOutcome;
use crate::render::chart::{
    BuiltChart, ChartBuildError, ChartContent, ChartRequest, build, version_metadata,
};
use crate::source::GitCheckout;

/// The part of a HelmChart's spec that decides what is built.
pub(super) struct ChartRef<'a> {
    pub(super) chart: &'a str,
    pub(super) source: &'a SourceRef,
    pub(super) strategy: ReconcileStrategy,
    pub(super) values_files: &'a [String],
    pub(super) ignore_missing: bool,
}

impl<'a> From<&'a HelmChartSpec> for ChartRef<'a> {
    fn from(spec: &'a HelmChartSpec) -> Self {
        Self {
            chart: &spec.chart,
            source: &spec.source_ref,
            strategy: spec.reconcile_strategy(),
            values_files: &spec.values_files,
            ignore_missing: spec.ignore_missing_values_files,
        }
    }
}

impl<'a> From<&'a HelmChartTemplateSpec> for ChartRef<'a> {
    fn from(spec: &'a HelmChartTemplateSpec) -> Self {
        Self {
            chart: &spec.chart,
            source: &spec.source_ref,
            strategy: spec.reconcile_strategy(),
            values_files: &spec.values_files,
            ignore_missing: spec.ignore_missing_values_files,
        }
    }
}

/// A chart and the source revision it was built from.
pub(super) struct ChartAt {
    pub(super) chart: Arc<BuiltChart>,
    pub(super) source_revision: String,
}

/// Why there is no chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoChart {
    pub(super) reason: String,
    pub(super) message: String,
    /// Another look at the same source gives the same answer.
    pub(super) stalled: bool,
    /// The source is not ready; it wakes us when it is.
    pub(super) waiting: bool,
}

impl NoChart {
    fn waiting(reason: &str, message: String) -> Self {
        Self { reason: reason.to_owned(), message, stalled: false, waiting: true }
    }
}

impl From<ChartBuildError> for NoChart {
    fn from(error: ChartBuildError) -> Self {
        Self { reason: error.reason.to_owned(), message: error.to_string(), stalled: true, waiting: false }
    }
}

/// Builds the chart at the revision its source stands at.
pub(super) async fn build_chart(
    run: &mut Run<'_>,
    namespace: &str,
    wanted: &ChartRef<'_>,
    generation: i64,
) -> Result<ChartAt, NoChart> {
    run.reads_source();
    let inner = run.inner;
    let source = wanted.source;
    let source_namespace = source.namespace(namespace);
    if source.kind != Kind::GitRepository {
        return Err(NoChart {
            reason: reason::UNSUPPORTED_SOURCE_KIND.to_owned(),
            message: format!(
                "charts from a {} are not supported by this version\nhint: use a GitRepository",
                source.kind
            ),
            stalled: true,
            waiting: false,
        });
    }
    let Some(git) = inner.objects.get_as::<GitRepository>(source_namespace, &source.name) else {
        return Err(NoChart::waiting(
            reason::SOURCE_UNAVAILABLE,
            format!(
                "failed to get source: gitrepositories.source.toolkit.fluxcd.io \"{}\" not found",
                source.name
            ),
        ));
    };
    let Some(artifact) = &git.status.artifact else {
        return Err(NoChart::waiting(
            reason::NO_SOURCE_ARTIFACT,
            format!("no artifact available for {} source '{}'", source.kind, source.name),
        ));
    };
    let source_revision = artifact.revision.clone();
    let checkout = inner.source_checkout(&git).await.map_err(unreadable)?;
    build_chart_at(run, &git, &checkout, &source_revision, wanted, generation).await
}

/// The source cannot be read just now.
fn unreadable(message: String) -> NoChart {
    NoChart { reason: reason::CHART_PULL_ERROR.to_owned(), message, stalled: false, waiting: false }
}

/// The `.sourceignore` files outside a chart's directory that may leave files of it out.
fn ignore_files_above(path: &str) -> Vec<String> {
    let above = path.match_indices('/').map(|(end, _)| format!("{}/.sourceignore", &path[..end]));
    std::iter::once(".sourceignore".to_owned()).chain(above).collect()
}

/// Builds the chart out of a checkout.
pub(super) async fn build_chart_at(
    run: &mut Run<'_>,
    git: &GitRepository,
    checkout: &GitCheckout,
    source_revision: &str,
    wanted: &ChartRef<'_>,
    generation: i64,
) -> Result<ChartAt, NoChart> {
    let inner = run.inner;
    let source_revision = source_revision.to_owned();
    let repository = &checkout.repository;
    let hex = source_revision.rsplit_once(':').map_or(source_revision.as_str(), |(_, hex)| hex);
    let metadata = version_metadata(
        (wanted.strategy == ReconcileStrategy::Revision).then_some(hex),
        !wanted.values_files.is_empty(),
        generation,
    );
    let path = wanted.chart.trim_start_matches("./").trim_end_matches('/');
    let fail = |error: crate::source::GitError| unreadable(error.to_string());
    let tree = repository.tree_id(path).await.map_err(fail)?.ok_or_else(|| {
        NoChart::from(ChartBuildError::reference(format!("stat /{path}: no such file or directory")))
    })?;
    let mut identity = vec![tree, git.spec.ignore.clone().unwrap_or_default()];
    for file in ignore_files_above(path) {
        identity.push(repository.tree_id(&file).await.map_err(fail)?.unwrap_or_default());
    }
    for file in wanted.values_files {
        let name = file.trim_start_matches("./").trim_start_matches('/');
        identity.push(repository.tree_id(name).await.map_err(fail)?.unwrap_or_default());
    }
    let mut request = ChartRequest {
        identity,
        content: ChartContent::Directory(std::collections::BTreeMap::new()),
        values_files: wanted.values_files.iter().map(|file| (file.clone(), None)).collect(),
        ignore_missing_values_files: wanted.ignore_missing,
        version_metadata: metadata,
    };
    let key = request.key();
    if let Some(chart) = inner.charts.get(&key) {
        return Ok(ChartAt { chart, source_revision });
    }
    let _alone = inner.builders.of(key.clone()).await;
    // Whoever had the turn before us has built it.
    if let Some(chart) = inner.charts.get(&key) {
        return Ok(ChartAt { chart, source_revision });
    }
    let watch = run.stopwatch();
    for (file, content) in &mut request.values_files {
        let name = file.trim_start_matches("./").trim_start_matches('/');
        *content = repository.read_file(name).await.map_err(fail)?.map(Arc::from);
    }
    let rules = repository.ignore_rules(git.spec.ignore.as_deref()).await.map_err(fail)?;
    request.content = match repository.files(path, &rules, repository.file_limits()).await.map_err(fail)? {
        Some(files) => ChartContent::Directory(files),
        None => match repository.read_file(path).await.map_err(fail)? {
            Some(bytes) => ChartContent::Archive(Arc::from(bytes)),
            None => {
                return Err(
                    ChartBuildError::reference(format!("stat /{path}: no such file or directory")).into()
                );
            }
        },
    };
    let profile = inner.settings.profile.clone();
    let built = inner
        .pool
        .run(move || build(&request, &profile))
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let chart = match built {
        Ok(chart) => Arc::new(chart),
        Err(error) => {
            run.step("chart", watch.started, watch.elapsed(), StepOutcome::Failed, error.to_string());
            return Err(error.into());
        }
    };
    run.step("chart", watch.started, watch.elapsed(), StepOutcome::Done, chart.message()).revision =
        at(&source_revision);
    inner.charts.put(key, Arc::clone(&chart));
    Ok(ChartAt { chart, source_revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_files_of_every_directory_above_a_chart_count() {
        assert_eq!(ignore_files_above("chart"), [".sourceignore"]);
        assert_eq!(
            ignore_files_above("deploy/charts/app"),
            [".sourceignore", "deploy/.sourceignore", "deploy/charts/.sourceignore"]
        );
    }
}
