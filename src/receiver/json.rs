//! Reading an authentic body: strict about what JSON is, lenient about what a forge puts in.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::facts::Malformed;

/// Deeper than this nests no forge's payload; serde_json's own limit does not hold for what it skips.
const DEPTH: usize = 128;

/// Reads the fields that `T` names. A field given twice, a wrong type, invalid UTF-8 or too deep a nesting is
/// malformed; a missing or null field, and any field `T` does not name, is fine.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    well_formed(body)?;
    serde_json::from_slice(body)
        .map_err(|error| Malformed::new(format!("the body is not as expected: {error}")))
}

/// The same where the shape is not known: whatever is no `T` is `T`'s default.
pub(super) fn try_read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Malformed> {
    well_formed(body)?;
    Ok(serde_json::from_slice(body).unwrap_or_default())
}

/// More entries than any sender puts into one list.
const MOST: usize = 10_000;

/// A list with a bound: an empty object costs three bytes in a body and a hundred times that in memory.
#[derive(Debug)]
pub(super) struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> std::ops::Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Counting<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(one) = list.next_element()? {
                    if few.len() == MOST {
                        return Err(A::Error::custom(format!("a list has more than {MOST} entries")));
                    }
                    few.push(one);
                }
                Ok(Few(few))
            }
        }

        deserializer.deserialize_seq(Counting(PhantomData))
    }
}

/// Whether the bytes are one JSON value.
fn well_formed(body: &[u8]) -> Result<(), Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::new("the body is not UTF-8"))?;
    if depth(body) > DEPTH {
        return Err(Malformed::new(format!("the body nests deeper than {DEPTH} levels")));
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Malformed::new(format!("the body is not JSON: {error}")))
        .map(drop)
}

fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `payload` of a form body, as GitHub sends it when told to.
pub(super) fn form_payload(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    url::form_urlencoded::parse(body)
        .find(|(name, _)| name == "payload")
        .map(|(_, payload)| payload.into_owned().into_bytes())
        .ok_or_else(|| Malformed::new("the form has no field `payload`"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Push {
        #[serde(rename = "ref")]
        git_ref: Option<String>,
    }

    fn check(body: &[u8]) -> Result<Option<String>, String> {
        read::<Push>(body).map(|push| push.git_ref).map_err(|error| error.0)
    }

    #[test]
    fn known_fields_are_strict_and_the_rest_is_skipped() {
        assert_eq!(check(br#"{"ref":"a","x":{"y":[1,null]}}"#), Ok(Some("a".into())));
        assert_eq!(check(br#"{"ref":null}"#), Ok(None));
        assert!(check(br#"{"ref":"a","ref":"b"}"#).unwrap_err().contains("duplicate field `ref`"));
        assert!(check(br#"{"ref":1}"#).is_err());
        assert!(check(br#"{"ref":"a"} x"#).is_err());
        assert!(check(b"{\"ref\":\"\xff\"}").unwrap_err().contains("UTF-8"));
        assert!(check(br#"{"ref":"\ud800"}"#).is_err());
        assert_eq!(try_read::<Push>(br#"[1]"#), Ok(Push::default()));
        assert!(try_read::<Push>(b"[1").is_err());
    }

    #[test]
    fn a_million_brackets_are_refused_before_they_are_parsed() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!("{{\"x\":{}1{}}}", open.repeat(1_000_000), close.repeat(1_000_000));
            assert!(check(body.as_bytes()).unwrap_err().contains("deeper than 128"), "{open}");
        }
        assert_eq!(check(br#"{"ref":"[[[\"[[["}"#), Ok(Some("[[[\"[[[".into())));
    }

    #[test]
    fn a_list_of_millions_is_refused_before_it_fills_memory() {
        #[derive(Debug, Deserialize)]
        struct Lists {
            x: Few<Push>,
        }
        let body = |count: usize| format!(r#"{{"x":[{}{{}}]}}"#, "{},".repeat(count - 1));
        assert_eq!(read::<Lists>(body(MOST).as_bytes()).unwrap().x.len(), MOST);
        let error = read::<Lists>(body(MOST + 1).as_bytes()).unwrap_err().0;
        assert!(error.contains("more than 10000 entries"), "{error}");
    }
}
