//! Letter case and word case: title, swapcase, snake, kebab and pascal case.

use super::unicode::{
    decode_rune, is_digit, is_letter, is_lower, is_number, is_punct, is_space, is_title, is_upper, map_runes,
    push_rune, runes, to_lower, to_title, to_upper,
};

/// Go's `strings.Title`: the first letter of every word; only ASCII letters, digits and `_`, and
/// Unicode letters and digits, are no separators.
pub(crate) fn title(text: &[u8]) -> Vec<u8> {
    let mut previous = ' ';
    map_runes(text, |rune| {
        let starts_word = is_separator(previous);
        previous = rune;
        if starts_word { to_title(rune) } else { rune }
    })
}

fn is_separator(rune: char) -> bool {
    if rune.is_ascii() {
        !rune.is_ascii_alphanumeric() && rune != '_'
    } else {
        !is_letter(rune) && !is_digit(rune) && is_space(rune)
    }
}

/// sprig's `untitle`: lower-cases the first letter of every space-separated word.
pub(crate) fn untitle(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut at_word = true;
    map_runes(text, |rune| {
        if is_space(rune) {
            at_word = true;
            rune
        } else if at_word {
            at_word = false;
            to_lower(rune)
        } else {
            rune
        }
    })
}

/// sprig's `swapcase`: lower-case letters after white space become title case.
pub(crate) fn swap_case(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    map_runes(text, |rune| {
        if is_upper(rune) || is_title(rune) {
            after_space = false;
            to_lower(rune)
        } else if is_lower(rune) {
            if after_space {
                after_space = false;
                to_title(rune)
            } else {
                to_upper(rune)
            }
        } else {
            after_space = is_space(rune);
            rune
        }
    })
}

fn is_connector(rune: char) -> bool {
    rune == '-' || rune == '_' || is_space(rune)
}

/// sprig's `camelcase`: upper camel case; leading and doubled connectors stay.
pub(crate) fn pascal_case(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = runes(text);
    let mut last_connector = None;
    let mut current = loop {
        match rest.next() {
            None => {
                // Nothing but connectors: the library writes the last one twice.
                if let Some(connector) = last_connector {
                    push_rune(&mut out, connector);
                }
                return out;
            }
            Some(rune) if is_connector(rune) => {
                push_rune(&mut out, rune);
                last_connector = Some(rune);
            }
            Some(rune) => break rune,
        }
    };
    let mut lowering = is_upper(current);
    current = to_upper(current);
    for next in rest {
        let previous = current;
        current = next;
        if is_connector(current) && is_connector(previous) {
            push_rune(&mut out, previous);
        } else if is_connector(previous) {
            lowering = is_upper(current);
            current = to_upper(current);
        } else {
            if lowering {
                if is_upper(current) {
                    current = to_lower(current);
                } else {
                    lowering = false;
                }
            }
            push_rune(&mut out, previous);
        }
    }
    push_rune(&mut out, current);
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The end, or nothing but invalid bytes.
    Invalid,
    Number,
    UpperCase,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

impl Word {
    /// Whether no connector is written before a word of this kind.
    fn stands_apart(self) -> bool {
        matches!(self, Self::Connector | Self::Punctuation)
    }

    fn is_alphabet_or_number(self) -> bool {
        matches!(self, Self::Alphabet | Self::Number)
    }
}

/// sprig's `snakecase` (connector `_`) and `kebabcase` (connector `-`).
pub(crate) fn connected_lower_case(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 4);
    if text.is_empty() {
        return out;
    }
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            push_lower(&mut out, kind, word, connector);
        }
        let (last_kind, last_word) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match last_kind {
            Word::Number => {
                while kind.is_alphabet_or_number() {
                    push_lower(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if kind != Word::Invalid && !kind.stands_apart() {
                    push_rune(&mut out, connector);
                }
            }
            Word::Connector => push_lower(&mut out, last_kind, last_word, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !kind.stands_apart() {
                    push_rune(&mut out, connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                if kind != Word::Alphabet {
                    // The number belongs to the word before: `Bld4Floor` is `bld4_floor`.
                    push_lower(&mut out, Word::Number, number, connector);
                    if !kind.stands_apart() {
                        push_rune(&mut out, connector);
                    }
                } else {
                    // Lower-case letters follow: `HTTP2xx` is `http_2xx`.
                    push_rune(&mut out, connector);
                    push_lower(&mut out, Word::Number, number, connector);
                    while kind.is_alphabet_or_number() {
                        push_lower(&mut out, kind, word, connector);
                        (kind, word, rest) = next_word(rest);
                    }
                    if kind != Word::Invalid && !kind.stands_apart() {
                        push_rune(&mut out, connector);
                    }
                }
            }
        }
    }
    push_lower(&mut out, kind, word, connector);
    out
}

fn push_lower(out: &mut Vec<u8>, kind: Word, word: &[u8], connector: char) {
    if !matches!(kind, Word::UpperCase | Word::Connector) {
        out.extend_from_slice(word);
        return;
    }
    for rune in runes(word) {
        let rune = if is_connector(rune) {
            connector
        } else if is_upper(rune) {
            to_lower(rune)
        } else {
            rune
        };
        push_rune(out, rune);
    }
}

/// The library's `isAlphabet`: letters except the ideographs it knows.
fn is_alphabet(rune: char) -> bool {
    is_letter(rune) && !matches!(u32::from(rune), 0x3400..=0x4d85 | 0x4e00..=0x9fcc | 0x20000..=0x2b81d)
}

/// The next valid rune and how many bytes reach behind it; `previous` when there is none.
fn next_valid_rune(text: &[u8], previous: char) -> (char, usize) {
    let mut size = 0;
    while size < text.len() {
        let (rune, width) = decode_rune(&text[size..]);
        size += width;
        if rune != char::REPLACEMENT_CHARACTER {
            return (rune, size);
        }
    }
    (previous, size)
}

/// Splits off the longest run of one kind.
fn next_word(text: &[u8]) -> (Word, &[u8], &[u8]) {
    if text.is_empty() {
        return (Word::Invalid, text, text);
    }
    let (first, size) = next_valid_rune(text, char::REPLACEMENT_CHARACTER);
    if first == char::REPLACEMENT_CHARACTER {
        return (Word::Invalid, &text[..size], &text[size..]);
    }
    // Extends a word as long as the runes belong to it; at the end of the text the last rune is
    // looked at again and found to have no width, which ends the loop.
    let extend = |mut end: usize, mut rune: char, belongs: &dyn Fn(char) -> bool| {
        while end < text.len() {
            let (next, width) = next_valid_rune(&text[end..], rune);
            rune = next;
            if !belongs(rune) {
                break;
            }
            end += width;
        }
        (end, rune)
    };
    let lower_alphabet = |rune: char| is_alphabet(rune) && !is_upper(rune);
    let (kind, end) = if is_connector(first) {
        (Word::Connector, extend(size, first, &is_connector).0)
    } else if is_punct(first) {
        (Word::Punctuation, extend(size, first, &is_punct).0)
    } else if is_upper(first) {
        (Word::UpperCase, upper_case_end(text, size, first))
    } else if is_alphabet(first) {
        (Word::Alphabet, extend(size, first, &lower_alphabet).0)
    } else if is_number(first) {
        (Word::Number, extend(size, first, &is_number).0)
    } else {
        let other =
            |rune: char| !(is_connector(rune) || is_alphabet(rune) || is_number(rune) || is_punct(rune));
        (Word::Other, extend(size, first, &other).0)
    };
    (kind, &text[..end], &text[end..])
}

/// Where a word that begins with an upper-case rune of `size` bytes ends: `HTTPStatus` is `HTTP`
/// and `Status`, `Status` stays whole.
fn upper_case_end(text: &[u8], size: usize, first: char) -> usize {
    let mut end = size;
    if end == text.len() {
        return end;
    }
    let (mut rune, mut width) = next_valid_rune(&text[end..], first);
    if is_upper(rune) {
        let mut last_width = width;
        end += width;
        while end < text.len() {
            (rune, width) = next_valid_rune(&text[end..], rune);
            if !is_upper(rune) {
                break;
            }
            last_width = width;
            end += width;
        }
        if end < text.len() && is_alphabet(rune) {
            end -= last_width;
        }
    } else if is_alphabet(rune) {
        end += width;
        while end < text.len() {
            (rune, width) = next_valid_rune(&text[end..], rune);
            if !is_alphabet(rune) || is_upper(rune) {
                break;
            }
            end += width;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_follows_the_library() {
        for (text, expected) in [
            ("FirstName", "first_name"),
            ("HTTPServer", "http_server"),
            ("NoHTTPS", "no_https"),
            ("GO_PATH", "go_path"),
            ("GO PATH", "go_path"),
            ("http2xx", "http_2xx"),
            ("HTTP20xOK", "http_20x_ok"),
            ("Duration2m3s", "duration_2m3s"),
            ("Bld4Floor3rd", "bld4_floor_3rd"),
            ("_a__B", "_a__b"),
        ] {
            let actual = connected_lower_case(text.as_bytes(), '_');
            assert_eq!(String::from_utf8(actual).unwrap(), expected);
        }
    }

    #[test]
    fn pascal_case_follows_the_library() {
        for (text, expected) in [
            ("http_server", "HttpServer"),
            ("_complex__case_", "_Complex_Case_"),
            ("GOLANG_IS_GREAT", "GolangIsGreat"),
            ("a", "A"),
            ("--", "---"),
            ("", ""),
        ] {
            let actual = pascal_case(text.as_bytes());
            assert_eq!(String::from_utf8(actual).unwrap(), expected);
        }
    }

    #[test]
    fn title_and_swapcase() {
        assert_eq!(title(b"it's a-b_c 1x"), b"It'S A-B_c 1x");
        assert_eq!(swap_case(b"This Is a.Test"), b"tHIS iS A.tEST");
        assert_eq!(untitle(b"Hello World"), b"hello world");
    }
}
