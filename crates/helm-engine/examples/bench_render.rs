//! What `scripts/bench-render` measures.
//!
//! ```text
//! bench_render template CHART          prints what `helm template rel CHART` prints
//! bench_render members N CHART         renders the chart for N members in this process; prints times
//! bench_render threads N CHART         the same on as many threads as there are cores
//! bench_render compile N CHART         loads, compiles and renders the chart N times, afresh each time
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on them")]

use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use helm_engine::{
    Capabilities, CompiledChart, HelmProfile, Limits, NoCluster, ReleaseOptions, Rendered, TemplateOutput,
    load_archive,
};
use serde_json::{Value, json};

// As in `sluice` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Failure> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["template", chart] => {
            let chart = compile(chart)?;
            let rendered = render(&chart, "rel", &json!({}))?;
            let text = rendered.template_output(&TemplateOutput::default())?;
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
            // The system takes the memory back faster than it could be freed piece by piece.
            std::process::exit(0)
        }
        ["members", count, chart] => members(count.parse()?, chart, 1),
        ["threads", count, chart] => {
            members(count.parse()?, chart, std::thread::available_parallelism().map_or(1, usize::from))
        }
        ["compile", count, chart] => compiles(count.parse()?, chart),
        _ => {
            Err("usage: bench_render template CHART | members N CHART | threads N CHART | compile N CHART"
                .into())
        }
    }
}

fn compile(path: &str) -> Result<Arc<CompiledChart>, Failure> {
    Ok(load_archive(&std::fs::read(path)?)?.compile(&HelmProfile::default())?)
}

fn render(chart: &CompiledChart, name: &str, values: &Value) -> Result<Rendered, Failure> {
    let release = ReleaseOptions {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        ..ReleaseOptions::default()
    };
    let capabilities = Capabilities::defaults(chart.profile());
    // The text that helm prints instead of the error's own.
    let cli = |error: helm_engine::RenderError| Failure::from(error.cli_text());
    chart.check().map_err(cli)?;
    chart.render(values, &release, &capabilities, Rc::new(NoCluster), &Limits::default()).map_err(cli)
}

/// Every member has its own release name and values, as it would have in a fleet.
fn members(count: usize, path: &str, threads: usize) -> Result<(), Failure> {
    let begun = Instant::now();
    let chart = compile(path)?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<(usize, Vec<Duration>), Failure> {
        let (mut bytes, mut times) = (0, Vec::new());
        loop {
            let member = next.fetch_add(1, Ordering::Relaxed);
            if member >= count {
                return Ok((bytes, times));
            }
            let one = Instant::now();
            let values = json!({ "global": { "member": format!("member-{member}") } });
            let rendered = render(&chart, &format!("rel-{member}"), &values)?;
            bytes += rendered.template_output(&TemplateOutput::default())?.len();
            times.push(one.elapsed());
        }
    };
    let (mut bytes, mut times) = (0, Vec::with_capacity(count));
    std::thread::scope(|scope| -> Result<(), Failure> {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let joined = others.into_iter().map(|other| other.join().map_err(|_| "a render panicked")?);
        for result in std::iter::once(own).chain(joined) {
            let (some, own) = result?;
            bytes += some;
            times.extend(own);
        }
        Ok(())
    })?;
    let all = begun.elapsed();
    times.sort_unstable();
    let at = |part: usize| times.get(count * part / 100).copied().unwrap_or_default();
    println!(
        "members={count} threads={threads} all={} p50={} p99={} bytes={bytes} memory={}MB",
        milliseconds(all),
        milliseconds(at(50)),
        milliseconds(at(99)),
        peak_memory(),
    );
    Ok(())
}

/// The most memory this process ever had.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0) / 1000
}

fn compiles(count: usize, path: &str) -> Result<(), Failure> {
    let tgz = std::fs::read(path)?;
    let (mut load, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        let chart = load_archive(&tgz)?;
        load.push(begun.elapsed());
        let begun = Instant::now();
        let chart = chart.compile(&HelmProfile::default())?;
        // Templates are compiled when a release first uses them.
        render(&chart, "rel", &json!({}))?;
        first.push(begun.elapsed());
        let begun = Instant::now();
        render(&chart, "rel", &json!({}))?;
        second.push(begun.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    let (load, first, second) = (median(&mut load), median(&mut first), median(&mut second));
    println!(
        "load={} compile={} render={}",
        milliseconds(load),
        milliseconds(first.saturating_sub(second)),
        milliseconds(second),
    );
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}ms", time.as_secs_f64() * 1000.0)
}
