//! CDEvents: what CI systems report in a common vocabulary. There is no proof but the secret path.

use http::HeaderMap;
use serde::Deserialize;

use super::Parsed;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, below, digest, tag};
use crate::receiver::json;

#[derive(Deserialize)]
struct CdEvent {
    context: Option<Context>,
    subject: Option<Subject>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    id: Option<String>,
    content: Option<Content>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    /// What a service was deployed from.
    #[serde(rename = "artifactId")]
    artifact: Option<String>,
}

pub(super) fn sign(id: &str) -> Vec<(&'static str, String)> {
    vec![("ce-type", "dev.cdevents.artifact.published.0.3.0".to_owned()), ("ce-id", id.to_owned())]
}

pub(super) fn parse(_headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Malformed> {
    let event: CdEvent = json::read(body)?;
    let context = event.context.ok_or_else(|| missing("context"))?;
    let filled = |field: Option<String>, name: &str| {
        field.filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
    };
    let id = filled(context.id, "context.id")?;
    filled(context.source, "context.source")?;
    let timestamp = filled(context.timestamp, "context.timestamp")?;
    timestamp
        .parse::<jiff::Timestamp>()
        .map_err(|_| Malformed::new("`context.timestamp` of the CDEvent is no time"))?;
    let kind = filled(context.r#type, "context.type")?;
    let subject = event.subject.ok_or_else(|| missing("subject"))?;
    let artifact = subject.content.and_then(|content| content.artifact);
    let subject = filled(subject.id, "subject.id")?;
    // `dev.cdevents.<subject>.<predicate>.<version>`; the version may be any, the two fields read here are in all.
    let words = kind
        .strip_prefix("dev.cdevents.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(subject, rest)| Some((subject, rest.split_once('.')?.0)))
        .or(kind.starts_with("dev.cdeventsx.").then_some(("", "")))
        .ok_or_else(|| Malformed::new("`context.type` is no type of a CDEvent"))?;
    let kind_of_change = match words {
        ("artifact", "published") => FactKind::Push,
        ("artifact", "deleted") => FactKind::Delete,
        _ => FactKind::Other,
    };
    let package =
        if kind_of_change == FactKind::Other { artifact.as_deref() } else { Some(subject.as_str()) };
    let facts = match package.and_then(Package::read) {
        Some(package) if kind_of_change != FactKind::Other && package.is_whole => {
            Facts::images(vec![package.change(kind_of_change)])
        }
        // Something about an image, but nothing of a registry, or no word where it is: everything listed is looked at,
        // as in Flux.
        Some(package) => Facts { registry: false, ..Facts::images(vec![package.change(kind_of_change)]) },
        None => Facts::of(FactKind::Other),
    };
    Ok(Parsed { facts, event: Some(kind), id: Some(id), request: None })
}

fn missing(field: &str) -> Malformed {
    Malformed::new(format!("the CDEvent has no `{field}`"))
}

/// A package URL of an image: `pkg:oci/name@sha256%3A…?repository_url=host/path&tag=1.0`, or `pkg:docker/…`.
#[derive(Debug, Default, PartialEq)]
struct Package {
    /// The repository, or only the last part of its path.
    repository: Option<String>,
    is_whole: bool,
    tag: Option<String>,
    digest: Option<String>,
}

impl Package {
    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix("pkg:")?.split_once('/')?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (path, version) =
            rest.split_once('@').map_or((rest, None), |(path, version)| (path, Some(version)));
        let plain =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().ok().map(String::from);
        let version = version.and_then(plain);
        let qualifier = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.trim_start_matches("https://").to_owned())
                .filter(|value| !value.is_empty())
        };
        let path = plain(path.trim_matches('/')).filter(|path| !path.is_empty());
        let address = qualifier("repository_url");
        let (repository, is_whole) = match (kind, address) {
            // The address says it all.
            ("oci", Some(address)) => (Some(address), true),
            ("oci", None) => (path, false),
            // The address is the registry's, the path the package's own.
            ("docker", address) => {
                let registry = address.unwrap_or_else(|| "docker.io".to_owned());
                (path.map(|path| below(Some(&registry), &path)), true)
            }
            _ => return None,
        };
        let tag_of_version = version.clone().filter(|_| kind == "docker");
        Some(Self {
            repository,
            is_whole,
            tag: tag(qualifier("tag").or(tag_of_version)),
            digest: digest(version),
        })
    }

    fn change(self, kind: FactKind) -> Change {
        let Self { repository, tag, digest, .. } = self;
        Change { kind, repository, tag, digest, ..Change::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_of_images_are_read_and_others_are_not() {
        let whole = format!("sha256:{}", "0b".repeat(32));
        let escaped = whole.replace(':', "%3A");
        let some = |repository: &str, tag: Option<&str>, digest: Option<&str>| {
            Some(Package {
                repository: Some(repository.to_owned()),
                is_whole: true,
                tag: tag.map(str::to_owned),
                digest: digest.map(str::to_owned),
            })
        };
        for (text, package) in [
            (
                format!("pkg:oci/app@{escaped}?repository_url=r.example.com/org/app&tag=1.4.0"),
                some("r.example.com/org/app", Some("1.4.0"), Some(&whole)),
            ),
            ("pkg:docker/org/app@1.4.0".to_owned(), some("docker.io/org/app", Some("1.4.0"), None)),
            (
                format!("pkg:docker/org/app@{whole}?repository_url=gcr.io"),
                some("gcr.io/org/app", None, Some(&whole)),
            ),
            (
                format!("pkg:oci/app@{escaped}"),
                Some(Package {
                    repository: Some("app".to_owned()),
                    digest: Some(whole.clone()),
                    ..Package::default()
                }),
            ),
            ("pkg:golang/mygit.com/myorg/myapp@234fd47e".to_owned(), None),
            ("pkg:oci".to_owned(), None),
            ("mySubject123".to_owned(), None),
        ] {
            assert_eq!(Package::read(&text), package, "{text}");
        }
    }

    #[test]
    fn what_is_no_cdevent_is_refused_with_the_field() {
        let event = |context: &str| {
            let body = format!(r#"{{"context":{context},"subject":{{"id":"x","content":{{}}}}}}"#);
            parse(&HeaderMap::new(), body.as_bytes()).map(|parsed| parsed.event).map_err(|error| error.0)
        };
        let whole = r#"{"id":"1","source":"/s","type":"dev.cdevents.build.started.0.1.0","timestamp":"2023-03-20T14:27:05.315384Z"}"#;
        assert_eq!(event(whole).unwrap().as_deref(), Some("dev.cdevents.build.started.0.1.0"));
        for (from, to, field) in [
            (r#""id":"1","#, "", "context.id"),
            (r#""source":"/s""#, r#""source":"""#, "context.source"),
            ("dev.cdevents.build.started", "org.example", "context.type"),
            ("2023-03-20T14", "yesterday", "context.timestamp"),
        ] {
            let error = event(&whole.replace(from, to)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
        assert!(event("null").unwrap_err().contains("`context`"));
    }
}
