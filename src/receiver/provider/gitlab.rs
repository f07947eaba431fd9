//! GitLab: project, group and system hooks, with the secret token in clear or a signing token (Standard Webhooks).

use http::HeaderMap;
use serde::Deserialize;

use super::Rules;
use crate::model::Timestamp;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, commit, git_ref};
use crate::receiver::json;
use crate::receiver::proof::{
    Proof, Refused, SIGNING_PREFIX, Tokens, shared_token, sign_standard, standard_webhooks,
};

const TOKEN: &str = "x-gitlab-token";

/// A signing token demands a signature: the same secret sent in clear would give it away.
pub(super) fn verify(headers: &HeaderMap, tokens: &Tokens<'_>, rules: Rules) -> Result<Proof, Refused> {
    let signing = |token: &[u8]| token.starts_with(SIGNING_PREFIX.as_bytes());
    let (signing, clear): (Vec<_>, Vec<_>) = tokens.iter().copied().partition(|(_, token)| signing(token));
    if !signing.is_empty() && headers.contains_key("webhook-signature") {
        return standard_webhooks(headers, &signing, rules.now);
    }
    if clear.is_empty() {
        return Err(Refused::Missing("webhook-signature"));
    }
    shared_token(headers, TOKEN, &clear)
}

pub(super) fn sign(token: &[u8], body: &[u8], id: &str, at: Timestamp) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-gitlab-event", "Push Hook".to_owned()), ("idempotency-key", id.to_owned())];
    match sign_standard(token, id, at.as_second(), body) {
        Some(signature) => headers.extend([
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.as_second().to_string()),
            ("webhook-signature", signature),
        ]),
        None => headers.push((TOKEN, String::from_utf8_lossy(token).into_owned())),
    }
    headers
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    object_kind: Option<String>,
    event_name: Option<String>,
}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    project: Option<Project>,
    repository: Option<Project>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Other {
    object_kind: Option<String>,
    tag: Option<serde_json::Value>,
    project: Option<Project>,
    repository: Option<Project>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Project {
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
    homepage: Option<String>,
}

fn urls(project: Option<Project>, repository: Option<Project>) -> [Option<String>; 3] {
    let project = project.unwrap_or_default();
    let repository = repository.unwrap_or_default();
    [
        project.git_http_url.or(repository.git_http_url),
        project.git_ssh_url.or(repository.git_ssh_url),
        project.web_url.or(project.homepage).or(repository.homepage),
    ]
}

pub(super) fn parse(_headers: &HeaderMap, body: &[u8]) -> Result<Facts, Malformed> {
    // A system hook names its event in the body alone.
    let hook: Hook = json::try_read(body)?;
    match hook.object_kind.or(hook.event_name).as_deref() {
        Some("push" | "tag_push") => push(body),
        _ => {
            let other: Other = json::try_read(body)?;
            let release = match (other.object_kind.as_deref(), other.tag) {
                (Some("release"), Some(serde_json::Value::String(tag))) => Some(tag),
                _ => None,
            };
            Ok(Facts { release, ..Facts::of(FactKind::Other).git(urls(other.project, other.repository)) })
        }
    }
}

fn push(body: &[u8]) -> Result<Facts, Malformed> {
    let push: Push = json::read(body)?;
    let after = commit(push.after);
    let git_ref = git_ref(push.git_ref)?;
    let kind = match (&git_ref, &after, commit(push.before.clone())) {
        (None, ..) => FactKind::Other,
        (Some(_), None, Some(_)) => FactKind::Delete,
        (Some(_), ..) => FactKind::Push,
    };
    let change = Change { kind, git_ref, before: commit(push.before), commit: after, ..Change::default() };
    Ok(Facts { change, ..Facts::default() }.git(urls(push.project, push.repository)))
}
