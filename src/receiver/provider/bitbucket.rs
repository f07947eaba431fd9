//! Bitbucket Cloud (`repo:push`) and Bitbucket Data Center (`repo:refs_changed`, `mirror:repo_synchronized`).

use http::HeaderMap;
use serde::Deserialize;

use super::{Rules, header, json_or_form};
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, commit, git_ref};
use crate::receiver::json::{self, Few};
use crate::receiver::proof::{Proof, Refused, Tokens, prefixed_hex, sign_hex, single};

/// SHA-256 under the name that elsewhere means SHA-1.
const SIGNATURE: &str = "x-hub-signature";
const EVENT: &str = "x-event-key";
/// Data Center's "Test connection".
const PING: &str = "diagnostics:ping";

pub(super) fn verify(headers: &HeaderMap, tokens: &Tokens<'_>, rules: Rules) -> Result<Proof, Refused> {
    match single(headers, SIGNATURE)? {
        Some(value) => prefixed_hex(value, tokens, rules.accept_sha1),
        None if header(headers, EVENT) == Some(PING) => Ok(Proof::UnsignedPing),
        None => Err(Refused::Missing(SIGNATURE)),
    }
}

pub(super) fn sign(token: &[u8], body: &[u8], id: &str) -> Vec<(&'static str, String)> {
    vec![
        (EVENT, "repo:push".to_owned()),
        ("x-request-uuid", id.to_owned()),
        (SIGNATURE, sign_hex(token, body)),
    ]
}

pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Facts, Malformed> {
    let body = json_or_form(headers, body)?;
    match header(headers, EVENT).unwrap_or_default() {
        PING => Ok(Facts::of(FactKind::Ping)),
        "repo:push" => cloud(&body),
        "repo:refs_changed" | "mirror:repo_synchronized" => data_center(&body),
        _ => {
            let other: Other = json::try_read(&body)?;
            Ok(Facts::of(FactKind::Other).git(cloud_urls(other.repository)))
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Other {
    repository: Option<CloudRepository>,
}

#[derive(Deserialize)]
struct CloudHook {
    push: Option<CloudPush>,
    repository: Option<CloudRepository>,
}

#[derive(Deserialize)]
struct CloudPush {
    changes: Option<Few<CloudChange>>,
}

#[derive(Deserialize)]
struct CloudChange {
    old: Option<CloudRef>,
    new: Option<CloudRef>,
    forced: Option<bool>,
}

#[derive(Deserialize)]
struct CloudRef {
    r#type: Option<String>,
    name: Option<String>,
    target: Option<CloudTarget>,
}

#[derive(Deserialize)]
struct CloudTarget {
    hash: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CloudRepository {
    links: Option<CloudLinks>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CloudLinks {
    html: Option<Link>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    href: Option<String>,
    name: Option<String>,
}

/// The web URL is also the clone URL.
fn cloud_urls(repository: Option<CloudRepository>) -> [Option<String>; 1] {
    [repository.and_then(|repository| repository.links?.html?.href)]
}

impl CloudRef {
    fn git_ref(&self) -> Result<Option<String>, Malformed> {
        let name = git_ref(self.name.clone())?;
        Ok(name.map(|name| match self.r#type.as_deref() {
            Some("tag" | "annotated_tag") => format!("refs/tags/{name}"),
            _ => format!("refs/heads/{name}"),
        }))
    }

    fn hash(&self) -> Option<String> {
        commit(self.target.as_ref()?.hash.clone())
    }
}

fn cloud(body: &[u8]) -> Result<Facts, Malformed> {
    let hook: CloudHook = json::read(body)?;
    let mut changes = Vec::new();
    for change in hook.push.and_then(|push| push.changes).unwrap_or_default() {
        let Some(now) = change.new.as_ref().or(change.old.as_ref()) else { continue };
        let git_ref = now.git_ref()?;
        changes.push(Change {
            kind: if change.new.is_some() { FactKind::Push } else { FactKind::Delete },
            git_ref,
            before: change.old.as_ref().and_then(CloudRef::hash),
            commit: change.new.as_ref().and_then(CloudRef::hash),
            forced: change.forced == Some(true),
            ..Change::default()
        });
    }
    Ok(Facts::from_changes(changes).git(cloud_urls(hook.repository)))
}

#[derive(Deserialize)]
struct DataCenterHook {
    changes: Option<Few<DataCenterChange>>,
    repository: Option<DataCenterRepository>,
}

#[derive(Deserialize)]
struct DataCenterChange {
    #[serde(rename = "refId")]
    ref_id: Option<String>,
    #[serde(rename = "fromHash")]
    from_hash: Option<String>,
    #[serde(rename = "toHash")]
    to_hash: Option<String>,
    r#type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DataCenterRepository {
    slug: Option<String>,
    project: Option<DataCenterProject>,
    links: Option<DataCenterLinks>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DataCenterProject {
    key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DataCenterLinks {
    clone: Option<Few<Link>>,
    #[serde(rename = "self")]
    web: Option<Few<Link>>,
}

impl DataCenterRepository {
    /// HTTP before ssh before the web page; old versions give no links at all.
    fn urls(self) -> Vec<Option<String>> {
        let links = self.links.unwrap_or_default();
        let (http, rest): (Vec<Link>, Vec<Link>) = links
            .clone
            .unwrap_or_default()
            .into_iter()
            .partition(|link| link.name.as_deref().is_some_and(|name| name.starts_with("http")));
        let urls: Vec<Option<String>> =
            http.into_iter().chain(rest).chain(links.web.unwrap_or_default()).map(|link| link.href).collect();
        match (urls.is_empty(), self.project.and_then(|project| project.key), self.slug) {
            (true, Some(key), Some(slug)) => vec![Some(format!("{key}/{slug}"))],
            _ => urls,
        }
    }
}

fn data_center(body: &[u8]) -> Result<Facts, Malformed> {
    let hook: DataCenterHook = json::read(body)?;
    let mut changes = Vec::new();
    for change in hook.changes.unwrap_or_default() {
        let gone = change.r#type.as_deref() == Some("DELETE");
        changes.push(Change {
            kind: if gone { FactKind::Delete } else { FactKind::Push },
            git_ref: git_ref(change.ref_id)?,
            before: commit(change.from_hash),
            commit: commit(change.to_hash).filter(|_| !gone),
            ..Change::default()
        });
    }
    Ok(Facts::from_changes(changes).git(hook.repository.unwrap_or_default().urls()))
}
