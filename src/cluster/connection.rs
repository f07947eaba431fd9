//! Builds the HTTP client of one member cluster out of its connection settings.
//!
//! HTTP/1.1, one connection per call in flight, kept warm for a while. kube's layers do the credentials; its retries
//! and its environment look-ups stay out.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use rustls_pki_types::ServerName;
use tower::ServiceBuilder;

use super::tls::TlsCache;

/// A member that does not complete a TCP handshake within this time is unreachable; the call's deadline is longer.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are closed after this time, so that a thousand quiet members hold no sockets.
const IDLE: Duration = Duration::from_secs(90);
/// Bytes read ahead per connection; objects are small and a thousand members read at once.
const READ_BUFFER: usize = 64 << 10;

/// A client for `config`. Needs a tokio runtime around it.
pub(super) fn client(
    mut config: kube::Config,
    tls: &TlsCache,
    connections: usize,
) -> Result<kube::Client, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = None;
    // A proxy, or a CA file that is read again as it rotates, is rare: kube's own stack knows both.
    if config.proxy_url.is_some() || config.root_cert_file.is_some() {
        return Ok(ClientBuilder::try_from(config)?.build());
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
    let pool: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(connections)
            .http1_max_buf_size(READ_BUFFER)
            .build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(pool);
    Ok(kube::Client::new(service, config.default_namespace))
}
