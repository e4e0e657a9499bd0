//! `exeat verify`: whether the journal is what was written, and what that does not show.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Usage;
use super::recorded::counted;
use crate::journal::note::Verifier;
use crate::journal::verify::{Asked, Broken, Kept, Proof, Repaired, SlotVerified, Sound, Verified, check, verify};
use crate::text::{ascii_json, plain};

/// A verifier key is about 100 bytes, a file of proofs at most some megabytes.
const LONGEST_FILE: u64 = 64 << 20;

const NOT_SHOWN: &str = "\
Not shown by this: the key stands on the machine that writes. Whoever can read it can rewrite and sign
the journal, or cut its end. Keep checkpoints elsewhere ([journal] checkpoints) and give them with --from.";

/// Checks that the journal is what was written
#[derive(Clone, Debug, Default, clap::Args)]
pub struct VerifyArgs {
    /// Checkpoints that were kept elsewhere: a file of one or more, or a folder of such; may be given several times
    #[arg(long, value_name = "FILE|FOLDER")]
    pub from: Vec<PathBuf>,
    /// The verifier key to go by, or a file it stands in, in place of those beside the segments; that of one slot holds for
    /// all slots of the same log
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Vec<String>,
    /// Checks what `exeat prove` printed, in place of a journal
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub proof: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// A state folder, its journal folder or one slot; the configuration's state folder without it
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

/// Checks what `args` names, and says what was found.
pub fn run(args: &VerifyArgs, state: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let keys = args.key.iter().map(|given| key(given)).collect::<anyhow::Result<Vec<_>>>()?;
    let path = args.path.as_deref().unwrap_or(state);
    if let Some(file) = &args.proof {
        return proofs(file, &keys, path, args.json, out);
    }
    for given in args.path.iter().chain(&args.from) {
        // Exit 1 is about the journal: what is not there to be looked at is a mistake of who asks.
        if let Err(error) = given.symlink_metadata() {
            return Err(Usage(format!("{} cannot be looked at: {error}", shown(given))).into());
        }
    }
    let mut kept = Kept::default();
    for file in &args.from {
        if let Err(broken) = kept.add(file) {
            bail!("{broken}; {}", broken.means);
        }
    }
    let verified = verify(&Asked { path: path.to_owned(), keys, kept })?;
    if args.json {
        writeln!(out, "{}", ascii_json(&format!("{:#}", as_json(&verified))))?;
    } else {
        show(&verified, args.from.is_empty(), out)?;
    }
    Ok(if verified.sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A key as it is, or from a file.
fn key(given: &str) -> anyhow::Result<Verifier> {
    let error = match Verifier::parse(given) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    match text(Path::new(given)) {
        Ok(text) => Ok(Verifier::parse(text.trim_end()).map_err(|error| Usage(format!("{given}: {error}")))?),
        Err(_) => Err(Usage(error.to_string()).into()),
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn proofs(file: &Path, keys: &[Verifier], path: &Path, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let text = text(file).with_context(|| format!("{} cannot be read", shown(file)))?;
    let known = |origin: &str| verifier_of(origin, keys, path);
    let proofs = match check(&text, &known) {
        Ok(proofs) => proofs,
        Err(bad) if json => {
            writeln!(out, "{}", json!({"ok": false, "error": {"file": shown(file), "line": bad.line, "what": bad.what}}))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(bad) => bail!("{}:{}: {}", shown(file), bad.line, bad.what),
    };
    if json {
        let proofs: Vec<Value> = proofs.iter().map(proof_as_json).collect();
        writeln!(out, "{}", ascii_json(&json!({"ok": true, "proofs": proofs}).to_string()))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Proof { origin, verifier, index, size, line, text: _ } in &proofs {
        writeln!(out, "{}", plain(line, 1 << 20))?;
        writeln!(
            out,
            "  stands in {origin} as seq {}, which the checkpoint over {size} records covers\n  checked by {verifier}",
            index + 1
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The key of an origin: the one given, where it is of the same log; or the one beside the slot's segments.
fn verifier_of(origin: &str, keys: &[Verifier], path: &Path) -> Option<Verifier> {
    if !keys.is_empty() {
        let log = origin.rsplit_once('/').map_or(origin, |(log, _)| log);
        return keys.iter().find(|key| key.origin() == origin || key.log() == log).map(|key| key.named(origin));
    }
    let slot = origin.rsplit_once('/')?.1;
    let is_slot = slot.strip_prefix("proxy-").is_some_and(|number| number.parse::<u32>().is_ok());
    let beside = text(&crate::journal::folder(path).join(slot).join("verifier")).ok().filter(|_| is_slot)?;
    Verifier::parse(beside.trim_end()).ok().filter(|beside| beside.origin() == origin)
}

fn show(verified: &Verified, alone: bool, out: &mut impl Write) -> io::Result<()> {
    let Verified { slots, strangers } = verified;
    if slots.is_empty() {
        writeln!(out, "there are no records")?;
    }
    for SlotVerified { slot, result } in slots {
        match result {
            Ok(sound) => show_sound(slot, sound, out)?,
            Err(broken) => show_broken(slot, broken, out)?,
        }
    }
    for stranger in strangers {
        show_broken("kept elsewhere", stranger, out)?;
    }
    let vouched = |slot: &SlotVerified| slot.result.as_ref().is_ok_and(|sound| sound.last == 0 || sound.kept + sound.kept_earlier > 0);
    let unvouched: Vec<&str> = slots.iter().filter(|slot| !vouched(slot)).map(|slot| slot.slot.as_str()).collect();
    if !verified.sound() || unvouched.is_empty() {
        return Ok(());
    }
    if !alone {
        writeln!(out, "\nNo checkpoint in --from is of {}.", plain(&unvouched.join(", "), 4000))?;
    }
    writeln!(out, "\n{NOT_SHOWN}")
}

/// `seq 5`, or `seq 5 to 7`.
fn stretch(first: u64, last: u64) -> String {
    if first == last { format!("seq {first}") } else { format!("seq {first} to {last}") }
}

fn show_broken(slot: &str, broken: &Broken, out: &mut impl Write) -> io::Result<()> {
    let seq = broken.seq.map_or_else(String::new, |seq| format!(" (seq {seq})"));
    writeln!(out, "{}: NOT what was written", plain(slot, 80))?;
    writeln!(out, "  {}{seq}", plain(&broken.to_string(), 4000))?;
    writeln!(out, "  which means: {}", plain(&broken.means, 4000))
}

fn show_sound(slot: &str, sound: &Sound, out: &mut impl Write) -> io::Result<()> {
    let slot = plain(slot, 80);
    let Sound {
        origin: _,
        verifier,
        first,
        last,
        segments,
        checkpoint,
        only_in_the_log,
        stop_unsealed,
        earlier,
        kept,
        kept_earlier,
        torn,
        repaired,
        gaps,
    } = sound;
    if *last == 0 {
        return writeln!(out, "{slot}: no records");
    }
    let records = counted(last - first + 1, "record");
    writeln!(out, "{slot}: {records}, {}, in {}", stretch(*first, *last), counted(*segments as u64, "segment"))?;
    let covered = checkpoint.as_ref().map_or(0, |covered| covered.size);
    match checkpoint {
        Some(covered) => {
            writeln!(out, "  up to seq {} they are what the checkpoint {} covers\n  signed by {verifier}", covered.size, covered.root)?
        }
        None => writeln!(out, "  no checkpoint was made yet")?,
    }
    if covered < *last {
        writeln!(out, "  covered by none yet, and could be changed or cut unseen: {}", stretch(covered + 1, *last))?;
    }
    if *only_in_the_log {
        writeln!(out, "  the newest checkpoint stands in the log only, not in `checkpoints`: it is being written, or a kill came between")?;
    }
    if *stop_unsealed {
        writeln!(out, "  the process ended before it had sealed its stop: it was killed, or the disk was full; the next start seals it")?;
    }
    if *first > 1 {
        let signed =
            if *earlier > 0 { format!("; of {earlier} checkpoints over them only the signature was checked") } else { String::new() };
        writeln!(out, "  not kept any more: {}{signed}", stretch(1, first - 1))?;
    }
    for gap in gaps {
        writeln!(out, "  missing, as the log says: {} ({:?})", stretch(gap.first, gap.last), gap.why)?;
    }
    for Repaired { seq, bytes } in repaired {
        writeln!(out, "  a torn end was repaired, as the log says: {bytes} bytes before seq {seq}, left by a kill or a power failure")?;
    }
    if *torn > 0 {
        writeln!(out, "  {torn} bytes of an unfinished line stand at the end; the next start removes them")?;
    }
    if kept + kept_earlier > 0 {
        writeln!(out, "  checkpoints kept elsewhere: {kept} agree, {kept_earlier} of what is not kept any more")?;
    }
    Ok(())
}

fn as_json(verified: &Verified) -> Value {
    let Verified { slots, strangers } = verified;
    let slots: Vec<Value> = slots.iter().map(slot_as_json).collect();
    let strangers: Vec<Value> = strangers.iter().map(broken_as_json).collect();
    json!({"ok": verified.sound(), "slots": slots, "unknown": strangers})
}

fn slot_as_json(slot: &SlotVerified) -> Value {
    let SlotVerified { slot, result } = slot;
    let Sound {
        origin,
        verifier,
        first,
        last,
        segments,
        checkpoint,
        only_in_the_log,
        stop_unsealed,
        earlier,
        kept,
        kept_earlier,
        torn,
        repaired,
        gaps,
    } = match result {
        Ok(sound) => sound,
        Err(broken) => return json!({"slot": slot, "ok": false, "error": broken_as_json(broken)}),
    };
    let covered = checkpoint.as_ref().map_or(0, |covered| covered.size);
    let repaired: Vec<Value> = repaired.iter().map(|Repaired { seq, bytes }| json!({"seq": seq, "bytes": bytes})).collect();
    let checkpoint = checkpoint.as_ref().map(|covered| json!({"size": covered.size, "root": covered.root, "note": covered.note}));
    json!({
        "slot": slot, "ok": true, "origin": origin, "verifier": verifier, "first": first, "last": last, "segments": segments,
        "checkpoint": checkpoint, "uncovered": last.saturating_sub(covered), "only_in_the_log": only_in_the_log,
        "stop_unsealed": stop_unsealed,
        "earlier": earlier, "kept": kept, "kept_earlier": kept_earlier, "torn": torn, "repaired": repaired, "gaps": gaps,
    })
}

fn broken_as_json(broken: &Broken) -> Value {
    let Broken { file, line, seq, what, means } = broken;
    json!({"file": shown(file), "line": line, "seq": seq, "what": what, "means": means})
}

pub(super) fn proof_as_json(proof: &Proof) -> Value {
    let Proof { origin, verifier, index, size, line, text } = proof;
    json!({"origin": origin, "verifier": verifier, "seq": index + 1, "index": index, "size": size, "record": line, "proof": text})
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string(), 1000)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn slot(name: &str, kept: u64) -> SlotVerified {
        let sound = Sound {
            origin: format!("exeat/00/{name}"),
            verifier: "KEY".to_owned(),
            first: 1,
            last: 1,
            segments: 1,
            checkpoint: None,
            only_in_the_log: false,
            earlier: 0,
            kept,
            kept_earlier: 0,
            torn: 0,
            repaired: Vec::new(),
            stop_unsealed: false,
            gaps: Vec::new(),
        };
        SlotVerified { slot: name.to_owned(), result: Ok(sound) }
    }

    fn said(slots: Vec<SlotVerified>, alone: bool) -> String {
        let mut out = Vec::new();
        show(&Verified { slots, strangers: Vec::new() }, alone, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_from_without_a_checkpoint_of_a_slot_does_not_vouch_for_it() {
        let head = "1 record, seq 1, in 1 segment\n  no checkpoint was made yet\n  covered by none yet, and could be changed or cut unseen: seq 1\n";
        let kept = "  checkpoints kept elsewhere: 2 agree, 0 of what is not kept any more\n";
        assert_eq!(said(vec![slot("proxy-1", 2)], false), format!("proxy-1: {head}{kept}"));
        assert_eq!(
            said(vec![slot("proxy-1", 2), slot("proxy-2", 0)], false),
            format!("proxy-1: {head}{kept}proxy-2: {head}\nNo checkpoint in --from is of proxy-2.\n\n{NOT_SHOWN}\n")
        );
        assert_eq!(said(vec![slot("proxy-1", 0)], true), format!("proxy-1: {head}\n{NOT_SHOWN}\n"));
    }
}
