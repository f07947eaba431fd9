//! Formats whose errors the Rust library words differently from Go's.

use boon::{Compiler, Format};
use serde_json::Value;

type Check = Result<(), Box<dyn std::error::Error>>;

pub(super) fn register(compiler: &mut Compiler) {
    compiler.register_format(Format { name: "ipv4", func: ipv4 });
}

fn ipv4(value: &Value) -> Check {
    let Value::String(text) = value else { return Ok(()) };
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return Err("expected four decimals".into());
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return Err("leading zeros".into());
        }
        let number: i64 = group.strip_prefix('+').unwrap_or(group).parse().map_err(|_| {
            format!("strconv.Atoi: parsing {}: invalid syntax", crate::gostring::quote(group))
        })?;
        if !(0..=255).contains(&number) {
            return Err("decimal must be between 0 and 255".into());
        }
    }
    Ok(())
}
