//! Requests to a forge's API: a token, a deadline, a small answer, no redirect.
//!
//! Knows nothing of pull requests.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use super::forge::{Forge, Project};
use super::{Access, PullRequestError};
use crate::source::{AGENT, NoClient, causes, client, literal};

/// A hundred pull requests with their texts, as GitHub lists them.
const ANSWER_BYTES: usize = 16 << 20;
/// Of a forge's words in an error.
const WORDS: usize = 300;

/// The methods that are used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
}

/// A client for one forge and one token.
pub(super) struct Client {
    http: reqwest::Client,
    forge: Forge,
    access: Access,
    path: String,
}

impl Client {
    pub(super) fn new(project: &Project, access: &Access) -> Result<Self, PullRequestError> {
        let Access { tls, proxy, addresses, .. } = access;
        let secure = project.api.starts_with("https:");
        // `settle` ends it all at the deadline, silence included
        let http =
            client(AGENT, secure, tls, proxy.as_ref(), *addresses, None).map_err(|none| match none {
                NoClient::Settings(why) => PullRequestError::Settings(why),
                NoClient::Tls(why) => PullRequestError::Unavailable(format!("failed to set up TLS: {why}")),
            })?;
        Ok(Self { http, forge: project.forge, access: access.clone(), path: project.path.clone() })
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Value, PullRequestError> {
        if self.access.proxy.is_none()
            && let Some(address) = literal(&url)
            && !self.access.addresses.allows(address)
        {
            return Err(PullRequestError::Settings(format!("address {address} is not allowed")));
        }
        let token = self.access.token.expose_secret();
        let request = match method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Put => self.http.put(url),
            Method::Patch => self.http.patch(url),
        };
        let request = match self.forge {
            Forge::GitHub => request
                .bearer_auth(token)
                .header("Accept", "application/vnd.github+json")
                .header("X-GitHub-Api-Version", "2022-11-28"),
            Forge::GitLab => request.bearer_auth(token),
            Forge::Gitea => request.header("Authorization", format!("token {token}")),
        };
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let mut answer = request.send().await.map_err(|error| {
            PullRequestError::Unavailable(format!("failed to reach the forge: {}", causes(&error)))
        })?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let exhausted = header("x-ratelimit-remaining") == Some("0");
        let retry_after = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let mut bytes = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > ANSWER_BYTES => {
                    return Err(PullRequestError::Answer(format!("more than {ANSWER_BYTES} bytes")));
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let why = format!("connection lost: {}", causes(&error));
                    return Err(PullRequestError::Unavailable(why));
                }
            }
        }
        match status {
            200..=299 => serde_json::from_slice(&bytes)
                .map_err(|_| PullRequestError::Answer(format!("HTTP {status} without JSON"))),
            429 => Err(PullRequestError::Throttled { status, retry_after }),
            403 if exhausted || retry_after.is_some() => {
                Err(PullRequestError::Throttled { status, retry_after })
            }
            401 | 403 => Err(PullRequestError::Unauthorized { status, words: words(&bytes) }),
            404 => Err(PullRequestError::NotFound(self.path.clone())),
            300..=399 => Err(PullRequestError::Answer(format!(
                "a redirect (HTTP {status})\nhint: tokens are not sent elsewhere; give the API's own address"
            ))),
            500..=599 => Err(PullRequestError::Unavailable(format!(
                "the forge answered HTTP {status}{}",
                words(&bytes)
            ))),
            _ => Err(PullRequestError::Refused { status, words: words(&bytes) }),
        }
    }
}

/// What the forge says of a failure, on one line: `message`, and the messages of `errors`.
fn words(body: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let mut parts = Vec::new();
    let mut take =
        |value: &Value| match value {
            Value::String(text) => parts.push(text.clone()),
            Value::Array(items) => {
                parts.extend(items.iter().filter_map(|item| {
                    item.as_str().or_else(|| item["message"].as_str()).map(str::to_owned)
                }));
            }
            _ => {}
        };
    for key in ["message", "error", "errors"] {
        take(&answer[key]);
    }
    let text: String =
        parts.join(": ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
