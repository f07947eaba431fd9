//! Quay. There is no proof but the secret path.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Parsed;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, tag};
use crate::receiver::json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    docker_url: Option<String>,
    updated_tags: Option<Tags>,
}

/// A list today; once it was an object with the tags as keys.
#[derive(Debug, Default)]
struct Tags(Vec<String>);

/// More tags than one push has.
const MOST: usize = 1000;

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        fn full<E: serde::de::Error>() -> E {
            E::custom(format!("more than {MOST} tags"))
        }

        impl<'de> Visitor<'de> for Either {
            type Value = Tags;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of tags, or an object with tags as keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(one) = list.next_element()? {
                    if tags.len() == MOST {
                        return Err(full());
                    }
                    tags.push(one);
                }
                Ok(Tags(tags))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some((one, IgnoredAny)) = map.next_entry()? {
                    if tags.len() == MOST {
                        return Err(full());
                    }
                    tags.push(one);
                }
                Ok(Tags(tags))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let hook: Hook = json::read(body)?;
    let repository = hook.docker_url.filter(|name| !name.is_empty());
    let event = Some("repo_push".to_owned());
    let facts = match (hook.updated_tags, &repository) {
        // Other notifications (a build, a scan) name no tags.
        (None, None) => return Ok(Facts::of(FactKind::Other).into()),
        (tags, _) => tags
            .unwrap_or_default()
            .0
            .into_iter()
            .map(|name| Change {
                kind: FactKind::Push,
                repository: repository.clone(),
                tag: tag(Some(name)),
                ..Change::default()
            })
            .collect::<Vec<_>>(),
    };
    let facts = if facts.is_empty() { Facts::no_images(repository) } else { Facts::images(facts) };
    Ok(Parsed { facts, event, id: None, request: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_may_be_a_list_or_an_object() {
        for tags in [r#"["1","2"]"#, r#"{"1":"abc","2":"def"}"#] {
            let body = format!(r#"{{"docker_url":"quay.io/a/b","updated_tags":{tags}}}"#);
            let facts = parse(body.as_bytes()).unwrap().facts;
            let found: Vec<_> =
                facts.image_changes().map(|(name, change)| (name, change.tag.as_deref())).collect();
            assert_eq!(found, [("quay.io/a/b", Some("1")), ("quay.io/a/b", Some("2"))], "{tags}");
        }
        for tags in ["7", r#""1""#, "[7]", &format!("[{}\"x\"]", "\"x\",".repeat(MOST))] {
            let body = format!(r#"{{"docker_url":"quay.io/a/b","updated_tags":{tags}}}"#);
            assert!(parse(body.as_bytes()).is_err());
        }
    }
}
