//! Parses template text into trees, with the error texts of Go's `text/template/parse`.
//!
//! The parser recurses for nested expressions and control structures, so their depth is limited; Go
//! limits parentheses only, at a depth nobody writes.

mod class;
mod lex;
pub(crate) mod literal;
mod node;
mod number;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use node::{Branch, Kind, NodeId, Nodes};
pub(crate) use number::Number;

use crate::collections::HashMap;
use crate::gofmt::quote;
use crate::{Error, FuncMap, Str};
use lex::{Item, Lexer, Token};
use std::sync::Arc;
use tokens::Tree;

/// How deeply parentheses and control structures may nest.
const MAX_NESTING: usize = 400;

/// The templates of one parsed text.
pub(crate) struct Trees {
    /// The name the text was parsed under, for error messages.
    pub(crate) name: String,
    pub(crate) text: Arc<[u8]>,
    pub(crate) nodes: Nodes,
    /// The root of every template by name; the text itself is among them.
    pub(crate) roots: HashMap<Str, NodeId>,
    /// The root of the text itself.
    pub(crate) main: NodeId,
}

/// Parses a text. Functions must exist in `funcs`; empty delimiters stand for `{{` and `}}`.
pub(crate) fn parse(
    name: &str,
    text: Arc<[u8]>,
    left: &str,
    right: &str,
    funcs: &FuncMap,
) -> Result<Trees, Error> {
    let left = if left.is_empty() { "{{" } else { left };
    let right = if right.is_empty() { "}}" } else { right };
    let mut parser = Parser {
        parse_name: name,
        lexer: Lexer::new(&text, left.as_bytes(), right.as_bytes()),
        nodes: Nodes::for_actions(text.clone(), memchr::memmem::find_iter(&text, left.as_bytes()).count()),
        roots: HashMap::default(),
        funcs,
        tree: Tree::new(),
        nesting: 0,
    };
    let main = parser.top_level()?;
    parser.add(name.into(), main)?;
    let Parser { nodes, roots, .. } = parser;
    Ok(Trees { name: name.to_string(), nodes, roots, main, text: text.clone() })
}

struct Parser<'a> {
    parse_name: &'a str,
    lexer: Lexer<'a>,
    nodes: Nodes,
    roots: HashMap<Str, NodeId>,
    funcs: &'a FuncMap,
    tree: Tree<'a>,
    nesting: usize,
}

type Parsed<T> = Result<T, Error>;

impl<'a> Parser<'a> {
    // Templates.

    fn top_level(&mut self) -> Parsed<NodeId> {
        let pos = self.peek().pos;
        let root = self.nodes.add(pos, Kind::List(Vec::new()));
        let mut children = Vec::new();
        while self.peek().token != Token::Eof {
            if self.peek().token == Token::LeftDelim {
                let delim = self.next();
                if self.next_non_space().token == Token::Define {
                    self.definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            let node = self.text_or_action()?;
            if matches!(self.nodes.kind(node), Kind::End | Kind::Else) {
                return self.error(format!("unexpected {}", self.nodes.print(node)));
            }
            children.push(node);
        }
        self.nodes.get_mut(root).kind = Kind::List(children);
        Ok(root)
    }

    fn add(&mut self, name: Str, root: NodeId) -> Parsed<()> {
        match self.roots.get(&name) {
            Some(old) if !self.nodes.is_empty_tree(*old) => {
                if !self.nodes.is_empty_tree(root) {
                    let name = quote(&name);
                    return self.error(format!("template: multiple definition of template {name}"));
                }
            }
            _ => {
                self.roots.insert(name, root);
            }
        }
        Ok(())
    }

    fn definition(&mut self) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.tree, Tree::new());
        let context = "define clause";
        let name = self.next_non_space();
        if !matches!(name.token, Token::String | Token::RawString) {
            return self.unexpected(&name, context);
        }
        let name = self.unquote(&name)?;
        self.expect(Token::RightDelim, context)?;
        let (list, end) = self.item_list()?;
        if !matches!(self.nodes.kind(end), Kind::End) {
            return self.error(format!("unexpected {} in {context}", self.nodes.print(end)));
        }
        self.add(name, list)?;
        self.tree = outer;
        Ok(())
    }

    fn unquote(&self, item: &Item<'a>) -> Parsed<Str> {
        match literal::unquote(&item.text) {
            Some(text) => Ok(Str::new(&text)),
            None => self.error("invalid syntax"),
        }
    }

    // Lists and actions.

    fn item_list(&mut self) -> Parsed<(NodeId, NodeId)> {
        self.deeper()?;
        let pos = self.peek_non_space().pos;
        let mut children = Vec::new();
        while self.peek_non_space().token != Token::Eof {
            let node = self.text_or_action()?;
            if matches!(self.nodes.kind(node), Kind::End | Kind::Else) {
                self.nesting -= 1;
                return Ok((self.nodes.add(pos, Kind::List(children)), node));
            }
            children.push(node);
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<NodeId> {
        let item = self.next_non_space();
        match item.token {
            Token::Text => Ok(self.nodes.add(item.pos, Kind::Text(item.text.len() as u32))),
            Token::LeftDelim => {
                self.tree.action_line = item.line;
                let node = self.action()?;
                self.tree.action_line = 0;
                Ok(node)
            }
            _ => self.unexpected(&item, "input"),
        }
    }

    fn action(&mut self) -> Parsed<NodeId> {
        let item = self.next_non_space();
        match item.token {
            Token::Block => return self.block(),
            Token::Break => return self.jump(&item, Kind::Break, "{{break}}"),
            Token::Continue => return self.jump(&item, Kind::Continue, "{{continue}}"),
            Token::Else => {
                let next = self.peek_non_space();
                if matches!(next.token, Token::If | Token::With) {
                    return Ok(self.nodes.add(next.pos, Kind::Else));
                }
                let end = self.expect(Token::RightDelim, "else")?;
                return Ok(self.nodes.add(end.pos, Kind::Else));
            }
            Token::End => {
                let end = self.expect(Token::RightDelim, "end")?;
                return Ok(self.nodes.add(end.pos, Kind::End));
            }
            Token::If => return self.control(Branch::If),
            Token::Range => return self.control(Branch::Range),
            Token::With => return self.control(Branch::With),
            Token::Template => return self.template(),
            _ => {}
        }
        self.backup();
        let pos = self.peek().pos;
        let pipe = self.pipeline("command", Token::RightDelim)?;
        Ok(self.nodes.add(pos, Kind::Action(pipe)))
    }

    fn jump(&mut self, item: &Item<'a>, kind: Kind, word: &str) -> Parsed<NodeId> {
        let next = self.next_non_space();
        if next.token != Token::RightDelim {
            return self.unexpected(&next, word);
        }
        if self.tree.range_depth == 0 {
            return self.error(format!("{word} outside {{{{range}}}}"));
        }
        Ok(self.nodes.add(item.pos, kind))
    }

    fn control(&mut self, word: Branch) -> Parsed<NodeId> {
        self.deeper()?;
        let vars = self.tree.vars.len();
        let pipe = self.pipeline(word.word(), Token::RightDelim)?;
        if word == Branch::Range {
            self.tree.range_depth += 1;
        }
        let (list, next) = self.item_list()?;
        if word == Branch::Range {
            self.tree.range_depth -= 1;
        }
        let mut otherwise = None;
        if matches!(self.nodes.kind(next), Kind::Else) {
            let chained = match word {
                Branch::If => self.peek().token == Token::If,
                Branch::With => self.peek().token == Token::With,
                Branch::Range => false,
            };
            if chained {
                // `{{else if …}}` is `{{else}}{{if …}}` whose `{{end}}` serves both.
                self.next();
                let pos = self.nodes.get(next).pos as usize;
                let inner = self.control(word)?;
                otherwise = Some(self.nodes.add(pos, Kind::List(vec![inner])));
            } else {
                let (list, end) = self.item_list()?;
                if !matches!(self.nodes.kind(end), Kind::End) {
                    return self.error(format!("expected end; found {}", self.nodes.print(end)));
                }
                otherwise = Some(list);
            }
        }
        self.tree.vars.truncate(vars);
        self.nesting -= 1;
        let pos = self.nodes.get(pipe).pos as usize;
        Ok(self.nodes.add(pos, Kind::Branch { word, pipe, list, otherwise }))
    }

    fn block(&mut self) -> Parsed<NodeId> {
        let context = "block clause";
        let item = self.next_non_space();
        let name = self.template_name(&item, context)?;
        let pipe = self.pipeline(context, Token::RightDelim)?;
        let outer = std::mem::replace(&mut self.tree, Tree::new());
        let (list, end) = self.item_list()?;
        let ended = matches!(self.nodes.kind(end), Kind::End);
        if ended {
            self.add(name.clone(), list)?;
        }
        self.tree = outer;
        if !ended {
            // Go blames the line the outer template has got to.
            return self.error(format!("unexpected {} in {context}", self.nodes.print(end)));
        }
        Ok(self.nodes.add(item.pos, Kind::Template { name, pipe: Some(pipe) }))
    }

    fn template(&mut self) -> Parsed<NodeId> {
        let context = "template clause";
        let item = self.next_non_space();
        let name = self.template_name(&item, context)?;
        let mut pipe = None;
        if self.next_non_space().token != Token::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(context, Token::RightDelim)?);
        }
        Ok(self.nodes.add(item.pos, Kind::Template { name, pipe }))
    }

    fn template_name(&mut self, item: &Item<'a>, context: &str) -> Parsed<Str> {
        match item.token {
            Token::String | Token::RawString => self.unquote(item),
            _ => self.unexpected(item, context),
        }
    }

    // Pipelines.

    fn pipeline(&mut self, context: &str, end: Token) -> Parsed<NodeId> {
        let pos = self.peek_non_space().pos;
        let mut assign = false;
        let mut decl = Vec::new();
        loop {
            let variable = self.peek_non_space();
            if variable.token != Token::Variable {
                break;
            }
            self.next();
            let after = self.peek();
            let next = self.peek_non_space();
            let is_comma = next.token == Token::Char && next.text.as_ref() == b",";
            if matches!(next.token, Token::Assign | Token::Declare) || is_comma {
                self.next_non_space();
                let name = Str::new(&variable.text);
                decl.push(self.nodes.add(variable.pos, Kind::Variable(split_dots(&variable.text))));
                self.tree.vars.push(name);
                if !is_comma {
                    assign = next.token == Token::Assign;
                    break;
                }
                if context == "range" && decl.len() < 2 {
                    match self.peek_non_space().token {
                        Token::Variable | Token::RightDelim | Token::RightParen => continue,
                        _ => return self.error("range can only initialize variables"),
                    }
                }
                return self.error(format!("too many declarations in {context}"));
            }
            if after.token == Token::Space {
                self.backup3(variable, after);
            } else {
                self.backup2(variable);
            }
            break;
        }
        let mut commands = Vec::new();
        loop {
            let item = self.next_non_space();
            match item.token {
                token if token == end => break,
                Token::Bool
                | Token::CharConstant
                | Token::Complex
                | Token::Dot
                | Token::Field
                | Token::Identifier
                | Token::Number
                | Token::Nil
                | Token::RawString
                | Token::String
                | Token::Variable
                | Token::LeftParen => {
                    self.backup();
                    commands.push(self.command()?);
                }
                _ => return self.unexpected(&item, context),
            }
        }
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (i, command) in commands.iter().enumerate().skip(1) {
            let Kind::Command(args) = self.nodes.kind(*command) else { continue };
            if matches!(
                self.nodes.kind(args[0]),
                Kind::Bool(_) | Kind::Dot | Kind::Nil | Kind::Number(_) | Kind::String { .. }
            ) {
                return self.error(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(self.nodes.add(pos, Kind::Pipe { assign, decl, commands }))
    }

    fn command(&mut self) -> Parsed<NodeId> {
        let pos = self.peek_non_space().pos;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                args.push(operand);
            }
            let item = self.next();
            match item.token {
                Token::Space => continue,
                Token::RightDelim | Token::RightParen => self.backup(),
                Token::Pipe => {}
                _ => return self.unexpected(&item, "operand"),
            }
            break;
        }
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(self.nodes.add(pos, Kind::Command(args)))
    }

    fn operand(&mut self) -> Parsed<Option<NodeId>> {
        let Some(node) = self.term()? else { return Ok(None) };
        if self.peek().token != Token::Field {
            return Ok(Some(node));
        }
        let pos = self.peek().pos;
        let mut fields = Vec::new();
        while self.peek().token == Token::Field {
            fields.push(Str::new(&self.next().text[1..]));
        }
        match &mut self.nodes.get_mut(node).kind {
            Kind::Field(names) | Kind::Variable(names) => {
                names.extend(fields);
                self.nodes.get_mut(node).pos = pos as u32;
                Ok(Some(node))
            }
            Kind::Bool(_) | Kind::String { .. } | Kind::Number(_) | Kind::Nil | Kind::Dot => {
                let text = self.nodes.print(node);
                self.error(format!("unexpected . after term {}", quote(text.as_bytes())))
            }
            _ => Ok(Some(self.nodes.add(pos, Kind::Chain { node, fields }))),
        }
    }

    fn term(&mut self) -> Parsed<Option<NodeId>> {
        let item = self.next_non_space();
        let kind = match item.token {
            Token::Identifier => {
                let known = std::str::from_utf8(&item.text).ok().and_then(|name| self.funcs.find(name));
                let Some(func) = known else {
                    return self.error(format!("function {} not defined", quote(&item.text)));
                };
                Kind::Identifier(func.name)
            }
            Token::Dot => Kind::Dot,
            Token::Nil => Kind::Nil,
            Token::Variable => {
                let names = split_dots(&item.text);
                if !self.tree.vars.contains(&names[0]) {
                    return self.error(format!("undefined variable {}", quote(&names[0])));
                }
                Kind::Variable(names)
            }
            Token::Field => Kind::Field(split_dots(&item.text[1..])),
            Token::Bool => Kind::Bool(item.text.as_ref() == b"true"),
            Token::CharConstant | Token::Complex | Token::Number => {
                let number = match item.token {
                    Token::CharConstant => Number::character(&item.text),
                    Token::Complex => Number::complex(&item.text),
                    _ => Number::parse(&item.text),
                };
                match number {
                    Ok(number) => Kind::Number(Box::new(number)),
                    Err(message) => return self.error(message),
                }
            }
            Token::LeftParen => {
                self.deeper()?;
                let pipe = self.pipeline("parenthesized pipeline", Token::RightParen)?;
                self.nesting -= 1;
                return Ok(Some(pipe));
            }
            Token::String | Token::RawString => {
                let text = self.unquote(&item)?;
                Kind::String { quoted: item.text.len() as u32, text }
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(self.nodes.add(item.pos, kind)))
    }
}

fn split_dots(text: &[u8]) -> Vec<Str> {
    text.split(|c| *c == b'.').map(Str::new).collect()
}
