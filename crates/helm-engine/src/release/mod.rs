//! Release records: what helm stores in the Secret `sh.helm.release.v1.<name>.v<revision>`.
//!
//! Field order and formats are Go's, so that the `helm` CLI and Flux read what is written here.
//! Where and under which labels records are kept is not this module's business.

mod chart;
mod codec;
mod doc;
mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::manifest::{Hook, HookEvent};

pub use chart::{ReleaseChart, ReleaseFile};
pub use codec::{DecodeError, decode, decode_json, encode, encode_json};
pub use doc::{Doc, split_manifest};
pub use shared::SharedCharts;

/// The gzip level helm writes with.
pub const DEFAULT_GZIP_LEVEL: u32 = 9;

/// Type of the Secrets that hold records.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";

/// Name of the Secret that holds one revision of a release.
#[must_use]
pub fn secret_name(release: &str, revision: i64) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// Nothing certain is known.
    #[default]
    Unknown,
    /// Applied.
    Deployed,
    /// Removed, its history kept.
    Uninstalled,
    /// Replaced by a newer revision.
    Superseded,
    /// Something went wrong.
    Failed,
    /// Being removed.
    Uninstalling,
    /// Being installed.
    PendingInstall,
    /// Being upgraded.
    PendingUpgrade,
    /// Being rolled back.
    PendingRollback,
}

impl Status {
    /// Every status, in the order helm lists them.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Deployed,
        Self::Uninstalled,
        Self::Superseded,
        Self::Failed,
        Self::Uninstalling,
        Self::PendingInstall,
        Self::PendingUpgrade,
        Self::PendingRollback,
    ];

    /// The text in records and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Whether an operation is under way, which locks the release.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = std::convert::Infallible;

    /// Any other text is [`Status::Unknown`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or_default())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        Ok(text.parse().unwrap_or_default())
    }
}

/// How a release's objects were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApplyMethod {
    /// Three-way merge on the client.
    ClientSide,
    /// Server-side apply.
    ServerSide,
}

impl ApplyMethod {
    /// The text in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSide => "csa",
            Self::ServerSide => "ssa",
        }
    }
}

/// One revision of a release.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// Name of the release.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub name: String,
    /// Status, times and notes.
    #[serde(deserialize_with = "or_default")]
    pub info: Info,
    /// The chart that was rendered.
    #[serde(deserialize_with = "or_default")]
    pub chart: Arc<ReleaseChart>,
    /// The values the user gave, without the chart's defaults.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty", deserialize_with = "or_default")]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// All documents but hooks, as [`crate::Rendered::manifest_text`] writes them.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub manifest: String,
    /// The hooks and how their last runs went.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub hooks: Vec<ReleaseHook>,
    /// The revision.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub version: i64,
    /// Namespace of the release, which need not be where the record is kept.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub namespace: String,
    /// `ssa`, `csa` or nothing, which counts as `csa`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub apply_method: String,
    /// Labels a user gave the record; kept on the Secret and not in the JSON.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// Status, times and notes of a revision. Times are RFC 3339 texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// When the release was first installed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub first_deployed: Option<String>,
    /// When this revision was made.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub last_deployed: Option<String>,
    /// When the release was removed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub deleted: Option<String>,
    /// One sentence for people.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub description: String,
    /// Where the revision stands.
    pub status: Status,
    /// The revision that was rolled back to, or 0.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub rollback_revision: i64,
    /// The rendered `NOTES.txt`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub notes: String,
}

/// A hook in a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseHook {
    /// `metadata.name`
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub name: String,
    /// `kind`
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub kind: String,
    /// The template it came from.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub path: String,
    /// The document.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub manifest: String,
    /// When it runs.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub events: Vec<HookEvent>,
    /// Its last run.
    #[serde(deserialize_with = "or_default")]
    pub last_run: HookExecution,
    /// Order within an event.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub weight: i64,
    /// When the object is deleted: `hook-succeeded`, `hook-failed`, `before-hook-creation`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub delete_policies: Vec<String>,
    /// When its logs are shown: `hook-succeeded`, `hook-failed`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub output_log_policies: Vec<String>,
}

impl From<&Hook> for ReleaseHook {
    fn from(hook: &Hook) -> Self {
        Self {
            name: hook.name.clone(),
            kind: hook.kind.clone(),
            path: hook.path.clone(),
            manifest: hook.manifest.clone(),
            events: hook.events.clone(),
            last_run: HookExecution::default(),
            weight: hook.weight,
            delete_policies: hook.delete_policies.clone(),
            output_log_policies: hook.output_log_policies.clone(),
        }
    }
}

/// The last run of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HookExecution {
    /// When it started, as RFC 3339 text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub started_at: Option<String>,
    /// When it ended, as RFC 3339 text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub completed_at: Option<String>,
    /// How it went.
    pub phase: HookPhase,
}

/// How a hook's run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HookPhase {
    /// It never ran.
    #[default]
    Never,
    /// It is not known.
    Unknown,
    /// It is running.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

impl HookPhase {
    /// The text in records; empty if it never ran.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::Unknown => "Unknown",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl Serialize for HookPhase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HookPhase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let phases = [Self::Never, Self::Running, Self::Succeeded, Self::Failed];
        Ok(phases.into_iter().find(|phase| phase.as_str() == text).unwrap_or(Self::Unknown))
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go reads `null` as the zero value.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Helm 3 writes a missing time as an empty text.
fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(d)?;
    Ok(text.filter(|text| !text.is_empty() && text != ZERO_TIME))
}

/// Go's zero time.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
