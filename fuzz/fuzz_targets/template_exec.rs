//! A chart's template, executed over values of every kind; `=== path` starts another template.
#![no_main]

use std::sync::LazyLock;

use helm_engine::values::{Map, load_values};
use helm_engine::{ChartFiles, load_files};
use libfuzzer_sys::fuzz_target;

const HEAD: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\nappVersion: 2.0.0\n";

const VALUES: &str = "int: 3\nfloat: 1.5\nyes: true\nname: web\nempty: \"\"\nnothing: null\nlist: [1, two, [3], {four: 4}]\n\
map: {a: 1, b: {c: {d: deep}}}\nyaml: \"a: 1\\nb: [x, y]\\n\"\njson: '{\"a\": [1, null, {\"b\": \"<c>\"}]}'\n\
toml: \"a = 1\\n[b]\\nc = [1, 2]\\n\"\ntpl: '{{ .Values.name }}-{{ include \"h\" . }}'\nversion: 1.2.3-rc.1+b5\n\
url: https://user@host:80/a?b=c#d\ntime: 2024-02-29T12:00:00Z\nregex: '(a+)+$'\nlong: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\
resources: {limits: {cpu: 100m, memory: 1Gi}}\n";

static DEFAULTS: LazyLock<Map> = LazyLock::new(|| load_values(VALUES.as_bytes()).unwrap_or_default());

fuzz_target!(|input: &[u8]| {
    let mut files = ChartFiles::new();
    files.insert("Chart.yaml", HEAD.as_bytes());
    files.insert("values.yaml", VALUES.as_bytes());
    files.insert("files/a.txt", &b"one\ntwo"[..]);
    files.insert("templates/_h.tpl", &br#"{{ define "h" }}{{ .Release.Name }}{{ end }}"#[..]);
    for (path, text) in sluice_fuzz::files(input, "a.yaml") {
        files.insert(format!("templates/{path}"), text);
    }
    if let Ok(chart) = load_files(&files) {
        sluice_fuzz::render(&chart, &DEFAULTS);
    }
});
