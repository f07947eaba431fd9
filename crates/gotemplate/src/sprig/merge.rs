//! Merging of dicts as mergo v1.0.1 does it, its quirks with lists included.

use crate::{Ctx, Error, Kind, Map, Value};

/// Merges `source` into `target`, in place. Without `overwrite` only keys that are missing or empty
/// in the target are taken; with it the source wins, nil included. Dicts on both sides are merged.
pub(super) fn merge_into(
    ctx: &mut Ctx,
    target: &Map,
    source: &Map,
    overwrite: bool,
    depth: usize,
) -> Result<(), Error> {
    ctx.check_nesting(depth)?;
    for (key, value) in source.entries() {
        ctx.charge(2 * size_of::<Value>())?;
        let present = target.get(&key);
        let put = |value: Value| {
            if target.insert(key.clone(), value) {
                Ok(())
            } else {
                Err(Error::msg("assignment to entry in nil map"))
            }
        };
        match &value {
            _ if is_nil(&value) => {
                if overwrite {
                    put(value)?;
                }
                continue;
            }
            Value::Map(source_dict) => {
                if let Some(Value::Map(target_dict)) = &present
                    && (!target_dict.is_nil() || source_dict.is_nil())
                {
                    merge_into(ctx, target_dict, source_dict, overwrite, depth + 1)?;
                }
            }
            // Whether a list is replaced hangs on the dict around it being empty.
            Value::List(_) | Value::Bytes(_) if overwrite || target.is_empty() => put(value.clone())?,
            _ => {}
        }
        if present.as_ref().is_some_and(|present| !is_empty(present)) {
            let both_dicts = value.kind() == Kind::Map
                && present.as_ref().is_some_and(|present| present.kind() == Kind::Map);
            if value.kind() == Kind::Slice || both_dicts {
                continue;
            }
        }
        // Looked at again: merging above may have filled a dict that was empty.
        if overwrite || present.as_ref().is_none_or(is_empty) {
            put(value)?;
        }
    }
    Ok(())
}

/// A nil interface; typed nils inside one are not nil to mergo.
fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil)
}

/// mergo's emptiness: structs and pointers to them are never empty.
fn is_empty(value: &Value) -> bool {
    !value.truth()
}
