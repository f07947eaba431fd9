//! Literal and folded scalars.

use std::borrow::Cow;

use super::chars::{at, is_blank, is_break, is_breakz};
use super::{Mark, Scanner, Style, Token};
use crate::error::Result;

impl<'a> Scanner<'a> {
    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<Token<'a>> {
        let buf = self.buf;
        let start = self.mark();
        self.skip_ascii(1);
        self.need(1)?;

        // Chomping and indentation indicators, in either order.
        let mut chomping = 0;
        let mut increment = 0;
        if let Some(found) = self.scan_chomping() {
            chomping = found;
            self.need(1)?;
            increment = self.scan_increment(start)?;
        } else if self.peek().is_ascii_digit() {
            increment = self.scan_increment(start)?;
            self.need(1)?;
            chomping = self.scan_chomping().unwrap_or(0);
        }

        self.skip_blanks()?;
        if self.peek() == b'#' {
            self.skip_comment()?;
        }
        if !is_breakz(buf, self.pos) {
            return Err(self.error(start, "did not find expected comment or line break"));
        }
        if is_break(buf, self.pos) {
            self.need(2)?;
            self.skip_line();
        }

        let mut end = self.mark();
        let mut indent = match increment {
            0 => 0,
            _ => self.indent.max(0) + increment,
        };

        let mut value = String::new();
        let mut leading_break = "";
        let mut trailing_breaks = String::new();
        self.scan_block_scalar_breaks(&mut indent, &mut trailing_breaks, start, &mut end)?;

        self.need(1)?;
        let mut leading_blank = false;
        while self.column as i32 == indent && self.peek() != 0 {
            let trailing_blank = is_blank(self.peek());
            if !literal && !leading_blank && !trailing_blank && leading_break == "\n" {
                if trailing_breaks.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(leading_break);
            }
            value.push_str(&trailing_breaks);
            trailing_breaks.clear();
            leading_blank = is_blank(self.peek());

            let line = self.pos;
            self.skip_to_break()?;
            value.push_str(&self.text[line..self.pos]);
            self.need(2)?;
            leading_break = self.read_line();
            self.scan_block_scalar_breaks(&mut indent, &mut trailing_breaks, start, &mut end)?;
        }

        if chomping != -1 {
            value.push_str(leading_break);
        }
        if chomping == 1 {
            value.push_str(&trailing_breaks);
        }
        let style = if literal { Style::Literal } else { Style::Folded };
        Ok(Token::scalar(Cow::Owned(value), style, start, end))
    }

    fn scan_chomping(&mut self) -> Option<i32> {
        let chomping = match self.peek() {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.skip_ascii(1);
        Some(chomping)
    }

    fn scan_increment(&mut self, start: Mark) -> Result<i32> {
        let c = self.peek();
        if !c.is_ascii_digit() {
            return Ok(0);
        }
        if c == b'0' {
            return Err(self.error(start, "found an indentation indicator equal to 0"));
        }
        self.skip_ascii(1);
        Ok(i32::from(c - b'0'))
    }

    /// Eats indentation and empty lines, and settles the indentation if it is not known yet.
    fn scan_block_scalar_breaks(
        &mut self,
        indent: &mut i32,
        breaks: &mut String,
        start: Mark,
        end: &mut Mark,
    ) -> Result<()> {
        *end = self.mark();
        let mut max_indent = 0;
        loop {
            self.need(1)?;
            while (*indent == 0 || (self.column as i32) < *indent) && at(self.buf, self.pos) == b' ' {
                self.skip_ascii(1);
                self.need(1)?;
            }
            max_indent = max_indent.max(self.column as i32);
            if (*indent == 0 || (self.column as i32) < *indent) && self.peek() == b'\t' {
                return Err(self.error(start, "found a tab character where an indentation space is expected"));
            }
            if !is_break(self.buf, self.pos) {
                break;
            }
            self.need(2)?;
            breaks.push_str(self.read_line());
            *end = self.mark();
        }
        if *indent == 0 {
            *indent = max_indent.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}
