//! Charts, templates and values that mean harm: each ends at a limit or with Helm's text, in bounded
//! time, on the stack of a common worker thread. Then mutated inputs: nothing may panic.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write as _;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use helm_engine::values::{Map, load_values, merge_maps, strvals};
use helm_engine::{
    Capabilities, Chart, ChartFiles, HelmProfile, Limits, LoadError, NoCluster, ReleaseOptions, RenderError,
    Rendered, load_archive, load_files,
};
use serde_json::{Value, json};

const HEAD: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\n";

/// Runs on a thread with the stack that worker threads have; fails when it takes too long or panics.
fn within<T: Send + 'static>(seconds: u64, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            // Nobody waits any more once the time is over.
            drop(done.send(run()));
        })
        .unwrap();
    result.recv_timeout(Duration::from_secs(seconds)).expect("it ends in time and does not panic")
}

fn chart(files: &[(&str, &str)]) -> Result<Chart, LoadError> {
    let files: ChartFiles = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    load_files(&files)
}

fn render_chart(chart: Chart, values: &Value, limits: &Limits) -> Result<Rendered, RenderError> {
    let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
    chart.compile(&HelmProfile::default())?.render(
        values,
        &release,
        &Capabilities::default(),
        Rc::new(NoCluster),
        limits,
    )
}

fn render(template: &str, values: Value) -> Result<String, String> {
    let template = template.to_owned();
    within(20, move || {
        let chart = chart(&[("Chart.yaml", HEAD), ("templates/a.yaml", &template)]).unwrap();
        render_chart(chart, &values, &tight())
            .map(|rendered| rendered.manifest_text())
            .map_err(|error| error.to_string())
    })
}

/// The limits a deployment sets: the tests run unoptimised.
fn tight() -> Limits {
    Limits { steps: 2_000_000, output_bytes: 16 << 20, memory_bytes: 64 << 20, depth: 20_000 }
}

fn tgz(write: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    write(&mut archive);
    archive.into_inner().unwrap().finish().unwrap()
}

fn entry(archive: &mut tar::Builder<GzEncoder<Vec<u8>>>, path: &str, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    // The name goes in as it is, which the library would refuse for some.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, data).unwrap();
}

fn refused(tgz: Vec<u8>) -> String {
    within(20, move || load_archive(&tgz).unwrap_err().to_string())
}

#[test]
fn h50_s25_schema_references_are_not_followed() {
    for (address, text) in [
        ("file:///dev/zero", "file:///dev/zero"),
        ("http://169.254.169.254/latest/meta-data", "http://169.254.169.254/latest/meta-data"),
    ] {
        let schema = json!({ "properties": { "a": { "$ref": address } } }).to_string();
        let error = within(10, move || {
            let chart =
                chart(&[("Chart.yaml", HEAD), ("values.yaml", "a: 1\n"), ("values.schema.json", &schema)]);
            render_chart(chart.unwrap(), &json!({}), &Limits::default()).unwrap_err().to_string()
        });
        assert!(error.contains(text), "{error}");
    }
    // A schema that refers to itself, and one that is nested deep, end.
    let own = json!({ "$ref": "#" }).to_string();
    let deep = format!("{}{{}}{}", "{\"not\":".repeat(5_000), "}".repeat(5_000));
    let chain: serde_json::Map<String, Value> = (0..2_000)
        .map(|n| (format!("d{n}"), json!({ "$ref": format!("#/$defs/d{}", n + 1) })))
        .chain([("d2000".to_owned(), json!({ "type": "object" }))])
        .collect();
    let chain = json!({ "$ref": "#/$defs/d0", "$defs": chain }).to_string();
    for schema in [own, deep, chain] {
        within(20, move || {
            let chart = chart(&[("Chart.yaml", HEAD), ("values.schema.json", &schema)]).unwrap();
            drop(render_chart(chart, &json!({}), &Limits::default()));
        });
    }
}

#[test]
fn s25_schemas_are_read_on_a_small_stack() {
    // 256 KiB: a schema or a value that nests must not be able to end the process.
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let schemas = [
        nested("{\"not\":", "}", 10_000).replace('1', "{}"),
        json!({ "properties": { "a": { "$ref": "#" }, "b": { "items": { "$ref": "#" } } } }).to_string(),
        json!({ "$defs": { "x": { "anyOf": [{ "$ref": "#/$defs/y" }] }, "y": { "allOf": [{ "$ref": "#/$defs/x" }] } },
            "$ref": "#/$defs/x" })
        .to_string(),
    ];
    let values = [nested("{\"a\":", "}", 100), format!("{{\"b\":{}}}", nested("[", "]", 100))];
    for schema in schemas {
        for value in &values {
            let (schema, value) = (schema.clone(), value.clone());
            let run = move || {
                let chart = chart(&[("Chart.yaml", HEAD), ("values.schema.json", &schema)]).unwrap();
                let value: Value = serde_json::from_str(&value).unwrap();
                drop(render_chart(chart, &value, &tight()));
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap();
            thread.join().unwrap();
        }
    }
}

#[test]
fn s31_versions_and_names_carry_nothing_a_terminal_would_obey() {
    for version in ["1.0.0\\e[2J", "1.0.0\\n2", "\\u009b31m", "1.0.0-\\u202e"] {
        let head = format!("apiVersion: v2\nname: app\nversion: \"{version}\"\n");
        let error = chart(&[("Chart.yaml", &head)]).unwrap_err().to_string();
        assert!(!error.contains(|c: char| c.is_control() || c == '\u{202e}'), "{error:?}");
    }
    let head = format!("{HEAD}appVersion: \"1\\e[2J\"\ndescription: \"a\\e]0;b\\a\"\n");
    let files = [
        ("Chart.yaml", head.as_str()),
        ("templates/a.yaml", "a: {{ .Chart.AppVersion }}{{ .Chart.Description }}"),
    ];
    let text = render_chart(chart(&files).unwrap(), &json!({}), &tight()).unwrap().manifest_text();
    assert!(text.contains("a: 1[2Ja]0;b"), "{text:?}");
}

#[test]
fn h51_s19_s24_bombs_stop_at_the_caps() {
    let zeros = vec![0; 4 << 20];
    let large = tgz(|archive| (0..40).for_each(|n| entry(archive, &format!("app/f{n}"), &zeros)));
    assert_eq!(refused(large), "decompressed chart is larger than the maximum size 104857600");
    let file = tgz(|archive| entry(archive, "app/big", &vec![0; (5 << 20) + 1]));
    assert_eq!(refused(file), "decompressed chart file \"big\" is larger than the maximum file size 5242880");
    // The cap counts what packaged subcharts hold as well.
    let inner = tgz(|archive| {
        entry(archive, "sub/Chart.yaml", b"apiVersion: v2\nname: sub\nversion: 1.0.0\n");
        (0..15).for_each(|n| entry(archive, &format!("sub/f{n}"), &zeros));
    });
    let outer = tgz(|archive| {
        entry(archive, "app/Chart.yaml", HEAD.as_bytes());
        (0..4).for_each(|n| entry(archive, &format!("app/charts/s{n}.tgz"), &inner));
    });
    let error = refused(outer);
    assert!(error.ends_with("decompressed chart is larger than the maximum size 104857600"), "{error}");
}

#[test]
fn h52_too_many_files_are_refused() {
    let many = tgz(|archive| {
        entry(archive, "app/Chart.yaml", HEAD.as_bytes());
        (0..100_001).for_each(|n| entry(archive, &format!("app/f{n}"), b""));
    });
    assert_eq!(refused(many), "chart has more than 100000 files");
}

#[test]
fn h53_s28_paths_out_of_the_chart_are_refused() {
    for (path, text) in [
        ("app/../../x", "chart illegally references parent directory"),
        ("app//etc/passwd", "chart illegally contains absolute paths"),
        ("app/.", "chart illegally contains content outside the base directory: \"app/.\""),
        ("app/c:/x", "chart contains illegally named files"),
    ] {
        assert_eq!(refused(tgz(|archive| entry(archive, path, b"x"))), text, "{path}");
    }
    for name in ["..", ".", "a/b", "/a", ""] {
        let head = json!({ "apiVersion": "v2", "name": name, "version": "1.0.0" }).to_string();
        assert!(chart(&[("Chart.yaml", &head)]).is_err(), "{name:?}");
    }
}

#[test]
fn h54_h58_s18_s26_links_and_devices_are_empty_files() {
    use tar::EntryType;
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo];
    for kind in kinds {
        let packed = tgz(|archive| {
            entry(archive, "app/Chart.yaml", HEAD.as_bytes());
            for path in ["app/link", "app/values.yaml", "app/Chart.lock"] {
                let mut header = tar::Header::new_gnu();
                header.set_path(path).unwrap();
                header.set_entry_type(kind);
                header.set_link_name("/etc/passwd").unwrap();
                header.set_size(0);
                header.set_cksum();
                archive.append(&header, &[][..]).unwrap();
            }
        });
        // What a link names is never opened: this crate opens no file at all.
        if let Ok(chart) = within(10, move || load_archive(&packed)) {
            assert!(chart.files.iter().all(|file| file.data.is_empty()), "{kind:?}");
            assert!(chart.values.is_none_or(|values| values.is_empty()), "{kind:?}");
        }
    }
}

#[test]
fn h55_sizes_that_do_not_fit_are_refused() {
    for size in ["99999999999", "18446744073709551615", "-1", "x", "3"] {
        let record = |value: &str| {
            let text = format!(" size={value}\n");
            let mut length = text.len() + 1;
            while format!("{length}{text}").len() != length {
                length += 1;
            }
            format!("{length}{text}")
        };
        let pax = record(size);
        let packed = tgz(|archive| {
            let mut header = tar::Header::new_ustar();
            header.set_path("app/pax").unwrap();
            header.set_entry_type(tar::EntryType::XHeader);
            header.set_size(pax.len() as u64);
            header.set_cksum();
            archive.append(&header, pax.as_bytes()).unwrap();
            entry(archive, "app/Chart.yaml", HEAD.as_bytes());
            entry(archive, "app/x", b"x");
        });
        within(10, move || load_archive(&packed).map(drop).ok());
    }
    let mut cut = tgz(|archive| entry(archive, "app/Chart.yaml", HEAD.as_bytes()));
    cut.truncate(cut.len() / 2);
    assert!(within(10, move || load_archive(&cut)).is_err());
}

#[test]
fn h56_s27_nulls_in_chart_yaml_do_no_harm() {
    for field in ["maintainers", "dependencies", "keywords", "sources", "annotations", "icon", "type", "home"]
    {
        for value in ["null", "[null]", "{a: null}", "[[null]]", "~"] {
            let text = format!("{HEAD}{field}: {value}\n");
            if let Ok(chart) = chart(&[("Chart.yaml", &text), ("templates/a.yaml", "{{ toYaml .Chart }}")]) {
                within(10, move || render_chart(chart, &json!({}), &tight()).map(drop).ok());
            }
        }
    }
}

#[test]
fn h57_subcharts_nest_64_deep_at_most() {
    let nested = |depth: usize| {
        let mut files = ChartFiles::new();
        for level in 0..=depth {
            files.insert(
                format!("{}Chart.yaml", "charts/s/".repeat(level)),
                HEAD.replace("app", "s").as_bytes(),
            );
        }
        files
    };
    let deep = nested(100);
    let error = within(10, move || load_files(&deep).unwrap_err().to_string());
    assert!(error.ends_with("subcharts are nested more than 64 deep"), "{error}");
    let fine = nested(20);
    within(20, move || {
        render_chart(load_files(&fine).unwrap(), &json!({}), &tight()).map(drop).unwrap();
    });
    let mut packed = tgz(|archive| entry(archive, "s/Chart.yaml", HEAD.replace("app", "s").as_bytes()));
    for _ in 0..80 {
        packed = tgz(|archive| {
            entry(archive, "s/Chart.yaml", HEAD.replace("app", "s").as_bytes());
            entry(archive, "s/charts/s.tgz", &packed);
        });
    }
    let error = refused(packed);
    assert!(error.ends_with("subcharts are nested more than 64 deep"), "{error}");
    // A dependency at an address, even its own, is never fetched: it has to be in `charts/`.
    let own = format!("{HEAD}dependencies:\n- name: app\n  version: 1.0.0\n  repository: file://.\n");
    let error = within(10, move || {
        let compiled = chart(&[("Chart.yaml", &own)]).unwrap().compile(&HelmProfile::default()).unwrap();
        compiled.check().unwrap_err().to_string()
    });
    assert!(error.contains("missing in charts/ directory: app"), "{error}");
}

#[test]
fn h59_include_of_itself_ends_as_in_helm() {
    let error = render("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}", json!({}));
    let error = error.unwrap_err();
    assert!(error.contains("rendering template has a nested reference name: a"), "{error}");
}

#[test]
fn h60_s21_runaway_templates_stop_at_a_limit() {
    for template in [
        "{{ range until 10000000 }}x{{ end }}",
        "{{ range until 10000 }}{{ range until 10000 }}x{{ end }}{{ end }}",
        "{{ repeat 1000000000 \"a\" }}",
        "{{ printf \"%999999999d\" 1 }}",
        "{{ printf \"%.999999999f\" 1.0 }}",
        "{{ seq 1000000000 }}",
        "{{ untilStep 0 1000000000 1 | len }}",
        "{{ indent 999999999 \"a\" }}",
        "{{ nindent 999999999 \"a\" }}",
        "{{ wrapWith 1 (repeat 100000 \"b\") (repeat 100000 \"a \") }}",
        "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}",
        "{{ $x := list 1 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}",
        "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ toYaml $d }}",
        "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ $d | deepCopy | toString }}",
    ] {
        let begun = Instant::now();
        let result = render(template, json!({}));
        // Go formats widths above a million as an error in the text.
        assert!(
            result.as_ref().map_or(true, |text| text.contains("%!")),
            "{template}: {:?}",
            result.map(|t| t.len())
        );
        assert!(begun.elapsed() < Duration::from_secs(10), "{template}: {:?}", begun.elapsed());
    }
}

#[test]
fn h61_tpl_of_its_own_text_stops_at_a_limit() {
    let error = render("{{ tpl .Values.t . }}", json!({ "t": "{{ tpl .Values.t . }}" })).unwrap_err();
    assert!(error.len() < 100_000, "{} bytes", error.len());
}

#[test]
fn h62_lookup_is_empty_without_a_cluster() {
    let text = render("a: {{ lookup \"v1\" \"Secret\" \"other\" \"s\" | toJson }}", json!({})).unwrap();
    assert!(text.ends_with("a: {}\n"), "{text}");
}

#[test]
fn h63_s29_the_machine_is_out_of_reach() {
    let text =
        render("a: [{{ getHostByName \"localhost\" }}{{ .Files.Get \"../../x\" }}]", json!({})).unwrap();
    assert!(text.ends_with("a: []\n"), "{text}");
    for function in ["env", "expandenv"] {
        let error = render(&format!("{{{{ {function} \"HOME\" }}}}"), json!({})).unwrap_err();
        assert!(error.contains(&format!("function \"{function}\" not defined")), "{error}");
    }
}

#[test]
fn h64_random_output_is_noted() {
    for (template, volatile) in [
        ("a: {{ randAlphaNum 8 }}", true),
        ("a: {{ now | unixEpoch }}", true),
        (
            "a: {{ (genSignedCert \"a\" nil nil 1 (genCAWithKey \"c\" 1 (genPrivateKey \"ed25519\"))).Cert | len }}",
            true,
        ),
        ("a: {{ sha256sum \"x\" }}", false),
    ] {
        let noted = within(60, move || {
            let chart = chart(&[("Chart.yaml", HEAD), ("templates/a.yaml", template)]).unwrap();
            render_chart(chart, &json!({}), &Limits::default()).map(|rendered| rendered.reads.volatile)
        });
        assert!(noted.is_err() || noted.is_ok_and(|noted| noted == volatile), "{template}");
    }
}

#[test]
fn h65_s30_values_lines_stop_at_a_limit() {
    let deep = format!("{}=1", vec!["a"; 10_000].join("."));
    let lists = format!("a{}=1", "[0]".repeat(10_000));
    let many = format!("a={{{}}}", "x,".repeat(100_000));
    for line in ["a[99999999]=1", "a[-1]=1", "a[99999999999999999999]=1", &deep, &lists, &many] {
        let line = line.to_owned();
        within(10, move || {
            let wrong = strvals::parse_into(&line, &mut Map::new()).is_err();
            assert!(wrong || line.starts_with("a={"), "{}", &line[..20.min(line.len())]);
        });
    }
}

#[test]
fn h67_helmignore_patterns_take_no_time() {
    let rules = format!("{}\n{}b\n{}\n", "*a".repeat(200), "a*".repeat(300), "[a-z]*?".repeat(100));
    let mut files = ChartFiles::new();
    files.insert("Chart.yaml", HEAD.as_bytes());
    files.insert(".helmignore", rules.as_bytes());
    for n in 0..50 {
        files.insert(format!("files/{}{n}", "a".repeat(200)), &b"x"[..]);
    }
    let begun = Instant::now();
    within(10, move || load_files(&files).map(drop).ok());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn h68_s21_regular_expressions_take_linear_time() {
    let template = "a: {{ regexMatch \"(a+)+$\" .Values.s }} {{ regexMatch \"(a|aa)*b\" .Values.s }}";
    let text = render(template, json!({ "s": format!("{}!", "a".repeat(50_000)) })).unwrap();
    assert!(text.ends_with("a: false false\n"), "{text}");
    assert!(render("{{ regexFind \"(((a{100}){100}){100}){100}\" \"a\" }}", json!({})).is_err());
}

#[test]
fn h69_objects_of_the_same_name_are_all_given_on() {
    // Helm renders both; what applies them refuses.
    let text =
        render("kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: x}\n", json!({})).unwrap();
    assert_eq!(text.matches("name: x").count(), 2);
}

#[test]
fn h70_s22_values_stay_out_of_other_errors() {
    // `fail` says what the chart wants; any other error names paths and types, never values.
    let error = render("a: {{ .Values.password.x }}", json!({ "password": "hunter2" })).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    let error = render("a: {{ fail .Values.password }}", json!({ "password": "hunter2" })).unwrap_err();
    assert!(error.contains("hunter2"), "{error}");
}

/// Choices that a seed repeats.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// A text with some of it cut, doubled or replaced by what is special somewhere.
    fn mutate(&mut self, from: &[&str]) -> Vec<u8> {
        const PIECES: &[&str] = &[
            "{{",
            "}}",
            "{{-",
            "-}}",
            "\"",
            "`",
            "'",
            ":",
            "- ",
            "\n",
            "\t",
            " ",
            "|",
            ">",
            "&a",
            "*a",
            "[",
            "]",
            "{",
            "}",
            "#",
            "---",
            "\u{feff}",
            "\u{0}",
            "é",
            "\u{85}",
            "\u{2028}",
            "!!",
            "%",
            "?",
            "0",
            "9999999999999999999",
            "1e999",
            "-",
            ".",
            "$",
            "(",
            ")",
            "end",
            "range",
            "define \"x\"",
            "template \"x\" .",
            "null",
            "~",
            "<<",
            "\\",
            "\\x",
            "\\u12",
            "=",
            ",",
            "\r",
            "@",
        ];
        let mut bytes = from[self.below(from.len())].as_bytes().to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let part = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, part);
                }
                2 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                3 => {
                    let other = from[self.below(from.len())].as_bytes();
                    let (a, b) = (self.below(other.len()), self.below(other.len()));
                    bytes.splice(at..end, other[a.min(b)..a.max(b)].iter().copied());
                }
                _ => drop(bytes.splice(at..end, PIECES[self.below(PIECES.len())].bytes())),
            }
        }
        bytes
    }
}

const YAMLS: &[&str] = &[
    "a: 1\nb: [x, {c: d}]\nc: |\n  text\n  more\n\nd: >-\n  folded\n  text\n",
    "- &a {x: 1}\n- *a\n- <<: *a\n  y: 2\n",
    "? complex\n: value\n\"q\\u00e9\": 'it''s'\n",
    "%YAML 1.1\n---\na: !!str 1\n...\n---\nb: !!binary aGk=\n",
    "a: 2001-12-14t21:59:43.10-05:00\nb: 0x1F\nc: 1_000\nd: .inf\ne: 190:20:30\nf: ~\n",
    "global: {a: {b: null}}\nsub: {x: 1, list: [1, 2]}\nnull: x\ntrue: y\n1.5: z\n",
];

const TEMPLATES: &[&str] = &[
    "{{- range $i, $v := .Values.list }}{{ $i }}: {{ $v | quote }}\n{{ else }}none{{ end }}",
    "{{ define \"x\" }}{{ .a | default \"b\" }}{{ end }}{{ include \"x\" (dict \"a\" 1) | nindent 2 }}",
    "{{ if and .Values.a (not .Values.b) }}yes{{ else if eq 1 2 }}no{{ end }}",
    "{{ with $x := .Values.sub }}{{ toYaml $x.x }}{{ $.Release.Name }}{{ end }}",
    "{{ printf \"%5.2f|%-8s|%q|%v\" 1.5 \"a\" \"b\" (list 1 nil) }}{{/* c */}}",
    "{{ tpl \"{{ .Values.a }}\" . }}{{ regexReplaceAll \"(a+)b\" \"aab\" \"${1}\" }}{{ `raw` }}",
    "{{ range until 3 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ break }}{{ end }}{{ block \"b\" . }}{{ end }}",
    "{{ fromYaml \"a: [1, 2]\" | toJson }}{{ \"1.2.3\" | semver }}{{ substr 0 2 \"abc\" }}{{ slice (list 1 2 3) 1 2 }}{{ trunc -2 \"abc\" }}",
];

const LINES: &[&str] = &[
    "a.b[0].c=1,d={x,y},e=null",
    "a\\.b=x\\,y",
    "a[1][2]=true",
    "a={\"b\":[1,2]}",
    "x=[1, {\"y\": null}]",
    "a.b.c.d=0123",
];

/// Mutates for a while; a panic anywhere fails the test with the input.
fn mutated(seed: u64, from: &'static [&'static str], run: impl Fn(&[u8]) + Send + Sync + 'static) {
    within(60, move || {
        let mut random = Seeded(seed);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let input = random.mutate(from);
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&input)));
            assert!(caught.is_ok(), "it panicked over {:?}", String::from_utf8_lossy(&input));
        }
    });
}

#[test]
fn mutated_yaml_does_not_panic() {
    mutated(1, YAMLS, |input| {
        if let Ok(values) = goyaml::from_slice(input) {
            let text = goyaml::to_yaml(&values).unwrap_or_default();
            drop(goyaml::from_str(&text));
        }
        for document in goyaml::documents(&String::from_utf8_lossy(input), goyaml::StreamOptions::default()) {
            if document.value.is_err() {
                break;
            }
        }
    });
}

#[test]
fn mutated_templates_do_not_panic() {
    mutated(2, TEMPLATES, |input| {
        let files: ChartFiles =
            [("Chart.yaml", HEAD.as_bytes()), ("templates/a.yaml", input)].into_iter().collect();
        let values = json!({ "list": [1, "a", null], "a": true, "b": "", "sub": { "x": { "y": 1.5 } } });
        let limits = Limits { steps: 20_000, output_bytes: 1 << 20, memory_bytes: 4 << 20, depth: 200 };
        drop(render_chart(load_files(&files).unwrap(), &values, &limits));
    });
}

#[test]
fn mutated_charts_do_not_panic() {
    mutated(3, YAMLS, |input| {
        for path in [
            "Chart.yaml",
            "values.yaml",
            "Chart.lock",
            ".helmignore",
            "charts/sub/values.yaml",
            "values.schema.json",
        ] {
            let head = if path == "Chart.yaml" { "" } else { HEAD };
            let text = [head.as_bytes(), input].concat();
            let mut files: ChartFiles = [
                ("Chart.yaml", HEAD.as_bytes()),
                ("templates/a.yaml", b"{{ toYaml .Values }}{{ toYaml .Chart }}"),
                ("charts/sub/Chart.yaml", b"apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
            ]
            .into_iter()
            .collect();
            files.insert(path, if path == "Chart.yaml" { &text } else { input });
            if let Ok(chart) = load_files(&files) {
                drop(render_chart(chart, &json!({}), &tight()));
            }
        }
    });
}

#[test]
fn mutated_archives_do_not_panic() {
    within(60, || {
        let raw = {
            let mut archive = tar::Builder::new(Vec::new());
            for (path, text) in
                [("app/Chart.yaml", HEAD), ("app/values.yaml", "a: 1\n"), ("app/templates/a", "b: 2\n")]
            {
                let mut header = tar::Header::new_gnu();
                header.set_size(text.len() as u64);
                header.set_cksum();
                archive.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            archive.into_inner().unwrap()
        };
        let mut random = Seeded(4);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let mut bytes = raw.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            // Checksums are put right, so that mutations get further.
            for block in 0..bytes.len() / 512 {
                if random.below(3) > 0 {
                    let header = tar::Header::from_byte_slice(&bytes[block * 512..][..512]);
                    let mut header = header.clone();
                    header.set_cksum();
                    bytes[block * 512..][..512].copy_from_slice(header.as_bytes());
                }
            }
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&bytes).unwrap();
            drop(load_archive(&packed.finish().unwrap()));
        }
    });
}

#[test]
fn mutated_values_do_not_panic() {
    mutated(5, YAMLS, |input| {
        let base = load_values(YAMLS[5].as_bytes()).unwrap_or_default();
        if let Ok(over) = load_values(input) {
            drop(merge_maps(base, over));
        }
    });
    mutated(6, LINES, |input| {
        let line = String::from_utf8_lossy(input);
        let mut values = Map::new();
        drop(strvals::parse_into(&line, &mut values));
        drop(strvals::parse_into_string(&line, &mut values));
        drop(strvals::parse_json_into(&line, &mut values));
        drop(strvals::parse_literal_into(&line, &mut values));
    });
}
