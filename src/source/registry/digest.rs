//! What a tag points to: the digest of its manifest, by one HEAD where the registry knows how.
//!
//! Reads no manifest but to digest it.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use sha2::{Digest as _, Sha256, Sha512};

use super::error::RegistryErrorKind as Kind;
use super::limits;
use super::session::{Session, body, failure};
use crate::model::{Digest, is_digest};
use crate::source::git::shown;

/// Every form of manifest. Without it some registries make an old form up, with another digest.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, \
     application/vnd.docker.distribution.manifest.v1+json";

/// The digest of the manifest a tag or digest names; `None` if there is none.
pub(super) async fn of(session: &mut Session<'_>, reference: &str) -> Result<Option<Digest>, Kind> {
    let path = format!("v2/{}/manifests/{reference}", session.request.image.repository());
    let url = session.at(&path)?;
    let response = session.ask(Method::HEAD, url.clone(), MANIFESTS).await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(None),
        StatusCode::OK => {
            check_shape(response.headers())?;
            if let Some(said) = said(response.headers())? {
                return same(reference, said).map(Some);
            }
        }
        // Some know no HEAD; whatever is the matter, an answer to a HEAD does not say it.
        _ => {}
    }
    let response = session.ask(Method::GET, url, MANIFESTS).await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(None),
        StatusCode::OK => {}
        _ => return Err(failure(response).await),
    }
    check_shape(response.headers())?;
    let said = said(response.headers())?;
    let manifest = body(response, "the manifest", limits::MANIFEST_BYTES).await?;
    let algorithm = said.as_deref().or(Some(reference)).and_then(|text| text.split_once(':'));
    let computed = match algorithm {
        Some(("sha512", _)) => format!("sha512:{}", hex::encode(Sha512::digest(&manifest))),
        _ => format!("sha256:{}", hex::encode(Sha256::digest(&manifest))),
    };
    if let Some(said) = said
        && said != computed
    {
        return Err(Kind::Digest(format!(
            "the manifest has the digest `{computed}`, and the registry says `{said}`"
        )));
    }
    same(reference, computed).map(Some)
}

/// The digest in an answer's header, which may be missing but not nonsense.
fn said(headers: &HeaderMap) -> Result<Option<String>, Kind> {
    let Some(value) = headers.get("docker-content-digest") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    match is_digest(&text) {
        true => Ok(Some(text.into_owned())),
        false => Err(Kind::Digest(format!("`{}` is no digest", shown(&text, 100)))),
    }
}

/// A page for people, or something far too large, is no manifest.
fn check_shape(headers: &HeaderMap) -> Result<(), Kind> {
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = String::from_utf8_lossy(kind.as_bytes());
        if !kind.trim_start().to_ascii_lowercase().starts_with("application/") {
            return Err(Kind::Protocol(format!(
                "content type `{}`, which is no manifest's",
                shown(&kind, 80)
            )));
        }
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > limits::MANIFEST_BYTES as u64 => {
            Err(Kind::TooLarge { what: "the manifest".to_owned(), limit: limits::MANIFEST_BYTES as u64 })
        }
        _ => Ok(()),
    }
}

/// What was asked for by digest has that digest.
fn same(reference: &str, digest: String) -> Result<Digest, Kind> {
    if reference.contains(':') && reference != digest {
        return Err(Kind::Digest(format!("`{reference}` was asked for, and `{digest}` is the answer")));
    }
    Ok(Digest::new(digest))
}
