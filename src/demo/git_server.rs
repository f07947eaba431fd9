//! A toy forge: bare repositories over http, served by `git http-backend`, with a callback after each push.
//!
//! For the demo and for tests. It is no part of the agent: the agent itself never runs a `git` program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::io::AsyncWriteExt as _;

/// A push or fetch body; the demo's repositories are small.
const BODY_BYTES: usize = 256 << 20;

/// One reference that a push moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The repository's path below the root: `app.git`.
    pub repository: String,
    /// The full reference name.
    pub reference: String,
    /// The commit before, unless the reference is new.
    pub old: Option<String>,
    /// The commit after, unless the reference is gone.
    pub new: Option<String>,
}

type OnPush = Arc<dyn Fn(Pushed) + Send + Sync>;

/// The forge: a directory of bare repositories.
#[derive(Clone)]
pub struct GitServer {
    root: PathBuf,
    login: Option<(String, SecretString)>,
    on_push: Option<OnPush>,
}

impl GitServer {
    /// Serves the repositories below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), login: None, on_push: None }
    }

    /// Asks everybody for this name and password.
    pub fn basic_auth(mut self, username: impl Into<String>, password: SecretString) -> Self {
        self.login = Some((username.into(), password));
        self
    }

    /// Calls `callback` for each reference that a push moved, after it moved and before the client is answered.
    /// It must not block.
    pub fn on_push(mut self, callback: impl Fn(Pushed) + Send + Sync + 'static) -> Self {
        self.on_push = Some(Arc::new(callback));
        self
    }

    /// The routes.
    pub fn router(self) -> axum::Router {
        axum::Router::new().fallback(serve).with_state(self)
    }

    fn admits(&self, request: &Request) -> bool {
        let Some((username, password)) = &self.login else { return true };
        let pair = format!("{username}:{}", password.expose_secret());
        let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        given.is_some_and(|given| bool::from(given.ct_eq(expected.as_bytes())))
    }
}

async fn serve(State(server): State<GitServer>, request: Request) -> Response<Body> {
    if !server.admits(&request) {
        let mut refusal = plain(StatusCode::UNAUTHORIZED, "log in first");
        let challenge = HeaderValue::from_static("Basic realm=\"demo\"");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return refusal;
    }
    answer(&server, request).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to serve a git request");
        plain(StatusCode::INTERNAL_SERVER_ERROR, "the git server failed")
    })
}

async fn answer(server: &GitServer, request: Request) -> anyhow::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES).await?;
    let path = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8()?.into_owned();
    let pushes =
        path.strip_suffix("/git-receive-pack").map(|repository| repository.trim_matches('/').to_owned());
    let before = match &pushes {
        Some(repository) => references(&server.root, repository).await,
        None => BTreeMap::new(),
    };
    let text =
        |name: &HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = tokio::process::Command::new("git");
    command
        .args(["-c", "http.receivepack=true", "-c", "safe.directory=*"])
        .args(["-c", "uploadpack.advertisebundleuris=false", "http-backend"])
        .env("GIT_PROJECT_ROOT", &server.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("PATH_INFO", &path)
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", text(&header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(&header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(&HeaderName::from_static("git-protocol")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some((username, _)) = &server.login {
        command.env("REMOTE_USER", username);
    }
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| anyhow::anyhow!("git has no input"))?;
    let feed = async move {
        // git may stop reading before the end, for instance to refuse a push
        drop(input.write_all(&body).await);
        drop(input);
    };
    let (output, ()) = futures::join!(child.wait_with_output(), feed);
    let response = from_cgi(Bytes::from(output?.stdout))?;
    if let (Some(repository), Some(on_push)) = (&pushes, &server.on_push) {
        let after = references(&server.root, repository).await;
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                on_push(Pushed {
                    repository: repository.clone(),
                    reference: name.clone(),
                    old: old.cloned(),
                    new: new.cloned(),
                });
            }
        }
    }
    Ok(response)
}

async fn references(root: &Path, repository: &str) -> BTreeMap<String, String> {
    let path = root.join(repository);
    let read = move || -> Result<BTreeMap<String, String>, git2::Error> {
        let repository = git2::Repository::open_bare(&path)?;
        let mut found = BTreeMap::new();
        for reference in repository.references()?.flatten() {
            if let (Ok(name), Some(target)) = (reference.name(), reference.target()) {
                found.insert(name.to_owned(), target.to_string());
            }
        }
        Ok(found)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => BTreeMap::new(),
    }
}

/// A CGI program's output as a response.
fn from_cgi(output: Bytes) -> anyhow::Result<Response<Body>> {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| anyhow::anyhow!("git answered without a header"))?;
    let mut response = Response::new(Body::from(output.slice(end + 4..)));
    for line in std::str::from_utf8(&output[..end])?.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = StatusCode::from_bytes(code.as_bytes())?;
        } else {
            response
                .headers_mut()
                .append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
    }
    Ok(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
