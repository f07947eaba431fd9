//! TOML as `BurntSushi/toml` reads it, with its words for what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use gotemplate::sprig::time::{Time, Zone};
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

impl<'a> Parser<'a> {
    fn new(text: &'a [u8]) -> Result<Self> {
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

    fn error_at(&self, line: usize, message: impl AsRef<str>) -> String {
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

    fn error(&self, message: impl AsRef<str>) -> String {
        let after_newline = self.at_end && self.at >= 1 && self.input[self.at - 1] == b'\n';
        self.error_at(self.line - usize::from(after_newline), message)
    }

    fn error_before(&self, message: impl AsRef<str>) -> String {
        self.error_at(self.line.saturating_sub(1), message)
    }

    // Characters.

    fn next(&mut self) -> Result<Option<char>> {
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

    fn back(&mut self, c: Option<char>) {
        self.at_end = false;
        if let Some(c) = c {
            self.at -= c.len_utf8();
            self.line -= usize::from(c == '\n');
        }
    }

    fn peek(&mut self) -> Result<Option<char>> {
        let c = self.next()?;
        self.back(c);
        Ok(c)
    }

    fn accept(&mut self, wanted: char) -> Result<bool> {
        let c = self.next()?;
        if c == Some(wanted) {
            return Ok(true);
        }
        self.back(c);
        Ok(false)
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let c = self.next()?;
            if !is_blank(c) {
                self.back(c);
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<()> {
        loop {
            let c = self.next()?;
            if c.is_none() || is_newline(c) {
                self.back(c);
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> Result<String> {
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

    // Statements.

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

    // Strings.

    fn basic_string(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                None => return Err(self.error("unexpected EOF; expected '\"'")),
                c if is_newline(c) => return Err(self.error_before("strings cannot contain newlines")),
                Some('\\') => self.escape(&mut text, false)?,
                Some('"') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn raw_string(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                None => return Err(self.error("unexpected EOF; expected \"'\"")),
                c if is_newline(c) => return Err(self.error_before("strings cannot contain newlines")),
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn multiline_string(&mut self) -> Result<String> {
        self.skip_first_newline()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                None => return Err(self.error("unexpected EOF; expected '\"\"\"'")),
                Some('\\') => self.escape(&mut text, true)?,
                Some('"') => {
                    if self.closing_quotes('"', &mut text)? {
                        return Ok(text);
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn multiline_raw_string(&mut self) -> Result<String> {
        self.skip_first_newline()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                None => return Err(self.error("unexpected EOF; expected \"'''\"")),
                Some('\'') => {
                    if self.closing_quotes('\'', &mut text)? {
                        return Ok(text);
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    /// After one quote: three end the string, and up to two more belong to it.
    fn closing_quotes(&mut self, quote: char, text: &mut String) -> Result<bool> {
        let mut count = 1;
        while count < 6 && self.accept(quote)? {
            count += 1;
        }
        if count == 6 {
            let six = quote.to_string().repeat(6);
            let shown = if quote == '"' { format!("'{six}'") } else { format!("\"{six}\"") };
            return Err(self.error(format!("unexpected {shown}")));
        }
        let inside = if count >= 3 { count - 3 } else { count };
        text.extend(std::iter::repeat_n(quote, inside));
        Ok(count >= 3)
    }

    fn skip_first_newline(&mut self) -> Result<()> {
        if self.accept('\r')? || self.peek()? == Some('\n') {
            self.accept('\n')?;
        }
        Ok(())
    }

    fn escape(&mut self, text: &mut String, multiline: bool) -> Result<()> {
        let c = self.next()?;
        let short = match c {
            Some('b') => Some('\u{8}'),
            Some('t') => Some('\t'),
            Some('n') => Some('\n'),
            Some('f') => Some('\u{c}'),
            Some('r') => Some('\r'),
            Some('e') => Some('\u{1b}'),
            Some('"' | '\\') => c,
            _ => None,
        };
        if let Some(short) = short {
            text.push(short);
            return Ok(());
        }
        let digits = match c {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(' ' | '\t' | '\r' | '\n') if multiline => {
                self.back(c);
                return self.line_continuation();
            }
            Some(c @ (' ' | '\t')) => return Err(self.error(format!("invalid escape: '\\{c}'"))),
            c => return Err(self.error(format!("invalid escape in string '\\{}'", c.unwrap_or('\0')))),
        };
        let start = self.at;
        for _ in 0..digits {
            let c = self.next()?;
            if !c.is_some_and(|c| c.is_ascii_hexdigit()) {
                let (count, letter) = match digits {
                    2 => ("two", 'x'),
                    4 => ("four", 'u'),
                    _ => ("eight", 'U'),
                };
                let found = gofmt::quote(&self.input[start - 2..self.at]);
                return Err(self.error(format!(
                    "expected {count} hexadecimal digits after '\\{letter}', but got {found} instead"
                )));
            }
        }
        let hex = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
        let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
        text.push(c.ok_or_else(|| self.error(format!("Escaped character '\\u{hex}' is not valid UTF-8.")))?);
        Ok(())
    }

    /// A backslash at the end of a line takes all blanks up to the next text away.
    fn line_continuation(&mut self) -> Result<()> {
        let mut newline = false;
        loop {
            match self.next()? {
                Some('\n') => newline = true,
                Some(' ' | '\t' | '\r') => {}
                c => {
                    self.back(c);
                    let blank = if self.input[..self.at].ends_with(b"\t") { '\t' } else { ' ' };
                    return if newline {
                        Ok(())
                    } else {
                        Err(self.error(format!("invalid escape: '\\{blank}'")))
                    };
                }
            }
        }
    }

    // Numbers and dates.

    fn signed(&mut self, start: usize) -> Result<Item> {
        let c = self.next()?;
        match c {
            Some('i' | 'n') => {
                let word = if c == Some('i') { "inf" } else { "nan" };
                for wanted in word.chars().skip(1) {
                    if !self.accept(wanted)? {
                        let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                        return Err(self.error(format!("invalid float: '{shown}'")));
                    }
                }
                let negative = self.input[start] == b'-';
                let value = if word == "inf" { f64::INFINITY } else { f64::NAN };
                Ok(Item::Value(Value::Float(if negative { -value } else { value })))
            }
            Some('0'..='9') => {
                if c == Some('0')
                    && let Some(base @ ('b' | 'o' | 'x')) = self.peek()?
                {
                    let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                    return Err(
                        self.error(format!("cannot use sign with non-decimal numbers: '{shown}{base}'"))
                    );
                }
                self.take_while(|c| c.is_ascii_digit() || matches!(c, '_'))?;
                self.finish_number(start)
            }
            Some('.') => Err(self.error("floats must start with a digit, not '.'")),
            c => Err(self.error(format!("expected a digit but got {}", quoted(c)))),
        }
    }

    fn number_or_date(&mut self) -> Result<Item> {
        let start = self.at;
        let first = self.next()?;
        if first == Some('0') {
            let base = self.peek()?;
            let base = match base {
                Some('b') => Some((2, "a binary")),
                Some('o') => Some((8, "an octal")),
                Some('x') => Some((16, "a hexadecimal")),
                _ => None,
            };
            if let Some((radix, name)) = base {
                let digit = |c: char| c.is_digit(radix);
                self.next()?;
                let c = self.peek()?;
                if !c.is_some_and(digit) {
                    let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                    let c = c.unwrap_or('\0');
                    return Err(self.error(format!("not {name} number: '{shown}{c}'")));
                }
                self.take_while(|c| digit(c) || c == '_')?;
                let text = self.text_from(start);
                return self.integer(&text);
            }
        }
        self.take_while(|c| c.is_ascii_digit())?;
        if matches!(self.peek()?, Some('-' | ':')) {
            let date = |c: char| {
                c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 't' | ' ' | '.' | 'Z' | 'z' | '+')
            };
            self.take_while(date)?;
            let text = self.text_from(start);
            return self.datetime(text.trim());
        }
        self.take_while(|c| c.is_ascii_digit() || c == '_')?;
        self.finish_number(start)
    }

    fn text_from(&self, start: usize) -> String {
        String::from_utf8_lossy(&self.input[start..self.at]).into_owned()
    }

    /// The rest of a decimal number whose whole part has been read.
    fn finish_number(&mut self, start: usize) -> Result<Item> {
        if matches!(self.peek()?, Some('.' | 'e' | 'E')) {
            self.take_while(|c| c.is_ascii_digit() || matches!(c, '_' | '.' | '-' | '+' | 'e' | 'E'))?;
            let text = self.text_from(start);
            return self.float(&text);
        }
        let text = self.text_from(start);
        self.integer(&text)
    }

    fn check_digits(&self, kind: &str, text: &str, parts: &[&str]) -> Result<()> {
        let shown = gofmt::quote(text.as_bytes());
        for part in parts {
            let mut accept = false;
            let mut fine = true;
            for c in part.chars() {
                fine &= c != '_' || accept;
                accept = c.is_ascii_hexdigit();
            }
            if !fine || !accept {
                return Err(
                    self.error(format!("Invalid {kind} {shown}: underscores must be surrounded by digits"))
                );
            }
        }
        let first = parts.first().copied().unwrap_or_default();
        let digits = first.strip_prefix(['+', '-']).unwrap_or(first);
        if digits.len() > 1 && digits.starts_with('0') && !digits[1..].starts_with(['b', 'o', 'x']) {
            return Err(self.error(format!("Invalid {kind} {shown}: cannot have leading zeroes")));
        }
        Ok(())
    }

    fn integer(&self, text: &str) -> Result<Item> {
        self.check_digits("integer", text, &[text])?;
        let plain = text.replace('_', "");
        let parsed = match plain.get(..2) {
            Some("0x") => i64::from_str_radix(&plain[2..], 16),
            Some("0o") => i64::from_str_radix(&plain[2..], 8),
            Some("0b") => i64::from_str_radix(&plain[2..], 2),
            _ => plain.parse(),
        };
        match parsed {
            Ok(number) => Ok(Item::Value(Value::int64(number))),
            Err(_) => Err(self.error(format!("{text} is out of range for int64"))),
        }
    }

    fn float(&self, text: &str) -> Result<Item> {
        let parts: Vec<&str> = text.split(['.', 'e', 'E']).filter(|part| !part.is_empty()).collect();
        self.check_digits("float", text, &parts)?;
        let shown = gofmt::quote(text.as_bytes());
        let mut after_period = false;
        for c in text.chars().chain(['$']) {
            if after_period && !c.is_ascii_digit() {
                return Err(
                    self.error(format!("Invalid float {shown}: '.' must be followed by one or more digits"))
                );
            }
            after_period = c == '.';
        }
        match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Item::Value(Value::Float(number))),
            Ok(_) => Err(self.error(format!("{text} is out of range for float64"))),
            Err(_) => Err(self.error(format!("Invalid float value: {shown}"))),
        }
    }

    fn datetime(&self, text: &str) -> Result<Item> {
        let text = text.replace('z', "Z").replace(['t', ' '], "T");
        let local = |name: &str| Zone::Fixed { name: name.into(), offset: 0 };
        let layouts = [
            ("2006-01-02T15:04:05.999999999Z07:00", Zone::Utc),
            ("2006-01-02T15:04:05.999999999", local("datetime-local")),
            ("2006-01-02", local("date-local")),
            ("15:04:05.999999999", local("time-local")),
            ("2006-01-02T15:04Z07:00", Zone::Utc),
            ("2006-01-02T15:04", local("datetime-local")),
            ("15:04", local("time-local")),
        ];
        let invalid = || self.error(format!("invalid datetime: {}", gofmt::quote(text.as_bytes())));
        for (layout, zone) in layouts {
            if let Ok(time) = Time::parse(layout.as_bytes(), text.as_bytes(), &zone) {
                let separators =
                    layout.bytes().zip(text.bytes()).take_while(|(l, _)| !matches!(l, b'.' | b'Z'));
                if separators.into_iter().any(|(l, t)| !l.is_ascii_digit() && l != t) {
                    return Err(invalid());
                }
                return Ok(Item::Value(Value::host(time)));
            }
        }
        Err(invalid())
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
