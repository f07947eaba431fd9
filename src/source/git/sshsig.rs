//! SSH keys as git uses them for signatures: `SSHSIG` in the namespace `git`.
//!
//! Knows nothing of commits, and trusts no key by itself: the caller says which are allowed.

use std::sync::Arc;

use russh::keys::ssh_key::{HashAlg, LineEnding, SshSig};
use russh::keys::{Algorithm, PrivateKey, PublicKey, decode_secret_key};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::shown;
use super::signer::SigningKeyError;

/// The namespace git signs in; a signature made for anything else is not one of a commit.
const NAMESPACE: &str = "git";

/// Smaller RSA keys are refused by everybody else.
const RSA_BITS: u32 = 2048;

/// An opened private key. `Debug` shows its kind and nothing of the key.
#[derive(Clone)]
pub struct SshKey(Arc<PrivateKey>);

impl std::fmt::Debug for SshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SshKey").field(&self.0.algorithm().as_str()).finish()
    }
}

impl SshKey {
    pub(crate) fn read(pem: &[u8], password: Option<&SecretString>) -> Result<Self, SigningKeyError> {
        let text = std::str::from_utf8(pem)
            .map_err(|_| SigningKeyError::Unreadable("it is no text".into()))?
            .replace("\r\n", "\n");
        let password = password.map(|password| password.expose_secret()).filter(|text| !text.is_empty());
        match decode_secret_key(&text, password) {
            Ok(key) if key.is_encrypted() => Err(SigningKeyError::Locked),
            Ok(key) => Self::checked(key),
            Err(russh::keys::Error::KeyIsEncrypted) => Err(SigningKeyError::Locked),
            // the decoder has one error for a wrong password and for bytes that make no sense after decryption
            Err(russh::keys::Error::SshKey(russh::keys::ssh_key::Error::Crypto)) if password.is_some() => {
                Err(SigningKeyError::WrongPassphrase)
            }
            Err(error) => Err(SigningKeyError::Unreadable(shown(&error.to_string(), 200))),
        }
    }

    /// As Flux: what `ssh-keygen` of today would not verify is not signed with either.
    fn checked(key: PrivateKey) -> Result<Self, SigningKeyError> {
        let weak = |why: &str| Err(SigningKeyError::Unusable(why.to_owned()));
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
            Algorithm::Rsa { .. } => {
                let bits = key.public_key().key_data().rsa().map_or(0, |key| key.key_size());
                if bits < RSA_BITS {
                    return weak("an RSA key of less than 2048 bits");
                }
            }
            other => return weak(&format!("keys of type `{}` are not supported", other.as_str())),
        }
        Ok(Self(Arc::new(key)))
    }

    pub(crate) fn sign(&self, payload: &[u8]) -> Result<String, SigningKeyError> {
        let unusable = |error: russh::keys::ssh_key::Error| SigningKeyError::Unusable(error.to_string());
        let signature = self.0.sign(NAMESPACE, HashAlg::Sha512, payload).map_err(unusable)?;
        signature.to_pem(LineEnding::LF).map_err(unusable)
    }
}

/// The keys of an `authorized_keys` file; comments and empty lines are skipped.
pub(crate) fn authorized_keys(text: &str) -> Result<Vec<PublicKey>, String> {
    let mut keys = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let entry: russh::keys::ssh_key::authorized_keys::Entry =
            line.parse().map_err(|error: russh::keys::ssh_key::Error| shown(&error.to_string(), 100))?;
        keys.push(entry.public_key().clone());
    }
    Ok(keys)
}

/// Reads the armor.
pub(crate) fn parse(armored: &str) -> Result<SshSig, String> {
    SshSig::from_pem(armored.replace("\r\n", "\n")).map_err(|error| shown(&error.to_string(), 100))
}

/// The key's fingerprint if the signature is its own and holds; `None` if it is another key's.
pub(crate) fn verify(signature: &SshSig, key: &PublicKey, payload: &[u8]) -> Option<Result<String, String>> {
    if signature.public_key() != key.key_data() {
        return None;
    }
    let print = key.fingerprint(HashAlg::Sha256).to_string();
    Some(match key.verify(NAMESPACE, payload, signature) {
        Ok(()) => Ok(print),
        Err(_) if signature.namespace() != NAMESPACE => {
            Err(format!("key `{print}`: a signature for `{}`, not for git", shown(signature.namespace(), 60)))
        }
        Err(_) => Err(format!("key `{print}`: the signature does not match")),
    })
}
