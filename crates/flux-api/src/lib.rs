//! Flux kinds, conditions, reasons and references
