//! How a scalar can be written: go-yaml's `yaml_emitter_analyze_scalar`.

use crate::resolve::Schema;
use crate::scan::chars::{at, is_blank, is_break, is_printable, width};

/// What the text of a scalar allows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Analysis {
    pub(super) multiline: bool,
    pub(super) plain_allowed: bool,
    pub(super) single_quoted_allowed: bool,
    pub(super) block_allowed: bool,
}

/// Bytes that mean nothing inside a scalar.
const ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut c = 0x21;
    while c <= 0x7E {
        table[c] = !matches!(c as u8, b':' | b'#');
        c += 1;
    }
    table
};

pub(super) fn analyze(schema: Schema, text: &str) -> Analysis {
    let value = text.as_bytes();
    let Some(&first) = value.first() else {
        return Analysis {
            multiline: false,
            plain_allowed: true,
            single_quoted_allowed: true,
            block_allowed: false,
        };
    };

    let mut indicators = value.starts_with(b"---") || value.starts_with(b"...");
    match first {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%'
        | b'@' | b'`' => indicators = true,
        b'?' | b':' | b'-' if value.len() == 1 || is_blank(value[1]) => indicators = true,
        _ => {}
    }

    let mut line_breaks = false;
    let mut special = false;
    let mut tab = false;
    let mut leading_space = false;
    let mut leading_break = false;
    let mut trailing_space = false;
    let mut trailing_break = false;
    let mut break_space = false;
    let mut space_break = false;
    let mut preceded_by_whitespace = true;
    let mut previous_space = false;
    let mut previous_break = false;

    let mut i = 0;
    while i < value.len() {
        let c = value[i];
        if ORDINARY[c as usize] {
            i += 1;
            while i < value.len() && ORDINARY[value[i] as usize] {
                i += 1;
            }
            previous_space = false;
            previous_break = false;
            preceded_by_whitespace = false;
            continue;
        }
        let w = width(c);
        match c {
            b':' if i > 0 && (i + 1 >= value.len() || is_blank(value[i + 1])) => indicators = true,
            b'#' if i > 0 && preceded_by_whitespace => indicators = true,
            _ => {}
        }
        if c == b'\t' && schema == Schema::V3 {
            tab = true;
        } else if !is_printable(value, i) {
            special = true;
        }
        if c == b' ' {
            leading_space |= i == 0;
            trailing_space |= i + 1 == value.len();
            break_space |= previous_break;
            previous_space = true;
            previous_break = false;
        } else if is_break(value, i) {
            line_breaks = true;
            leading_break |= i == 0;
            trailing_break |= i + w == value.len();
            space_break |= previous_space;
            previous_space = false;
            previous_break = true;
        } else {
            previous_space = false;
            previous_break = false;
        }
        preceded_by_whitespace = matches!(at(value, i), b' ' | b'\t' | 0) || is_break(value, i);
        i += w;
    }

    let quoted_only = space_break || special || tab;
    Analysis {
        multiline: line_breaks,
        plain_allowed: !(leading_space
            || leading_break
            || trailing_space
            || trailing_break
            || break_space
            || quoted_only
            || line_breaks
            || indicators),
        single_quoted_allowed: !(break_space || quoted_only),
        block_allowed: !(trailing_space || space_break || special),
    }
}
