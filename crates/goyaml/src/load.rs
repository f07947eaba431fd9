//! Reading YAML: the functions of `sigs.k8s.io/yaml`.

use crate::build::{Build, JsonBuilder, ValueBuilder};
use crate::decode::{Options, decode_tape};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Parser;
use crate::scan::{Source, decode_input};
use crate::tape::Tape;
use crate::value::{Map, Value};

/// Decodes the first document of a text into whatever `builder` builds; an empty text is `null`.
///
/// Integers are exact. This is `sigs.k8s.io/yaml`'s `YAMLToJSON`, with its errors.
pub fn decode<B: Build>(text: &str, options: Options, builder: &mut B) -> Result<B::Node> {
    decode_source(Source::new(text)?, options, builder)
}

/// As [`decode`], from bytes: UTF-8, or UTF-16 with a byte order mark.
pub fn decode_bytes<B: Build>(bytes: &[u8], options: Options, builder: &mut B) -> Result<B::Node> {
    let (text, problem) = decode_input(bytes);
    decode_source(Source::with_problem(&text, problem)?, options, builder)
}

fn decode_source<B: Build>(source: Source<'_>, options: Options, builder: &mut B) -> Result<B::Node> {
    match Tape::read(&mut Parser::new(source, options.schema), options.max_depth)? {
        Some(tape) => decode_tape(&tape, options, builder),
        None => Ok(builder.null()),
    }
}

/// Reads the first document; integers are exact.
pub fn from_str(text: &str) -> Result<Value> {
    decode(text, Options::default(), &mut ValueBuilder::default())
}

/// Reads the first document of bytes; integers are exact.
pub fn from_slice(bytes: &[u8]) -> Result<Value> {
    decode_bytes(bytes, Options::default(), &mut ValueBuilder::default())
}

/// Reads the first document as `serde_json` has it: `yaml.YAMLToJSON`.
pub fn yaml_to_json(text: &str) -> Result<serde_json::Value> {
    decode(text, Options::default(), &mut JsonBuilder)
}

/// As [`yaml_to_json`], but a key that a map already has is an error: `yaml.YAMLToJSONStrict`.
pub fn yaml_to_json_strict(text: &str) -> Result<serde_json::Value> {
    decode(text, Options { strict: true, ..Options::default() }, &mut JsonBuilder)
}

fn unmarshal(text: &str) -> Result<Value> {
    decode(text, Options::default(), &mut ValueBuilder { floats: true })
        .map_err(|error| error.prefixed("error converting YAML to JSON: "))
}

fn wrong_shape(value: &Value, wanted: &str) -> Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let text = format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type {wanted}"
    );
    Error::new(ErrorKind::Shape, text)
}

/// `yaml.Unmarshal` into `map[string]interface{}`: Helm's values and `fromYaml`. Every number is a float, `null` an empty map.
pub fn from_yaml_values(text: &str) -> Result<Map> {
    match unmarshal(text)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(wrong_shape(&other, "map[string]interface {}")),
    }
}

/// `yaml.Unmarshal` into `[]interface{}`: Helm's `fromYamlArray`. Every number is a float, `null` an empty list.
pub fn from_yaml_array(text: &str) -> Result<Vec<Value>> {
    match unmarshal(text)? {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong_shape(&other, "[]interface {}")),
    }
}

/// `yaml.Unmarshal` into `interface{}`: every number is a float.
pub fn from_yaml_any(text: &str) -> Result<Value> {
    unmarshal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match yaml_to_json(text) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_collections_and_scalars() {
        assert_eq!(
            json("a: 1\nb:\n- x\n- w: z\n  m: ~\nc: {d: [1, 2.5], \"e\": 'it''s'}\n"),
            r#"{"a":1,"b":["x",{"m":null,"w":"z"}],"c":{"d":[1,2.5],"e":"it's"}}"#
        );
        assert_eq!(
            json("a: |\n  x\n   y\n\n  z\nb: >-\n  f\n  g\n\n  h\n"),
            r#"{"a":"x\n y\n\nz\n","b":"f g\nh"}"#
        );
        assert_eq!(json("a: \"q\\n\\u00e9 x\n  y\"\n"), r#"{"a":"q\né x y"}"#);
        assert_eq!(json("plain text\n  over lines\n\n  and more"), r#""plain text over lines\nand more""#);
        assert_eq!(json(""), "null");
        assert_eq!(json("9223372036854775807"), "9223372036854775807");
        assert_eq!(json("18446744073709551615"), "18446744073709551615");
    }

    #[test]
    fn keys_become_strings() {
        assert_eq!(json("1: a\nyes: b\n1.50: c\nn: d\n"), r#"{"1":"a","1.5":"c","false":"d","true":"b"}"#);
        assert_eq!(json("~: x"), "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"x\"");
        assert_eq!(json("{a: 1}: x"), "yaml: invalid map key: map[interface {}]interface {}{\"a\":1}");
    }

    #[test]
    fn merges_and_aliases() {
        assert_eq!(
            json("b: &b {x: 1, z: 2}\nc:\n  <<: *b\n  z: 3\nd: *b\n"),
            r#"{"b":{"x":1,"z":2},"c":{"x":1,"z":3},"d":{"x":1,"z":2}}"#
        );
        assert_eq!(json("a: *x"), "yaml: unknown anchor 'x' referenced");
        assert_eq!(json("a: &x [*x]"), "yaml: anchor 'x' value contains itself");
        assert_eq!(json("<<: 1"), "yaml: map merge requires map or sequence of maps as the value");
    }

    #[test]
    fn errors_are_go_yamls() {
        assert_eq!(json("a: b: c"), "yaml: mapping values are not allowed in this context");
        assert_eq!(json("a: 1\nb\nc: 2"), "yaml: line 3: could not find expected ':'");
        assert_eq!(json("a: [1\nb: 2"), "yaml: line 1: did not find expected ',' or ']'");
        assert_eq!(json("a:\n\t- b"), "yaml: line 2: found character that cannot start any token");
        assert_eq!(json("a: \u{1}"), "yaml: control characters are not allowed");
        assert_eq!(json("a: .inf"), "json: unsupported value: +Inf");
    }

    #[test]
    fn strict_reports_duplicates() {
        let text = "a: 1\nb: 2\na: 3\n";
        assert_eq!(json(text), r#"{"a":3,"b":2}"#);
        let error = yaml_to_json_strict(text).unwrap_err();
        assert_eq!(error.to_string(), "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map");
        assert_eq!((error.line(), error.column()), (Some(3), Some(1)));
    }

    #[test]
    fn version_3_differs() {
        let v3 = |text: &str| {
            let options = Options { schema: crate::Schema::V3, ..Options::default() };
            match decode(text, options, &mut JsonBuilder) {
                Ok(value) => value.to_string(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(v3("yes: on\n1: 0o17\nb: ! 5\nc: ! '5'\n"), r#"{"1":15,"b":5,"c":"5","yes":"on"}"#);
        assert_eq!(
            v3("a: &a {x: 1, z: 1}\nb: &b {x: 2, w: 2}\nc: {<<: [*a, *b], z: 3}\n"),
            r#"{"a":{"x":1,"z":1},"b":{"w":2,"x":2},"c":{"w":2,"x":1,"z":3}}"#
        );
        assert_eq!(
            v3("a: 1\nb: {c: 1, c: 2}\n"),
            "yaml: unmarshal errors:\n  line 2: mapping key \"c\" already defined at line 2"
        );
        assert_eq!(v3("a:\n  b: [1\n  c: 2\n"), "yaml: line 1: did not find expected ',' or ']'");
    }

    #[test]
    fn values_want_a_map() {
        assert_eq!(from_yaml_values("").unwrap(), Map::new());
        assert_eq!(from_yaml_values("a: 1").unwrap()["a"], Value::from(1.0));
        assert_eq!(
            from_yaml_values("- 1").unwrap_err().to_string(),
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type \
             map[string]interface {}"
        );
        assert_eq!(
            from_yaml_values("a: [").unwrap_err().to_string(),
            "error converting YAML to JSON: yaml: line 1: did not find expected node content"
        );
    }

    #[test]
    fn bytes_may_be_utf16() {
        let bytes: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("a: é".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(from_slice(&bytes).unwrap().get("a"), Some(&Value::from("é")));
        assert_eq!(from_slice(b"a: \xFF").unwrap_err().to_string(), "yaml: invalid leading UTF-8 octet");
    }

    /// Runs on a stack of 2 MiB, as a worker thread has it.
    fn on_small_stack(run: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, run).unwrap();
            thread.join().unwrap();
        });
    }

    #[test]
    fn nesting_is_limited() {
        on_small_stack(|| {
            for unit in ["[", "{a: ", "- ", "? ", "[[a]: "] {
                let error = from_str(&unit.repeat(200_000)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Limit, "{unit}: {error}");
            }
            let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(
                from_str(&deep(257)).unwrap_err().to_string(),
                "yaml: line 1: exceeded max depth of 256"
            );
            // As deep as it may be, through everything that is recursive.
            let value = from_str(&format!("{{a: {}}}", deep(255))).unwrap();
            let text = crate::to_yaml(&value.clone()).unwrap();
            let json = serde_json::Value::from(from_str(&text).unwrap());
            assert_eq!(Value::from(json), value.into_floats());
            crate::node::parse_nodes(&deep(256), Options::default()).unwrap();
        });
    }

    #[test]
    fn aliases_are_limited() {
        on_small_stack(|| {
            let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
            for i in 1..30 {
                let alias = format!("*a{}", i - 1);
                bomb.push_str(&format!("a{i}: &a{i} [{}]\n", [alias.as_str(); 9].join(", ")));
            }
            assert_eq!(json(&bomb), "yaml: document contains excessive aliasing");
            let keys = bomb.replace("[x,", "? [").replace("a0: &a0 ? [", "a0: &a0 [");
            assert!(from_str(&keys).is_err());

            // Aliases of deep nodes nest deeper than any text may.
            let mut tower = "a0: &a0 x\n".to_owned();
            for i in 1..50 {
                let (open, close) = ("[".repeat(200), "]".repeat(200));
                tower.push_str(&format!("a{i}: &a{i} {open}*a{}{close}\n", i - 1));
            }
            assert_eq!(from_str(&tower).unwrap_err().kind(), ErrorKind::Limit);
        });
    }
}
