//! Helm's own answers (`corpus/helm/vectors`) for templates that only read and write YAML and JSON.
//!
//! The templates are evaluated by a few lines below instead of a template engine; where those give up the rest of the
//! template is not compared, and a template they cannot begin is skipped and counted.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use goyaml::{Map, Value};

/// A case as a line of a vector file.
struct Case {
    id: String,
    template: String,
    values: Value,
    outs: Vec<String>,
}

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("SLUICE_CORPUS")
        .map(PathBuf::from)
        .or_else(|| {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
            ["../shared/corpus", "../../shared/corpus"]
                .iter()
                .map(|path| root.join(path))
                .find(|path| path.exists())
        })?
        .join("helm/vectors");
    path.exists().then_some(path)
}

fn cases(group: &str) -> Option<Vec<Case>> {
    let Some(dir) = corpus() else {
        eprintln!("no corpus: set SLUICE_CORPUS to compare with Helm");
        return None;
    };
    let file = std::fs::File::open(dir.join(format!("{group}.jsonl.gz"))).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let cases = text.lines().map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let also = case["also"].as_array().cloned().unwrap_or_default();
        Case {
            id: case["id"].as_str().unwrap().to_owned(),
            template: case["template"].as_str().unwrap().to_owned(),
            values: Value::from(case["values"].clone()).into_floats(),
            outs: [&case]
                .into_iter()
                .chain(&also)
                .filter_map(|a| a["out"].as_str())
                .map(str::to_owned)
                .collect(),
        }
    });
    Some(cases.collect())
}

/// Evaluates a template; none if it needs more than is here.
struct Evaluator {
    values: Value,
    variables: BTreeMap<String, Value>,
}

impl Evaluator {
    /// The text of a template as far as it can be evaluated, and whether that is all of it; none if it is nothing.
    fn template(&mut self, template: &str) -> Option<(String, bool)> {
        let each = "{{ range $k, $v := fromYaml .Values.d }}{{ $k | quote }}={{ typeOf $v }} {{ $v | toJson }};{{ end }}";
        if template == each {
            return Some((self.each(), true));
        }
        let mut out = String::new();
        let mut rest = template;
        let mut written = 0;
        while let Some((text, tail)) = rest.split_once("{{") {
            out.push_str(text);
            let Some((action, tail)) = tail.split_once("}}") else { break };
            rest = tail;
            let action = action.trim();
            if let Some((name, expression)) = action.split_once(":=") {
                let value = self.pipeline(expression)?;
                self.variables.insert(name.trim().to_owned(), value);
                continue;
            }
            match self.pipeline(action) {
                Some(Value::String(text)) => out.push_str(&text),
                _ => return (written > 0).then_some((out, false)),
            }
            written += 1;
        }
        out.push_str(rest);
        Some((out, true))
    }

    fn each(&self) -> String {
        let document = self.values.get("d").and_then(Value::as_str).unwrap();
        let map = from_yaml(document);
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort();
        let line = |key: &String| {
            let value = &map[key];
            let kind = match value {
                Value::Null => "<nil>",
                Value::Bool(_) => "bool",
                Value::Number(_) => "float64",
                Value::String(_) => "string",
                Value::Array(_) => "[]interface {}",
                Value::Object(_) => "map[string]interface {}",
            };
            // `quote` escapes as Go source does, which is JSON for these keys.
            format!(
                "{}={kind} {};",
                serde_json::to_string(key).unwrap(),
                goyaml::to_json(value).unwrap_or_default()
            )
        };
        keys.into_iter().map(line).collect()
    }

    fn pipeline(&self, text: &str) -> Option<Value> {
        let mut piped = None;
        for command in split(text, '|') {
            piped = Some(self.command(command.trim(), piped)?);
        }
        piped
    }

    fn command(&self, text: &str, piped: Option<Value>) -> Option<Value> {
        let words: Vec<&str> = split(text, ' ').into_iter().filter(|word| !word.is_empty()).collect();
        let (&name, rest) = words.split_first()?;
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return if rest.is_empty() { self.operand(name) } else { None };
        }
        let mut arguments: Vec<Value> = rest.iter().map(|word| self.operand(word)).collect::<Option<_>>()?;
        arguments.extend(piped);
        let last = arguments.last().cloned();
        let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let string = |result: goyaml::Result<String>| Some(Value::from(result.unwrap_or_default()));
        match name {
            "toYaml" => string(goyaml::to_yaml(&last?).map(|text| trim(&text))),
            "toYamlPretty" => string(goyaml::to_yaml_pretty(&last?).map(|text| trim(&text))),
            "toJson" => string(goyaml::to_json(&last?)),
            "toRawJson" | "mustToRawJson" => string(goyaml::to_json_raw(&last?)),
            "toPrettyJson" => string(goyaml::to_json_pretty(&last?)),
            "fromYaml" => Some(Value::Object(from_yaml(&text(last)?))),
            "fromYamlArray" => Some(Value::Array(
                goyaml::from_yaml_array(&text(last)?).unwrap_or_else(|error| vec![error.to_string().into()]),
            )),
            "list" => Some(Value::Array(arguments)),
            "dict" => {
                let pair = |pair: &[Value]| Some((pair[0].as_str()?.to_owned(), pair[1].clone()));
                Some(Value::Object(arguments.chunks(2).map(pair).collect::<Option<Map>>()?))
            }
            "indent" | "nindent" => {
                let pad = " ".repeat(arguments.first()?.as_f64()? as usize);
                let indented = format!("{pad}{}", text(last)?.replace('\n', &format!("\n{pad}")));
                Some(if name == "nindent" { format!("\n{indented}") } else { indented }.into())
            }
            _ => None,
        }
    }

    fn operand(&self, word: &str) -> Option<Value> {
        if let Some(inner) = word.strip_prefix('(') {
            return self.pipeline(inner.strip_suffix(')')?);
        }
        if let Some(text) = word.strip_prefix('"') {
            let text = text.strip_suffix('"')?;
            return (!text.contains('\\')).then(|| text.into());
        }
        if word.starts_with('$') {
            return self.variables.get(word).cloned();
        }
        if let Some(path) = word.strip_prefix(".Values") {
            let path: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
            return Some(self.values.get_path(&path).cloned().unwrap_or_default());
        }
        match word {
            "list" => Some(Value::Array(Vec::new())),
            "dict" => Some(Value::Object(Map::new())),
            "true" | "false" => Some((word == "true").into()),
            _ => word.parse::<i64>().ok().map(Value::from),
        }
    }
}

fn trim(text: &str) -> String {
    text.strip_suffix('\n').unwrap_or(text).to_owned()
}

fn from_yaml(text: &str) -> Map {
    goyaml::from_yaml_values(text)
        .unwrap_or_else(|error| Map::from([("Error".to_owned(), error.to_string().into())]))
}

/// Splits outside of quotes and parentheses.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ if c == separator && depth == 0 && !quoted => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Evaluates a group and returns how many cases were compared.
fn check(group: &str) -> usize {
    let Some(cases) = cases(group) else { return usize::MAX };
    let mut equal = 0;
    let mut skipped = 0;
    let mut wrong = Vec::new();
    for case in &cases {
        let mut evaluator = Evaluator { values: case.values.clone(), variables: BTreeMap::new() };
        let Some((found, whole)) = evaluator.template(&case.template).filter(|_| !case.outs.is_empty())
        else {
            skipped += 1;
            continue;
        };
        if case.outs.iter().any(|out| if whole { *out == found } else { out.starts_with(&found) }) {
            equal += 1;
        } else {
            wrong.push((case, found));
        }
    }
    eprintln!("{group}: {equal} equal, {} wrong, {skipped} skipped of {}", wrong.len(), cases.len());
    let shown = std::env::var("SHOW").ok().and_then(|count| count.parse().ok()).unwrap_or(5);
    for (case, found) in wrong.iter().take(shown) {
        eprintln!(
            "{}: {}\n  values {:?}\n  helm {:?}\n  ours {found:?}",
            case.id, case.template, case.values, case.outs
        );
    }
    assert!(wrong.is_empty(), "{} of {group} differ from Helm", wrong.len());
    equal
}

#[test]
fn emit() {
    assert!(check("yaml-emit") > 1100);
}

#[test]
fn fold() {
    assert!(check("yaml-fold") > 300);
}

#[test]
fn load() {
    assert!(check("yaml-load") > 2000);
}

#[test]
fn pretty() {
    assert!(check("yaml-pretty") > 500);
}

#[test]
fn roundtrip() {
    assert!(check("yaml-roundtrip") > 450);
}

#[test]
fn order() {
    assert!(check("yaml-order") > 60);
}

#[test]
fn structures() {
    assert!(check("yaml-struct") > 150);
}

#[test]
fn json() {
    assert!(check("json") > 300);
}
