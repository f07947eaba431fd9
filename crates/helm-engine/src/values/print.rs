//! Values as Go's `%v` prints them, for warnings.

use super::Value;

pub(crate) fn go_v(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => goyaml::number::format_g(*f),
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
