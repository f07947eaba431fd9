//! Discord: the Slack payload, to the webhook's Slack-compatible endpoint.

use secrecy::ExposeSecret;

use super::{Client, Notification, SendError, Target, slack};

pub(super) fn endpoint(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if address.ends_with("/slack") { address.to_owned() } else { format!("{address}/slack") }
}

pub(super) async fn send(
    client: &Client,
    target: &Target,
    notification: &Notification,
) -> Result<(), SendError> {
    let body = slack::payload(target, notification, ("good", "danger"));
    client.post_json(target, &endpoint(target.address.expose_secret()), &body, &[]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slack_endpoint_is_used_once() {
        assert_eq!(
            endpoint("https://discord.example/api/webhooks/1/x"),
            "https://discord.example/api/webhooks/1/x/slack"
        );
        assert_eq!(endpoint("https://discord.example/x/slack"), "https://discord.example/x/slack");
    }
}
