//! The head of a document in the plainest YAML, line by line: block maps and lists whose scalars end on their
//! line, and literal or folded texts. It decides nothing: what it is not sure of it leaves to the parser, and
//! what it accepts the parser accepts with the same head (debug builds compare every document).
//!
//! Telling hooks from manifests reads each document whole, since an error anywhere in it is an error. Most of
//! what charts give is written like this, and then a look at each line is enough.

mod text;

#[cfg(test)]
mod tests;

use self::text::{Text, is_string};
use super::Head;

/// Deeper documents are the parser's.
const MAX_DEPTH: usize = 64;

/// A key may be 1024 characters long.
const MAX_KEY: usize = 1000;

/// The head, if the document is plain enough.
pub(super) fn read(doc: &str) -> Option<Head> {
    let reader = Reader {
        text: Text::new(doc)?,
        open: Vec::with_capacity(16),
        pending: Pending::Nothing,
        seen: 0,
        head: Head::default(),
    };
    reader.document()
}

/// What a map means to the head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Annotations,
    Elsewhere,
}

/// What a value means to the head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field<'a> {
    ApiVersion,
    Kind,
    Metadata,
    Name,
    Annotations,
    Annotation(&'a str),
    Other,
}

/// A block that is not closed yet.
struct Open {
    column: usize,
    list: bool,
    /// A list whose dashes stand where the keys of the map around it do.
    indentless: bool,
    place: Place,
}

/// A value that starts on a line below, if there is one.
enum Pending<'a> {
    Nothing,
    Value(Field<'a>),
    Item,
}

struct Key<'a> {
    text: &'a str,
    /// After the colon.
    end: usize,
}

struct Reader<'a> {
    text: Text<'a>,
    open: Vec<Open>,
    pending: Pending<'a>,
    /// The fields of the head that occurred, a bit each.
    seen: u8,
    head: Head,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Option<Head> {
        let mut at = 0;
        while at < self.text.len() {
            let start = self.text.skip_spaces(at);
            at = match self.text.byte(start) {
                None => break,
                Some(b'\n') => start + 1,
                Some(b'#') => self.text.line_end(start),
                Some(_) => self.line(start, start - at)?,
            };
        }
        self.end_pending();
        // A document without content is rare enough.
        (!self.open.is_empty()).then_some(self.head)
    }

    /// One line with content at `at`; where the next one starts that is not part of it.
    fn line(&mut self, at: usize, column: usize) -> Option<usize> {
        if self.text.is_dash(at) {
            self.place_line(column, true)?;
            return self.items(at, column);
        }
        let key = self.key(at)?;
        let around = self.open.last().map(|open| open.column);
        match (key, &self.pending) {
            (Some(key), _) => {
                self.place_line(column, false)?;
                self.entry(&key)
            }
            // A scalar on a line of its own.
            (None, &Pending::Value(field)) if around < Some(column) => {
                self.pending = Pending::Nothing;
                self.value(at, field)
            }
            (None, Pending::Item) if around < Some(column) => {
                self.pending = Pending::Nothing;
                self.value(at, Field::Other)
            }
            (None, _) => None,
        }
    }

    /// A line that starts with a dash, and what follows the last dash of it.
    fn items(&mut self, at: usize, column: usize) -> Option<usize> {
        let (mut at, mut column) = (at, column);
        loop {
            let start = self.text.skip_spaces(at + 1);
            column += start - at;
            at = start;
            match self.text.byte(at) {
                None | Some(b'\n' | b'#') => {
                    self.pending = Pending::Item;
                    return Some(self.text.line_end(at));
                }
                Some(_) if self.text.is_dash(at) => self.push(column, true, Place::Elsewhere)?,
                Some(_) => match self.key(at)? {
                    Some(key) => {
                        self.push(column, false, Place::Elsewhere)?;
                        return self.entry(&key);
                    }
                    None => return self.value(at, Field::Other),
                },
            }
        }
    }

    /// Opens and closes blocks until the last one is the one the line belongs to.
    fn place_line(&mut self, column: usize, dash: bool) -> Option<()> {
        let top = self.open.last().map(|open| (open.column, open.place));
        match (&self.pending, top) {
            (Pending::Nothing, None) => {
                if dash {
                    return None;
                }
                return self.push(column, false, Place::Root);
            }
            (&Pending::Value(field), Some((around, _))) if column > around => {
                let place = match field {
                    Field::Metadata => Place::Metadata,
                    Field::Annotations => Place::Annotations,
                    Field::Other => Place::Elsewhere,
                    _ => return None,
                };
                if dash && field != Field::Other {
                    return None;
                }
                self.pending = Pending::Nothing;
                return self.push(column, dash, place);
            }
            (&Pending::Value(field), Some((around, _))) if column == around && dash => {
                if field != Field::Other {
                    return None;
                }
                self.pending = Pending::Nothing;
                self.push(column, true, Place::Elsewhere)?;
                self.open.last_mut()?.indentless = true;
                return Some(());
            }
            (Pending::Item, Some((around, _))) if column > around => {
                self.pending = Pending::Nothing;
                return self.push(column, dash, Place::Elsewhere);
            }
            _ => self.end_pending(),
        }
        while self.open.last()?.column > column {
            self.open.pop();
        }
        if !dash && self.open.last()?.indentless {
            self.open.pop();
        }
        let top = self.open.last()?;
        (top.column == column && top.list == dash).then_some(())
    }

    fn push(&mut self, column: usize, list: bool, place: Place) -> Option<()> {
        self.open.push(Open { column, list, indentless: false, place });
        (self.open.len() <= MAX_DEPTH).then_some(())
    }

    /// The value that was to come is null.
    fn end_pending(&mut self) {
        if let Pending::Value(Field::Annotation(key)) = std::mem::replace(&mut self.pending, Pending::Nothing)
        {
            self.head.annotations.insert(key.to_owned(), String::new());
        }
    }

    /// The key that starts there, if a colon follows it.
    fn key(&self, at: usize) -> Option<Option<Key<'a>>> {
        let key = match self.text.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let (end, plain) = self.text.quoted(at, quote)?;
                if self.text.byte(end) != Some(b':') {
                    return Some(None);
                }
                if !plain || !self.text.is_space(end + 1) {
                    return None;
                }
                Key { text: self.text.between(at + 1, end - 1), end: end + 1 }
            }
            first => {
                let mut end = at;
                loop {
                    match self.text.byte(end) {
                        None | Some(b'\n') => return Some(None),
                        Some(b':') if self.text.is_space(end + 1) => break,
                        Some(b'#') if self.text.byte(end - 1) == Some(b' ') => return Some(None),
                        Some(b'\t') => return None,
                        Some(_) => end += 1,
                    }
                }
                let text = self.text.between(at, end);
                let ordinary = first.is_ascii_alphabetic() || matches!(first, b'_' | b'/');
                if !ordinary || text.ends_with(' ') || !is_string(text) {
                    return None;
                }
                Key { text, end: end + 1 }
            }
        };
        (key.text.len() <= MAX_KEY).then_some(Some(key))
    }

    /// What follows a key.
    fn entry(&mut self, key: &Key<'a>) -> Option<usize> {
        let field = self.field(key)?;
        let at = self.text.skip_spaces(key.end);
        match self.text.byte(at) {
            None | Some(b'\n' | b'#') => {
                self.pending = Pending::Value(field);
                Some(self.text.line_end(at))
            }
            Some(_) => self.value(at, field),
        }
    }

    fn field(&mut self, key: &Key<'a>) -> Option<Field<'a>> {
        let place = self.open.last()?.place;
        if matches!(place, Place::Root | Place::Metadata) && !key.text.is_ascii() {
            return None;
        }
        let (field, bit) = match place {
            Place::Root if key.text.eq_ignore_ascii_case("apiVersion") => (Field::ApiVersion, 1),
            Place::Root if key.text.eq_ignore_ascii_case("kind") => (Field::Kind, 2),
            Place::Root if key.text.eq_ignore_ascii_case("metadata") => (Field::Metadata, 4),
            Place::Metadata if key.text.eq_ignore_ascii_case("name") => (Field::Name, 8),
            Place::Metadata if key.text.eq_ignore_ascii_case("annotations") => (Field::Annotations, 16),
            Place::Annotations => (Field::Annotation(key.text), 0),
            _ => (Field::Other, 0),
        };
        // Which of two counts is the parser's business.
        if self.seen & bit != 0 {
            return None;
        }
        self.seen |= bit;
        Some(field)
    }

    /// A value on the line; where the next line starts.
    fn value(&mut self, at: usize, field: Field<'a>) -> Option<usize> {
        match self.text.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let (end, plain) = self.text.quoted(at, quote)?;
                if field != Field::Other && !plain {
                    return None;
                }
                self.take(field, self.text.between(at + 1, end - 1))?;
                self.text.rest_of_line(end)
            }
            b'|' | b'>' if field == Field::Other => self.text.block_text(at, self.open.last()?.column),
            b'{' if self.text.byte(at + 1) == Some(b'}') => {
                matches!(field, Field::Other | Field::Metadata | Field::Annotations).then_some(())?;
                self.text.rest_of_line(at + 2)
            }
            b'[' if field == Field::Other => self.text.flow_list(at),
            first => {
                let end = self.text.plain(at, first)?;
                if field != Field::Other {
                    let text = self.text.between(at, end);
                    let ordinary = first.is_ascii_alphabetic() || matches!(first, b'_' | b'/');
                    (ordinary && is_string(text)).then_some(())?;
                    self.take(field, text)?;
                }
                Some(self.text.line_end(end))
            }
        }
    }

    fn take(&mut self, field: Field<'a>, text: &str) -> Option<()> {
        let place = match field {
            Field::Other => return Some(()),
            Field::ApiVersion => &mut self.head.api_version,
            Field::Kind => &mut self.head.kind,
            Field::Name => &mut self.head.name,
            Field::Annotation(key) => self.head.annotations.entry(key.to_owned()).or_default(),
            Field::Metadata | Field::Annotations => return None,
        };
        text.clone_into(place);
        Some(())
    }
}
