//! HelmChart.

use super::common::{Artifact, OciVerification, SourceRef};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// A chart taken out of a source.
    HelmChartSpec {
        /// The chart's name, or its path in a GitRepository or Bucket.
        chart: String,
        /// A version or range; absent: `*`.
        version: Option<String>,
        /// HelmRepository, GitRepository or Bucket in the same namespace.
        source_ref: SourceRef,
        /// How often to look without being told.
        interval: GoDuration,
        /// Absent: ChartVersion.
        reconcile_strategy: Option<ReconcileStrategy>,
        /// Values files merged left to right in place of the chart's values.yaml; the old `valuesFile` stands first.
        values_files: Vec<String>,
        /// Skip values files that are not there.
        ignore_missing_values_files: bool,
        /// Whose signature is needed (registry only).
        verify: Option<OciVerification>,
        /// Leave it alone.
        suspend: bool,
    }

    /// What a HelmChart stands at.
    HelmChartStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// Where the newest chart is served.
        url: Option<String>,
        /// The last chart stored.
        artifact: Option<Artifact>,
        /// The source's revision of that chart.
        observed_source_artifact_revision: Option<String>,
        /// The chart's name.
        observed_chart_name: Option<String>,
        /// The values files found, when missing ones are skipped.
        observed_values_files: Vec<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// When a chart counts as new.
    ReconcileStrategy {
        ChartVersion = "ChartVersion",
        Revision = "Revision",
    }
}

impl HelmChartSpec {
    /// `*` unless said otherwise.
    pub fn version(&self) -> &str {
        self.version.as_deref().filter(|version| !version.is_empty()).unwrap_or("*")
    }

    /// ChartVersion unless said otherwise.
    pub fn reconcile_strategy(&self) -> ReconcileStrategy {
        self.reconcile_strategy.unwrap_or(ReconcileStrategy::ChartVersion)
    }
}
