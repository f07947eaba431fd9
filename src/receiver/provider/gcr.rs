//! Google's registries, by a Pub/Sub push subscription. The proof is the identity token that Pub/Sub adds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Parsed;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, image};
use crate::receiver::json;
use crate::receiver::jwt::Token;
use crate::receiver::proof::Refused;

/// Who Google's tokens are issued by; both are in use.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// What a token signed by Google must say, besides that it is of this time.
pub(in crate::receiver) fn check(token: &Token, email: &str, audience: &str) -> Result<(), Refused> {
    if !token.issuer().is_some_and(|issuer| ISSUERS.contains(&issuer)) {
        return Err(Refused::Bad("the token is not issued by Google"));
    }
    if !token.is_for(audience) {
        return Err(Refused::Bad("the token's audience is not the key `audience` of the Secret"));
    }
    // An empty value in the Secret never gets here, so an empty or missing claim equals nothing.
    if token.text("email") != Some(email) {
        return Err(Refused::Bad("the token's email is not the key `email` of the Secret"));
    }
    if token.claims().get("email_verified") != Some(&Value::Bool(true)) {
        return Err(Refused::Bad("the token's email is not verified"));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Push {
    message: Option<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    data: Option<String>,
    #[serde(rename = "messageId")]
    id: Option<String>,
}

/// What Flux hands to CEL in place of the envelope: these three fields, empty where the event has none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Event {
    action: Option<String>,
    digest: Option<String>,
    tag: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let push: Push = json::read(body)?;
    let message = push.message.unwrap_or_default();
    let id = message.id;
    let data = message.data.unwrap_or_default();
    // Pub/Sub sends what is not acknowledged again, for days: what cannot be read counts as "something happened".
    let event = STANDARD.decode(data.trim()).ok().and_then(|data| json::read::<Event>(&data).ok());
    let Some(event) = event else {
        return Ok(Parsed { id, ..Facts::of(FactKind::Other).into() });
    };
    let kind = match event.action.as_deref() {
        Some("INSERT") => FactKind::Push,
        Some("DELETE") => FactKind::Delete,
        _ => FactKind::Other,
    };
    let by_tag = event.tag.as_deref().map(image);
    let by_digest = event.digest.as_deref().map(image);
    let repository = [&by_tag, &by_digest]
        .into_iter()
        .find_map(|found| found.as_ref().map(|(name, ..)| name.clone()).filter(|name| !name.is_empty()));
    let facts = match repository {
        None => Facts::of(kind),
        Some(repository) => Facts::images(vec![Change {
            kind,
            repository: Some(repository),
            tag: by_tag.and_then(|(_, tag, _)| tag),
            digest: by_digest.and_then(|(.., digest)| digest),
            ..Change::default()
        }]),
    };
    let text = |field: Option<String>| field.unwrap_or_default();
    let request = serde_json::json!({
        "action": text(event.action.clone()), "digest": text(event.digest), "tag": text(event.tag),
    });
    Ok(Parsed { facts, event: event.action, id, request: Some(request) })
}
