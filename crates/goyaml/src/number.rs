//! Floats as Go's `strconv` and `encoding/json` write them.

/// The shortest decimal digits that read back as the same float; the even ones where two are equally near.
struct Digits {
    digits: [u8; 24],
    len: usize,
    /// Where the decimal point is: the value is `0.DIGITS` times ten to this.
    point: i32,
    negative: bool,
}

impl Digits {
    fn new(value: f64) -> Self {
        Self::read(zmij::Buffer::new().format_finite(value.abs()), value.is_sign_negative())
    }

    fn new32(value: f32) -> Self {
        Self::read(zmij::Buffer::new().format_finite(value.abs()), value.is_sign_negative())
    }

    /// Takes the digits of a decimal number, with or without point and exponent.
    fn read(text: &str, negative: bool) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut found = Self { digits: [0; 24], len: 0, point: 0, negative };
        let mut before_point = true;
        for c in mantissa.bytes() {
            if c == b'.' {
                before_point = false;
                continue;
            }
            let leading_zero = c == b'0' && found.len == 0;
            if before_point && !leading_zero {
                found.point += 1;
            } else if !before_point && leading_zero {
                found.point -= 1;
            }
            if !leading_zero && found.len < found.digits.len() {
                found.digits[found.len] = c;
                found.len += 1;
            }
        }
        while found.len > 0 && found.digits[found.len - 1] == b'0' {
            found.len -= 1;
        }
        if found.len == 0 {
            // Zero is one digit before the point.
            found.digits[0] = b'0';
            found.len = 1;
            found.point = 1;
        } else {
            found.point += exponent.parse::<i32>().unwrap_or(0);
        }
        found
    }

    fn push(&self, out: &mut String, range: std::ops::Range<usize>) {
        out.extend(self.digits[range].iter().map(|&c| char::from(c)));
    }

    /// `1.5e+06`.
    fn scientific(&self) -> String {
        let mut out = self.sign();
        self.push(&mut out, 0..1);
        if self.len > 1 {
            out.push('.');
            self.push(&mut out, 1..self.len);
        }
        let exponent = self.point - 1;
        out.push_str(if exponent < 0 { "e-" } else { "e+" });
        if exponent.abs() < 10 {
            out.push('0');
        }
        out.push_str(&exponent.abs().to_string());
        out
    }

    /// `1500000`.
    fn decimal(&self) -> String {
        let mut out = self.sign();
        if self.point <= 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', self.point.unsigned_abs() as usize));
            self.push(&mut out, 0..self.len);
            return out;
        }
        let point = self.point as usize;
        self.push(&mut out, 0..point.min(self.len));
        if point < self.len {
            out.push('.');
            self.push(&mut out, point..self.len);
        } else {
            out.extend(std::iter::repeat_n('0', point - self.len));
        }
        out
    }

    /// The shorter of the two as `%g` has it.
    fn general(&self) -> String {
        // Go uses the exponent form from 6 on, whatever the number of digits.
        if (-4..6).contains(&(self.point - 1)) { self.decimal() } else { self.scientific() }
    }

    fn sign(&self) -> String {
        let mut out = String::with_capacity(24);
        if self.negative {
            out.push('-');
        }
        out
    }
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

/// `strconv.FormatFloat(value, 'g', -1, 64)`, which is `%v` as well: `1e+06`, `0.0001`, `1e-05`, `+Inf`, `NaN`.
pub fn format_g(value: f64) -> String {
    special(value).map_or_else(|| Digits::new(value).general(), str::to_owned)
}

/// `strconv.FormatFloat(float64(value), 'g', -1, 32)`.
pub fn format_g32(value: f32) -> String {
    special(f64::from(value)).map_or_else(|| Digits::new32(value).general(), str::to_owned)
}

/// `strconv.FormatFloat(value, 'f', -1, 64)`: never an exponent.
pub fn format_f(value: f64) -> String {
    special(value).map_or_else(|| Digits::new(value).decimal(), str::to_owned)
}

/// `strconv.FormatFloat(value, 'e', -1, 64)`: always an exponent of at least two digits.
pub fn format_e(value: f64) -> String {
    special(value).map_or_else(|| Digits::new(value).scientific(), str::to_owned)
}

/// `strconv.FormatFloat(float64(value), 'e', -1, 32)`.
pub fn format_e32(value: f32) -> String {
    special(f64::from(value)).map_or_else(|| Digits::new32(value).scientific(), str::to_owned)
}

/// A number as `encoding/json` writes it (as ES6 does, but `-0`); none for infinities and NaN.
pub fn format_json(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    let digits = Digits::new(value);
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Some(digits.decimal());
    }
    let mut out = digits.scientific();
    // e-09 is written e-9.
    if let [.., b'e', b'-', b'0', last] = *out.as_bytes() {
        out.truncate(out.len() - 2);
        out.push(char::from(last));
    }
    Some(out)
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
            // Between two shortest texts Go takes the even one.
            (1820695185038724.2, "1.8206951850387242e+15"),
            (14175827046950.062, "1.4175827046950062e+13"),
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
