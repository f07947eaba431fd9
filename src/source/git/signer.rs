//! Private keys that sign commits: OpenPGP and SSH, as Flux's secrets hold them.
//!
//! Verifies nothing: that is `signature.rs`. A key is opened once, so a wrong passphrase is known before anything
//! is committed.

use secrecy::SecretString;

use super::openpgp::OpenPgpKey;
use super::sshsig::SshKey;
use crate::model::Timestamp;

/// A private key to sign commits with. `Debug` shows only the kind.
#[derive(Clone, Debug)]
pub enum CommitSigner {
    /// Flux's `git.asc`.
    OpenPgp(OpenPgpKey),
    /// Flux's `identity`.
    Ssh(SshKey),
}

/// Why a key cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Not a key of this kind.
    #[error("the signing key cannot be read: {0}")]
    Unreadable(String),
    /// More than one key, so that nobody can tell which is meant.
    #[error("the signing key holds {0} keys, so which of them signs cannot be determined")]
    Several(usize),
    /// The key is locked and there is nothing to open it with.
    #[error("the signing key is protected by a passphrase, which the secret does not hold")]
    Locked,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the signing key")]
    WrongPassphrase,
    /// There is no part of the key that may sign: expired, revoked, or made for other things.
    #[error("the signing key cannot sign: {0}")]
    Unusable(String),
}

impl CommitSigner {
    /// An OpenPGP private key in armor, as `gpg --export-secret-keys --armor` writes it, with the part of it that may sign
    /// now. A passphrase takes its time on a core.
    pub fn openpgp(
        armored: &[u8],
        passphrase: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<Self, SigningKeyError> {
        OpenPgpKey::read(armored, passphrase, now).map(Self::OpenPgp)
    }

    /// An SSH private key, OpenSSH or PEM. A password takes its time on a core.
    pub fn ssh(pem: &[u8], password: Option<&SecretString>) -> Result<Self, SigningKeyError> {
        SshKey::read(pem, password).map(Self::Ssh)
    }

    /// A detached signature in armor, as it stands in a commit's `gpgsig` header.
    pub(crate) fn sign(&self, payload: &[u8], time: Timestamp) -> Result<String, SigningKeyError> {
        match self {
            Self::OpenPgp(key) => key.sign(payload, time),
            Self::Ssh(key) => key.sign(payload),
        }
    }
}
