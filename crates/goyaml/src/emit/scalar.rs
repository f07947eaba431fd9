//! The five ways to write a scalar.

use super::YamlWriter;
use super::analyze::Analysis;
use crate::resolve::{Schema, is_plain_string};
use crate::scan::Style;
use crate::scan::chars::{at, is_break, is_printable, width};

/// The style go-yaml asks for when it writes a string.
pub(super) fn string_style(schema: Schema, text: &str) -> Style {
    if text.as_bytes().contains(&b'\n') {
        Style::Literal
    } else if is_plain_string(schema, text)
        && !is_base60_float(text)
        && !(schema == Schema::V3 && is_old_bool(text))
    {
        Style::Plain
    } else {
        Style::DoubleQuoted
    }
}

/// `^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`
fn is_base60_float(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if let [b'+' | b'-', tail @ ..] = rest {
        rest = tail;
    }
    let [b'0'..=b'9', ..] = rest else { return false };
    let whole = rest.iter().take_while(|&&c| c.is_ascii_digit() || c == b'_').count();
    rest = &rest[whole..];
    let mut groups = 0;
    loop {
        rest = match rest {
            [b':', b'0'..=b'5', b'0'..=b'9', tail @ ..] => tail,
            [b':', b'0'..=b'9', tail @ ..] => tail,
            _ => break,
        };
        groups += 1;
    }
    if let [b'.', tail @ ..] = rest {
        rest = &tail[tail.iter().take_while(|&&c| c.is_ascii_digit() || c == b'_').count()..];
    }
    groups > 0 && rest.is_empty()
}

/// Booleans of YAML 1.1, which go-yaml v3 quotes.
fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

impl YamlWriter {
    /// Writes a scalar in `style`, or in the next style that its text allows.
    pub(super) fn scalar(
        &mut self,
        text: &str,
        style: Style,
        analysis: Analysis,
        simple_key: bool,
        binary: bool,
    ) {
        let mut style = style;
        if simple_key && analysis.multiline {
            style = Style::DoubleQuoted;
        }
        if style == Style::Plain && (!analysis.plain_allowed || (text.is_empty() && simple_key)) {
            style = Style::SingleQuoted;
        }
        if style == Style::SingleQuoted && !analysis.single_quoted_allowed {
            style = Style::DoubleQuoted;
        }
        if style == Style::Literal && (!analysis.block_allowed || simple_key) {
            style = Style::DoubleQuoted;
        }
        if binary {
            if !self.whitespace {
                self.put(" ");
            }
            self.put("!!binary");
            self.whitespace = false;
            self.indention = false;
        }
        let outside = self.indent;
        self.increase_indent(true, false);
        match style {
            Style::SingleQuoted => self.write_single_quoted(text, !simple_key, analysis.multiline),
            Style::DoubleQuoted => self.write_double_quoted(text, !simple_key),
            Style::Literal => self.write_literal(text),
            _ => self.write_plain(text, !simple_key, analysis.multiline),
        }
        self.indent = outside;
    }

    /// Writes text that holds no line break.
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += characters(text);
    }

    /// Writes a line break of the text.
    fn put_text_break(&mut self, text: &str) {
        if text == "\n" {
            self.put_break();
        } else {
            self.out.push_str(text);
            self.column = 0;
            if self.schema == Schema::V3 {
                self.indention = true;
            }
        }
    }

    /// Whether a text of one line can be written without a look at where it folds.
    fn fits(&self, text: &str) -> bool {
        self.best_width == usize::MAX || self.column + text.len() <= self.best_width
    }

    fn write_plain(&mut self, text: &str, allow_breaks: bool, multiline: bool) {
        if !self.whitespace && (self.schema == Schema::V2 || !text.is_empty()) {
            self.put(" ");
        }
        if !multiline && (!allow_breaks || self.fits(text)) {
            self.put(text);
        } else {
            self.write_folding(text, allow_breaks, false);
        }
        if self.schema == Schema::V2 || !text.is_empty() {
            self.whitespace = false;
        }
        self.indention = false;
    }

    fn write_single_quoted(&mut self, text: &str, allow_breaks: bool, multiline: bool) {
        self.write_indicator("'", true, false, false);
        if !multiline && (!allow_breaks || self.fits(text)) && !text.contains('\'') {
            self.put(text);
        } else {
            self.write_folding(text, allow_breaks, true);
        }
        self.write_indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    /// Plain and single-quoted text: breaks at single spaces past the width, doubles line breaks and quotes.
    fn write_folding(&mut self, text: &str, allow_breaks: bool, quoted: bool) {
        let value = text.as_bytes();
        let mut spaces = false;
        let mut breaks = false;
        let mut i = 0;
        while i < value.len() {
            if value[i] == b' ' {
                let inner = !quoted || (i > 0 && i < value.len() - 1);
                if allow_breaks
                    && !spaces
                    && self.column > self.best_width
                    && inner
                    && at(value, i + 1) != b' '
                {
                    self.write_indent();
                } else {
                    self.put(" ");
                }
                i += 1;
                spaces = true;
            } else if is_break(value, i) {
                if !breaks && value[i] == b'\n' {
                    self.put_break();
                }
                let w = width(value[i]);
                self.put_text_break(&text[i..i + w]);
                i += w;
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                let mut end = i;
                while end < value.len()
                    && value[end] != b' '
                    && (value[end] != b'\'' || !quoted)
                    && !is_break(value, end)
                {
                    end += width(value[end]);
                }
                if end == i {
                    self.put("''");
                    end += 1;
                } else {
                    self.put(&text[i..end]);
                }
                i = end;
                self.indention = false;
                spaces = false;
                breaks = false;
            }
        }
    }

    fn write_double_quoted(&mut self, text: &str, allow_breaks: bool) {
        let value = text.as_bytes();
        // go-yaml looks for the mark at the start of the text whatever character it is at.
        let bom = text.starts_with('\u{FEFF}');
        let mut spaces = false;
        self.write_indicator("\"", true, false, false);
        let mut i = 0;
        while i < value.len() {
            let c = value[i];
            if bom || c == b'"' || c == b'\\' || !is_printable(value, i) || is_break(value, i) {
                let c = text[i..].chars().next().unwrap_or_default();
                i += c.len_utf8();
                self.put_escape(c);
                spaces = false;
            } else if c == b' ' {
                if allow_breaks && !spaces && self.column > self.best_width && i > 0 && i < value.len() - 1 {
                    self.write_indent();
                    if value[i + 1] == b' ' {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
                i += 1;
                spaces = true;
            } else {
                let mut end = i;
                while end < value.len()
                    && !matches!(value[end], b' ' | b'"' | b'\\')
                    && is_printable(value, end)
                    && !is_break(value, end)
                {
                    end += width(value[end]);
                }
                self.put(&text[i..end]);
                i = end;
                spaces = false;
            }
        }
        self.write_indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn put_escape(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0B' => "\\v",
            '\x0C' => "\\f",
            '\r' => "\\r",
            '\x1B' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{A0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => "",
        };
        if !short.is_empty() {
            self.put(short);
            return;
        }
        let code = u32::from(c);
        let text = match code {
            ..=0xFF => format!("\\x{code:02X}"),
            0x100..=0xFFFF => format!("\\u{code:04X}"),
            _ => format!("\\U{code:08X}"),
        };
        self.put(&text);
    }

    fn write_literal(&mut self, text: &str) {
        let value = text.as_bytes();
        self.write_indicator("|", true, false, false);
        self.write_block_hints(text);
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        let mut i = 0;
        while i < value.len() {
            if is_break(value, i) {
                let w = width(value[i]);
                self.put_text_break(&text[i..i + w]);
                i += w;
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                let mut end = i;
                while end < value.len() && !is_break(value, end) {
                    end += width(value[end]);
                }
                self.put(&text[i..end]);
                i = end;
                self.indention = false;
                breaks = false;
            }
        }
    }

    fn write_block_hints(&mut self, text: &str) {
        let value = text.as_bytes();
        if at(value, 0) == b' ' || is_break(value, 0) {
            let hint = self.best_indent.to_string();
            self.write_indicator(&hint, false, false, false);
        }
        let mut backwards = text.char_indices().rev().map(|(i, _)| is_break(value, i));
        let hint = match (backwards.next(), backwards.next()) {
            (Some(true), Some(true) | None) => "+",
            (Some(true), Some(false)) => return,
            _ => "-",
        };
        self.write_indicator(hint, false, false, false);
    }
}

/// Characters of a text, as go-yaml counts columns.
fn characters(text: &str) -> usize {
    text.bytes().filter(|c| c & 0xC0 != 0x80).count()
}
