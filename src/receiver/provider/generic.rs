//! `generic` and `generic-hmac`: a body of any shape. What it says is recognised where it can be, and never required.

use http::HeaderMap;
use serde::Deserialize;

use super::Rules;
use crate::receiver::facts::{Change, FactKind, Facts, commit, git_ref, image};
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

pub(super) fn parse(body: &[u8]) -> Facts {
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
        (Some(name), Some(tag), digest) => {
            (name.clone(), Some(tag.clone()), crate::receiver::facts::digest(digest.clone()))
        }
        (None, Some(tag), digest) if tag.contains('/') => {
            let (repository, tag, _) = image(tag);
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
        for body in [&b""[..], b"\xff\xfe", b"[]", b"7", b"{\"tag\":7}", b"{\"ref\":{}}", b"ref=main"] {
            assert_eq!(parse(body), Facts::of(FactKind::Other), "{body:?}");
        }
    }

    #[test]
    fn a_script_may_say_what_it_pushed() {
        let commit = "a".repeat(40);
        let body = format!(
            r#"{{"ref":"refs/heads/main","commit":"{commit}","repository":"https://git.example.com/a/b"}}"#
        );
        let facts = parse(body.as_bytes());
        assert_eq!(facts.change.git_ref.as_deref(), Some("refs/heads/main"));
        assert_eq!(facts.change.commit, Some(commit));
        assert_eq!(facts.repository.as_deref(), Some("https://git.example.com/a/b"));
    }
}
