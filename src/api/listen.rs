//! Listening: the unix socket, TCP, and the loop that serves connections until told to stop.
//!
//! Also serves the routes of `--metrics-listen`.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections served at once per listener: people and scripts, not the world.
const CONNECTIONS: usize = 256;
/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests under way may take to end at a shutdown; streams and long polls never do by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after the system refused a connection (out of descriptors), so that the loop does not spin.
const REFUSED: Duration = Duration::from_millis(100);

/// A listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error(
        "failed to listen on `{address}` for {purpose}\nhint: another program may have the port; choose one with `--{flag}`"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// The setting.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("failed to make the API's socket `{}`\nhint: choose another state directory with `--state`; a socket's path has room for 107 bytes", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error("another agent answers on `{}`\nhint: stop it, or give this one a `--state` directory of its own", path.display())]
    InUse {
        /// Its path.
        path: PathBuf,
    },
}

/// Listens on a TCP address; `purpose` and `flag` are for the error.
pub async fn bind_tcp(
    address: SocketAddr,
    purpose: &'static str,
    flag: &'static str,
) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Address { address, purpose, flag, source })
}

/// Listens on a unix socket that only its owner can use. The file of a process that is gone is replaced.
pub async fn bind_socket(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    if path.exists() {
        if UnixStream::connect(path).await.is_ok() {
            return Err(ListenError::InUse { path: path.to_owned() });
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    // Between the two calls the state directory's own mode keeps others out.
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves over TCP until `shutdown`.
pub async fn serve_tcp(
    listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve(|| accept_tcp(&listener), routes, shutdown).await;
    Ok(())
}

/// Serves over a unix socket until `shutdown`, then removes its file.
pub async fn serve_socket(
    listener: UnixListener,
    routes: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    serve(|| accept_unix(&listener), routes, shutdown).await;
    if let Some(path) = path {
        // The next start replaces it anyway.
        std::fs::remove_file(path).ok();
    }
    Ok(())
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Answers are small and written at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn accept_unix(listener: &UnixListener) -> io::Result<UnixStream> {
    listener.accept().await.map(|(stream, _)| stream)
}

async fn serve<S, F>(accept: impl Fn() -> F, routes: Router, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>>,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let taken = tokio::select! {
            () = shutdown.cancelled() => break,
            taken = Arc::clone(&room).acquire_owned() => taken,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let connection = connection(stream, routes.clone(), shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(taken);
                });
            }
            Err(error) => {
                tracing::warn!("failed to accept a connection: {error}");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection<S>(stream: S, routes: Router, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut served = std::pin::pin!(served);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!("a connection ended: {error}");
                }
                return;
            }
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
