//! A template's text, parsed and compiled with every function there is.
#![no_main]

use std::sync::LazyLock;

use gotemplate::{FuncMap, Parsed};
use libfuzzer_sys::fuzz_target;

static FUNCTIONS: LazyLock<FuncMap> = LazyLock::new(|| {
    let mut functions = FuncMap::new();
    functions.extend(gotemplate::sprig::functions());
    functions.extend(gotemplate::sprig::duration_functions());
    functions
});

fuzz_target!(|input: &[u8]| {
    match Parsed::parse("a.yaml", input, &FUNCTIONS) {
        Ok(parsed) => assert!(parsed.names().count() > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
