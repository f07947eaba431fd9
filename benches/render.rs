//! Rendering, in one process: how long a chart takes to load, to compile and to render, and a hundred members of it on
//! one thread and on as many as there are cores.
//!
//! The charts of the corpus are public ones (`SLUICE_CORPUS`); without it one is made up, so that there is always
//! something to compare with the run before. `scripts/bench-render` has the comparison with helm.
//!
//!     cargo bench --bench render [-- --members 100] [--runs 20]

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use helm_engine::{
    Capabilities, Chart, ChartFiles, CompiledChart, HelmProfile, Limits, NoCluster, ReleaseOptions,
    TemplateOutput, load_archive, load_files,
};
use serde_json::{Value, json};

/// Small, many helpers, large.
const CHARTS: &[&str] = &[
    "paulbouwer-hello-kubernetes/hello-kubernetes-1.0.0.tgz",
    "bitnami-charts/kafka-32.4.4.tgz",
    "prometheus-community-helm-charts/kube-prometheus-stack-88.5.3.tgz",
];

fn main() {
    let (members, runs) = (argument("--members", 100), argument("--runs", 20));
    let corpus = corpus();
    let mut charts: Vec<(String, Box<dyn Fn() -> Chart>)> =
        vec![("made up".to_owned(), Box::new(|| load_files(&made_up()).unwrap()))];
    for name in CHARTS {
        let path = corpus.join("helm/charts").join(name);
        if let Ok(tgz) = std::fs::read(&path) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            charts.push((name, Box::new(move || load_archive(&tgz).unwrap())));
        }
    }
    if charts.len() == 1 {
        println!("the corpus is not here (SLUICE_CORPUS): only the made-up chart is measured");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{:30} {:>9} {:>9} {:>9} {:>13} {:>13} {:>11}",
        "medians",
        "load",
        "compile",
        "render",
        "one thread",
        format!("{cores} threads"),
        "bytes"
    );
    for (name, load) in &charts {
        let (loading, compiling, rendering) = alone(load, runs);
        let one = many(load, members, 1);
        let all = many(load, members, cores);
        println!(
            "{name:30} {} {} {} {}  {}  {:>11}",
            milliseconds(loading, 6),
            milliseconds(compiling, 6),
            milliseconds(rendering, 6),
            milliseconds(one.0, 10),
            milliseconds(all.0, 10),
            one.1,
        );
        assert_eq!(one.1, all.1, "the same output, however many threads");
    }
    println!("{members} members; peak memory {} MB; load average {}", peak_memory(), load_average());
}

/// Medians of loading, compiling and rendering.
fn alone(load: &dyn Fn() -> Chart, runs: usize) -> (Duration, Duration, Duration) {
    let (mut loads, mut firsts, mut renders) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let begun = Instant::now();
        let chart = load();
        loads.push(begun.elapsed());
        // Templates are parsed by the first render that needs them.
        let begun = Instant::now();
        let compiled = chart.compile(&HelmProfile::default()).unwrap();
        render(&compiled, 0);
        firsts.push(begun.elapsed());
        let begun = Instant::now();
        render(&compiled, 0);
        renders.push(begun.elapsed());
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (first, render) = (middle(&mut firsts), middle(&mut renders));
    (middle(&mut loads), first.saturating_sub(render), render)
}

/// All members of one chart, loading and compiling it included: how long and how many bytes.
fn many(load: &dyn Fn() -> Chart, members: usize, threads: usize) -> (Duration, usize) {
    let begun = Instant::now();
    let compiled = load().compile(&HelmProfile::default()).unwrap();
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let member = next.fetch_add(1, Ordering::Relaxed);
            if member >= members {
                return;
            }
            bytes.fetch_add(render(&compiled, member), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    (begun.elapsed(), bytes.into_inner())
}

/// One member: a release name and values of its own.
fn render(chart: &Arc<CompiledChart>, member: usize) -> usize {
    let release = ReleaseOptions { name: format!("rel-{member}"), ..ReleaseOptions::default() };
    let values: Value = json!({ "global": { "member": format!("member-{member}") } });
    let rendered = chart
        .render(&values, &release, &Capabilities::default(), Rc::new(NoCluster), &Limits::default())
        .unwrap();
    rendered.template_output(&TemplateOutput::default()).unwrap().len()
}

/// A chart with what most charts have: helpers, labels, a values tree that is printed, loops.
fn made_up() -> ChartFiles {
    const HELPERS: &str = r#"{{- define "app.name" -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "app.labels" -}}
app.kubernetes.io/name: {{ include "app.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}"#;
    const DEPLOYMENT: &str = r#"{{- range $n := until (int .Values.count) }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "app.name" $ }}-{{ $n }}
  labels: {{- include "app.labels" $ | nindent 4 }}
spec:
  replicas: {{ $.Values.replicas | default 1 }}
  template:
    metadata:
      labels: {{- include "app.labels" $ | nindent 8 }}
    spec:
      containers:
        - name: main
          image: "{{ $.Values.image.repository }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}"
          {{- if $.Values.resources }}
          resources: {{- toYaml $.Values.resources | nindent 12 }}
          {{- end }}
          env:
          {{- range $key, $value := $.Values.env }}
            - name: {{ $key | upper }}
              value: {{ tpl $value $ | quote }}
          {{- end }}
{{- end }}"#;
    const VALUES: &str = "count: 40\nimage: {repository: registry.example/app, tag: v1}\nextraLabels: {team: a, tier: web}\n\
resources: {limits: {cpu: 500m, memory: 128Mi}, requests: {cpu: 10m, memory: 64Mi}}\n\
env: {name: '{{ .Release.Name }}', plain: value, url: 'https://{{ .Release.Name }}.example/{{ .Values.count }}'}\n";
    [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\nappVersion: 1.0.0\n"),
        ("values.yaml", VALUES),
        ("templates/_helpers.tpl", HELPERS),
        ("templates/deployment.yaml", DEPLOYMENT),
    ]
    .into_iter()
    .map(|(path, text)| (path, text.as_bytes()))
    .collect()
}

fn corpus() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    std::env::var_os("SLUICE_CORPUS").map_or(beside, PathBuf::from)
}

fn argument(name: &str, default: usize) -> usize {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == name);
    at.and_then(|at| args.get(at + 1)).and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn milliseconds(time: Duration, width: usize) -> String {
    format!("{:width$.2} ms", time.as_secs_f64() * 1000.0)
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0) / 1000
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
