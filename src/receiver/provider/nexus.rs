//! Sonatype Nexus: repository and component webhooks, signed with HMAC-SHA1 because it knows nothing else.

use http::HeaderMap;
use serde::Deserialize;

use super::{Parsed, header};
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, digest, tag};
use crate::receiver::json;
use crate::receiver::proof::{Proof, Refused, Tokens, bare_sha1, sign_bare_sha1, single};

const SIGNATURE: &str = "x-nexus-webhook-signature";
const EVENT: &str = "x-nexus-webhook-id";
/// Where docker images lie in a repository: `v2/<name>/manifests/<tag or digest>`.
const MANIFESTS: &str = "/manifests/";

pub(super) fn verify(headers: &HeaderMap, tokens: &Tokens<'_>) -> Result<Proof, Refused> {
    bare_sha1(single(headers, SIGNATURE)?.ok_or(Refused::Missing(SIGNATURE))?, tokens)
}

pub(super) fn sign(token: &[u8], body: &[u8], id: &str) -> Vec<(&'static str, String)> {
    vec![
        (EVENT, "rm:repository:component".to_owned()),
        ("x-nexus-webhook-delivery", id.to_owned()),
        (SIGNATURE, sign_bare_sha1(token, body)),
    ]
}

#[derive(Deserialize)]
struct Hook {
    action: Option<String>,
    component: Option<Component>,
    asset: Option<Asset>,
}

#[derive(Deserialize)]
struct Component {
    format: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Asset {
    format: Option<String>,
    name: Option<String>,
}

pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Malformed> {
    let hook: Hook = json::read(body)?;
    let kind = match hook.action.as_deref() {
        Some("CREATED" | "UPDATED") => FactKind::Push,
        Some("DELETED" | "PURGED") => FactKind::Delete,
        _ => FactKind::Other,
    };
    let is_docker = |format: &Option<String>| format.as_deref() == Some("docker");
    let facts = match (hook.component, hook.asset) {
        (Some(component), _) if is_docker(&component.format) => {
            Facts::images(vec![image(kind, component.name, component.version)])
        }
        (None, Some(asset)) if is_docker(&asset.format) => from_path(kind, &asset.name.unwrap_or_default()),
        // Other formats hold what may be a chart: everything listed is looked at, as in Flux.
        _ => Facts::of(FactKind::Other),
    };
    let event = header(headers, EVENT).map(str::to_owned);
    Ok(Parsed { facts, event, id: None, request: None })
}

/// An image by its repository, and its tag or digest. Nexus names no host: it may have a port per repository.
fn image(kind: FactKind, repository: Option<String>, version: Option<String>) -> Change {
    Change {
        kind,
        repository: repository.filter(|name| !name.is_empty()),
        digest: digest(version.clone()),
        tag: tag(version),
        ..Change::default()
    }
}

/// A manifest by its path in the repository. Layers are nothing by themselves.
fn from_path(kind: FactKind, path: &str) -> Facts {
    let path = path.trim_start_matches('/');
    let manifest = path.strip_prefix("v2/").unwrap_or(path).split_once(MANIFESTS);
    match manifest {
        Some((name, version)) => {
            Facts::images(vec![image(kind, Some(name.to_owned()), Some(version.to_owned()))])
        }
        None => Facts::no_images(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_asset_is_an_image_and_a_layer_is_not() {
        let parse = |name: &str| {
            let body = format!(r#"{{"action":"CREATED","asset":{{"format":"docker","name":"{name}"}}}}"#);
            parse(&HeaderMap::new(), body.as_bytes()).unwrap().facts
        };
        let facts = parse("v2/app1/alpine/manifests/3.4");
        assert_eq!(
            (facts.repository.as_deref(), facts.change.tag.as_deref()),
            (Some("app1/alpine"), Some("3.4"))
        );
        let whole = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(parse(&format!("/v2/alpine/manifests/{whole}")).change.digest, Some(whole));
        let layer = parse("v2/-/blobs/sha256:00");
        assert_eq!((layer.change.kind, layer.registry), (FactKind::Other, true));
    }
}
