//! Who sends, and how to read it: one file per sender. Adding one is a file, an arm here, and recorded deliveries in
//! `webhooks/`.
//!
//! Everything here is a pure function of headers, tokens and body.

mod acr;
mod bitbucket;
mod cdevents;
mod cloud;
mod distribution;
mod dockerhub;
pub(super) mod gcr;
mod generic;
mod github;
mod gitlab;
mod harbor;
mod nexus;
mod quay;

use flux_api::ReceiverType;
use http::HeaderMap;
use serde_json::Value;

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
    /// Docker Hub.
    DockerHub,
    /// Quay.
    Quay,
    /// Google's registries, by Pub/Sub.
    Gcr,
    /// Sonatype Nexus.
    Nexus,
    /// Azure's registry.
    Acr,
    /// CI systems that speak CDEvents.
    CdEvents,
    /// Anything with an identity token.
    GenericOidc,
}

/// What the parsing of a body gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed {
    pub(super) facts: Facts,
    /// The sender's word for the event, where the body names it and no header does.
    pub(super) event: Option<String>,
    /// The sender's delivery id, where the body carries it and no header does.
    pub(super) id: Option<String>,
    /// What CEL sees as `req` in place of the body, where Flux unwraps an envelope.
    pub(super) request: Option<Value>,
}

impl From<Facts> for Parsed {
    fn from(facts: Facts) -> Self {
        Self { facts, ..Self::default() }
    }
}

/// What verification may depend on besides headers and tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) accept_sha1: bool,
    pub(super) now: Timestamp,
}

impl Provider {
    /// The sender a Receiver's type means.
    pub fn of(kind: ReceiverType) -> Self {
        match kind {
            ReceiverType::Generic => Provider::Generic,
            ReceiverType::GenericHmac => Provider::GenericHmac,
            ReceiverType::GenericOidc => Provider::GenericOidc,
            ReceiverType::GitHub => Provider::GitHub,
            ReceiverType::GitLab => Provider::GitLab,
            ReceiverType::Harbor => Provider::Harbor,
            ReceiverType::Bitbucket => Provider::Bitbucket,
            ReceiverType::DockerHub => Provider::DockerHub,
            ReceiverType::Quay => Provider::Quay,
            ReceiverType::Gcr => Provider::Gcr,
            ReceiverType::Nexus => Provider::Nexus,
            ReceiverType::Acr => Provider::Acr,
            ReceiverType::CdEvents => Provider::CdEvents,
        }
    }

    /// The word in `spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Generic => "generic",
            Provider::GenericHmac => "generic-hmac",
            Provider::GenericOidc => "generic-oidc",
            Provider::GitHub => "github",
            Provider::GitLab => "gitlab",
            Provider::Harbor => "harbor",
            Provider::Bitbucket => "bitbucket",
            Provider::DockerHub => "dockerhub",
            Provider::Quay => "quay",
            Provider::Gcr => "gcr",
            Provider::Nexus => "nexus",
            Provider::Acr => "acr",
            Provider::CdEvents => "cdevents",
        }
    }

    /// Whether the proof is something that whoever knows the token can make. Identity tokens are made by their issuer
    /// alone.
    pub fn signs(self) -> bool {
        !matches!(self, Provider::Gcr | Provider::GenericOidc)
    }

    /// What the headers prove, and what the body has yet to.
    pub(super) fn verify(
        self,
        headers: &HeaderMap,
        tokens: &Tokens<'_>,
        rules: Rules,
    ) -> Result<Proof, Refused> {
        match self {
            Provider::Generic | Provider::DockerHub | Provider::Quay | Provider::Acr | Provider::CdEvents => {
                generic::verify(tokens)
            }
            Provider::GenericHmac => generic::verify_hmac(headers, tokens, rules),
            Provider::GitHub => github::verify(headers, tokens, rules),
            Provider::GitLab => gitlab::verify(headers, tokens, rules),
            Provider::Harbor => harbor::verify(headers, tokens),
            Provider::Bitbucket => bitbucket::verify(headers, tokens, rules),
            Provider::Nexus => nexus::verify(headers, tokens),
            // Tokens are not enough for these: `identity` has proved them, or nobody has.
            Provider::Gcr | Provider::GenericOidc => Err(Refused::Missing("authorization: Bearer")),
        }
    }

    /// What the body says.
    pub(super) fn parse(self, headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Malformed> {
        match self {
            Provider::Generic | Provider::GenericHmac | Provider::GenericOidc => {
                Ok(generic::parse(headers, body))
            }
            Provider::GitHub => github::parse(headers, body).map(Parsed::from),
            Provider::GitLab => gitlab::parse(headers, body).map(Parsed::from),
            Provider::Harbor => harbor::parse(body),
            Provider::Bitbucket => bitbucket::parse(headers, body).map(Parsed::from),
            Provider::DockerHub => dockerhub::parse(body),
            Provider::Quay => quay::parse(body),
            Provider::Gcr => gcr::parse(body),
            Provider::Nexus => nexus::parse(headers, body),
            Provider::Acr => acr::parse(body),
            Provider::CdEvents => cdevents::parse(headers, body),
        }
    }

    /// The header that names the event, where there is one. `spec.events` filters on it, as in Flux.
    pub(super) fn event_header(self) -> Option<&'static str> {
        match self {
            Provider::GitHub => Some("x-github-event"),
            Provider::GitLab => Some("x-gitlab-event"),
            Provider::Bitbucket => Some("x-event-key"),
            Provider::CdEvents => Some("ce-type"),
            Provider::Generic
            | Provider::GenericHmac
            | Provider::GenericOidc
            | Provider::Harbor
            | Provider::DockerHub
            | Provider::Quay
            | Provider::Gcr
            | Provider::Nexus
            | Provider::Acr => None,
        }
    }

    /// The event that `spec.events` filters by: the header's word, or the body's if the header is missing. `None` for
    /// senders that are not filtered. An event without a name is on no list.
    pub(super) fn filtered_event<'a>(
        self,
        header: Option<&'a str>,
        body: Option<&'a str>,
    ) -> Option<&'a str> {
        self.event_header().map(|_| header.or(body).unwrap_or_default())
    }

    /// The headers that may carry the sender's delivery id, best first. It must stay the same when the sender tries
    /// again: `X-Gitlab-Event-UUID` is shared by chained hooks and `X-Gitlab-Webhook-UUID` is new each time, so neither.
    pub(super) fn id_headers(self) -> &'static [&'static str] {
        match self {
            Provider::GitHub => &["x-github-delivery"],
            Provider::GitLab => &["idempotency-key", "webhook-id"],
            Provider::Bitbucket => &["x-request-uuid", "x-request-id"],
            Provider::Generic | Provider::GenericHmac | Provider::GenericOidc => &["idempotency-key"],
            Provider::Nexus => &["x-nexus-webhook-delivery"],
            Provider::Harbor
            | Provider::DockerHub
            | Provider::Quay
            | Provider::Gcr
            | Provider::Acr
            | Provider::CdEvents => &[],
        }
    }

    /// Whether the body's content type is one the sender uses. Without one it is taken for JSON.
    pub(super) fn takes(self, headers: &HeaderMap) -> bool {
        match self {
            Provider::Generic | Provider::GenericHmac | Provider::GenericOidc => true,
            Provider::GitHub | Provider::Bitbucket => is_json(headers) || is_form(headers),
            Provider::GitLab
            | Provider::Harbor
            | Provider::DockerHub
            | Provider::Quay
            | Provider::Gcr
            | Provider::Nexus
            | Provider::Acr
            | Provider::CdEvents => is_json(headers),
        }
    }

    /// Whether a git push leaves alone what it does not concern. A generic body may say anything or nothing, so all
    /// that is listed is woken. (Registries' reports are recognised by their shape, see [`Facts::registry`].)
    pub(super) fn names_what_changed(self) -> bool {
        !matches!(self, Provider::Generic | Provider::GenericHmac | Provider::GenericOidc)
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
            Provider::Nexus => nexus::sign(token, body, id),
            Provider::CdEvents => cdevents::sign(id),
            Provider::DockerHub | Provider::Quay | Provider::Gcr | Provider::Acr | Provider::GenericOidc => {
                Vec::new()
            }
        }
    }
}

/// The media type of the body, in lower case and without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().unwrap_or("not text");
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .filter(|kind| !kind.is_empty())
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
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
