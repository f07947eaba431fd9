//! Values as Go's `%v` prints them, for warnings.

use super::Value;

pub(crate) fn go_v(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => go_g(*f),
        Value::String(s) => s.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(go_v).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_v(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// `%v` of a float64: shortest digits, `e` notation below 1e-4 and from 1e21 on.
fn go_g(value: f64) -> String {
    let abs = value.abs();
    if abs != 0.0 && !(1e-4..1e21).contains(&abs) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}
