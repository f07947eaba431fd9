//! Strings of the four kinds and their escapes.

use gotemplate::gofmt;

use super::{Parser, Result, is_newline};

impl Parser<'_> {
    pub(super) fn basic_string(&mut self) -> Result<String> {
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

    pub(super) fn raw_string(&mut self) -> Result<String> {
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

    pub(super) fn multiline_string(&mut self) -> Result<String> {
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

    pub(super) fn multiline_raw_string(&mut self) -> Result<String> {
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
    pub(super) fn closing_quotes(&mut self, quote: char, text: &mut String) -> Result<bool> {
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

    pub(super) fn skip_first_newline(&mut self) -> Result<()> {
        if self.accept('\r')? || self.peek()? == Some('\n') {
            self.accept('\n')?;
        }
        Ok(())
    }

    pub(super) fn escape(&mut self, text: &mut String, multiline: bool) -> Result<()> {
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
    pub(super) fn line_continuation(&mut self) -> Result<()> {
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
}
