//! Requests that say their length twice.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is read in one way here and perhaps in another by a proxy
//! in front; what one takes for the body the other takes for the next request. hyper drops the length and goes on. So
//! the heads are looked at on their way in, and such a request is refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose requests' heads are looked at.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    heads: Heads,
    twice: Arc<AtomicBool>,
}

impl<S> Watched<S> {
    /// The flag is set as soon as a request says its length twice; it is the last that is read from the connection.
    pub(super) fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let twice = Arc::new(AtomicBool::new(false));
        (Self { stream, heads: Heads::default(), twice: Arc::clone(&twice) }, twice)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if this.heads.look(&buffer.filled()[before..]) {
            this.twice.store(true, Ordering::Release);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// So much of a line is kept: longer ones are none of the two headers.
const LINE: usize = 64;

/// Where in the stream of requests we are.
#[derive(Debug, Default)]
struct Heads {
    state: State,
    /// The line so far, cut.
    line: Vec<u8>,
    /// The request line is read.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    /// So much of the body is still to come.
    Body(u64),
    /// A body whose length is not known beforehand ends the connection, and so does whatever cannot be understood.
    Over,
}

impl Heads {
    /// Takes in the next bytes; true if a head in them says its length twice.
    fn look(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.state {
                State::Over => return false,
                State::Body(left) => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[skipped..];
                    let left = left - skipped as u64;
                    self.state = if left == 0 { State::Head } else { State::Body(left) };
                }
                State::Head => {
                    let (line, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
                        Some(end) => (&bytes[..end], &bytes[end + 1..]),
                        None => {
                            self.keep(bytes);
                            return false;
                        }
                    };
                    self.keep(line);
                    bytes = rest;
                    if self.end_of_line() {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_of_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            if !self.begun {
                // Empty lines before a request are none.
                return false;
            }
            let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
            self.begun = false;
            self.state = match (length, chunked) {
                (_, true) => State::Over,
                (Some(length), false) if length > 0 => State::Body(length),
                (_, false) => State::Head,
            };
            return chunked && length.is_some();
        }
        if !std::mem::replace(&mut self.begun, true) {
            return false;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // A length that is no number is refused by hyper, which ends the connection.
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            self.length = Some(number.unwrap_or(0));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the stream says a length twice, read whole and byte by byte.
    fn twice(stream: &str) -> bool {
        let whole = Heads::default().look(stream.as_bytes());
        let mut heads = Heads::default();
        let pieces = stream.as_bytes().chunks(1).any(|byte| heads.look(byte));
        assert_eq!(whole, pieces, "{stream}");
        whole
    }

    #[test]
    fn both_lengths_are_seen_in_any_order_case_and_line_ending() {
        for head in [
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "transfer-encoding:chunked\ncontent-length:4\n",
            "TRANSFER-ENCODING: gzip, chunked\r\nx: y\r\nCONTENT-LENGTH:   4\r\n",
            "content-length: nonsense\r\ntransfer-encoding: x\r\n",
        ] {
            assert!(twice(&format!("\r\nPOST / HTTP/1.1\r\n{head}\r\n")), "{head}");
        }
    }

    #[test]
    fn one_length_is_fine_and_bodies_are_not_looked_at() {
        let hidden = "GET / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(!twice(&format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len())));
        assert!(!twice(&format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{hidden}")));
        assert!(!twice("GET /content-length: HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"));
        assert!(!twice("POST / HTTP/1.1\r\nx-content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"));
        // The next request on the same connection is looked at again.
        assert!(twice(&format!("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nok{hidden}")));
        assert!(twice(&format!("GET / HTTP/1.1\r\nhost: x\r\n\r\n{hidden}")));
    }
}
