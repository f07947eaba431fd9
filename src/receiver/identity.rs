//! Receivers that are proved by an identity token: who must have issued it, and what it must say.

use std::sync::Arc;

use flux_api::Receiver;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::cel::{Data, Expression};
use super::jwt::{Token, UNKNOWN_KEY};
use super::keys::{KeyStore, Source};
use super::proof::{Refused, single};
use super::provider::gcr;
use super::routes::NotReady;
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
    /// Those of the issuers that the Receiver names.
    Issuers(Issuers),
}

/// The issuers of a `generic-oidc` Receiver.
#[derive(Clone, Debug)]
pub(super) struct Issuers(Arc<[Arc<Issuer>]>);

#[derive(Debug)]
struct Issuer {
    url: String,
    audience: String,
    variables: Vec<(String, Expression)>,
    /// What must hold, and what is said when it does not.
    validations: Vec<(Expression, String)>,
}

const VARIABLES: &[&str] = &["claims", "vars"];

/// Why there is no proof.
#[derive(Debug)]
pub(super) enum Unproved {
    /// The token does not prove it.
    Refused(Refused),
    /// The token is its issuer's, but does not say what it must.
    Denied(String),
    /// The issuer's keys are not to be had, so nothing can be said about the token.
    Keys(String),
    /// The agent is about to end.
    Busy,
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
            Identity::Issuers(issuers) => {
                issuers.0.iter().map(|issuer| Source::Issuer(issuer.url.clone())).collect()
            }
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
            Identity::Issuers(issuers) => {
                // What it says of its issuer is not proved yet: it only picks among those that are configured.
                let is_its = |issuer: &&Arc<Issuer>| token.issuer() == Some(&issuer.url);
                let issuer = issuers
                    .0
                    .iter()
                    .find(is_its)
                    .ok_or(Refused::Bad("no `oidcProviders` entry is for the token's issuer"))?;
                if !token.is_for(&issuer.audience) {
                    return Err(Refused::Bad("the token's audience is not the one of `oidcProviders`").into());
                }
                signed(&token, &Source::Issuer(issuer.url.clone()), keys).await?;
                let (issuer, claims) = (Arc::clone(issuer), token.into_claims());
                // Expressions may take their time, but not that of other deliveries.
                let checked = tokio::task::spawn_blocking(move || issuer.check(&claims).map(|()| claims));
                return checked.await.map_err(|_| Unproved::Busy)?.map_err(Unproved::Denied);
            }
        }
        Ok(token.into_claims())
    }
}

impl Issuers {
    /// Compiles what is asked of tokens; the errors are Flux's.
    pub(super) fn compile(receiver: &Receiver) -> Result<Self, NotReady> {
        let wrong = |message: String| NotReady::Issuers { message };
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        for (n, one) in receiver.spec.oidc_providers.iter().enumerate() {
            let url = &one.issuer_url;
            if issuers.iter().any(|other| other.url == *url) {
                return Err(wrong(format!("oidcProviders[{n}]: duplicate issuerURL {url:?}")));
            }
            if one.validations.is_empty() {
                return Err(wrong(format!(
                    "oidcProviders[{n}] (issuerURL={url:?}): at least one validation is required; without validations any caller able to obtain a token from this issuer can trigger the Receiver"
                )));
            }
            let invalid = |what: &str, name: &str, error: String| NotReady::Expression {
                message: format!(
                    "oidcProviders[{n}] (issuerURL={url:?}): invalid expression for {what} {name:?}: {error}"
                ),
            };
            let variables = one.variables.iter().map(|variable| {
                Expression::any(&variable.expression, VARIABLES)
                    .map(|expression| (variable.name.clone(), expression))
                    .map_err(|error| invalid("variable", &variable.name, error))
            });
            let validations = one.validations.iter().map(|validation| {
                Expression::boolean(&validation.expression, VARIABLES)
                    .map(|expression| (expression, validation.message.clone()))
                    .map_err(|error| invalid("validation", &validation.message, error))
            });
            issuers.push(Arc::new(Issuer {
                url: url.clone(),
                audience: one.audience().to_owned(),
                variables: variables.collect::<Result<_, _>>()?,
                validations: validations.collect::<Result<_, _>>()?,
            }));
        }
        if issuers.is_empty() {
            return Err(wrong("generic-oidc receiver requires at least one oidcProvider".to_owned()));
        }
        Ok(Self(issuers.into()))
    }
}

impl Issuer {
    /// Whether the claims, which are its own, are what is asked for.
    fn check(&self, claims: &Map<String, Value>) -> Result<(), String> {
        let claims = Data::default().with("claims", &Value::Object(claims.clone()));
        let mut values = Vec::new();
        for (name, expression) in &self.variables {
            // A variable sees those before it.
            let data = claims.clone().with_values("vars", &values);
            let value = expression
                .evaluate(&data)
                .map_err(|error| format!("failed to evaluate variable {name:?}: {error}"))?;
            values.push((name.clone(), value));
        }
        let data = claims.with_values("vars", &values);
        let mut failures: Vec<&str> = Vec::new();
        for (expression, message) in &self.validations {
            let holds =
                expression.holds(&data).map_err(|error| format!("failed to evaluate validation: {error}"))?;
            if !holds {
                failures.push(message);
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(format!("token validation failed: {}", failures.join("; ")))
        }
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
