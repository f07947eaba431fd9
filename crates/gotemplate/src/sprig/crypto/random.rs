//! Random strings and identifiers.

use crate::sprig::args::{Answer, Args, string};
use crate::sprig::encodings::base64_encode;
use crate::sprig::surroundings::{fill_random, random_below};
use crate::sprig::unicode::{push_rune, runes};
use crate::{Ctx, Error, Value};

/// `randBytes`: that many bytes in base64.
pub(super) fn bytes(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let too_long = || Error::msg("runtime error: makeslice: len out of range");
    let count = usize::try_from(args.int(0)?).map_err(|_| too_long())?;
    ctx.charge(count.saturating_mul(2))?;
    let mut buffer = vec![0; count];
    fill_random(ctx, &mut buffer)?;
    string(base64_encode(&buffer))
}

pub(super) fn alphanumeric(ctx: &mut Ctx, args: &[Value]) -> Answer {
    of_characters(ctx, args, |byte| byte.is_ascii_alphanumeric())
}

pub(super) fn alphabetic(ctx: &mut Ctx, args: &[Value]) -> Answer {
    of_characters(ctx, args, |byte| byte.is_ascii_alphabetic())
}

pub(super) fn numeric(ctx: &mut Ctx, args: &[Value]) -> Answer {
    of_characters(ctx, args, |byte| byte.is_ascii_digit())
}

pub(super) fn ascii(ctx: &mut Ctx, args: &[Value]) -> Answer {
    of_characters(ctx, args, |byte| (b' '..=b'~').contains(byte))
}

/// That many characters, each with the same chance; a negative count gives none.
fn of_characters(ctx: &mut Ctx, args: &[Value], belongs: fn(&u8) -> bool) -> Answer {
    let characters: Vec<u8> = (0..=127).filter(belongs).collect();
    let count = usize::try_from(args.int(0)?).unwrap_or(0);
    ctx.charge(count)?;
    ctx.work(count as u64 / 8)?;
    let mut out = Vec::new();
    for _ in 0..count {
        let index = random_below(ctx, characters.len() as u64)?;
        out.push(characters[index as usize]);
    }
    string(out)
}

/// The runes of a string in random order.
pub(super) fn shuffle(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut shuffled: Vec<char> = runes(args.text(0)?).collect();
    ctx.charge(shuffled.len().saturating_mul(4))?;
    for last in (1..shuffled.len()).rev() {
        let index = random_below(ctx, last as u64 + 1)?;
        shuffled.swap(last, index as usize);
    }
    let mut out = Vec::new();
    for rune in shuffled {
        push_rune(&mut out, rune);
    }
    string(out)
}

/// A version 4 UUID.
pub(super) fn uuid(ctx: &mut Ctx, _: &[Value]) -> Answer {
    let mut bytes = [0; 16];
    fill_random(ctx, &mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = super::hex(&bytes);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    string(parts.join("-"))
}
