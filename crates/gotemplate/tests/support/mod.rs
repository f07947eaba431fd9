//! A vector, and just enough of Helm to render it.

mod helm;

use flate2::read::GzDecoder;
use gotemplate::Frozen;
use serde_json::Value as Json;
use std::fmt;
use std::io::Read;
use std::path::Path;

pub(crate) use helm::render;

/// One line of a vector file.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) template: String,
    pub(crate) values: Frozen,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) templates: Vec<(String, String)>,
    pub(crate) accepted: Vec<Outcome>,
}

/// What a render gives.
#[derive(PartialEq, Eq)]
pub(crate) enum Outcome {
    Text(Vec<u8>),
    Error(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Text(text) => write!(f, "out {:?}", String::from_utf8_lossy(text)),
            Outcome::Error(text) => write!(f, "error {text:?}"),
        }
    }
}

pub(crate) fn read(path: &Path) -> Vec<Case> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| case(&serde_json::from_str(line).unwrap())).collect()
}

fn case(json: &Json) -> Case {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_string();
    let pairs = |key: &str| {
        let entries = json[key].as_object().into_iter().flatten();
        entries.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_string())).collect()
    };
    let mut accepted = vec![outcome(json)];
    accepted.extend(json["also"].as_array().into_iter().flatten().map(outcome));
    Case {
        id: text("id"),
        group: text("group"),
        template: text("template"),
        values: frozen(&json["values"]),
        files: pairs("files"),
        templates: pairs("templates"),
        accepted,
    }
}

fn outcome(json: &Json) -> Outcome {
    if let Some(text) = json["out"].as_str() {
        Outcome::Text(text.as_bytes().to_vec())
    } else if let Some(text) = json["out_b64"].as_str() {
        Outcome::Text(base64(text))
    } else {
        Outcome::Error(json["error"].as_str().unwrap().to_string())
    }
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for c in text.bytes().filter(|c| *c != b'=') {
        bits = bits << 6 | alphabet.iter().position(|a| *a == c).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn frozen(json: &Json) -> Frozen {
    match json {
        Json::Null => Frozen::Nil,
        Json::Bool(b) => Frozen::Bool(*b),
        Json::Number(n) => Frozen::Float(n.as_f64().unwrap()),
        Json::String(s) => Frozen::from(s.as_str()),
        Json::Array(items) => Frozen::list(items.iter().map(frozen)),
        Json::Object(entries) => Frozen::map(entries.iter().map(|(k, v)| (k.as_str(), frozen(v)))),
    }
}
