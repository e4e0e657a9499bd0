//! `exeat prove`: what shows others that an attempt's records stand in the journal.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use uuid::Uuid;

use super::token::Streams;
use super::verify::proof_as_json;
use crate::journal::verify::{Proof, Proven, prove};
use crate::policy::attempt::AttemptId;
use crate::text::ascii_json;

/// Prints an attempt's records with a proof of each that others can check
#[derive(Clone, Debug, clap::Args)]
pub struct ProveArgs {
    /// The attempt, as records, refusals and pages show it
    #[arg(value_name = "ID", value_parser = attempt)]
    pub id: Uuid,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// A state folder, its journal folder or one slot; the configuration's state folder without it
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

fn attempt(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "write an attempt's id, as the field Exeat-Attempt of its answer has it, or `id` in `exeat log --json`")
}

/// Prints each record and its proof to `out`; what is not covered yet, and the key to check by, to `err`.
pub fn run(args: &ProveArgs, state: &Path, streams: Streams<'_, impl Write, impl Write>) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let Proven { proofs, uncovered } = prove(args.path.as_deref().unwrap_or(state), AttemptId(args.id))?;
    if proofs.is_empty() {
        anyhow::bail!("no checkpoint covers the records of {} yet; one is made every 10 s while exeat runs", args.id);
    }
    if args.json {
        let not: Vec<Value> = uncovered.iter().map(|(slot, seq)| json!({"slot": slot, "seq": seq})).collect();
        let proofs: Vec<Value> = proofs.iter().map(proof_as_json).collect();
        writeln!(out, "{}", ascii_json(&format!("{:#}", json!({"proofs": proofs, "uncovered": not}))))?;
        return Ok(());
    }
    for (at, Proof { origin: _, verifier: _, index: _, size: _, line, text }) in proofs.iter().enumerate() {
        let between = if at > 0 { "\n" } else { "" };
        write!(out, "{between}{line}\n{text}")?;
    }
    for (slot, seq) in uncovered {
        writeln!(err, "{slot} seq {seq} is a record of it too, and no checkpoint covers it yet")?;
    }
    let mut keys: Vec<&str> = proofs.iter().map(|proof| proof.verifier.as_str()).collect();
    keys.dedup();
    for key in keys {
        writeln!(err, "check with: exeat verify --proof FILE --key {key}")?;
    }
    Ok(())
}
