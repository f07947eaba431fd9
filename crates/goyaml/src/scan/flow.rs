//! Quoted scalars.

use std::borrow::Cow;

use super::chars::{is_blank, is_blankz, is_break, width};
use super::plain::push_folded;
use super::{Scanner, Style, Token};
use crate::error::Result;

impl<'a> Scanner<'a> {
    pub(super) fn scan_flow_scalar(&mut self, single: bool) -> Result<Token<'a>> {
        let buf = self.buf;
        let start = self.mark();
        let quote = if single { b'\'' } else { b'"' };
        self.skip_ascii(1);

        // The scalar is what was built so far plus the text from `segment` on.
        let mut built = String::new();
        let mut owned = false;
        let mut segment = self.pos;
        let mut trailing_breaks = String::new();

        loop {
            self.need(4)?;
            if self.at_document_indicator() {
                return Err(self.error(start, "found unexpected document indicator"));
            }
            if self.peek() == 0 {
                return Err(self.error(start, "found unexpected end of stream"));
            }

            let mut leading_blanks = false;
            loop {
                // Ordinary ASCII in one go.
                let rest = &buf[self.pos.min(buf.len())..];
                let run = rest
                    .iter()
                    .position(|&c| c <= b' ' || c == quote || (c == b'\\' && !single) || c >= 0x80)
                    .unwrap_or(rest.len());
                self.skip_ascii(run);
                self.need(2)?;
                if is_blankz(buf, self.pos) {
                    break;
                }
                let c = self.peek();
                if c == quote {
                    if !single || self.peek_at(1) != b'\'' {
                        break;
                    }
                    // An escaped quote: the text up to the first of the two, then on from the second.
                    built.push_str(&self.text[segment..self.pos]);
                    owned = true;
                    segment = self.pos + 1;
                    self.skip_ascii(2);
                } else if c == b'\\' && !single {
                    built.push_str(&self.text[segment..self.pos]);
                    owned = true;
                    if is_break(buf, self.pos + 1) {
                        self.need(3)?;
                        self.skip_ascii(1);
                        self.skip_line();
                        leading_blanks = true;
                        segment = self.pos;
                        break;
                    }
                    self.scan_escape(start, &mut built)?;
                    segment = self.pos;
                } else {
                    self.pos += width(c);
                    self.index += 1;
                    self.column += 1;
                }
                self.need(2)?;
            }

            self.need(1)?;
            if self.peek() == quote {
                break;
            }

            let text_end = self.pos;
            // After an escaped line break nothing of the line is kept.
            let mut leading_break = "";
            let mut folds = leading_blanks;
            loop {
                if is_blank(self.peek()) {
                    self.skip_ascii(1);
                } else if is_break(buf, self.pos) {
                    self.need(2)?;
                    if folds {
                        trailing_breaks.push_str(self.read_line());
                    } else {
                        leading_break = self.read_line();
                        folds = true;
                    }
                } else {
                    break;
                }
                self.need(1)?;
            }
            if folds {
                built.push_str(&self.text[segment..text_end]);
                owned = true;
                push_folded(&mut built, leading_break, &mut trailing_breaks);
                segment = self.pos;
            }
        }

        let last = &self.text[segment..self.pos];
        let value = if owned {
            built.push_str(last);
            Cow::Owned(built)
        } else {
            Cow::Borrowed(last)
        };
        self.skip_ascii(1);
        let end = self.mark();
        let style = if single { Style::SingleQuoted } else { Style::DoubleQuoted };
        Ok(Token::scalar(value, style, start, end))
    }

    /// Scans `\x` and its like in a double-quoted scalar.
    fn scan_escape(&mut self, start: super::Mark, out: &mut String) -> Result<()> {
        let mut code_length = 0;
        match self.peek_at(1) {
            b'0' => out.push('\0'),
            b'a' => out.push('\x07'),
            b'b' => out.push('\x08'),
            b't' | b'\t' => out.push('\t'),
            b'n' => out.push('\n'),
            b'v' => out.push('\x0B'),
            b'f' => out.push('\x0C'),
            b'r' => out.push('\r'),
            b'e' => out.push('\x1B'),
            b' ' => out.push(' '),
            b'"' => out.push('"'),
            b'\'' => out.push('\''),
            b'\\' => out.push('\\'),
            b'N' => out.push('\u{85}'),
            b'_' => out.push('\u{A0}'),
            b'L' => out.push('\u{2028}'),
            b'P' => out.push('\u{2029}'),
            b'x' => code_length = 2,
            b'u' => code_length = 4,
            b'U' => code_length = 8,
            _ => return Err(self.error(start, "found unknown escape character")),
        }
        self.skip_ascii(2);
        if code_length == 0 {
            return Ok(());
        }
        self.need(code_length)?;
        let mut value: u32 = 0;
        for offset in 0..code_length {
            let Some(digit) = char::from(self.peek_at(offset)).to_digit(16) else {
                return Err(self.error(start, "did not find expected hexdecimal number"));
            };
            value = (value << 4) | digit;
        }
        match char::from_u32(value) {
            Some(c) => out.push(c),
            None => return Err(self.error(start, "found invalid Unicode character escape code")),
        }
        self.skip_ascii(code_length);
        Ok(())
    }
}
