//! Receivers that are proved by an identity token: who must have issued it, and what it must say.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::jwt::{Token, UNKNOWN_KEY};
use super::keys::{KeyStore, Source};
use super::proof::{Refused, single};
use super::provider::gcr;
use crate::model::Timestamp;

/// Whose tokens a Receiver takes.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Google's, for the service account of a Pub/Sub subscription.
    Google {
        /// The service account.
        email: String,
        /// The audience given to the subscription.
        audience: String,
    },
}

/// Why there is no proof.
#[derive(Debug)]
pub(super) enum Unproved {
    /// The token does not prove it.
    Refused(Refused),
    /// The issuer's keys are not to be had, so nothing can be said about the token.
    Keys(String),
}

impl From<Refused> for Unproved {
    fn from(refused: Refused) -> Self {
        Unproved::Refused(refused)
    }
}

impl Identity {
    /// Whose keys it takes.
    pub(super) fn sources(&self) -> Vec<Source> {
        match self {
            Identity::Google { .. } => vec![Source::Google],
        }
    }

    /// The claims of a token that proves the sender.
    pub(super) async fn prove(
        &self,
        headers: &HeaderMap,
        keys: &KeyStore,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Unproved> {
        const HEADER: &str = "authorization";
        let value = single(headers, HEADER)?.ok_or(Refused::Missing(HEADER))?;
        let token = Token::read(value)?;
        // What can be refused without a key is refused first: such tokens lead to no call.
        token.is_of(now)?;
        match self {
            Identity::Google { email, audience } => {
                gcr::check(&token, email, audience)?;
                signed(&token, &Source::Google, keys).await?;
            }
        }
        Ok(token.claims().clone())
    }
}

/// Whether the issuer has signed it, by the keys at hand or, if it has new ones, by those.
async fn signed(token: &Token, source: &Source, keys: &KeyStore) -> Result<(), Unproved> {
    let had = |why| Unproved::Keys(format!("the keys of {source} are not to be had: {why}"));
    let known = keys.get(source).await.map_err(had)?;
    match token.is_signed_by(&known.set, &known.algorithms) {
        Err(refused) if refused == UNKNOWN_KEY => {
            let newer = keys.newer(source).await.map_err(had)?;
            Ok(token.is_signed_by(&newer.set, &newer.algorithms)?)
        }
        otherwise => Ok(otherwise?),
    }
}
