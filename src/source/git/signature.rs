//! Whose signature a commit or a tag carries: `spec.verify`.
//!
//! Fails closed: what cannot be read, understood or attributed to a given key is not verified. Works on the bytes of
//! the objects as git stores them; nothing is written anew before it is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository};

use super::checkout::{GitCheckout, ReferencingTag};
use super::error::{GitError, GitErrorKind, shown};
use super::kept::damaged;
use super::openpgp::KeyRing;
use super::reference::parse_commit;
use super::sshsig;
use crate::model::Timestamp;

/// A signature is a few kilobytes; with a thousand signers' worth of room to spare.
const SIGNATURE_BYTES: usize = 64 << 10;
/// A commit's or tag's text that is signed.
const PAYLOAD_BYTES: usize = 4 << 20;
/// Tags of tags.
const TAGS: usize = 5;

/// Public keys that are trusted, as they stand in Flux's Secret: `*.sshpub` are authorized keys of SSH, everything
/// else (by convention `*.asc`) are OpenPGP rings.
#[derive(Clone, Default)]
pub struct TrustedKeys {
    rings: BTreeMap<String, Vec<u8>>,
    authorized: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TrustedKeys { rings, authorized } = self;
        let names: Vec<&String> = rings.keys().chain(authorized.keys()).collect();
        f.debug_tuple("TrustedKeys").field(&names).finish()
    }
}

impl TrustedKeys {
    /// The keys of a Secret, by the name of its entries.
    pub fn new(entries: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let (authorized, rings) = entries.into_iter().partition(|(name, _)| name.ends_with(".sshpub"));
        Self { rings, authorized }
    }
}

/// What must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyMode {
    /// The commit.
    Head,
    /// The tag that was checked out.
    Tag,
    /// Both.
    TagAndHead,
}

/// Why a checkout is not verified. The texts are Flux's.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A tag is to be verified, but none was asked for. Change the object.
    #[error("cannot verify tag object's signature if a tag reference is not specified")]
    NoTag,
    /// The tag carries no signature.
    #[error("cannot verify signature of tag '{0}' since it is not signed")]
    UnsignedTag(String),
    /// The tag's signature is none of the given keys'.
    #[error("signature verification of tag '{tag}' failed: {why}")]
    Tag {
        /// `name@object`.
        tag: String,
        /// Why.
        why: String,
    },
    /// The commit's signature is missing or none of the given keys'.
    #[error("signature verification of commit '{commit}' failed: {why}")]
    Commit {
        /// The commit.
        commit: String,
        /// Why.
        why: String,
    },
    /// The objects cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl VerifyError {
    /// Flux's reason word for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            VerifyError::NoTag => "InvalidVerificationMode",
            VerifyError::UnsignedTag(_) => "InvalidGitObject",
            VerifyError::Tag { .. } => "InvalidTagSignature",
            VerifyError::Commit { .. } => "InvalidCommitSignature",
            VerifyError::Git(error) => error.reason(),
        }
    }

    /// Whether another push or another Secret could mend it.
    pub fn is_retryable(&self) -> bool {
        match self {
            VerifyError::NoTag => false,
            VerifyError::UnsignedTag(_) | VerifyError::Tag { .. } | VerifyError::Commit { .. } => true,
            VerifyError::Git(error) => error.is_retryable(),
        }
    }
}

impl GitCheckout {
    /// Verifies the signatures `mode` asks for and says, in Flux's words, whose they are.
    pub async fn verify(
        &self,
        mode: VerifyMode,
        keys: TrustedKeys,
        now: Timestamp,
    ) -> Result<String, VerifyError> {
        let handle = &self.repository;
        let fail = |kind| GitError {
            attempted: format!("verify `{}` of", shown(self.revision.as_str(), 200)),
            url: handle.url.clone(),
            kind,
        };
        let commit = parse_commit(&self.commit)
            .ok_or_else(|| fail(GitErrorKind::CommitNotFound(shown(&self.commit, 60))))?;
        let (kept, tag) = (Arc::clone(&handle.view.kept), self.tag.clone());
        let done = kept.run(move |repository| verify(repository, mode, commit, tag, &keys, now)).await;
        done.map_err(fail)?
    }
}

fn verify(
    repository: &Repository,
    mode: VerifyMode,
    commit: Oid,
    tag: Option<ReferencingTag>,
    keys: &TrustedKeys,
    now: Timestamp,
) -> Result<Result<String, VerifyError>, GitErrorKind> {
    let mut message = "verified signature of".to_owned();
    if matches!(mode, VerifyMode::Tag | VerifyMode::TagAndHead) {
        let Some(tag) = tag else { return Ok(Err(VerifyError::NoTag)) };
        let name = shown(&tag.name, 200);
        let Some(object) = tag.object else { return Ok(Err(VerifyError::UnsignedTag(name))) };
        let label = format!("{name}@{object}");
        let bytes = read(repository, object, ObjectType::Tag)?;
        let signed = Signed::tag(&bytes);
        if signed.signature.is_empty() {
            return Ok(Err(VerifyError::UnsignedTag(label)));
        }
        let checked = bound_to(repository, &bytes, &tag.name, commit).and_then(|()| signed.check(keys, now));
        match checked {
            Ok(key) => message.push_str(&format!("\n\t- tag '{label}' with key '{key}'")),
            Err(why) => return Ok(Err(VerifyError::Tag { tag: label, why })),
        }
    }
    if matches!(mode, VerifyMode::Head | VerifyMode::TagAndHead) {
        let bytes = read(repository, commit, ObjectType::Commit)?;
        match Signed::commit(&bytes).check(keys, now) {
            Ok(key) => message.push_str(&format!("\n\t- commit '{commit}' with key '{key}'")),
            Err(why) => return Ok(Err(VerifyError::Commit { commit: commit.to_string(), why })),
        }
    }
    Ok(Ok(message))
}

fn read(repository: &Repository, id: Oid, kind: ObjectType) -> Result<Vec<u8>, GitErrorKind> {
    let odb = repository.odb().map_err(damaged)?;
    let (size, found) = odb.read_header(id).map_err(damaged)?;
    if found != kind {
        return Err(GitErrorKind::Corrupt(format!("`{id}` is no {kind}")));
    }
    if size > PAYLOAD_BYTES {
        return Err(GitErrorKind::TooLarge {
            what: "an object to verify".into(),
            limit: PAYLOAD_BYTES as u64,
        });
    }
    Ok(odb.read(id).map_err(damaged)?.data().to_vec())
}

/// A signed tag vouches for what it names under the name it carries, and for nothing else: a server could show it
/// under another name, or claim that it leads to another commit.
fn bound_to(repository: &Repository, tag: &[u8], name: &str, commit: Oid) -> Result<(), String> {
    let header = |bytes: &[u8], key: &str| {
        let lines = bytes.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
        let mut values = lines.filter_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "));
        values.next().map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let own = header(tag, "tag").unwrap_or_default();
    if own != name {
        return Err(format!("the tag object is named '{}'", shown(&own, 200)));
    }
    let mut target = header(tag, "object");
    for _ in 0..TAGS {
        let Some(id) = target.as_deref().and_then(parse_commit) else { break };
        if id == commit {
            return Ok(());
        }
        target = match read(repository, id, ObjectType::Tag) {
            Ok(below) => header(&below, "object"),
            Err(_) => None,
        };
    }
    Err(format!("the tag does not lead to commit '{commit}'"))
}

/// A signature and the bytes it was made over.
struct Signed {
    signature: String,
    payload: Vec<u8>,
}

const GPGSIG: &[u8] = b"gpgsig";

impl Signed {
    /// A commit's signature is a header; what is signed is the commit without it (and without the one that a
    /// repository of the other hash would have).
    fn commit(bytes: &[u8]) -> Self {
        let (mut signature, mut payload) = (Vec::new(), Vec::with_capacity(bytes.len()));
        let mut rest = bytes;
        let mut within: Option<bool> = None;
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            if line.is_empty() || line == b"\n" {
                payload.extend_from_slice(rest);
                break;
            }
            let key = line.split(|&byte| byte == b' ').next().unwrap_or_default();
            match (line.strip_prefix(b" "), within) {
                (Some(more), Some(true)) => signature.extend_from_slice(more),
                (Some(_), Some(false)) => {}
                (Some(_), None) => payload.extend_from_slice(line),
                (None, _) if key == GPGSIG => {
                    within = Some(true);
                    // a commit may end with the bare word
                    signature.extend_from_slice(line.get(GPGSIG.len() + 1..).unwrap_or_default());
                }
                (None, _) if key == b"gpgsig-sha256" => within = Some(false),
                (None, _) => {
                    within = None;
                    payload.extend_from_slice(line);
                }
            }
            rest = after;
        }
        Self::new(&signature, payload)
    }

    /// A tag's signature is the end of its message.
    fn tag(bytes: &[u8]) -> Self {
        let starts = |at: usize| FORMATS.iter().any(|(begin, _)| bytes[at..].starts_with(begin.as_bytes()));
        let lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        // the last one, as git finds it: a message may quote another signature
        match lines.rev().find(|&at| starts(at)) {
            Some(at) => Self::new(&bytes[at..], without_foreign_signature(&bytes[..at])),
            None => Self { signature: String::new(), payload: bytes.to_vec() },
        }
    }

    fn new(signature: &[u8], payload: Vec<u8>) -> Self {
        Self { signature: String::from_utf8_lossy(signature).trim().to_owned(), payload }
    }

    /// The key whose signature it is; Flux's words why it is none of the trusted ones.
    fn check(&self, keys: &TrustedKeys, now: Timestamp) -> Result<String, String> {
        if self.signature.len() > SIGNATURE_BYTES {
            return Err(format!("the signature is larger than {SIGNATURE_BYTES} bytes"));
        }
        match format_of(&self.signature) {
            "openpgp" if keys.rings.is_empty() => {
                Err("PGP signature detected but no PGP public keys found in secret (keys with .asc suffix)"
                    .into())
            }
            "openpgp" => self.check_openpgp(keys, now),
            "ssh" if keys.authorized.is_empty() => Err(
                "SSH signature detected but no SSH public keys found in secret (keys with .sshpub suffix)"
                    .into(),
            ),
            "ssh" => self.check_ssh(keys),
            other => Err(format!("unsupported signature type: {other}")),
        }
    }

    fn check_openpgp(&self, keys: &TrustedKeys, now: Timestamp) -> Result<String, String> {
        let mut notes = Vec::new();
        let mut unreadable = None;
        let mut read = false;
        for (name, ring) in &keys.rings {
            match KeyRing::read(ring) {
                Err(why) => {
                    unreadable.get_or_insert(format!(
                        "unable to read armored key ring: {why} (`{}`)",
                        shown(name, 60)
                    ));
                }
                Ok(ring) => {
                    read = true;
                    match ring.verify(&self.signature, &self.payload, now) {
                        Ok(key) => return Ok(key),
                        Err(more) => notes.extend(more),
                    }
                }
            }
        }
        match unreadable.filter(|_| !read) {
            Some(why) => Err(why),
            None => Err(with_hint(
                "unable to verify payload with any of the given key rings: no matching key",
                &notes,
            )),
        }
    }

    fn check_ssh(&self, keys: &TrustedKeys) -> Result<String, String> {
        let signature = sshsig::parse(&self.signature)
            .map_err(|why| format!("unable to unarmor SSH signature: {why}"))?;
        let mut unreadable = None;
        let mut notes = Vec::new();
        let mut read = false;
        for (name, text) in &keys.authorized {
            match sshsig::authorized_keys(&String::from_utf8_lossy(text)) {
                Err(why) => {
                    unreadable.get_or_insert(format!(
                        "unable to parse authorized key: {why} (`{}`)",
                        shown(name, 60)
                    ));
                }
                Ok(trusted) => {
                    read = true;
                    for key in trusted {
                        match sshsig::verify(&signature, &key, &self.payload) {
                            None => {}
                            Some(Ok(print)) => return Ok(print),
                            Some(Err(why)) => notes.push(why),
                        }
                    }
                }
            }
        }
        match unreadable.filter(|_| !read) {
            Some(why) => Err(why),
            None => Err(with_hint(
                "unable to verify payload with any of the given authorized keys: no matching key",
                &notes,
            )),
        }
    }
}

fn with_hint(said: &str, notes: &[String]) -> String {
    if notes.is_empty() { said.to_owned() } else { format!("{said}\nhint: {}", notes.join("; ")) }
}

/// How the kinds of signatures begin, as git tells them apart.
const FORMATS: &[(&str, &str)] = &[
    ("-----BEGIN PGP SIGNATURE-----", "openpgp"),
    ("-----BEGIN SSH SIGNATURE-----", "ssh"),
    ("-----BEGIN SIGNED MESSAGE-----", "x509"),
];

fn format_of(signature: &str) -> &'static str {
    let known = FORMATS.iter().find(|(begin, _)| signature.starts_with(begin)).map(|(_, name)| *name);
    known.unwrap_or(if signature.is_empty() { "empty" } else { "unknown" })
}

/// A tag may carry the signature of a repository of the other hash in a header, which is not signed.
fn without_foreign_signature(tag: &[u8]) -> Vec<u8> {
    Signed::commit(tag).payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_are_the_object_without_its_signature() {
        let commit = b"tree t\nauthor a\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\ngpgsig-sha256 y\n z\nmergetag object o\n type commit\n\nmessage\n gpgsig no\n";
        let signed = Signed::commit(commit);
        assert_eq!(signed.signature, "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----");
        assert_eq!(
            String::from_utf8(signed.payload).unwrap(),
            "tree t\nauthor a\nmergetag object o\n type commit\n\nmessage\n gpgsig no\n"
        );
        let tag = b"object o\ntype commit\ntag v1\ntagger t\n\nrelease\n-----BEGIN PGP SIGNATURE-----\nquoted\n-----BEGIN SSH SIGNATURE-----\nreal\n";
        let signed = Signed::tag(tag);
        assert_eq!(signed.signature, "-----BEGIN SSH SIGNATURE-----\nreal");
        assert!(signed.payload.ends_with(b"quoted\n"));
        let plain = Signed::tag(b"object o\n\nno -----BEGIN PGP SIGNATURE----- here\n");
        assert!(plain.signature.is_empty());
    }

    #[test]
    fn h81_a_signature_of_no_known_kind_is_none() {
        let keys =
            TrustedKeys::new([("a.asc".to_owned(), b"x".to_vec()), ("b.sshpub".to_owned(), b"y".to_vec())]);
        let check = |header: &str| {
            let commit = format!("tree t\n{header}\nmessage\n");
            Signed::commit(commit.as_bytes()).check(&keys, Timestamp::UNIX_EPOCH).unwrap_err()
        };
        assert_eq!(check(""), "unsupported signature type: empty");
        assert_eq!(check("gpgsig hm\n"), "unsupported signature type: unknown");
        assert_eq!(check("gpgsig -----BEGIN SIGNED MESSAGE-----\n"), "unsupported signature type: x509");
        let ring = check("gpgsig -----BEGIN PGP SIGNATURE-----\n");
        assert!(
            ring.starts_with("unable to read armored key ring: ") && ring.ends_with("(`a.asc`)"),
            "{ring}"
        );
        let large = check(&format!("gpgsig -----BEGIN PGP SIGNATURE-----{}\n", "x".repeat(70_000)));
        assert_eq!(large, "the signature is larger than 65536 bytes");
        assert!(Signed::commit(b"tree t\ngpgsig").signature.is_empty());
        let none = TrustedKeys::default();
        let signed = Signed::commit(b"tree t\ngpgsig -----BEGIN SSH SIGNATURE-----\n\n");
        assert!(signed.check(&none, Timestamp::UNIX_EPOCH).unwrap_err().contains(".sshpub suffix"));
    }
}
