//! The key that commits are signed with: found before anything is done, opened when there is something to sign.
//!
//! Signs nothing itself: that is the source's business.

use std::sync::Arc;

use flux_api::{ImageUpdateAutomation, SigningKeyType};
use secrecy::SecretString;

use super::super::context::Inner;
use super::plan::Problem;
use crate::objects::Secret;
use crate::source::CommitSigner;

/// A Secret that holds a key of the kind that is wanted, locked perhaps.
pub(super) struct SigningKey {
    kind: SigningKeyType,
    secret: Arc<Secret>,
}

impl SigningKey {
    /// The key an automation names, in Flux's forms of Secrets.
    pub(super) fn find(inner: &Inner, automation: &ImageUpdateAutomation) -> Result<Option<Self>, Problem> {
        let Some(key) = automation.spec.git.as_ref().and_then(|git| git.commit.signing_key.as_ref()) else {
            return Ok(None);
        };
        let name = &key.secret_ref.name;
        let secret = match inner.objects.secret(&automation.metadata.namespace, name) {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                return Err(Problem::source(format!(
                    "could not find signing key secret '{name}': secrets \"{name}\" not found"
                )));
            }
            Err(error) => return Err(Problem::source(error)),
        };
        let kind = key.key_type();
        let (entry, article) = entry(kind);
        if secret.get(entry).is_none() {
            return Err(Problem::source(format!(
                "signing key secret '{name}' does not contain {article} '{entry}' key"
            )));
        }
        Ok(Some(Self { kind, secret }))
    }

    /// Opens it. A passphrase is stretched for a tenth of a second or more, so that is done where rendering is.
    pub(super) async fn open(&self, inner: &Inner) -> Result<CommitSigner, Problem> {
        let Self { kind, secret } = self;
        let (kind, locked, now) = (*kind, Arc::clone(secret), inner.now());
        let opened = inner.pool.run(move || {
            let text = |key: &str| locked.get_str(key).map(|text| SecretString::from(text.to_owned()));
            let key = locked.get(entry(kind).0).unwrap_or_default();
            match kind {
                SigningKeyType::Gpg => CommitSigner::openpgp(key, text("passphrase").as_ref(), now),
                SigningKeyType::Ssh => CommitSigner::ssh(key, text("password").as_ref()),
            }
        });
        let unreadable = |error: &dyn std::fmt::Display| {
            Problem::source(format!("could not read signing key from secret '{}': {error}", secret.name))
        };
        opened.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))
    }
}

/// Where a key of that kind stands in its Secret, and Flux's article before it.
fn entry(kind: SigningKeyType) -> (&'static str, &'static str) {
    match kind {
        SigningKeyType::Gpg => ("git.asc", "a"),
        SigningKeyType::Ssh => ("identity", "an"),
    }
}
