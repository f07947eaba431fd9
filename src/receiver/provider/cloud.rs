//! What event buses carry of registries that have no type of their own: CloudEvents, EventBridge (ECR), JFrog.

use http::HeaderMap;
use serde::Deserialize;

use super::{Parsed, header};
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, below, digest, host_of, tag};
use crate::receiver::json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct CloudEvent {
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    #[serde(rename = "registryUrl")]
    registry_url: Option<String>,
    /// ECR's names for the same.
    #[serde(rename = "repositoryName")]
    repository_name: Option<String>,
    #[serde(rename = "imageTag")]
    image_tag: Option<String>,
    #[serde(rename = "imageDigest")]
    image_digest: Option<String>,
}

/// A CloudEvent about an image, in structured mode (everything in the body) or in binary mode (`ce-` headers).
pub(super) fn cloud_event(headers: &HeaderMap, body: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let event = match header(headers, "ce-type") {
        Some(kind) => CloudEvent {
            id: header(headers, "ce-id").map(str::to_owned),
            source: header(headers, "ce-source").map(str::to_owned),
            r#type: Some(kind.to_owned()),
            data: Some(json::read(body)?),
        },
        None => json::read(body)?,
    };
    let kind = event.r#type.unwrap_or_default();
    let data = event.data.unwrap_or_default();
    let Some(path) = data.repository.or(data.repository_name).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let source = event.source.unwrap_or_default();
    let host = match (&data.registry_url, source.strip_prefix("urn:aws:ecr:")) {
        (Some(url), _) => host_of(url).map(str::to_owned),
        (None, Some(arn)) => {
            let mut words = arn.split(':');
            words.next().zip(words.next()).map(|(region, account)| ecr(account, region))
        }
        (None, None) => None,
    };
    let change = Change {
        kind: match kind.rsplit('.').next() {
            Some("push" | "pushed" | "published") => FactKind::Push,
            Some("delete" | "deleted") => FactKind::Delete,
            _ => FactKind::Other,
        },
        repository: Some(below(host.as_deref(), &path)),
        tag: tag(data.tag.or(data.image_tag)),
        digest: digest(data.digest.or(data.image_digest)),
        ..Change::default()
    };
    Ok(Some(Parsed { facts: Facts::images(vec![change]), event: Some(kind), id: event.id, request: None }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EventBridge {
    id: Option<String>,
    #[serde(rename = "detail-type")]
    kind: Option<String>,
    source: Option<String>,
    account: Option<String>,
    region: Option<String>,
    detail: Option<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Detail {
    result: Option<String>,
    action_type: Option<String>,
    repository_name: Option<String>,
    image_digest: Option<String>,
    image_tag: Option<String>,
    /// Scans name all of them.
    image_tags: Option<json::Few<String>>,
}

/// EventBridge's report of something in ECR.
pub(super) fn event_bridge(body: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let event: EventBridge = json::read(body)?;
    let detail = event.detail.unwrap_or_default();
    let is_ecr = event.source.as_deref() == Some("aws.ecr");
    let Some(path) = detail.repository_name.filter(|path| is_ecr && !path.is_empty()) else {
        return Ok(None);
    };
    let succeeded = detail.result.as_deref() == Some("SUCCESS");
    let host =
        event.account.as_deref().zip(event.region.as_deref()).map(|(account, region)| ecr(account, region));
    let change = Change {
        kind: match detail.action_type.as_deref() {
            Some("PUSH") if succeeded => FactKind::Push,
            Some("DELETE") if succeeded => FactKind::Delete,
            _ => FactKind::Other,
        },
        repository: Some(below(host.as_deref(), &path)),
        tag: tag(detail.image_tag.or_else(|| detail.image_tags?.first().cloned())),
        digest: digest(detail.image_digest),
        ..Change::default()
    };
    Ok(Some(Parsed { facts: Facts::images(vec![change]), event: event.kind, id: event.id, request: None }))
}

/// The host of an account's registry.
fn ecr(account: &str, region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("{account}.dkr.ecr.{region}.amazonaws.com{china}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JFrog {
    event_type: Option<String>,
    jpd_origin: Option<String>,
    data: Option<JFrogData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JFrogData {
    repo_key: Option<String>,
    image_name: Option<String>,
    tag: Option<String>,
    sha256: Option<String>,
}

/// Artifactory's report of something in a docker repository, which is the first segment of the path.
pub(super) fn jfrog(body: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let hook: JFrog = json::read(body)?;
    let data = hook.data.unwrap_or_default();
    let Some((key, name)) = data.repo_key.zip(data.image_name) else { return Ok(None) };
    let change = Change {
        kind: match hook.event_type.as_deref() {
            Some("pushed" | "promoted") => FactKind::Push,
            Some("deleted") => FactKind::Delete,
            _ => FactKind::Other,
        },
        repository: Some(below(hook.jpd_origin.as_deref().and_then(host_of), &format!("{key}/{name}"))),
        tag: tag(data.tag),
        digest: digest(data.sha256.map(|hex| format!("sha256:{hex}"))),
        ..Change::default()
    };
    Ok(Some(Parsed { facts: Facts::images(vec![change]), event: hook.event_type, id: None, request: None }))
}
