//! Floats as Go's `strconv` and `encoding/json` write them.

/// The digits of Rust's `{:e}` (the shortest that read back as the same float) and their exponent.
fn shortest(text: &str) -> (&str, &str, i32) {
    // Rust writes `d.ddde-12`.
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (first, rest, exponent.parse().unwrap_or(0))
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// `strconv.FormatFloat(value, 'g', -1, 64)`: `1e+06`, `0.0001`, `1e-05`, `+Inf`, `NaN`.
pub fn format_g(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => format_shortest_g(&format!("{:e}", value.abs()), value.is_sign_negative()),
    }
}

/// `strconv.FormatFloat(float64(value), 'g', -1, 32)`.
pub fn format_g32(value: f32) -> String {
    match special(f64::from(value)) {
        Some(text) => text.to_owned(),
        None => format_shortest_g(&format!("{:e}", value.abs()), value.is_sign_negative()),
    }
}

/// `strconv.FormatFloat(value, 'f', -1, 64)`: never an exponent.
pub fn format_f(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        // Rust and Go agree on digits and on `-0`.
        None => format!("{value}"),
    }
}

/// `strconv.FormatFloat(value, 'e', -1, 64)`: always an exponent of at least two digits.
pub fn format_e(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => {
            let text = format!("{:e}", value.abs());
            let (first, rest, exponent) = shortest(&text);
            let mut out = String::with_capacity(24);
            if value.is_sign_negative() {
                out.push('-');
            }
            push_scientific(&mut out, first, rest, exponent);
            out
        }
    }
}

/// A number as `encoding/json` writes it (as ES6 does, but `-0`); none for infinities and NaN.
pub fn format_json(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    if size != 0.0 && (size < 1e-6 || size >= 1e21) {
        let mut out = format_e(value);
        // e-09 is written e-9.
        if let [.., b'e', b'-', b'0', last] = *out.as_bytes() {
            out.truncate(out.len() - 2);
            out.push(char::from(last));
        }
        return Some(out);
    }
    Some(format!("{value}"))
}

fn format_shortest_g(text: &str, negative: bool) -> String {
    let (first, rest, exponent) = shortest(text);
    let mut out = String::with_capacity(24);
    if negative {
        out.push('-');
    }
    // Go uses the exponent form from here on, whatever the number of digits.
    const LIMIT: i32 = 6;
    if exponent < -4 || exponent >= LIMIT {
        push_scientific(&mut out, first, rest, exponent);
    } else if exponent < 0 {
        out.push_str("0.");
        for _ in 0..(-exponent - 1) {
            out.push('0');
        }
        out.push_str(first);
        out.push_str(rest);
    } else {
        let whole = exponent as usize;
        out.push_str(first);
        if rest.len() > whole {
            out.push_str(&rest[..whole]);
            out.push('.');
            out.push_str(&rest[whole..]);
        } else {
            out.push_str(rest);
            for _ in rest.len()..whole {
                out.push('0');
            }
        }
    }
    out
}

fn push_scientific(out: &mut String, first: &str, rest: &str, exponent: i32) {
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out.push('e');
    out.push(if exponent < 0 { '-' } else { '+' });
    let size = exponent.unsigned_abs();
    if size < 10 {
        out.push('0');
    }
    out.push_str(&size.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_form_is_gos() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (100000.0, "100000"),
            (1000000.0, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e22, "1e+22"),
            (-12.5, "-12.5"),
            (123456.789, "123456.789"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_g(value), text);
        }
        assert_eq!(format_g32(0.1), "0.1");
        assert_eq!(format_g32(16777216.0), "1.6777216e+07");
    }

    #[test]
    fn json_form_is_gos() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-10, "1.5e-10"),
            (123456789.0, "123456789"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
        ] {
            assert_eq!(format_json(value).unwrap(), text);
        }
        assert_eq!(format_json(f64::NAN), None);
    }

    #[test]
    fn other_forms_are_gos() {
        assert_eq!(format_e(1.0), "1e+00");
        assert_eq!(format_e(-12.5), "-1.25e+01");
        assert_eq!(format_f(1e22), "10000000000000000000000");
        assert_eq!(format_f(-0.0), "-0");
    }
}
