//! Which Alerts an event goes to, and with which metadata. Mirrors fluxcd/notification-controller
//! `internal/server/event_handlers.go`.

use std::collections::BTreeMap;

use flux_api::{Alert, EventSeverity, FluxObject, Provider};
use regex::Regex;
use sha2::{Digest as _, Sha256};

use super::context::Inner;
use crate::model::{Event, Kind, ObjectKey, Severity, Timestamp};
use crate::queue::NewMessage;

/// How many distinct events the rate limit remembers.
const REMEMBERED: usize = 10_000;

impl Inner {
    /// The messages an event gives rise to: one for each Alert that matches, unless it was told a short while ago.
    pub(super) fn messages_of(&self, event: &Event) -> Vec<NewMessage> {
        if event.severity == Severity::Trace {
            return Vec::new();
        }
        let object = self.objects.get(&event.object);
        let mut messages = Vec::new();
        for alert in self.objects.list(Kind::Alert) {
            let FluxObject::Alert(alert) = &*alert else { continue };
            if !matches(alert, event, object.as_deref()) {
                continue;
            }
            let namespace = &alert.metadata.namespace;
            let provider = &alert.spec.provider_ref.name;
            let suspended = self
                .objects
                .get_as::<Provider>(namespace, provider)
                .is_some_and(|provider| provider.spec.suspend);
            if suspended {
                continue;
            }
            messages.push(NewMessage {
                alert: ObjectKey::new(Kind::Alert, namespace, &alert.metadata.name),
                provider: ObjectKey::new(Kind::Provider, namespace, provider),
                event: event.clone(),
                cause: event.cause.clone(),
            });
        }
        if messages.is_empty() || self.told_recently(event) {
            return Vec::new();
        }
        messages
    }

    /// Flux's rate limit: the same event of the same object and revision once in five minutes.
    fn told_recently(&self, event: &Event) -> bool {
        let mut text = format!(
            "event/name={}/namespace={}/kind={}/message={}",
            event.object.name, event.object.namespace, event.object.kind, event.message
        );
        for key in ["originRevision", "revision", "token"] {
            if let Some((_, value)) =
                event.metadata.iter().find(|(name, _)| name.ends_with(&format!("/{key}")))
            {
                text.push_str(&format!("/{key}={value}"));
            }
        }
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let now = self.now();
        let horizon = now.saturating_sub(self.settings.event_rate_limit).unwrap_or(Timestamp::MIN);
        let mut told = self.told.lock().expect("held for one look-up");
        if told.len() > REMEMBERED {
            told.retain(|_, at| *at > horizon);
        }
        match told.insert(digest, now) {
            Some(before) if before > horizon => {
                told.insert(digest, before);
                true
            }
            _ => false,
        }
    }
}

fn matches(alert: &Alert, event: &Event, object: Option<&FluxObject>) -> bool {
    let spec = &alert.spec;
    if spec.suspend {
        return false;
    }
    if spec.event_severity() == EventSeverity::Error && event.severity != Severity::Error {
        return false;
    }
    let source = spec.event_sources.iter().any(|source| {
        let namespace = source.namespace.as_deref().unwrap_or(&alert.metadata.namespace);
        let labels = source.match_labels.iter().all(|(key, value)| {
            object.is_some_and(|object| object.metadata().labels.get(key) == Some(value))
        });
        source.kind == event.object.kind.as_str()
            && namespace == event.object.namespace
            && (source.name == "*" || source.name == event.object.name)
            && labels
    });
    if !source {
        return false;
    }
    let any = |patterns: &[String]| {
        patterns.iter().any(|pattern| Regex::new(pattern).is_ok_and(|regex| regex.is_match(&event.message)))
    };
    (spec.inclusion_list.is_empty() || any(&spec.inclusion_list)) && !any(&spec.exclusion_list)
}

/// The metadata shown with an event: the object's annotations, then the Alert's, then the controller's, prefixes
/// stripped, digests and tokens left out.
pub(super) fn metadata(alert: &Alert, event: &Event) -> BTreeMap<String, String> {
    const ANNOTATION: &str = "event.toolkit.fluxcd.io/";
    let group = format!("{}/", event.object.kind.group());
    let mut shown = BTreeMap::new();
    for (key, value) in &event.metadata {
        if let Some(name) = key.strip_prefix(ANNOTATION) {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    shown.extend(alert.spec.event_metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
    if let Some(summary) = alert.spec.summary.as_deref().filter(|summary| !summary.is_empty()) {
        shown.insert("summary".to_owned(), summary.to_owned());
    }
    for (key, value) in &event.metadata {
        if let Some(name) = key.strip_prefix(&group)
            && !matches!(name, "checksum" | "digest" | "token")
        {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(delivery) = &event.cause.delivery {
        shown.insert("delivery".to_owned(), delivery.as_str().to_owned());
    }
    shown
}

#[cfg(test)]
mod tests {
    use flux_api::{AlertSpec, LocalRef, ObjectMeta, ObjectSelector};

    use super::*;
    use crate::model::{Cause, CauseKind};

    fn event(severity: Severity, message: &str) -> Event {
        Event {
            object: ObjectKey::new(Kind::HelmRelease, "apps", "web"),
            api_version: "helm.toolkit.fluxcd.io/v2".into(),
            uid: String::new(),
            resource_version: String::new(),
            severity,
            timestamp: "2026-01-02T03:04:05Z".parse().unwrap(),
            reason: "UpgradeSucceeded".into(),
            message: message.into(),
            metadata: BTreeMap::from([
                ("helm.toolkit.fluxcd.io/revision".to_owned(), "1.0.0".to_owned()),
                ("helm.toolkit.fluxcd.io/token".to_owned(), "sha256:x".to_owned()),
                ("event.toolkit.fluxcd.io/team".to_owned(), "blue".to_owned()),
            ]),
            reporting_controller: "helm-controller".into(),
            cause: Cause::of(CauseKind::Interval),
        }
    }

    fn alert(edit: impl FnOnce(&mut AlertSpec)) -> Alert {
        let mut spec = AlertSpec {
            provider_ref: LocalRef { name: "chat".into() },
            event_sources: vec![ObjectSelector {
                kind: Kind::HelmRelease.as_str().to_owned(),
                name: "*".into(),
                ..ObjectSelector::default()
            }],
            ..AlertSpec::default()
        };
        edit(&mut spec);
        Alert {
            metadata: ObjectMeta { name: "a".into(), namespace: "apps".into(), ..ObjectMeta::default() },
            spec,
            ..Alert::default()
        }
    }

    #[test]
    fn alerts_match_by_source_severity_and_text() {
        let info = event(Severity::Info, "Helm upgrade succeeded");
        let error = event(Severity::Error, "Helm upgrade failed");
        assert!(matches(&alert(|_| {}), &info, None));
        let only_errors = alert(|spec| spec.event_severity = Some(EventSeverity::Error));
        assert!(!matches(&only_errors, &info, None));
        assert!(matches(&only_errors, &error, None));
        assert!(!matches(&alert(|spec| spec.suspend = true), &error, None));
        assert!(!matches(&alert(|spec| spec.event_sources[0].name = "other".into()), &info, None));
        assert!(!matches(&alert(|spec| spec.event_sources[0].namespace = Some("other".into())), &info, None));
        assert!(!matches(
            &alert(|spec| spec.exclusion_list = vec!["^Helm upgrade succ.*".into()]),
            &info,
            None
        ));
        assert!(!matches(&alert(|spec| spec.inclusion_list = vec![".*failed.*".into()]), &info, None));
        assert!(matches(&alert(|spec| spec.inclusion_list = vec![".*failed.*".into()]), &error, None));
    }

    #[test]
    fn metadata_is_combined_and_stripped() {
        let alert = alert(|spec| {
            spec.event_metadata.insert("env".into(), "prod".into());
            spec.summary = Some("all of it".into());
        });
        let shown = metadata(&alert, &event(Severity::Info, "x"));
        let pairs: Vec<(&str, &str)> =
            shown.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [("env", "prod"), ("revision", "1.0.0"), ("summary", "all of it"), ("team", "blue")]
        );
    }
}
