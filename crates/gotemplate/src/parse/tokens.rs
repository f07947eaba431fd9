//! The parser's look-ahead, and how it complains.

use super::lex::{Item, Token};
use super::{MAX_NESTING, Parsed, Parser};
use crate::{Limit, ParseError, Str};

/// What belongs to the template being parsed; a `define` has its own.
pub(super) struct Tree<'a> {
    pub(super) token: [Item<'a>; 3],
    pub(super) peek_count: usize,
    pub(super) vars: Vec<Str>,
    pub(super) action_line: usize,
    pub(super) range_depth: usize,
}

impl Tree<'_> {
    pub(super) fn new<'a>() -> Tree<'a> {
        let none = || Item { token: Token::Error, pos: 0, text: Vec::new().into(), line: 0 };
        Tree {
            token: [none(), none(), none()],
            peek_count: 0,
            vars: vec!["$".into()],
            action_line: 0,
            range_depth: 0,
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn next(&mut self) -> Item<'a> {
        if self.tree.peek_count > 0 {
            self.tree.peek_count -= 1;
        } else {
            self.tree.token[0] = self.lexer.next_item();
        }
        self.tree.token[self.tree.peek_count].clone()
    }

    pub(super) fn backup(&mut self) {
        self.tree.peek_count += 1;
    }

    pub(super) fn backup2(&mut self, first: Item<'a>) {
        self.tree.token[1] = first;
        self.tree.peek_count = 2;
    }

    pub(super) fn backup3(&mut self, first: Item<'a>, second: Item<'a>) {
        self.tree.token[1] = second;
        self.tree.token[2] = first;
        self.tree.peek_count = 3;
    }

    pub(super) fn peek(&mut self) -> Item<'a> {
        if self.tree.peek_count == 0 {
            self.tree.peek_count = 1;
            self.tree.token[0] = self.lexer.next_item();
        }
        self.tree.token[self.tree.peek_count - 1].clone()
    }

    pub(super) fn next_non_space(&mut self) -> Item<'a> {
        loop {
            let item = self.next();
            if item.token != Token::Space {
                return item;
            }
        }
    }

    pub(super) fn peek_non_space(&mut self) -> Item<'a> {
        let item = self.next_non_space();
        self.backup();
        item
    }

    // Errors.

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError {
            template: self.parse_name.to_string(),
            line: self.tree.token[0].line,
            message: message.into(),
        }
        .into())
    }

    pub(super) fn unexpected<T>(&self, item: &Item<'a>, context: &str) -> Parsed<T> {
        if item.token == Token::Error {
            let text = item.describe();
            let mut extra = String::new();
            if self.tree.action_line != 0 && self.tree.action_line != item.line {
                extra = format!(" in action started at {}:{}", self.parse_name, self.tree.action_line);
                if text.ends_with(" action") {
                    extra = extra[" in action".len()..].to_string();
                }
            }
            return self.error(text + &extra);
        }
        self.error(format!("unexpected {} in {context}", item.describe()))
    }

    pub(super) fn expect(&mut self, token: Token, context: &str) -> Parsed<Item<'a>> {
        let item = self.next_non_space();
        if item.token != token { self.unexpected(&item, context) } else { Ok(item) }
    }

    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Limit::Nesting(MAX_NESTING).into());
        }
        Ok(())
    }
}
