//! GitHub, its container registry, and the forges that send the same (Gitea, Forgejo).

use http::HeaderMap;
use serde::Deserialize;

use super::{Rules, header, json_or_form};
use crate::receiver::facts::{
    Change, FactKind, Facts, Malformed, commit, digest, git_ref, host_of, image, tag,
};
use crate::receiver::json;
use crate::receiver::proof::{Proof, Refused, Tokens, prefixed_hex, sign_hex, single};

const SIGNATURE: &str = "x-hub-signature-256";
const OLD_SIGNATURE: &str = "x-hub-signature";

/// As go-github: the newer header decides if it is there, whatever the older one says.
pub(super) fn verify(headers: &HeaderMap, tokens: &Tokens<'_>, rules: Rules) -> Result<Proof, Refused> {
    let value = match single(headers, SIGNATURE)? {
        Some(value) => value,
        None => single(headers, OLD_SIGNATURE)?.ok_or(Refused::Missing(SIGNATURE))?,
    };
    prefixed_hex(value, tokens, rules.accept_sha1)
}

pub(super) fn sign(token: &[u8], body: &[u8], id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("x-github-event", "push".to_owned()),
        ("x-github-delivery", id.to_owned()),
        (SIGNATURE, sign_hex(token, body)),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    clone_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
    html_url: Option<String>,
}

impl Repository {
    fn urls(self) -> [Option<String>; 4] {
        [self.clone_url, self.ssh_url, self.git_url, self.html_url]
    }
}

fn urls(repository: Option<Repository>) -> [Option<String>; 4] {
    repository.unwrap_or_default().urls()
}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    deleted: Option<bool>,
    forced: Option<bool>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct CreateOrDelete {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    ref_type: Option<String>,
    sha: Option<String>,
    repository: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Other {
    repository: Option<Repository>,
    release: Option<Release>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Release {
    tag_name: Option<String>,
}

pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Facts, Malformed> {
    let body = json_or_form(headers, body)?;
    match header(headers, "x-github-event").unwrap_or_default().to_ascii_lowercase().as_str() {
        "push" => push(&body),
        "create" => created(&body, FactKind::Create),
        "delete" => created(&body, FactKind::Delete),
        "package" | "registry_package" => package(&body),
        "ping" => {
            let ping: Other = json::try_read(&body)?;
            Ok(Facts::of(FactKind::Ping).git(urls(ping.repository)))
        }
        _ => {
            let other: Other = json::try_read(&body)?;
            let release = other.release.and_then(|release| release.tag_name);
            Ok(Facts { release, ..Facts::of(FactKind::Other).git(urls(other.repository)) })
        }
    }
}

fn push(body: &[u8]) -> Result<Facts, Malformed> {
    let push: Push = json::read(body)?;
    let after = commit(push.after);
    let gone = push.deleted == Some(true) || after.is_none() && commit(push.before.clone()).is_some();
    let git_ref = git_ref(push.git_ref)?;
    let kind = match (&git_ref, gone) {
        (None, _) => FactKind::Other,
        (Some(_), true) => FactKind::Delete,
        (Some(_), false) => FactKind::Push,
    };
    let change = Change {
        kind,
        git_ref,
        before: commit(push.before),
        commit: after,
        forced: push.forced == Some(true),
        ..Change::default()
    };
    Ok(Facts { change, ..Facts::default() }.git(urls(push.repository)))
}

fn created(body: &[u8], kind: FactKind) -> Result<Facts, Malformed> {
    let event: CreateOrDelete = json::read(body)?;
    let git_ref = git_ref(event.git_ref)?.map(|name| match event.ref_type.as_deref() {
        _ if name.starts_with("refs/") => name,
        Some("tag") => format!("refs/tags/{name}"),
        _ => format!("refs/heads/{name}"),
    });
    // What is deleted stands at no commit any more.
    let commit = commit(event.sha).filter(|_| kind == FactKind::Create);
    let change = Change { kind, git_ref, commit, ..Change::default() };
    Ok(Facts { change, ..Facts::default() }.git(urls(event.repository)))
}

#[derive(Deserialize)]
struct PackageEvent {
    action: Option<String>,
    package: Option<Package>,
    registry_package: Option<Package>,
    repository: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    name: Option<String>,
    namespace: Option<String>,
    package_type: Option<String>,
    ecosystem: Option<String>,
    owner: Option<Owner>,
    package_version: Option<PackageVersion>,
    /// Gitea and Forgejo, whose registry is at the forge's own address.
    r#type: Option<String>,
    version: Option<String>,
    html_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    login: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PackageVersion {
    name: Option<String>,
    version: Option<String>,
    package_url: Option<String>,
    container_metadata: Option<ContainerMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerMetadata {
    tag: Option<Tag>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: Option<String>,
    digest: Option<String>,
}

/// The container registry: an image at `ghcr.io`.
fn package(body: &[u8]) -> Result<Facts, Malformed> {
    let event: PackageEvent = json::read(body)?;
    let git_repository = event.repository.and_then(|repository| repository.html_url);
    let other = Facts { git_repository: git_repository.clone(), ..Facts::of(FactKind::Other) };
    let Some(package) = event.package.or(event.registry_package) else { return Ok(other) };
    if package.r#type.is_some() {
        return Ok(gitea_package(event.action.as_deref(), package));
    }
    let version = package.package_version.unwrap_or_default();
    let is =
        |word: &Option<String>| word.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("container"));
    if !is(&package.package_type) && !is(&package.ecosystem) && version.container_metadata.is_none() {
        return Ok(other);
    }
    let kind = match event.action.as_deref() {
        Some("published" | "updated" | "create" | "created") => FactKind::Push,
        Some("deleted") => FactKind::Delete,
        _ => return Ok(other),
    };
    let at_ghcr = version.package_url.as_deref().map(image).filter(|(name, ..)| name.starts_with("ghcr.io/"));
    let repository = match (at_ghcr, package.namespace.or(package.owner.and_then(|owner| owner.login))) {
        (Some((name, ..)), _) => Some(name),
        (None, Some(namespace)) => package.name.map(|name| format!("ghcr.io/{namespace}/{name}")),
        (None, None) => None,
    };
    let named = [version.version, version.name];
    let metadata = version.container_metadata;
    let has_metadata = metadata.is_some();
    let named_tag = metadata.and_then(|metadata| metadata.tag).unwrap_or_default();
    let change = Change {
        kind,
        repository: repository.map(|name| name.to_ascii_lowercase()),
        // Without metadata the version is the tag, unless it is a digest.
        tag: tag(named_tag.name.or_else(|| named[0].clone().filter(|_| !has_metadata))),
        digest: named.into_iter().find_map(digest).or_else(|| digest(named_tag.digest)),
        ..Change::default()
    };
    Ok(Facts { git_repository, ..Facts::images(vec![change]) })
}

/// The registry of Gitea and Forgejo: an image at `<forge>/<owner>/<name>`, a chart, or something else.
fn gitea_package(action: Option<&str>, package: Package) -> Facts {
    let kind = match action {
        Some("created") => FactKind::Push,
        Some("deleted") => FactKind::Delete,
        _ => FactKind::Other,
    };
    if package.r#type.as_deref() != Some("container") {
        return Facts::of(kind);
    }
    let owner = package.owner.and_then(|owner| owner.login);
    let host = package.html_url.as_deref().and_then(host_of);
    let repository = match (host, owner, package.name) {
        (Some(host), Some(owner), Some(name)) => Some(format!("{host}/{owner}/{name}").to_ascii_lowercase()),
        _ => None,
    };
    Facts::images(vec![Change {
        kind,
        repository,
        tag: tag(package.version.clone()),
        digest: digest(package.version),
        ..Change::default()
    }])
}
