//! Arithmetic and conversions.

use super::args::{Answer, Args, print, string};
use super::cast::{parse_int, to_float64, to_int64, truncate_float};
use super::decimal::Decimal;
use super::surroundings::random_below;
use crate::types::{ANY, FLOAT64, INT, INT64, INTS, STRING};
use crate::{Ctx, Error, Func, List, Value};

/// The arithmetic and conversion functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("atoi", &[STRING], INT, |_, args| Ok(Value::int(atoi(args.text(0)?)))),
    Func::new("int64", &[ANY], INT64, |_, args| Ok(Value::int64(to_int64(args.any(0))))),
    Func::new("int", &[ANY], INT, |_, args| Ok(Value::int(to_int64(args.any(0))))),
    Func::new("float64", &[ANY], FLOAT64, |_, args| Ok(Value::Float(to_float64(args.any(0))))),
    Func::new("toDecimal", &[ANY], INT64, |ctx, args| {
        let text = print(ctx, args.any(0))?;
        Ok(Value::int64(parse_int(&text, 8).unwrap_or(0)))
    }),
    Func::variadic("seq", &[INT], STRING, seq),
    Func::new("until", &[INT], INTS, |ctx, args| {
        let count = args.int(0)?;
        until_step(ctx, 0, count, if count < 0 { -1 } else { 1 })
    }),
    Func::new("untilStep", &[INT, INT, INT], INTS, |ctx, args| {
        until_step(ctx, args.int(0)?, args.int(1)?, args.int(2)?)
    }),
    Func::new("add1", &[ANY], INT64, |_, args| Ok(Value::int64(to_int64(args.any(0)).wrapping_add(1)))),
    Func::variadic("add", &[ANY], INT64, |_, args| {
        Ok(Value::int64(args.iter().fold(0, |sum, value| sum.wrapping_add(to_int64(value)))))
    }),
    Func::new("sub", &[ANY, ANY], INT64, |_, args| {
        Ok(Value::int64(to_int64(args.any(0)).wrapping_sub(to_int64(args.any(1)))))
    }),
    Func::new("div", &[ANY, ANY], INT64, |_, args| divide(args, i64::wrapping_div)),
    Func::new("mod", &[ANY, ANY], INT64, |_, args| divide(args, i64::wrapping_rem)),
    Func::variadic("mul", &[ANY, ANY], INT64, |_, args| {
        Ok(Value::int64(args.iter().fold(1, |product, value| product.wrapping_mul(to_int64(value)))))
    }),
    Func::new("randInt", &[INT, INT], INT, rand_int),
    Func::new("add1f", &[ANY], FLOAT64, |_, args| {
        decimals(args.any(0), &[Value::int(1)], |a, b| Ok(a.add(b)))
    }),
    Func::variadic("addf", &[ANY], FLOAT64, |_, args| {
        decimals(&Value::Float(0.0), args, |a, b| Ok(a.add(b)))
    }),
    Func::variadic("subf", &[ANY, ANY], FLOAT64, |_, args| {
        decimals(args.any(0), args.from(1), |a, b| Ok(a.sub(b)))
    }),
    Func::variadic("divf", &[ANY, ANY], FLOAT64, |_, args| decimals(args.any(0), args.from(1), Decimal::div)),
    Func::variadic("mulf", &[ANY, ANY], FLOAT64, |_, args| {
        decimals(args.any(0), args.from(1), |a, b| Ok(a.mul(b)))
    }),
    Func::variadic("biggest", &[ANY, ANY], INT64, |_, args| extreme(args, i64::max)),
    Func::variadic("max", &[ANY, ANY], INT64, |_, args| extreme(args, i64::max)),
    Func::variadic("min", &[ANY, ANY], INT64, |_, args| extreme(args, i64::min)),
    Func::variadic("maxf", &[ANY, ANY], FLOAT64, |_, args| extreme_float(args, go_max)),
    Func::variadic("minf", &[ANY, ANY], FLOAT64, |_, args| extreme_float(args, go_min)),
    Func::new("ceil", &[ANY], FLOAT64, |_, args| Ok(Value::Float(to_float64(args.any(0)).ceil()))),
    Func::new("floor", &[ANY], FLOAT64, |_, args| Ok(Value::Float(to_float64(args.any(0)).floor()))),
    Func::variadic("round", &[ANY, INT, FLOAT64], FLOAT64, round),
];

/// `strconv.Atoi` without its error: too large a number is the largest.
fn atoi(text: &[u8]) -> i64 {
    if let Some(number) = parse_int(text, 10) {
        return number;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    match (digits.iter().all(u8::is_ascii_digit) && !digits.is_empty(), negative) {
        (false, _) => 0,
        (true, true) => i64::MIN,
        (true, false) => i64::MAX,
    }
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Answer {
    match to_int64(args.any(1)) {
        0 => Err(Error::msg("runtime error: integer divide by zero")),
        divisor => Ok(Value::int64(operation(to_int64(args.any(0)), divisor))),
    }
}

fn extreme(args: &[Value], choose: fn(i64, i64) -> i64) -> Answer {
    Ok(Value::int64(args.iter().map(to_int64).reduce(choose).unwrap_or(0)))
}

fn extreme_float(args: &[Value], choose: fn(f64, f64) -> f64) -> Answer {
    Ok(Value::Float(args.iter().map(to_float64).reduce(choose).unwrap_or(0.0)))
}

/// `math.Max`: NaN wins unless there is an infinity, and 0 is greater than -0.
fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// `math.Min`.
fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

fn decimals(
    first: &Value,
    others: &[Value],
    operation: fn(&Decimal, &Decimal) -> Result<Decimal, String>,
) -> Answer {
    let mut result = Decimal::from_float(to_float64(first)).map_err(Error::msg)?;
    for other in others {
        let other = Decimal::from_float(to_float64(other)).map_err(Error::msg)?;
        result = operation(&result, &other).map_err(Error::msg)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn round(_: &mut Ctx, args: &[Value]) -> Answer {
    let round_on = match args.get(2) {
        Some(Value::Float(round_on)) => *round_on,
        _ => 0.5,
    };
    let power = power_of_ten(args.int(1)?);
    let digit = power * to_float64(args.any(0));
    let fraction = if digit.is_infinite() { f64::NAN } else { digit.fract() };
    let rounded = if fraction >= round_on { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / power))
}

/// `math.Pow(10, exponent)`. Go multiplies the powers of two of the exponent, and so do we: its
/// result is not always the nearest float.
fn power_of_ten(exponent: i64) -> f64 {
    go_pow_ten(exponent as f64)
}

fn go_pow_ten(exponent: f64) -> f64 {
    if exponent == 0.0 {
        return 1.0;
    }
    let magnitude = exponent.abs();
    if magnitude >= 9_223_372_036_854_775_808.0 {
        return if exponent > 0.0 { f64::INFINITY } else { 0.0 };
    }
    // The product is kept as mantissa and binary exponent.
    let mut mantissa = 1.0_f64;
    let mut binary: i64 = 0;
    let (mut square, mut square_binary) = split_float(10.0);
    let mut rest = truncate_float(magnitude);
    while rest != 0 {
        if !(-(1 << 12)..=1 << 12).contains(&square_binary) {
            // Overflows either way; stop before the exponent does.
            binary += square_binary;
            break;
        }
        if rest & 1 == 1 {
            mantissa *= square;
            binary += square_binary;
        }
        square *= square;
        square_binary <<= 1;
        if square < 0.5 {
            square += square;
            square_binary -= 1;
        }
        rest >>= 1;
    }
    if exponent < 0.0 {
        mantissa = 1.0 / mantissa;
        binary = -binary;
    }
    scale(mantissa, binary)
}

/// `math.Frexp` for normal numbers: a mantissa in [0.5, 1) and an exponent of two.
fn split_float(value: f64) -> (f64, i64) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1022;
    let mantissa = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
    (mantissa, exponent)
}

/// `math.Ldexp` for a mantissa near 1.
fn scale(mantissa: f64, exponent: i64) -> f64 {
    if exponent > 2000 {
        return f64::INFINITY;
    }
    if exponent < -2000 {
        return 0.0;
    }
    // In two steps, so that only the last one can round.
    let half = exponent / 2;
    let two_to = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    if exponent < -1000 {
        let first = -1000;
        return mantissa * two_to(first) * two_to((exponent - first).max(-1022));
    }
    mantissa * two_to(half) * two_to(exponent - half)
}

fn rand_int(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let (min, max) = (args.int(0)?, args.int(1)?);
    let range = max.wrapping_sub(min);
    if range <= 0 {
        return Err(Error::msg("invalid argument to Intn"));
    }
    let offset = random_below(ctx, range.unsigned_abs())?;
    Ok(Value::int(min.wrapping_add(offset as i64)))
}

/// The numbers from `start` up or down to, but without, `stop`.
fn steps(ctx: &mut Ctx, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Error> {
    let up = stop >= start;
    if up && step <= 0 || !up && step >= 0 {
        return Ok(Vec::new());
    }
    let distance = i128::from(stop) - i128::from(start);
    let count = (distance.unsigned_abs()).div_ceil(i128::from(step).unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    ctx.charge(count.saturating_mul(size_of::<Value>()))?;
    let mut numbers = Vec::new();
    let mut next = Some(start);
    while let Some(number) = next.filter(|number| if up { *number < stop } else { *number > stop }) {
        numbers.push(number);
        next = number.checked_add(step);
    }
    Ok(numbers)
}

fn until_step(ctx: &mut Ctx, start: i64, stop: i64, step: i64) -> Answer {
    let numbers = steps(ctx, start, stop, step)?;
    Ok(Value::List(List::new(INTS, numbers.into_iter().map(Value::int).collect())))
}

fn seq(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let params = args.iter().enumerate().map(|(index, _)| args.int(index)).collect::<Result<Vec<_>, _>>()?;
    let numbers = match params[..] {
        [end] => {
            let increment = if end < 1 { -1 } else { 1 };
            steps(ctx, 1, end.wrapping_add(increment), increment)?
        }
        [start, end] => {
            let step = if end < start { -1 } else { 1 };
            steps(ctx, start, end.wrapping_add(step), step)?
        }
        [start, step, end] => {
            let down = end < start;
            if down && step > 0 {
                return string("");
            }
            steps(ctx, start, end.wrapping_add(if down { -1 } else { 1 }), step)?
        }
        _ => return string(""),
    };
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    string(texts.join(" "))
}
