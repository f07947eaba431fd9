//! Log lines: for people, or as JSON in the shape of Flux's controllers, so that `flux logs` reads them.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A level, or a filter per module (`info,sluice::queue=debug`).
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl LogSettings {
    /// What is wrong with a level, if anything.
    pub fn check_level(level: &str) -> Result<(), String> {
        filter(level).map(drop)
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    const WORDS: &str =
        "it is trace, debug, info, warn, error, or a filter such as `info,sluice::queue=debug`";
    let known = |word: &str| {
        let level = word.rsplit_once('=').map_or(word, |(_, level)| level);
        level == "off" || level.parse::<Level>().is_ok()
    };
    // A bare word that is no level would be read as the name of a module, and silence everything else.
    if !level.split(',').all(|word| known(word.trim())) {
        return Err(WORDS.to_owned());
    }
    EnvFilter::try_new(level).map_err(|_| WORDS.to_owned())
}

/// Starts logging to stderr. A second call in the same process changes nothing.
pub fn init(settings: &LogSettings) -> Result<(), String> {
    let filter = filter(&settings.level)?;
    let line = Line { format: settings.format };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .event_format(line)
        .with_writer(std::io::stderr)
        .finish();
    // The tests start many agents in one process; the first one's logging serves them all.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}

/// Text with control characters written out (`\n`, `\u{1b}`), so that a name from outside cannot forge lines or move
/// the cursor.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

/// A text on one line, for logs and cells of tables: its hint in brackets, control characters written out.
pub fn one_line(text: &str) -> Cow<'_, str> {
    const HINT: &str = "\nhint: ";
    if !text.contains(HINT) {
        return escape(text);
    }
    let mut parts = text.split(HINT);
    let mut line = parts.next().unwrap_or_default().to_owned();
    for hint in parts {
        line.push_str(&format!(" (hint: {hint})"));
    }
    Cow::Owned(escape(&line).into_owned())
}

struct Line {
    format: LogFormat,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let now = jiff::Timestamp::now();
        let line = match self.format {
            LogFormat::Text => text_line(now, *metadata.level(), &fields),
            LogFormat::Json => json_line(now, *metadata.level(), metadata.target(), fields),
        };
        writeln!(out, "{line}")
    }
}

fn text_line(now: jiff::Timestamp, level: Level, fields: &Fields) -> String {
    let mut line = format!("{now:.3} {level:<5} {}", one_line(&fields.message));
    for (name, value) in &fields.rest {
        // The message has said it already.
        let value = match value {
            Value::String(text) if fields.message.contains(text.as_str()) => continue,
            Value::String(text) => one_line(text).into_owned(),
            other => other.to_string(),
        };
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

/// `{"level","ts","logger","msg",…}` and, for an object, the fields by which `flux logs` filters.
fn json_line(now: jiff::Timestamp, level: Level, target: &str, fields: Fields) -> String {
    let mut line = Map::new();
    let level = match level {
        Level::ERROR => "error",
        // Flux's controllers know no warnings: an error that is being dealt with is an error to them.
        Level::WARN => "error",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    line.insert("level".to_owned(), level.into());
    line.insert("ts".to_owned(), format!("{now:.3}").into());
    line.insert("logger".to_owned(), target.into());
    line.insert("msg".to_owned(), fields.message.into());
    for (name, value) in fields.rest {
        if name == "object"
            && let Some(text) = value.as_str()
            && let [kind, namespace, object] = text.split('/').collect::<Vec<_>>()[..]
        {
            line.insert("controllerKind".to_owned(), kind.into());
            line.insert("namespace".to_owned(), namespace.into());
            line.insert("name".to_owned(), object.into());
            continue;
        }
        line.entry(name).or_insert(value);
    }
    // JSON leaves DEL and the C1 controls as they are; a terminal may not.
    let text = Value::Object(line).to_string();
    text.chars().fold(String::with_capacity(text.len()), |mut clean, character| {
        match character {
            '\u{7f}'..='\u{9f}' => clean.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => clean.push(character),
        }
        clean
    })
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(String, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        } else if !field.name().starts_with("log.") {
            self.rest.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            message: "applied `HelmRelease/apps/web`\u{1b}[2J\nERROR forged".to_owned(),
            rest: vec![
                ("object".to_owned(), "HelmRelease/apps/web".into()),
                ("elapsed_ms".to_owned(), 12.into()),
                ("path".to_owned(), "a\u{9b}b".into()),
            ],
        }
    }

    #[test]
    fn a_text_line_stays_one_line() {
        let at = "2026-11-24T10:00:00.5Z".parse().unwrap();
        insta::assert_snapshot!(text_line(at, Level::INFO, &fields()), @r"2026-11-24T10:00:00.500Z INFO  applied `HelmRelease/apps/web`\u{1b}[2J\nERROR forged elapsed_ms=12 path=a\u{9b}b");
    }

    #[test]
    fn a_hint_stands_on_the_line_of_its_message() {
        let at = "2026-11-24T10:00:00.5Z".parse().unwrap();
        let message = "failed to fetch: no key\nhint: give one\u{1b}".to_owned();
        let fields = Fields { message, rest: vec![("why".to_owned(), "a\nhint: b".into())] };
        assert_eq!(
            text_line(at, Level::WARN, &fields),
            "2026-11-24T10:00:00.500Z WARN  failed to fetch: no key (hint: give one\\u{1b}) why=a (hint: b)"
        );
    }

    #[test]
    fn a_json_line_is_read_by_flux_logs() {
        let at = "2026-11-24T10:00:00.5Z".parse().unwrap();
        let line = json_line(at, Level::WARN, "sluice::reconcile", fields());
        assert!(!line.chars().any(char::is_control), "{line}");
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["level"], "error");
        assert_eq!(json["ts"], "2026-11-24T10:00:00.500Z");
        assert_eq!(
            (&json["controllerKind"], &json["namespace"], &json["name"]),
            (&"HelmRelease".into(), &"apps".into(), &"web".into())
        );
        assert_eq!(json["path"], "a\u{9b}b");
    }

    #[test]
    fn levels_and_filters() {
        for good in ["info", "debug", "info,sluice::queue=trace", "off"] {
            assert_eq!(LogSettings::check_level(good), Ok(()), "{good}");
        }
        for bad in ["", "verbose", "sluice", "info,sluice=loud"] {
            assert!(LogSettings::check_level(bad).is_err(), "{bad}");
        }
    }
}
