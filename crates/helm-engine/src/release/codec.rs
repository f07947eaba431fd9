//! Records as stored: base64 of gzip of JSON. Old records without gzip are read as well.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::Release;
use crate::values::go_json;

/// The most bytes of JSON a record may unpack to; a Secret holds 1 MiB packed.
const MAX_JSON: u64 = 512 * 1024 * 1024;

/// A stored record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no base64.
    #[error("failed to decode release: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The compressed data is damaged or too large.
    #[error("failed to unpack release: {0}")]
    Gzip(#[from] std::io::Error),
    /// The JSON is not that of a release.
    #[error("failed to read release: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is no object.
    #[error("failed to read release: not a JSON object")]
    NotAnObject,
    /// It unpacks to more than any release has.
    #[error("failed to unpack release: more than {MAX_JSON} bytes")]
    TooLarge,
}

/// The record's JSON, as Go writes it.
#[must_use]
pub fn encode_json(release: &Release) -> Vec<u8> {
    go_json(release).expect("all keys of a release are texts")
}

/// The record as `data.release` of the Secret holds it, before the API's own base64.
#[must_use]
pub fn encode(release: &Release, gzip_level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(gzip_level.min(9)));
    encoder.write_all(&encode_json(release)).expect("writing to memory cannot fail");
    let packed = encoder.finish().expect("writing to memory cannot fail");
    STANDARD.encode(packed).into_bytes()
}

/// Reads what [`encode`], helm or Flux wrote.
///
/// # Errors
/// When the data is damaged or no release.
pub fn decode(data: &[u8]) -> Result<Release, DecodeError> {
    decode_json(&unpack(data)?)
}

/// The JSON of a packed record.
pub(super) fn unpack(data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let bytes = STANDARD.decode(data.trim_ascii())?;
    if !bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        return Ok(bytes);
    }
    let mut json = Vec::new();
    GzDecoder::new(bytes.as_slice()).take(MAX_JSON + 1).read_to_end(&mut json)?;
    if json.len() as u64 > MAX_JSON {
        return Err(DecodeError::TooLarge);
    }
    Ok(json)
}

/// Reads a record's JSON.
///
/// # Errors
/// When it is no JSON or a field has the wrong type.
pub fn decode_json(json: &[u8]) -> Result<Release, DecodeError> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(DecodeError::NotAnObject);
    }
    Ok(serde_json::from_slice(json)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Info, ReleaseHook, Status};
    use super::*;
    use crate::manifest::HookEvent;

    fn release() -> Release {
        Release {
            name: "web".to_owned(),
            info: Info {
                first_deployed: Some("2026-01-02T03:04:05.123456789Z".to_owned()),
                status: Status::PendingInstall,
                description: "Initial install underway".to_owned(),
                ..Info::default()
            },
            manifest: "---\n# Source: a/b\nx: <&>\n".to_owned(),
            hooks: vec![ReleaseHook {
                name: "h".to_owned(),
                events: vec![HookEvent::PreInstall],
                ..Default::default()
            }],
            version: 3,
            namespace: "prod".to_owned(),
            apply_method: "ssa".to_owned(),
            ..Release::default()
        }
    }

    #[test]
    fn json_is_gos() {
        let json = String::from_utf8(encode_json(&release())).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"name":"web","info":{"first_deployed":"2026-01-02T03:04:05.123456789Z","#,
                r#""description":"Initial install underway","status":"pending-install"},"#,
                r#""chart":{"metadata":{},"lock":null,"templates":null,"values":null,"schema":null,"#,
                r#""schemamodtime":"0001-01-01T00:00:00Z","files":null},"#,
                r#""manifest":"---\n# Source: a/b\nx: \u003c\u0026\u003e\n","#,
                r#""hooks":[{"name":"h","events":["pre-install"],"last_run":{"phase":""}}],"#,
                r#""version":3,"namespace":"prod","apply_method":"ssa"}"#
            )
        );
    }

    /// `helm install rel app-1.2.3.tgz -n ns --dry-run=client -o json --kube-version 1.33.0` of Helm
    /// v4.3.1 with these values; the times are made up.
    #[test]
    fn a_rendered_release_is_stored_as_helm_stores_it() {
        let golden = include_str!("../../tests/data/release.json");
        let known = decode_json(golden.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(encode_json(&known)).unwrap(), golden);

        let chart = crate::load_archive(include_bytes!("../../tests/data/app-1.2.3.tgz")).unwrap();
        let chart = chart.compile(&crate::HelmProfile::default()).unwrap();
        let values = serde_json::json!({"replicas": 3, "extra": {"html": "<&>"}});
        let options = crate::ReleaseOptions {
            name: "rel".to_owned(),
            namespace: "ns".to_owned(),
            ..crate::ReleaseOptions::default()
        };
        let kube_version = crate::KubeVersion::parse("1.33.0").unwrap();
        let capabilities = crate::Capabilities { kube_version, ..crate::Capabilities::default() };
        let limits = crate::Limits::default();
        let rendered = chart
            .render(&values, &options, &capabilities, std::rc::Rc::new(crate::NoCluster), &limits)
            .unwrap();
        let release = Release {
            name: options.name,
            info: Info { notes: rendered.notes.clone(), ..known.info.clone() },
            chart: rendered.release_chart(),
            config: values.as_object().unwrap().clone(),
            manifest: rendered.manifest_text(),
            hooks: rendered.hooks.iter().map(ReleaseHook::from).collect(),
            version: 1,
            namespace: options.namespace,
            apply_method: "ssa".to_owned(),
            ..Release::default()
        };
        assert_eq!(String::from_utf8(encode_json(&release)).unwrap(), golden);
    }

    #[test]
    fn stored_records_come_back() {
        let release = release();
        assert_eq!(decode(&encode(&release, 9)).unwrap(), release);
        assert_eq!(decode(STANDARD.encode(encode_json(&release)).as_bytes()).unwrap(), release);
    }

    #[test]
    fn helm_3_records_are_read() {
        let old = br#"{"name":"a","info":{"first_deployed":"2020-01-01T00:00:00Z","deleted":"","status":"deployed"},
            "chart":{"metadata":{"name":"c","version":"1.0.0"},"lock":null,"templates":null,"values":{"a":1},"schema":null,"files":null},
            "hooks":[{"name":"h","last_run":{"started_at":"","completed_at":"","phase":""}}],"version":1,"namespace":"ns","new":1}"#;
        let release = decode_json(old).unwrap();
        assert_eq!(release.info.deleted, None);
        assert_eq!(release.info.status, Status::Deployed);
        assert_eq!(release.chart.metadata.name, "c");
        assert_eq!(release.hooks[0].last_run.started_at, None);
    }

    #[test]
    fn damaged_records_are_refused() {
        assert!(decode(b"%%%").is_err());
        assert!(decode(STANDARD.encode([0x1f, 0x8b, 8, 0, 0]).as_bytes()).is_err());
        assert!(decode(STANDARD.encode("[]").as_bytes()).is_err());
    }
}
