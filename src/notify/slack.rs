//! Slack and Rocket.Chat: attachments with a colour, the object as author, metadata as fields.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Client, Notification, SendError, Target, is_error, object_name, text};

pub(super) fn payload(target: &Target, notification: &Notification, colors: (&str, &str)) -> Value {
    let event = &notification.event;
    let name = object_name(event);
    let shown = without_mentions(&text(event));
    let first_line = shown.lines().next().unwrap_or_default();
    let username = if target.username.is_empty() {
        event.reporting_controller.as_str()
    } else {
        target.username.as_str()
    };
    let fields: Vec<Value> = notification
        .metadata
        .iter()
        .map(|(title, value)| json!({ "title": title, "value": value, "short": false }))
        .collect();
    let mut payload = json!({
        "username": username,
        "icon_url": "",
        "icon_emoji": "",
        "attachments": [{
            "fallback": format!("{name}: {first_line}"),
            "color": if is_error(event) { colors.1 } else { colors.0 },
            "author_name": name,
            "text": shown,
            "mrkdwn_in": ["text"],
            "fields": fields,
        }],
    });
    if !target.channel.is_empty() {
        payload["channel"] = json!(target.channel);
    }
    payload
}

/// Text that came from outside must not page a whole channel: Slack reads `<!channel>` and `<!here>` as mentions.
fn without_mentions(text: &str) -> String {
    text.replace("<!", "&lt;!")
}

pub(super) async fn send(
    client: &Client,
    target: &Target,
    notification: &Notification,
) -> Result<(), SendError> {
    let body = payload(target, notification, ("good", "danger"));
    let answer = client.post_json(target, target.address.expose_secret(), &body, &[]).await?;
    // The API (unlike a webhook) answers 200 with `ok: false` when it refuses.
    if target.address.expose_secret() == "https://slack.com/api/chat.postMessage" {
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if answer["ok"] != true {
            let reason = answer["error"].as_str().unwrap_or("no reason given");
            return Err(SendError {
                message: format!("failed to send message: slack responded with error: {reason}"),
                retryable: reason == "ratelimited" || reason == "internal_error",
                retry_after: None,
            });
        }
    }
    Ok(())
}

pub(super) async fn send_rocket(
    client: &Client,
    target: &Target,
    notification: &Notification,
) -> Result<(), SendError> {
    let body = payload(target, notification, ("#0076D7", "#FF0000"));
    client.post_json(target, target.address.expose_secret(), &body, &[]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::model::Severity;

    #[test]
    fn mentions_in_a_message_stay_text() {
        assert_eq!(without_mentions("failed <!channel> & <b>"), "failed &lt;!channel> & <b>");
        let _ = samples::notification(Severity::Info);
    }
}
