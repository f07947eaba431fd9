//! Microsoft Teams: a MessageCard for the old `*.webhook.office.com` hooks, an Adaptive Card for workflows.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Client, Notification, SendError, Target, is_error, object_name, text};

/// Facts with the summary first, the rest by name.
fn facts(notification: &Notification) -> Vec<(&str, &str)> {
    let mut facts: Vec<(&str, &str)> =
        notification.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    facts.sort_by_key(|(key, _)| (*key != "summary", *key));
    facts
}

pub(super) fn message_card(notification: &Notification) -> Value {
    let event = &notification.event;
    let name = object_name(event);
    let facts: Vec<Value> =
        facts(notification).iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": if is_error(event) { "FF0000" } else { "0076D7" },
        "summary": name,
        "sections": [{ "activityTitle": text(event), "activitySubtitle": name, "facts": facts }],
    })
}

pub(super) fn adaptive_card(notification: &Notification) -> Value {
    let event = &notification.event;
    let mut message = json!({ "type": "TextBlock", "text": text(event), "wrap": true });
    if is_error(event) {
        message["color"] = json!("attention");
    }
    let facts: Vec<Value> =
        facts(notification).iter().map(|(title, value)| json!({ "title": title, "value": value })).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": [{
                    "type": "Container",
                    "items": [
                        { "type": "TextBlock", "text": object_name(event), "size": "large", "weight": "bolder", "wrap": true },
                        message,
                        { "type": "FactSet", "facts": facts },
                    ],
                }],
            },
        }],
    })
}

/// Whether the address is one of the connectors that only take MessageCards.
fn is_legacy(address: &str) -> bool {
    url::Url::parse(address)
        .ok()
        .and_then(|url| url.host_str().map(|host| host.ends_with(".webhook.office.com")))
        .unwrap_or(false)
}

pub(super) async fn send(
    client: &Client,
    target: &Target,
    notification: &Notification,
) -> Result<(), SendError> {
    let address = target.address.expose_secret();
    let body = if is_legacy(address) { message_card(notification) } else { adaptive_card(notification) };
    client.post_json(target, address, &body, &[]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::model::Severity;

    #[test]
    fn the_host_tells_the_card() {
        assert!(is_legacy("https://contoso.webhook.office.com/webhookb2/x"));
        assert!(!is_legacy("https://prod-1.westeurope.logic.azure.com/workflows/x"));
        assert!(!is_legacy("https://webhook.office.com.evil.example/x"));
    }

    #[test]
    fn an_error_is_red_in_both_cards() {
        let notification = samples::notification(Severity::Error);
        assert_eq!(message_card(&notification)["themeColor"], "FF0000");
        let card = adaptive_card(&notification);
        let items = &card["attachments"][0]["content"]["body"][0]["items"];
        assert_eq!(items[0]["text"], "helmrelease/member1-app.gitops-project");
        assert_eq!(items[1]["color"], "attention");
        assert_eq!(items[2]["facts"][0]["title"], "revision");
    }
}
