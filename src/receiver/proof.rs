//! Proof that a delivery comes from whoever knows the Receiver's token. All comparisons take constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::model::Timestamp;

/// Which of the Secret's tokens matched: two are valid while senders move from one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// `token`.
    Token,
    /// `token.next`.
    Next,
    /// `token.previous`.
    Previous,
}

impl Slot {
    pub(super) const ALL: [Slot; 3] = [Slot::Token, Slot::Next, Slot::Previous];

    /// The key in the Secret.
    pub fn key(self) -> &'static str {
        match self {
            Slot::Token => "token",
            Slot::Next => "token.next",
            Slot::Previous => "token.previous",
        }
    }
}

/// The tokens a Receiver accepts.
pub(super) type Tokens<'a> = [(Slot, &'a [u8])];

/// Why a proof is refused. The sender learns nothing of it but the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is none.
    Missing(&'static str),
    /// It does not hold.
    Bad(&'static str),
    /// A header that proves something is there twice: which one a proxy or a library takes is anybody's guess.
    Twice(&'static str),
}

impl Refused {
    pub(super) fn reason(self) -> String {
        match self {
            Refused::Missing(what) => format!("`{what}` is missing"),
            Refused::Bad(why) => why.to_owned(),
            Refused::Twice(what) => format!("`{what}` is there twice"),
        }
    }
}

/// What is still to be shown after the headers.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nothing: the headers, or the secret path, were proof enough.
    Given(Slot),
    /// That the body fits the signature.
    Body(BodyProof),
    /// A test ping that comes unsigned: answer 200, believe nothing, do nothing.
    UnsignedPing,
}

/// A header that may stand there once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, Refused> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.as_bytes())),
        (Some(_), Some(_)) => Err(Refused::Twice(name)),
    }
}

/// A header equal to one of the tokens.
pub(super) fn shared_token(
    headers: &HeaderMap,
    name: &'static str,
    tokens: &Tokens<'_>,
) -> Result<Proof, Refused> {
    let given = single(headers, name)?.ok_or(Refused::Missing(name))?;
    // Digests, so that neither content nor length of the token shows in the time taken.
    let given = Sha256::digest(given);
    let mut matched = None;
    for (slot, token) in tokens {
        if bool::from(given.as_slice().ct_eq(Sha256::digest(token).as_slice())) && matched.is_none() {
            matched = Some(*slot);
        }
    }
    matched.map(Proof::Given).ok_or(Refused::Bad("the token is wrong"))
}

/// A running MAC over the body.
#[derive(Clone, Debug)]
enum Running {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Running {
    fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        let any = "HMAC takes keys of any length";
        match algorithm {
            Algorithm::Sha1 => Running::Sha1(Hmac::new_from_slice(key).expect(any)),
            Algorithm::Sha256 => Running::Sha256(Hmac::new_from_slice(key).expect(any)),
            Algorithm::Sha512 => Running::Sha512(Hmac::new_from_slice(key).expect(any)),
        }
    }

    fn update(&mut self, chunk: &[u8]) {
        match self {
            Running::Sha1(mac) => mac.update(chunk),
            Running::Sha256(mac) => mac.update(chunk),
            Running::Sha512(mac) => mac.update(chunk),
        }
    }

    fn fits(self, signature: &[u8]) -> bool {
        match self {
            Running::Sha1(mac) => mac.verify_slice(signature).is_ok(),
            Running::Sha256(mac) => mac.verify_slice(signature).is_ok(),
            Running::Sha512(mac) => mac.verify_slice(signature).is_ok(),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Running::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

/// A hash of a signature header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// Signatures that the body must fit: any of them, with any of the tokens.
#[derive(Debug)]
pub(super) struct BodyProof {
    algorithm: Algorithm,
    signatures: Vec<Vec<u8>>,
    running: Vec<(Slot, Running)>,
}

impl BodyProof {
    fn new(algorithm: Algorithm, signatures: Vec<Vec<u8>>, tokens: &Tokens<'_>) -> Self {
        let running = tokens.iter().map(|(slot, token)| (*slot, Running::new(algorithm, token))).collect();
        Self { algorithm, signatures, running }
    }

    /// By the hash that others than the token's holder may one day fit a body to.
    pub(super) fn is_sha1(&self) -> bool {
        self.algorithm == Algorithm::Sha1
    }

    /// Takes in the next bytes of the body as they came over the wire.
    pub(super) fn update(&mut self, chunk: &[u8]) {
        for (_, running) in &mut self.running {
            running.update(chunk);
        }
    }

    /// Whose token it was, if the body fits.
    pub(super) fn finish(self) -> Result<Slot, Refused> {
        let mut matched = None;
        for (slot, running) in self.running {
            for signature in &self.signatures {
                if running.clone().fits(signature) && matched.is_none() {
                    matched = Some(slot);
                }
            }
        }
        matched.ok_or(Refused::Bad("the signature does not fit the body"))
    }
}

/// `sha256=<hex>` and its kin, as go-github's `ValidateSignature` reads them.
pub(super) fn prefixed_hex(value: &[u8], tokens: &Tokens<'_>, accept_sha1: bool) -> Result<Proof, Refused> {
    let bad = Refused::Bad("the signature is malformed");
    let text = std::str::from_utf8(value).map_err(|_| bad)?;
    let (algorithm, hex) = text.split_once('=').ok_or(bad)?;
    let algorithm = match algorithm {
        "sha1" if accept_sha1 => Algorithm::Sha1,
        "sha1" => return Err(Refused::Bad("SHA-1 signatures are switched off")),
        "sha256" => Algorithm::Sha256,
        "sha512" => Algorithm::Sha512,
        _ => return Err(Refused::Bad("the signature's hash is not known")),
    };
    let signature = hex::decode(hex).map_err(|_| bad)?;
    if signature.is_empty() {
        // What a forge sends that has been given no secret.
        return Err(Refused::Bad("the signature is empty"));
    }
    Ok(Proof::Body(BodyProof::new(algorithm, vec![signature], tokens)))
}

/// The hexadecimal HMAC-SHA1 alone, as Nexus sends it.
pub(super) fn bare_sha1(value: &[u8], tokens: &Tokens<'_>) -> Result<Proof, Refused> {
    let signature = hex::decode(value).map_err(|_| Refused::Bad("the signature is malformed"))?;
    if signature.is_empty() {
        return Err(Refused::Bad("the signature is empty"));
    }
    Ok(Proof::Body(BodyProof::new(Algorithm::Sha1, vec![signature], tokens)))
}

/// How far the sender's clock may be off, either way.
const TOLERANCE_SECONDS: i64 = 300;

/// Standard Webhooks: `webhook-signature` over `{webhook-id}.{webhook-timestamp}.{body}`.
pub(super) fn standard_webhooks(
    headers: &HeaderMap,
    tokens: &Tokens<'_>,
    now: Timestamp,
) -> Result<Proof, Refused> {
    let text = |name: &'static str| -> Result<&str, Refused> {
        let value = single(headers, name)?.ok_or(Refused::Missing(name))?;
        std::str::from_utf8(value).map_err(|_| Refused::Bad("a webhook header is not text"))
    };
    let (id, timestamp, signature) =
        (text("webhook-id")?, text("webhook-timestamp")?, text("webhook-signature")?);
    // A dot would move the border between id, timestamp and body without changing the signed bytes.
    if id.contains('.') || id.is_empty() {
        return Err(Refused::Bad("the webhook id is malformed"));
    }
    let at: i64 = timestamp.parse().map_err(|_| Refused::Bad("the webhook timestamp is malformed"))?;
    if now.as_second().abs_diff(at) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Refused::Bad(
            "the webhook timestamp is more than 5 minutes off: a replay, or one of the two clocks is wrong",
        ));
    }
    let signatures: Vec<Vec<u8>> = signature
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .filter(|one| !one.is_empty())
        // A sender that rotates signs with two keys.
        .take(8)
        .collect();
    if signatures.is_empty() {
        return Err(Refused::Bad("there is no `v1` signature"));
    }
    let keys: Vec<(Slot, Vec<u8>)> = tokens
        .iter()
        .filter_map(|(slot, token)| {
            let token = std::str::from_utf8(token).ok()?;
            Some((*slot, STANDARD.decode(token.strip_prefix(SIGNING_PREFIX).unwrap_or(token)).ok()?))
        })
        // A key of no bytes is everybody's.
        .filter(|(_, key)| !key.is_empty())
        .collect();
    let keys: Vec<(Slot, &[u8])> = keys.iter().map(|(slot, key)| (*slot, key.as_slice())).collect();
    let mut proof = BodyProof::new(Algorithm::Sha256, signatures, &keys);
    proof.update(format!("{id}.{timestamp}.").as_bytes());
    Ok(Proof::Body(proof))
}

/// What a signing token begins with.
pub(super) const SIGNING_PREFIX: &str = "whsec_";

/// `sha256=<hex>` of a body.
pub(super) fn sign_hex(token: &[u8], body: &[u8]) -> String {
    let mut mac = Running::new(Algorithm::Sha256, token);
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finish()))
}

/// The HMAC-SHA1 of a body, bare.
pub(super) fn sign_bare_sha1(token: &[u8], body: &[u8]) -> String {
    let mut mac = Running::new(Algorithm::Sha1, token);
    mac.update(body);
    hex::encode(mac.finish())
}

/// `v1,<base64>` of a body; `None` if the token is no signing token.
pub(super) fn sign_standard(token: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = std::str::from_utf8(token).ok()?.strip_prefix(SIGNING_PREFIX)?;
    let mut mac = Running::new(Algorithm::Sha256, &STANDARD.decode(key).ok()?);
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finish())))
}
