//! The one error type; its text is go-yaml's.

use std::borrow::Cow;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not YAML (reader, scanner or parser).
    Syntax,
    /// The text is YAML but its values cannot be decoded: bad tags, aliases, merge keys, duplicate keys in strict mode.
    Decode,
    /// The value has no JSON form: infinities, map keys that are not scalars.
    Json,
    /// The value has another shape than the caller asked for (a list where a map is wanted).
    Shape,
    /// A limit of this crate or of the caller was reached: depth, aliases, size, number of documents.
    Limit,
    /// The value cannot be written as YAML.
    Emit,
}

/// A failure to read or write YAML; its `Display` is the text Go's libraries give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: Cow<'static, str>,
    kind: ErrorKind,
    line: u32,
    column: u32,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), kind, line: 0, column: 0 }
    }

    pub(crate) fn yaml(kind: ErrorKind, text: impl AsRef<str>) -> Self {
        Self::new(kind, format!("yaml: {}", text.as_ref()))
    }

    /// Puts the place of the failure (1-based) where it is not yet known.
    pub(crate) fn at(mut self, line: u32, column: u32) -> Self {
        if self.line == 0 {
            self.line = line;
            self.column = column;
        }
        self
    }

    pub(crate) fn set_limit(&mut self) {
        self.kind = ErrorKind::Limit;
    }

    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        self.text = format!("{prefix}{}", self.text).into();
        self
    }

    /// Which kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The 1-based line of the failure in the text given, as an editor counts it, where it is known.
    ///
    /// The line inside the error text is go-yaml's own and can be one less than this.
    pub fn line(&self) -> Option<u32> {
        (self.line > 0).then_some(self.line)
    }

    /// The 1-based column (in characters) of the failure, where it is known.
    pub fn column(&self) -> Option<u32> {
        (self.column > 0).then_some(self.column)
    }
}
