//! Requests to a forge's API: a token, a deadline, a small answer, no redirect.
//!
//! Knows nothing of pull requests.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use super::forge::{Forge, Project};
use super::{Access, PullRequestError};
use crate::source::AddressPolicy;

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
        let settings = |text: String| PullRequestError::Settings(text);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(access.timeout)
            .referer(false)
            .dns_resolver(Resolver(access.addresses));
        if let Some(ca) = &access.tls.ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca)
                .map_err(|error| settings(format!("`ca.crt` is unusable: {error}")))?;
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(client) = &access.tls.client {
            let mut pem = client.certificate.clone();
            pem.push(b'\n');
            pem.extend_from_slice(client.key.expose_secret().as_bytes());
            let identity = reqwest::Identity::from_pem(&pem)
                .map_err(|_| settings("`tls.crt` or `tls.key` is unusable".to_owned()))?;
            builder = builder.identity(identity);
        }
        builder = match &access.proxy {
            None => builder.no_proxy(),
            Some(proxy) => {
                let mut via = reqwest::Proxy::all(&proxy.address)
                    .map_err(|_| settings("the proxy address is unusable".to_owned()))?;
                if let Some(username) = &proxy.username {
                    let password = proxy.password.as_ref().map_or("", |password| password.expose_secret());
                    via = via.basic_auth(username, password);
                }
                builder.proxy(via)
            }
        };
        let http = builder.build().map_err(|error| settings(format!("failed to set up TLS: {error}")))?;
        Ok(Self { http, forge: project.forge, access: access.clone(), path: project.path.clone() })
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Value, PullRequestError> {
        if let Some(address) = literal(&url)
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
            PullRequestError::Unavailable(format!(
                "failed to reach the forge: {}",
                innermost(&error.without_url())
            ))
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
                    return Err(PullRequestError::Unavailable(format!(
                        "connection lost: {}",
                        innermost(&error.without_url())
                    )));
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

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain(_) => None,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Resolves a name once and hands on only the addresses the policy allows: they are the ones connected to.
struct Resolver(AddressPolicy);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<std::net::SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<_> =
                found.iter().copied().filter(|address| policy.allows(address.ip())).collect();
            if let (true, Some(address)) = (allowed.is_empty(), found.first()) {
                return Err(format!("address {} is not allowed", address.ip()).into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
