//! What is fuzzed: one function a target, each taking bytes and panicking where a property does not hold.
//!
//! The fuzzers call them (`fuzz_targets/`), and the ordinary tests replay the committed inputs through them (`tests/it/fuzz.rs`).

pub mod allowlist;
pub mod client_hello;
pub mod decide;
pub mod destination;
pub mod model;
pub mod path;
pub mod pattern;
pub mod request_head;
mod scene;
mod wire;

/// A target's name, and what it checks of any input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("allowlist", allowlist::check),
    ("client_hello", client_hello::check),
    ("decide", decide::check),
    ("destination", destination::check),
    ("path", path::check),
    ("pattern", pattern::check),
    ("request_head", request_head::check),
];
