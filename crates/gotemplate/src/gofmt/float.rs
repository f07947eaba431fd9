//! Floats as `strconv.FormatFloat` writes them.

/// A float's decimal digits without trailing zeros, and where the point stands: `0.d1d2… × 10^point`.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

/// More digits than any `float64` has: `format!` is exact below, zeros follow above.
const EXACT: usize = 1100;

/// `strconv.FormatFloat(value, verb, precision, bits)`. The verb is one of `b e E f g G x X`, a negative
/// precision means the shortest text that reads back, `bits` is 32 or 64.
pub fn format_float(value: f64, verb: u8, precision: i32, bits: u32) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let mut out = String::new();
    if value.is_sign_negative() {
        out.push('-');
    }
    let magnitude = value.abs();
    match verb {
        b'b' => binary(&mut out, magnitude, bits),
        b'x' | b'X' => hexadecimal(&mut out, magnitude, verb, precision, bits),
        _ => decimal(&mut out, magnitude, verb, precision, bits),
    }
    out
}

fn decimal(out: &mut String, value: f64, verb: u8, precision: i32, bits: u32) {
    let shortest = precision < 0;
    let (digits, precision) = if shortest {
        let digits = shortest_digits(value, bits);
        let count = digits.digits.len() as i32;
        let precision = match verb {
            b'e' | b'E' => (count - 1).max(0),
            b'f' => (count - digits.point).max(0),
            _ => count,
        };
        (digits, precision as usize)
    } else {
        let wanted = precision as usize;
        match verb {
            b'e' | b'E' => (exact_digits(value, wanted + 1), wanted),
            b'f' => {
                let text = format!("{:.*}", wanted.min(EXACT), value);
                out.push_str(&text);
                if wanted > EXACT {
                    out.extend(std::iter::repeat_n('0', wanted - EXACT));
                }
                return;
            }
            _ => {
                let wanted = wanted.max(1);
                (exact_digits(value, wanted), wanted)
            }
        }
    };
    match verb {
        b'e' | b'E' => exponent_form(out, &digits, precision, verb),
        b'f' => point_form(out, &digits, precision),
        _ => {
            let count = digits.digits.len();
            let mut threshold = precision as i32;
            if precision > count && count as i32 >= digits.point {
                threshold = count as i32;
            }
            if shortest {
                threshold = 6;
            }
            let exponent = digits.point - 1;
            if exponent < -4 || exponent >= threshold {
                let precision = precision.min(count);
                exponent_form(out, &digits, precision.saturating_sub(1), verb - 2);
            } else {
                let precision = if precision as i32 > digits.point { count } else { precision };
                point_form(out, &digits, (precision as i32 - digits.point).max(0) as usize);
            }
        }
    }
}

fn shortest_digits(value: f64, bits: u32) -> Digits {
    // `{:e}` is as short, but takes another text where two are equally near.
    if bits == 32 {
        parse_digits(&goyaml::number::format_e32(value as f32))
    } else {
        parse_digits(&goyaml::number::format_e(value))
    }
}

fn exact_digits(value: f64, count: usize) -> Digits {
    parse_digits(&format!("{:.*e}", (count - 1).min(EXACT), value))
}

/// Reads a number with an exponent: `1.25e-7`, `1.25e-07`.
fn parse_digits(text: &str) -> Digits {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    if digits.is_empty() {
        return Digits { digits, point: 0 };
    }
    Digits { digits, point: exponent.parse::<i32>().unwrap_or(0) + 1 }
}

fn exponent_form(out: &mut String, digits: &Digits, precision: usize, verb: u8) {
    let digit = |i: usize| digits.digits.get(i).map_or('0', |d| *d as char);
    out.push(digit(0));
    if precision > 0 {
        out.push('.');
        out.extend((1..=precision).map(digit));
    }
    out.push(verb as char);
    let exponent = if digits.digits.is_empty() { 0 } else { digits.point - 1 };
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.abs()));
}

fn point_form(out: &mut String, digits: &Digits, precision: usize) {
    let digit = |i: i32| {
        let index = usize::try_from(i).ok();
        index.and_then(|i| digits.digits.get(i)).map_or('0', |d| *d as char)
    };
    if digits.point > 0 {
        out.extend((0..digits.point).map(digit));
    } else {
        out.push('0');
    }
    if precision > 0 {
        out.push('.');
        out.extend((0..precision as i32).map(|i| digit(digits.point + i)));
    }
}

/// The mantissa with its implicit bit, the exponent of that bit, and the mantissa's width.
fn parts(value: f64, bits: u32) -> (u64, i32, u32) {
    let (raw, width, exponent_bits, bias) = if bits == 32 {
        (u64::from((value as f32).to_bits()), 23, 8, -127)
    } else {
        (value.to_bits(), 52, 11, -1023)
    };
    let mut mantissa = raw & ((1 << width) - 1);
    let mut exponent = ((raw >> width) & ((1 << exponent_bits) - 1)) as i32;
    if exponent == 0 {
        exponent += 1;
    } else {
        mantissa |= 1 << width;
    }
    (mantissa, exponent + bias, width)
}

fn binary(out: &mut String, value: f64, bits: u32) {
    let (mantissa, exponent, width) = parts(value, bits);
    out.push_str(&format!("{mantissa}p{:+}", exponent - width as i32));
}

fn hexadecimal(out: &mut String, value: f64, verb: u8, precision: i32, bits: u32) {
    let (mut mantissa, mut exponent, width) = parts(value, bits);
    if mantissa == 0 {
        exponent = 0;
    }
    mantissa <<= 60 - width;
    while mantissa != 0 && mantissa & (1 << 60) == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if (0..15).contains(&precision) {
        let shift = precision as u32 * 4;
        let extra = (mantissa << shift) & ((1 << 60) - 1);
        mantissa >>= 60 - shift;
        if extra | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & (1 << 61) != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let upper = verb == b'X';
    let hex = |nibble: u64| {
        let digit = char::from_digit((nibble & 15) as u32, 16).unwrap_or('0');
        if upper { digit.to_ascii_uppercase() } else { digit }
    };
    out.push('0');
    out.push(verb as char);
    out.push(if (mantissa >> 60) & 1 == 1 { '1' } else { '0' });
    mantissa <<= 4;
    if precision < 0 && mantissa != 0 {
        out.push('.');
        while mantissa != 0 {
            out.push(hex(mantissa >> 60));
            mantissa <<= 4;
        }
    } else if precision > 0 {
        out.push('.');
        for _ in 0..precision {
            out.push(hex(mantissa >> 60));
            mantissa <<= 4;
        }
    }
    out.push(if upper { 'P' } else { 'p' });
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.abs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_strconv_does() {
        let rows: &[(f64, u8, i32, &str)] = &[
            (1e6, b'g', -1, "1e+06"),
            (100000.0, b'g', -1, "100000"),
            (123456789.0, b'g', -1, "1.23456789e+08"),
            (0.0001, b'g', -1, "0.0001"),
            (0.00001, b'g', -1, "1e-05"),
            (0.0, b'g', -1, "0"),
            (0.0, b'e', 3, "0.000e+00"),
            (2.5, b'f', 0, "2"),
            (0.5, b'f', 0, "0"),
            (1.5, b'f', 0, "2"),
            (1.0, b'x', -1, "0x1p+00"),
            (1.0, b'b', -1, "4503599627370496p-52"),
            (123456.0, b'g', 3, "1.23e+05"),
            (100.0, b'g', 5, "100"),
            (3.0, b'g', 0, "3"),
            (5e-324, b'g', -1, "5e-324"),
            (1.7976931348623157e308, b'g', -1, "1.7976931348623157e+308"),
            (-1.25, b'E', 1, "-1.2E+00"),
            (1.0, b'f', 3, "1.000"),
            (1e21, b'f', -1, "1000000000000000000000"),
            (1820695185038724.2, b'g', -1, "1.8206951850387242e+15"),
            (14175827046950.062, b'f', -1, "14175827046950.062"),
        ];
        for (value, verb, precision, want) in rows {
            assert_eq!(format_float(*value, *verb, *precision, 64), *want, "{value} {}", *verb as char);
        }
        assert_eq!(format_float(1.1, b'g', -1, 32), "1.1");
        assert_eq!(format_float(1e21, b'G', -1, 64), "1E+21");
    }
}
