//! The words of Go's `jsonschema` v6, with the English number formats of `x/text/message`.

use std::fmt::Write as _;

use boon::{CompileError, ErrorKind, ValidationError};
use gotemplate::sprig::regexp::GoRegex;
use serde_json::{Number, Value};

use super::tree;
use crate::gostring;

/// A failed validation without its first line, which Helm cuts off, and with a newline at the end.
pub(super) fn validation_error(error: &ValidationError<'_, '_>, values: &Value) -> String {
    let out = failure(error, Some(values));
    let own = "jsonschema validation failed with 'file:///values.schema.json#'\n";
    let mut text = out.strip_prefix(own).unwrap_or(&out).to_owned();
    text.push('\n');
    text
}

fn failure(error: &ValidationError<'_, '_>, values: Option<&Value>) -> String {
    let mut out = String::new();
    display(&tree::Problem::new(error, values), 0, &mut out);
    out
}

/// A schema that cannot be used.
pub(super) fn compile_error(error: &CompileError) -> String {
    match error {
        CompileError::ValidationError { url, src } => {
            let url = gostring::quote(&with_fragment(url));
            format!("{url} is not valid against metaschema: {}", failure(src, None))
        }
        CompileError::LoadUrlError { url, src } => format!("failing loading {}: {src}", gostring::quote(url)),
        CompileError::JsonPointerNotFound(location) => {
            format!("json-pointer in {} not found", gostring::quote(location))
        }
        CompileError::AnchorNotFound { reference, .. } => {
            format!("anchor in {} not found", gostring::quote(reference))
        }
        other => other.to_string(),
    }
}

/// A schema that is no JSON.
pub(super) fn json_error(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected EOF".to_owned() } else { error.to_string() }
}

pub(super) fn with_fragment(url: &str) -> String {
    if url.contains('#') { url.to_owned() } else { format!("{url}#") }
}

fn display(problem: &tree::Problem, indent: usize, out: &mut String) {
    let mut below = indent;
    if !(problem.reference && problem.causes.len() == 1) {
        if indent > 0 {
            out.push('\n');
            out.push_str(&"  ".repeat(indent - 1));
            out.push_str("- ");
        }
        below += 1;
        match &problem.location {
            None => out.push_str(&problem.text),
            Some(location) => write!(out, "at {}: {}", quote(location), problem.text)
                .expect("writing to memory cannot fail"),
        }
    }
    for cause in &problem.causes {
        display(cause, below, out);
    }
}

pub(super) fn message(kind: &ErrorKind<'_, '_>) -> String {
    let counted =
        |name: &str, got: usize, want: usize| format!("{name}: got {}, want {}", count(got), count(want));
    let compared =
        |name: &str, got: &Number, want: &Number| format!("{name}: got {}, want {}", float(got), float(want));
    match kind {
        ErrorKind::Group | ErrorKind::Reference { .. } => "validation failed".to_owned(),
        ErrorKind::Schema { url } => {
            format!("jsonschema validation failed with {}", quote(&with_fragment(url)))
        }
        ErrorKind::ContentSchema => "'contentSchema' failed".to_owned(),
        ErrorKind::PropertyName { prop } => format!("invalid propertyName {}", quote(prop)),
        ErrorKind::RefCycle { url, kw_loc1, kw_loc2 } => {
            format!(
                "both {kw_loc1} and {kw_loc2} resolve to {} causing reference cycle",
                gostring::quote(url)
            )
        }
        ErrorKind::FalseSchema => "false schema".to_owned(),
        ErrorKind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|want| want.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        ErrorKind::Enum { want } => {
            if want.iter().any(is_collection) {
                return "'enum' failed".to_owned();
            }
            let shown: Vec<String> = want.iter().map(primitive).collect();
            let one_of = if shown.len() == 1 { "" } else { "one of " };
            format!("value must be {one_of}{}", shown.join(", "))
        }
        ErrorKind::Const { want } if is_collection(want) => "'const' failed".to_owned(),
        ErrorKind::Const { want } => format!("value must be {}", primitive(want)),
        ErrorKind::Format { got, want, err } => {
            let go_error = got.as_str().filter(|_| *want == "regex").and_then(go_regex_error);
            format!("{} is not valid {want}: {}", primitive(got), go_error.unwrap_or_else(|| err.to_string()))
        }
        ErrorKind::MinProperties { got, want } => counted("minProperties", *got, *want),
        ErrorKind::MaxProperties { got, want } => counted("maxProperties", *got, *want),
        ErrorKind::MinItems { got, want } => counted("minItems", *got, *want),
        ErrorKind::MaxItems { got, want } => counted("maxItems", *got, *want),
        ErrorKind::MinLength { got, want } => counted("minLength", *got, *want),
        ErrorKind::MaxLength { got, want } => counted("maxLength", *got, *want),
        ErrorKind::AdditionalProperties { got } => {
            format!("additional properties {} not allowed", quoted(got.iter().map(AsRef::as_ref)))
        }
        ErrorKind::Required { want } if want.len() == 1 => format!("missing property {}", quote(want[0])),
        ErrorKind::Required { want } => format!("missing properties {}", quoted(want.iter().copied())),
        ErrorKind::Dependency { prop, missing } | ErrorKind::DependentRequired { prop, missing } => {
            format!("properties {} required, if {} exists", quoted(missing.iter().copied()), quote(prop))
        }
        ErrorKind::Contains => "no items match contains schema".to_owned(),
        ErrorKind::MinContains { got, want } if got.is_empty() => {
            format!("min {} items required to match contains schema, but none matched", count(*want))
        }
        ErrorKind::MinContains { got, want } => contained("min", got, *want),
        ErrorKind::MaxContains { got, want } => contained("max", got, *want),
        ErrorKind::UniqueItems { got: [i, j] } => {
            format!("items at {} and {} are equal", count(*i), count(*j))
        }
        ErrorKind::AdditionalItems { got } => format!("last {} additionalItem(s) not allowed", count(*got)),
        ErrorKind::Pattern { got, want } => format!("{} does not match pattern {}", quote(got), quote(want)),
        ErrorKind::ContentEncoding { want, err } => format!("value is not {} encoded: {err}", quote(want)),
        ErrorKind::ContentMediaType { want, err, .. } => {
            format!("value is not of mediatype {}: {err}", quote(want))
        }
        ErrorKind::Minimum { got, want } => compared("minimum", got, want),
        ErrorKind::Maximum { got, want } => compared("maximum", got, want),
        ErrorKind::ExclusiveMinimum { got, want } => compared("exclusiveMinimum", got, want),
        ErrorKind::ExclusiveMaximum { got, want } => compared("exclusiveMaximum", got, want),
        ErrorKind::MultipleOf { got, want } => compared("multipleOf", got, want),
        ErrorKind::Not => "'not' failed".to_owned(),
        ErrorKind::AllOf => "'allOf' failed".to_owned(),
        ErrorKind::AnyOf => "'anyOf' failed".to_owned(),
        ErrorKind::OneOf(None) => "'oneOf' failed, none matched".to_owned(),
        ErrorKind::OneOf(Some((i, j))) => {
            format!("'oneOf' failed, subschemas {}, {} matched", count(*i), count(*j))
        }
    }
}

/// What Go says about a regular expression; none if it accepts it.
fn go_regex_error(pattern: &str) -> Option<String> {
    GoRegex::new(pattern.as_bytes()).err().map(|error| error.to_string())
}

fn contained(bound: &str, got: &[usize], want: usize) -> String {
    let places: Vec<String> = got.iter().map(usize::to_string).collect();
    format!(
        "{bound} {} items required to match contains schema, but matched {} items at {}",
        count(want),
        count(got.len()),
        places.join(" ")
    )
}

fn is_collection(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

fn primitive(value: &Value) -> String {
    match value {
        Value::String(s) => quote(s),
        Value::Null => "<nil>".to_owned(),
        Value::Array(_) | Value::Object(_) => "value".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Go's `%q` between single quotes.
fn quote(text: &str) -> String {
    let quoted = gostring::quote(text).replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{}'", &quoted[1..quoted.len() - 1])
}

fn quoted<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.map(quote).collect();
    texts.join(", ")
}

/// An integer with a comma between thousands.
fn count(number: usize) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A float with the fewest digits: grouped, or as `1.5×10⁰⁶` below 1e-4 and from 1e6 on.
fn float(number: &Number) -> String {
    let value = number.as_f64().unwrap_or(f64::MAX);
    let scientific = goyaml::number::format_e(value.abs());
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let sign = if value < 0.0 { "-" } else { "" };
    let magnitude: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&magnitude) {
        let mut out = format!("{sign}{digits}×10");
        if magnitude < 0 {
            out.push('⁻');
        }
        for digit in format!("{:02}", magnitude.abs()).bytes() {
            out.push(['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][usize::from(digit - b'0')]);
        }
        return out;
    }
    let plain = goyaml::number::format_f(value.abs());
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => format!("{sign}{}", grouped(&plain)),
    }
}
