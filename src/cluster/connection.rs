//! Builds the HTTP client of one member cluster out of its connection settings.
//!
//! HTTP/1.1, one connection per call in flight, kept warm for a while. kube's layers do the credentials; its retries
//! and its environment look-ups stay out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::client::legacy::connect::HttpConnector;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use rustls_pki_types::ServerName;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

use super::answer;
use super::error::Reason;
use super::tls::TlsCache;
use super::warm::{Slot, Warm};

/// A member that does not complete a TCP handshake within this time is unreachable; the call's deadline is longer.
const CONNECT: Duration = Duration::from_secs(10);

/// One member's HTTP client. (`kube::Client` would keep a task and a line of its own for each.)
pub(super) struct Connection(Box<dyn Fn(Request<Body>) -> Sent + Send + Sync>);

type Sent = BoxFuture<'static, Result<Response<AnswerBody>, BoxError>>;

/// What comes back, as it arrives.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, CutOff>;

/// An answer that ended early.
#[derive(Debug, thiserror::Error)]
#[error("the answer ended early")]
pub(super) struct CutOff(#[source] BoxError);

fn boxed<B>(body: B) -> AnswerBody
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(|error| CutOff(error.into())).boxed_unsync()
}

impl Connection {
    /// Sends a request; an error is of the connection, whatever the status says.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<AnswerBody>, Reason> {
        (self.0)(request).await.map_err(|error| match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Service(inner)) => answer::transport_failure(&**inner),
            Some(kube::Error::HyperError(inner)) => answer::transport_failure(inner),
            Some(kube::Error::Auth(error)) => {
                Reason::Unauthorized { message: format!("no credentials to send: {error}") }
            }
            _ => answer::transport_failure(&*error),
        })
    }
}

/// A client for `config` that keeps at most so many idle connections, as long as it is one of the `warm` ones.
pub(super) fn open(
    mut config: kube::Config,
    tls: &TlsCache,
    warm: &Arc<Warm>,
    idle: usize,
) -> Result<Connection, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = None;
    // A proxy, or a CA file that is read again as it rotates, is rare: kube's own stack knows both.
    if config.proxy_url.is_some() || config.root_cert_file.is_some() {
        let client = ClientBuilder::try_from(config)?.build();
        return Ok(Connection(Box::new(move |request| {
            let client = client.clone();
            async move { Ok(client.send(request).await?.map(boxed)) }.boxed()
        })));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(Duration::from_secs(60)));
    http.set_connect_timeout(Some(CONNECT));
    let resolver: Arc<dyn ResolveServerName + Send + Sync> = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|error| kube::Error::Service(format!("tls-server-name `{name}`: {error}").into()))?;
            Arc::new(FixedServerNameResolver::new(name))
        }
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    let https = HttpsConnector::new(http, tls.get(&config)?, false, resolver);
    let slot = Slot::new(Arc::clone(warm), https, idle);
    let pool = tower::service_fn(move |request: Request<Body>| slot.client().request(request));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(pool)
        .map_response(|response: Response<hyper::body::Incoming>| response.map(boxed));
    Ok(Connection(Box::new(move |request| service.clone().oneshot(request).boxed())))
}
