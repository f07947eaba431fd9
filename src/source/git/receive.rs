//! The conversation with a receive-pack: where references stand, what to move with which objects, what became of it.
//!
//! Speaks protocol version 0, the only one there is for pushes. Decides nothing: which refusals are worth another try
//! is `push.rs`'s business.

use std::collections::BTreeMap;

use bytes::Bytes;
use git2::Oid;

use super::error::{GitErrorKind, shown};
use super::greeting::{Greeting, read_greeting};
use super::pkt::{ByteSource, Pkt, PktReader, put_data, put_flush};
use super::protocol::{AGENT, CHATTER_BYTES, REFERENCE_BYTES, Remote, RemoteRef};

const RECEIVE_PACK: &str = "git-receive-pack";
/// What a server may say about the references of one push.
const REPORT_BYTES: usize = 1 << 20;
/// What is kept of what hooks print.
const WORDS_BYTES: usize = 16 << 10;

/// A reference to move.
pub(crate) struct Command {
    pub(crate) reference: String,
    /// Where it stands now, by the server's own word; `None` makes it.
    pub(crate) old: Option<Oid>,
    pub(crate) new: Oid,
}

/// What became of a push.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Why the objects were not taken, if they were not.
    pub(crate) unpack: Option<String>,
    /// By reference: nothing, or why it was not moved.
    pub(crate) references: BTreeMap<String, Option<String>>,
    /// What the server and its hooks printed.
    pub(crate) words: Vec<u8>,
}

/// One conversation. Over http the push is a request of its own, over ssh it goes on in the same stream.
pub(crate) struct Receiving {
    remote: Remote,
    reader: Option<PktReader>,
    greeting: Greeting,
    references: Vec<RemoteRef>,
}

impl Receiving {
    /// Asks where the references stand.
    pub(crate) async fn open(mut remote: Remote, references: usize) -> Result<Self, GitErrorKind> {
        let limit = (references as u64).saturating_mul(REFERENCE_BYTES);
        let (mut reader, http) = match &mut remote {
            Remote::Http(http) => {
                (PktReader::new(ByteSource::Http(http.greet(RECEIVE_PACK, false).await?), limit), true)
            }
            Remote::Ssh(ssh) => {
                let answer = ByteSource::Ssh(ssh.start(RECEIVE_PACK, false).await?);
                (PktReader::new(answer, limit + CHATTER_BYTES + REPORT_BYTES as u64), false)
            }
        };
        let (greeting, listed) = read_greeting(&mut reader, &[], references).await?;
        greeting.check()?;
        let references =
            listed.ok_or_else(|| GitErrorKind::Protocol("protocol version 2 for a push".into()))?;
        let reader = match http {
            true => {
                // read to its end the connection can carry the push as well
                while reader.next().await?.is_some() {}
                None
            }
            false => Some(reader),
        };
        Ok(Self { remote, reader, greeting, references })
    }

    /// Where a reference stands.
    pub(crate) fn stands(&self, reference: &str) -> Option<Oid> {
        self.references.iter().find(|one| one.name == reference).map(|one| one.id)
    }

    /// Everything the server says it has.
    pub(crate) fn tips(&self) -> impl Iterator<Item = Oid> {
        self.references.iter().map(|one| one.id)
    }

    pub(crate) fn takes_options(&self) -> bool {
        self.greeting.offers("push-options")
    }

    /// Moves the references, all or none where the server can.
    pub(crate) async fn push(
        mut self,
        commands: &[Command],
        options: &[String],
        pack: Vec<u8>,
    ) -> Result<Report, GitErrorKind> {
        let side_band = self.greeting.offers("side-band-64k");
        let mut body = self.commands(commands, options)?;
        body.extend_from_slice(&pack);
        drop(pack);
        let mut reader = match (&self.remote, self.reader.take()) {
            (Remote::Http(http), _) => {
                let response = http.post_once(RECEIVE_PACK, Bytes::from(body)).await?;
                PktReader::new(ByteSource::Http(response), CHATTER_BYTES + REPORT_BYTES as u64)
            }
            (Remote::Ssh(_), Some(mut reader)) => {
                if let ByteSource::Ssh(ssh) = reader.source() {
                    ssh.send(Bytes::from(body)).await?;
                }
                reader
            }
            (Remote::Ssh(_), None) => {
                return Err(GitErrorKind::Protocol("the conversation has ended".into()));
            }
        };
        match side_band {
            true => {
                let mut report = Report::default();
                let lines = read_bands(&mut reader, &mut report.words).await?;
                let source = ByteSource::Memory(Some(Bytes::from(lines)));
                read_report(&mut PktReader::new(source, REPORT_BYTES as u64), report).await
            }
            false => read_report(&mut reader, Report::default()).await,
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

    fn commands(&self, commands: &[Command], options: &[String]) -> Result<Vec<u8>, GitErrorKind> {
        let offered = |name: &&str| self.greeting.offers(name);
        let report = ["report-status-v2", "report-status"].into_iter().find(offered).ok_or_else(|| {
            GitErrorKind::Protocol("a server that does not say what becomes of a push".into())
        })?;
        let mut features = format!(" {report}");
        let atomic = (commands.len() > 1).then_some("atomic");
        let with_options = (!options.is_empty()).then_some("push-options");
        let wanted = ["side-band-64k", "quiet"].into_iter().chain(atomic).chain(with_options);
        for feature in wanted.filter(offered) {
            features.push(' ');
            features.push_str(feature);
        }
        if self.greeting.value("object-format").is_some() {
            features.push_str(" object-format=sha1");
        }
        if self.greeting.value("agent").is_some() {
            features.push(' ');
            features.push_str(AGENT);
        }
        let mut body = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            let old = command.old.unwrap_or(Oid::ZERO_SHA1);
            let mut line = format!("{old} {} {}", command.new, command.reference).into_bytes();
            if number == 0 {
                line.push(0);
                line.extend_from_slice(features.as_bytes());
            }
            put_data(&mut body, &line);
        }
        put_flush(&mut body);
        if !options.is_empty() {
            for option in options {
                put_data(&mut body, option.as_bytes());
            }
            put_flush(&mut body);
        }
        Ok(body)
    }
}

/// Takes the bands apart: the report is returned, what is printed goes to `words`.
async fn read_bands(reader: &mut PktReader, words: &mut Vec<u8>) -> Result<Vec<u8>, GitErrorKind> {
    let mut report = Vec::new();
    let mut chatter = 0_u64;
    loop {
        let data = match reader.next().await? {
            None | Some(Pkt::Flush | Pkt::End) => return Ok(report),
            Some(Pkt::Delimiter) => continue,
            Some(Pkt::Data(data)) => data,
        };
        match data.first() {
            Some(1) => {
                report.extend_from_slice(&data[1..]);
                if report.len() > REPORT_BYTES {
                    return Err(GitErrorKind::TooLarge {
                        what: "the server's report".into(),
                        limit: REPORT_BYTES as u64,
                    });
                }
            }
            Some(2) => {
                chatter += data.len() as u64;
                if chatter > CHATTER_BYTES {
                    return Err(GitErrorKind::TooLarge {
                        what: "what the server prints".into(),
                        limit: CHATTER_BYTES,
                    });
                }
                let room = WORDS_BYTES.saturating_sub(words.len());
                words.extend_from_slice(&data[1..][..room.min(data.len() - 1)]);
            }
            Some(3) => {
                let said = String::from_utf8_lossy(&data[1..]).into_owned();
                return Err(GitErrorKind::Remote(shown(&said, 512)));
            }
            _ => return Err(GitErrorKind::Protocol("an unknown side band".into())),
        }
    }
}

async fn read_report(reader: &mut PktReader, mut report: Report) -> Result<Report, GitErrorKind> {
    let strange = |line: &[u8]| {
        GitErrorKind::Protocol(format!("`{}` in the report", shown(&String::from_utf8_lossy(line), 80)))
    };
    // without the first line nothing is known, not even that the server saw the push
    let first = reader.expect().await?;
    let line = first.line().unwrap_or_default();
    match line.strip_prefix(b"unpack ").ok_or_else(|| strange(line))? {
        b"ok" => {}
        why => report.unpack = Some(String::from_utf8_lossy(why).into_owned()),
    }
    while let Some(frame) = reader.next().await? {
        let Some(line) = frame.line() else { break };
        let text = String::from_utf8_lossy(line).into_owned();
        match text.split_once(' ') {
            Some(("ok", name)) => {
                report.references.insert(name.to_owned(), None);
            }
            Some(("ng", rest)) => {
                let (name, why) = rest.split_once(' ').unwrap_or((rest, "no reason given"));
                report.references.insert(name.to_owned(), Some(why.to_owned()));
            }
            // version 2 says more about a reference after its line; nothing of it is needed
            Some(("option", _)) => {}
            _ => return Err(strange(line)),
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            put_data(&mut out, line.as_bytes());
        }
        put_flush(&mut out);
        out
    }

    async fn report(bytes: Vec<u8>) -> Result<Report, GitErrorKind> {
        let source = ByteSource::Memory(Some(Bytes::from(bytes)));
        read_report(&mut PktReader::new(source, 1 << 20), Report::default()).await
    }

    #[tokio::test]
    async fn reports_of_both_versions_are_read() {
        let both = report(frames(&[
            "unpack ok\n",
            "ok refs/heads/main\n",
            "option refname refs/changes/1\n",
            "ng refs/heads/x pre-receive hook declined\n",
        ]));
        let both = both.await.unwrap();
        assert_eq!(both.unpack, None);
        assert_eq!(both.references["refs/heads/main"], None);
        assert_eq!(both.references["refs/heads/x"].as_deref(), Some("pre-receive hook declined"));
        let failed =
            report(frames(&["unpack index-pack abnormal exit\n", "ng refs/heads/x unpacker error\n"]));
        assert_eq!(failed.await.unwrap().unpack.as_deref(), Some("index-pack abnormal exit"));
        for nothing in
            [frames(&[]), Vec::new(), frames(&["ok refs/heads/main"]), frames(&["unpack ok", "hm"])]
        {
            assert!(report(nothing).await.is_err());
        }
    }

    #[tokio::test]
    async fn h77_what_hooks_print_is_bounded() {
        let mut endless = Vec::new();
        let line = [b"\x02".as_slice(), &[b'x'; 60_000]].concat();
        for _ in 0..20 {
            put_data(&mut endless, &line);
        }
        let mut words = Vec::new();
        let mut reader = PktReader::new(ByteSource::Memory(Some(Bytes::from(endless))), 1 << 22);
        let refused = read_bands(&mut reader, &mut words).await.unwrap_err();
        assert!(matches!(refused, GitErrorKind::TooLarge { .. }), "{refused}");
        assert_eq!(words.len(), WORDS_BYTES);
    }
}
