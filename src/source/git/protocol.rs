//! The conversation with an upload-pack: which references there are, and a pack of what we lack.
//!
//! Speaks protocol version 2 where the server does (it filters references for us) and version 0 or 1 elsewhere.
//! libgit2's own negotiation is not used: it knows neither version 2 nor how to extend a shallow history, so it
//! would list every reference of a large repository and could not fetch incrementally into a shallow one.

use bytes::Bytes;
use git2::Oid;

use super::error::{GitErrorKind, shown};
use super::greeting::{Greeting, bounded, oid, read_greeting, wanted};
use super::http::HttpRemote;
use super::pkt::{ByteSource, Pkt, PktReader, put_delimiter, put_flush, put_line};
use super::ssh::SshRemote;

const UPLOAD_PACK: &str = "git-upload-pack";
pub(crate) const AGENT: &str = concat!("agent=git/sluice-", env!("CARGO_PKG_VERSION"));
/// Progress messages and chatter a server may send beside a pack.
pub(crate) const CHATTER_BYTES: u64 = 1 << 20;
/// Bytes of one advertised reference on average, to turn a bound on references into one on bytes.
pub(crate) const REFERENCE_BYTES: u64 = 512;

/// Where a repository is and how to reach it.
#[derive(Clone)]
pub(crate) enum Remote {
    Http(HttpRemote),
    Ssh(SshRemote),
}

impl Remote {
    /// `host:port`, as [`super::address::Address::host`] writes it.
    pub(crate) fn host(&self) -> String {
        match self {
            Remote::Http(http) => super::address::host_of(http.base()),
            Remote::Ssh(ssh) => ssh.server(),
        }
    }
}

/// One advertised reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteRef {
    pub(crate) name: String,
    pub(crate) id: Oid,
    /// The commit behind an annotated tag.
    pub(crate) peeled: Option<Oid>,
}

impl RemoteRef {
    /// The commit: a tag's target, else the id itself.
    pub(crate) fn commit(&self) -> Oid {
        self.peeled.unwrap_or(self.id)
    }
}

/// What to ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchPlan {
    pub(crate) wants: Vec<Oid>,
    pub(crate) haves: Vec<Oid>,
    /// Commits we hold without their parents.
    pub(crate) shallow: Vec<Oid>,
    /// Generations to get; `None` gets all.
    pub(crate) depth: Option<u32>,
}

/// One conversation. Over http every question is a request of its own, over ssh all share a stream.
pub(crate) struct Conversation {
    remote: Remote,
    reader: Option<PktReader>,
    greeting: Greeting,
    /// Version 0 lists all references with the greeting.
    listed: Option<Vec<RemoteRef>>,
    references: usize,
    pack_bytes: u64,
}

impl Conversation {
    /// Greets the server; over http a known greeting spares the round trip.
    pub(crate) async fn open(
        mut remote: Remote,
        known: Option<Greeting>,
        prefixes: &[String],
        references: usize,
        pack_bytes: u64,
    ) -> Result<Self, GitErrorKind> {
        let limit = (references as u64).saturating_mul(REFERENCE_BYTES);
        if let (Remote::Http(_), Some(greeting)) = (&remote, &known)
            && greeting.version2
        {
            let greeting = greeting.clone();
            return Ok(Self { remote, reader: None, greeting, listed: None, references, pack_bytes });
        }
        let (mut reader, http) = match &mut remote {
            Remote::Http(http) => {
                (PktReader::new(ByteSource::Http(http.greet(UPLOAD_PACK, true).await?), limit), true)
            }
            Remote::Ssh(ssh) => {
                // the stream also carries the pack, whose own limit is counted apart
                (
                    PktReader::new(ByteSource::Ssh(ssh.start(UPLOAD_PACK, true).await?), limit + pack_bytes),
                    false,
                )
            }
        };
        let (greeting, listed) = read_greeting(&mut reader, prefixes, references).await?;
        greeting.check()?;
        let reader = if http { None } else { Some(reader) };
        Ok(Self { remote, reader, greeting, listed, references, pack_bytes })
    }

    /// What to remember of the greeting: nothing if a redirect led here, so that the next fetch follows it too.
    pub(crate) fn greeting(&self) -> Option<Greeting> {
        match &self.remote {
            Remote::Http(http) if http.is_redirected() => None,
            Remote::Http(_) | Remote::Ssh(_) => Some(self.greeting.clone()),
        }
    }

    /// The references whose names start with one of `prefixes`.
    pub(crate) async fn list(&mut self, prefixes: &[String]) -> Result<Vec<RemoteRef>, GitErrorKind> {
        if let Some(listed) = self.listed.take() {
            return Ok(listed);
        }
        let mut body = Vec::new();
        put_line(&mut body, "command=ls-refs");
        put_line(&mut body, AGENT);
        if self.greeting.value("object-format").is_some() {
            put_line(&mut body, "object-format=sha1");
        }
        put_delimiter(&mut body);
        put_line(&mut body, "peel");
        for prefix in prefixes {
            put_line(&mut body, &format!("ref-prefix {prefix}"));
        }
        put_flush(&mut body);
        let limit = (self.references as u64).saturating_mul(REFERENCE_BYTES);
        let references = self.references;
        let reader = self.ask(body, limit).await?;
        let mut found = Vec::new();
        loop {
            let frame = reader.expect().await?;
            let Some(line) = frame.line() else { break };
            let line = String::from_utf8_lossy(line);
            let mut words = line.split(' ');
            let (id, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
            if id == "unborn" || !wanted(name, prefixes) {
                continue;
            }
            found.push(RemoteRef {
                name: name.to_owned(),
                id: oid(id)?,
                peeled: peeled.map(oid).transpose()?,
            });
            bounded(found.len(), references)?;
        }
        Ok(found)
    }

    /// Asks for a pack; what follows is read from the returned stream.
    pub(crate) async fn fetch(mut self, plan: &FetchPlan) -> Result<PackStream, GitErrorKind> {
        let mut plan = plan.clone();
        if !self.greeting.shallow() {
            plan.depth = None;
            plan.shallow.clear();
        }
        let (body, side_band) = match self.greeting.version2 {
            true => (self.ask_version2(&plan), true),
            false => (self.ask_version0(&plan), self.greeting.offers("side-band-64k")),
        };
        let limit = self.pack_bytes.saturating_add(self.pack_bytes / 64).saturating_add(CHATTER_BYTES);
        self.ask(body, limit).await?;
        let Some(mut reader) = self.reader.take() else {
            return Err(GitErrorKind::Protocol("no answer".into()));
        };
        let shallow = match self.greeting.version2 {
            true => read_sections(&mut reader).await?,
            false => read_acknowledgements(&mut reader, plan.depth.is_some()).await?,
        };
        Ok(PackStream { reader, shallow, side_band, pack_bytes: self.pack_bytes, received: 0, chatter: 0 })
    }

    fn ask_version2(&self, plan: &FetchPlan) -> Vec<u8> {
        let mut body = Vec::new();
        put_line(&mut body, "command=fetch");
        put_line(&mut body, AGENT);
        if self.greeting.value("object-format").is_some() {
            put_line(&mut body, "object-format=sha1");
        }
        put_delimiter(&mut body);
        for feature in ["thin-pack", "ofs-delta", "no-progress"] {
            put_line(&mut body, feature);
        }
        put_plan(&mut body, plan, |want| format!("want {want}"));
        put_line(&mut body, "done");
        put_flush(&mut body);
        body
    }

    fn ask_version0(&self, plan: &FetchPlan) -> Vec<u8> {
        let mut features = String::new();
        let multi_ack =
            ["multi_ack_detailed", "multi_ack"].into_iter().find(|name| self.greeting.offers(name));
        for feature in multi_ack.into_iter().chain(["side-band-64k", "thin-pack", "ofs-delta", "no-progress"])
        {
            if self.greeting.offers(feature) {
                features.push(' ');
                features.push_str(feature);
            }
        }
        if self.greeting.value("agent").is_some() {
            features.push(' ');
            features.push_str(AGENT);
        }
        let mut body = Vec::new();
        let (without_haves, mut first) = (FetchPlan { haves: Vec::new(), ..plan.clone() }, true);
        put_plan(&mut body, &without_haves, |want| {
            let features = if std::mem::take(&mut first) { features.as_str() } else { "" };
            format!("want {want}{features}")
        });
        put_flush(&mut body);
        for have in &plan.haves {
            put_line(&mut body, &format!("have {have}"));
        }
        put_line(&mut body, "done");
        body
    }

    async fn ask(&mut self, body: Vec<u8>, limit: u64) -> Result<&mut PktReader, GitErrorKind> {
        let body = Bytes::from(body);
        match &self.remote {
            Remote::Http(http) => {
                let response = http.post(UPLOAD_PACK, body, self.greeting.version2).await?;
                Ok(self.reader.insert(PktReader::new(ByteSource::Http(response), limit)))
            }
            Remote::Ssh(_) => {
                let Some(reader) = self.reader.as_mut() else {
                    return Err(GitErrorKind::Protocol("the conversation has ended".into()));
                };
                if let ByteSource::Ssh(ssh) = reader.source() {
                    ssh.send(body).await?;
                }
                Ok(reader)
            }
        }
    }

    /// Says goodbye where the server waits for it.
    pub(crate) async fn close(mut self) {
        if let Some(reader) = self.reader.as_mut()
            && let ByteSource::Ssh(ssh) = reader.source()
        {
            // nothing depends on it: the server notices the closed channel anyway
            drop(ssh.send(Bytes::from_static(b"0000")).await);
        }
    }
}

fn put_plan(body: &mut Vec<u8>, plan: &FetchPlan, mut want_line: impl FnMut(&Oid) -> String) {
    for want in &plan.wants {
        put_line(body, &want_line(want));
    }
    for shallow in &plan.shallow {
        put_line(body, &format!("shallow {shallow}"));
    }
    if let Some(depth) = plan.depth {
        put_line(body, &format!("deepen {depth}"));
    }
    for have in &plan.haves {
        put_line(body, &format!("have {have}"));
    }
}

/// Changes to the shallow boundary.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    pub(crate) shallow: Vec<Oid>,
    pub(crate) unshallow: Vec<Oid>,
}

impl Boundary {
    /// Takes a `shallow` or `unshallow` line; false when it is neither.
    fn take(&mut self, line: &[u8]) -> Result<bool, GitErrorKind> {
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ') {
            Some(("shallow", id)) => self.shallow.push(oid(id)?),
            Some(("unshallow", id)) => self.unshallow.push(oid(id)?),
            _ => return Ok(false),
        }
        bounded(self.shallow.len() + self.unshallow.len(), 100_000)?;
        Ok(true)
    }
}

/// Version 2: sections until `packfile`.
async fn read_sections(reader: &mut PktReader) -> Result<Boundary, GitErrorKind> {
    let mut boundary = Boundary::default();
    loop {
        let frame = reader.expect().await?;
        match frame.line() {
            Some(b"packfile") => return Ok(boundary),
            Some(line) if boundary.take(line)? => {}
            Some(
                b"shallow-info" | b"acknowledgments" | b"wanted-refs" | b"packfile-uris" | b"NAK" | b"ready",
            ) => {}
            Some(line) if line.starts_with(b"ACK ") => {}
            Some(line) => {
                let line = String::from_utf8_lossy(line).into_owned();
                return Err(GitErrorKind::Protocol(format!("`{}` before the pack", shown(&line, 80))));
            }
            None if frame == Pkt::Delimiter => {}
            None => return Err(GitErrorKind::Protocol("the answer holds no pack".into())),
        }
    }
}

/// Version 0: the boundary when a depth was asked for, then acknowledgements up to the last one.
async fn read_acknowledgements(reader: &mut PktReader, deepened: bool) -> Result<Boundary, GitErrorKind> {
    let mut boundary = Boundary::default();
    if deepened {
        loop {
            let frame = reader.expect().await?;
            let Some(line) = frame.line() else { break };
            if !boundary.take(line)? {
                return Err(GitErrorKind::Protocol("no shallow line where one was due".into()));
            }
        }
    }
    loop {
        let frame = reader.expect().await?;
        let line = frame.line().unwrap_or_default();
        if line == b"NAK" {
            return Ok(boundary);
        }
        let Some(acknowledged) = line.strip_prefix(b"ACK ") else {
            let line = String::from_utf8_lossy(line).into_owned();
            return Err(GitErrorKind::Protocol(format!("`{}` before the pack", shown(&line, 80))));
        };
        // `ACK <id> common` and the like are followed by more, a bare one is the last
        if !acknowledged.contains(&b' ') {
            return Ok(boundary);
        }
    }
}

/// The pack as it arrives.
pub(crate) struct PackStream {
    reader: PktReader,
    pub(crate) shallow: Boundary,
    side_band: bool,
    pack_bytes: u64,
    received: u64,
    chatter: u64,
}

impl PackStream {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, GitErrorKind> {
        loop {
            let piece = match self.side_band {
                false => self.reader.raw().await?,
                true => match self.reader.expect().await? {
                    Pkt::Flush | Pkt::End => None,
                    Pkt::Delimiter => continue,
                    Pkt::Data(data) => match data.first() {
                        Some(1) => Some(data.slice(1..)),
                        Some(2) => {
                            self.chatter += data.len() as u64;
                            if self.chatter > CHATTER_BYTES {
                                return Err(GitErrorKind::TooLarge {
                                    what: "the server's progress output".into(),
                                    limit: CHATTER_BYTES,
                                });
                            }
                            continue;
                        }
                        Some(3) => {
                            let words = String::from_utf8_lossy(&data[1..]).into_owned();
                            return Err(GitErrorKind::Remote(shown(&words, 512)));
                        }
                        _ => return Err(GitErrorKind::Protocol("an unknown side band".into())),
                    },
                },
            };
            if let Some(piece) = &piece {
                self.received += piece.len() as u64;
                if self.received > self.pack_bytes {
                    return Err(GitErrorKind::TooLarge { what: "the pack".into(), limit: self.pack_bytes });
                }
            }
            return Ok(piece);
        }
    }
}
