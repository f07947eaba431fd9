//! What can go wrong, in Go's words.
//!
//! Texts are part of the contract: users search for them and Helm rewrites them by their shape. The
//! chain is kept as structure too, so that a caller can walk it as Go's `errors.Unwrap` does.

use crate::gofmt::quote;
use std::fmt;

/// An error of parsing, execution or of a function.
#[derive(Debug)]
pub enum Error {
    /// A plain text, Go's `errors.New`.
    Message(String),
    /// A text in front of another error, Go's `fmt.Errorf("…%w")`.
    Wrapped(Box<Wrapped>),
    /// An error at a node of a template, Go's `template.ExecError`.
    Exec(Box<ExecError>),
    /// A template that could not be parsed.
    Parse(Box<ParseError>),
    /// A limit was reached. Nothing catches it: the render ends.
    Limit(Limit),
}

/// A text in front of another error.
#[derive(Debug)]
pub struct Wrapped {
    /// What is printed before the cause.
    pub prefix: String,
    cause: Option<Error>,
}

/// An error while executing, with the place it happened at.
#[derive(Debug)]
pub struct ExecError {
    /// The name of the template that was executing.
    pub template: String,
    /// `file:line:column` and the text of the node, when a node was being executed.
    pub at: Option<(String, String)>,
    /// The text after the place. With a cause it is what stands before it: `error calling include: `.
    pub message: String,
    cause: Option<Error>,
}

/// A template that could not be parsed; prints as Go's parser prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The name the text was parsed under.
    pub template: String,
    /// The line.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// A limit that execution reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// More steps than allowed.
    #[error("template execution exceeded the limit of {0} steps")]
    Steps(u64),
    /// More output than allowed, over all templates of the render.
    #[error("template output exceeded the limit of {0} bytes")]
    Output(u64),
    /// More bytes of values than allowed.
    #[error("template execution exceeded the limit of {0} bytes of values")]
    Memory(u64),
    /// Templates or functions called each other more deeply than allowed.
    #[error("template execution exceeded the limit of {0} nested calls")]
    Depth(usize),
    /// A value or a template nests more deeply than allowed; a map that holds itself does.
    #[error("value or expression nests deeper than the limit of {0} levels")]
    Nesting(usize),
}

impl Error {
    /// A plain text.
    pub fn msg(text: impl Into<String>) -> Error {
        Error::Message(text.into())
    }

    /// This error with a text in front, as `fmt.Errorf("prefix%w", self)`. Limits stay as they are.
    pub fn wrap(self, prefix: impl Into<String>) -> Error {
        match self {
            Error::Limit(limit) => Error::Limit(limit),
            cause => Error::Wrapped(Box::new(Wrapped { prefix: prefix.into(), cause: Some(cause) })),
        }
    }

    /// The error below this one, if it wraps one.
    pub fn cause(&self) -> Option<&Error> {
        match self {
            Error::Wrapped(wrapped) => wrapped.cause.as_ref(),
            Error::Exec(exec) => exec.cause.as_ref(),
            Error::Message(_) | Error::Parse(_) | Error::Limit(_) => None,
        }
    }

    /// The limit that was reached, if that is what ended the execution.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Error::Limit(limit) => Some(*limit),
            _ => None,
        }
    }
}

impl ExecError {
    pub(crate) fn new(template: String, at: Option<(String, String)>, message: String) -> ExecError {
        ExecError { template, at, message, cause: None }
    }

    pub(crate) fn with_cause(mut self, cause: Error) -> ExecError {
        self.cause = Some(cause);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = Some(self);
        while let Some(error) = next {
            match error {
                Error::Message(text) => f.write_str(text)?,
                Error::Wrapped(wrapped) => f.write_str(&wrapped.prefix)?,
                Error::Exec(exec) => match &exec.at {
                    Some((location, context)) => write!(
                        f,
                        "template: {location}: executing {} at <{context}>: {}",
                        quote(exec.template.as_bytes()),
                        exec.message
                    )?,
                    None => write!(f, "template: {}: {}", exec.template, exec.message)?,
                },
                Error::Parse(parse) => parse.fmt(f)?,
                Error::Limit(limit) => limit.fmt(f)?,
            }
            next = error.cause();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template: {}:{}: {}", self.template, self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Error {
        Error::Limit(limit)
    }
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Error {
        Error::Parse(Box::new(error))
    }
}

impl From<ExecError> for Error {
    fn from(error: ExecError) -> Error {
        Error::Exec(Box::new(error))
    }
}

// Chains are as long as templates nest, so they are dropped link by link.

impl Drop for Wrapped {
    fn drop(&mut self) {
        drop_chain(self.cause.take());
    }
}

impl Drop for ExecError {
    fn drop(&mut self) {
        drop_chain(self.cause.take());
    }
}

fn drop_chain(mut next: Option<Error>) {
    while let Some(mut error) = next {
        next = match &mut error {
            Error::Wrapped(wrapped) => wrapped.cause.take(),
            Error::Exec(exec) => exec.cause.take(),
            Error::Message(_) | Error::Parse(_) | Error::Limit(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_print_and_drop_without_recursion() {
        let mut error = Error::msg("end");
        for _ in 0..200_000 {
            error = error.wrap("a: ");
        }
        assert!(error.to_string().ends_with("a: end"));
    }
}
