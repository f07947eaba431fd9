//! Text as the plain reader goes through it: what stands at a place, and where a value that begins there ends. It knows
//! nothing of maps and lists, and gives up wherever the parser might see something else.

/// A document, all of its characters ordinary.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// None if a character needs more than a look.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        only_ordinary_characters(bytes).then_some(Self { text, bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn between(&self, start: usize, end: usize) -> &'a str {
        &self.text[start..end]
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn skip_spaces(&self, at: usize) -> usize {
        at + self.bytes[at..].iter().take_while(|c| **c == b' ').count()
    }

    /// Where the next line starts.
    pub(super) fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |end| at + end + 1)
    }

    /// Whether a blank, a line break or the end stands there.
    pub(super) fn is_space(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    pub(super) fn is_dash(&self, at: usize) -> bool {
        self.byte(at) == Some(b'-') && self.is_space(at + 1)
    }

    /// Where a plain scalar ends that starts there.
    pub(super) fn plain(&self, at: usize, first: u8) -> Option<usize> {
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
    pub(super) fn quoted(&self, at: usize, quote: u8) -> Option<(usize, bool)> {
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
    pub(super) fn rest_of_line(&self, at: usize) -> Option<usize> {
        let rest = self.skip_spaces(at);
        match self.byte(rest) {
            None | Some(b'\n') => {}
            Some(b'#') if rest > at => {}
            Some(_) => return None,
        }
        Some(self.line_end(rest))
    }

    /// A list of words in brackets, on one line.
    pub(super) fn flow_list(&self, at: usize) -> Option<usize> {
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

    /// A literal or folded text in a block at `column`; where the first line after it starts.
    pub(super) fn block_text(&self, at: usize, column: usize) -> Option<usize> {
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
        if indent <= column || blank > indent {
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

/// Words that are no strings, whatever their case: some spellings are, but those are the parser's.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Whether a plain scalar that starts with a letter is a string for sure.
pub(super) fn is_string(text: &str) -> bool {
    text.len() > 5 || !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}
