//! Execution errors the way Helm shows them.

use gotemplate::Error;

use crate::profile::ErrorFormat;

const START: &str = "HELM_ERR_START";
const END: &str = "HELM_ERR_END";

/// Marks the message of `fail` and `required`, so that it alone is shown.
pub(super) fn mark(message: &str) -> String {
    format!("{START}{message}{END}")
}

/// A parse error: the place and the last part of the message.
pub(super) fn parse_error(file: &str, text: &str) -> String {
    let mut tokens = text.split(": ").skip(1);
    match tokens.next() {
        None => format!("parse error in ({file}): {text}"),
        Some(location) => {
            let message = text.rsplit(": ").next().unwrap_or_default();
            format!("parse error at ({location}): {message}")
        }
    }
}

/// An execution error of one of a chart's files.
pub(super) fn exec_error(error: &Error, format: ErrorFormat) -> String {
    let text = error.to_string();
    if !is_exec(error, format) {
        return text;
    }
    let mut tokens = text.splitn(3, ": ").skip(1);
    let (Some(location), Some(rest)) = (tokens.next(), tokens.next()) else {
        return text;
    };
    if let Some(message) = marked(rest) {
        return format!("execution error at ({location}): {message}");
    }
    match format {
        ErrorFormat::SingleLine => text,
        ErrorFormat::Chain => chain(error).unwrap_or(text),
    }
}

/// Whether there is a `template.ExecError` in the chain; Helm 3 only looks at its head.
fn is_exec(error: &Error, format: ErrorFormat) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error, Error::Exec(_)) {
            return true;
        }
        if format == ErrorFormat::SingleLine {
            return false;
        }
        next = error.cause();
    }
    false
}

/// What stands between the first start mark and the last end mark.
fn marked(text: &str) -> Option<&str> {
    let start = text.find(START)? + START.len();
    let end = start + text[start..].rfind(END)?;
    Some(&text[start..end])
}

/// One place of the chain.
#[derive(PartialEq, Eq)]
struct Place {
    location: String,
    executing: String,
    message: String,
}

/// Every error of the chain on lines of its own; none if one of them has another shape.
fn chain(error: &Error) -> Option<String> {
    let mut places: Vec<Place> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let place = Place::parse(&error.to_string())?;
        if places.last() != Some(&place) {
            places.push(place);
        }
        next = unwrapped(error);
    }
    let text: String = places.iter().map(Place::show).collect();
    Some(crate::gostring::trim_space(&text).to_owned())
}

/// Go's `errors.Unwrap`.
fn unwrapped(error: &Error) -> Option<&Error> {
    error.cause()
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Self {
                location: String::new(),
                executing: String::new(),
                message: text.to_owned(),
            });
        }
        Self::executing(rest).or_else(|| Self::simple(rest))
    }

    fn executing(rest: &str) -> Option<Self> {
        let (location, after) = rest.split_once(": executing ")?;
        let after = after.strip_prefix('"')?;
        let (function, after) = after.split_once('"')?;
        let after = after.strip_prefix(" at <")?;
        let (node, message) = after.split_once(">: ")?;
        Some(Self {
            location: location.to_owned(),
            executing: format!("executing \"{function}\" at <{node}>:"),
            message: before_next(message).to_owned(),
        })
    }

    fn simple(rest: &str) -> Option<Self> {
        let (location, message) = rest.rsplit_once(": ")?;
        Some(Self {
            location: location.to_owned(),
            executing: String::new(),
            message: before_next(message).to_owned(),
        })
    }

    fn show(&self) -> String {
        let mut out = String::new();
        if !self.location.is_empty() {
            out.push_str(&self.location);
            out.push_str("\n  ");
        }
        if !self.executing.is_empty() {
            out.push_str(&self.executing);
            out.push_str("\n    ");
        }
        if !self.message.is_empty() {
            out.push_str(&self.message);
            out.push('\n');
        }
        out
    }
}

/// A message without the error chained to it.
fn before_next(message: &str) -> &str {
    message.find(" template:").map_or(message, |at| &message[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_errors_keep_place_and_last_words() {
        assert_eq!(
            parse_error("c/t.yaml", "template: c/t.yaml:3: function \"x\" not defined"),
            "parse error at (c/t.yaml:3): function \"x\" not defined"
        );
        assert_eq!(parse_error("c/t.yaml", "odd"), "parse error in (c/t.yaml): odd");
    }
}
