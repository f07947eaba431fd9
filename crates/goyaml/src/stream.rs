//! Texts of several documents.

use crate::build::{Build, ValueBuilder};
use crate::decode::{Options, decode_tape};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Parser;
use crate::scan::{Source, Style};
use crate::tape::{NodeKind, Tape};
use crate::value::Value;

/// How to read a stream of documents, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// How to read each document.
    pub options: Options,
    /// Longest text in bytes.
    pub max_bytes: usize,
    /// Most documents, empty ones not counted.
    pub max_documents: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { options: Options::default(), max_bytes: 50 << 20, max_documents: 10_000 }
    }
}

/// One document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<T = Value> {
    /// The 1-based line where its content starts; the line of the failure for a text that cannot be read on.
    pub line: u32,
    /// What it holds.
    pub value: Result<T>,
}

/// Reads all documents of a text; see [`documents`].
pub struct Documents<'a, B> {
    /// None when the stream is at its end, or cannot be read on.
    parser: Option<Parser<'a>>,
    failed: Option<Error>,
    options: StreamOptions,
    count: usize,
    builder: B,
}

/// Reads the documents of a text one after the other, as [`Value`]s with exact integers.
///
/// Documents without content are left out (an explicit `null` is not). A document that is YAML but cannot be decoded
/// is an error of its own and reading goes on; an error of syntax or a limit ends the stream.
pub fn documents(text: &str, options: StreamOptions) -> Documents<'_, ValueBuilder> {
    documents_with(text, options, ValueBuilder::default())
}

/// As [`documents`], into whatever `builder` builds.
pub fn documents_with<B: Build>(text: &str, options: StreamOptions, builder: B) -> Documents<'_, B> {
    let source = if text.len() > options.max_bytes {
        let text = format!("input of {} bytes is longer than the limit of {}", text.len(), options.max_bytes);
        Err(Error::yaml(ErrorKind::Limit, text))
    } else {
        Source::new(text)
    };
    let (parser, failed) = match source {
        Ok(source) => (Some(Parser::new(source, options.options.schema)), None),
        Err(error) => (None, Some(error)),
    };
    Documents { parser, failed, options, count: 0, builder }
}

impl<B: Build> Iterator for Documents<'_, B> {
    type Item = Document<B::Node>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Document { line: error.line().unwrap_or(1), value: Err(error) });
        }
        let parser = self.parser.as_mut()?;
        let tape = loop {
            match Tape::read(parser, self.options.options.max_depth) {
                Ok(Some(tape)) if is_empty(&tape) => {}
                Ok(Some(tape)) => break tape,
                Ok(None) => {
                    self.parser = None;
                    return None;
                }
                Err(error) => {
                    self.parser = None;
                    return Some(Document { line: error.line().unwrap_or(1), value: Err(error) });
                }
            }
        };
        let line = tape.nodes.first().map_or(tape.start.line, |root| root.start.line) + 1;
        self.count += 1;
        if self.count > self.options.max_documents {
            self.parser = None;
            let text = format!("line {line}: more than {} documents", self.options.max_documents);
            return Some(Document { line, value: Err(Error::yaml(ErrorKind::Limit, text).at(line, 1)) });
        }
        Some(Document { line, value: decode_tape(&tape, self.options.options, &mut self.builder) })
    }
}

/// Whether a document has no content at all.
fn is_empty(tape: &Tape<'_>) -> bool {
    match tape.nodes.as_slice() {
        [] => true,
        [root] => {
            root.kind == NodeKind::Scalar
                && root.style == Style::Plain
                && root.value.is_empty()
                && root.tag.is_none()
                && root.anchor.is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        documents(text, StreamOptions::default())
            .map(|document| match document.value {
                Ok(value) => format!("{}:{}", document.line, crate::to_json(&value).unwrap()),
                Err(error) => format!("{}:{error}", document.line),
            })
            .collect()
    }

    #[test]
    fn reads_all_documents() {
        assert_eq!(
            read(
                "# head\n---\na: |\n  x\n  ---\n  y\n---\n\n---\n# none\n---\nnull\n--- # c\nb: 1\n...\n---\n[1]\n"
            ),
            ["3:{\"a\":\"x\\n---\\ny\\n\"}", "12:null", "14:{\"b\":1}", "17:[1]"]
        );
        assert_eq!(read(""), Vec::<String>::new());
        assert_eq!(read("a: 1"), ["1:{\"a\":1}"]);
    }

    #[test]
    fn only_syntax_ends_the_stream() {
        assert_eq!(
            read("a: .inf\n---\nb: 1\n---\nc: [\n---\nd: 1\n"),
            [
                "1:json: unsupported value: +Inf",
                "3:{\"b\":1}",
                "6:yaml: line 5: did not find expected node content"
            ]
        );
    }

    #[test]
    fn limits_hold() {
        let options = StreamOptions { max_documents: 2, ..StreamOptions::default() };
        let all: Vec<_> = documents("---\n1\n---\n---\n2\n---\n3\n---\n4\n", options).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2].value.as_ref().unwrap_err().kind(), ErrorKind::Limit);
        let options = StreamOptions { max_bytes: 3, ..StreamOptions::default() };
        let all: Vec<_> = documents("a: 1", options).collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].value.as_ref().unwrap_err().kind(), ErrorKind::Limit);
    }
}
