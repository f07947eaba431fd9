//! Go strings: bytes that are usually, but not always, UTF-8.
//!
//! Short strings live inside the value; longer ones are shared and immutable, so that copying a string
//! never copies its text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

const INLINE: usize = 22;

/// A Go `string`: immutable bytes, cheap to clone, ordered bytewise as Go orders strings.
#[derive(Clone)]
pub struct Str(Repr);

#[derive(Clone)]
enum Repr {
    Inline(u8, [u8; INLINE]),
    Shared(Arc<[u8]>),
}

impl Str {
    /// The empty string.
    pub const EMPTY: Str = Str(Repr::Inline(0, [0; INLINE]));

    /// A string of these bytes.
    pub fn new(bytes: &[u8]) -> Str {
        if bytes.len() <= INLINE {
            let mut buffer = [0; INLINE];
            buffer[..bytes.len()].copy_from_slice(bytes);
            Str(Repr::Inline(bytes.len() as u8, buffer))
        } else {
            Str(Repr::Shared(bytes.into()))
        }
    }

    /// The bytes of the string.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(len, buffer) => &buffer[..*len as usize],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The first eight bytes as a number that orders as they do; what is missing counts as zero.
    #[inline]
    pub(crate) fn prefix(&self) -> u64 {
        match &self.0 {
            // What an inline string does not fill is zero.
            Repr::Inline(_, buffer) => {
                let (first, _) = buffer.split_first_chunk().expect("an inline string has room for more");
                u64::from_be_bytes(*first)
            }
            Repr::Shared(bytes) => prefix(bytes),
        }
    }

    /// The order of `cmp`, given the other's [`prefix`].
    #[inline]
    pub(crate) fn compare(&self, other: &[u8], other_prefix: u64) -> Ordering {
        self.prefix().cmp(&other_prefix).then_with(|| {
            let own = self.as_bytes();
            if own.len() <= 8 && other.len() <= 8 { own.len().cmp(&other.len()) } else { own.cmp(other) }
        })
    }

    /// The text, if the bytes are valid UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// The text, with U+FFFD where the bytes are not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }
}

/// The first eight bytes of a text as a number that orders as they do.
#[inline]
pub(crate) fn prefix(bytes: &[u8]) -> u64 {
    if let Some((first, _)) = bytes.split_first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(first)
}

impl Default for Str {
    fn default() -> Self {
        Str::EMPTY
    }
}

impl Deref for Str {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::borrow::Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Str {
        Str::new(text.as_bytes())
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Str {
        Str::new(bytes)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Str {
        Str::new(text.as_bytes())
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Str {
        Str::new(&bytes)
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Str {
        Str::new(text.as_bytes())
    }
}

impl From<Arc<[u8]>> for Str {
    fn from(bytes: Arc<[u8]>) -> Str {
        if bytes.len() <= INLINE { Str::new(&bytes) } else { Str(Repr::Shared(bytes)) }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Str) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline(a, own), Repr::Inline(b, others)) => a == b && own == others,
            (Repr::Shared(own), Repr::Shared(others)) => own == others,
            // One that would fit is always inline.
            _ => false,
        }
    }
}

impl Eq for Str {}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Str) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Str) -> Ordering {
        self.compare(other.as_bytes(), other.prefix())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_ordered_bytewise_whatever_their_length() {
        let texts: Vec<Vec<u8>> = [
            &b""[..],
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a\0b",
            b"ab",
            b"abcdefg",
            b"abcdefg\0",
            b"abcdefgh",
            b"abcdefgh\0",
            b"abcdefghi",
            b"abcdefghijklmnopqrstuv",
            b"abcdefghijklmnopqrstuvw",
            b"abcdefghijklmnopqrstuvw\0",
            b"abd",
            b"\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ]
        .iter()
        .map(|text| text.to_vec())
        .collect();
        for a in &texts {
            for b in &texts {
                assert_eq!(Str::new(a).cmp(&Str::new(b)), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(Str::new(a) == Str::new(b), a == b);
            }
        }
    }
}
