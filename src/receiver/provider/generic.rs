//! `generic` and `generic-hmac`: a body of any shape. What it says is recognised where it can be, and never required.

use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Parsed, Rules, acr, cloud, distribution, dockerhub, harbor, header, quay};
use crate::receiver::facts::{Change, FactKind, Facts, commit, git_ref, image, tag};
use crate::receiver::json;
use crate::receiver::proof::{Proof, Refused, Slot, Tokens, prefixed_hex, sign_hex, single};

/// The path is the secret; whoever knows it is believed.
pub(super) fn verify(tokens: &Tokens<'_>) -> Result<Proof, Refused> {
    Ok(Proof::Given(tokens.first().map_or(Slot::Token, |(slot, _)| *slot)))
}

const SIGNATURE: &str = "x-signature";

pub(super) fn verify_hmac(headers: &HeaderMap, tokens: &Tokens<'_>, rules: Rules) -> Result<Proof, Refused> {
    let value = single(headers, SIGNATURE)?.ok_or(Refused::Missing(SIGNATURE))?;
    prefixed_hex(value, tokens, rules.accept_sha1)
}

pub(super) fn sign(token: &[u8], body: &[u8], id: &str) -> Vec<(&'static str, String)> {
    vec![("idempotency-key", id.to_owned()), (SIGNATURE, sign_hex(token, body))]
}

/// Shapes seen in the wild: `{"name","tag"}`, `{"action","digest","tag"}` with whole references, and what a script
/// would write for a git push.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    name: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    commit: Option<String>,
    repository: Option<String>,
}

/// Registries write no longer bodies; what is longer is not searched for their shapes.
const LONGEST_REPORT: usize = 1 << 20;

/// Fields that show which registry's report a body is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Probe {
    events: Option<IgnoredAny>,
    specversion: Option<IgnoredAny>,
    event_data: Option<IgnoredAny>,
    #[serde(rename = "detail-type")]
    detail_type: Option<IgnoredAny>,
    jpd_origin: Option<IgnoredAny>,
    push_data: Option<IgnoredAny>,
    updated_tags: Option<IgnoredAny>,
    target: Option<IgnoredAny>,
    action: Option<IgnoredAny>,
}

pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Parsed {
    // What looks like a report and names no image is a body of any shape again: a script may write `events`, too.
    let names_an_image = |Parsed { facts, .. }: &Parsed| {
        facts.registry && (facts.repository.is_some() || facts.image_changes().next().is_some())
    };
    report(headers, body).filter(names_an_image).unwrap_or_else(|| simple(body).into())
}

/// A registry's report by its shape: most of them can be told to send to any address.
fn report(headers: &HeaderMap, body: &[u8]) -> Option<Parsed> {
    if body.len() > LONGEST_REPORT {
        return None;
    }
    let probe: Probe = json::try_read(body).ok()?;
    if probe.events.is_some() {
        distribution::parse(body).ok()
    } else if probe.event_data.is_some() {
        harbor::parse(body).ok()
    } else if probe.specversion.is_some() || header(headers, "ce-type").is_some() {
        let is_harbors =
            |parsed: &Parsed| parsed.event.as_deref().is_some_and(|kind| kind.starts_with("harbor."));
        let event = cloud::cloud_event(headers, body).ok().flatten();
        event.or_else(|| harbor::parse(body).ok().filter(is_harbors))
    } else if probe.detail_type.is_some() {
        cloud::event_bridge(body).ok().flatten()
    } else if probe.jpd_origin.is_some() {
        cloud::jfrog(body).ok().flatten()
    } else if probe.push_data.is_some() {
        dockerhub::parse(body).ok()
    } else if probe.updated_tags.is_some() {
        quay::parse(body).ok()
    } else if probe.target.is_some() && probe.action.is_some() {
        acr::parse(body).ok()
    } else {
        None
    }
}

fn simple(body: &[u8]) -> Facts {
    let read: Body = json::try_read(body).unwrap_or_default();
    if let Ok(Some(name)) = git_ref(read.git_ref) {
        let change = Change {
            kind: FactKind::Push,
            git_ref: Some(name),
            commit: commit(read.commit),
            ..Change::default()
        };
        return Facts { change, ..Facts::default() }.git([read.repository]);
    }
    let (repository, tag, digest) = match (&read.name, &read.tag, &read.digest) {
        (Some(name), Some(version), digest) => {
            (name.clone(), tag(Some(version.clone())), crate::receiver::facts::digest(digest.clone()))
        }
        (None, Some(reference), digest) if reference.contains('/') => {
            let (repository, tag, _) = image(reference);
            let digest = digest.as_deref().and_then(|digest| image(digest).2);
            (repository, tag, digest)
        }
        (None, None, Some(digest)) if digest.contains('/') => image(digest),
        _ => return Facts::of(FactKind::Other),
    };
    Facts {
        change: Change { kind: FactKind::Push, tag, digest, ..Change::default() },
        repository: Some(repository),
        ..Facts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_any_shape_is_fine() {
        for body in [
            &b""[..],
            b"\xff\xfe",
            b"[]",
            b"7",
            b"{\"tag\":7}",
            b"{\"ref\":{}}",
            b"ref=main",
            b"{\"events\":7}",
            b"{\"events\":[]}",
            b"{\"events\":[{\"type\":\"x\"}]}",
            b"{\"event_data\":{\"a\":1}}",
            b"{\"specversion\":\"1.0\",\"type\":\"x\"}",
            b"{\"target\":[],\"action\":\"push\"}",
            b"{\"updated_tags\":7}",
        ] {
            assert_eq!(parse(&HeaderMap::new(), body).facts, Facts::of(FactKind::Other), "{body:?}");
        }
    }

    #[test]
    fn a_script_may_say_what_it_pushed() {
        let commit = "a".repeat(40);
        let body = format!(
            r#"{{"ref":"refs/heads/main","commit":"{commit}","repository":"https://git.example.com/a/b"}}"#
        );
        let facts = parse(&HeaderMap::new(), body.as_bytes()).facts;
        assert_eq!(facts.change.git_ref.as_deref(), Some("refs/heads/main"));
        assert_eq!(facts.change.commit, Some(commit));
        assert_eq!(facts.repository.as_deref(), Some("https://git.example.com/a/b"));
    }
}
