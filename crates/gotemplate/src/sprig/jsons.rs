//! JSON functions. Helm replaces `toJson`, `mustToJson` and `fromJson` by its own.

use super::args::{Answer, Args, string};
use crate::json::{Style, decode, encode};
use crate::types::{ANY, STRING};
use crate::{Ctx, Error, Func, Value};

/// The JSON functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("fromJson", &[STRING], ANY, |ctx, args| {
        ctx.charge(args.text(0)?.len())?;
        Ok(decode(args.text(0)?).value)
    }),
    Func::new("mustFromJson", &[STRING], ANY, |ctx, args| {
        ctx.charge(args.text(0)?.len())?;
        let decoded = decode(args.text(0)?);
        match decoded.error {
            Some(error) => Err(Error::msg(error)),
            None => Ok(decoded.value),
        }
    }),
    Func::new("toJson", &[ANY], STRING, |ctx, args| lenient(ctx, args, Style::Compact)),
    Func::new("mustToJson", &[ANY], STRING, |ctx, args| strict(ctx, args, Style::Compact)),
    Func::new("toPrettyJson", &[ANY], STRING, |ctx, args| lenient(ctx, args, Style::Pretty)),
    Func::new("mustToPrettyJson", &[ANY], STRING, |ctx, args| strict(ctx, args, Style::Pretty)),
    Func::new("toRawJson", &[ANY], STRING, |ctx, args| strict(ctx, args, Style::Raw)),
    Func::new("mustToRawJson", &[ANY], STRING, |ctx, args| strict(ctx, args, Style::Raw)),
];

/// What cannot be written is the empty string; limits stay errors.
fn lenient(ctx: &mut Ctx, args: &[Value], style: Style) -> Answer {
    match encode(ctx, args.any(0), style) {
        Ok(text) => string(text),
        Err(error) if error.limit().is_some() => Err(error),
        Err(_) => string(""),
    }
}

fn strict(ctx: &mut Ctx, args: &[Value], style: Style) -> Answer {
    string(encode(ctx, args.any(0), style)?)
}
