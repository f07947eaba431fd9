//! TOML as `BurntSushi/toml` reads it, with its words for what is wrong.

mod cursor;
mod scalars;
mod strings;

use std::collections::{BTreeMap, BTreeSet};

use gotemplate::types::MAPS;
use gotemplate::{List, Value, gofmt};

/// Helm's `fromToml`: a map, with the key `Error` if the text is no TOML.
pub(in crate::engine) fn decode(text: &[u8]) -> Value {
    match Parser::new(text).and_then(Parser::document) {
        Ok(table) => value_of(Item::Table(table)),
        Err(error) => Value::map([("Error", Value::from(error))]),
    }
}

type Table = BTreeMap<String, Item>;

enum Item {
    Value(Value),
    List(Vec<Item>),
    Table(Table),
    Tables(Vec<Table>),
}

fn value_of(item: Item) -> Value {
    match item {
        Item::Value(value) => value,
        Item::List(items) => Value::list(items.into_iter().map(value_of).collect()),
        Item::Table(table) => Value::map(table.into_iter().map(|(key, item)| (key, value_of(item)))),
        Item::Tables(tables) => {
            let tables = tables.into_iter().map(|table| value_of(Item::Table(table)));
            Value::List(List::new(MAPS, tables.collect()))
        }
    }
}

/// How deep values may nest.
const MAX_DEPTH: usize = 500;

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    line: usize,
    at_end: bool,
    root: Table,
    /// The table that keys are put into, from the root on.
    context: Vec<String>,
    /// The last key read.
    key: String,
    implicit: BTreeSet<Vec<String>>,
    /// Where the current statement's key is, for errors about it.
    key_line: usize,
    depth: usize,
}

type Result<T> = std::result::Result<T, String>;

fn is_blank(c: Option<char>) -> bool {
    matches!(c, Some(' ' | '\t'))
}

fn is_newline(c: Option<char>) -> bool {
    matches!(c, Some('\n' | '\r'))
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// A character the way Go's `%q` shows it; the end of input is its zero rune.
fn quoted(c: Option<char>) -> String {
    gofmt::quote_rune(u64::from(u32::from(c.unwrap_or('\0'))))
}

fn or_end(c: Option<char>) -> String {
    c.map_or_else(|| "end of file".to_owned(), |c| format!("'{c}'"))
}

impl Parser<'_> {
    fn document(mut self) -> Result<Table> {
        loop {
            match self.next()? {
                c if is_blank(c) || is_newline(c) => {}
                Some('#') => self.skip_comment()?,
                None => return Ok(self.root),
                Some('[') => {
                    self.table_header()?;
                    self.end_of_statement()?;
                }
                c => {
                    self.back(c);
                    self.statement()?;
                    self.end_of_statement()?;
                }
            }
        }
    }

    fn end_of_statement(&mut self) -> Result<()> {
        loop {
            match self.next()? {
                Some('#') => return self.skip_comment(),
                c if is_blank(c) => {}
                c if c.is_none() || is_newline(c) => return Ok(()),
                c => {
                    return Err(self.error(format!(
                        "expected a top-level item to end with a newline, comment, or EOF, but got {} instead",
                        quoted(c)
                    )));
                }
            }
        }
    }

    fn table_header(&mut self) -> Result<()> {
        let array = self.accept('[')?;
        let mut key = Vec::new();
        loop {
            self.skip_blanks()?;
            match self.peek()? {
                None | Some(']') => {
                    return Err(self.error("unexpected end of table name (table names cannot be empty)"));
                }
                Some('.') => {
                    return Err(self.error("unexpected table separator (table names cannot be empty)"));
                }
                _ => {}
            }
            let line = self.line;
            key.push(self.key_part()?);
            if key.len() == 1 {
                self.key_line = line;
            }
            self.skip_blanks()?;
            match self.next()? {
                Some('.') => {}
                Some(']') => break,
                c => {
                    return Err(self.error(format!(
                        "expected '.' or ']' to end table name, but got {} instead",
                        quoted(c)
                    )));
                }
            }
        }
        if array {
            match self.next()? {
                Some(']') => {}
                c => {
                    return Err(self.error(format!(
                        "expected end of table array name delimiter ']', but got {} instead",
                        quoted(c)
                    )));
                }
            }
        }
        self.add_context(&key, array)
    }

    fn key_part(&mut self) -> Result<String> {
        match self.peek()? {
            Some('"') => {
                self.next()?;
                self.basic_string()
            }
            Some('\'') => {
                self.next()?;
                self.raw_string()
            }
            _ => self.take_while(is_bare),
        }
    }

    /// `a.b = `, up to and with the equals sign.
    fn dotted_key(&mut self) -> Result<Vec<String>> {
        self.skip_blanks()?;
        match self.peek()? {
            None | Some('=') => return Err(self.error("unexpected '=': key name appears blank")),
            Some('.') => return Err(self.error("unexpected '.': keys cannot start with a '.'")),
            _ => {}
        }
        let mut key = Vec::new();
        loop {
            self.skip_blanks()?;
            if !key.is_empty() {
                match self.peek()? {
                    None | Some('=') => return Err(self.error("unexpected '='")),
                    Some('.') => return Err(self.error("unexpected '.'")),
                    _ => {}
                }
            }
            let line = self.line;
            key.push(self.key_part()?);
            if key.len() == 1 {
                self.key_line = line;
            }
            self.skip_blanks()?;
            match self.next()? {
                Some('.') => {}
                Some('=') => return Ok(key),
                None => return Err(self.error("unexpected EOF; expected key separator '='")),
                c => {
                    let message = format!("expected '.' or '=', but got {} instead", quoted(c));
                    return Err(if c == Some('\n') {
                        self.error_before(message)
                    } else {
                        self.error(message)
                    });
                }
            }
        }
    }

    fn statement(&mut self) -> Result<()> {
        let outer = self.context.clone();
        let mut key = self.dotted_key()?;
        let last = key.pop().unwrap_or_default();
        self.key.clone_from(&last);
        for part in key {
            let mut full = self.context.clone();
            full.push(part);
            self.implicit.insert(full.clone());
            self.add_context(&full, false)?;
        }
        let value = self.value()?;
        self.set(&last, value)?;
        self.context = outer;
        self.key.clear();
        Ok(())
    }

    // The tree.

    fn redefined(&self, key: &[String]) -> String {
        self.error_at(self.key_line, format!("Key '{}' has already been defined.", path(key)))
    }

    fn add_context(&mut self, key: &[String], array: bool) -> Result<()> {
        let Some((last, parents)) = key.split_last() else { return Ok(()) };
        let mut seen = Vec::new();
        let mut table = &mut self.root;
        for part in parents {
            seen.push(part.clone());
            if !table.contains_key(part) {
                self.implicit.insert(seen.clone());
                table.insert(part.clone(), Item::Table(Table::new()));
            }
            table = match table.get_mut(part) {
                Some(Item::Table(below)) => below,
                Some(Item::Tables(list)) if !list.is_empty() => {
                    let at = list.len() - 1;
                    &mut list[at]
                }
                _ => {
                    let message = format!("Key '{}' was already created as a hash.", path(&seen));
                    return Err(self.error_at(self.key_line, message));
                }
            };
        }
        if array {
            match table.entry(last.clone()).or_insert_with(|| Item::Tables(Vec::new())) {
                Item::Tables(list) => list.push(Table::new()),
                _ => {
                    self.context = seen;
                    let message =
                        format!("Key '{}' was already created and cannot be used as an array.", path(key));
                    return Err(self.error_at(self.key_line, message));
                }
            }
            self.context = seen;
        } else {
            self.context = seen;
            self.set(last, Item::Table(Table::new()))?;
        }
        self.context.push(last.clone());
        Ok(())
    }

    fn set(&mut self, key: &str, value: Item) -> Result<()> {
        let mut full = Vec::new();
        let mut table = &mut self.root;
        for part in &self.context {
            full.push(part.clone());
            table = match table.get_mut(part) {
                Some(Item::Table(below)) => below,
                Some(Item::Tables(list)) if !list.is_empty() => {
                    let at = list.len() - 1;
                    &mut list[at]
                }
                _ => return Err(self.redefined(&full)),
            };
        }
        full.push(key.to_owned());
        if table.contains_key(key) {
            return if self.implicit.remove(&full) { Ok(()) } else { Err(self.redefined(&full)) };
        }
        table.insert(key.to_owned(), value);
        Ok(())
    }

    // Values.

    fn value(&mut self) -> Result<Item> {
        self.skip_blanks()?;
        let start = self.at;
        let c = self.next()?;
        Ok(Item::Value(match c {
            Some('0'..='9') => {
                self.back(c);
                return self.number_or_date();
            }
            Some('[') => return self.array(),
            Some('{') => return self.inline_table(),
            Some('"') => Value::from(if self.accept('"')? {
                if self.accept('"')? { self.multiline_string()? } else { String::new() }
            } else {
                self.basic_string()?
            }),
            Some('\'') => Value::from(if self.accept('\'')? {
                if self.accept('\'')? { self.multiline_raw_string()? } else { String::new() }
            } else {
                self.raw_string()?
            }),
            Some('.') => return Err(self.error("floats must start with a digit, not '.'")),
            Some('-' | '+') => return self.signed(start),
            Some(letter) if letter.is_alphabetic() => {
                self.back(c);
                let word = self.take_while(char::is_alphabetic)?;
                match word.as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "inf" => Value::Float(f64::INFINITY),
                    "nan" => Value::Float(f64::NAN),
                    _ => {
                        let word = gofmt::quote(word.as_bytes());
                        return Err(self.error(format!("expected value but found {word} instead")));
                    }
                }
            }
            None => return Err(self.error("unexpected EOF; expected value")),
            c => {
                let message = format!("expected value but found {} instead", quoted(c));
                return Err(if c == Some('\n') { self.error_before(message) } else { self.error(message) });
            }
        }))
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("values nest too deeply"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn array(&mut self) -> Result<Item> {
        self.nested(|parser| {
            let mut items = Vec::new();
            loop {
                match parser.next()? {
                    c if is_blank(c) || is_newline(c) => {}
                    Some('#') => parser.skip_comment()?,
                    Some(',') => return Err(parser.error("unexpected comma")),
                    Some(']') => return Ok(Item::List(items)),
                    c => {
                        parser.back(c);
                        items.push(parser.value()?);
                        if parser.end_of_item(']')? {
                            return Ok(Item::List(items));
                        }
                    }
                }
            }
        })
    }

    /// After a value of an array: true at its end, false at a comma.
    fn end_of_item(&mut self, end: char) -> Result<bool> {
        loop {
            match self.next()? {
                c if is_blank(c) || is_newline(c) => {}
                Some('#') => self.skip_comment()?,
                Some(',') => return Ok(false),
                Some(c) if c == end => return Ok(true),
                c => {
                    return Err(self.error(if end == ']' {
                        format!("expected a comma (',') or array terminator (']'), but got {}", or_end(c))
                    } else {
                        format!(
                            "expected a comma or an inline table terminator '}}', but got {} instead",
                            or_end(c)
                        )
                    }));
                }
            }
        }
    }

    fn inline_table(&mut self) -> Result<Item> {
        self.nested(|parser| {
            let (outer, outer_key) = (parser.context.clone(), parser.key.clone());
            parser.context.push(std::mem::take(&mut parser.key));
            let mut table = Table::new();
            loop {
                match parser.next()? {
                    c if is_blank(c) || is_newline(c) => continue,
                    Some('#') => {
                        parser.skip_comment()?;
                        continue;
                    }
                    Some(',') => return Err(parser.error("unexpected comma")),
                    Some('}') => break,
                    c => parser.back(c),
                }
                let mut key = parser.dotted_key()?;
                let last = key.pop().unwrap_or_default();
                let inner = parser.context.clone();
                parser.context.extend(key.iter().cloned());
                parser.key.clone_from(&last);
                let value = parser.value()?;
                parser.insert_inline(&mut table, &key, &last, value)?;
                parser.context = inner;
                if parser.end_of_item('}')? {
                    break;
                }
                parser.skip_blanks()?;
                if parser.peek()? == Some('}') {
                    parser.next()?;
                    break;
                }
            }
            parser.context = outer;
            parser.key = outer_key;
            Ok(Item::Table(table))
        })
    }

    fn insert_inline(&self, table: &mut Table, parents: &[String], last: &str, value: Item) -> Result<()> {
        let mut below = table;
        for part in parents {
            below = match below.entry(part.clone()).or_insert_with(|| Item::Table(Table::new())) {
                Item::Table(table) => table,
                _ => return Err(self.redefined(&self.context)),
            };
        }
        if below.contains_key(last) {
            let mut full = self.context.clone();
            full.push(last.to_owned());
            return Err(self.redefined(&full));
        }
        below.insert(last.to_owned(), value);
        Ok(())
    }
}

/// A key as Go prints it, parts quoted where they must be.
fn path(key: &[String]) -> String {
    let part = |part: &String| {
        if !part.is_empty() && part.chars().all(is_bare) {
            part.clone()
        } else {
            gofmt::quote(part.as_bytes())
        }
    };
    let parts: Vec<String> = key.iter().map(part).collect();
    parts.join(".")
}
