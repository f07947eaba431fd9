//! Plain scalars.

use std::borrow::Cow;

use super::chars::{is_blank, is_blankz, is_break, width};
use super::{Scanner, Style, Token};
use crate::error::Result;

/// Bytes that need a look inside a plain scalar: 1 in any context, 2 in flow context only.
const STOP: [u8; 256] = {
    let mut table = [0; 256];
    let always = [0, b' ', b'\t', b'\r', b'\n', b':', 0xC2, 0xE2];
    let flow = [b',', b'?', b'[', b']', b'{', b'}'];
    let mut i = 0;
    while i < always.len() {
        table[always[i] as usize] = 1;
        i += 1;
    }
    i = 0;
    while i < flow.len() {
        table[flow[i] as usize] = 2;
        i += 1;
    }
    table
};

impl<'a> Scanner<'a> {
    pub(super) fn scan_plain_scalar(&mut self) -> Result<Token<'a>> {
        let buf = self.buf;
        let start = self.mark();
        let mut end = start;
        let indent = self.indent + 1;
        let stop_from = if self.flow_level > 0 { 2 } else { 1 };

        // The scalar is what was folded so far plus the text from `segment` on.
        let mut folded = String::new();
        let mut segment = self.pos;
        let mut leading_blanks = false;
        let mut leading_break = "";
        let mut trailing_breaks = String::new();

        loop {
            self.need(4)?;
            if self.at_document_indicator() || self.peek() == b'#' {
                break;
            }

            loop {
                // Ordinary characters in one go.
                let rest = &buf[self.pos.min(buf.len())..];
                let run = rest
                    .iter()
                    .position(|&c| {
                        let stop = STOP[c as usize];
                        stop != 0 && stop <= stop_from
                    })
                    .unwrap_or(rest.len());
                if run > 0 {
                    self.fold_plain(
                        &mut leading_blanks,
                        &mut folded,
                        &mut segment,
                        leading_break,
                        &mut trailing_breaks,
                        end.pos,
                    );
                    let characters = rest[..run].iter().filter(|&&c| c & 0xC0 != 0x80).count();
                    self.pos += run;
                    self.index += characters as u32;
                    self.column += characters as u32;
                    end = self.mark();
                    self.need(2)?;
                }
                if is_blankz(self.buf, self.pos) {
                    break;
                }
                let c = self.peek();
                let ends = match c {
                    b':' => is_blankz(self.buf, self.pos + 1),
                    0xC2 | 0xE2 => false,
                    _ => true,
                };
                if ends {
                    break;
                }
                self.fold_plain(
                    &mut leading_blanks,
                    &mut folded,
                    &mut segment,
                    leading_break,
                    &mut trailing_breaks,
                    end.pos,
                );
                self.pos += width(c);
                self.index += 1;
                self.column += 1;
                end = self.mark();
                self.need(2)?;
            }

            if !(is_blank(self.peek()) || is_break(self.buf, self.pos)) {
                break;
            }
            self.need(1)?;
            loop {
                let c = self.peek();
                if is_blank(c) {
                    if leading_blanks && (self.column as i32) < indent && c == b'\t' {
                        return Err(self.error(start, "found a tab character that violates indentation"));
                    }
                    self.skip_ascii(1);
                } else if is_break(self.buf, self.pos) {
                    self.need(2)?;
                    if leading_blanks {
                        trailing_breaks.push_str(self.read_line());
                    } else {
                        leading_break = self.read_line();
                        leading_blanks = true;
                    }
                } else {
                    break;
                }
                self.need(1)?;
            }
            if self.flow_level == 0 && (self.column as i32) < indent {
                break;
            }
        }

        let last = &self.text[segment..end.pos as usize];
        let value = if folded.is_empty() {
            Cow::Borrowed(last)
        } else {
            folded.push_str(last);
            Cow::Owned(folded)
        };
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        Ok(Token::scalar(value, Style::Plain, start, end))
    }

    /// Joins the lines before this one, if there are any.
    #[inline(always)]
    fn fold_plain(
        &self,
        leading_blanks: &mut bool,
        folded: &mut String,
        segment: &mut usize,
        leading_break: &str,
        trailing_breaks: &mut String,
        end: u32,
    ) {
        if *leading_blanks {
            folded.push_str(&self.text[*segment..end as usize]);
            push_folded(folded, leading_break, trailing_breaks);
            *segment = self.pos;
            *leading_blanks = false;
        }
    }
}

/// Appends line breaks as they fold: one to a space, more to all but the first.
pub(super) fn push_folded(out: &mut String, leading_break: &str, trailing_breaks: &mut String) {
    if leading_break == "\n" {
        if trailing_breaks.is_empty() {
            out.push(' ');
        } else {
            out.push_str(trailing_breaks);
        }
    } else {
        out.push_str(leading_break);
        out.push_str(trailing_breaks);
    }
    trailing_breaks.clear();
}
