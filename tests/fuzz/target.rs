//! One program for each target, which goes by the name of its body.
#![no_main]

#[path = "../../crates/engine/tests/fuzz/bodies.rs"]
mod bodies;

use std::sync::LazyLock;

static BODY: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let target = bodies::TARGETS.iter().find(|target| target.name == env!("CARGO_BIN_NAME"));
    target.expect("each program is named after a body").body
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| BODY(bytes));
