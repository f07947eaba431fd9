use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::{ChartFiles, HelmProfile, load_files};

fn compile(template: &str) -> Arc<CompiledChart> {
    let files =
        [("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"), ("templates/a.yaml", template)];
    let files: ChartFiles = files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect();
    load_files(&files).unwrap().compile(&HelmProfile::v4_3_1()).unwrap()
}

fn render(template: &str, lookup: Rc<dyn Lookup>, limits: &Limits) -> Result<Rendered, RenderError> {
    let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
    compile(template).render(&serde_json::json!({}), &release, &Capabilities::default(), lookup, limits)
}

fn text(template: &str) -> String {
    render(template, Rc::new(NoCluster), &Limits::default()).unwrap().manifest_text()
}

#[test]
fn compiled_charts_go_from_thread_to_thread() {
    let chart = compile("a: {{ .Release.Name }}{{ .Values.n }}");
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let chart = chart.clone();
            std::thread::spawn(move || {
                let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
                let values = serde_json::json!({ "n": n });
                let rendered = chart.render(
                    &values,
                    &release,
                    &Capabilities::default(),
                    Rc::new(NoCluster),
                    &Limits::default(),
                );
                rendered.unwrap().manifest_text()
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), format!("---\n# Source: app/templates/a.yaml\na: rel{n}\n"));
    }
}

#[test]
fn runaway_templates_are_stopped() {
    let limits = Limits { steps: 100_000, output_bytes: 1 << 20, memory_bytes: 1 << 20, depth: 100_000 };
    for template in [
        "{{ range until 100000 }}{{ range until 100000 }}x{{ end }}{{ end }}",
        "{{ repeat 100000000 \"x\" }}",
        "{{ until 1000000000 | len }}",
        "{{ $x := \"xxxxxxxxxxxxxxxx\" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}{{ $x | len }}",
        "{{ $x := list 1 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}{{ $x | len }}",
        "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}",
        "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ toYaml $d }}",
    ] {
        match render(template, Rc::new(NoCluster), &limits) {
            Err(RenderError::Limit { file, .. }) => assert_eq!(file, "app/templates/a.yaml"),
            Err(RenderError::Template(_)) => {}
            other => panic!("{template}: {other:?}"),
        }
    }
}

#[test]
fn endless_recursion_ends_as_in_helm() {
    let limits = Limits::default();
    let template = "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}";
    let error = render(template, Rc::new(NoCluster), &limits).unwrap_err().to_string();
    assert!(error.contains("rendering template has a nested reference name: a"), "{error}");
    let template = "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}";
    let error = render(template, Rc::new(NoCluster), &limits).unwrap_err().to_string();
    assert!(error.contains("exceeded maximum template depth (100000)"), "{error}");
}

/// Answers with a Secret and keeps what it was asked.
#[derive(Default)]
struct Cluster(RefCell<Vec<String>>);

impl Lookup for Cluster {
    fn lookup(
        &self,
        api: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String> {
        self.0.borrow_mut().push(format!("{api} {kind} {namespace} {name}"));
        match name {
            "forbidden" => Err("secrets \"forbidden\" is forbidden".to_owned()),
            _ => Ok(serde_json::json!({ "kind": kind, "data": { "n": 3 } })),
        }
    }
}

#[test]
fn lookups_are_answered_and_noted() {
    let cluster = Rc::new(Cluster::default());
    let template = "a: {{ (lookup \"v1\" \"Secret\" \"ns\" \"s\").data.n }}";
    let rendered = render(template, cluster.clone(), &Limits::default()).unwrap();
    assert!(rendered.manifest_text().ends_with("a: 3\n"));
    assert_eq!(*cluster.0.borrow(), ["v1 Secret ns s"]);
    let read = rendered.reads.lookups.first().unwrap();
    assert_eq!((read.kind.as_str(), read.name.as_str()), ("Secret", "s"));

    let template = "a: {{ lookup \"v1\" \"Secret\" \"ns\" \"forbidden\" }}";
    let error = render(template, cluster, &Limits::default()).unwrap_err().to_string();
    assert!(error.ends_with("secrets \"forbidden\" is forbidden"), "{error}");
}

#[test]
fn what_may_differ_next_time_is_noted() {
    let reads = |template| render(template, Rc::new(NoCluster), &Limits::default()).unwrap().reads;
    assert!(!reads("a: {{ .Release.Name }}").volatile);
    assert!(reads("a: {{ randAlphaNum 5 }}").volatile);
    assert!(reads("a: {{ now | date \"2006\" }}").volatile);
    let capabilities = reads("a: {{ .Capabilities.APIVersions.Has \"apps/v1\" }}").capabilities;
    assert_eq!(capabilities.into_iter().collect::<Vec<_>>(), ["APIVersions/apps/v1"]);
}

#[test]
fn time_and_randomness_come_from_the_context() {
    let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
    let (capabilities, limits) = (Capabilities::default(), Limits::default());
    let mut context = RenderContext::new(&release, &capabilities, Rc::new(NoCluster), &limits);
    context.now = (0, 0);
    context.entropy = Arc::new(|buffer| buffer.fill(7));
    let chart = compile("a: {{ now | date \"2006\" }} {{ uuidv4 }}");
    let once = chart.render_with(&serde_json::json!({}), &context).unwrap().manifest_text();
    let again = chart.render_with(&serde_json::json!({}), &context).unwrap().manifest_text();
    assert_eq!(once, again);
    assert!(once.contains("a: 1970 07070707-0707-4707-8707-070707070707"), "{once}");
}

#[test]
fn renders_leave_no_trace_in_the_chart() {
    let template = "{{ $_ := set .Values \"n\" 1 }}{{ $_ := set .Chart \"Name\" \"x\" }}a: {{ .Values.n }}";
    assert_eq!(text(template), text(template));
    let chart = compile(
        "a: {{ .Values.n | default 0 }}{{ $_ := set .Values \"n\" 1 }} {{ .Chart.Name }}{{ $_ := set .Chart \"Name\" \"x\" }}",
    );
    let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
    for _ in 0..2 {
        let rendered = chart.render(
            &serde_json::json!({}),
            &release,
            &Capabilities::default(),
            Rc::new(NoCluster),
            &Limits::default(),
        );
        assert!(rendered.unwrap().manifest_text().ends_with("a: 0 app\n"));
    }
}

#[test]
fn hostile_documents_are_refused() {
    let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            let list = format!("*a{below}, ").repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        text
    };
    for hostile in [&deep, &bomb] {
        let files = |chart: &str, values: &str, template: &str| -> ChartFiles {
            [("Chart.yaml", chart), ("values.yaml", values), ("templates/a.yaml", template)]
                .into_iter()
                .map(|(path, text)| (path, text.as_bytes()))
                .collect()
        };
        let head = "apiVersion: v2\nname: app\nversion: 1.0.0\n";
        assert!(load_files(&files(&format!("{head}{hostile}"), "", "")).is_err());
        assert!(load_files(&files(head, hostile, "")).is_err());
        let chart = load_files(&files(head, "", hostile)).unwrap();
        let chart = chart.compile(&HelmProfile::v4_3_1()).unwrap();
        let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
        let rendered = chart.render(
            &serde_json::json!({}),
            &release,
            &Capabilities::default(),
            Rc::new(NoCluster),
            &Limits::default(),
        );
        assert!(matches!(rendered, Err(RenderError::Manifest(_))), "{rendered:?}");
        let escaped = hostile.replace('\n', "\\n");
        let parsed = text(&format!("a: {{{{ \"{escaped}\" | fromYaml | keys }}}}"));
        assert!(parsed.contains("a: [Error]"), "{parsed}");
    }
}

#[test]
fn values_that_were_looked_at_are_reported() {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        (
            "values.yaml",
            "image: {tag: a, pullPolicy: b}\nresources: {limits: {cpu: 1}}\nunused: {x: 1}\nglobal: {zone: z, spare: s}\n",
        ),
        (
            "templates/a.yaml",
            "a: {{ .Values.image.tag }}{{ .Values.image.digest }}\nb: {{ toJson .Values.resources }}\n{{ if .Values.missing }}{{ end }}",
        ),
        ("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
        ("charts/sub/values.yaml", "on: true\noff: false\n"),
        (
            "charts/sub/templates/a.yaml",
            "a: {{ .Values.on }}{{ .Values.global.zone }}{{ range $k, $v := .Values.extra }}{{ $k }}{{ end }}",
        ),
    ];
    let files: ChartFiles = files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect();
    let chart = load_files(&files).unwrap().compile(&HelmProfile::v4_3_1()).unwrap();
    let reads = |values: serde_json::Value| {
        let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
        let (capabilities, limits) = (Capabilities::default(), Limits::default());
        let mut context = RenderContext::new(&release, &capabilities, Rc::new(NoCluster), &limits);
        assert!(chart.render_with(&values, &context).unwrap().reads.values.is_empty());
        context.note_values = true;
        let rendered = chart.render_with(&values, &context).unwrap();
        rendered.reads.values.into_iter().collect::<Vec<_>>()
    };
    let always = [
        "global.zone",
        "image",
        "image.digest",
        "image.tag",
        "missing",
        "resources",
        "resources.*",
        "sub.extra",
        "sub.global",
        "sub.global.zone",
        "sub.on",
    ];
    assert_eq!(reads(serde_json::json!({})), always);
    // The same whatever the user sets, but for a table that is gone through.
    let set =
        reads(serde_json::json!({ "image": { "tag": "x" }, "sub": { "extra": { "k": 1 } }, "unused": 1 }));
    let mut expected = always.to_vec();
    expected.insert(8, "sub.extra.*");
    assert_eq!(set, expected);
}

#[test]
fn charts_of_api_version_3_are_read_but_not_installed() {
    let render = |head: &str, profile: &HelmProfile| {
        let files = [
            ("Chart.yaml", head),
            ("templates/a.yaml", "a: 1"),
            ("requirements.yaml", "dependencies: [{name: x}]"),
        ];
        let files: ChartFiles = files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect();
        let compiled = load_files(&files).map_err(|error| error.to_string())?.compile(profile).unwrap();
        compiled.check().map_err(|error| error.cli_text())?;
        let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
        let (capabilities, limits) = (Capabilities::default(), Limits::default());
        let rendered =
            compiled.render(&serde_json::json!({}), &release, &capabilities, Rc::new(NoCluster), &limits);
        rendered.map(|rendered| rendered.manifest_text()).map_err(|error| error.cli_text())
    };
    let head = "apiVersion: v3\nname: app\nversion: 1.0.0\n";
    let v4 = HelmProfile::v4_3_1();
    assert_eq!(render(head, &v4).unwrap_err(), "invalid chart apiVersion");
    assert_eq!(
        render(&head.replace("app", "a/b"), &v4).unwrap_err(),
        "validation: chart.metadata.name \"a/b\" is invalid"
    );
    assert!(
        render(&format!("{head}dependencies: [{{name: sub, version: 1.x}}]\n"), &v4)
            .unwrap_err()
            .ends_with("fetch missing dependencies: unsupported chart dependency type")
    );
    assert!(render(head, &HelmProfile::v3_19()).unwrap().contains("a: 1"));
    assert_eq!(render(&head.replace("v3", "v4"), &v4).unwrap_err(), "unsupported chart version");
}
