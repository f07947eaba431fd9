//! What the distribution registry (`docker-registry`, GitLab's registry) reports to an endpoint: an envelope of events.
//! Azure's registry sends single events of the same form.

use serde::Deserialize;

use super::Parsed;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, below, digest, host_of, tag};
use crate::receiver::json::{self, Few};

#[derive(Deserialize)]
struct Envelope {
    events: Option<Few<Event>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    pub(super) action: Option<String>,
    target: Option<Target>,
    request: Option<Request>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    url: Option<String>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    host: Option<String>,
}

impl Event {
    /// What changed, and where. The host is the one that the pusher used.
    pub(super) fn change(self) -> Change {
        let target = self.target.unwrap_or_default();
        let kind = match self.action.as_deref() {
            Some("push" | "chart_push") if target.is_manifest() => FactKind::Push,
            Some("delete" | "chart_delete") => FactKind::Delete,
            // Pulls, mounts, and layers on the way to a manifest.
            _ => FactKind::Other,
        };
        let request = self.request.unwrap_or_default();
        let host = request.host.as_deref().or_else(|| target.url.as_deref().and_then(host_of));
        Change {
            kind,
            repository: target
                .repository
                .as_deref()
                .filter(|path| !path.is_empty())
                .map(|path| below(host, path)),
            tag: tag(target.tag),
            digest: digest(target.digest),
            ..Change::default()
        }
    }
}

impl Target {
    /// The address tells a manifest from a layer: old clients give both the same media type.
    fn is_manifest(&self) -> bool {
        match (&self.url, &self.media_type) {
            (Some(url), _) => url.contains("/manifests/"),
            (None, Some(media_type)) => {
                self.tag.is_some()
                    || media_type.contains("manifest")
                    || media_type.contains("index")
                    || media_type.contains("chart")
            }
            (None, None) => true,
        }
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let envelope: Envelope = json::read(body)?;
    let mut events = envelope.events.unwrap_or_default().into_iter().peekable();
    let event = events.peek().and_then(|event| event.action.clone());
    let (mut ids, mut changes) = (Vec::new(), Vec::new());
    for event in events {
        ids.push(event.id.clone());
        changes.push(event.change());
    }
    // An envelope has no id of its own; the event in it has, if it is alone.
    let id = if let [id] = ids.as_slice() { id.clone() } else { None };
    Ok(Parsed { facts: Facts::images(changes), event, id, request: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(event: &str) -> Change {
        let parsed = parse(format!(r#"{{"events":[{event}]}}"#).as_bytes()).unwrap();
        Change { repository: parsed.facts.repository, ..parsed.facts.change }
    }

    #[test]
    fn only_a_manifest_is_a_push() {
        let kind = |target: &str| change(&format!(r#"{{"action":"push","target":{target}}}"#)).kind;
        assert_eq!(kind(r#"{"url":"http://r/v2/a/manifests/sha256:1"}"#), FactKind::Push);
        assert_eq!(kind(r#"{"url":"http://r/v2/a/blobs/sha256:1"}"#), FactKind::Other);
        assert_eq!(kind(r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#), FactKind::Push);
        assert_eq!(kind(r#"{"mediaType":"application/octet-stream"}"#), FactKind::Other);
        for action in ["pull", "mount", "PUSH", ""] {
            let event = format!(r#"{{"action":"{action}","target":{{"url":"http://r/v2/a/manifests/1"}}}}"#);
            assert_eq!(change(&event).kind, FactKind::Other, "{action}");
        }
    }

    #[test]
    fn the_host_is_the_pushers_and_otherwise_the_addresss() {
        let name = |request: &str| {
            change(&format!(
                r#"{{"target":{{"repository":"a/b","url":"http://inner:5000/v2/a/b/manifests/1"}},"request":{request}}}"#
            ))
            .repository
        };
        assert_eq!(name(r#"{"host":"r.example.com"}"#).as_deref(), Some("r.example.com/a/b"));
        assert_eq!(name("null").as_deref(), Some("inner:5000/a/b"));
        assert_eq!(change(r#"{"target":{"repository":"a/b"}}"#).repository.as_deref(), Some("a/b"));
        assert_eq!(change(r#"{"target":{"repository":""}}"#).repository, None);
    }
}
