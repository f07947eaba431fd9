//! Cuts a template's text into tokens, as Go's `text/template/parse` lexer does.
//!
//! Trim markers are dealt with here; the parser never sees them. An error is a token too, after which
//! the text counts as ended.

use super::class::{is_alphanumeric, is_space};
use crate::gofmt::{decode_rune, is_print, quote};
use std::borrow::Cow;

/// What a token is. The order matters: everything after `Keyword` prints as a keyword.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) enum Token {
    Error,
    Bool,
    Char,
    CharConstant,
    Comment,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Keyword,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token: its kind, position, text and the line it starts on.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) token: Token,
    pub(super) pos: usize,
    pub(super) text: Cow<'a, [u8]>,
    pub(super) line: usize,
}

impl Item<'_> {
    /// The token as error messages show it.
    pub(super) fn describe(&self) -> String {
        match self.token {
            Token::Eof => "EOF".into(),
            Token::Error => String::from_utf8_lossy(&self.text).into_owned(),
            token if token > Token::Keyword => format!("<{}>", String::from_utf8_lossy(&self.text)),
            _ if self.text.len() > 10 => {
                let mut end = 0;
                for _ in 0..10 {
                    end += decode_rune(&self.text[end..]).1;
                }
                format!("{}...", quote(&self.text[..end]))
            }
            _ => quote(&self.text),
        }
    }
}

fn keyword(word: &[u8]) -> Option<Token> {
    Some(match word {
        b"." => Token::Dot,
        b"block" => Token::Block,
        b"break" => Token::Break,
        b"continue" => Token::Continue,
        b"define" => Token::Define,
        b"else" => Token::Else,
        b"end" => Token::End,
        b"if" => Token::If,
        b"range" => Token::Range,
        b"nil" => Token::Nil,
        b"template" => Token::Template,
        b"with" => Token::With,
        _ => return None,
    })
}

pub(super) struct Lexer<'a> {
    input: &'a [u8],
    left: &'a [u8],
    right: &'a [u8],
    pos: usize,
    start: usize,
    at_eof: bool,
    paren_depth: i32,
    line: usize,
    start_line: usize,
    inside_action: bool,
}

/// The states in which the lexer starts a token.
enum State {
    Text,
    LeftDelim,
    Comment,
}

const MARKER: usize = 2;

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8], left: &'a [u8], right: &'a [u8]) -> Lexer<'a> {
        Lexer {
            input,
            left,
            right,
            pos: 0,
            start: 0,
            at_eof: false,
            paren_depth: 0,
            line: 1,
            start_line: 1,
            inside_action: false,
        }
    }

    pub(super) fn next_item(&mut self) -> Item<'a> {
        if self.inside_action {
            return self.inside_action();
        }
        let mut state = State::Text;
        loop {
            match state {
                State::Text => {
                    let rest = &self.input[self.pos..];
                    let Some(x) = find(rest, self.left) else {
                        self.pos = self.input.len();
                        if self.pos > self.start {
                            self.line += newlines(&self.input[self.start..self.pos]);
                            return self.emit(Token::Text);
                        }
                        return self.emit(Token::Eof);
                    };
                    if x > 0 {
                        self.pos += x;
                        let mut trim = 0;
                        if has_left_marker(&self.input[self.pos + self.left.len()..]) {
                            trim = right_trim(&self.input[self.start..self.pos]);
                        }
                        self.pos -= trim;
                        self.line += newlines(&self.input[self.start..self.pos]);
                        let item = self.emit(Token::Text);
                        self.pos += trim;
                        self.ignore();
                        if !item.text.is_empty() {
                            return item;
                        }
                    }
                    state = State::LeftDelim;
                }
                State::LeftDelim => {
                    self.pos += self.left.len();
                    let trim = has_left_marker(&self.input[self.pos..]);
                    let marker = if trim { MARKER } else { 0 };
                    if self.input[self.pos + marker..].starts_with(b"/*") {
                        self.pos += marker;
                        self.ignore();
                        state = State::Comment;
                        continue;
                    }
                    let item = self.emit(Token::LeftDelim);
                    self.inside_action = true;
                    self.pos += marker;
                    self.ignore();
                    self.paren_depth = 0;
                    return item;
                }
                State::Comment => {
                    self.pos += 2;
                    let Some(x) = find(&self.input[self.pos..], b"*/") else {
                        return self.error("unclosed comment".into());
                    };
                    self.pos += x + 2;
                    let (delim, trim) = self.at_right_delim();
                    if !delim {
                        return self.error("comment ends before closing delimiter".into());
                    }
                    self.line += newlines(&self.input[self.start..self.pos]);
                    self.emit(Token::Comment);
                    if trim {
                        self.pos += MARKER;
                    }
                    self.pos += self.right.len();
                    if trim {
                        self.pos += left_trim(&self.input[self.pos..]);
                    }
                    self.ignore();
                    state = State::Text;
                }
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let rest = self.input.get(self.pos..).unwrap_or_default();
        match rest.first() {
            None => {
                self.at_eof = true;
                return None;
            }
            Some(&c) if c.is_ascii() && c != b'\n' => {
                self.pos += 1;
                return Some(char::from(c));
            }
            Some(_) => {}
        }
        let (rune, width) = decode_rune(rest);
        self.pos += width;
        if rune == '\n' {
            self.line += 1;
        }
        Some(rune)
    }

    fn backup(&mut self) {
        if self.at_eof || self.pos == 0 {
            return;
        }
        let last = self.input[self.pos - 1];
        if last.is_ascii() {
            self.pos -= 1;
            self.line -= usize::from(last == b'\n');
            return;
        }
        // The rune just read ends here; step over its continuation bytes.
        let mut start = self.pos - 1;
        let lowest = self.pos.saturating_sub(4);
        while start > lowest && self.input[start] & 0xC0 == 0x80 {
            start -= 1;
        }
        if decode_rune(&self.input[start..self.pos]).1 != self.pos - start {
            start = self.pos - 1;
        }
        self.pos = start;
    }

    fn peek(&mut self) -> Option<char> {
        let rune = self.next();
        self.backup();
        rune
    }

    fn emit(&mut self, token: Token) -> Item<'a> {
        let item = Item {
            token,
            pos: self.start,
            text: Cow::Borrowed(&self.input[self.start..self.pos]),
            line: self.start_line,
        };
        self.start = self.pos;
        self.start_line = self.line;
        item
    }

    fn ignore(&mut self) {
        self.line += newlines(&self.input[self.start..self.pos]);
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn error(&mut self, message: String) -> Item<'a> {
        let item = Item {
            token: Token::Error,
            pos: self.start,
            text: Cow::Owned(message.into_bytes()),
            line: self.start_line,
        };
        self.start = 0;
        self.pos = 0;
        self.input = &[];
        item
    }

    fn accept(&mut self, valid: &str) -> bool {
        if self.next().is_some_and(|c| valid.contains(c)) {
            return true;
        }
        self.backup();
        false
    }

    fn accept_run(&mut self, valid: &str) {
        while self.next().is_some_and(|c| valid.contains(c)) {}
        self.backup();
    }

    fn at_right_delim(&self) -> (bool, bool) {
        let rest = &self.input[self.pos..];
        if has_right_marker(rest) && rest[MARKER..].starts_with(self.right) {
            return (true, true);
        }
        (rest.starts_with(self.right), false)
    }

    fn inside_action(&mut self) -> Item<'a> {
        if self.at_right_delim().0 {
            if self.paren_depth == 0 {
                return self.right_delim();
            }
            return self.error("unclosed left paren".into());
        }
        let Some(rune) = self.next() else { return self.error("unclosed action".into()) };
        match rune {
            c if is_space(c) => {
                self.backup();
                self.space()
            }
            '=' => self.emit(Token::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return self.error("expected :=".into());
                }
                self.emit(Token::Declare)
            }
            '|' => self.emit(Token::Pipe),
            '"' => self.quoted('"', Token::String, "unterminated quoted string"),
            '`' => loop {
                match self.next() {
                    None => return self.error("unterminated raw quoted string".into()),
                    Some('`') => return self.emit(Token::RawString),
                    Some(_) => {}
                }
            },
            '$' => {
                if self.at_terminator() {
                    return self.emit(Token::Variable);
                }
                self.field_or_variable(Token::Variable)
            }
            '\'' => self.quoted('\'', Token::CharConstant, "unterminated character constant"),
            '.' if self.input.get(self.pos).is_some_and(|c| !c.is_ascii_digit()) => {
                self.field_or_variable(Token::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.backup();
                self.number()
            }
            c if is_alphanumeric(c) => {
                self.backup();
                self.identifier()
            }
            '(' => {
                self.paren_depth += 1;
                self.emit(Token::LeftParen)
            }
            ')' => {
                self.paren_depth -= 1;
                if self.paren_depth < 0 {
                    return self.error("unexpected right paren".into());
                }
                self.emit(Token::RightParen)
            }
            c if c.is_ascii() && is_print(c) => self.emit(Token::Char),
            c => self.error(format!("unrecognized character in action: {}", unicode(c))),
        }
    }

    fn right_delim(&mut self) -> Item<'a> {
        let (_, trim) = self.at_right_delim();
        if trim {
            self.pos += MARKER;
            self.ignore();
        }
        self.pos += self.right.len();
        let item = self.emit(Token::RightDelim);
        if trim {
            self.pos += left_trim(&self.input[self.pos..]);
            self.ignore();
        }
        self.inside_action = false;
        item
    }

    fn space(&mut self) -> Item<'a> {
        let mut count = 0;
        while self.peek().is_some_and(is_space) {
            self.next();
            count += 1;
        }
        let rest = &self.input[self.pos - 1..];
        if has_right_marker(rest) && rest[MARKER..].starts_with(self.right) {
            self.backup();
            if count == 1 {
                return self.right_delim();
            }
        }
        self.emit(Token::Space)
    }

    /// Steps over what is surely a part of a name.
    fn skip_word(&mut self) {
        let rest = self.input.get(self.pos..).unwrap_or_default();
        self.pos += rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
    }

    fn identifier(&mut self) -> Item<'a> {
        self.skip_word();
        loop {
            let next = self.next();
            if next.is_some_and(is_alphanumeric) {
                continue;
            }
            self.backup();
            let word = &self.input[self.start..self.pos];
            if !self.at_terminator() {
                return self.error(format!("bad character {}", unicode_or_eof(next)));
            }
            return match word {
                b"true" | b"false" => self.emit(Token::Bool),
                word => self.emit(keyword(word).unwrap_or(Token::Identifier)),
            };
        }
    }

    fn field_or_variable(&mut self, token: Token) -> Item<'a> {
        if self.at_terminator() {
            return self.emit(if token == Token::Variable { token } else { Token::Dot });
        }
        self.skip_word();
        let mut next = self.next();
        while next.is_some_and(is_alphanumeric) {
            next = self.next();
        }
        self.backup();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", unicode_or_eof(next)));
        }
        self.emit(token)
    }

    fn at_terminator(&mut self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.input[self.pos..].starts_with(self.right),
        }
    }

    fn quoted(&mut self, mark: char, token: Token, unterminated: &str) -> Item<'a> {
        loop {
            match self.next() {
                Some('\\') => {
                    if matches!(self.next(), None | Some('\n')) {
                        return self.error(unterminated.into());
                    }
                }
                None | Some('\n') => return self.error(unterminated.into()),
                Some(c) if c == mark => return self.emit(token),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Item<'a> {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.pos - 1] != b'i' {
                return self.bad_number();
            }
            return self.emit(Token::Complex);
        }
        self.emit(Token::Number)
    }

    fn bad_number(&mut self) -> Item<'a> {
        let text = quote(&self.input[self.start..self.pos]);
        self.error(format!("bad number syntax: {text}"))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if digits.len() == 11 && self.accept("eE") || digits.len() == 23 && self.accept("pP") {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let first = *pattern.first()?;
    let mut from = 0;
    while let Some(at) = memchr::memchr(first, &text[from..]) {
        if text[from + at..].starts_with(pattern) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|c| **c == b'\n').count()
}

fn is_space_byte(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r' | b'\n')
}

fn right_trim(text: &[u8]) -> usize {
    text.iter().rev().take_while(|c| is_space_byte(**c)).count()
}

fn left_trim(text: &[u8]) -> usize {
    text.iter().take_while(|c| is_space_byte(**c)).count()
}

fn has_left_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', c, ..] if is_space_byte(*c))
}

fn has_right_marker(text: &[u8]) -> bool {
    matches!(text, [c, b'-', ..] if is_space_byte(*c))
}

/// `%#U` of a rune.
fn unicode(rune: char) -> String {
    if is_print(rune) { format!("U+{:04X} '{rune}'", rune as u32) } else { format!("U+{:04X}", rune as u32) }
}

/// `%#U` of what Go's lexer read last: -1 at the end of the text.
fn unicode_or_eof(rune: Option<char>) -> String {
    rune.map_or("U+FFFFFFFFFFFFFFFF".into(), unicode)
}
