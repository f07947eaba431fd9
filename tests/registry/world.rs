//! A registry with one repository, `team/app`, that can be filled, guarded and broken; and a client of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::Digest as _;
use sluice::model::{Clock, Timestamp};
use sluice::source::{ImageName, RegistryCredentials, RegistryRequest, SourceLimits, Sources};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A listening registry.
pub(crate) struct Registry {
    /// `127.0.0.1:<port>`.
    pub(crate) host: String,
    shelf: Arc<Mutex<Shelf>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a registry holds, and how it behaves.
pub(crate) struct Shelf {
    /// Sorted, as registries list them.
    pub(crate) tags: BTreeSet<String>,
    /// By tag or digest.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    /// Tags in one page at most, however many are asked for; 0 for all at once.
    pub(crate) page: usize,
    /// Who may come in.
    pub(crate) guard: Guard,
    /// Seconds that tokens last; `None` says nothing about it.
    pub(crate) lifetime: Option<u64>,
    /// Tokens that are good.
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) issued: usize,
    /// Answers that the next requests get instead of what they want.
    pub(crate) faults: VecDeque<Fault>,
    /// How the link to the next page is written: from the last tag of this one.
    pub(crate) link: fn(&str) -> String,
    /// Every request since the last look: method, path with query, and the kind of authorization.
    pub(crate) asked: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) media: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// What `Docker-Content-Digest` says; `None` leaves it out.
    pub(crate) said: Option<String>,
}

#[derive(Clone)]
pub(crate) enum Guard {
    Open,
    /// Name and password with every request.
    Basic(&'static str, &'static str),
    /// A token of this realm (`/token` is its own), given to whoever shows name and password, if they are set.
    Token {
        realm: String,
        login: Option<(&'static str, &'static str)>,
    },
}

pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
}

/// The digest of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

impl Manifest {
    pub(crate) fn new(text: &str) -> Self {
        Self { media: INDEX, bytes: text.as_bytes().to_vec(), said: Some(sha256(text.as_bytes())) }
    }
}

impl Shelf {
    fn new() -> Self {
        Self {
            tags: BTreeSet::new(),
            manifests: BTreeMap::new(),
            page: 0,
            guard: Guard::Open,
            lifetime: None,
            tokens: BTreeSet::new(),
            issued: 0,
            faults: VecDeque::new(),
            link: |last| format!("</v2/team/app/tags/list?n=1000&last={last}>; rel=\"next\""),
            asked: Vec::new(),
        }
    }

    /// Pushes an image; its digest comes back.
    pub(crate) fn push(&mut self, tag: &str, content: &str) -> String {
        let manifest = Manifest::new(content);
        let digest = sha256(content.as_bytes());
        self.tags.insert(tag.to_owned());
        self.manifests.insert(tag.to_owned(), manifest.clone());
        self.manifests.insert(digest.clone(), manifest);
        digest
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Response {
        if let Some(fault) = self.faults.pop_front() {
            let mut response = Response::builder().status(fault.status);
            for (name, value) in fault.headers {
                response = response.header(*name, *value);
            }
            return response.body(Body::from(fault.body)).unwrap();
        }
        if path == "/token" {
            return self.issue(headers);
        }
        if let Some(refusal) = self.refusal(headers) {
            return refusal;
        }
        if path == "/v2/" {
            return StatusCode::OK.into_response();
        }
        if path == "/v2/team/app/tags/list" {
            return self.list(query);
        }
        match path.strip_prefix("/v2/team/app/manifests/").and_then(|reference| self.manifests.get(reference))
        {
            Some(manifest) => {
                let mut response = Response::builder()
                    .header(header::CONTENT_TYPE, manifest.media)
                    .header(header::CONTENT_LENGTH, manifest.bytes.len());
                if let Some(said) = &manifest.said {
                    response = response.header("docker-content-digest", said);
                }
                let body = if method == Method::HEAD { Vec::new() } else { manifest.bytes.clone() };
                response.body(Body::from(body)).unwrap()
            }
            None => error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry"),
        }
    }

    fn issue(&mut self, headers: &HeaderMap) -> Response {
        if let Guard::Token { login: Some((name, password)), .. } = self.guard
            && authorization(headers) != basic(name, password)
        {
            return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "incorrect username or password");
        }
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        self.tokens.insert(token.clone());
        let mut answer = serde_json::json!({ "token": token });
        if let Some(lifetime) = self.lifetime {
            answer["expires_in"] = lifetime.into();
        }
        axum::Json(answer).into_response()
    }

    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let shown = authorization(headers);
        let (is_good, challenge) = match &self.guard {
            Guard::Open => return None,
            Guard::Basic(name, password) => {
                (shown == basic(name, password), "Basic realm=\"registry\"".to_owned())
            }
            Guard::Token { realm, .. } => (
                shown.strip_prefix("Bearer ").is_some_and(|token| self.tokens.contains(token)),
                format!("Bearer realm=\"{realm}\",service=\"registry\",scope=\"repository:team/app:pull\""),
            ),
        };
        (!is_good).then(|| {
            let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            response
        })
    }

    fn list(&self, query: &str) -> Response {
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let asked: usize = value("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let page = if self.page == 0 { usize::MAX } else { asked.min(self.page) };
        let after = value("last").unwrap_or_default();
        let mut rest = self.tags.iter().filter(|tag| tag.as_str() > after);
        let tags: Vec<&String> = rest.by_ref().take(page).collect();
        let more = rest.next().is_some();
        let mut response =
            axum::Json(serde_json::json!({ "name": "team/app", "tags": tags })).into_response();
        if more && let Some(last) = tags.last() {
            response.headers_mut().insert(header::LINK, (self.link)(last).parse().unwrap());
        }
        response
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    (status, axum::Json(body)).into_response()
}

fn authorization(headers: &HeaderMap) -> String {
    headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap()).to_owned()
}

fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// The router of a registry, to be served however a test likes.
pub(crate) fn router(shelf: Arc<Mutex<Shelf>>) -> axum::Router {
    async fn handle(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let (method, uri, headers) = (parts.method, parts.uri, parts.headers);
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let form = match body.is_empty() {
            true => String::new(),
            false => format!(" {}", String::from_utf8_lossy(&body)),
        };
        let mut shelf = shelf.lock().unwrap();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let shown = match authorization(&headers).split_once(' ') {
            Some((scheme, _)) => format!(" {scheme}"),
            None => String::new(),
        };
        shelf.asked.push(format!("{method} {}{query}{shown}{form}", uri.path()));
        shelf.answer(&method, uri.path(), uri.query().unwrap_or_default(), &headers)
    }
    axum::Router::new().fallback(handle).with_state(shelf)
}

pub(crate) fn shelf() -> Arc<Mutex<Shelf>> {
    Arc::new(Mutex::new(Shelf::new()))
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let shelf = shelf();
        Self::serve(router(Arc::clone(&shelf)), shelf).await
    }

    pub(crate) async fn serve(router: axum::Router, shelf: Arc<Mutex<Shelf>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { host, shelf, task }
    }

    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf().asked)
    }

    /// The same registry, called by name: another host as far as credentials are concerned.
    pub(crate) fn by_name(&self) -> String {
        self.host.replace("127.0.0.1", "localhost")
    }

    /// Guards it with tokens of its own.
    pub(crate) fn guard_with_tokens(&self, login: Option<(&'static str, &'static str)>) {
        let realm = format!("http://{}/token", self.host);
        self.shelf().guard = Guard::Token { realm, login };
    }

    pub(crate) fn image(&self) -> ImageName {
        ImageName::parse(&format!("{}/team/app", self.host)).unwrap()
    }

    pub(crate) fn request(&self) -> RegistryRequest {
        RegistryRequest { timeout: Duration::from_secs(30), ..RegistryRequest::new(self.image()) }
    }
}

/// A client with its clock.
pub(crate) struct Client {
    pub(crate) sources: Sources,
    pub(crate) clock: Clock,
    _directory: tempfile::TempDir,
}

pub(crate) fn client() -> Client {
    client_with(SourceLimits::default())
}

pub(crate) fn client_with(limits: SourceLimits) -> Client {
    // Another test of this process may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_second(1_760_000_000).unwrap());
    let sources = Sources::new(directory.path(), limits, clock.clone()).unwrap();
    Client { sources, clock, _directory: directory }
}

impl Client {
    pub(crate) async fn tags(&self, request: &RegistryRequest) -> Result<Vec<String>, String> {
        let mut tags = self.sources.image_tags(request).await.map_err(|error| error.to_string())?;
        tags.sort();
        Ok(tags)
    }

    pub(crate) async fn digest(
        &self,
        request: &RegistryRequest,
        tag: &str,
    ) -> Result<Option<String>, String> {
        let digest = self.sources.image_digest(request, tag).await.map_err(|error| error.to_string())?;
        Ok(digest.map(|digest| digest.as_str().to_owned()))
    }
}

pub(crate) fn login(username: &str, password: &str) -> RegistryCredentials {
    RegistryCredentials::Basic { username: username.to_owned(), password: password.to_owned().into() }
}
