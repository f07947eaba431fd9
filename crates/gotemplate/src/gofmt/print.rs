//! What each kind of value prints under each verb: the middle of Go's `fmt` (`print.go`).

use super::Bounds;
use super::layout::Flags;
use crate::{Host, Kind, Limit, Map, Value, types};

pub(super) struct Printer {
    pub(super) buf: Vec<u8>,
    pub(super) flags: Flags,
    pub(super) bounds: Bounds,
    /// Whether a pointer at the top prints as what it points to.
    pub(super) indirect: bool,
    /// Whether a struct at the top is printed through its address.
    pub(super) addressed: bool,
    failed: Option<Limit>,
    erroring: bool,
}

impl Printer {
    pub(super) fn new(buf: Vec<u8>, bounds: Bounds) -> Printer {
        Printer {
            buf,
            flags: Flags::default(),
            bounds,
            indirect: false,
            addressed: false,
            failed: None,
            erroring: false,
        }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, Limit> {
        match self.failed {
            None => Ok(self.buf),
            Some(limit) => Err(limit),
        }
    }

    /// Operands with spaces between those that are not strings.
    pub(super) fn print_all(&mut self, args: &[Value]) {
        let mut previous_is_string = false;
        for (i, arg) in args.iter().enumerate() {
            let is_string = arg.kind() == Kind::String;
            if i > 0 && !is_string && !previous_is_string {
                self.buf.push(b' ');
            }
            self.print_arg(arg, 'v');
            previous_is_string = is_string;
        }
    }

    pub(super) fn stopped(&mut self) -> bool {
        if self.failed.is_none() && self.buf.len() as u64 > self.bounds.bytes {
            self.failed = Some(Limit::Memory(self.bounds.bytes));
        }
        self.failed.is_some()
    }

    fn write(&mut self, text: &str) {
        self.buf.extend_from_slice(text.as_bytes());
    }

    pub(super) fn push_rune(&mut self, rune: char) {
        let mut utf8 = [0; 4];
        self.buf.extend_from_slice(rune.encode_utf8(&mut utf8).as_bytes());
    }

    fn pad(&mut self, text: &str) {
        self.flags.pad(&mut self.buf, text.as_bytes());
    }

    /// `%!verb(type=value)`.
    pub(super) fn bad_verb(&mut self, verb: char, value: &Value) {
        let was_erroring = std::mem::replace(&mut self.erroring, true);
        self.write("%!");
        self.push_rune(verb);
        self.write("(");
        match value.go_type() {
            None => self.write("<nil>"),
            Some(ty) => {
                self.write(ty.name());
                self.write("=");
                self.print_arg(value, 'v');
            }
        }
        self.write(")");
        self.erroring = was_erroring;
    }

    pub(super) fn print_arg(&mut self, arg: &Value, verb: char) {
        match (arg, verb) {
            (Value::Nil, 'T' | 'v') => self.pad("<nil>"),
            (Value::Nil, _) => self.bad_verb(verb, arg),
            (_, 'T') => self.flags.string(&mut self.buf, arg.type_name().as_bytes()),
            (_, 'p') => self.pointer(arg, 'p'),
            _ => self.print_value(arg, verb, 0),
        }
    }

    fn print_value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.stopped() {
            return;
        }
        if depth > self.bounds.nesting {
            self.failed = Some(Limit::Nesting(self.bounds.nesting));
            return;
        }
        match value {
            Value::Nil => self.nil_element(),
            Value::Bool(b) => match verb {
                't' | 'v' => self.pad(if *b { "true" } else { "false" }),
                _ => self.bad_verb(verb, value),
            },
            Value::Int(n, _) => self.integer(value, *n as u64, true, verb),
            Value::Uint(n, _) => self.integer(value, *n, false, verb),
            Value::Float(f) => self.float(value, *f, verb),
            Value::Complex(re, im) => self.complex(value, *re, *im, verb),
            Value::Str(text) => self.string(value, text, verb),
            Value::Bytes(bytes) => self.bytes(bytes.as_deref(), verb, depth),
            Value::List(list) => {
                if verb == 'w' && depth == 0 {
                    self.bad_verb(verb, value);
                    return;
                }
                self.elements(list.go_type().name(), list.is_nil(), list, verb, depth);
            }
            Value::Map(map) => {
                if verb == 'w' && depth == 0 {
                    self.bad_verb(verb, value);
                    return;
                }
                self.map(map, verb, depth);
            }
            Value::Host(host) => self.host(value, &**host, verb, depth),
            Value::Func(_) => self.pointer(value, verb),
        }
    }

    /// A nil inside a slice, map or struct: Go sees an empty interface there.
    fn nil_element(&mut self) {
        self.write(if self.flags.sharp_v { "interface {}(nil)" } else { "<nil>" });
    }

    fn integer(&mut self, value: &Value, bits: u64, signed: bool, verb: char) {
        let flags = self.flags;
        let buf = &mut self.buf;
        match verb {
            'v' if flags.sharp_v && !signed => {
                Flags { sharp: true, ..flags }.integer(buf, bits, 16, false, 'v')
            }
            'v' | 'd' => flags.integer(buf, bits, 10, signed, verb),
            'b' => flags.integer(buf, bits, 2, signed, verb),
            'o' | 'O' => flags.integer(buf, bits, 8, signed, verb),
            'x' | 'X' => flags.integer(buf, bits, 16, signed, verb),
            'c' => flags.character(buf, bits),
            'q' => flags.quoted_character(buf, bits),
            'U' => flags.unicode(buf, bits),
            _ => self.bad_verb(verb, value),
        }
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        let flags = self.flags;
        let buf = &mut self.buf;
        match verb {
            'v' => flags.float(buf, number, b'g', -1),
            'b' | 'g' | 'G' | 'x' | 'X' => flags.float(buf, number, verb as u8, -1),
            'f' | 'e' | 'E' => flags.float(buf, number, verb as u8, 6),
            'F' => flags.float(buf, number, b'f', 6),
            _ => self.bad_verb(verb, value),
        }
    }

    fn complex(&mut self, value: &Value, re: f64, im: f64, verb: char) {
        match verb {
            'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E' => {
                let plus = self.flags.plus;
                self.write("(");
                self.float(value, re, verb);
                self.flags.plus = true;
                self.float(value, im, verb);
                self.write("i)");
                self.flags.plus = plus;
            }
            _ => self.bad_verb(verb, value),
        }
    }

    fn string(&mut self, value: &Value, text: &[u8], verb: char) {
        let flags = self.flags;
        let buf = &mut self.buf;
        match verb {
            'v' if flags.sharp_v => flags.quoted(buf, text),
            'v' | 's' => flags.string(buf, text),
            'x' => flags.hex_string(buf, text, false),
            'X' => flags.hex_string(buf, text, true),
            'q' => flags.quoted(buf, text),
            _ => self.bad_verb(verb, value),
        }
    }

    fn bytes(&mut self, bytes: Option<&[u8]>, verb: char, depth: usize) {
        let content = bytes.unwrap_or_default();
        match verb {
            's' => self.flags.string(&mut self.buf, content),
            'x' | 'X' => self.flags.hex_string(&mut self.buf, content, verb == 'X'),
            'q' => self.flags.quoted(&mut self.buf, content),
            'v' | 'd' if depth == 0 => {
                let flags = self.flags;
                if flags.sharp_v {
                    self.write("[]byte");
                    if bytes.is_none() {
                        return self.write("(nil)");
                    }
                }
                self.write(if flags.sharp_v { "{" } else { "[" });
                for (i, byte) in content.iter().enumerate() {
                    if i > 0 {
                        self.write(if flags.sharp_v { ", " } else { " " });
                    }
                    let number = u64::from(*byte);
                    if flags.sharp_v {
                        Flags { sharp: true, ..flags }.integer(&mut self.buf, number, 16, false, 'v');
                    } else {
                        flags.integer(&mut self.buf, number, 10, false, verb);
                    }
                }
                self.write(if flags.sharp_v { "}" } else { "]" });
            }
            _ => {
                let elements: Vec<Value> = content.iter().map(|b| Value::uint8(*b)).collect();
                self.elements("[]uint8", bytes.is_none(), &elements, verb, depth);
            }
        }
    }

    fn elements(&mut self, type_name: &str, nil: bool, elements: &[Value], verb: char, depth: usize) {
        let sharp = self.flags.sharp_v;
        if sharp {
            self.write(type_name);
            if nil {
                return self.write("(nil)");
            }
        }
        self.write(if sharp { "{" } else { "[" });
        for (i, element) in elements.iter().enumerate() {
            if i > 0 {
                self.write(if sharp { ", " } else { " " });
            }
            self.print_value(element, verb, depth + 1);
            if self.stopped() {
                return;
            }
        }
        self.write(if sharp { "}" } else { "]" });
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        if self.flags.sharp_v && map.is_nil() {
            self.write(map.go_type().name());
            return self.write("(nil)");
        }
        let entries = map.entries().into_iter().map(|(key, value)| (Value::Str(key), value));
        self.entries(map.go_type().name(), entries, verb, depth);
    }

    fn entries(
        &mut self,
        type_name: &str,
        entries: impl Iterator<Item = (Value, Value)>,
        verb: char,
        depth: usize,
    ) {
        let sharp = self.flags.sharp_v;
        if sharp {
            self.write(type_name);
            self.write("{");
        } else {
            self.write("map[");
        }
        for (i, (key, value)) in entries.enumerate() {
            if i > 0 {
                self.write(if sharp { ", " } else { " " });
            }
            self.print_value(&key, verb, depth + 1);
            self.write(":");
            self.print_value(&value, verb, depth + 1);
            if self.stopped() {
                return;
            }
        }
        self.write(if sharp { "}" } else { "]" });
    }

    fn host(&mut self, value: &Value, host: &dyn Host, verb: char, depth: usize) {
        if verb == 'w' && !self.erroring {
            return self.bad_verb(verb, value);
        }
        if !self.erroring {
            if self.flags.sharp_v {
                if let Some(text) = host.go_string() {
                    return self.flags.string(&mut self.buf, &text);
                }
            } else if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
                && let Some(text) = host.string().or_else(|| self.pointer_string(host, depth))
            {
                return self.string(value, &text, verb);
            }
        }
        if let Some(plain) = host.underlying() {
            return self.named(value, &plain, verb, depth);
        }
        if let Some(entries) = host.entries() {
            return self.entries(host.go_type().name(), entries.into_iter(), verb, depth);
        }
        match host.go_type().kind() {
            Kind::Struct => self.structure(host, host.go_type().name(), verb, depth),
            Kind::Pointer if depth == 0 => {
                if !self.indirect {
                    self.write("&");
                }
                let name = host.go_type().name();
                self.structure(host, name.strip_prefix('*').unwrap_or(name), verb, depth);
            }
            _ => self.pointer(value, verb),
        }
    }

    /// A template prints a struct through its address, where methods of the pointer are found too.
    fn pointer_string(&self, host: &dyn Host, depth: usize) -> Option<crate::Str> {
        if self.addressed && depth == 0 { host.pointer_string() } else { None }
    }

    /// A named scalar or collection prints as the plain one, under its own name.
    fn named(&mut self, value: &Value, plain: &Value, verb: char, depth: usize) {
        match plain {
            Value::Bool(b) if matches!(verb, 't' | 'v') => self.pad(if *b { "true" } else { "false" }),
            Value::Bool(_) => self.bad_verb(verb, value),
            Value::Int(n, _) => self.integer(value, *n as u64, true, verb),
            Value::Uint(n, _) => self.integer(value, *n, false, verb),
            Value::Float(f) => self.float(value, *f, verb),
            Value::Complex(re, im) => self.complex(value, *re, *im, verb),
            Value::Str(text) => self.string(value, text, verb),
            Value::List(list) => self.elements(value.type_name(), list.is_nil(), list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            other => self.print_value(other, verb, depth),
        }
    }

    fn structure(&mut self, host: &dyn Host, name: &str, verb: char, depth: usize) {
        let sharp = self.flags.sharp_v;
        if sharp {
            self.write(name);
        }
        self.write("{");
        for (i, (field, value)) in host.all_fields().into_iter().enumerate() {
            if i > 0 {
                self.write(if sharp { ", " } else { " " });
            }
            if sharp || self.flags.plus_v {
                self.write(field);
                self.write(":");
            }
            self.print_value(&value, verb, depth + 1);
        }
        self.write("}");
    }

    /// Addresses differ from run to run in Go; here they are always the same.
    fn pointer(&mut self, value: &Value, verb: char) {
        const ADDRESS: u64 = 0x00c0_0001_02a0;
        let is_pointer =
            matches!(value.kind(), Kind::Map | Kind::Pointer | Kind::Slice | Kind::Func | Kind::Chan)
                || value.go_type() == Some(types::BYTES);
        if !is_pointer {
            return self.bad_verb(verb, value);
        }
        let flags = self.flags;
        match verb {
            'v' if flags.sharp_v => {
                self.write("(");
                self.write(value.type_name());
                self.write(")(");
                Flags { sharp: true, ..flags }.integer(&mut self.buf, ADDRESS, 16, false, 'v');
                self.write(")");
            }
            'v' | 'p' => {
                Flags { sharp: !flags.sharp, ..flags }.integer(&mut self.buf, ADDRESS, 16, false, 'v');
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(value, ADDRESS, false, verb),
            _ => self.bad_verb(verb, value),
        }
    }
}
