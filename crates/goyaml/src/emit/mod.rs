//! Writing YAML as go-yaml's emitter does.

mod analyze;
mod scalar;

use crate::error::{Error, ErrorKind, Result};
use crate::json;
use crate::number;
use crate::resolve::Schema;
use crate::scan::Style;
use crate::sort;
use crate::tree::{Sink, Tree};
use crate::value::Number;

/// Line width after which go-yaml v2 folds.
const WIDTH: usize = 80;

/// Bytes of a key from which on it may be too long for go-yaml to read back from JSON.
const LONG_KEY: usize = 170;

/// `sigs.k8s.io/yaml`'s `Marshal`: Helm's `toYaml`, with the line break at the end.
pub fn to_yaml<T: Tree + ?Sized>(value: &T) -> Result<String> {
    let mut writer = YamlWriter::new();
    value.walk(&mut writer);
    if !writer.suspicious {
        return writer.finish();
    }
    // Go writes JSON and reads that as YAML. What YAML reads otherwise than JSON writes it is left to the same detour.
    let value = crate::load::from_str(&json::to_json(value)?)?;
    let mut writer = YamlWriter::new();
    value.walk(&mut writer);
    writer.finish()
}

/// go-yaml v3's `Encoder` with an indent of 2: Helm's `toYamlPretty`, with the line break at the end.
pub fn to_yaml_pretty<T: Tree + ?Sized>(value: &T) -> Result<String> {
    let mut writer = YamlWriter::pretty(2);
    value.walk(&mut writer);
    writer.finish()
}

/// What the writer is inside of.
#[derive(Debug, Clone, Copy)]
enum Context {
    Sequence,
    /// A map before a key.
    Key,
    /// A map after a key that was written without `?`.
    SimpleValue,
    /// A map after a `?` key.
    Value,
}

#[derive(Debug)]
struct Frame {
    context: Context,
    /// The indentation outside.
    indent: i32,
}

/// Writes one YAML document as it is handed a tree.
#[derive(Debug)]
pub struct YamlWriter {
    out: String,
    schema: Schema,
    best_indent: i32,
    best_width: usize,
    indent: i32,
    column: usize,
    /// Whether the last character was a space or a line break, or nothing was written yet.
    whitespace: bool,
    /// Whether the line so far is indentation and indicators only.
    indention: bool,
    frames: Vec<Frame>,
    /// Whether a text occurred that go-yaml would change or refuse on its way through JSON.
    suspicious: bool,
    error: Option<Error>,
}

impl Default for YamlWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl YamlWriter {
    /// go-yaml v2 as `sigs.k8s.io/yaml` uses it: lists in maps are not indented, long lines fold.
    pub fn new() -> Self {
        Self::with(Schema::V2, 2, WIDTH)
    }

    /// go-yaml v3 with an indent of `indent` (2 to 9): lists in maps are indented, lines do not fold.
    pub fn pretty(indent: u8) -> Self {
        let indent = if (2..=9).contains(&indent) { i32::from(indent) } else { 2 };
        Self::with(Schema::V3, indent, usize::MAX)
    }

    fn with(schema: Schema, best_indent: i32, best_width: usize) -> Self {
        Self {
            out: String::new(),
            schema,
            best_indent,
            best_width,
            indent: -1,
            column: 0,
            whitespace: true,
            indention: true,
            frames: Vec::new(),
            suspicious: false,
            error: None,
        }
    }

    /// Whether a text was written that Go's way through JSON changes or refuses (control characters, very long keys).
    ///
    /// [`to_yaml`] takes that way then.
    pub fn is_suspicious(&self) -> bool {
        self.suspicious
    }

    /// Ends the document and returns its text.
    pub fn finish(mut self) -> Result<String> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.indent = -1;
        self.write_indent();
        Ok(self.out)
    }

    /// Writes a string of bytes; what is not UTF-8 becomes `!!binary` base64, as go-yaml v3 does.
    pub fn bytes(&mut self, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.string(text),
            Err(_) => {
                let text = encode_base64(value);
                let style = if text.contains('\n') { Style::Literal } else { Style::Plain };
                self.node(&text, style, true);
            }
        }
    }

    // Places.

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        if self.schema == Schema::V3 {
            self.indention = true;
        }
    }

    fn write_indent(&mut self) {
        let indent = self.indent.max(0) as usize;
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        const SPACES: &str = "                                ";
        while self.column < indent {
            let count = SPACES.len().min(indent - self.column);
            self.out.push_str(&SPACES[..count]);
            self.column += count;
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn write_indicator(
        &mut self,
        indicator: &str,
        need_whitespace: bool,
        is_whitespace: bool,
        is_indention: bool,
    ) {
        if need_whitespace && !self.whitespace {
            self.out.push(' ');
            self.column += 1;
        }
        self.out.push_str(indicator);
        self.column += indicator.len();
        self.whitespace = is_whitespace;
        self.indention &= is_indention;
    }

    fn increase_indent(&mut self, flow: bool, indentless: bool) {
        let best = self.best_indent;
        if self.indent < 0 {
            self.indent = if flow { best } else { 0 };
        } else if !indentless {
            if self.schema == Schema::V2 {
                self.indent += best;
            } else if matches!(self.frames.last(), Some(Frame { context: Context::Sequence, .. })) {
                // The first indent inside a sequence skips the `- `.
                self.indent += 2;
            } else {
                self.indent = best * ((self.indent + best) / best);
            }
        }
    }

    /// Writes what stands before an item or a value.
    fn before_node(&mut self) {
        match self.frames.last().map(|frame| frame.context) {
            None => {}
            Some(Context::Sequence) => {
                self.write_indent();
                self.write_indicator("-", true, false, true);
            }
            Some(Context::SimpleValue) => self.write_indicator(":", false, false, false),
            Some(Context::Value | Context::Key) => {
                self.write_indent();
                self.write_indicator(":", true, false, true);
            }
        }
    }

    /// Notes that a value is written: a key comes next.
    fn after_node(&mut self) {
        if let Some(Frame { context, .. }) = self.frames.last_mut()
            && !matches!(context, Context::Sequence)
        {
            *context = Context::Key;
        }
    }

    fn begin(&mut self, len: usize, context: Context, empty: &str) {
        let in_mapping = matches!(
            self.frames.last(),
            Some(Frame { context: Context::Key | Context::SimpleValue | Context::Value, .. })
        );
        self.before_node();
        if len == 0 {
            let (open, close) = empty.split_at(1);
            self.write_indicator(open, true, true, false);
            self.write_indicator(close, false, false, false);
            // Ended like any other, by its own call.
            self.frames.push(Frame { context, indent: self.indent });
            return;
        }
        let indent = self.indent;
        let indentless = self.schema == Schema::V2
            && matches!(context, Context::Sequence)
            && in_mapping
            && !self.indention;
        self.increase_indent(false, indentless);
        self.frames.push(Frame { context, indent });
    }

    fn end(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.indent = frame.indent;
        }
        self.after_node();
    }

    /// Writes a value that is a scalar.
    fn node(&mut self, text: &str, style: Style, binary: bool) {
        self.before_node();
        let analysis = analyze::analyze(self.schema, text);
        self.scalar(text, style, analysis, false, binary);
        self.after_node();
    }

    /// A scalar that is no string: always plain.
    fn plain(&mut self, text: &str) {
        self.before_node();
        if !self.whitespace {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.column += text.len() + usize::from(!self.whitespace);
        self.whitespace = false;
        self.indention = false;
        self.after_node();
    }

    fn fail(&mut self, error: Error) {
        if self.error.is_none() {
            self.error = Some(error);
        }
    }
}

impl Sink for YamlWriter {
    fn null(&mut self) {
        self.plain("null");
    }

    fn bool(&mut self, value: bool) {
        self.plain(if value { "true" } else { "false" });
    }

    fn number(&mut self, value: Number) {
        match value {
            Number::Int(value) => self.plain(&value.to_string()),
            Number::Uint(value) => self.plain(&value.to_string()),
            Number::Float(value) if self.schema == Schema::V2 => match through_json(value) {
                Some(text) => self.plain(&text),
                None => {
                    let text = format!("json: unsupported value: {}", number::format_g(value));
                    self.fail(Error::new(ErrorKind::Json, format!("error marshaling into JSON: {text}")));
                }
            },
            Number::Float(value) => match number::format_g(value).as_str() {
                "+Inf" => self.plain(".inf"),
                "-Inf" => self.plain("-.inf"),
                "NaN" => self.plain(".nan"),
                text => self.plain(text),
            },
        }
    }

    fn string(&mut self, value: &str) {
        self.suspicious |= is_suspicious(value);
        let style = scalar::string_style(self.schema, value);
        self.node(value, style, false);
    }

    fn begin_array(&mut self, len: usize) {
        self.begin(len, Context::Sequence, "[]");
    }

    fn end_array(&mut self) {
        self.end();
    }

    fn begin_object(&mut self, len: usize) {
        self.begin(len, Context::Key, "{}");
    }

    fn key(&mut self, key: &str) {
        self.suspicious |= key.len() > LONG_KEY || is_suspicious(key);
        let style = scalar::string_style(self.schema, key);
        let analysis = analyze::analyze(self.schema, key);
        let simple = !analysis.multiline && key.len() <= 128;
        if let Some(frame) = self.frames.last_mut() {
            frame.context = if simple { Context::SimpleValue } else { Context::Value };
        }
        self.write_indent();
        if !simple {
            self.write_indicator("?", true, false, true);
        }
        self.scalar(key, style, analysis, simple, false);
    }

    fn end_object(&mut self) {
        self.end();
    }

    fn sort_keys(&self, keys: &mut [&str]) {
        sort::sort_keys(self.schema, keys);
    }
}

/// Whether a text can stand in single quotes on one line.
pub(crate) fn single_quotable(text: &str) -> bool {
    let analysis = analyze::analyze(Schema::V3, text);
    analysis.single_quoted_allowed && !analysis.multiline
}

/// Whether a text can stand without quotes, in `[]` and `{}` or outside.
pub(crate) fn plain_writable(text: &str, in_flow: bool) -> bool {
    let flow = in_flow && text.contains([',', '?', '[', ']', '{', '}', ':']);
    !text.is_empty() && !flow && analyze::analyze(Schema::V3, text).plain_allowed
}

/// A text in double quotes on one line.
pub(crate) fn double_quoted(text: &str) -> String {
    let mut writer = YamlWriter::pretty(2);
    writer.scalar(text, Style::DoubleQuoted, analyze::analyze(Schema::V3, text), true, false);
    writer.out
}

/// A float as it comes out of JSON and YAML: whole numbers become integers. None where JSON has no such number.
fn through_json(value: f64) -> Option<String> {
    let json = number::format_json(value)?;
    if json.bytes().any(|c| matches!(c, b'.' | b'e')) {
        return Some(number::format_g(value));
    }
    if json == "-0" {
        return Some("0".to_owned());
    }
    if json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok() {
        return Some(json);
    }
    Some(number::format_g(value))
}

/// Whether go-yaml changes or refuses a text in a JSON string: control characters that JSON does not escape.
fn is_suspicious(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|&c| c == 0x7F || c == 0xC2 || c == 0xEF) {
        return false;
    }
    text.chars().any(|c| matches!(c, '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}'))
}

/// Base64 in lines of 70 characters, on one line if it is short: go-yaml's `encodeBase64`.
fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const LINE: usize = 70;
    let length = bytes.len().div_ceil(3) * 4;
    let many = length / LINE + 1 > 1;
    let mut out = String::with_capacity(length + length / LINE + 1);
    let mut column = 0;
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, &c| group << 8 | u32::from(c)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
            column += 1;
            if many && column == LINE {
                out.push('\n');
                column = 0;
            }
        }
    }
    if many && column > 0 {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn yaml(text: &str) -> String {
        to_yaml(&crate::from_str(text).unwrap()).unwrap()
    }

    fn pretty(text: &str) -> String {
        to_yaml_pretty(&crate::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn writes_collections() {
        let text = "a:\n- b\n- - c\n  - d\n- e: 1\n  f: {}\ng: []\nh:\n  i: null\n";
        assert_eq!(yaml(text), text);
        assert_eq!(pretty(text), "a:\n  - b\n  - - c\n    - d\n  - e: 1\n    f: {}\ng: []\nh:\n  i: null\n");
        for text in ["[]\n", "{}\n", "null\n", "x\n", "- {}\n"] {
            assert_eq!(yaml(text), text);
            assert_eq!(pretty(text), text);
        }
    }

    #[test]
    fn writes_strings() {
        for text in [
            "a: \"yes\"\n",
            "a: '#x'\n",
            "a: 'b: c'\n",
            "a: \"1\"\n",
            "a: \"12:30\"\n",
            "a: \"\"\n",
            "a: |\n  b\n  c\n",
            "a: |-\n  b\n  c\n",
            "a: |+\n  b\n\n",
            "a: |2-\n    b\n  c\n",
            "a: \"b \\n\\tc\"\n",
            "a: <<\n",
            "? |-\n  a\n  b\n: c\n",
            "\"y\": \"\\U0001F389\"\n",
        ] {
            assert_eq!(yaml(text), text);
        }
    }

    #[test]
    fn folds_long_lines() {
        let words = "word ".repeat(40);
        let text = format!("a: {words}end\n");
        let expected = format!(
            "a: {}word\n  {}word\n  {}end\n",
            "word ".repeat(15),
            "word ".repeat(15),
            "word ".repeat(8)
        );
        assert_eq!(yaml(&text), expected);
        assert_eq!(pretty(&text), text);
    }

    #[test]
    fn numbers_go_through_json() {
        let value = Value::Array([1.0, 1e20, 1e21, 1234567.5, 1e-7, -0.0, 1e19].map(Value::from).to_vec());
        assert_eq!(
            to_yaml(&value).unwrap(),
            "- 1\n- 1e+20\n- 1e+21\n- 1.2345675e+06\n- 1e-07\n- 0\n- 10000000000000000000\n"
        );
        assert_eq!(
            to_yaml_pretty(&value).unwrap(),
            "- 1\n- 1e+20\n- 1e+21\n- 1.2345675e+06\n- 1e-07\n- -0\n- 1e+19\n"
        );
        assert!(to_yaml(&Value::from(f64::NAN)).is_err());
    }

    #[test]
    fn control_characters_fail_as_in_go() {
        let error = to_yaml(&Value::from("a\u{7F}")).unwrap_err();
        assert_eq!(error.to_string(), "yaml: control characters are not allowed");
        assert_eq!(to_yaml(&Value::from("a\u{85}b")).unwrap(), "a b\n");
    }

    #[test]
    fn bytes_become_binary() {
        let mut writer = YamlWriter::pretty(2);
        writer.bytes(b"\xFFabc");
        assert_eq!(writer.finish().unwrap(), "!!binary /2FiYw==\n");
    }
}
