//! pkt-lines: how git frames everything it says, and the bytes they are read from.

use bytes::{Buf, Bytes, BytesMut};

use super::error::{GitErrorKind, shown};
use super::ssh::SshReader;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pkt {
    /// `0000`.
    Flush,
    /// `0001`.
    Delimiter,
    /// `0002`.
    End,
    /// A line or a piece of data.
    Data(Bytes),
}

impl Pkt {
    /// The frame as a line of text, without its line feed.
    pub(crate) fn line(&self) -> Option<&[u8]> {
        match self {
            Pkt::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Pkt::Flush | Pkt::Delimiter | Pkt::End => None,
        }
    }
}

/// The longest frame git allows, with its four length digits.
const MAX_PKT: usize = 65_520;

/// Appends a line.
pub(crate) fn put_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes());
}

/// Appends a frame as it is.
pub(crate) fn put_data(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// Appends a flush.
pub(crate) fn put_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends a delimiter.
pub(crate) fn put_delimiter(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

/// Where bytes come from.
pub(crate) enum ByteSource {
    /// The body of an HTTP answer.
    Http(reqwest::Response),
    /// The output of a program on an ssh server.
    Ssh(SshReader),
    /// Bytes at hand.
    Memory(Option<Bytes>),
}

impl ByteSource {
    async fn chunk(&mut self) -> Result<Option<Bytes>, GitErrorKind> {
        match self {
            ByteSource::Http(response) => response
                .chunk()
                .await
                .map_err(|error| GitErrorKind::Connection(crate::source::transport::causes(&error))),
            ByteSource::Ssh(reader) => reader.chunk().await,
            ByteSource::Memory(bytes) => Ok(bytes.take()),
        }
    }
}

/// Reads frames; keeps count of bytes, so that an endless answer ends.
pub(crate) struct PktReader {
    source: ByteSource,
    buffer: BytesMut,
    received: u64,
    limit: u64,
}

impl PktReader {
    pub(crate) fn new(source: ByteSource, limit: u64) -> Self {
        Self { source, buffer: BytesMut::new(), received: 0, limit }
    }

    async fn fill(&mut self) -> Result<bool, GitErrorKind> {
        let Some(chunk) = self.source.chunk().await? else {
            return Ok(false);
        };
        self.received += chunk.len() as u64;
        if self.received > self.limit {
            return Err(GitErrorKind::TooLarge { what: "the answer".into(), limit: self.limit });
        }
        self.buffer.extend_from_slice(&chunk);
        Ok(true)
    }

    /// The next frame; `None` at the end of the stream. An `ERR` frame is the server's refusal.
    pub(crate) async fn next(&mut self) -> Result<Option<Pkt>, GitErrorKind> {
        while self.buffer.len() < 4 {
            if !self.fill().await? {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(GitErrorKind::Protocol("the answer ends within a frame".into())),
                };
            }
        }
        let length = std::str::from_utf8(&self.buffer[..4])
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(length) = length else {
            let start = String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(80)]).into_owned();
            return Err(GitErrorKind::Protocol(format!("no git frame but `{}`", shown(&start, 80))));
        };
        if length < 4 {
            self.buffer.advance(4);
            return match length {
                0 => Ok(Some(Pkt::Flush)),
                1 => Ok(Some(Pkt::Delimiter)),
                2 => Ok(Some(Pkt::End)),
                _ => Err(GitErrorKind::Protocol("a frame of length 3".into())),
            };
        }
        if length > MAX_PKT {
            return Err(GitErrorKind::Protocol(format!("a frame of {length} bytes")));
        }
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(GitErrorKind::Connection("the answer ends within a frame".into()));
            }
        }
        let mut frame = self.buffer.split_to(length).freeze();
        frame.advance(4);
        if let Some(words) = frame.strip_prefix(b"ERR ") {
            return Err(GitErrorKind::Remote(shown(&String::from_utf8_lossy(words), 512)));
        }
        Ok(Some(Pkt::Data(frame)))
    }

    /// The next frame where the stream may not end.
    pub(crate) async fn expect(&mut self) -> Result<Pkt, GitErrorKind> {
        self.next().await?.ok_or_else(|| GitErrorKind::Connection("the answer ends too early".into()))
    }

    /// Raw bytes after the last frame, for servers that send the pack without side bands.
    pub(crate) async fn raw(&mut self) -> Result<Option<Bytes>, GitErrorKind> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    /// The place the bytes come from, to write to it (ssh).
    pub(crate) fn source(&mut self) -> &mut ByteSource {
        &mut self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8]) -> Result<Vec<Pkt>, GitErrorKind> {
        let mut reader = PktReader::new(ByteSource::Memory(Some(Bytes::from_static(bytes))), 1 << 20);
        let mut found = Vec::new();
        while let Some(pkt) = reader.next().await? {
            found.push(pkt);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn frames_are_read_as_git_writes_them() {
        let mut bytes = Vec::new();
        put_line(&mut bytes, "want x");
        put_delimiter(&mut bytes);
        put_flush(&mut bytes);
        assert_eq!(bytes, b"000bwant x\n00010000");
        let frames = read(b"000bwant x\n000100000004").await.unwrap();
        assert_eq!(frames[0].line(), Some(b"want x".as_slice()));
        assert_eq!(frames[1..], [Pkt::Delimiter, Pkt::Flush, Pkt::Data(Bytes::new())]);
    }

    #[tokio::test]
    async fn frames_that_are_none_are_refused() {
        for bytes in [b"<html>".as_slice(), b"00", b"0003", b"00ff short", b"+0f0", b"fffe"] {
            assert!(read(bytes).await.is_err(), "{bytes:?}");
        }
        let refusal = read(b"0010ERR \x1b[1mno\n\n").await.unwrap_err();
        assert_eq!(refusal.to_string(), "the server reports: \\u{1b}[1mno");
    }
}
