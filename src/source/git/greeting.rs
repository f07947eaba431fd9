//! How a server greets: what it can do and, in the older protocols, which references it has.
//!
//! Asks nothing; only reads.

use git2::Oid;

use super::error::{GitErrorKind, shown};
use super::pkt::{Pkt, PktReader};
use super::protocol::RemoteRef;

/// What a server can do, remembered so that the next fetch need not ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version2: bool,
    pub(crate) capabilities: Vec<String>,
}

impl Greeting {
    pub(crate) fn offers(&self, name: &str) -> bool {
        self.capabilities.iter().any(|capability| capability == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|capability| capability.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn shallow(&self) -> bool {
        match self.version2 {
            true => {
                self.value("fetch").is_some_and(|features| features.split(' ').any(|one| one == "shallow"))
            }
            false => self.offers("shallow"),
        }
    }

    pub(crate) fn check(&self) -> Result<(), GitErrorKind> {
        match self.value("object-format") {
            None | Some("sha1") => Ok(()),
            Some(other) => Err(GitErrorKind::Protocol(format!(
                "object format `{}`, of which only sha1 is supported",
                shown(other, 20)
            ))),
        }
    }
}

/// Capabilities, and (but for version 2) the references whose names start with one of `prefixes`.
pub(crate) async fn read_greeting(
    reader: &mut PktReader,
    prefixes: &[String],
    references: usize,
) -> Result<(Greeting, Option<Vec<RemoteRef>>), GitErrorKind> {
    let mut greeting = Greeting::default();
    let mut first = reader.expect().await?;
    if first.line().is_some_and(|line| line.starts_with(b"# service=")) {
        if reader.expect().await? != Pkt::Flush {
            return Err(GitErrorKind::Protocol("no flush after the service line".into()));
        }
        first = reader.expect().await?;
    }
    if first.line() == Some(b"version 2") {
        greeting.version2 = true;
        loop {
            let frame = reader.expect().await?;
            let Some(line) = frame.line() else { break };
            greeting.capabilities.push(String::from_utf8_lossy(line).into_owned());
            bounded(greeting.capabilities.len(), 1000)?;
        }
        return Ok((greeting, None));
    }
    if first.line() == Some(b"version 1") {
        first = reader.expect().await?;
    }
    let mut found: Vec<RemoteRef> = Vec::new();
    let mut seen = 0;
    let mut frame = first;
    while let Some(line) = frame.line() {
        let line = match line.iter().position(|&byte| byte == 0) {
            Some(at) => {
                let features = String::from_utf8_lossy(&line[at + 1..]).into_owned();
                greeting.capabilities = features.split_ascii_whitespace().map(str::to_owned).collect();
                &line[..at]
            }
            None => line,
        };
        let line = String::from_utf8_lossy(line).into_owned();
        seen += 1;
        bounded(seen, references.saturating_mul(2))?;
        match line.split_once(' ') {
            Some(("shallow", _)) | Some((_, "capabilities^{}")) => {}
            Some((id, name)) => match name.strip_suffix("^{}") {
                Some(tag) => {
                    if let Some(last) = found.last_mut().filter(|last| last.name == tag) {
                        last.peeled = Some(oid(id)?);
                    }
                }
                None if wanted(name, prefixes) => {
                    found.push(RemoteRef { name: name.to_owned(), id: oid(id)?, peeled: None });
                    bounded(found.len(), references)?;
                }
                None => {}
            },
            None => return Err(GitErrorKind::Protocol(format!("`{}` in the list", shown(&line, 80)))),
        }
        frame = reader.expect().await?;
    }
    Ok((greeting, Some(found)))
}

/// An object's id as servers write it.
pub(crate) fn oid(hex: &str) -> Result<Oid, GitErrorKind> {
    Some(hex)
        .filter(|hex| hex.len() == 40)
        .and_then(|hex| Oid::from_str(hex).ok())
        .ok_or_else(|| GitErrorKind::Protocol(format!("`{}` is no object id", shown(hex, 60))))
}

/// No more references than allowed.
pub(crate) fn bounded(count: usize, references: usize) -> Result<(), GitErrorKind> {
    match count > references {
        true => {
            Err(GitErrorKind::TooLarge { what: "the number of references".into(), limit: references as u64 })
        }
        false => Ok(()),
    }
}

/// Whether a reference was asked for.
pub(crate) fn wanted(name: &str, prefixes: &[String]) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
}
