//! `urlParse` and `urlJoin`, and `getHostByName`, which never asks.

use super::args::{Answer, Args, NIL_DEREFERENCE, string};
use super::url::Url;
use crate::types::{MAP, STRING};
use crate::{Ctx, Error, Func, Kind, Map, Str, Value};

/// The URL and network functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("urlParse", &[STRING], MAP, parse),
    Func::new("urlJoin", &[MAP], STRING, join),
    // A render touches no network; Helm answers the same unless told otherwise.
    Func::new("getHostByName", &[STRING], STRING, |_, _| string("")),
];

fn parse(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let text = args.text(0)?;
    ctx.charge(text.len())?;
    let url = Url::parse(text).map_err(|error| Error::msg(format!("unable to parse url: {error}")))?;
    let user_info = url.user.as_ref().map(|user| user.encode()).unwrap_or_default();
    Ok(Value::map([
        ("fragment", Value::str(url.fragment.as_slice())),
        ("host", Value::str(url.host.as_slice())),
        ("hostname", Value::str(url.host_name())),
        ("opaque", Value::str(url.opaque.as_slice())),
        ("path", Value::str(url.path.as_slice())),
        ("query", Value::str(url.query.as_slice())),
        ("scheme", Value::str(url.scheme.as_slice())),
        ("userinfo", Value::str(user_info)),
    ]))
}

fn join(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let dict = args.map(0)?;
    // In the order in which the library complains.
    let mut url = Url {
        scheme: entry(dict, "scheme")?.to_vec(),
        host: entry(dict, "host")?.to_vec(),
        path: entry(dict, "path")?.to_vec(),
        query: entry(dict, "query")?.to_vec(),
        opaque: entry(dict, "opaque")?.to_vec(),
        fragment: entry(dict, "fragment")?.to_vec(),
        user: None,
    };
    let user_info = entry(dict, "userinfo")?;
    if !user_info.is_empty() {
        let carrier = [b"proto://", user_info.as_bytes(), b"@host"].concat();
        url.user = Url::parse(&carrier)
            .map_err(|error| Error::msg(format!("unable to parse userinfo in dict: {error}")))?
            .user;
    }
    let joined = url.encode();
    ctx.charge(joined.len())?;
    string(joined)
}

fn entry(dict: &Map, key: &str) -> Result<Str, Error> {
    match dict.get(key) {
        None => Ok(Str::EMPTY),
        Some(Value::Str(text)) => Ok(text),
        Some(Value::Nil) => Err(Error::msg(NIL_DEREFERENCE)),
        Some(other) => match other.plain() {
            Value::Str(text) if other.kind() == Kind::String => Ok(text),
            _ => Err(Error::msg(format!(
                "unable to parse {key} key, must be of type string, but {} found",
                other.kind().name()
            ))),
        },
    }
}
