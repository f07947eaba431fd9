//! From a chart and values to what a cluster shall hold: values composition, chart building, rendering on a pool as
//! wide as the cores.
//!
//! No network except the `lookup` callback that is handed in; nothing here applies or stores anything.

pub mod chart;
pub mod hidden;
pub mod plan;
pub mod pool;
pub mod values;
