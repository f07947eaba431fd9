//! How much a render may use before it is stopped, since charts are other people's programs.

/// Bounds on one render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Template nodes executed before the render is stopped.
    pub steps: u64,
    /// Bytes of text produced, over all files and intermediate results.
    pub output_bytes: u64,
    /// Bytes of values made, over the whole render.
    pub memory_bytes: u64,
    /// Depth of template calls.
    pub depth: usize,
}

impl Limits {
    pub(crate) fn for_templates(&self) -> gotemplate::Limits {
        gotemplate::Limits {
            steps: self.steps,
            output: self.output_bytes,
            memory: self.memory_bytes,
            depth: self.depth,
            calls: self.depth,
            ..gotemplate::Limits::default()
        }
    }
}

impl Default for Limits {
    /// Far above what the largest public charts use.
    fn default() -> Self {
        Self { steps: 200_000_000, output_bytes: 512 * 1024 * 1024, memory_bytes: 4 << 30, depth: 100_000 }
    }
}
