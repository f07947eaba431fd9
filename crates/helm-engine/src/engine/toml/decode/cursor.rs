//! Reading characters, and errors with their line.

use std::collections::BTreeSet;

use gotemplate::gofmt;

use super::{Parser, Result, Table, is_blank, is_newline, path};

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self> {
        let input = [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"]
            .iter()
            .find_map(|mark| text.strip_prefix(*mark))
            .unwrap_or(text);
        if input.iter().take(6).any(|byte| *byte == 0) {
            return Err(
                "toml: line 1: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8"
                    .to_owned(),
            );
        }
        Ok(Self {
            input,
            at: 0,
            line: 1,
            at_end: false,
            root: Table::new(),
            context: Vec::new(),
            key: String::new(),
            implicit: BTreeSet::new(),
            key_line: 1,
            depth: 0,
        })
    }

    // Errors.

    pub(super) fn error_at(&self, line: usize, message: impl AsRef<str>) -> String {
        let message = message.as_ref();
        let mut key = path(&self.context);
        if !self.key.is_empty() {
            key = if key.is_empty() { self.key.clone() } else { format!("{key}.{}", self.key) };
        }
        if key.is_empty() {
            return format!("toml: line {line}: {message}");
        }
        format!("toml: line {line} (last key {}): {message}", gofmt::quote(key.as_bytes()))
    }

    pub(super) fn error(&self, message: impl AsRef<str>) -> String {
        let after_newline = self.at_end && self.at >= 1 && self.input[self.at - 1] == b'\n';
        self.error_at(self.line - usize::from(after_newline), message)
    }

    pub(super) fn error_before(&self, message: impl AsRef<str>) -> String {
        self.error_at(self.line.saturating_sub(1), message)
    }

    // Characters.

    pub(super) fn next(&mut self) -> Result<Option<char>> {
        let Some(&byte) = self.input.get(self.at) else {
            self.at_end = true;
            return Ok(None);
        };
        let (c, width) = gofmt::decode_rune(&self.input[self.at..]);
        if c == char::REPLACEMENT_CHARACTER && width == 1 {
            return Err(self.error(format!("invalid UTF-8 byte: 0x{byte:02x}")));
        }
        let lonely_return = c == '\r' && self.input.get(self.at + 1) != Some(&b'\n');
        if lonely_return || (c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n')) {
            let code = u32::from(c);
            return Err(self.error(format!("TOML files cannot contain control characters: '0x{code:02x}'")));
        }
        if c == '\n' {
            self.line += 1;
        }
        self.at += width;
        Ok(Some(c))
    }

    pub(super) fn back(&mut self, c: Option<char>) {
        self.at_end = false;
        if let Some(c) = c {
            self.at -= c.len_utf8();
            self.line -= usize::from(c == '\n');
        }
    }

    pub(super) fn peek(&mut self) -> Result<Option<char>> {
        let c = self.next()?;
        self.back(c);
        Ok(c)
    }

    pub(super) fn accept(&mut self, wanted: char) -> Result<bool> {
        let c = self.next()?;
        if c == Some(wanted) {
            return Ok(true);
        }
        self.back(c);
        Ok(false)
    }

    pub(super) fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let c = self.next()?;
            if !is_blank(c) {
                self.back(c);
                return Ok(());
            }
        }
    }

    pub(super) fn skip_comment(&mut self) -> Result<()> {
        loop {
            let c = self.next()?;
            if c.is_none() || is_newline(c) {
                self.back(c);
                return Ok(());
            }
        }
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Some(c) if accept(c) => text.push(c),
                c => {
                    self.back(c);
                    return Ok(text);
                }
            }
        }
    }
}
