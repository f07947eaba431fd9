//! Who sends, and how to read it: one file per sender. Adding one is a file, an arm here, and recorded deliveries in
//! `webhooks/`.
//!
//! Everything here is a pure function of headers, tokens and body.

mod bitbucket;
mod generic;
mod github;
mod gitlab;
mod harbor;

use flux_api::ReceiverType;
use http::HeaderMap;

use super::facts::{Facts, Malformed};
use super::proof::{Proof, Refused, Tokens};
use crate::model::Timestamp;

/// The senders that can be received from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// No proof but the secret path.
    Generic,
    /// `X-Signature` over any body.
    GenericHmac,
    /// GitHub, and Gitea and Forgejo that send the same.
    GitHub,
    /// GitLab, with its token or its signing token.
    GitLab,
    /// Harbor, in both its formats.
    Harbor,
    /// Bitbucket Cloud and Bitbucket Data Center.
    Bitbucket,
}

/// What the parsing of a body gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed {
    pub(super) facts: Facts,
    /// The sender's word for the event, where the body names it and no header does.
    pub(super) event: Option<String>,
    /// The sender's delivery id, where the body carries it and no header does.
    pub(super) id: Option<String>,
}

impl From<Facts> for Parsed {
    fn from(facts: Facts) -> Self {
        Self { facts, event: None, id: None }
    }
}

/// What verification may depend on besides headers and tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) accept_sha1: bool,
    pub(super) now: Timestamp,
}

impl Provider {
    /// The sender a Receiver's type means; `None` for one that cannot be received from.
    pub fn of(kind: ReceiverType) -> Option<Self> {
        match kind {
            ReceiverType::Generic => Some(Provider::Generic),
            ReceiverType::GenericHmac => Some(Provider::GenericHmac),
            ReceiverType::GitHub => Some(Provider::GitHub),
            ReceiverType::GitLab => Some(Provider::GitLab),
            ReceiverType::Harbor => Some(Provider::Harbor),
            ReceiverType::Bitbucket => Some(Provider::Bitbucket),
            ReceiverType::GenericOidc
            | ReceiverType::DockerHub
            | ReceiverType::Quay
            | ReceiverType::Gcr
            | ReceiverType::Nexus
            | ReceiverType::Acr
            | ReceiverType::CdEvents => None,
        }
    }

    /// The word in `spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Generic => "generic",
            Provider::GenericHmac => "generic-hmac",
            Provider::GitHub => "github",
            Provider::GitLab => "gitlab",
            Provider::Harbor => "harbor",
            Provider::Bitbucket => "bitbucket",
        }
    }

    /// What the headers prove, and what the body has yet to.
    pub(super) fn verify(
        self,
        headers: &HeaderMap,
        tokens: &Tokens<'_>,
        rules: Rules,
    ) -> Result<Proof, Refused> {
        match self {
            Provider::Generic => generic::verify(tokens),
            Provider::GenericHmac => generic::verify_hmac(headers, tokens, rules),
            Provider::GitHub => github::verify(headers, tokens, rules),
            Provider::GitLab => gitlab::verify(headers, tokens, rules),
            Provider::Harbor => harbor::verify(headers, tokens),
            Provider::Bitbucket => bitbucket::verify(headers, tokens, rules),
        }
    }

    /// What the body says.
    pub(super) fn parse(self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Malformed> {
        match self {
            Provider::Generic | Provider::GenericHmac => Ok(generic::parse(body).into()),
            Provider::GitHub => github::parse(headers, body).map(Parsed::from),
            Provider::GitLab => gitlab::parse(headers, body).map(Parsed::from),
            Provider::Harbor => harbor::parse(body),
            Provider::Bitbucket => bitbucket::parse(headers, body).map(Parsed::from),
        }
    }

    /// The header that names the event, where there is one. `spec.events` filters on it, as in Flux.
    pub(super) fn event_header(self) -> Option<&'static str> {
        match self {
            Provider::GitHub => Some("x-github-event"),
            Provider::GitLab => Some("x-gitlab-event"),
            Provider::Bitbucket => Some("x-event-key"),
            Provider::Generic | Provider::GenericHmac | Provider::Harbor => None,
        }
    }

    /// The headers that may carry the sender's delivery id, best first. It must stay the same when the sender tries
    /// again: `X-Gitlab-Event-UUID` is shared by chained hooks and `X-Gitlab-Webhook-UUID` is new each time, so neither.
    pub(super) fn id_headers(self) -> &'static [&'static str] {
        match self {
            Provider::GitHub => &["x-github-delivery"],
            Provider::GitLab => &["idempotency-key", "webhook-id"],
            Provider::Bitbucket => &["x-request-uuid", "x-request-id"],
            Provider::Generic | Provider::GenericHmac => &["idempotency-key"],
            Provider::Harbor => &[],
        }
    }

    /// Whether the body's content type is one the sender uses. Without one it is taken for JSON.
    pub(super) fn takes(self, headers: &HeaderMap) -> bool {
        match self {
            Provider::Generic | Provider::GenericHmac => true,
            Provider::GitHub | Provider::Bitbucket => is_json(headers) || is_form(headers),
            Provider::GitLab | Provider::Harbor => is_json(headers),
        }
    }

    /// Whether what a push does not concern can be left alone. A generic body may say anything or nothing, so all
    /// that is listed is woken.
    pub(super) fn names_what_changed(self) -> bool {
        !matches!(self, Provider::Generic | Provider::GenericHmac)
    }

    /// Whether other events than pushes wake what is listed, as they do in Flux. Harbor reports every pull and scan:
    /// waking an image scan by its own pulls would never end.
    pub(super) fn other_events_wake(self) -> bool {
        !matches!(self, Provider::Harbor)
    }

    /// The headers that a sender of this kind would put on a body, for `sluice hook send`.
    pub(super) fn sign(
        self,
        token: &[u8],
        body: &[u8],
        id: &str,
        at: Timestamp,
    ) -> Vec<(&'static str, String)> {
        match self {
            Provider::Generic => vec![("idempotency-key", id.to_owned())],
            Provider::GenericHmac => generic::sign(token, body, id),
            Provider::GitHub => github::sign(token, body, id),
            Provider::GitLab => gitlab::sign(token, body, id, at),
            Provider::Harbor => harbor::sign(token),
            Provider::Bitbucket => bitbucket::sign(token, body, id),
        }
    }
}

/// The media type of the body, in lower case and without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().unwrap_or("not text");
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .filter(|kind| !kind.is_empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_none_or(|kind| kind == "application/json" || kind.ends_with("+json"))
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

/// The JSON of a body that may be a form.
fn json_or_form<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, Malformed> {
    if is_form(headers) { super::json::form_payload(body).map(Into::into) } else { Ok(body.into()) }
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}
