//! The scanner: text to tokens, as go-yaml's port of libyaml does it.
//!
//! Works on the whole text in memory; scalars that stand in the text as they are borrowed from it.

mod block;
pub(crate) mod chars;
mod directive;
mod flow;
mod plain;
mod reader;
mod token;

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
use crate::resolve::Schema;
use chars::{at, is_blank, is_blankz, is_break, is_breakz, width};
pub(crate) use reader::{Source, decode_input};
pub use token::Style;
pub(crate) use token::{Mark, Token, TokenKind};

/// go-yaml's limits on nesting, for flow and for block collections.
const MAX_FLOW_LEVEL: usize = 10_000;
const MAX_INDENTS: usize = 10_000;

/// A place where a simple key (one without `?`) may have started.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    /// Whether go-yaml's by-token map would lead to this key.
    listed: bool,
    token_number: usize,
    mark: Mark,
}

/// A comment seen by the scanner, from its `#` to the end of its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comment {
    pub(crate) start: Mark,
    pub(crate) end: u32,
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// The readable part of `text`; reading on at its end is the reader's error, if there is one.
    buf: &'a [u8],
    limit: usize,
    reader_problem: &'static str,

    pos: usize,
    index: u32,
    line: u32,
    column: u32,

    tokens: VecDeque<Token<'a>>,
    tokens_parsed: usize,
    token_available: bool,
    stream_start_produced: bool,
    pub(crate) stream_end_produced: bool,

    indent: i32,
    indents: Vec<i32>,
    flow_level: usize,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,

    pub(crate) comments: Option<Vec<Comment>>,
    pub(crate) schema: Schema,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(source: Source<'a>, schema: Schema) -> Self {
        let Source { text, start, limit, problem } = source;
        let buf = match limit {
            Some(limit) => &text.as_bytes()[..limit],
            None => text.as_bytes(),
        };
        Self {
            text,
            buf,
            limit: limit.unwrap_or(usize::MAX),
            reader_problem: problem,
            pos: start,
            index: 0,
            line: 0,
            column: 0,
            tokens: VecDeque::with_capacity(16),
            tokens_parsed: 0,
            token_available: false,
            stream_start_produced: false,
            stream_end_produced: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: Vec::new(),
            comments: None,
            schema,
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { pos: self.pos as u32, index: self.index, line: self.line, column: self.column }
    }

    /// Asks for `count` more characters; fails where the reader would have met a bad character.
    #[inline(always)]
    fn need(&self, count: usize) -> Result<()> {
        if self.pos + count > self.limit {
            return Err(
                Error::yaml(ErrorKind::Syntax, self.reader_problem).at(self.line + 1, self.column + 1)
            );
        }
        Ok(())
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        at(self.buf, self.pos)
    }

    #[inline(always)]
    fn peek_at(&self, offset: usize) -> u8 {
        at(self.buf, self.pos + offset)
    }

    /// Steps over one character.
    #[inline(always)]
    fn skip(&mut self) {
        self.pos += width(self.peek());
        self.index += 1;
        self.column += 1;
    }

    /// Steps over `count` bytes of one-byte characters.
    #[inline(always)]
    fn skip_ascii(&mut self, count: usize) {
        self.pos += count;
        self.index += count as u32;
        self.column += count as u32;
    }

    /// Steps over a line break, if there is one.
    fn skip_line(&mut self) {
        if self.peek() == b'\r' && self.peek_at(1) == b'\n' {
            self.pos += 2;
            self.index += 2;
        } else if is_break(self.buf, self.pos) {
            self.pos += width(self.peek());
            self.index += 1;
        } else {
            return;
        }
        self.column = 0;
        self.line += 1;
    }

    /// Steps over a line break and returns the text that stands for it in a scalar.
    fn read_line(&mut self) -> &'static str {
        let broken = match self.peek() {
            0xE2 if self.peek_at(2) == 0xA8 => "\u{2028}",
            0xE2 => "\u{2029}",
            _ => "\n",
        };
        if !is_break(self.buf, self.pos) {
            return "";
        }
        self.skip_line();
        broken
    }

    /// Steps over the rest of a line.
    fn skip_to_break(&mut self) -> Result<()> {
        loop {
            let rest = &self.buf[self.pos.min(self.buf.len())..];
            let line = &rest[..memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())];
            // Beyond ASCII there may be breaks of other kinds.
            let run =
                if line.is_ascii() { line.len() } else { line.iter().take_while(|c| c.is_ascii()).count() };
            self.skip_ascii(run);
            self.need(1)?;
            if is_breakz(self.buf, self.pos) {
                return Ok(());
            }
            self.skip();
        }
    }

    fn skip_comment(&mut self) -> Result<()> {
        let start = self.mark();
        self.skip_to_break()?;
        let end = self.pos as u32;
        if let Some(comments) = &mut self.comments {
            comments.push(Comment { start, end });
        }
        Ok(())
    }

    fn skip_blanks(&mut self) -> Result<()> {
        self.need(1)?;
        while is_blank(self.peek()) {
            self.skip();
            self.need(1)?;
        }
        Ok(())
    }

    #[cold]
    fn error(&self, context: Mark, problem: impl AsRef<str>) -> Error {
        let (line, context_line) = match self.schema {
            Schema::V2 => (self.line, context.line),
            // go-yaml v3 looks at the context first, and counts the line of both the same way.
            Schema::V3 if context.line != 0 => (context.line, 0),
            Schema::V3 => (self.line, 0),
        };
        let text = match (line, context_line) {
            (0, 0) => problem.as_ref().to_owned(),
            (0, line) => format!("line {line}: {}", problem.as_ref()),
            (line, _) => format!("line {}: {}", line + 1, problem.as_ref()),
        };
        Error::yaml(ErrorKind::Syntax, text).at(self.line + 1, self.column + 1)
    }

    /// Whether `---` or `...` stands here, at the start of a line.
    fn at_document_indicator(&self) -> bool {
        self.column == 0
            && matches!(self.peek(), b'-' | b'.')
            && self.peek_at(1) == self.peek()
            && self.peek_at(2) == self.peek()
            && is_blankz(self.buf, self.pos + 3)
    }

    // The token queue.

    /// The next token, which stays in the queue.
    pub(crate) fn peek_token(&mut self) -> Result<&mut Token<'a>> {
        if !self.token_available {
            self.fetch_more_tokens()?;
        }
        Ok(self.tokens.front_mut().expect("the queue holds a token once one is available"))
    }

    /// Removes the token that `peek_token` returned.
    pub(crate) fn skip_token(&mut self) {
        self.token_available = false;
        self.tokens_parsed += 1;
        if let Some(token) = self.tokens.pop_front() {
            self.stream_end_produced = token.kind == TokenKind::StreamEnd;
        }
    }

    fn insert_token(&mut self, position: Option<usize>, token: Token<'a>) {
        match position {
            Some(position) if position < self.tokens.len() => self.tokens.insert(position, token),
            _ => self.tokens.push_back(token),
        }
    }

    fn push_token(&mut self, kind: TokenKind, start: Mark) {
        let end = self.mark();
        self.tokens.push_back(Token::new(kind, start, end));
    }

    fn fetch_more_tokens(&mut self) -> Result<()> {
        loop {
            // go-yaml v3 looks two tokens ahead for its comments, and so meets errors earlier.
            let ahead = if self.schema == Schema::V3 { 2 } else { 0 };
            if self.tokens.len() > ahead {
                match self.listed_key(self.tokens_parsed) {
                    None => break,
                    Some(key) => {
                        if !self.simple_key_is_valid(key)? {
                            break;
                        }
                    }
                }
            }
            self.fetch_next_token()?;
        }
        self.token_available = true;
        Ok(())
    }

    fn fetch_next_token(&mut self) -> Result<()> {
        self.need(1)?;
        if !self.stream_start_produced {
            self.fetch_stream_start();
            return Ok(());
        }
        self.scan_to_next_token()?;
        self.unroll_indent(self.column as i32);
        self.need(4)?;

        let c = self.peek();
        if c == 0 {
            return self.fetch_stream_end();
        }
        if self.column == 0 {
            if c == b'%' {
                return self.fetch_directive();
            }
            if self.at_document_indicator() {
                let kind = if c == b'-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd };
                return self.fetch_document_indicator(kind);
            }
        }
        let flow = self.flow_level > 0;
        match c {
            b'[' => return self.fetch_flow_collection_start(TokenKind::FlowSequenceStart),
            b'{' => return self.fetch_flow_collection_start(TokenKind::FlowMappingStart),
            b']' => return self.fetch_flow_collection_end(TokenKind::FlowSequenceEnd),
            b'}' => return self.fetch_flow_collection_end(TokenKind::FlowMappingEnd),
            b',' => return self.fetch_flow_entry(),
            b'-' if is_blankz(self.buf, self.pos + 1) => return self.fetch_block_entry(),
            b'?' if flow || is_blankz(self.buf, self.pos + 1) => return self.fetch_key(),
            b':' if flow || is_blankz(self.buf, self.pos + 1) => return self.fetch_value(),
            b'*' => return self.fetch_anchor(TokenKind::Alias),
            b'&' => return self.fetch_anchor(TokenKind::Anchor),
            b'!' => return self.fetch_tag(),
            b'|' if !flow => return self.fetch_block_scalar(true),
            b'>' if !flow => return self.fetch_block_scalar(false),
            b'\'' => return self.fetch_flow_scalar(true),
            b'"' => return self.fetch_flow_scalar(false),
            _ => {}
        }
        let plain = match c {
            b'-' => !is_blank(self.peek_at(1)),
            b'?' | b':' => !flow && !is_blankz(self.buf, self.pos + 1),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => false,
            _ => !is_blankz(self.buf, self.pos),
        };
        if plain {
            return self.fetch_plain_scalar();
        }
        Err(self.error(self.mark(), "found character that cannot start any token"))
    }

    // Simple keys.

    /// The index of the simple key that go-yaml's map holds for a token number.
    fn listed_key(&self, token_number: usize) -> Option<usize> {
        // Token numbers never decrease from the bottom of the stack to its top.
        let first = self.simple_keys.partition_point(|key| key.token_number < token_number);
        self.simple_keys[first..]
            .iter()
            .take_while(|key| key.token_number == token_number)
            .position(|key| key.listed)
            .map(|offset| first + offset)
    }

    fn unlist_key(&mut self, token_number: usize) {
        for key in self.simple_keys.iter_mut().rev() {
            if key.token_number < token_number {
                break;
            }
            if key.token_number == token_number {
                key.listed = false;
            }
        }
    }

    fn simple_key_is_valid(&mut self, index: usize) -> Result<bool> {
        let key = self.simple_keys[index];
        if !key.possible {
            return Ok(false);
        }
        // A simple key is at most 1024 characters long and stands on one line.
        if key.mark.line < self.line || key.mark.index + 1024 < self.index {
            if key.required {
                return Err(self.error(key.mark, "could not find expected ':'"));
            }
            self.simple_keys[index].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn next_token_number(&self) -> usize {
        self.tokens_parsed + self.tokens.len()
    }

    fn save_simple_key(&mut self) -> Result<()> {
        let required = self.flow_level == 0 && self.indent == self.column as i32;
        if self.simple_key_allowed {
            self.remove_simple_key()?;
            let token_number = self.next_token_number();
            self.unlist_key(token_number);
            let mark = self.mark();
            if let Some(top) = self.simple_keys.last_mut() {
                *top = SimpleKey { possible: true, required, listed: true, token_number, mark };
            }
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<()> {
        let Some(&key) = self.simple_keys.last() else { return Ok(()) };
        if key.possible {
            if key.required {
                return Err(self.error(key.mark, "could not find expected ':'"));
            }
            if let Some(top) = self.simple_keys.last_mut() {
                top.possible = false;
            }
            self.unlist_key(key.token_number);
        }
        Ok(())
    }

    fn increase_flow_level(&mut self) -> Result<()> {
        let mark = self.mark();
        let token_number = self.next_token_number();
        self.simple_keys.push(SimpleKey { token_number, mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_FLOW_LEVEL {
            let mut error = self.error(mark, format!("exceeded max depth of {MAX_FLOW_LEVEL}"));
            error.set_limit();
            return Err(error);
        }
        Ok(())
    }

    fn decrease_flow_level(&mut self) {
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(&top) = self.simple_keys.last() {
                self.unlist_key(top.token_number);
            }
            self.simple_keys.pop();
        }
    }

    // Indentation.

    /// Opens a block collection where the column is right of the current indentation.
    fn roll_indent(&mut self, column: u32, number: Option<usize>, kind: TokenKind, mark: Mark) -> Result<()> {
        if self.flow_level > 0 || self.indent >= column as i32 {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column as i32;
        if self.indents.len() > MAX_INDENTS {
            let context = self.simple_keys.last().map_or(mark, |key| key.mark);
            let mut error = self.error(context, format!("exceeded max depth of {MAX_INDENTS}"));
            error.set_limit();
            return Err(error);
        }
        let position = number.and_then(|number| number.checked_sub(self.tokens_parsed));
        self.insert_token(position, Token::new(kind, mark, mark));
        Ok(())
    }

    /// Closes the block collections that are right of `column`.
    fn unroll_indent(&mut self, column: i32) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            let mark = self.mark();
            self.push_token(TokenKind::BlockEnd, mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    // Tokens without content.

    fn fetch_stream_start(&mut self) {
        self.indent = -1;
        self.simple_keys.push(SimpleKey::default());
        self.simple_key_allowed = true;
        self.stream_start_produced = true;
        let mark = self.mark();
        self.push_token(TokenKind::StreamStart, mark);
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        if self.column != 0 {
            self.column = 0;
            self.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark();
        self.push_token(TokenKind::StreamEnd, mark);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark();
        self.skip_ascii(3);
        self.push_token(kind, start);
        Ok(())
    }

    fn fetch_flow_collection_start(&mut self, kind: TokenKind) -> Result<()> {
        self.save_simple_key()?;
        self.increase_flow_level()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_collection_end(&mut self, kind: TokenKind) -> Result<()> {
        self.remove_simple_key()?;
        self.decrease_flow_level();
        self.simple_key_allowed = false;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_indicator(&mut self, kind: TokenKind) {
        let start = self.mark();
        self.skip_ascii(1);
        self.push_token(kind, start);
    }

    fn fetch_flow_entry(&mut self) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error(self.mark(), "block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.column, None, TokenKind::BlockSequenceStart, self.mark())?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error(self.mark(), "mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.column, None, TokenKind::BlockMappingStart, self.mark())?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.fetch_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let top = self.simple_keys.len().saturating_sub(1);
        if self.simple_key_is_valid(top)? {
            let key = self.simple_keys[top];
            let position = key.token_number.checked_sub(self.tokens_parsed);
            self.insert_token(position, Token::new(TokenKind::Key, key.mark, key.mark));
            self.roll_indent(
                key.mark.column,
                Some(key.token_number),
                TokenKind::BlockMappingStart,
                key.mark,
            )?;
            self.simple_keys[top].possible = false;
            self.unlist_key(key.token_number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.error(self.mark(), "mapping values are not allowed in this context"));
                }
                self.roll_indent(self.column, None, TokenKind::BlockMappingStart, self.mark())?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.fetch_indicator(TokenKind::Value);
        Ok(())
    }

    // Tokens with content.

    fn fetch_anchor(&mut self, kind: TokenKind) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_anchor(kind)?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_tag()?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let token = self.scan_block_scalar(literal)?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_flow_scalar(&mut self, single: bool) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_flow_scalar(single)?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_plain_scalar(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_plain_scalar()?;
        self.tokens.push_back(token);
        Ok(())
    }

    /// Eats white space and comments.
    fn scan_to_next_token(&mut self) -> Result<()> {
        loop {
            self.need(1)?;
            loop {
                let c = self.peek();
                if c == b' ' || (c == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed)) {
                    self.skip_ascii(1);
                } else {
                    break;
                }
            }
            self.need(1)?;
            if self.peek() == b'#' {
                self.skip_comment()?;
            }
            if !is_break(self.buf, self.pos) {
                return Ok(());
            }
            self.need(2)?;
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }
}
