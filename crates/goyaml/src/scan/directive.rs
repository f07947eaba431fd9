//! Directives, anchors and tags.

use std::borrow::Cow;

use super::chars::{is_alpha, is_blank, is_blankz, is_break, is_breakz, width};
use super::{Mark, Scanner, Token, TokenKind};
use crate::error::Result;

/// Longest version number of a `%YAML` directive.
const MAX_NUMBER_LENGTH: usize = 2;

impl<'a> Scanner<'a> {
    pub(super) fn fetch_directive(&mut self) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_directive()?;
        self.insert_token(None, token);
        Ok(())
    }

    fn scan_directive(&mut self) -> Result<Token<'a>> {
        let start = self.mark();
        self.skip_ascii(1);
        let name = self.scan_directive_name(start)?;
        let token = match name {
            "YAML" => {
                self.skip_blanks()?;
                let major = self.scan_version_number(start)?;
                if self.peek() != b'.' {
                    return Err(self.error(start, "did not find expected digit or '.' character"));
                }
                self.skip_ascii(1);
                let minor = self.scan_version_number(start)?;
                Token::new(TokenKind::VersionDirective(major, minor), start, self.mark())
            }
            "TAG" => {
                let (handle, prefix) = self.scan_tag_directive(start)?;
                let mut token = Token::new(TokenKind::TagDirective, start, self.mark());
                token.value = Cow::Borrowed(handle);
                token.suffix = Some(prefix.into());
                token
            }
            _ => return Err(self.error(start, "found unknown directive name")),
        };
        self.skip_blanks()?;
        if self.peek() == b'#' {
            self.skip_comment()?;
        }
        if !is_breakz(self.buf, self.pos) {
            return Err(self.error(start, "did not find expected comment or line break"));
        }
        if is_break(self.buf, self.pos) {
            self.need(2)?;
            self.skip_line();
        }
        Ok(token)
    }

    fn scan_directive_name(&mut self, start: Mark) -> Result<&'a str> {
        let name = self.scan_alpha()?;
        if name.is_empty() {
            return Err(self.error(start, "could not find expected directive name"));
        }
        if !is_blankz(self.buf, self.pos) {
            return Err(self.error(start, "found unexpected non-alphabetical character"));
        }
        Ok(name)
    }

    /// Letters, digits, `_` and `-`.
    fn scan_alpha(&mut self) -> Result<&'a str> {
        let text = self.text;
        let from = self.pos;
        self.need(1)?;
        while is_alpha(self.peek()) {
            self.skip_ascii(1);
            self.need(1)?;
        }
        Ok(&text[from..self.pos])
    }

    fn scan_version_number(&mut self, start: Mark) -> Result<u8> {
        self.need(1)?;
        let mut value = 0;
        let mut length = 0;
        while self.peek().is_ascii_digit() {
            length += 1;
            if length > MAX_NUMBER_LENGTH {
                return Err(self.error(start, "found extremely long version number"));
            }
            value = value * 10 + (self.peek() - b'0');
            self.skip_ascii(1);
            self.need(1)?;
        }
        if length == 0 {
            return Err(self.error(start, "did not find expected version number"));
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Result<(&'a str, String)> {
        self.skip_blanks()?;
        let handle = self.scan_tag_handle(true, start)?;
        self.need(1)?;
        if !is_blank(self.peek()) {
            return Err(self.error(start, "did not find expected whitespace"));
        }
        self.skip_blanks()?;
        let prefix = self.scan_tag_uri("", start)?;
        self.need(1)?;
        if !is_blankz(self.buf, self.pos) {
            return Err(self.error(start, "did not find expected whitespace or line break"));
        }
        Ok((handle, prefix))
    }

    pub(super) fn scan_anchor(&mut self, kind: TokenKind) -> Result<Token<'a>> {
        let start = self.mark();
        self.skip_ascii(1);
        let name = self.scan_alpha()?;
        let end = self.mark();
        let ended = is_blankz(self.buf, self.pos)
            || matches!(self.peek(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ended {
            return Err(self.error(start, "did not find expected alphabetic or numeric character"));
        }
        let mut token = Token::new(kind, start, end);
        token.value = Cow::Borrowed(name);
        Ok(token)
    }

    pub(super) fn scan_tag(&mut self) -> Result<Token<'a>> {
        let start = self.mark();
        self.need(2)?;
        let handle: &'a str;
        let suffix: String;
        if self.peek_at(1) == b'<' {
            self.skip_ascii(2);
            handle = "";
            suffix = self.scan_tag_uri("", start)?;
            if self.peek() != b'>' {
                return Err(self.error(start, "did not find the expected '>'"));
            }
            self.skip_ascii(1);
        } else {
            let found = self.scan_tag_handle(false, start)?;
            if found.len() > 1 && found.ends_with('!') {
                handle = found;
                suffix = self.scan_tag_uri("", start)?;
            } else {
                // It was not a handle after all: the rest of the tag follows.
                let rest = self.scan_tag_uri(found, start)?;
                if rest.is_empty() {
                    handle = "";
                    suffix = "!".to_owned();
                } else {
                    handle = "!";
                    suffix = rest;
                }
            }
        }
        self.need(1)?;
        if !is_blankz(self.buf, self.pos) {
            return Err(self.error(start, "did not find expected whitespace or line break"));
        }
        let mut token = Token::new(TokenKind::Tag, start, self.mark());
        token.value = Cow::Borrowed(handle);
        token.suffix = Some(suffix.into());
        Ok(token)
    }

    fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Result<&'a str> {
        let text = self.text;
        self.need(1)?;
        if self.peek() != b'!' {
            return Err(self.error(start, "did not find expected '!'"));
        }
        let from = self.pos;
        self.skip_ascii(1);
        self.scan_alpha()?;
        if self.peek() == b'!' {
            self.skip_ascii(1);
        } else if directive && &text[from..self.pos] != "!" {
            return Err(self.error(start, "did not find expected '!'"));
        }
        Ok(&text[from..self.pos])
    }

    /// Scans a tag URI; `head` is what of it was taken for a handle, with its `!`.
    fn scan_tag_uri(&mut self, head: &str, start: Mark) -> Result<String> {
        let mut uri: Vec<u8> = head.as_bytes().get(1..).unwrap_or_default().to_vec();
        let mut has_tag = !head.is_empty();
        self.need(1)?;
        loop {
            let c = self.peek();
            if c == b'%' {
                self.scan_uri_escapes(start, &mut uri)?;
            } else if is_alpha(c) || (c != 0 && b";/?:@&=+$,.!~*'()[]".contains(&c)) {
                uri.push(c);
                self.skip_ascii(1);
            } else {
                break;
            }
            self.need(1)?;
            has_tag = true;
        }
        if !has_tag {
            return Err(self.error(start, "did not find expected tag URI"));
        }
        Ok(String::from_utf8_lossy(&uri).into_owned())
    }

    /// Decodes `%xx` escapes that make one UTF-8 character.
    fn scan_uri_escapes(&mut self, start: Mark, uri: &mut Vec<u8>) -> Result<()> {
        let mut left = 0;
        let mut first = true;
        while first || left > 0 {
            self.need(3)?;
            let digits = (char::from(self.peek_at(1)).to_digit(16), char::from(self.peek_at(2)).to_digit(16));
            let (b'%', (Some(high), Some(low))) = (self.peek(), digits) else {
                return Err(self.error(start, "did not find URI escaped octet"));
            };
            let octet = (high << 4 | low) as u8;
            if first {
                if matches!(octet, 0x80..=0xBF | 0xF8..) {
                    return Err(self.error(start, "found an incorrect leading UTF-8 octet"));
                }
                left = width(octet);
                first = false;
            } else if octet & 0xC0 != 0x80 {
                return Err(self.error(start, "found an incorrect trailing UTF-8 octet"));
            }
            uri.push(octet);
            self.skip_ascii(3);
            left -= 1;
        }
        Ok(())
    }
}
