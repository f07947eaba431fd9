//! One copy of a chart for all records that hold the same one: most of a record is its chart, and of a thousand releases of
//! one chart, each with its history, that would be thousands of copies to read and to hold.
//!
//! Nothing is kept that no record holds any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::codec::unpack;
use super::{DecodeError, Release, ReleaseChart, decode_json};

/// Charts of records, by digest of their JSON. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SharedCharts(Arc<Mutex<HashMap<[u8; 32], Weak<ReleaseChart>>>>);

/// Only where the chart is.
#[derive(Deserialize)]
struct ChartOf<'a> {
    #[serde(borrow)]
    chart: Option<&'a RawValue>,
}

impl SharedCharts {
    /// Reads a record as [`super::decode`] does; its chart is the one of an equal record that is still held.
    ///
    /// # Errors
    /// When the data is damaged or no release.
    pub fn decode(&self, data: &[u8]) -> Result<Release, DecodeError> {
        let json = unpack(data)?;
        // What is odd enough not to be read here gets its error, or its meaning, there.
        let Ok(ChartOf { chart: Some(chart) }) = serde_json::from_slice(&json) else {
            return decode_json(&json);
        };
        let chart = chart.get();
        let start = chart.as_ptr().addr() - json.as_ptr().addr();
        let without = [&json[..start], b"null", &json[start + chart.len()..]].concat();
        let mut release = decode_json(&without)?;
        release.chart = self.chart(chart)?;
        Ok(release)
    }

    fn chart(&self, json: &str) -> Result<Arc<ReleaseChart>, DecodeError> {
        let digest: [u8; 32] = Sha256::digest(json.as_bytes()).into();
        if let Some(known) = self.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let chart: Arc<ReleaseChart> = Arc::new(serde_json::from_str(json)?);
        let mut charts = self.lock();
        charts.retain(|_, chart| chart.strong_count() > 0);
        charts.insert(digest, Arc::downgrade(&chart));
        Ok(chart)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Weak<ReleaseChart>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ReleaseFile, encode};
    use super::*;

    fn release(version: i64, template: &str) -> Release {
        let file = ReleaseFile {
            name: "templates/a.yaml".to_owned(),
            data: Arc::from(template.as_bytes()),
            mod_time: None,
        };
        let chart = ReleaseChart { templates: vec![file], ..ReleaseChart::default() };
        Release {
            name: "web".to_owned(),
            chart: Arc::new(chart),
            manifest: "chart: {null}".to_owned(),
            version,
            ..Release::default()
        }
    }

    #[test]
    fn records_of_one_chart_share_it_and_are_what_they_were() {
        let charts = SharedCharts::default();
        let read = |release: &Release| {
            let read = charts.decode(&encode(release, 1)).unwrap();
            assert_eq!(read, *release);
            read
        };
        let (first, second, other) =
            (read(&release(1, "a: 1")), read(&release(2, "a: 1")), read(&release(3, "a: 2")));
        assert!(Arc::ptr_eq(&first.chart, &second.chart));
        assert!(!Arc::ptr_eq(&first.chart, &other.chart));
    }

    #[test]
    fn charts_nobody_holds_are_forgotten() {
        let charts = SharedCharts::default();
        for version in 0..10 {
            charts.decode(&encode(&release(version, &version.to_string()), 1)).unwrap();
        }
        assert!(charts.lock().len() <= 1);
    }

    #[test]
    fn what_has_no_chart_or_is_none_is_read_as_ever() {
        let charts = SharedCharts::default();
        for odd in
            [r#"{"name":"a"}"#, r#"{"name":"a","chart":null}"#, "[]", r#"{"chart":{"metadata":1}}"#, "{"]
        {
            let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, odd);
            let (shared, plain) = (charts.decode(packed.as_bytes()), super::super::decode(packed.as_bytes()));
            assert_eq!(shared.is_ok(), plain.is_ok(), "{odd}");
            assert_eq!(shared.ok(), plain.ok(), "{odd}");
        }
    }
}
