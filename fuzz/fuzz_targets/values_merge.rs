//! Values files over one another, lines of `--set` and its kin over those, the result over a chart with subcharts and
//! a schema. `=== defaults`, `=== sub`, `=== schema`, `=== file`, `=== set` and the like say what a piece is.
#![no_main]

use helm_engine::values::{Map, load_values, merge_maps, strvals};
use helm_engine::{ChartFiles, load_files};
use libfuzzer_sys::fuzz_target;

const HEAD: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.x, condition: sub.on, tags: [t], import-values: [x, {child: a, parent: b}]}\n- {name: sub, version: 1.x, alias: other}\n";

fuzz_target!(|input: &[u8]| {
    let mut files = ChartFiles::new();
    files.insert("Chart.yaml", HEAD.as_bytes());
    files.insert("charts/sub/Chart.yaml", &b"apiVersion: v2\nname: sub\nversion: 1.0.0\n"[..]);
    files.insert("templates/a.yaml", &b"a: {{ toJson .Values }}\nb: {{ .Values.sub.a }}"[..]);
    files.insert("charts/sub/templates/a.yaml", &b"{{ toYaml .Values }}"[..]);
    let mut values = Map::new();
    for (kind, piece) in sluice_fuzz::files(input, "file") {
        let text = String::from_utf8_lossy(piece);
        match kind {
            "defaults" => files.insert("values.yaml", piece),
            "sub" => files.insert("charts/sub/values.yaml", piece),
            "schema" => files.insert("values.schema.json", piece),
            "subschema" => files.insert("charts/sub/values.schema.json", piece),
            "set" | "string" | "json" | "literal" | "path" => {
                for line in text.lines() {
                    drop(match kind {
                        "set" => strvals::parse_into(line, &mut values),
                        "string" => strvals::parse_into_string(line, &mut values),
                        "json" => strvals::parse_json_into(line, &mut values),
                        "literal" => strvals::parse_literal_into(line, &mut values),
                        _ => strvals::parse_into_file(line, &mut values, &mut |path: &str| Ok(path.to_owned())),
                    });
                }
            }
            _ => {
                if let Ok(over) = load_values(piece) {
                    values = merge_maps(values, over);
                }
            }
        }
    }
    if let Ok(chart) = load_files(&files) {
        sluice_fuzz::render(&chart, &values);
    }
});
