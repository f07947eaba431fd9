//! Which path belongs to which Receiver, and why a Receiver has none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flux_api::{FluxObject, Receiver};
use sha2::{Digest, Sha256};

use super::filter::Filters;
use super::identity::{Identity, Issuers};
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
    #[error("unable to read token from secret `{secret}`: {reason}")]
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
    /// A CEL expression is none, or names what is not there.
    #[error("{message}")]
    Expression {
        /// Flux's words.
        message: String,
    },
    /// The issuers of identity tokens are not as they must be.
    #[error("{message}")]
    Issuers {
        /// Flux's words.
        message: String,
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
            NotReady::SamePath { .. } | NotReady::NoIdentity { .. } | NotReady::Issuers { .. } => {
                "ValidationFailed"
            }
            NotReady::Expression { .. } => flux_api::reason::INVALID_CEL_EXPRESSION,
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
    pub(super) filters: Arc<Filters>,
    /// Of `generic-oidc` there is none, and no token.
    tokens: Option<Tokens>,
}

/// The tokens of a Receiver's Secret.
#[derive(Clone, Debug)]
struct Tokens {
    secret: Arc<Secret>,
    slots: Vec<Slot>,
}

impl Tokens {
    fn all(&self) -> impl Iterator<Item = (Slot, &[u8])> {
        self.slots.iter().filter_map(|slot| Some((*slot, self.secret.get(slot.key())?)))
    }
}

/// The current path first.
fn paths(tokens: Option<&Tokens>, key: &ObjectKey) -> Vec<String> {
    let path = |token: &[u8]| hook_path(token, &key.name, &key.namespace);
    match tokens {
        Some(tokens) => tokens.all().map(|(_, token)| path(token)).collect(),
        None => vec![path(b"")],
    }
}

impl Served {
    pub(super) fn receiver(&self) -> &Receiver {
        receiver_of(&self.object)
    }

    pub(super) fn tokens(&self) -> Vec<(Slot, &[u8])> {
        self.tokens.iter().flat_map(Tokens::all).collect()
    }

    fn paths(&self) -> Vec<String> {
        paths(self.tokens.as_ref(), &self.key)
    }

    /// Tokens that end with a newline, most likely by mistake.
    fn newlines(&self) -> impl Iterator<Item = Slot> {
        let tokens = self.tokens.iter().flat_map(Tokens::all);
        tokens.filter(|(_, token)| token.ends_with(b"\n")).map(|(slot, _)| slot)
    }
}

fn warn_of_newline(key: &ObjectKey, slot: Slot) {
    tracing::warn!(
        receiver = %key,
        key = slot.key(),
        "the token of `{key}` ends with a newline, which is part of it, as in Flux: senders must use it too"
    );
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) enum Route {
    To(Arc<Served>),
    /// To more than one Receiver, hence to none, or to one that is not ready.
    NotReady,
}

/// All paths, as of one reading of the objects.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_path: HashMap<String, Route>,
    pub(super) state: BTreeMap<ObjectKey, Result<Vec<String>, NotReady>>,
    /// For the next reading.
    compiled: HashMap<ObjectKey, Compiled>,
    /// Tokens that were warned of.
    newlines: BTreeSet<(ObjectKey, Slot)>,
}

/// What the expressions of a Receiver were compiled to. It depends on nothing but the spec.
#[derive(Clone, Debug)]
struct Compiled {
    object: Arc<FluxObject>,
    filters: Result<Arc<Filters>, NotReady>,
    /// Of a `generic-oidc` Receiver.
    issuers: Option<Result<Issuers, NotReady>>,
}

impl Compiled {
    fn new(object: &Arc<FluxObject>) -> Self {
        let receiver = receiver_of(object);
        let filters = Filters::compile(receiver).map(Arc::new);
        let is_oidc = Provider::of(receiver.spec.receiver_type()) == Provider::GenericOidc;
        Self {
            object: Arc::clone(object),
            filters: filters.map_err(|message| NotReady::Expression { message }),
            issuers: is_oidc.then(|| Issuers::compile(receiver)),
        }
    }

    fn is_of(&self, object: &FluxObject) -> bool {
        receiver_of(&self.object).spec == receiver_of(object).spec
    }
}

fn receiver_of(object: &FluxObject) -> &Receiver {
    object.get::<Receiver>().expect("only Receivers are listed here")
}

impl Routes {
    /// Reads all Receivers and their Secrets. Expressions that are the same as `before` are not compiled again.
    pub(super) fn read(objects: &Objects, before: &Self) -> Self {
        let mut routes = Self::default();
        let mut takers: BTreeMap<String, Vec<Arc<Served>>> = BTreeMap::new();
        for object in objects.list(Kind::Receiver) {
            let key = ObjectKey::new(Kind::Receiver, object.namespace(), object.name());
            let compiled = before.compiled.get(&key).filter(|compiled| compiled.is_of(&object));
            let compiled = compiled.cloned().unwrap_or_else(|| Compiled::new(&object));
            let served = serve(objects, &key, object, &compiled);
            routes.compiled.insert(key.clone(), compiled);
            match served {
                Ok(served) => {
                    for slot in served.newlines() {
                        let at = (key.clone(), slot);
                        if !before.newlines.contains(&at) {
                            warn_of_newline(&key, slot);
                        }
                        routes.newlines.insert(at);
                    }
                    let served = Arc::new(served);
                    // The same token under two keys is one path.
                    for path in served.paths().into_iter().collect::<BTreeSet<_>>() {
                        takers.entry(path).or_default().push(Arc::clone(&served));
                    }
                    routes.state.insert(key, Ok(served.paths()));
                }
                Err(Unfit { problem, paths }) => {
                    // The sender tries again, and perhaps somebody has mended it by then.
                    routes.by_path.extend(paths.into_iter().map(|path| (path, Route::NotReady)));
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
                _ => Route::NotReady,
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

/// A Receiver that cannot be served, and the paths where it would be.
struct Unfit {
    problem: NotReady,
    paths: Vec<String>,
}

impl From<NotReady> for Unfit {
    fn from(problem: NotReady) -> Self {
        Self { problem, paths: Vec::new() }
    }
}

fn serve(
    objects: &Objects,
    key: &ObjectKey,
    object: Arc<FluxObject>,
    compiled: &Compiled,
) -> Result<Served, Unfit> {
    let receiver = receiver_of(&object);
    let provider = Provider::of(receiver.spec.receiver_type());
    let tokens = match provider {
        Provider::GenericOidc => None,
        _ => Some(tokens(objects, key, receiver)?),
    };
    let unfit = |problem| Unfit { problem, paths: paths(tokens.as_ref(), key) };
    let filters = compiled.filters.clone().map_err(unfit)?;
    let issuers = compiled.issuers.clone().transpose().map_err(unfit)?;
    let identity = match (provider, &tokens, issuers) {
        (_, _, Some(issuers)) => Some(Identity::Issuers(issuers)),
        (Provider::Gcr, Some(tokens), None) => {
            let name = receiver.spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
            let shown = format!("{}/{}", key.namespace, name.unwrap_or_default());
            Some(google(&tokens.secret, &shown).map_err(unfit)?)
        }
        _ => None,
    };
    Ok(Served { key: key.clone(), object, provider, identity, filters, tokens })
}

fn tokens(objects: &Objects, key: &ObjectKey, receiver: &Receiver) -> Result<Tokens, NotReady> {
    let name = receiver.spec.secret_ref.as_ref().map(|secret| secret.name.as_str()).unwrap_or_default();
    let shown = format!("{}/{name}", key.namespace);
    let no_token = |reason: String| NotReady::NoToken { secret: shown.clone(), reason };
    let secret = objects
        .secret(&key.namespace, name)
        .map_err(|error| no_token(error.to_string()))?
        .ok_or_else(|| no_token("it does not exist".to_owned()))?;
    if secret.get(Slot::Token.key()).is_none() {
        return Err(no_token(
            "it has no key `token`\nhint: put a random token there, for example `openssl rand -hex 32`"
                .to_owned(),
        ));
    }
    let slots: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| secret.get(slot.key()).is_some()).collect();
    for slot in &slots {
        let token = secret.get(slot.key()).unwrap_or_default();
        if token.is_empty() {
            return Err(NotReady::EmptyToken { secret: shown, key: slot.key() });
        }
    }
    Ok(Tokens { secret, slots })
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
