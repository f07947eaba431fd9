//! The running agent, asked over its socket or over `--server`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::wire::{ErrorBody, ObjectList};
use crate::config::{ClientSettings, ProcessEnvironment};
use crate::model::ObjectKey;

/// How long an answer may take that needs no cluster.
const QUICK: Duration = Duration::from_secs(35);
/// How long a connection may take: the agent is near.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest answer read; ten thousand releases with their statuses are some tens of MiB.
const MAX_ANSWER: usize = 256 << 20;
/// What need not be escaped inside a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of the agent's API.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
    /// Whom it asks, for errors.
    whom: String,
    namespace: Option<String>,
}

impl Client {
    /// A client as flags, environment and file say.
    pub(super) fn new(cx: &super::Context) -> anyhow::Result<Self> {
        let settings = ClientSettings::load(&cx.flags, &ProcessEnvironment)?;
        let builder = reqwest::Client::builder().connect_timeout(CONNECT);
        let (builder, base, whom, token) = match &settings.server {
            Some(server) => {
                let base = server.as_str().trim_end_matches('/').to_owned();
                (builder, base.clone(), base, settings.token)
            }
            None => {
                let socket = settings.socket();
                let whom = socket.display().to_string();
                (builder.no_proxy().unix_socket(socket), "http://localhost".to_owned(), whom, None)
            }
        };
        let http = builder.build().context("failed to prepare the connection to the agent")?;
        Ok(Self { http, base, token, whom, namespace: settings.namespace })
    }

    /// The namespace the user named.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// `GET path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, None::<&()>, QUICK).await
    }

    /// `GET path`, for answers that take their time.
    pub(super) async fn get_slowly<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> anyhow::Result<T> {
        self.ask(Method::GET, path, None::<&()>, limit).await
    }

    /// `POST path`.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Option<Duration>,
    ) -> anyhow::Result<T> {
        self.ask(Method::POST, path, Some(body), limit.unwrap_or(QUICK)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> anyhow::Result<T> {
        let mut response = self.send(method, path, body, Some(limit)).await?;
        let mut answer = Vec::new();
        while let Some(chunk) =
            response.chunk().await.with_context(|| format!("`{}` broke off its answer", self.whom))?
        {
            if answer.len() + chunk.len() > MAX_ANSWER {
                bail!("the answer of `{}` is larger than {MAX_ANSWER} bytes", self.whom);
            }
            answer.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&answer).with_context(|| {
            format!("`{}` does not answer as this version of sluice expects (`{path}`)", self.whom)
        })
    }

    /// `GET path`, read as it comes.
    pub(super) async fn follow(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        self.send(Method::GET, path, None::<&()>, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Option<Duration>,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        bail!("{}", refusal(&self.whom, status, response).await)
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let whom = &self.whom;
        if error.is_connect() {
            return anyhow::anyhow!(
                "no agent answers on `{whom}`\nhint: start one with `sluice serve DIR` or `sluice demo`, or name one with `--server URL` or `--state DIR`"
            );
        }
        if error.is_timeout() {
            return anyhow::anyhow!("the agent on `{whom}` did not answer in time");
        }
        // reqwest repeats the address, which for a socket is none.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        anyhow::anyhow!("failed to ask the agent on `{whom}`: {cause}")
    }

    /// Every object, of one namespace or of all.
    pub(super) async fn objects(&self, namespace: Option<&str>) -> anyhow::Result<ObjectList> {
        match namespace {
            Some(namespace) => self.get(&format!("/objects?namespace={}", escape(namespace))).await,
            None => self.get("/objects").await,
        }
    }

    /// The namespace meant: the one named, else the only one that has objects.
    pub(super) async fn the_namespace(&self) -> anyhow::Result<String> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let list = self.objects(None).await?;
        let mut namespaces: Vec<&str> =
            list.items.iter().filter_map(|item| item.pointer("/metadata/namespace")?.as_str()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        only(&namespaces).map(str::to_owned)
    }
}

/// The only one, or why it is not clear which is meant.
fn only<'a>(namespaces: &[&'a str]) -> anyhow::Result<&'a str> {
    match namespaces {
        [] => bail!(
            "there are no objects in any namespace\nhint: `sluice check DIR` says what is wrong with manifests"
        ),
        [only] => Ok(only),
        many => {
            const SHOWN: usize = 5;
            let mut names = many.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
            if many.len() > SHOWN {
                names.push_str(", …");
            }
            bail!(
                "objects live in several namespaces: {names}\nhint: name one with `-n`, or set SLUICE_NAMESPACE; `get` and `diff` take `-A` for all"
            )
        }
    }
}

/// `/objects/HelmRelease/apps/web`.
pub(super) fn path_of(key: &ObjectKey) -> String {
    format!("/objects/{}/{}/{}", key.kind, escape(&key.namespace), escape(&key.name))
}

/// Text inside a path or query.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

async fn refusal(whom: &str, status: StatusCode, mut response: reqwest::Response) -> String {
    /// No error of ours is longer.
    const MOST: usize = 64 << 10;
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            break;
        }
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { error, hint: Some(hint) }) => format!("{error}\nhint: {hint}"),
        Ok(ErrorBody { error, hint: None }) => error,
        Err(_) => format!("`{whom}` answered {status}\nhint: is this the API of a sluice agent?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_guessed_only_where_there_is_one() {
        assert_eq!(only(&["apps"]).unwrap(), "apps");
        assert!(only(&[]).unwrap_err().to_string().contains("hint: "));
        let many = only(&["a", "b"]).unwrap_err().to_string();
        assert!(
            many.starts_with("objects live in several namespaces: a, b\nhint: name one with `-n`"),
            "{many}"
        );
    }
}
