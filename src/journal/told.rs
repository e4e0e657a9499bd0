//! What a `full` gap told of a slot: up to which line its records went without a sink, so that nobody tells it again.
//!
//! Kept as `full` in the slot's folder, by whoever holds the slot. Without it a loss is told twice, never less than once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::slot::private_new;

/// Far longer than the names of all sinks.
const LONGEST: u64 = 64 << 10;

/// Up to which line, by sink.
type Full = BTreeMap<String, u64>;

/// The last line of a slot whose loss a `full` gap told of a sink; 0 where there is none.
pub fn told_full(state: &Path, slot: &str, sink: &str) -> u64 {
    read(&super::folder(state).join(slot)).get(sink).copied().unwrap_or(0)
}

/// Keeps that the loss of all lines up to `last` is told of these sinks.
pub(super) fn keep(folder: &Path, sinks: &[String], last: u64) -> io::Result<()> {
    let mut full = read(folder);
    full.extend(sinks.iter().map(|sink| (sink.clone(), last)));
    let draft = folder.join("full.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    private_new(&draft)?.write_all(&serde_json::to_vec(&full)?)?;
    fs::rename(&draft, folder.join("full"))
}

fn read(folder: &Path) -> Full {
    let mut text = Vec::new();
    let read = File::open(folder.join("full")).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
