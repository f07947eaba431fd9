//! Go's `regexp` package: RE2 syntax with its error texts, leftmost-first matching over bytes.
//!
//! Patterns are parsed here, because templates show Go's error texts and because RE2's syntax is
//! not that of the `regex` crate (ASCII Perl classes, `\Q..\E`, octal escapes, repeat limits); the
//! matching itself is done by `regex-automata`.

mod ast;
mod class;
mod error;
mod parse;
mod scan;

use std::borrow::Cow;

use regex_automata::Span;
use regex_automata::meta;
use regex_automata::util::captures::Captures;

use super::unicode::rune_indices;
pub use error::SyntaxError;

/// Bytes the compiled form of one pattern may take, as Go bounds its own.
const COMPILED_SIZE_LIMIT: usize = 64 << 20;

/// A compiled Go regular expression.
#[derive(Debug, Clone)]
pub struct GoRegex {
    matcher: meta::Regex,
    /// The name of each group; group 0 and unnamed groups have none. Names may repeat.
    names: Vec<Option<String>>,
    is_empty: bool,
}

/// A text as the matcher sees it. Go reads every invalid byte as U+FFFD, so such a text is
/// rewritten, and positions are translated back.
struct Subject<'t> {
    original: &'t [u8],
    text: Cow<'t, str>,
    /// For a rewritten text: rewritten offset of each U+FFFD that stands for one byte.
    replaced: Vec<usize>,
}

impl<'t> Subject<'t> {
    fn new(original: &'t [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(original) {
            return Self { original, text: Cow::Borrowed(text), replaced: Vec::new() };
        }
        let mut text = String::with_capacity(original.len() + 8);
        let mut replaced = Vec::new();
        for (index, rune) in rune_indices(original) {
            let is_real = original[index..].starts_with("\u{fffd}".as_bytes());
            if rune == char::REPLACEMENT_CHARACTER && !is_real {
                replaced.push(text.len());
            }
            text.push(rune);
        }
        Self { original, text: Cow::Owned(text), replaced }
    }

    /// The offset in the original text.
    fn original_offset(&self, offset: usize) -> usize {
        let before = self.replaced.partition_point(|&start| start < offset);
        // Each stand-in is two bytes longer than the byte it stands for.
        offset - 2 * before
    }

    fn original_span(&self, span: Span) -> Span {
        Span { start: self.original_offset(span.start), end: self.original_offset(span.end) }
    }
}

impl GoRegex {
    /// Compiles `pattern`, with Go's error text when it is malformed.
    pub fn new(pattern: &[u8]) -> Result<Self, SyntaxError> {
        Self::within(pattern, COMPILED_SIZE_LIMIT)
    }

    /// The same for patterns that nobody vouches for: a compiled form of more than so many bytes is too large.
    pub fn within(pattern: &[u8], bytes: usize) -> Result<Self, SyntaxError> {
        let parsed = parse::parse(pattern)?;
        // A full DFA takes longer to build than the short texts of templates take to be searched.
        let config = meta::Config::new().nfa_size_limit(Some(bytes)).utf8_empty(true).dfa(false);
        let matcher = meta::Builder::new()
            .configure(config)
            .build_from_hir(&parsed.hir)
            .map_err(|_| SyntaxError::too_large(pattern))?;
        Ok(Self { matcher, names: parsed.names, is_empty: pattern.is_empty() })
    }

    /// Bytes that the compiled form takes.
    pub fn size(&self) -> usize {
        self.matcher.memory_usage()
    }

    /// Go's `MatchString`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.matcher.is_match(&*Subject::new(text).text)
    }

    /// Go's `FindStringIndex`: the first match.
    pub fn find<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let subject = Subject::new(text);
        let found = self.matcher.find(&*subject.text)?;
        Some(&text[subject.original_span(found.span()).range()])
    }

    /// Go's `FindAllString`: at most `limit` matches, all when negative.
    pub fn find_all<'t>(&self, text: &'t [u8], limit: i64) -> Vec<&'t [u8]> {
        self.spans(&Subject::new(text), limit).into_iter().map(|span| &text[span.range()]).collect()
    }

    /// The text of the groups of the first match: group 0 is the match itself, a group that took no
    /// part is `None`.
    pub fn captures<'t>(&self, text: &'t [u8]) -> Option<Vec<Option<&'t [u8]>>> {
        let subject = Subject::new(text);
        let mut captures = self.matcher.create_captures();
        self.matcher.captures(&*subject.text, &mut captures);
        captures.is_match().then(|| {
            (0..captures.group_len())
                .map(|group| Some(&text[subject.original_span(captures.get_group(group)?).range()]))
                .collect()
        })
    }

    /// Go's `Expand`: `template` with `$1`, `${name}` replaced by the groups of the first match.
    pub fn expand(&self, template: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let subject = Subject::new(text);
        let mut captures = self.matcher.create_captures();
        self.matcher.captures(&*subject.text, &mut captures);
        captures.is_match().then(|| {
            let mut out = Vec::new();
            self.expand_into(&mut out, template, &subject, &captures);
            out
        })
    }

    /// Go's `ReplaceAllString`: `$1`, `${name}` in the replacement stand for groups.
    pub fn replace_all(&self, text: &[u8], replacement: &[u8]) -> Vec<u8> {
        if !replacement.contains(&b'$') {
            return self.replace_all_literal(text, replacement);
        }
        let subject = Subject::new(text);
        let mut out = Vec::with_capacity(text.len());
        let mut copied = 0;
        for captures in self.matcher.captures_iter(&*subject.text) {
            let Some(found) = captures.get_match() else {
                break;
            };
            let span = subject.original_span(found.span());
            out.extend_from_slice(&text[copied..span.start]);
            self.expand_into(&mut out, replacement, &subject, &captures);
            copied = span.end;
        }
        out.extend_from_slice(&text[copied..]);
        out
    }

    /// Go's `ReplaceAllLiteralString`.
    pub fn replace_all_literal(&self, text: &[u8], replacement: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut copied = 0;
        for span in self.spans(&Subject::new(text), -1) {
            out.extend_from_slice(&text[copied..span.start]);
            out.extend_from_slice(replacement);
            copied = span.end;
        }
        out.extend_from_slice(&text[copied..]);
        out
    }

    /// Go's `Split`: at most `limit` parts, all when negative, none when zero.
    pub fn split<'t>(&self, text: &'t [u8], limit: i64) -> Vec<&'t [u8]> {
        if limit == 0 {
            return Vec::new();
        }
        if text.is_empty() && !self.is_empty {
            return vec![text];
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut parts = Vec::new();
        let mut begin = 0;
        let mut end = 0;
        for span in self.spans(&Subject::new(text), -1) {
            if parts.len() + 1 >= limit {
                break;
            }
            end = span.start;
            if span.end != 0 {
                parts.push(&text[begin..end]);
            }
            begin = span.end;
        }
        if end != text.len() {
            parts.push(&text[begin..]);
        }
        parts
    }

    /// The spans of all matches in the original text. As in Go, an empty match right behind a match
    /// does not count.
    fn spans(&self, subject: &Subject<'_>, limit: i64) -> Vec<Span> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.matcher
            .find_iter(&*subject.text)
            .take(limit)
            .map(|found| subject.original_span(found.span()))
            .collect()
    }

    fn expand_into(&self, out: &mut Vec<u8>, template: &[u8], subject: &Subject<'_>, captures: &Captures) {
        let group_text = |span: Span| &subject.original[subject.original_span(span).range()];
        let mut rest = template;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            out.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if rest.first() == Some(&b'$') {
                out.push(b'$');
                rest = &rest[1..];
                continue;
            }
            match parse_reference(rest) {
                None => out.push(b'$'),
                Some((reference, after)) => {
                    let span = match reference {
                        Reference::Index(index) => captures.get_group(index),
                        Reference::Name(name) => self
                            .names
                            .iter()
                            .enumerate()
                            .filter(|(_, group)| group.as_deref() == Some(name))
                            .find_map(|(index, _)| captures.get_group(index)),
                    };
                    out.extend_from_slice(span.map_or(b"", group_text));
                    rest = after;
                }
            }
        }
        out.extend_from_slice(rest);
    }
}

enum Reference<'t> {
    Index(usize),
    Name(&'t str),
}

/// Reads what follows a `$`: the longest run of letters, digits and `_`, or such a run in braces.
fn parse_reference(text: &[u8]) -> Option<(Reference<'_>, &[u8])> {
    let (text, braced) = match text.strip_prefix(b"{") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut end = text.len();
    for (index, rune) in rune_indices(text) {
        if !(super::unicode::is_letter(rune) || super::unicode::is_digit(rune) || rune == '_') {
            end = index;
            break;
        }
    }
    let name = std::str::from_utf8(&text[..end]).ok().filter(|name| !name.is_empty())?;
    let mut rest = &text[end..];
    if braced {
        rest = rest.strip_prefix(b"}")?;
    }
    // Leading zeros, and numbers beyond any group, make it a name.
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit())
        && (name == "0" || !name.starts_with('0'))
        && name.len() <= 9;
    let reference = match name.parse() {
        Ok(index) if is_number => Reference::Index(index),
        _ => Reference::Name(name),
    };
    Some((reference, rest))
}

/// Go's `regexp.QuoteMeta`.
pub fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        if br"\.+*?()|[]{}^$".contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests;
