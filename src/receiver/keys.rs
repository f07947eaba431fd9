//! The public keys of those who issue identity tokens: fetched ahead of need, kept as long as the issuer allows.
//!
//! This is the one place of the room that calls out. A delivery waits for it only when there are no keys to be used, or
//! when its token names a key that is newer than they are; both at most once in a while, however many deliveries ask.
//! Keys that are over are renewed by [`KeyStore::keep`], not by deliveries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::header;
use serde::Deserialize;
use tokio::time::timeout;

use super::jwt::KeySet;
use crate::model::{Clock, Timestamp};

/// Whose keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// Google's, whose address is known.
    Google,
    /// An issuer's, by discovery.
    Issuer(String),
}

/// What an issuer shows.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) set: KeySet,
    /// What it signs with.
    pub(super) algorithms: Vec<String>,
}

/// Larger documents are refused.
const LARGEST: usize = 256 << 10;
/// After a failure nobody asks again for so long.
const PAUSE: Duration = Duration::from_secs(10);
/// A key that is not known leads to a look at the issuer at most so often.
const NEWER: Duration = Duration::from_secs(60);
/// How long keys are good if the issuer does not say, and the bounds of what it may say.
const GOOD: Duration = Duration::from_secs(60 * 60);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys whose issuer cannot be reached are used for so long beyond their time.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys are fetched anew so long before their time is over.
const AHEAD: Duration = Duration::from_secs(3 * 60);

/// The keys of all issuers in use. Cheap to clone.
#[derive(Clone)]
pub(super) struct KeyStore(Arc<Shared>);

struct Shared {
    google: String,
    /// For all the answers of one issuer together.
    deadline: Duration,
    clock: Clock,
    /// Made when it is first needed: few installations have a Receiver that needs one.
    client: OnceLock<Result<reqwest::Client, String>>,
    /// Bounded by the issuers that Receivers name.
    entries: Mutex<HashMap<Source, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    held: Mutex<Held>,
    /// One asks, the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    good_until: Option<Timestamp>,
    asked: Option<Timestamp>,
    /// Why the last attempt failed.
    failure: Option<String>,
}

const BRIEF: &str = "the lock is held for one look or one write, which cannot panic";

impl KeyStore {
    pub(super) fn new(google: String, deadline: Duration, clock: Clock) -> Self {
        Self(Arc::new(Shared { google, deadline, clock, client: OnceLock::new(), entries: Mutex::default() }))
    }

    /// The keys, fetched if there are none to be used.
    pub(super) async fn get(&self, source: &Source) -> Result<Arc<Keys>, String> {
        match self.usable(&self.entry(source).held()) {
            Some(keys) => Ok(keys),
            None => self.fetch(source, Duration::ZERO).await,
        }
    }

    /// The keys, fetched if those at hand are not quite new: for a token whose key is not among them.
    pub(super) async fn newer(&self, source: &Source) -> Result<Arc<Keys>, String> {
        let held = self.entry(source).held();
        match (held.keys, held.asked) {
            (Some(keys), Some(asked)) if self.since(asked) < NEWER => Ok(keys),
            _ => self.fetch(source, LONGEST).await,
        }
    }

    /// Fetches the keys of a source that will soon need it.
    pub(super) async fn keep(&self, source: &Source) {
        if let Err(why) = self.fetch(source, AHEAD).await {
            tracing::warn!("failed to fetch the keys of {source}: {why}");
        }
    }

    /// Asks the issuer, unless somebody else just did, or the keys are good for longer than `ahead`.
    async fn fetch(&self, source: &Source, ahead: Duration) -> Result<Arc<Keys>, String> {
        let entry = self.entry(source);
        let before = entry.held().asked;
        let asking = entry.asking.lock().await;
        let held = entry.held();
        let now = self.0.clock.now();
        let soon = now.saturating_add(ahead).unwrap_or(Timestamp::MAX);
        let asked_meanwhile = held.asked != before;
        let failed_just_now =
            held.failure.is_some() && held.asked.is_some_and(|asked| self.since(asked) < PAUSE);
        if held.good_until > Some(soon) || asked_meanwhile || failed_just_now {
            return self.settled(held);
        }
        let deadline = self.0.deadline;
        let answer = match timeout(deadline, self.ask(source)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {deadline:?}")),
        };
        let mut held = Held { asked: Some(now), ..held };
        match answer {
            Ok((keys, good)) => {
                held.keys = Some(Arc::new(keys));
                held.good_until = now.saturating_add(good).ok();
                held.failure = None;
            }
            Err(why) => held.failure = Some(why),
        }
        *entry.held.lock().expect(BRIEF) = held.clone();
        drop(asking);
        self.settled(held)
    }

    /// What is at hand: an issuer that is down for an hour does not make its tokens worthless.
    fn settled(&self, held: Held) -> Result<Arc<Keys>, String> {
        match self.usable(&held) {
            Some(keys) => Ok(keys),
            None => Err(held.failure.unwrap_or_else(|| "they are too old".to_owned())),
        }
    }

    /// Keys that are good, or not over for long.
    fn usable(&self, held: &Held) -> Option<Arc<Keys>> {
        let in_time = held.good_until.is_some_and(|until| self.since(until) < GRACE);
        held.keys.clone().filter(|_| in_time)
    }

    async fn ask(&self, source: &Source) -> Result<(Keys, Duration), String> {
        match source {
            Source::Google => {
                let (document, good) = self.document(&self.0.google).await?;
                Ok((Keys { set: KeySet::read(&document)?, algorithms: vec!["RS256".to_owned()] }, good))
            }
            Source::Issuer(issuer) => {
                let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let (document, _) = self.document(&address).await?;
                let found: Discovery = serde_json::from_slice(&document)
                    .map_err(|error| format!("what `{address}` answers is not as expected: {error}"))?;
                if found.issuer != *issuer {
                    return Err(format!("`{address}` speaks for another issuer"));
                }
                if !found.jwks_uri.starts_with("https://") && !issuer.starts_with("http://") {
                    return Err(format!("`{address}` names keys at an address that is not https"));
                }
                let (document, good) = self.document(&found.jwks_uri).await?;
                let algorithms = found.algorithms.unwrap_or_else(|| vec!["RS256".to_owned()]);
                Ok((Keys { set: KeySet::read(&document)?, algorithms }, good))
            }
        }
    }

    /// A small document, and how long it is good.
    async fn document(&self, address: &str) -> Result<(Vec<u8>, Duration), String> {
        let client = self.0.client.get_or_init(client).as_ref().map_err(Clone::clone)?;
        let failed = |error: reqwest::Error| format!("failed to fetch `{address}`: {}", reason(&error));
        let mut response = client.get(address).send().await.map_err(failed)?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("`{address}` answers {}", response.status()));
        }
        let good = response
            .headers()
            .get(header::CACHE_CONTROL)
            .and_then(|value| max_age(value.to_str().ok()?))
            .unwrap_or(GOOD)
            .clamp(SHORTEST, LONGEST);
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if document.len() + chunk.len() > LARGEST {
                return Err(format!("what `{address}` answers is larger than {LARGEST} bytes"));
            }
            document.extend_from_slice(&chunk);
        }
        Ok((document, good))
    }

    fn entry(&self, source: &Source) -> Arc<Entry> {
        let mut entries = self.0.entries.lock().expect(BRIEF);
        Arc::clone(entries.entry(source.clone()).or_default())
    }

    /// Forgets issuers that no Receiver names any more.
    pub(super) fn retain(&self, sources: &[Source]) {
        self.0.entries.lock().expect(BRIEF).retain(|source, _| sources.contains(source));
    }

    fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.0.clock.now().duration_since(then)).unwrap_or(Duration::ZERO)
    }
}

impl Entry {
    fn held(&self) -> Held {
        self.held.lock().expect(BRIEF).clone()
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Google => f.write_str("Google"),
            Source::Issuer(issuer) => write!(f, "`{issuer}`"),
        }
    }
}

fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        // Keys are at the address that is configured, or nowhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(rename = "id_token_signing_alg_values_supported")]
    algorithms: Option<Vec<String>>,
}

/// `max-age` of a `Cache-Control` header.
fn max_age(text: &str) -> Option<Duration> {
    let seconds = text.split(',').find_map(|word| word.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// The innermost cause, which is the one that says something.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
