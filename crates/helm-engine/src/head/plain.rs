//! The head of a document in the plainest YAML, line by line: block maps and lists whose scalars end on their
//! line, and literal or folded texts. It decides nothing: what it is not sure of it leaves to the parser, and
//! what it accepts the parser accepts with the same head (debug builds compare every document).
//!
//! Telling hooks from manifests reads each document whole, since an error anywhere in it is an error. Most of
//! what charts give is written like this, and then a look at each line is enough.

use super::Head;

/// Deeper documents are the parser's.
const MAX_DEPTH: usize = 64;

/// A key may be 1024 characters long.
const MAX_KEY: usize = 1000;

/// The head, if the document is plain enough.
pub(super) fn read(doc: &str) -> Option<Head> {
    if !only_ordinary_characters(doc.as_bytes()) {
        return None;
    }
    let reader = Reader {
        text: doc,
        bytes: doc.as_bytes(),
        open: Vec::with_capacity(16),
        pending: Pending::Nothing,
        seen: 0,
        head: Head::default(),
    };
    reader.document()
}

/// Whether the reader cannot object to a character, and no line ends but with `\n`.
fn only_ordinary_characters(bytes: &[u8]) -> bool {
    let ordinary = bytes.chunks(64).all(|chunk| {
        !chunk.iter().fold(false, |found, &c| {
            found | (c < 0x20 && c != b'\n' && c != b'\t') | (c == 0x7F) | (c == 0xC2) | (c == 0xEF)
        })
    });
    // U+2028 and U+2029 end lines.
    ordinary
        && memchr::memchr_iter(0xE2, bytes)
            .all(|at| !matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xA8 | 0xA9])))
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
    text: &'a str,
    bytes: &'a [u8],
    open: Vec<Open>,
    pending: Pending<'a>,
    /// The fields of the head that occurred, a bit each.
    seen: u8,
    head: Head,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Option<Head> {
        let mut at = 0;
        while at < self.bytes.len() {
            let start = self.skip_spaces(at);
            at = match self.byte(start) {
                None => break,
                Some(b'\n') => start + 1,
                Some(b'#') => self.line_end(start),
                Some(_) => self.line(start, start - at)?,
            };
        }
        self.end_pending();
        // A document without content is rare enough.
        (!self.open.is_empty()).then_some(self.head)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn skip_spaces(&self, at: usize) -> usize {
        at + self.bytes[at..].iter().take_while(|c| **c == b' ').count()
    }

    /// Where the next line starts.
    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |end| at + end + 1)
    }

    /// Whether a blank, a line break or the end stands there.
    fn is_space(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    fn is_dash(&self, at: usize) -> bool {
        self.byte(at) == Some(b'-') && self.is_space(at + 1)
    }

    /// One line with content at `at`; where the next one starts that is not part of it.
    fn line(&mut self, at: usize, column: usize) -> Option<usize> {
        if self.is_dash(at) {
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
            let start = self.skip_spaces(at + 1);
            column += start - at;
            at = start;
            match self.byte(at) {
                None | Some(b'\n' | b'#') => {
                    self.pending = Pending::Item;
                    return Some(self.line_end(at));
                }
                Some(_) if self.is_dash(at) => self.push(column, true, Place::Elsewhere)?,
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
        let key = match self.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let (end, plain) = self.quoted(at, quote)?;
                if self.byte(end) != Some(b':') {
                    return Some(None);
                }
                if !plain || !self.is_space(end + 1) {
                    return None;
                }
                Key { text: &self.text[at + 1..end - 1], end: end + 1 }
            }
            first => {
                let mut end = at;
                loop {
                    match self.byte(end) {
                        None | Some(b'\n') => return Some(None),
                        Some(b':') if self.is_space(end + 1) => break,
                        Some(b'#') if self.bytes[end - 1] == b' ' => return Some(None),
                        Some(b'\t') => return None,
                        Some(_) => end += 1,
                    }
                }
                let text = &self.text[at..end];
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
        let at = self.skip_spaces(key.end);
        match self.byte(at) {
            None | Some(b'\n' | b'#') => {
                self.pending = Pending::Value(field);
                Some(self.line_end(at))
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
        match self.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let (end, plain) = self.quoted(at, quote)?;
                if field != Field::Other && !plain {
                    return None;
                }
                self.take(field, &self.text[at + 1..end - 1])?;
                self.rest_of_line(end)
            }
            b'|' | b'>' if field == Field::Other => self.block_text(at),
            b'{' if self.byte(at + 1) == Some(b'}') => {
                matches!(field, Field::Other | Field::Metadata | Field::Annotations).then_some(())?;
                self.rest_of_line(at + 2)
            }
            b'[' if field == Field::Other => self.flow_list(at),
            first => {
                let end = self.plain(at, first)?;
                if field != Field::Other {
                    let text = &self.text[at..end];
                    let ordinary = first.is_ascii_alphabetic() || matches!(first, b'_' | b'/');
                    (ordinary && is_string(text)).then_some(())?;
                    self.take(field, text)?;
                }
                Some(self.line_end(end))
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

    /// Where a plain scalar ends that starts there.
    fn plain(&self, at: usize, first: u8) -> Option<usize> {
        let second = self.byte(at + 1);
        match first {
            b'-' | b'+' if self.is_space(at + 1) || matches!(second, Some(b'.' | b'\t')) => return None,
            b'-' | b'+' | b'_' | b'/' | b'$' | b'(' | b'~' | b'^' => {}
            _ if first.is_ascii_alphanumeric() || first >= 0x80 => {}
            _ => return None,
        }
        let mut end = at;
        loop {
            match self.byte(end) {
                None | Some(b'\n') => break,
                Some(b':') if self.is_space(end + 1) => return None,
                Some(b'#') if self.bytes[end - 1] == b' ' => break,
                Some(b'\t') => return None,
                Some(_) => end += 1,
            }
        }
        while self.bytes[end - 1] == b' ' {
            end -= 1;
        }
        Some(end)
    }

    /// Where a quoted scalar ends that starts there, and whether its text is what stands between the quotes.
    fn quoted(&self, at: usize, quote: u8) -> Option<(usize, bool)> {
        let mut end = at + 1;
        let mut plain = true;
        loop {
            let c = self.byte(end)?;
            end += 1;
            if c == quote {
                if quote == b'"' || self.byte(end) != Some(quote) {
                    return Some((end, plain));
                }
                plain = false;
                end += 1;
            } else if c == b'\\' && quote == b'"' {
                plain = false;
                match self.byte(end)? {
                    b'0' | b'a' | b'b' | b't' | b'n' | b'v' | b'f' | b'r' | b'e' | b' ' | b'"' | b'\\' => {
                        end += 1
                    }
                    _ => return None,
                }
            } else if matches!(c, b'\n' | b'\t') {
                return None;
            }
        }
    }

    /// Nothing may follow but a comment; where the next line starts.
    fn rest_of_line(&self, at: usize) -> Option<usize> {
        let rest = self.skip_spaces(at);
        match self.byte(rest) {
            None | Some(b'\n') => {}
            Some(b'#') if rest > at => {}
            Some(_) => return None,
        }
        Some(self.line_end(rest))
    }

    /// A list of words in brackets, on one line.
    fn flow_list(&self, at: usize) -> Option<usize> {
        let mut at = self.skip_spaces(at + 1);
        if self.byte(at) == Some(b']') {
            return self.rest_of_line(at + 1);
        }
        loop {
            at = match self.byte(at)? {
                quote @ (b'"' | b'\'') => self.quoted(at, quote)?.0,
                first if first.is_ascii_alphanumeric() => {
                    let word =
                        |c: &&u8| c.is_ascii_alphanumeric() || matches!(**c, b'_' | b'.' | b'/' | b'-');
                    at + self.bytes[at..].iter().take_while(word).count()
                }
                _ => return None,
            };
            at = self.skip_spaces(at);
            match self.byte(at)? {
                b']' => return self.rest_of_line(at + 1),
                b',' => at = self.skip_spaces(at + 1),
                _ => return None,
            }
        }
    }

    /// A literal or folded text; where the first line after it starts.
    fn block_text(&self, at: usize) -> Option<usize> {
        let header = at + 1 + usize::from(matches!(self.byte(at + 1), Some(b'-' | b'+')));
        let mut at = self.rest_of_line(header)?;
        // The first line that is not blank says how far the text is indented.
        let mut blank = 0;
        let indent = loop {
            let start = self.skip_spaces(at);
            match self.byte(start)? {
                b'\n' => {
                    blank = blank.max(start - at);
                    at = start + 1;
                }
                b'\t' => return None,
                _ => break start - at,
            }
        };
        if indent <= self.open.last()?.column || blank > indent {
            return None;
        }
        loop {
            at = self.line_end(at);
            let rest = &self.bytes[at..];
            let spaces = rest.iter().take(indent).take_while(|c| **c == b' ').count();
            if spaces < indent {
                match rest.get(spaces) {
                    None => return Some(self.bytes.len()),
                    Some(b'\n') => {}
                    Some(b'\t') => return None,
                    Some(_) => return Some(at),
                }
            }
        }
    }
}

/// Words that are no strings, whatever their case: some spellings are, but those are the parser's.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Whether a plain scalar that starts with a letter is a string for sure.
fn is_string(text: &str) -> bool {
    text.len() > 5 || !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written as most charts are.
    const PLAIN: &str = r#"# Source: x
apiVersion: apps/v1
kind: "Deployment"
metadata:
  name: web   # a comment
  namespace: 'it''s'
  labels:
    app: web
    on-call: "a \"b\" \n"

  annotations:
    helm.sh/hook: pre-install,post-upgrade
    'helm.sh/hook-weight': "-5"
    empty:
spec:
  replicas: 1
  'ü': é — ü
  ratio: -1.5
  args:
  - --port=80
  - name: x
    value: http://a:80/#b
  -
    key: y
  - - a
    - b
  own:
    line
  empty:
    {}
  list:
    -
      'own # line'
    - "a: b"
    - [a, "b", 'c']  # words
    - {}
  script: |-

    #!/bin/sh
      echo "a: b"
	tab
   not
  last: >+
     text

     more
emptied: []
nothing: ~
"#;

    fn agrees(doc: &str) -> bool {
        let Some(head) = read(doc) else { return false };
        match Head::parse_fully(doc) {
            Ok(full) => assert_eq!(head, full, "{doc}"),
            Err(error) => panic!("{error} in\n{doc}"),
        }
        true
    }

    #[test]
    fn plain_documents_are_read_as_the_parser_reads_them() {
        let sound = PLAIN.replace("\ttab\n   not\n", "    more\n");
        assert!(agrees(&sound));
        let head = read(&sound).unwrap();
        assert_eq!(
            (head.api_version.as_str(), head.kind.as_str(), head.name.as_str()),
            ("apps/v1", "Deployment", "web")
        );
        let annotations: Vec<_> =
            head.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            annotations,
            ["empty=", "helm.sh/hook=pre-install,post-upgrade", "helm.sh/hook-weight=-5"]
        );
        for doc in [
            "kind: A",
            "kind: A\nmetadata: {}\n",
            "kind: A\nmetadata:\n",
            "metadata:\n  annotations:\n    a:\n    b: c\n",
            "a:\n- b\n- c:\n  - d\n  e: f\ng: h\n",
            "a:\n  - |\n   x\n  - y\nb: c\n",
            "a: |\n  x\n\n\n",
            "a: b\n\n  # indented comment\nc: d",
            "metadata:\n  annotations:\n    {}\n  name:\n    web\nkind:\n  'A'\n",
            "a:\n- b\n-\n  |\n  c\n",
            "# first\n  a: b\n  c: d\n",
            "a: -x\nb: +y\nc: 2001-01-01\nd: 0x10\n",
        ] {
            assert!(agrees(doc), "{doc}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for doc in [
            "",
            "# nothing\n",
            PLAIN,
            "- a",
            "a",
            "a: b: c",
            "a: b\n  c",
            "a: b\n  c: d",
            "a: b\n c: d\n",
            "  a: b\nc: d\n",
            "a:\n  - b\n  c: d\n",
            "a: - b",
            "a:\n  b\n  c",
            "a:\n  b\n   c",
            "a:\n  {}: b",
            "a:\nb",
            "a:\n- b\n  c: d",
            "metadata:\n  a",
            "metadata:\n  name:\n    1",
            "a: &x b",
            "a: *x",
            "a: !x b",
            "a: .inf",
            "a: -.INF",
            "a: @b",
            "a: 'b",
            "a: \"b\n  c\"",
            "a: \"\\q\"",
            "a: 'b' c",
            "a: {b: c}",
            "a: [b, [c]]",
            "a: [b\n  , c]",
            "a: |2\n   x",
            "a: |\nb: c",
            "a: |\n     \n  x\n",
            "a:\tb",
            "a: b\tc",
            "a: b\r\n",
            "a: b\u{2028}c: d",
            "a: \u{85}",
            "~: a",
            "null: a",
            "1: a",
            "<<: a",
            "? a",
            "a : b",
            "%a: b",
            "--- a",
            "...",
            "kind: 1",
            "kind: yes",
            "kind: [a]",
            "kind:\n  a: b",
            "kind: a\nKind: b",
            "metadata: a",
            "metadata:\n- a",
            "metadata:\n  name: 1.10",
            "metadata:\n  annotations:\n    a: 1",
            "metadata:\n  annotations:\n    yes: a",
            "metadata:\n  annotations:\n    a: [b]",
            "\u{212a}ind: a",
        ] {
            assert_eq!(read(doc), None, "{doc}");
        }
        assert_eq!(read(&format!("{}: a", "x".repeat(1025))), None);
        let nested: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(read(&nested), None);
    }

    #[test]
    fn documents_with_random_faults_are_never_taken_for_others() {
        const FAULTS: &[&str] = &[
            " ",
            "  ",
            "\n",
            "\n\n",
            "-",
            "- ",
            ":",
            ": ",
            "#",
            " #",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "[",
            "]",
            "{",
            "}",
            ",",
            "&a",
            "*a",
            "!",
            "\t",
            "a",
            "1",
            "~",
            "? ",
            "a: b\n",
            "- a\n",
            "---\n",
            "kind: x\n",
            "  ",
            "    ",
            "\u{a0}",
            ".inf",
            "<<: ",
            "|2",
            "null",
            "yes",
        ];
        let sound = PLAIN.replace("\ttab\n   not\n", "    more\n");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let (mut accepted, rounds) = (0, 20_000);
        for _ in 0..rounds {
            let mut doc = sound.clone();
            for _ in 0..=random(3) {
                let boundary = |mut at: usize| {
                    while !doc.is_char_boundary(at) {
                        at -= 1;
                    }
                    at
                };
                let from = boundary(random(doc.len() + 1));
                let to = boundary((from + random(4)).min(doc.len())).max(from);
                doc.replace_range(from..to, FAULTS[random(FAULTS.len())]);
            }
            accepted += usize::from(agrees(&doc));
        }
        // Both ways were taken often.
        assert!((rounds / 10..rounds * 9 / 10).contains(&accepted), "{accepted}");
    }
}
