//! The listener: one TLS port for all clusters, told apart by path (`/clusters/<name>/…`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::apply::Writer;
use crate::faults::{Fault, Moment, Observer, Passing, Verdict};
use crate::handlers::{self, Request, failure_answer};
use crate::select::Selector;
use crate::status;
use crate::store::{Cluster, WriteOptions};

/// The size a real API server takes at most.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port could not be opened.
    #[error("failed to listen on `{address}`: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server's own certificate could not be made.
    #[error("failed to make the simulator's certificate: {0}")]
    Certificate(String),
}

/// Query parameters of a request.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|part| !part.is_empty())
                .map(|part| {
                    let (key, value) = part.split_once('=').unwrap_or((part, ""));
                    (percent_decode(key), percent_decode(value))
                })
                .collect(),
        )
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

struct Shared {
    clusters: Mutex<HashMap<String, Arc<Cluster>>>,
    address: SocketAddr,
    authority_pem: String,
}

/// Many simulated clusters behind one TLS port. Runs until [`Simulator::run`]'s token is cancelled.
pub struct Simulator {
    shared: Arc<Shared>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// One simulated cluster, for a test or demonstration to look into and to disturb.
#[derive(Clone)]
pub struct ClusterHandle {
    cluster: Arc<Cluster>,
    shared: Arc<Shared>,
}

impl Simulator {
    /// Opens `address` (port 0 for any) with a certificate of its own making. No cluster exists yet.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
        let broken = |error: &dyn std::fmt::Display| ServeError::Certificate(error.to_string());
        let authority_key = rcgen::KeyPair::generate().map_err(|error| broken(&error))?;
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "kube-sim");
        let authority_certificate = authority.self_signed(&authority_key).map_err(|error| broken(&error))?;
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().map_err(|error| broken(&error))?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), address.ip().to_string()];
        let certificate = rcgen::CertificateParams::new(names)
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(|error| broken(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(&error))?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .map_err(|error| broken(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            shared: Arc::new(Shared {
                clusters: Mutex::new(HashMap::new()),
                address,
                authority_pem: authority_certificate.pem(),
            }),
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Adds an empty cluster (namespaces `default` and `kube-system`).
    pub fn add_cluster(&self, name: &str) -> ClusterHandle {
        let cluster = Arc::new(Cluster::new(name.to_owned(), uuid::Uuid::new_v4().simple().to_string()));
        self.shared
            .clusters
            .lock()
            .expect("the list of clusters is held for one insert or look-up")
            .insert(name.to_owned(), Arc::clone(&cluster));
        ClusterHandle { cluster, shared: Arc::clone(&self.shared) }
    }

    /// Serves until `shutdown`; connections still open then are dropped.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            let Ok((stream, _)) = accepted else { continue };
            stream.set_nodelay(true).ok();
            let acceptor = self.acceptor.clone();
            let shared = Arc::clone(&self.shared);
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| serve(Arc::clone(&shared), request));
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
        connections.shutdown().await;
    }
}

/// An answer that hyper cannot send ends the connection: that is what [`Fault::Cut`] wants.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct CutOff;

async fn serve(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<Response<Body>, CutOff> {
    let path = request.uri().path().to_owned();
    let mut parts = path.splitn(4, '/').skip(1);
    let found = match (parts.next(), parts.next()) {
        (Some("clusters"), Some(name)) => shared
            .clusters
            .lock()
            .expect("the list of clusters is held for one insert or look-up")
            .get(name)
            .cloned(),
        _ => None,
    };
    let Some(cluster) = found else {
        return Ok(failure_answer(&status::no_such_resource()));
    };
    cluster.requests.fetch_add(1, Ordering::Relaxed);
    let rest = format!("/{}", parts.next().unwrap_or_default());
    if let Some(answer) = disturbed(&cluster, &request, &rest).await? {
        return Ok(answer);
    }
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if sent != Some(&format!("Bearer {}", cluster.token)) {
        return Ok(failure_answer(&status::unauthorized()));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let (head, body) = request.into_parts();
    let body: Bytes = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(failure_answer(&status::too_large())),
    };
    let observer = cluster.observer();
    let request = Request { method: head.method, path: rest, query, headers: head.headers, body };
    let tell = |moment| match &observer {
        Some(observer) => {
            let passing = Passing { method: request.method.as_str(), path: &request.path, moment };
            if observer(&passing) == Verdict::Cut { Err(CutOff) } else { Ok(()) }
        }
        None => Ok(()),
    };
    tell(Moment::Arrived)?;
    let answer = handlers::answer(&cluster, &request);
    tell(Moment::Done)?;
    Ok(answer)
}

async fn disturbed(
    cluster: &Cluster,
    request: &http::Request<Incoming>,
    path: &str,
) -> Result<Option<Response<Body>>, CutOff> {
    match cluster.fault() {
        None => Ok(None),
        Some(Fault::Hang) => {
            // The state is looked at again whenever the cluster changes, so that lifting the fault frees the request.
            let mut changed = cluster.changed();
            while cluster.fault() == Some(Fault::Hang) {
                if changed.changed().await.is_err() {
                    break;
                }
            }
            Err(CutOff)
        }
        Some(Fault::Cut) => Err(CutOff),
        Some(Fault::Answer { code, retry_after }) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(Some(failure_answer(&status::injected(code, retry_after))))
        }
        Some(Fault::RefuseWrites { resource, code }) => {
            let writes = !matches!(*request.method(), http::Method::GET | http::Method::HEAD);
            let names = path.split('/').any(|part| part == resource);
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok((writes && names).then(|| failure_answer(&status::injected(code, None))))
        }
        Some(Fault::Delay(by)) => {
            tokio::time::sleep(by).await;
            Ok(None)
        }
    }
}

impl ClusterHandle {
    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.cluster.name
    }

    /// A self-contained kubeconfig with full rights on this cluster.
    pub fn kubeconfig(&self) -> String {
        use base64::Engine as _;
        let name = &self.cluster.name;
        let authority =
            base64::engine::general_purpose::STANDARD.encode(self.shared.authority_pem.as_bytes());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: https://{}/clusters/{name}\n    certificate-authority-data: {authority}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: admin\nusers:\n- name: admin\n  user:\n    token: {}\n",
            self.shared.address, self.cluster.token
        )
    }

    /// Switches a fault on, or with `None` everything back to normal.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.cluster.set_fault(fault);
    }

    /// Lets somebody watch every request from now on, before it is handled and before it is answered, and cut it off.
    /// It must not block for long: it stands in the way of the request.
    pub fn on_request(&self, observer: Option<Observer>) {
        self.cluster.set_observer(observer);
    }

    /// Makes every watch position so far too old, as an etcd compaction does.
    pub fn compact(&self) {
        self.cluster.compact();
    }

    /// How many requests arrived so far.
    pub fn requests(&self) -> u64 {
        self.cluster.requests.load(Ordering::Relaxed)
    }

    /// How many writes changed or tried to change something so far.
    pub fn writes(&self) -> u64 {
        self.cluster.writes.load(Ordering::Relaxed)
    }

    /// The object as stored, if there is one. `api_version` as in manifests, `plural` lower case.
    pub fn get(&self, api_version: &str, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = self.cluster.find(group, version, plural)?;
        self.cluster.get(&resource, namespace, name).ok().map(|object| (*object).clone())
    }

    /// All objects of one kind.
    pub fn list(&self, api_version: &str, plural: &str, namespace: Option<&str>) -> Vec<Value> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(resource) = self.cluster.find(group, version, plural) else { return Vec::new() };
        let (objects, _) = self.cluster.list(&resource, namespace, &Selector::default());
        objects.iter().map(|object| (**object).clone()).collect()
    }

    /// Merge-patches an object as `manager`, as somebody with kubectl would. False when it does not exist.
    pub fn edit(
        &self,
        api_version: &str,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
        manager: &str,
        patch: &Value,
    ) -> bool {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(resource) = self.cluster.find(group, version, plural) else { return false };
        let options = WriteOptions {
            writer: Writer { manager: manager.to_owned(), subresource: String::new() },
            dry_run: false,
        };
        self.cluster
            .update(&resource, namespace, name, &options, |live| Ok(crate::patch::merge(live, patch)))
            .is_ok()
    }

    /// Waits until `condition` holds for this cluster, looking again at every change.
    pub async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut changed = self.cluster.changed();
        while !condition(self) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Creates an object as somebody else would. The error is the API's message.
    pub fn create(&self, plural: &str, object: Value) -> Result<(), String> {
        let api_version = object["apiVersion"].as_str().unwrap_or("v1").to_owned();
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = self
            .cluster
            .find(group, version, plural)
            .ok_or_else(|| format!("no such resource `{plural}`"))?;
        let options = WriteOptions {
            writer: Writer { manager: "kubectl".to_owned(), subresource: String::new() },
            dry_run: false,
        };
        self.cluster
            .create(&resource, namespace.as_deref(), object, &options)
            .map(|_| ())
            .map_err(|failure| failure.body["message"].as_str().unwrap_or_default().to_owned())
    }
}

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterHandle").field("name", &self.cluster.name).finish_non_exhaustive()
    }
}
