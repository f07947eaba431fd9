//! The listener: connections with limits on their heads and their number.
//!
//! HTTP/1.1 only. A forge needs no more, and the floods that HTTP/2 invites cannot be sent.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::framing::Watched;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Limits of the listener.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// A head that takes longer ends the connection; so does an idle connection.
    pub header_timeout: Duration,
    /// A longer head is 431.
    pub header_bytes: usize,
    /// Connections at once; more wait in the system's backlog.
    pub connections: usize,
    /// How long requests under way may go on after the shutdown.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_bytes: 256 << 10,
            connections: 8192,
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves until `shutdown`: then nothing new is accepted, and requests under way are finished.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        // Ended connections are taken out, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), limits, shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for connections to end.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections did not end in time and are cut");
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
) {
    // Answers are small and wanted at once.
    drop(stream.set_nodelay(true));
    let (stream, said_twice) = Watched::new(stream);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let router = router.clone();
        let refused = said_twice.load(Ordering::Acquire);
        // Nothing is read after a body whose end is only known when it is there: see `framing`.
        let is_last = refused || request.headers().contains_key(header::TRANSFER_ENCODING);
        async move {
            let mut response = if refused {
                http::Response::builder().status(400).body(Body::empty()).expect("the status is a constant")
            } else {
                router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
            };
            if is_last {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Cut off, too slow, or no HTTP at all: the other end's affair.
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}
