//! The demonstration's chat: takes every message and hands it on.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that nobody has read yet.
const WAITING: usize = 256;

/// One message as it arrived.
#[derive(Debug, Clone)]
pub struct Message {
    /// The path it was posted to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
    /// Its bytes, for checking signatures.
    pub bytes: Bytes,
}

impl Message {
    /// The text of a Slack-like message.
    pub fn text(&self) -> &str {
        self.body["attachments"][0]["text"].as_str().unwrap_or_default()
    }
}

/// A port that takes messages.
pub struct Sink {
    listener: TcpListener,
    sender: mpsc::Sender<Message>,
}

impl Sink {
    /// Opens a port on loopback; messages come out of the receiver.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn open() -> std::io::Result<(Self, String, mpsc::Receiver<Message>)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, receiver) = mpsc::channel(WAITING);
        Ok((Self { listener, sender }, url, receiver))
    }

    /// Takes messages until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let router = axum::Router::new().fallback(take).with_state(self.sender);
        axum::serve(self.listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
        Ok(())
    }
}

async fn take(
    State(sender): State<mpsc::Sender<Message>>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> StatusCode {
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let message = Message { path: uri.path().to_owned(), headers, body, bytes };
    // Nobody reads: the chat is full, and says so.
    if sender.try_send(message).is_err() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK }
}
