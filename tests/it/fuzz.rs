//! The inputs of the fuzzers, replayed: each target's committed corpus, and bytes of chance besides.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzzers reach it")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use targets::{TARGETS, decide};

/// The most that is committed for one target.
const FILES: usize = 200;
const BYTES: u64 = 500 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_committed_input_passes() {
    for (name, check) in TARGETS {
        let inputs: Vec<PathBuf> = fs::read_dir(root().join("corpus").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        let size: u64 = inputs.iter().map(|input| input.metadata().unwrap().len()).sum();
        assert!((1..=FILES).contains(&inputs.len()) && size <= BYTES, "{name}: {} files, {size} bytes", inputs.len());
        for input in inputs {
            eprintln!("{}", input.display());
            check(&fs::read(&input).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let wanted: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), wanted);
    assert_eq!(names("fuzz_targets"), wanted);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in &wanted {
        let program = fs::read_to_string(root().join("fuzz_targets").join(name).with_extension("rs")).unwrap();
        assert_eq!(program, format!("#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|data: &[u8]| exeat_fuzz::{name}::check(data));\n"));
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), wanted.len());
}

/// Nothing builds the fuzzers but whoever runs them, and these files are built here against exeat's own dependencies.
#[test]
fn every_crate_that_the_targets_use_is_in_their_manifest() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let had: BTreeSet<&str> = manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    let ours: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    let known = ["dependencies", "dev-dependencies"].into_iter().flat_map(|kind| ours[kind].as_table().unwrap().keys());
    let known: BTreeSet<String> = known.map(|name| name.replace('-', "_")).collect();
    let mut used = BTreeSet::new();
    for folder in ["src", "src/model"] {
        for entry in fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let text = fs::read_to_string(entry).unwrap();
            let paths = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'));
            let first = paths.filter_map(|path| path.split_once("::").map(|(first, _)| first)).filter(|first| known.contains(*first));
            used.extend(first.map(|first| first.replace('_', "-")));
        }
    }
    assert!(used.contains("http") && used.contains("rustls"), "{used:?}");
    let missing: Vec<&String> =
        used.iter().filter(|name| !had.contains(name.as_str()) && !had.contains(name.replace('-', "_").as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

proptest! {
    // A failing input goes to the corpus instead.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_agree_with_the_model(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        decide::check(&bytes);
    }
}
