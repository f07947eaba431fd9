//! Whole renders: charts of the corpus with changed values, and generated chart directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use helm_engine::{
    Capabilities, ChartFiles, HelmProfile, KubeVersion, Limits, NoCluster, ReleaseOptions, TemplateOutput,
    load_archive, load_files,
};
use serde_json::{Map, Value, json};

use super::{Answer, Failure, Question, Seeded, conformance};

/// Where charts come from and where directories are written.
pub(crate) struct Source {
    charts: Vec<PathBuf>,
    directory: PathBuf,
}

impl Source {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut charts = Vec::new();
        if let Some(corpus) = conformance::corpus() {
            for case in conformance::chart_cases(&corpus, ".default") {
                // Charts with random lines cannot be compared.
                let random = |case: &Value| case["random_lines"].as_array().is_some_and(|l| !l.is_empty());
                let large = std::fs::metadata(&case.chart)?.len() > 100_000;
                if !large && !case.cases.iter().any(random) {
                    charts.push(case.chart);
                }
            }
        }
        let directory = std::env::temp_dir().join(format!("sluice-differential-{}", std::process::id()));
        Ok(Self { charts, directory })
    }

    /// A public chart with some of its values changed; none without the corpus.
    pub(crate) fn values(&mut self, random: &mut Seeded) -> Result<Option<Question>, Failure> {
        if self.charts.is_empty() {
            return Ok(None);
        }
        let (path, compiled) = loop {
            let at = random.below(self.charts.len());
            let tgz = std::fs::read(&self.charts[at])?;
            if let Ok(chart) = load_archive(&tgz) {
                break (self.charts[at].clone(), chart.compile(&HelmProfile::default())?);
            }
            // Some public charts are not charts at all.
            self.charts.swap_remove(at);
            if self.charts.is_empty() {
                return Ok(None);
            }
        };
        let defaults = compiled.default_values();
        let mut values = json!({});
        for _ in 0..=random.below(3) {
            change(random, &defaults, &mut values, 0);
        }
        let request = json!({
            "chart": path, "release": "rel", "namespace": "ns", "values": values, "kube_version": "1.33.0",
        });
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let kept = json!({ "title": format!("{name} with other values"), "chart": name, "values": values });
        let here = Box::new(move || render(&compiled, &values));
        Ok(Some(Question { request, kept, here }))
    }

    /// A generated chart directory, `.helmignore` included.
    pub(crate) fn directory(&mut self, random: &mut Seeded) -> Result<Question, Failure> {
        let files = generate(random);
        if self.directory.exists() {
            std::fs::remove_dir_all(&self.directory)?;
        }
        for (path, text) in &files {
            let path = self.directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            std::fs::write(path, text)?;
        }
        let request = json!({
            "chart": self.directory, "release": "rel", "namespace": "ns", "kube_version": "1.33.0",
        });
        let kept = json!({ "title": "generated directory", "files": files });
        let own: ChartFiles = files.iter().map(|(path, text)| (path.clone(), text.as_bytes())).collect();
        let here = Box::new(move || {
            let chart = load_files(&own).map_err(|error| error.to_string())?;
            let compiled = chart.compile(&HelmProfile::default()).map_err(|error| error.cli_text())?;
            render(&compiled, &json!({}))
        });
        Ok(Question { request, kept, here })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.directory.exists() {
            drop(std::fs::remove_dir_all(&self.directory));
        }
    }
}

fn render(chart: &helm_engine::CompiledChart, values: &Value) -> Answer {
    chart.check().map_err(|error| error.cli_text())?;
    let release =
        ReleaseOptions { name: "rel".to_owned(), namespace: "ns".to_owned(), ..ReleaseOptions::default() };
    let kube_version = KubeVersion::parse("1.33.0").map_err(|error| error.to_string())?;
    let capabilities = Capabilities { kube_version, ..Capabilities::default() };
    let rendered = chart
        .render(values, &release, &capabilities, Rc::new(NoCluster), &Limits::default())
        .map_err(|error| error.cli_text())?;
    rendered
        .template_output(&TemplateOutput::default())
        .map(String::into_bytes)
        .map_err(|error| error.to_string())
}

/// Changes one value: walks down the defaults and leaves something else at the end.
fn change(random: &mut Seeded, defaults: &Value, values: &mut Value, depth: usize) {
    let Some(fields) = defaults.as_object().filter(|fields| !fields.is_empty()) else {
        *values = other(random, defaults);
        return;
    };
    if depth > 0 && random.chance(10) {
        *values = other(random, defaults);
        return;
    }
    let Some((name, below)) = fields.iter().nth(random.below(fields.len())) else { return };
    if !values.is_object() {
        *values = Value::Object(Map::new());
    }
    if let Some(values) = values.as_object_mut() {
        let place = values.entry(name.clone()).or_insert(Value::Null);
        change(random, below, place, depth + 1);
    }
}

fn other(random: &mut Seeded, value: &Value) -> Value {
    match (value, random.below(10)) {
        (Value::Bool(on), 0..8) => json!(!on),
        (Value::Number(_), 0..4) => json!(random.below(100_000)),
        (Value::Number(_), 4..6) => json!("7"),
        (Value::String(_), 0..5) => {
            json!(random.pick(&[
                "x",
                "a b",
                "{{ .Release.Name }}",
                "1.5",
                "multi\nline\n",
                "yes",
                "ünï: #x",
                "0123"
            ]))
        }
        (Value::Array(_), 0..4) => json!([{ "name": "x", "value": "1" }, { "name": "y" }]),
        (Value::Array(_), 4..6) => json!(["x", "y"]),
        (Value::Object(_), 0..5) => json!({ "key": "value", "other": { "n": 1.5 } }),
        (_, 8) => Value::Null,
        (_, 9) => json!({ "a": [1, "b"] }),
        _ => json!(random.pick(&["", "text", "true", "12"])),
    }
}

const NAMES: &[&str] = &[
    "a.txt",
    "b.yaml",
    "README.md",
    "c.tar.gz",
    ".hidden",
    "x y",
    "tmp",
    "docs",
    "a",
    "ab",
    "abc",
    "A.TXT",
    "deep",
    "ci",
    "_x",
    "q-1",
];

const RULES: &[&str] = &[
    "*.txt",
    "*.md",
    "/a.txt",
    "docs/",
    "!a.txt",
    "!*.yaml",
    "tmp",
    "docs/*",
    "*/a.txt",
    "[ab].txt",
    "?.yaml",
    "# comment",
    "",
    "  *.gz  ",
    "a\\.txt",
    "**",
    "[",
    "/docs",
    "deep/a/*.txt",
    "!docs/",
    ".*",
    "*",
    "/",
    "//",
    "!",
    "a[b",
    "[^a]*",
    "[a-c]b*",
    "\\",
    "files/",
    "files/*",
    "/files/docs/",
    "templates/*.yaml",
    "charts/",
    "values.yaml",
    "templates/sub/",
    "\u{feff}*.md",
    "*.TXT",
    "x*y",
];

/// The files of a chart: a template that lists what it sees, others beside it, subcharts, rules.
fn generate(random: &mut Seeded) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut dependencies = String::new();
    let list = "files: {{ range $path, $_ := .Files }}{{ $path }},{{ end }}\nvalues: {{ toJson .Values }}\nglob: {{ range $p, $_ := .Files.Glob \"files/*\" }}{{ $p }},{{ end }}\n";
    for _ in 0..random.below(3) {
        let name = random.pick(&["one", "two", "three"]);
        let root = format!("charts/{name}");
        files.insert(
            format!("{root}/Chart.yaml"),
            format!("apiVersion: v2\nname: {name}\nversion: 0.1.{}\n", random.below(3)),
        );
        files.insert(format!("{root}/templates/v.yaml"), list.to_owned());
        files.insert(format!("{root}/values.yaml"), values(random));
        if random.chance(40) {
            files.insert(format!("{root}/.helmignore"), rules(random));
        }
        if random.chance(30) {
            files.insert(format!("{root}/files/{}", random.pick(NAMES)), "x".to_owned());
        }
        if random.chance(60) && !dependencies.contains(name) {
            let version = random.pick(&["0.1.x", "0.1.0", ">=0.1", "*"]);
            dependencies.push_str(&format!("- name: {name}\n  version: \"{version}\"\n"));
            if random.chance(40) {
                dependencies.push_str(&format!("  alias: {}\n", random.pick(&["other", "more", "one"])));
            }
            if random.chance(40) {
                dependencies
                    .push_str(&format!("  condition: {}\n", random.pick(&["one.on", "x.on,two.on", "on"])));
            }
            if random.chance(30) {
                dependencies.push_str(&format!("  tags: [{}]\n", random.pick(&["t", "t, u", "v"])));
            }
            if random.chance(25) {
                dependencies.push_str("  import-values:\n  - data\n  - {child: a, parent: imported}\n");
            }
        }
    }
    let mut head = "apiVersion: v2\nname: root\nversion: 1.0.0\n".to_owned();
    if !dependencies.is_empty() {
        head.push_str(&format!("dependencies:\n{dependencies}"));
    }
    files.insert("Chart.yaml".to_owned(), head);
    files.insert("values.yaml".to_owned(), values(random));
    files.insert("templates/v.yaml".to_owned(), list.to_owned());
    for _ in 0..random.below(6) {
        let below = random.pick(&[
            "",
            "files/",
            "files/docs/",
            "docs/",
            "deep/a/",
            "templates/",
            "templates/sub/",
            "crds/",
        ]);
        let path = format!("{below}{}", random.pick(NAMES));
        // A name that is a directory already would not be written.
        let taken = files.keys().any(|known| known.starts_with(&format!("{path}/")))
            || path.match_indices('/').any(|(at, _)| files.contains_key(&path[..at]));
        if !taken {
            files.insert(path, document(random));
        }
    }
    if random.chance(70) {
        files.insert(".helmignore".to_owned(), rules(random));
    }
    files
}

fn rules(random: &mut Seeded) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(4) {
        text.push_str(random.pick(RULES));
        text.push_str(random.pick(&["\n", "\n", "\r\n"]));
    }
    text
}

fn values(random: &mut Seeded) -> String {
    let mut text = String::new();
    for _ in 0..random.below(6) {
        text.push_str(random.pick(&[
            "a: 1\n",
            "a: {b: c}\n",
            "one: {on: true, x: 1}\n",
            "two: {on: false}\n",
            "on: false\n",
            "global: {g: 1}\n",
            "tags: {t: false}\n",
            "tags: {u: true, t: false}\n",
            "global: null\n",
            "one: null\n",
            "exports: {data: {e: 1}}\n",
            "b: [1, {c: 2}]\n",
            "n: null\n",
            "three: {global: {z: 1}}\n",
            "other: {y: 2}\n",
            "# c\n",
            "f: 1.10\n",
            "global: {g: {h: 2}}\n",
            "x: {on: \"yes\"}\n",
            "---\nd: 1\n",
        ]));
    }
    text
}

fn document(random: &mut Seeded) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(3) {
        text.push_str(random.pick(&[
            "kind: ConfigMap\nmetadata:\n  name: x\n",
            "---\n",
            "kind: Service\n",
            "# comment\n",
            "\n",
            "kind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: pre-install\n",
            "--- \n",
            "apiVersion: v1\nkind: Secret\n",
            "a: {{ .Values.a }}\n",
            "  \n",
            "---a: 1\n",
            "{{ .Files.Get \"files/a.txt\" }}\n",
            "x: [\n",
            "kind: [1]\n",
            "metadata:\n  name: 5\n",
            "...\n",
            "{{ include \"x\" . }}\n",
            "{{ define \"x\" }}y: 1{{ end }}\n",
            "metadata: {annotations: {helm.sh/hook: nope}}\n",
        ]));
    }
    text
}
