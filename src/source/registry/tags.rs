//! The list of tags, page by page, until it ends or a limit says that it does not.
//!
//! Orders nothing and excludes nothing but what is no tag.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use http::header::LINK;
use http::{HeaderMap, Method, StatusCode};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::Url;

use super::error::RegistryErrorKind as Kind;
use super::limits;
use super::session::{Session, body, failure, same_origin, without_secrets};
use crate::model::is_tag;
use crate::source::git::shown;

/// All tags of the session's image, in no order.
pub(super) async fn list(session: &mut Session<'_>) -> Result<Vec<String>, Kind> {
    let path = format!("v2/{}/tags/list", session.request.image.repository());
    let mut url = session.at(&path)?;
    url.set_query(Some(&format!("n={}", limits::PAGE)));
    let mut visited = HashSet::new();
    let mut tags = HashSet::new();
    let (mut bytes, mut idle) = (0, 0);
    loop {
        if !visited.insert(url.as_str().to_owned()) {
            return Err(Kind::Pagination("a page leads back to one that was read already".to_owned()));
        }
        if visited.len() > limits::PAGES {
            return Err(Kind::TooLarge {
                what: "the number of pages".to_owned(),
                limit: limits::PAGES as u64,
            });
        }
        let response = session.ask(Method::GET, url.clone(), "application/json").await?;
        if response.status() != StatusCode::OK {
            return Err(failure(response).await);
        }
        let next = next_page(response.headers(), &url)?;
        let page = body(response, "a page of tags", limits::PAGE_BYTES).await?;
        bytes += page.len();
        if bytes > limits::LIST_BYTES {
            return Err(Kind::TooLarge {
                what: "the list of tags".to_owned(),
                limit: limits::LIST_BYTES as u64,
            });
        }
        let before = tags.len();
        add_page(&page, &mut tags)?;
        let Some(next) = next else { return Ok(tags.into_iter().collect()) };
        idle = if tags.len() == before { idle + 1 } else { 0 };
        if idle > limits::IDLE_PAGES {
            return Err(Kind::Pagination("page after page brings nothing new".to_owned()));
        }
        url = next;
    }
}

/// Where the next page is: `Link: </v2/app/tags/list?n=1000&last=x>; rel="next"`.
fn next_page(headers: &HeaderMap, from: &Url) -> Result<Option<Url>, Kind> {
    for value in headers.get_all(LINK) {
        let text =
            value.to_str().map_err(|_| Kind::Pagination("the link to the next page is no text".into()))?;
        for link in links(text)? {
            let (target, parameters) = link;
            if !is_next(parameters) {
                continue;
            }
            let next = from
                .join(target)
                .map_err(|_| Kind::Pagination(format!("`{}` is no address", shown(target, 100))))?;
            // Credentials go along, so the list ends where it began.
            if !same_origin(&next, from) {
                let place = without_secrets(&next);
                return Err(Kind::Pagination(format!(
                    "the next page is said to be at `{place}`, another place"
                )));
            }
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// The targets of a `Link` header and what is said of each.
fn links(text: &str) -> Result<Vec<(&str, &str)>, Kind> {
    let malformed = || Kind::Pagination(format!("`{}` is no link", shown(text, 100)));
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(found);
        }
        let (target, behind) =
            rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or_else(malformed)?;
        // The next target begins at the next `<`; a comma in a quoted parameter ends nothing.
        let end = behind.find('<').unwrap_or(behind.len());
        found.push((target, &behind[..end]));
        rest = &behind[end..];
    }
}

/// A link that says nothing about itself is the next page, too: that is what old registries send.
fn is_next(parameters: &str) -> bool {
    let rel = parameters
        .split(';')
        .filter_map(|part| part.trim().trim_end_matches(',').split_once('='))
        .find_map(|(key, value)| {
            key.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"').to_owned())
        });
    rel.is_none_or(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")))
}

/// Reads `{"name": …, "tags": […]}` into the set, stopping at the limit.
fn add_page(json: &[u8], tags: &mut HashSet<String>) -> Result<(), Kind> {
    let mut is_full = false;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = Page { tags, is_full: &mut is_full }.deserialize(&mut deserializer);
    match read.and_then(|()| deserializer.end()) {
        _ if is_full => {
            Err(Kind::TooLarge { what: "the number of tags".to_owned(), limit: limits::TAGS as u64 })
        }
        Ok(()) => Ok(()),
        Err(error) => {
            Err(Kind::Protocol(format!("no list of tags (line {}, column {})", error.line(), error.column())))
        }
    }
}

struct Page<'t> {
    tags: &'t mut HashSet<String>,
    is_full: &'t mut bool,
}

impl<'de> DeserializeSeed<'de> for Page<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of tags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "tags" {
                map.next_value_seed(List { tags: self.tags, is_full: self.is_full })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct List<'t> {
    tags: &'t mut HashSet<String>,
    is_full: &'t mut bool,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags or null")
    }

    /// `null`: a repository whose last tag was removed.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(tag) = list.next_element::<Cow<'de, str>>()? {
            if !is_tag(&tag) {
                continue;
            }
            self.tags.insert(tag.into_owned());
            if self.tags.len() > limits::TAGS {
                *self.is_full = true;
                return Err(A::Error::custom("too many tags"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: &str) -> Result<Vec<String>, Kind> {
        let mut tags = HashSet::new();
        add_page(json.as_bytes(), &mut tags)?;
        let mut tags: Vec<String> = tags.into_iter().collect();
        tags.sort();
        Ok(tags)
    }

    #[test]
    fn h87_what_is_no_tag_is_left_out_of_the_list() {
        let long = "a".repeat(129);
        let json = serde_json::json!({
            "name": "app",
            "manifest": {"sha256:x": {"tag": ["deep"]}},
            "tags": ["1.0.0", "1.0.0\nevil", long, "01.2.3", "v1", "1.2.3+b", "1.2.3_b", "\u{661}.0.0", ""],
        });
        assert_eq!(page(&json.to_string()).unwrap(), ["01.2.3", "1.0.0", "1.2.3_b", "v1"]);
    }

    #[test]
    fn empty_lists_are_lists_and_anything_else_is_none() {
        assert!(page(r#"{"name": "app", "tags": null}"#).unwrap().is_empty());
        assert!(page(r#"{"name": "app", "tags": []}"#).unwrap().is_empty());
        assert!(page("{}").unwrap().is_empty());
        for wrong in ["", "[]", "<html>", r#"{"tags": "1.0"}"#, r#"{"tags": [1]}"#, r#"{"tags": []} x"#] {
            assert!(matches!(page(wrong), Err(Kind::Protocol(_))), "{wrong}");
        }
    }

    #[test]
    fn h86_the_next_page_is_found_and_stays_at_its_registry() {
        let from = Url::parse("https://r.example.com/v2/app/tags/list?n=1000").unwrap();
        let next = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, text.parse().unwrap());
            next_page(&headers, &from).map(|url| url.map(|url| url.to_string()))
        };
        for (link, expected) in [
            (
                r#"</v2/app/tags/list?last=b&n=2>; rel="next""#,
                Some("https://r.example.com/v2/app/tags/list?last=b&n=2"),
            ),
            ("<?last=b>", Some("https://r.example.com/v2/app/tags/list?last=b")),
            (r#"<https://r.example.com:443/x>; rel=next"#, Some("https://r.example.com/x")),
            (r#"</a>; rel="prev", </b>; title="x, y"; rel="next""#, Some("https://r.example.com/b")),
            (r#"</a>; rel="prev""#, None),
            ("", None),
        ] {
            assert_eq!(next(link).unwrap().as_deref(), expected, "{link}");
        }
        for hostile in [
            "<https://evil.org/v2/app/tags/list>; rel=next",
            "<http://r.example.com/v2/app/tags/list>; rel=next",
            "<//evil.org/x>",
            "<https://r.example.com:8443/x>",
            "/v2/app/tags/list",
            "<unfinished",
            "<file:///etc/passwd>",
        ] {
            assert!(matches!(next(hostile), Err(Kind::Pagination(_))), "{hostile}");
        }
    }
}
