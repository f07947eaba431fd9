//! Sends one event to one chat or webhook, in exactly the form Flux sends it.
//!
//! Knows no reconciler, no Alert and no store: which event goes where is decided in `reconcile`, retries come from the
//! outbox of `queue`. One file per family of providers; the formats mirror fluxcd/notification-controller
//! `internal/notifier`.

mod client;
mod discord;
mod generic;
mod msteams;
mod slack;

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::model::{Event, Severity};

pub use client::{Client, Policy};

/// The longest message text that is sent; chats refuse or truncate anything near it.
const TEXT_LIMIT: usize = 30_000;

/// Which format to speak. Flux's `spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Slack: incoming webhook or `chat.postMessage`.
    Slack,
    /// Microsoft Teams: legacy MessageCard or Adaptive Card, told by the host.
    MsTeams,
    /// Discord, through its Slack-compatible endpoint.
    Discord,
    /// Rocket.Chat.
    Rocket,
    /// The event as JSON.
    Generic,
    /// The event as JSON, signed.
    GenericHmac,
}

impl ProviderKind {
    /// The kind of `spec.type`; `None` when this build has no sender for it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "slack" => Self::Slack,
            "msteams" => Self::MsTeams,
            "discord" => Self::Discord,
            "rocket" => Self::Rocket,
            "generic" => Self::Generic,
            "generic-hmac" => Self::GenericHmac,
            _ => return None,
        })
    }
}

/// Where and how to send; secrets already resolved.
#[derive(Clone)]
pub struct Target {
    /// The format.
    pub kind: ProviderKind,
    /// The URL; a secret, since chat webhooks carry their token in it.
    pub address: SecretString,
    /// Channel, where the chat has them.
    pub channel: String,
    /// Name to post under; empty for the controller's.
    pub username: String,
    /// Bearer token or HMAC key.
    pub token: Option<SecretString>,
    /// User name and password for basic authentication, where the provider takes it.
    pub basic: Option<(String, SecretString)>,
    /// Further headers, from the Secret's `headers`.
    pub headers: Vec<(String, SecretString)>,
    /// A proxy URL.
    pub proxy: Option<SecretString>,
    /// PEM of a CA to trust besides the system's.
    pub authority: Option<Vec<u8>>,
    /// Client certificate and key, PEM.
    pub identity: Option<(Vec<u8>, SecretString)>,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, channel, username, timeout, .. } = self;
        f.debug_struct("Target")
            .field("kind", kind)
            .field("channel", channel)
            .field("username", username)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

/// An event ready to be told: metadata combined and stripped of its prefixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// What happened.
    pub event: Event,
    /// What is shown beside the message.
    pub metadata: BTreeMap<String, String>,
}

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// What was attempted and why it failed; without the address, which may carry a token.
    pub message: String,
    /// Trying again may help.
    pub retryable: bool,
    /// How long the other end wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Sends one notification; one attempt, within the target's timeout.
pub async fn send(client: &Client, target: &Target, notification: &Notification) -> Result<(), SendError> {
    let is_chat = !matches!(target.kind, ProviderKind::Generic | ProviderKind::GenericHmac);
    if is_chat && is_commit_status_update(&notification.event) {
        return Ok(());
    }
    match target.kind {
        ProviderKind::Slack => slack::send(client, target, notification).await,
        ProviderKind::Rocket => slack::send_rocket(client, target, notification).await,
        ProviderKind::Discord => discord::send(client, target, notification).await,
        ProviderKind::MsTeams => msteams::send(client, target, notification).await,
        ProviderKind::Generic => generic::send(client, target, notification, false).await,
        ProviderKind::GenericHmac => generic::send(client, target, notification, true).await,
    }
}

/// Progress events for commit statuses are no news for a chat.
fn is_commit_status_update(event: &Event) -> bool {
    event.metadata.iter().any(|(key, value)| key.ends_with("/commit_status") && value == "update")
}

/// `kind/name.namespace`, kind in lower case: how Flux names an object in chats.
fn object_name(event: &Event) -> String {
    format!("{}/{}.{}", event.object.kind.as_str().to_lowercase(), event.object.name, event.object.namespace)
}

/// The message as far as a chat takes it; cut at a character.
fn text(event: &Event) -> String {
    if event.message.len() <= TEXT_LIMIT {
        return event.message.clone();
    }
    let mut end = TEXT_LIMIT;
    while !event.message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &event.message[..end])
}

fn is_error(event: &Event) -> bool {
    event.severity == Severity::Error
}

/// The event in Flux's wire form (`event.toolkit.fluxcd.io/v1beta1`).
pub fn wire_event(notification: &Notification) -> Value {
    let event = &notification.event;
    let mut object = json!({
        "kind": event.object.kind.as_str(),
        "namespace": event.object.namespace,
        "name": event.object.name,
    });
    for (key, value) in [
        ("uid", &event.uid),
        ("apiVersion", &event.api_version),
        ("resourceVersion", &event.resource_version),
    ] {
        if !value.is_empty() {
            object[key] = json!(value);
        }
    }
    let mut wire = json!({
        "involvedObject": object,
        "severity": event.severity.as_str(),
        "timestamp": event.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "message": event.message,
        "reason": event.reason,
        "reportingController": event.reporting_controller,
        "reportingInstance": "sluice",
    });
    if !notification.metadata.is_empty() {
        wire["metadata"] = json!(notification.metadata);
    }
    wire
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::model::{Cause, CauseKind, Kind, ObjectKey};

    pub(crate) fn notification(severity: Severity) -> Notification {
        let event = Event {
            object: ObjectKey::new(Kind::HelmRelease, "gitops-project", "member1-app"),
            api_version: "helm.toolkit.fluxcd.io/v2".into(),
            uid: "2a7c".into(),
            resource_version: "7".into(),
            severity,
            timestamp: "2026-01-02T03:04:05Z".parse().unwrap(),
            reason: "UpgradeSucceeded".into(),
            message:
                "Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0"
                    .into(),
            metadata: BTreeMap::new(),
            reporting_controller: "helm-controller".into(),
            cause: Cause::of(CauseKind::Interval),
        };
        let metadata = BTreeMap::from([("revision".to_owned(), "1.0.0+21a9daedc598.1".to_owned())]);
        Notification { event, metadata }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_fluxs() {
        let wire = wire_event(&samples::notification(Severity::Info));
        assert_eq!(
            wire,
            json!({
                "involvedObject": {
                    "kind": "HelmRelease", "namespace": "gitops-project", "name": "member1-app", "uid": "2a7c",
                    "apiVersion": "helm.toolkit.fluxcd.io/v2", "resourceVersion": "7",
                },
                "severity": "info", "timestamp": "2026-01-02T03:04:05Z",
                "message": "Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0",
                "reason": "UpgradeSucceeded", "metadata": {"revision": "1.0.0+21a9daedc598.1"},
                "reportingController": "helm-controller", "reportingInstance": "sluice",
            })
        );
    }

    #[test]
    fn a_target_shows_no_secret() {
        let target = Target {
            kind: ProviderKind::Slack,
            address: "https://hooks.slack.example/T0/B0/canary".to_owned().into(),
            channel: "ops".into(),
            username: String::new(),
            token: Some("canary".to_owned().into()),
            basic: None,
            headers: vec![("X".into(), "canary".to_owned().into())],
            proxy: None,
            authority: None,
            identity: None,
            timeout: Duration::from_secs(15),
        };
        assert!(!format!("{target:?}").contains("canary"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut event = samples::notification(Severity::Error).event;
        event.message = "ü".repeat(40_000);
        let cut = text(&event);
        assert!(cut.len() <= TEXT_LIMIT + 4 && cut.ends_with('…'));
    }
}
