//! The format string: the upper half of Go's `fmt` (`doPrintf`).

use super::layout::Flags;
use super::print::Printer;
use super::quote::decode_rune;
use crate::Value;

/// Widths and precisions above this are refused.
const TOO_LARGE: i64 = 1_000_000;

/// Where a format string is being read.
struct Reader<'a> {
    format: &'a [u8],
    at: usize,
    next_arg: usize,
    after_index: bool,
    good_arg: bool,
    reordered: bool,
}

impl Printer {
    pub(super) fn printf(&mut self, format: &[u8], args: &[Value]) {
        let mut reader =
            Reader { format, at: 0, next_arg: 0, after_index: false, good_arg: true, reordered: false };
        while reader.at < format.len() && !self.stopped() {
            reader.good_arg = true;
            let text = &format[reader.at..];
            let plain = text.iter().position(|c| *c == b'%').unwrap_or(text.len());
            self.buf.extend_from_slice(&text[..plain]);
            reader.at += plain;
            if reader.at >= format.len() {
                break;
            }
            reader.at += 1;
            self.flags = Flags::default();
            if !self.one_verb(&mut reader, args) {
                break;
            }
        }
        if !reader.reordered && reader.next_arg < args.len() {
            self.flags = Flags::default();
            self.buf.extend_from_slice(b"%!(EXTRA ");
            for (i, arg) in args[reader.next_arg..].iter().enumerate() {
                if i > 0 {
                    self.buf.extend_from_slice(b", ");
                }
                if !arg.is_nil() {
                    self.buf.extend_from_slice(arg.type_name().as_bytes());
                    self.buf.push(b'=');
                }
                self.print_arg(arg, 'v');
            }
            self.buf.push(b')');
        }
    }

    /// One verb with its flags; false when the format ends before the verb.
    fn one_verb(&mut self, reader: &mut Reader<'_>, args: &[Value]) -> bool {
        while let Some(flag) = reader.peek() {
            match flag {
                b'#' => self.flags.sharp = true,
                b'0' => self.flags.zero = true,
                b'+' => self.flags.plus = true,
                b'-' => self.flags.minus = true,
                b' ' => self.flags.space = true,
                _ => break,
            }
            reader.at += 1;
        }
        reader.arg_number(args.len());
        self.width(reader, args);
        self.precision(reader, args);
        if !reader.after_index {
            reader.arg_number(args.len());
        }
        if reader.at >= reader.format.len() {
            self.buf.extend_from_slice(b"%!(NOVERB)");
            return false;
        }
        let (verb, width) = decode_rune(&reader.format[reader.at..]);
        reader.at += width;
        if verb == '%' {
            self.buf.push(b'%');
        } else if !reader.good_arg {
            self.bang(verb, "(BADINDEX)");
        } else if reader.next_arg >= args.len() {
            self.bang(verb, "(MISSING)");
        } else {
            if matches!(verb, 'v' | 'w') {
                self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
                self.flags.plus_v = std::mem::take(&mut self.flags.plus);
            }
            self.print_arg(&args[reader.next_arg], verb);
            reader.next_arg += 1;
        }
        true
    }

    fn bang(&mut self, verb: char, what: &str) {
        self.buf.extend_from_slice(b"%!");
        self.push_rune(verb);
        self.buf.extend_from_slice(what.as_bytes());
    }

    fn width(&mut self, reader: &mut Reader<'_>, args: &[Value]) {
        if reader.peek() == Some(b'*') {
            reader.at += 1;
            match reader.int_arg(args) {
                None => self.buf.extend_from_slice(b"%!(BADWIDTH)"),
                Some(width) => {
                    if width < 0 {
                        self.flags.minus = true;
                        self.flags.zero = false;
                    }
                    self.flags.width = Some(width.unsigned_abs() as usize);
                }
            }
            reader.after_index = false;
        } else {
            self.flags.width = reader.number();
            if reader.after_index && self.flags.width.is_some() {
                reader.good_arg = false;
            }
        }
    }

    fn precision(&mut self, reader: &mut Reader<'_>, args: &[Value]) {
        if reader.at + 1 >= reader.format.len() || reader.peek() != Some(b'.') {
            return;
        }
        reader.at += 1;
        if reader.after_index {
            reader.good_arg = false;
        }
        reader.arg_number(args.len());
        if reader.peek() == Some(b'*') {
            reader.at += 1;
            self.flags.precision = reader.int_arg(args).and_then(|p| usize::try_from(p).ok());
            if self.flags.precision.is_none() {
                self.buf.extend_from_slice(b"%!(BADPREC)");
            }
            reader.after_index = false;
        } else {
            self.flags.precision = Some(reader.number().unwrap_or(0));
        }
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.format.len();
        let (number, at) = parse_number(self.format, self.at, end);
        self.at = at;
        number
    }

    fn int_arg(&mut self, args: &[Value]) -> Option<i64> {
        let number = match args.get(self.next_arg)?.plain() {
            Value::Int(n, _) => Some(n),
            Value::Uint(n, _) => i64::try_from(n).ok(),
            _ => None,
        };
        self.next_arg += 1;
        number.filter(|n| n.abs() <= TOO_LARGE)
    }

    /// An explicit index like `[3]`, if there is one here.
    fn arg_number(&mut self, count: usize) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let format = &self.format[self.at..];
        let close = format.iter().position(|c| *c == b']').filter(|_| format.len() >= 3);
        let Some(close) = close else {
            self.good_arg = false;
            self.at += 1;
            return;
        };
        let (number, end) = parse_number(format, 1, close);
        self.at += close + 1;
        match number {
            Some(number) if end == close => {
                self.after_index = true;
                if (1..=count).contains(&number) {
                    self.next_arg = number - 1;
                } else {
                    self.good_arg = false;
                }
            }
            _ => self.good_arg = false,
        }
    }
}

/// The decimal number at `start`, and where it ends; a number that is too large ends the text.
fn parse_number(text: &[u8], start: usize, end: usize) -> (Option<usize>, usize) {
    if start >= end {
        return (None, end);
    }
    let mut number: i64 = 0;
    let mut at = start;
    while at < end && text[at].is_ascii_digit() {
        if number > TOO_LARGE {
            return (None, end);
        }
        number = number * 10 + i64::from(text[at] - b'0');
        at += 1;
    }
    ((at > start).then_some(number as usize), at)
}

#[cfg(test)]
mod tests {
    use crate::gofmt::{Bounds, sprint, sprintf};
    use crate::{Limit, Map, Value};

    fn printf(format: &str, args: &[Value]) -> String {
        String::from_utf8(sprintf(format.as_bytes(), args, Bounds::default()).unwrap()).unwrap()
    }

    #[test]
    fn complaints_are_gos() {
        let two = [Value::int(1), Value::str("x")];
        assert_eq!(printf("%d", &[Value::str("x")]), "%!d(string=x)");
        assert_eq!(printf("%d %d", &[Value::int(1)]), "1 %!d(MISSING)");
        assert_eq!(printf("%d", &two), "1%!(EXTRA string=x)");
        assert_eq!(printf("%[2]s %[1]d", &two), "x 1");
        assert_eq!(printf("%[3]d", &two), "%!d(BADINDEX)");
        assert_eq!(printf("%*d|", &[Value::int(4), Value::int(1)]), "   1|");
        assert_eq!(printf("%", &[]), "%!(NOVERB)");
    }

    #[test]
    fn a_map_that_holds_itself_ends_with_a_limit() {
        let map = Map::new();
        map.insert("self", Value::Map(map.clone()));
        let result = sprint(&[Value::Map(map.clone())], Bounds::default());
        assert_eq!(result, Err(Limit::Nesting(200)));
        map.remove("self");
    }
}
