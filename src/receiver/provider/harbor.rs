//! Harbor, in its own format and as CloudEvents. The proof is a fixed header, which other registries can be told to
//! send, too: what the distribution registry and Azure's report is read as well.

use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Parsed, acr, distribution};
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, digest, image, tag};
use crate::receiver::json::{self, Few};
use crate::receiver::proof::{Proof, Refused, Tokens, shared_token};

/// Harbor sends the policy's "auth header" as it was typed in: no `Bearer` unless somebody typed it.
pub(super) fn verify(headers: &HeaderMap, tokens: &Tokens<'_>) -> Result<Proof, Refused> {
    shared_token(headers, "authorization", tokens)
}

pub(super) fn sign(token: &[u8]) -> Vec<(&'static str, String)> {
    vec![("authorization", String::from_utf8_lossy(token).into_owned())]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Probe {
    events: Option<IgnoredAny>,
    target: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Hook {
    r#type: Option<String>,
    /// CloudEvents.
    id: Option<String>,
    data: Option<Data>,
    event_data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    resources: Option<Few<Resource>>,
    repository: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    digest: Option<String>,
    tag: Option<String>,
    resource_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    repo_full_name: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let probe: Probe = json::try_read(body)?;
    if probe.events.is_some() {
        return distribution::parse(body);
    }
    if probe.target.is_some() {
        return acr::parse(body);
    }
    let hook: Hook = json::read(body)?;
    let kind = match hook.r#type.as_deref() {
        Some("PUSH_ARTIFACT" | "pushImage" | "uploadChart" | "UPLOAD_CHART" | "harbor.artifact.pushed") => {
            FactKind::Push
        }
        Some(
            "DELETE_ARTIFACT" | "deleteImage" | "deleteChart" | "DELETE_CHART" | "harbor.artifact.deleted",
        ) => FactKind::Delete,
        _ => FactKind::Other,
    };
    let data = hook.data.or(hook.event_data).unwrap_or_default();
    let resources = data.resources.unwrap_or_default();
    let named = |resource: &Resource| {
        let name = resource.resource_url.as_deref().map(|url| image(url).0);
        name.filter(|name| !name.is_empty())
    };
    // A resource without an address is in the same place as its neighbours.
    let repository =
        resources.iter().find_map(named).or(data.repository.and_then(|repository| repository.repo_full_name));
    let changes: Vec<Change> = resources
        .into_iter()
        .map(|resource| Change {
            kind,
            repository: named(&resource).or_else(|| repository.clone()),
            // An untagged push has the digest in the tag's place, which is no tag.
            tag: tag(resource.tag),
            digest: digest(resource.digest),
            ..Change::default()
        })
        .collect();
    let facts = match changes.is_empty() {
        true => Facts { repository, registry: true, ..Facts::of(kind) },
        false => Facts::images(changes),
    };
    Ok(Parsed { facts, event: hook.r#type, id: hook.id, request: None })
}
