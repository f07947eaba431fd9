//! Which characters may stand in names.

use regex::Regex;
use std::sync::OnceLock;

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// An underscore, or what Go's `unicode.IsLetter` or `unicode.IsDigit` accepts.
pub(super) fn is_alphanumeric(c: char) -> bool {
    if c.is_ascii() {
        return c == '_' || c.is_ascii_alphanumeric();
    }
    static NAME: OnceLock<Option<Regex>> = OnceLock::new();
    let name = NAME.get_or_init(|| Regex::new(r"^[\p{L}\p{Nd}]$").ok());
    let mut buffer = [0; 4];
    name.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut buffer)))
}
