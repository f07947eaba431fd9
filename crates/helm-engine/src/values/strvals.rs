//! The grammar of `--set`, `--set-string`, `--set-json`, `--set-file`, `--set-literal` and of
//! Flux's `targetPath`: `a.b[0].c=value,d={x,y}`.

use gotemplate::gofmt;

use super::{Map, Value};
use crate::gostring::{is_space, quote};

/// The largest list index that may be set.
const MAX_INDEX: i64 = 65536;

/// How deep a dotted name may be.
const MAX_NESTED_NAME_LEVEL: usize = 30;

/// How deep lists may stand in lists, as in `a[0][0]`. Helm has no such bound.
const MAX_NESTED_LISTS: usize = 200;

/// A line that does not follow the grammar; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StrvalsError(pub String);

/// Why parsing stopped.
enum Stop {
    /// The input ended where it may end.
    End,
    /// The value is no `{...}` list.
    NotList,
    /// The line is wrong.
    Wrong(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

/// Reads the file that a `--set-file` value names, or says why it cannot.
pub type FileReader<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

enum Mode<'a> {
    Typed,
    Text,
    Json,
    File(FileReader<'a>),
    Literal,
}

/// Sets the values of a `--set` line in `target`; numbers become [`Value::Int`].
///
/// # Errors
/// With Helm's text; what came before the mistake has been set.
pub fn parse_into(line: &str, target: &mut Map) -> Result<(), StrvalsError> {
    Parser::new(line, Mode::Typed).parse(target)
}

/// [`parse_into`] with every value a text, as `--set-string`.
///
/// # Errors
/// With Helm's text; what came before the mistake has been set.
pub fn parse_into_string(line: &str, target: &mut Map) -> Result<(), StrvalsError> {
    Parser::new(line, Mode::Text).parse(target)
}

/// [`parse_into`] with JSON values, as `--set-json`.
///
/// # Errors
/// With Helm's text; what came before the mistake has been set.
pub fn parse_json_into(line: &str, target: &mut Map) -> Result<(), StrvalsError> {
    Parser::new(line, Mode::Json).parse(target)
}

/// [`parse_into`] with every value the contents of the file it names, as `--set-file`.
///
/// # Errors
/// With Helm's text or the reader's.
pub fn parse_into_file(line: &str, target: &mut Map, reader: FileReader<'_>) -> Result<(), StrvalsError> {
    Parser::new(line, Mode::File(reader)).parse(target)
}

/// Sets one name to all the text after `=`, without escapes or lists, as `--set-literal`.
///
/// # Errors
/// With Helm's text.
pub fn parse_literal_into(line: &str, target: &mut Map) -> Result<(), StrvalsError> {
    Parser::new(line, Mode::Literal).parse(target)
}

struct Parser<'a> {
    /// How many lists the place that is being read stands in.
    lists: usize,
    input: Vec<char>,
    at: usize,
    mode: Mode<'a>,
}

/// Text up to a stop character, and which one it was; none at the end of input.
type Until = (String, Option<char>);

impl<'a> Parser<'a> {
    fn new(line: &str, mode: Mode<'a>) -> Self {
        Self { input: line.chars().collect(), at: 0, lists: 0, mode }
    }

    fn parse(mut self, target: &mut Map) -> Result<(), StrvalsError> {
        loop {
            match self.key(target, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::NotList) => return Err(StrvalsError("not a list".to_owned())),
                Err(Stop::Wrong(message)) => return Err(StrvalsError(message)),
            }
        }
    }

    fn literal(&self) -> bool {
        matches!(self.mode, Mode::Literal)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.input.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn until(&mut self, stop: &[char]) -> Until {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stop.contains(&c) {
                return (text, Some(c));
            }
            if c == '\\' && !self.literal() {
                let Some(escaped) = self.next() else { return (text, None) };
                text.push(escaped);
            } else {
                text.push(c);
            }
        }
        (text, None)
    }

    fn key(&mut self, target: &mut Map, mut level: usize) -> Result<(), Stop> {
        let stop: &[char] = if self.literal() { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (name, last) = self.until(stop);
        match last {
            None if name.is_empty() => Err(Stop::End),
            None => Err(Stop::Wrong(format!("key {} has no value", quote(&name)))),
            Some('[') => {
                let index = self.index()?;
                let list = match target.remove(&name) {
                    None => Vec::new(),
                    Some(Value::List(list)) => list,
                    Some(other) => {
                        let message = not_a("[]interface {}", &other);
                        target.insert(name, other);
                        return Err(Stop::Wrong(message));
                    }
                };
                let (list, result) = self.list_item(list, index, level);
                set(target, name, Value::List(list));
                result
            }
            Some('=') => self.value_of(target, name),
            Some(',') => {
                set(target, name.clone(), Value::String(String::new()));
                Err(Stop::Wrong(format!("key {} has no value (cannot end with ,)", quote(&name))))
            }
            Some(_) => {
                level += 1;
                if level > MAX_NESTED_NAME_LEVEL {
                    return Err(Stop::Wrong(format!(
                        "value name nested level is greater than maximum supported nested level of {MAX_NESTED_NAME_LEVEL}"
                    )));
                }
                let existed = target.contains_key(&name);
                let mut inner = match target.remove(&name) {
                    None => Map::new(),
                    Some(Value::Map(map)) => map,
                    Some(other) => {
                        let message = not_a("map[string]interface {}", &other);
                        target.insert(name, other);
                        return Err(Stop::Wrong(message));
                    }
                };
                let result = self.key(&mut inner, level);
                let empty = inner.is_empty();
                let valueless = format!("key map {} has no value", quote(&name));
                if !empty || existed {
                    set(target, name, Value::Map(inner));
                }
                if result.is_ok() && empty { Err(Stop::Wrong(valueless)) } else { result }
            }
        }
    }

    fn value_of(&mut self, target: &mut Map, name: String) -> Result<(), Stop> {
        match &self.mode {
            Mode::Literal => {
                let text: String = self.input[self.at..].iter().collect();
                self.at = self.input.len();
                set(target, name, Value::String(text));
                Ok(())
            }
            Mode::Json => {
                let value = self.json_value()?;
                set(target, name, value);
                Ok(())
            }
            Mode::Typed | Mode::Text | Mode::File(_) => match self.value_list() {
                Ok(list) => {
                    set(target, name, Value::List(list));
                    Ok(())
                }
                Err(Stop::End) => {
                    set(target, name, Value::String(String::new()));
                    Err(Stop::End)
                }
                Err(Stop::NotList) => {
                    let (text, _) = self.until(&[',']);
                    match self.convert(&text) {
                        Ok(value) => {
                            set(target, name, value);
                            Ok(())
                        }
                        Err(stop) => {
                            set(target, name, Value::Null);
                            Err(stop)
                        }
                    }
                }
                Err(stop) => Err(stop),
            },
        }
    }

    /// The list as it stands afterwards and how it went.
    fn list_item(
        &mut self,
        mut list: Vec<Value>,
        index: i64,
        level: usize,
    ) -> (Vec<Value>, Result<(), Stop>) {
        if index < 0 {
            return (list, Err(Stop::Wrong(format!("negative {index} index not allowed"))));
        }
        let (text, last) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            let runes: Vec<String> =
                text.chars().map(|c| gofmt::quote_rune(u64::from(u32::from(c)))).collect();
            let message = format!("unexpected data at end of array index: [{}]", runes.join(" "));
            return (list, Err(Stop::Wrong(message)));
        }
        let slot = usize::try_from(index).unwrap_or(usize::MAX);
        let outcome = match last {
            None => Err(Stop::End),
            Some('=') => self.list_value(),
            Some('[') => match self.index() {
                Err(stop) => Err(stop),
                Ok(_) if self.lists >= MAX_NESTED_LISTS => Err(Stop::Wrong(format!(
                    "lists are nested deeper than the maximum supported level of {MAX_NESTED_LISTS}"
                ))),
                Ok(next) => {
                    let inner = match list.get(slot) {
                        None | Some(Value::Null) => Ok(Vec::new()),
                        Some(Value::List(inner)) => Ok(inner.clone()),
                        Some(other) => Err(Stop::Wrong(not_a("[]interface {}", other))),
                    };
                    match inner {
                        Err(stop) => Err(stop),
                        Ok(inner) => {
                            self.lists += 1;
                            let (inner, result) = self.list_item(inner, next, level);
                            self.lists -= 1;
                            result.map(|()| Value::List(inner))
                        }
                    }
                }
            },
            Some(_) => {
                let mut inner = match list.get(slot) {
                    Some(Value::Map(inner)) => inner.clone(),
                    _ => Map::new(),
                };
                let result = self.key(&mut inner, level);
                if result.is_err() {
                    if let Some(place) = list.get_mut(slot) {
                        *place = Value::Map(inner);
                    }
                    return (list, result);
                }
                Ok(Value::Map(inner))
            }
        };
        match outcome {
            Ok(value) => {
                let result = set_index(&mut list, index, value).map_err(Stop::Wrong);
                (list, result)
            }
            Err(stop) => (list, Err(stop)),
        }
    }

    fn list_value(&mut self) -> Result<Value, Stop> {
        match self.mode {
            Mode::Literal => {
                let text: String = self.input[self.at..].iter().collect();
                self.at = self.input.len();
                Ok(Value::String(text))
            }
            Mode::Json => self.json_value(),
            Mode::Typed | Mode::Text | Mode::File(_) => match self.value_list() {
                Ok(list) => Ok(Value::List(list)),
                Err(Stop::End) => Ok(Value::String(String::new())),
                Err(Stop::NotList) => {
                    let (text, _) = self.until(&[',']);
                    self.convert(&text)
                }
                Err(stop) => Err(stop),
            },
        }
    }

    fn index(&mut self) -> Result<i64, Stop> {
        let (text, last) = self.until(&[']']);
        if last.is_none() {
            return Err(Stop::End);
        }
        text.strip_prefix('+').unwrap_or(&text).parse::<i64>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            };
            Stop::Wrong(format!("error parsing index: strconv.Atoi: parsing {}: {why}", quote(&text)))
        })
    }

    /// A JSON value, null when there is none, and the comma after it.
    fn json_value(&mut self) -> Result<Value, Stop> {
        if self.skip_empty() {
            return Ok(Value::Null);
        }
        let rest: String = self.input[self.at..].iter().collect();
        // Go's decoder ends a number after a leading zero; what follows is read as the next name.
        let digits = rest.strip_prefix('-').unwrap_or(&rest);
        if digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += rest.len() - digits.len() + 1;
            return Ok(Value::Float(0.0));
        }
        let mut stream = serde_json::Deserializer::from_str(&rest).into_iter::<serde_json::Value>();
        match stream.next() {
            Some(Ok(json)) => {
                let used = stream.byte_offset();
                self.at += rest[..used].chars().count();
                self.skip_empty();
                Ok(Value::from_json(&json))
            }
            Some(Err(error)) => Err(Stop::Wrong(error.to_string())),
            None => Err(Stop::End),
        }
    }

    /// Skips blanks up to and including a comma; false, and nothing but blanks skipped, at a value.
    fn skip_empty(&mut self) -> bool {
        while let Some(c) = self.next() {
            if c == ',' {
                return true;
            }
            if !is_space(c) {
                self.at -= 1;
                return false;
            }
        }
        true
    }

    fn value_list(&mut self) -> Result<Vec<Value>, Stop> {
        match self.next() {
            None => return Err(Stop::End),
            Some('{') => {}
            Some(_) => {
                self.at -= 1;
                return Err(Stop::NotList);
            }
        }
        let mut list = Vec::new();
        loop {
            let (text, last) = self.until(&[',', '}']);
            match last {
                None => return Err(Stop::Wrong("list must terminate with '}'".to_owned())),
                Some('}') => {
                    if let Some(c) = self.next()
                        && c != ','
                    {
                        self.at -= 1;
                    }
                    list.push(self.convert(&text)?);
                    return Ok(list);
                }
                Some(_) => list.push(self.convert(&text)?),
            }
        }
    }

    fn convert(&mut self, text: &str) -> Result<Value, Stop> {
        match &mut self.mode {
            Mode::Typed => Ok(typed(text)),
            Mode::File(reader) => reader(text).map(Value::String).map_err(Stop::Wrong),
            Mode::Text | Mode::Json | Mode::Literal => Ok(Value::from(text)),
        }
    }
}

fn set(target: &mut Map, name: String, value: Value) {
    if !name.is_empty() {
        target.insert(name, value);
    }
}

fn set_index(list: &mut Vec<Value>, index: i64, value: Value) -> Result<(), String> {
    if index > MAX_INDEX {
        return Err(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
    }
    let index = usize::try_from(index).map_err(|_| format!("negative {index} index not allowed"))?;
    if list.len() <= index {
        list.resize(index + 1, Value::Null);
    }
    list[index] = value;
    Ok(())
}

/// The text of Go's panic when a value has another type than the name asks for.
fn not_a(wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}")
}

/// `true`, `false`, `null` in any case, and decimal integers without a leading zero.
fn typed(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return Value::Int(0);
    }
    if !text.starts_with('0')
        && let Ok(number) = text.parse::<i64>()
    {
        return Value::Int(number);
    }
    Value::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    type ParseFn = fn(&str, &mut Map) -> Result<(), StrvalsError>;

    fn run(parse: ParseFn, line: &str, start: &str) -> Result<String, String> {
        let start: Value = serde_json::from_str(start).unwrap();
        let mut map = start.as_map().unwrap().clone();
        parse(line, &mut map).map_err(|error| error.0)?;
        Ok(crate::values::map_to_json(&map).to_string())
    }

    fn check(parse: ParseFn, table: &[(&str, Result<&str, &str>)]) {
        for (line, expected) in table {
            assert_eq!(run(parse, line, "{}").as_deref().map_err(String::as_str), *expected, "{line:?}");
        }
    }

    #[test]
    fn set_lines() {
        check(
            parse_into,
            &[
                ("name1=null,f=false,t=true", Ok(r#"{"f":false,"name1":null,"t":true}"#)),
                ("name1=null,name2=value2", Ok(r#"{"name1":null,"name2":"value2"}"#)),
                ("is_null=null", Ok(r#"{"is_null":null}"#)),
                (
                    "zero=0,lead=007,neg=-5,plus=+5,float=1.5",
                    Ok(r#"{"float":"1.5","lead":"007","neg":-5,"plus":5,"zero":0}"#),
                ),
                ("name1=one\\,two,name2=three\\,four", Ok(r#"{"name1":"one,two","name2":"three,four"}"#)),
                ("name1=one\\=two,name2=x=y", Ok(r#"{"name1":"one=two","name2":"x=y"}"#)),
                ("a.b.c=1,a.b.d=2", Ok(r#"{"a":{"b":{"c":1,"d":2}}}"#)),
                ("a={x,y},b={1,{}", Ok(r#"{"a":["x","y"],"b":[1,"{"]}"#)),
                ("l[0].x=1,l[1].y=2,m[1][1]=1", Ok(r#"{"l":[{"x":1},{"y":2}],"m":[null,[null,1]]}"#)),
                ("a=", Ok(r#"{"a":""}"#)),
                ("", Ok("{}")),
                ("a", Err("key \"a\" has no value")),
                ("a,b=1", Err("key \"a\" has no value (cannot end with ,)")),
                ("a={x", Err("list must terminate with '}'")),
                ("a[-1]=1", Err("negative -1 index not allowed")),
                ("a[x]=1", Err("error parsing index: strconv.Atoi: parsing \"x\": invalid syntax")),
                ("a[99999]=1", Err("index of 99999 is greater than maximum supported index of 65536")),
                ("a[0]x=1", Err("unexpected data at end of array index: ['x']")),
                ("a.=1", Err("key map \"a\" has no value")),
            ],
        );
    }

    #[test]
    fn set_string_lines() {
        check(
            parse_into_string,
            &[("a=1,b=true,c={1,null}", Ok(r#"{"a":"1","b":"true","c":["1","null"]}"#))],
        );
    }

    #[test]
    fn set_json_lines() {
        check(
            parse_json_into,
            &[
                (r#"a={"b":[1,2]},c=3 , d="x",e=,f"#, Err("key \"f\" has no value")),
                (r#"a={"b":[1,2]},c=3 , d="x",e="#, Ok(r#"{" d":"x","a":{"b":[1,2]},"c":3,"e":null}"#)),
                (r#"l[1].x=[1,null]"#, Ok(r#"{"l":[null,{"x":[1,null]}]}"#)),
            ],
        );
    }

    #[test]
    fn set_literal_lines() {
        check(
            parse_literal_into,
            &[
                ("a.b=x,y={1}\\", Ok(r#"{"a":{"b":"x,y={1}\\"}}"#)),
                ("a[1]=x=y", Ok(r#"{"a":[null,"x=y"]}"#)),
                ("a", Err("key \"a\" has no value")),
            ],
        );
    }

    #[test]
    fn existing_values_are_kept_or_refused() {
        assert_eq!(run(parse_into, "a.b=2", r#"{"a":{"c":1}}"#).unwrap(), r#"{"a":{"b":2,"c":1}}"#);
        assert_eq!(
            run(parse_into, "a.b=2", r#"{"a":"x"}"#).unwrap_err(),
            "unable to parse key: interface conversion: interface {} is string, not map[string]interface {}"
        );
        assert_eq!(run(parse_into, "l[1]=x", r#"{"l":[1,2,3]}"#).unwrap(), r#"{"l":[1,"x",3]}"#);
    }

    #[test]
    fn files_are_read() {
        let mut map = Map::new();
        let mut reader =
            |path: &str| if path == "ok" { Ok("text".to_owned()) } else { Err("no file".to_owned()) };
        parse_into_file("a=ok", &mut map, &mut reader).unwrap();
        assert_eq!(map["a"], Value::from("text"));
        assert_eq!(parse_into_file("b=bad", &mut map, &mut reader).unwrap_err().0, "no file");
    }
}
