//! The decimal arithmetic of shopspring/decimal 1.4, as far as templates reach it.

use num_bigint::{BigInt, Sign};

/// Digits behind the point that a division keeps.
const DIVISION_PRECISION: i64 = 16;

/// A number `coefficient * 10^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    coefficient: BigInt,
    exponent: i64,
}

impl Decimal {
    /// The shortest decimal that reads back as `value`; NaN and infinities have none and give Go's
    /// panic text.
    pub(super) fn from_float(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            let shown = match value {
                value if value.is_nan() => "NaN",
                value if value > 0.0 => "+Inf",
                _ => "-Inf",
            };
            return Err(format!("Cannot create a Decimal from {shown}"));
        }
        if value == 0.0 {
            return Ok(Self { coefficient: BigInt::ZERO, exponent: 0 });
        }
        // The shortest digits: `-1.25e-07`.
        let shown = goyaml::number::format_e(value);
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len() as i64);
        let digits = mantissa.replace('.', "");
        let coefficient = digits.parse().map_err(|_| format!("no decimal digits in {shown}"))?;
        let exponent: i64 = exponent.parse().map_err(|_| format!("no exponent in {shown}"))?;
        Ok(Self { coefficient, exponent: exponent - fraction })
    }

    fn rescaled_pair(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        let scale = |number: &Self| &number.coefficient * power_of_ten(number.exponent - exponent);
        (scale(self), scale(other), exponent)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let (left, right, exponent) = self.rescaled_pair(other);
        Self { coefficient: left + right, exponent }
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        let (left, right, exponent) = self.rescaled_pair(other);
        Self { coefficient: left - right, exponent }
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        Self { coefficient: &self.coefficient * &other.coefficient, exponent: self.exponent + other.exponent }
    }

    /// The quotient with sixteen digits behind the point, halves rounded away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, String> {
        if other.coefficient.sign() == Sign::NoSign {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent - other.exponent + DIVISION_PRECISION;
        let (dividend, divisor) = if shift < 0 {
            (self.coefficient.clone(), &other.coefficient * power_of_ten(-shift))
        } else {
            (&self.coefficient * power_of_ten(shift), other.coefficient.clone())
        };
        let mut quotient = &dividend / &divisor;
        let remainder = &dividend % &divisor;
        let twice: BigInt = remainder * 2;
        if twice.magnitude() >= divisor.magnitude() {
            if self.coefficient.sign() == other.coefficient.sign() {
                quotient += 1;
            } else {
                quotient -= 1;
            }
        }
        Ok(Self { coefficient: quotient, exponent: -DIVISION_PRECISION })
    }

    /// The nearest float.
    pub(super) fn to_float(&self) -> f64 {
        // Reading a decimal text rounds once, as the library's fraction does.
        format!("{}e{}", self.coefficient, self.exponent).parse().unwrap_or(f64::NAN)
    }
}

fn power_of_ten(exponent: i64) -> BigInt {
    // Exponents come from floats and from a bounded number of operations on them.
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(value: f64) -> Decimal {
        Decimal::from_float(value).unwrap()
    }

    #[test]
    fn sums_are_decimal() {
        assert_eq!(decimal(0.1).add(&decimal(0.2)).to_float(), 0.3);
        assert_eq!(decimal(1e22).sub(&decimal(-1.5)).to_float(), 1e22);
        assert_eq!(decimal(1.1).mul(&decimal(1.1)).to_float(), 1.21);
    }

    #[test]
    fn quotients_keep_sixteen_digits() {
        assert_eq!(decimal(10.0).div(&decimal(3.0)).unwrap().to_float(), 3.333_333_333_333_333_5);
        assert_eq!(decimal(-2.0).div(&decimal(3.0)).unwrap().to_float(), -0.666_666_666_666_666_7);
        assert_eq!(decimal(1e-20).div(&decimal(3.0)).unwrap().to_float(), 0.0);
        assert_eq!(decimal(1.0).div(&decimal(0.0)).unwrap_err(), "decimal division by 0");
    }
}
