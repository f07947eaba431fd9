//! Which path belongs to which Receiver, and why a Receiver has none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flux_api::{FluxObject, Receiver};
use sha2::{Digest, Sha256};

use super::identity::Identity;
use super::keys::Source;
use super::proof::Slot;
use super::provider::Provider;
use crate::model::{Kind, ObjectKey};
use crate::objects::{Objects, Secret};

/// The path Flux serves a Receiver at: `/hook/` and the SHA-256 of token, name and namespace, without separators, so
/// that hooks registered for Flux go on working.
pub fn hook_path(token: &[u8], name: &str, namespace: &str) -> String {
    let digest = Sha256::new().chain_update(token).chain_update(name).chain_update(namespace).finalize();
    format!("{}{}", flux_api::WEBHOOK_PATH, hex::encode(digest))
}

/// Why a Receiver cannot be served. The texts are for its Ready condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The Secret or its key is missing, or cannot be read.
    #[error("unable to read token from secret `{secret}`: {reason}\nhint: the secret needs a key `token`")]
    NoToken {
        /// `namespace/name`.
        secret: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A token of no bytes: the path would be known to everybody, and every signature could be made by anybody.
    #[error(
        "the key `{key}` of secret `{secret}` is empty\nhint: put a random token there, for example `openssl rand -hex 32`"
    )]
    EmptyToken {
        /// `namespace/name`.
        secret: String,
        /// `token` or a neighbour.
        key: &'static str,
    },
    /// Token, name and namespace run together to the same text as those of another Receiver.
    #[error(
        "the webhook path is the same as that of {}\nhint: give one of them another token",
        names(others)
    )]
    SamePath {
        /// The others.
        others: Vec<ObjectKey>,
    },
    /// A key that a `gcr` Receiver cannot do without: a token of any account, for any service, would do.
    #[error(
        "invalid secret data: required field '{key}' for GCR receiver\nhint: put it into secret `{secret}`; {what}"
    )]
    NoIdentity {
        /// `namespace/name`.
        secret: String,
        /// The key.
        key: &'static str,
        /// Where its value is found.
        what: &'static str,
    },
}

fn names(others: &[ObjectKey]) -> String {
    others.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl NotReady {
    /// Flux's reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            NotReady::NoToken { .. } | NotReady::EmptyToken { .. } => "TokenNotFound",
            NotReady::SamePath { .. } | NotReady::NoIdentity { .. } => "ValidationFailed",
        }
    }
}

/// A Receiver as far as requests need it.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) key: ObjectKey,
    pub(super) object: Arc<FluxObject>,
    pub(super) provider: Provider,
    /// Whose identity token proves a delivery, where token and signature do not.
    pub(super) identity: Option<Identity>,
    secret: Arc<Secret>,
    slots: Vec<Slot>,
}

impl Served {
    pub(super) fn receiver(&self) -> &Receiver {
        self.object.get::<Receiver>().expect("only Receivers are listed here")
    }

    pub(super) fn tokens(&self) -> Vec<(Slot, &[u8])> {
        self.slots.iter().filter_map(|slot| Some((*slot, self.secret.get(slot.key())?))).collect()
    }

    /// The current path first.
    fn paths(&self) -> Vec<String> {
        let Self { key, .. } = self;
        self.tokens().into_iter().map(|(_, token)| hook_path(token, &key.name, &key.namespace)).collect()
    }
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) enum Route {
    To(Arc<Served>),
    /// To more than one Receiver, hence to none.
    Ambiguous,
}

/// All paths, as of one reading of the objects.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_path: HashMap<String, Route>,
    pub(super) state: BTreeMap<ObjectKey, Result<Vec<String>, NotReady>>,
}

impl Routes {
    /// Reads all Receivers and their Secrets.
    pub(super) fn read(objects: &Objects) -> Self {
        let mut routes = Self::default();
        let mut takers: BTreeMap<String, Vec<Arc<Served>>> = BTreeMap::new();
        for object in objects.list(Kind::Receiver) {
            let key = ObjectKey::new(Kind::Receiver, object.namespace(), object.name());
            match serve(objects, &key, object) {
                Ok(served) => {
                    let served = Arc::new(served);
                    // The same token under two keys is one path.
                    for path in served.paths().into_iter().collect::<BTreeSet<_>>() {
                        takers.entry(path).or_default().push(Arc::clone(&served));
                    }
                    routes.state.insert(key, Ok(served.paths()));
                }
                Err(problem) => {
                    routes.state.insert(key, Err(problem));
                }
            }
        }
        let mut collisions: BTreeMap<ObjectKey, BTreeSet<ObjectKey>> = BTreeMap::new();
        for takers in takers.values().filter(|takers| takers.len() > 1) {
            for one in takers {
                let others =
                    takers.iter().filter(|other| other.key != one.key).map(|other| other.key.clone());
                collisions.entry(one.key.clone()).or_default().extend(others);
            }
        }
        for (path, takers) in takers {
            // A Receiver that shares one of its paths is not ready at any of them.
            let route = match takers.as_slice() {
                [one] if !collisions.contains_key(&one.key) => Route::To(Arc::clone(one)),
                _ => Route::Ambiguous,
            };
            routes.by_path.insert(path, route);
        }
        for (key, others) in collisions {
            routes.state.insert(key, Err(NotReady::SamePath { others: others.into_iter().collect() }));
        }
        routes
    }

    /// Whose keys are needed.
    pub(super) fn sources(&self) -> Vec<Source> {
        let routes = self.by_path.values();
        let served =
            routes.filter_map(|route| if let Route::To(served) = route { Some(served) } else { None });
        let mut sources: Vec<Source> =
            served.filter_map(|served| served.identity.as_ref()).flat_map(Identity::sources).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    /// Exactly the path, as Flux compares it.
    pub(super) fn find(&self, path: &str) -> Option<&Route> {
        self.by_path.get(path)
    }
}

fn serve(objects: &Objects, key: &ObjectKey, object: Arc<FluxObject>) -> Result<Served, NotReady> {
    let spec = &object.get::<Receiver>().expect("a list of Receivers holds Receivers").spec;
    let provider = Provider::of(spec.receiver_type());
    let name = spec.secret_ref.as_ref().map(|secret| secret.name.as_str()).unwrap_or_default();
    let shown = format!("{}/{name}", key.namespace);
    let no_token = |reason: String| NotReady::NoToken { secret: shown.clone(), reason };
    let secret = objects
        .secret(&key.namespace, name)
        .map_err(|error| no_token(error.to_string()))?
        .ok_or_else(|| no_token("it does not exist".to_owned()))?;
    if secret.get(Slot::Token.key()).is_none() {
        return Err(no_token("it has no key `token`".to_owned()));
    }
    let slots: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| secret.get(slot.key()).is_some()).collect();
    for slot in &slots {
        let token = secret.get(slot.key()).unwrap_or_default();
        if token.is_empty() {
            return Err(NotReady::EmptyToken { secret: shown, key: slot.key() });
        }
        if token.ends_with(b"\n") {
            tracing::warn!(
                receiver = %key,
                key = slot.key(),
                "the token of `{key}` ends with a newline, which is part of it, as in Flux: senders must use it too"
            );
        }
    }
    let identity = match provider {
        Provider::Gcr => Some(google(&secret, &shown)?),
        _ => None,
    };
    Ok(Served { key: key.clone(), object, provider, identity, secret, slots })
}

/// The two keys beside `token` in the Secret of a `gcr` Receiver.
fn google(secret: &Secret, shown: &str) -> Result<Identity, NotReady> {
    let field = |key: &'static str, what: &'static str| {
        let value = secret.get_str(key).filter(|value| !value.is_empty()).map(str::to_owned);
        value.ok_or_else(|| NotReady::NoIdentity { secret: shown.to_owned(), key, what })
    };
    Ok(Identity::Google {
        email: field("email", "it is the address of the service account that the subscription signs in as")?,
        audience: field("audience", "it is the audience given to the push subscription")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_fluxs() {
        // `printf 'tokennamenamespace' | sha256sum`
        assert_eq!(
            hook_path(b"token", "name", "namespace"),
            "/hook/033cd85fb94eef8b750b62b37d50fa65adb47b1f0ab5d6a8f9f6692e516e686a".to_owned()
        );
    }
}
