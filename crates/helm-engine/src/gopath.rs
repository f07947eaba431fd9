//! `path.Match`: the shell patterns of `.helmignore` and `--show-only`.

/// The one error of `path.Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct PatternError;

/// Whether all of `name` matches `pattern`; `*` and `?` do not cross a `/`.
///
/// # Errors
/// When the pattern is malformed, even if the name already failed to match.
pub(crate) fn match_path(pattern: &str, name: &str) -> Result<bool, PatternError> {
    let mut pattern: Vec<char> = pattern.chars().collect();
    let mut name: Vec<char> = name.chars().collect();
    'pattern: while !pattern.is_empty() {
        let (star, chunk, rest) = scan_chunk(&pattern);
        if star && chunk.is_empty() {
            return Ok(!name.contains(&'/'));
        }
        if let Some(left) = match_chunk(&chunk, &name)?
            && (left == 0 || !rest.is_empty())
        {
            name.drain(..name.len() - left);
            pattern = rest;
            continue;
        }
        if star {
            let mut skipped = 0;
            while skipped < name.len() && name[skipped] != '/' {
                skipped += 1;
                if let Some(left) = match_chunk(&chunk, &name[skipped..])? {
                    if rest.is_empty() && left > 0 {
                        continue;
                    }
                    name.drain(..name.len() - left);
                    pattern = rest;
                    continue 'pattern;
                }
            }
        }
        let mut rest = rest;
        while !rest.is_empty() {
            let (_, chunk, next) = scan_chunk(&rest);
            match_chunk(&chunk, &[])?;
            rest = next;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Leading star, the chunk up to the next star outside brackets, and what follows.
fn scan_chunk(pattern: &[char]) -> (bool, Vec<char>, Vec<char>) {
    let start = pattern.iter().take_while(|c| **c == '*').count();
    let body = &pattern[start..];
    let mut in_range = false;
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            '\\' if at + 1 < body.len() => at += 1,
            '[' => in_range = true,
            ']' => in_range = false,
            '*' if !in_range => break,
            _ => {}
        }
        at += 1;
    }
    (start > 0, body[..at].to_vec(), body[at..].to_vec())
}

/// Matches a chunk at the start of `name`; gives how many characters are left over.
fn match_chunk(chunk: &[char], name: &[char]) -> Result<Option<usize>, PatternError> {
    let mut failed = false;
    let mut chunk = chunk;
    let mut name = name;
    while let Some(&first) = chunk.first() {
        if !failed && name.is_empty() {
            failed = true;
        }
        match first {
            '[' => {
                let mut subject = None;
                if !failed {
                    subject = Some(name[0]);
                    name = &name[1..];
                }
                chunk = &chunk[1..];
                let negated = chunk.first() == Some(&'^');
                if negated {
                    chunk = &chunk[1..];
                }
                let mut matched = false;
                let mut ranges = 0;
                loop {
                    if chunk.first() == Some(&']') && ranges > 0 {
                        chunk = &chunk[1..];
                        break;
                    }
                    let (low, rest) = range_char(chunk)?;
                    let (high, rest) =
                        if rest.first() == Some(&'-') { range_char(&rest[1..])? } else { (low, rest) };
                    chunk = rest;
                    matched |= subject.is_some_and(|c| low <= c && c <= high);
                    ranges += 1;
                }
                failed |= matched == negated;
            }
            '?' => {
                if !failed {
                    failed = name[0] == '/';
                    name = &name[1..];
                }
                chunk = &chunk[1..];
            }
            _ => {
                if first == '\\' {
                    chunk = &chunk[1..];
                }
                let expected = *chunk.first().ok_or(PatternError)?;
                if !failed {
                    failed = expected != name[0];
                    name = &name[1..];
                }
                chunk = &chunk[1..];
            }
        }
    }
    Ok((!failed).then_some(name.len()))
}

fn range_char(chunk: &[char]) -> Result<(char, &[char]), PatternError> {
    let chunk = match chunk.first() {
        None | Some('-' | ']') => return Err(PatternError),
        Some('\\') => &chunk[1..],
        Some(_) => chunk,
    };
    let (&c, rest) = chunk.split_first().ok_or(PatternError)?;
    if rest.is_empty() { Err(PatternError) } else { Ok((c, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_test_table() {
        for (pattern, name, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[^e-g]", "abc", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("a?b", "a/b", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[", "a", None),
            ("[^bc", "a", None),
            ("a[", "a", None),
            ("a[", "ab", None),
            ("a[", "x", None),
            ("a/b[", "x", None),
            ("*x", "xxx", Some(true)),
        ] {
            assert_eq!(match_path(pattern, name).ok(), expected, "{pattern:?} on {name:?}");
        }
    }
}
