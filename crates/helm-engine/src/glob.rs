//! The patterns of `.Files.Glob`, as `gobwas/glob` reads them with `/` as separator: `*` and `?`
//! stop at it, `**` does not; `[a-z]`, `[!abc]`, `{a,b}` and `\` work as one expects.

use regex::Regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Glob(Regex);

impl Glob {
    /// A pattern that cannot be read matches everything, as in Helm.
    pub(crate) fn new(pattern: &str) -> Self {
        let source = translate(pattern).unwrap_or_else(|| "(?s:.*)".to_owned());
        let anchored = Regex::new(&format!("^(?:{source})$"));
        Self(anchored.unwrap_or_else(|_| Regex::new("(?s:)").expect("the pattern is fixed")))
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// The same pattern as a regular expression; none if it is malformed.
fn translate(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut depth = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str("(?s:.*)"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '[' => class(&mut chars, &mut out)?,
            '\\' => {
                if let Some(c) = chars.next() {
                    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                }
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.extend(std::iter::repeat_n(')', depth));
    Some(out)
}

/// One range `[a-z]` or one list `[abc]`; the two cannot be mixed.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    let negated = chars.next_if_eq(&'!').is_some();
    let first = *chars.peek()?;
    let mut ahead = chars.clone();
    ahead.next();
    let mut members = String::new();
    if ahead.next_if_eq(&'-').is_some() {
        let last = ahead.next()?;
        if ahead.next()? != ']' || last < first {
            return None;
        }
        *chars = ahead;
        members = format!("{}-{}", class_escape(first), class_escape(last));
    } else {
        let mut closed = false;
        while let Some(c) = chars.next() {
            match c {
                ']' => {
                    closed = true;
                    break;
                }
                '\\' => members.push_str(&class_escape(chars.next()?)),
                c => members.push_str(&class_escape(c)),
            }
        }
        if !closed || members.is_empty() {
            return None;
        }
    }
    out.push('[');
    if negated {
        out.push('^');
    }
    out.push_str(&members);
    out.push(']');
    Some(())
}

fn class_escape(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_gobwas() {
        for (pattern, name, expected) in [
            ("files/*", "files/a.txt", true),
            ("files/*", "files/sub/a.txt", false),
            ("files/**", "files/sub/a.txt", true),
            ("**.yaml", "a/b/c.yaml", true),
            ("*.{yaml,yml}", "a.yml", true),
            ("*.{yaml,yml}", "a.json", false),
            ("{a,b", "b", true),
            ("file?.txt", "file1.txt", true),
            ("file?.txt", "file/.txt", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[abc]x", "cx", true),
            ("[a-c0-9]x", "anything", true),
            ("[", "anything", true),
            ("a\\*b", "a*b", true),
            ("a.b", "axb", false),
            ("", "", true),
            ("", "a", false),
            ("a,b}", "a,b}", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern:?} on {name:?}");
        }
    }
}
