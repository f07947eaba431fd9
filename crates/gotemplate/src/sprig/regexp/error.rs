//! Go's errors of `regexp/syntax`.

/// Why a pattern is malformed, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {code}: `{}`", String::from_utf8_lossy(expression))]
pub struct SyntaxError {
    code: &'static str,
    expression: Vec<u8>,
}

impl SyntaxError {
    pub(super) fn too_large(pattern: &[u8]) -> Self {
        error(LARGE, pattern)
    }
}

pub(super) const INVALID_CHAR_RANGE: &str = "invalid character class range";
pub(super) const INVALID_ESCAPE: &str = "invalid escape sequence";
pub(super) const INVALID_NAMED_CAPTURE: &str = "invalid named capture";
pub(super) const INVALID_PERL_OP: &str = "invalid or unsupported Perl syntax";
pub(super) const INVALID_REPEAT_OP: &str = "invalid nested repetition operator";
pub(super) const INVALID_REPEAT_SIZE: &str = "invalid repeat count";
pub(super) const INVALID_UTF8: &str = "invalid UTF-8";
pub(super) const MISSING_BRACKET: &str = "missing closing ]";
pub(super) const MISSING_PAREN: &str = "missing closing )";
pub(super) const MISSING_REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
pub(super) const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
pub(super) const UNEXPECTED_PAREN: &str = "unexpected )";
pub(super) const NESTING_DEPTH: &str = "expression nests too deeply";
pub(super) const LARGE: &str = "expression too large";

pub(super) fn error(code: &'static str, expression: &[u8]) -> SyntaxError {
    SyntaxError { code, expression: expression.to_vec() }
}
