//! PEM blocks as Go's `encoding/pem` writes and finds them.

use crate::sprig::encodings::{base64_decode, base64_encode};

/// A block: what stands in its first line and its bytes.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) bytes: Vec<u8>,
}

/// Lines of 64 characters between the two marks.
pub(super) fn encode(label: &str, bytes: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in base64_encode(bytes).chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The first well-formed block; text around it is ignored.
pub(super) fn decode(text: &[u8]) -> Option<Block> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let mut rest = text;
    loop {
        let start =
            memchr::memmem::find_iter(rest, BEGIN).find(|start| *start == 0 || rest[start - 1] == b'\n')?;
        rest = &rest[start + BEGIN.len()..];
        if let Some(block) = decode_at(rest) {
            return Some(block);
        }
    }
}

/// Reads a block whose label begins `text`.
fn decode_at(text: &[u8]) -> Option<Block> {
    let (line, mut rest) = split_line(text)?;
    let label = std::str::from_utf8(line.strip_suffix(b"-----")?).ok()?;
    // Headers, such as those of encrypted keys, come first.
    while let Some((line, after)) = split_line(rest) {
        if !line.contains(&b':') {
            break;
        }
        rest = after;
    }
    let end_mark = format!("-----END {label}-----");
    let end = memchr::memmem::find_iter(rest, end_mark.as_bytes())
        .find(|end| *end == 0 || rest[end - 1] == b'\n')?;
    let after = &rest[end + end_mark.len()..];
    let is_alone = after.iter().take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace);
    if !is_alone {
        return None;
    }
    let body: Vec<u8> = rest[..end].iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t')).collect();
    Some(Block { label: label.to_owned(), bytes: base64_decode(&body).ok()? })
}

/// The first line without its end and trailing blanks, and what follows it.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = match memchr::memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None if text.is_empty() => return None,
        None => (text, &text[text.len()..]),
    };
    Some((line.trim_ascii_end(), rest))
}
