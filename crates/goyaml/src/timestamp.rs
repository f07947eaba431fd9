//! Which scalars go-yaml takes for timestamps.

/// Whether one of go-yaml's layouts fits: a date, or a date and a time.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    // All layouts start with a year of four digits.
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let year = decimal(&bytes[..4]);
    let Some((month, rest)) = short_number(&bytes[5..]) else { return false };
    let [b'-', rest @ ..] = rest else { return false };
    let Some((day, rest)) = short_number(rest) else { return false };
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return false;
    }
    match rest {
        [] => true,
        [b'T' | b't', clock @ ..] => after_clock(clock).is_some_and(is_zone),
        [b' ', clock @ ..] => {
            // A space in a layout takes any number of spaces in the text.
            let clock = &clock[clock.iter().take_while(|&&c| c == b' ').count()..];
            after_clock(clock).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}

fn decimal(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, c| value * 10 + u32::from(c - b'0'))
}

/// One or two digits.
fn short_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let count = bytes.iter().take(2).take_while(|c| c.is_ascii_digit()).count();
    (count > 0).then(|| (decimal(&bytes[..count]), &bytes[count..]))
}

/// What follows `15:4:5.999999999`.
fn after_clock(bytes: &[u8]) -> Option<&[u8]> {
    let [a @ b'0'..=b'9', rest @ ..] = bytes else { return None };
    // An hour takes a second digit when there is one.
    let (hour, rest) = match rest {
        [b @ b'0'..=b'9', rest @ ..] => (decimal(&[*a, *b]), rest),
        _ => (decimal(&[*a]), rest),
    };
    let [b':', rest @ ..] = rest else { return None };
    let (minute, rest) = short_number(rest)?;
    let [b':', rest @ ..] = rest else { return None };
    let (second, mut rest) = short_number(rest)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // A fraction may follow; a lone dot is not one.
    if let [b'.' | b',', tail @ ..] = rest {
        let count = tail.iter().take_while(|c| c.is_ascii_digit()).count();
        if count > 0 {
            rest = &tail[count..];
        }
    }
    Some(rest)
}

/// `Z` or `+07:00`.
fn is_zone(bytes: &[u8]) -> bool {
    match bytes {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            let digits = [*h1, *h2, *m1, *m2];
            digits.iter().all(u8::is_ascii_digit)
                && decimal(&digits[..2]) <= 24
                && decimal(&digits[2..]) <= 60
        }
        _ => false,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::is_timestamp;

    #[test]
    fn accepts_what_go_accepts() {
        for text in [
            "2001-12-14",
            "2001-1-2",
            "2024-02-29",
            "2001-12-14t21:59:43.10-05:00",
            "2001-12-14T21:59:43Z",
            "2001-12-14 21:59:43.1",
            "2001-1-2 1:2:3",
        ] {
            assert!(is_timestamp(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "2001-13-01",
            "2023-02-29",
            "2001-12-14 21:59:43.10 -5",
            "2001-12-14T21:59:43",
            "2001-12-14T24:00:00Z",
            "2001-12-14 21:59",
            "2001-12",
            "200-12-14",
            "2001-12-14x",
        ] {
            assert!(!is_timestamp(text), "{text}");
        }
    }
}
