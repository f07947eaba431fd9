//! OpenPGP: a private key that signs, and rings of public keys that vouch.
//!
//! Trusts nothing that a key says about itself before its own signature on it is checked. Looks nothing up: there is
//! no key server, no web of trust, no designated revoker.

use std::sync::Arc;

use pgp::composed::{
    ArmorOptions, Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey,
    SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::types::{
    Fingerprint, KeyDetails, KeyVersion, Password, S2kParams, SecretParams, SigningKey, StringToKey, Tag,
    Timestamp as PgpTimestamp,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::shown;
use super::signer::SigningKeyError;
use crate::model::Timestamp;

/// Clocks of people who sign run ahead of ours by this much at most; what is newer is not believed.
const SKEW: i64 = 300;

/// An opened private key. `Debug` shows its id and nothing of the key.
#[derive(Clone)]
pub struct OpenPgpKey(Arc<Secret>);

/// The part of the key that signs, without its passphrase.
enum Secret {
    Primary(SecretKey),
    Sub(SecretSubkey),
}

impl std::fmt::Debug for OpenPgpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = match self.0.as_ref() {
            Secret::Primary(key) => key.legacy_key_id(),
            Secret::Sub(key) => key.legacy_key_id(),
        };
        f.debug_tuple("OpenPgpKey").field(&id.to_string()).finish()
    }
}

impl OpenPgpKey {
    /// Opens the newest subkey that may sign, or else the primary key: as gpg chooses.
    pub(crate) fn read(
        armored: &[u8],
        passphrase: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<Self, SigningKeyError> {
        let unreadable =
            |error: pgp::errors::Error| SigningKeyError::Unreadable(shown(&error.to_string(), 200));
        let (keys, _) = SignedSecretKey::from_armor_many(armored).map_err(unreadable)?;
        let mut keys = keys.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let key = match keys.len() {
            0 => return Err(SigningKeyError::Unreadable("there is no private key in it".into())),
            1 => keys.remove(0),
            several => return Err(SigningKeyError::Several(several)),
        };
        let public = key.to_public_key();
        let mut parts = signing_parts(&public, now.as_second())
            .map_err(|unfit| SigningKeyError::Unusable(unfit.to_string()))?;
        parts.sort_by_key(|part| (part.primary, std::cmp::Reverse(part.created)));
        let mut held = false;
        for part in parts {
            let secret = match part.primary {
                true => Secret::Primary(key.primary_key.clone()),
                false => {
                    match key.secret_subkeys.iter().find(|sub| sub.key.fingerprint() == part.fingerprint) {
                        Some(sub) => Secret::Sub(sub.key.clone()),
                        None => continue,
                    }
                }
            };
            if secret.is_stub() {
                continue;
            }
            held = true;
            if part.version != KeyVersion::V4 {
                continue;
            }
            return secret.opened(passphrase).map(|secret| Self(Arc::new(secret)));
        }
        Err(SigningKeyError::Unusable(match held {
            true => "git and gpg can only read signatures of version 4 keys".into(),
            false => "the private part of the key that may sign is not in it".into(),
        }))
    }

    pub(crate) fn sign(&self, payload: &[u8], time: Timestamp) -> Result<String, SigningKeyError> {
        let unusable = |error: pgp::errors::Error| SigningKeyError::Unusable(shown(&error.to_string(), 200));
        let signature = match self.0.as_ref() {
            Secret::Primary(key) => detached(key, payload, time),
            Secret::Sub(key) => detached(key, payload, time),
        };
        let signature = DetachedSignature::new(signature.map_err(unusable)?);
        signature.to_armored_string(ArmorOptions::default()).map_err(unusable)
    }
}

impl Secret {
    fn params(&self) -> &SecretParams {
        match self {
            Secret::Primary(key) => key.secret_params(),
            Secret::Sub(key) => key.secret_params(),
        }
    }

    /// gpg leaves a stub in place of a primary key that was exported without its private part.
    fn is_stub(&self) -> bool {
        match self.params() {
            SecretParams::Plain(_) => false,
            SecretParams::Encrypted(locked) => match locked.string_to_key_params() {
                S2kParams::Cfb { s2k, .. }
                | S2kParams::MalleableCfb { s2k, .. }
                | S2kParams::Aead { s2k, .. } => {
                    matches!(s2k, StringToKey::Private { .. })
                }
                S2kParams::Unprotected | S2kParams::LegacyCfb { .. } => false,
            },
        }
    }

    fn opened(mut self, passphrase: Option<&SecretString>) -> Result<Self, SigningKeyError> {
        if !self.params().is_encrypted() {
            return Ok(self);
        }
        let passphrase = passphrase.ok_or(SigningKeyError::Locked)?;
        let password = Password::from(passphrase.expose_secret());
        let opened = match &mut self {
            Secret::Primary(key) => key.remove_password(&password),
            Secret::Sub(key) => key.remove_password(&password),
        };
        opened.map(|()| self).map_err(|_| SigningKeyError::WrongPassphrase)
    }
}

fn detached(key: &impl SigningKey, payload: &[u8], time: Timestamp) -> pgp::errors::Result<Signature> {
    let seconds = u32::try_from(time.as_second()).unwrap_or_default();
    let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), key.hash_alg());
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(PgpTimestamp::from_secs(seconds)))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    config.sign(key, &Password::empty(), payload)
}

/// Why a key, or a part of one, vouches for nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it has expired")]
    Expired,
    #[error("it is revoked")]
    Revoked,
    #[error("it does not vouch for itself")]
    Unbound,
    #[error("it is not meant for signatures")]
    NotForSigning,
}

/// A part of a certificate that may sign now.
struct Part {
    primary: bool,
    created: u32,
    fingerprint: Fingerprint,
    version: KeyVersion,
}

/// The parts of a certificate that may sign now; an error if there are none.
fn signing_parts(certificate: &SignedPublicKey, now: i64) -> Result<Vec<Part>, Unfit> {
    let part = |primary: bool, key: &dyn KeyDetails| Part {
        primary,
        created: key.created_at().as_secs(),
        fingerprint: key.fingerprint(),
        version: key.version(),
    };
    let mut parts = Vec::new();
    let mut last = match primary_may_sign(certificate, now) {
        Ok(()) => {
            parts.push(part(true, &certificate.primary_key));
            Unfit::NotForSigning
        }
        Err(Unfit::NotForSigning) => Unfit::NotForSigning,
        Err(unfit) => return Err(unfit),
    };
    for sub in &certificate.public_subkeys {
        match subkey_may_sign(certificate, sub, now) {
            Ok(()) => parts.push(part(false, &sub.key)),
            Err(Unfit::NotForSigning) => {}
            Err(unfit) => last = unfit,
        }
    }
    if parts.is_empty() { Err(last) } else { Ok(parts) }
}

/// The certificate stands: not revoked, not expired, vouched for by itself. Returns the signature that says so.
fn standing(certificate: &SignedPublicKey, now: i64) -> Result<&Signature, Unfit> {
    let primary = &certificate.primary_key;
    let details = &certificate.details;
    if details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok()) {
        return Err(Unfit::Revoked);
    }
    let mut latest: Option<&Signature> = None;
    let mut withdrawn = false;
    let newer = |signature: &Signature, than: Option<&Signature>| {
        than.is_none_or(|than| signature.created() >= than.created())
    };
    for user in &details.users {
        let own = user
            .signatures
            .iter()
            .filter(|signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
            .max_by_key(|signature| {
                (signature.created(), signature.typ() == Some(SignatureType::CertRevocation))
            });
        match own {
            Some(own) if own.typ() == Some(SignatureType::CertRevocation) => withdrawn = true,
            Some(own) if is_current(own, now) && newer(own, latest) => latest = Some(own),
            Some(_) | None => {}
        }
    }
    for own in &details.direct_signatures {
        if own.typ() == Some(SignatureType::Key)
            && own.verify_key(primary).is_ok()
            && is_current(own, now)
            && newer(own, latest)
        {
            latest = Some(own);
        }
    }
    match latest {
        Some(own) if outlived(primary.created_at(), own, now) => Err(Unfit::Expired),
        Some(own) => Ok(own),
        None if withdrawn => Err(Unfit::Revoked),
        None => Err(Unfit::Unbound),
    }
}

fn primary_may_sign(certificate: &SignedPublicKey, now: i64) -> Result<(), Unfit> {
    let own = standing(certificate, now)?;
    let flags = own.key_flags();
    // a key from before there were flags is meant for everything
    let unsaid = !own.config().is_some_and(|config| {
        config.hashed_subpackets().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
    });
    if flags.sign() || unsaid { Ok(()) } else { Err(Unfit::NotForSigning) }
}

fn subkey_may_sign(certificate: &SignedPublicKey, sub: &SignedPublicSubKey, now: i64) -> Result<(), Unfit> {
    standing(certificate, now)?;
    let primary = &certificate.primary_key;
    let bound = |signature: &&Signature| signature.verify_subkey_binding(primary, &sub.key).is_ok();
    let of = |typ: SignatureType| sub.signatures.iter().filter(move |signature| signature.typ() == Some(typ));
    if of(SignatureType::SubkeyRevocation).any(|signature| bound(&signature)) {
        return Err(Unfit::Revoked);
    }
    let binding = of(SignatureType::SubkeyBinding)
        .filter(|signature| is_current(signature, now))
        .filter(bound)
        .max_by_key(|signature| signature.created())
        .ok_or(Unfit::Unbound)?;
    if !binding.key_flags().sign() {
        return Err(Unfit::NotForSigning);
    }
    // the subkey's own word that it belongs to the primary: else a stranger could adopt somebody's subkey
    let back = binding.embedded_signature().ok_or(Unfit::Unbound)?;
    if back.verify_primary_key_binding(&sub.key, primary).is_err() || !is_current(back, now) {
        return Err(Unfit::Unbound);
    }
    if outlived(sub.key.created_at(), binding, now) { Err(Unfit::Expired) } else { Ok(()) }
}

/// Neither from the future nor past its own end.
fn is_current(signature: &Signature, now: i64) -> bool {
    let Some(created) = signature.created().map(|created| i64::from(created.as_secs())) else { return false };
    let end = signature.signature_expiration_time().map_or(0, |end| i64::from(end.as_secs()));
    created <= now + SKEW && (end == 0 || created + end > now)
}

/// Whether a key made at `created` is past the end that `own` gives it, or not made yet.
fn outlived(created: PgpTimestamp, own: &Signature, now: i64) -> bool {
    let created = i64::from(created.as_secs());
    let end = own.key_expiration_time().map_or(0, |end| i64::from(end.as_secs()));
    created > now + SKEW || (end != 0 && created + end <= now)
}

/// Public keys of one armored block.
pub(crate) struct KeyRing(Vec<SignedPublicKey>);

impl KeyRing {
    /// Reads `-----BEGIN PGP PUBLIC KEY BLOCK-----`; of a private key only the public part is kept.
    pub(crate) fn read(armored: &[u8]) -> Result<Self, String> {
        let said = |error: pgp::errors::Error| shown(&error.to_string(), 200);
        let private = armored.windows(29).any(|window| window == b"-----BEGIN PGP PRIVATE KEY BL");
        let keys = match private {
            true => {
                let (keys, _) = SignedSecretKey::from_armor_many(armored).map_err(said)?;
                keys.map(|key| key.map(|key| key.to_public_key())).collect::<Result<Vec<_>, _>>()
            }
            false => {
                let (keys, _) = SignedPublicKey::from_armor_many(armored).map_err(said)?;
                keys.collect::<Result<Vec<_>, _>>()
            }
        };
        let keys = keys.map_err(said)?;
        if keys.is_empty() { Err("there is no key in it".into()) } else { Ok(Self(keys)) }
    }

    /// The id of the primary key whose signature this is, 16 upper-case hex digits; what was found out otherwise.
    pub(crate) fn verify(
        &self,
        armored: &str,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<String, Vec<String>> {
        let now = now.as_second();
        let Ok((signatures, _)) = DetachedSignature::from_armor_many(armored.as_bytes()) else {
            return Err(vec!["the signature cannot be read".into()]);
        };
        let mut notes = Vec::new();
        for signature in signatures.map_while(Result::ok).map(|detached| detached.signature) {
            let mut known = false;
            for certificate in &self.0 {
                let id = certificate.primary_key.legacy_key_id().to_string().to_uppercase();
                match check(certificate, &signature, payload, now) {
                    None => {}
                    Some(Ok(())) => return Ok(id),
                    Some(Err(why)) => {
                        known = true;
                        notes.push(format!("key `{id}`: {why}"));
                    }
                }
            }
            // the first signature of somebody we know decides
            if known {
                break;
            }
        }
        Err(notes)
    }
}

/// `None` if the signature is of somebody else.
fn check(
    certificate: &SignedPublicKey,
    signature: &Signature,
    payload: &[u8],
    now: i64,
) -> Option<Result<(), String>> {
    let primary = &certificate.primary_key;
    let mine = issued_by(signature, primary).then(|| primary_may_sign(certificate, now));
    if let Some(fit) = mine {
        return Some(judge(fit, || signature.verify(primary, payload), signature, now));
    }
    let sub = certificate.public_subkeys.iter().find(|sub| issued_by(signature, &sub.key))?;
    let fit = subkey_may_sign(certificate, sub, now);
    Some(judge(fit, || signature.verify(&sub.key, payload), signature, now))
}

fn judge(
    fit: Result<(), Unfit>,
    verify: impl FnOnce() -> pgp::errors::Result<()>,
    signature: &Signature,
    now: i64,
) -> Result<(), String> {
    fit.map_err(|unfit| unfit.to_string())?;
    let refuse = |why: &str| Err(why.to_owned());
    let Some(config) = signature.config() else { return refuse("a signature of an unknown version") };
    if !matches!(config.typ(), SignatureType::Binary | SignatureType::Text) {
        return refuse("not a signature of a document");
    }
    if matches!(config.hash_alg, HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160) {
        return refuse("the signature rests on a broken hash");
    }
    let unknown = config.hashed_subpackets().any(|subpacket| {
        subpacket.is_critical
            && matches!(
                subpacket.data,
                SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..)
            )
    });
    if unknown {
        return refuse("the signature has a condition that is not understood");
    }
    if !is_current(signature, now) {
        return refuse("the signature has expired or is from the future");
    }
    verify().map_err(|_| "the signature does not match".to_owned())
}

fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let prints = signature.issuer_fingerprint();
    match prints.is_empty() {
        false => prints.into_iter().any(|print| *print == key.fingerprint()),
        true => signature.issuer_key_id().into_iter().any(|id| *id == key.legacy_key_id()),
    }
}
