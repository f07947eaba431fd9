//! The chart inside a release record: what the CLI shows and `helm get all` prints. Subcharts are
//! not part of it, as in helm.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ZERO_TIME, or_default};
use crate::chart::metadata::Metadata;
use crate::chart::{Chart, ChartFile, Lock};
use crate::values::map_to_json;

/// A chart as a release record holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseChart {
    /// `Chart.yaml`; its dependencies are the enabled ones.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// `Chart.lock`.
    pub lock: Option<Lock>,
    /// Files below `templates/`.
    #[serde(serialize_with = "null_if_empty", deserialize_with = "or_default")]
    pub templates: Vec<ReleaseFile>,
    /// Default values.
    pub values: Option<serde_json::Value>,
    /// `values.schema.json`.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub schema: Option<Arc<[u8]>>,
    /// When the schema was last changed, as RFC 3339 text.
    #[serde(rename = "schemamodtime")]
    pub schema_mod_time: String,
    /// All other files.
    #[serde(serialize_with = "null_if_empty", deserialize_with = "or_default")]
    pub files: Vec<ReleaseFile>,
    /// When `Chart.yaml` was last changed, as RFC 3339 text.
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    pub mod_time: Option<String>,
}

impl Default for ReleaseChart {
    fn default() -> Self {
        Self::from(&Chart::default())
    }
}

/// A file of a chart in a release record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseFile {
    /// Path relative to the chart.
    pub name: String,
    /// Contents.
    #[serde(serialize_with = "data_to_base64", deserialize_with = "data_from_base64")]
    pub data: Arc<[u8]>,
    /// When it was last changed, as RFC 3339 text.
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    pub mod_time: Option<String>,
}

impl From<&ChartFile> for ReleaseFile {
    fn from(file: &ChartFile) -> Self {
        Self { name: file.name.clone(), data: file.data.clone(), mod_time: file.mod_time.map(rfc3339) }
    }
}

impl From<&Chart> for ReleaseChart {
    fn from(chart: &Chart) -> Self {
        Self {
            metadata: chart.metadata.clone(),
            lock: chart.lock.clone(),
            templates: chart.templates.iter().map(ReleaseFile::from).collect(),
            values: chart.values.as_ref().map(map_to_json),
            schema: chart.schema.clone(),
            schema_mod_time: chart.schema_mod_time.map_or_else(|| ZERO_TIME.to_owned(), rfc3339),
            files: chart.files.iter().map(ReleaseFile::from).collect(),
            mod_time: chart.mod_time.map(rfc3339),
        }
    }
}

/// Seconds since 1970 as RFC 3339 text in UTC (days from civil, after Howard Hinnant).
fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn null_if_empty<S: Serializer>(files: &[ReleaseFile], s: S) -> Result<S::Ok, S::Error> {
    if files.is_empty() { s.serialize_none() } else { s.collect_seq(files) }
}

fn data_to_base64<S: Serializer>(data: &Arc<[u8]>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&STANDARD.encode(data))
}

fn to_base64<S: Serializer>(data: &Option<Arc<[u8]>>, s: S) -> Result<S::Ok, S::Error> {
    match data {
        Some(data) => data_to_base64(data, s),
        None => s.serialize_none(),
    }
}

fn from_base64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Arc<[u8]>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(d)? else { return Ok(None) };
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    Ok(Some(bytes.into()))
}

fn data_from_base64<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<[u8]>, D::Error> {
    Ok(from_base64(d)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
