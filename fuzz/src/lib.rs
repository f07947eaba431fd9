//! What the fuzz targets share: a render with tight limits, and an input cut into named files. Decides
//! nothing about what is a finding: a panic, a hang or too much memory is one, whatever comes out.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use helm_engine::values::Map;
use helm_engine::{
    Capabilities, Chart, HelmProfile, Limits, NoCluster, ReleaseOptions, RenderContext, TemplateOutput,
};

/// Limits that a render reaches within a second or two.
pub const TIGHT: Limits =
    Limits { steps: 300_000, output_bytes: 4 << 20, memory_bytes: 32 << 20, depth: 10_000 };

/// Renders a chart as every Helm version does, the same way each time.
pub fn render(chart: &Chart, values: &Map) {
    for profile in [HelmProfile::default(), HelmProfile::v3_19()] {
        let Ok(compiled) = chart.clone().compile(&profile) else { continue };
        if compiled.check().is_err() {
            continue;
        }
        let release = ReleaseOptions { name: "rel".to_owned(), ..ReleaseOptions::default() };
        let capabilities = Capabilities::defaults(&profile);
        let mut context = RenderContext::new(&release, &capabilities, Rc::new(NoCluster), &TIGHT);
        context.now = (1_700_000_000, 0);
        let state = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
        context.entropy = Arc::new(move |buffer: &mut [u8]| {
            for byte in buffer {
                let mut seed = state.load(Ordering::Relaxed);
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                state.store(seed, Ordering::Relaxed);
                *byte = (seed >> 32) as u8;
            }
        });
        if let Ok(rendered) = compiled.render_with(values, &context) {
            drop(rendered.template_output(&TemplateOutput { include_crds: true, ..TemplateOutput::default() }));
            drop(rendered.release_chart());
            drop(rendered.values());
        }
    }
}

/// Cuts an input at lines of the form `=== path`: the pieces by their paths. What stands before the first such line
/// belongs to `first`.
pub fn files<'a>(input: &'a [u8], first: &'a str) -> Vec<(&'a str, &'a [u8])> {
    const MARK: &[u8] = b"=== ";
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    let (mut path, mut start, mut at) = (first, 0, 0);
    while at < input.len() {
        let end = input[at..].iter().position(|byte| *byte == b'\n').map_or(input.len(), |found| at + found);
        if let Some(name) = input[at..end].strip_prefix(MARK)
            && let Ok(name) = std::str::from_utf8(name)
        {
            files.push((path, &input[start..at]));
            path = name;
            start = (end + 1).min(input.len());
        }
        at = end + 1;
    }
    files.push((path, &input[start..]));
    files
}
