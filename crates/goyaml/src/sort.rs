//! The order in which go-yaml writes the keys of a map.

use std::cmp::Ordering;

use crate::resolve::Schema;
use crate::unicode::{is_digit, is_letter};

/// Sorts keys as go-yaml does: runs of digits by their number, letters after all else.
///
/// go-yaml's comparison is no order (`a2 < a10 < a1b < a2`), so keys are merged by it: any comparison ends.
pub(crate) fn sort_keys(schema: Schema, keys: &mut [&str]) {
    if keys.windows(2).all(|pair| less(schema, pair[0], pair[1])) {
        return;
    }
    let mut from = keys.to_vec();
    let mut to = from.clone();
    let mut width = 1;
    while width < from.len() {
        let mut out = 0;
        for run in from.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
                if less(schema, b, a) {
                    to[out] = b;
                    right = right_rest;
                } else {
                    to[out] = a;
                    left = left_rest;
                }
                out += 1;
            }
            for key in left.iter().chain(right) {
                to[out] = key;
                out += 1;
            }
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    keys.copy_from_slice(&from);
}

/// go-yaml's `keyList.Less` for strings.
fn less(schema: Schema, a: &str, b: &str) -> bool {
    // Equal beginnings decide nothing; go back to where the first difference starts.
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let mut split = common;
    while !a.is_char_boundary(split) || !b.is_char_boundary(split) {
        split -= 1;
    }
    let before = &a[..split];
    let (Some(ac), Some(bc)) = (a[split..].chars().next(), b[split..].chars().next()) else {
        return a.len() - split == 0 && b.len() > split;
    };
    match (is_letter(ac), is_letter(bc)) {
        (true, true) => return ac < bc,
        (al, bl) if al || bl => {
            let digits = schema == Schema::V3 && before.chars().next_back().is_some_and(is_digit);
            return if digits { al } else { bl };
        }
        _ => {}
    }
    // A zero counts within a number that does not start with it.
    let mut start = 0;
    if ac == '0' || bc == '0' {
        let run = before.chars().rev().take_while(|&c| is_digit(c));
        start = i64::from(run.into_iter().any(|c| c != '0'));
    }
    let (an, alen) = number(&a[split..], start);
    let (bn, blen) = number(&b[split..], start);
    match (an.cmp(&bn), alen.cmp(&blen)) {
        (Ordering::Equal, Ordering::Equal) => ac < bc,
        (Ordering::Equal, by_length) => by_length == Ordering::Less,
        (by_value, _) => by_value == Ordering::Less,
    }
}

/// The number at the start of a text, going on from `start`, and its count of digits.
fn number(text: &str, start: i64) -> (i64, usize) {
    let mut count = 0;
    let value = text.chars().take_while(|&c| is_digit(c)).fold(start, |value, c| {
        count += 1;
        value.wrapping_mul(10).wrapping_add(i64::from(u32::from(c)) - i64::from(b'0'))
    });
    (value, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(schema: Schema, keys: &str) -> String {
        let mut keys: Vec<&str> = keys.split(' ').rev().collect();
        sort_keys(schema, &mut keys);
        keys.join(" ")
    }

    #[test]
    fn order_is_natural() {
        let order = "- _ 1 A a-b a.b a_b a9 a10 aB b";
        assert_eq!(sorted(Schema::V2, order), order);
        let order = "a a0 a1 a01 a2 a10 a11";
        assert_eq!(sorted(Schema::V2, order), order);
    }

    #[test]
    fn versions_differ_after_digits() {
        assert_eq!(sorted(Schema::V2, "a1- a1b"), "a1- a1b");
        assert_eq!(sorted(Schema::V3, "a1b a1-"), "a1b a1-");
    }

    #[test]
    fn cycles_do_no_harm() {
        let mut keys: Vec<String> =
            (0..200).map(|i| format!("a{}{}", i % 17, ["", "b", "0"][i % 3])).collect();
        keys.dedup();
        let mut sorted: Vec<&str> = keys.iter().map(String::as_str).collect();
        sort_keys(Schema::V2, &mut sorted);
        let mut expected: Vec<&str> = keys.iter().map(String::as_str).collect();
        expected.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
    }
}
