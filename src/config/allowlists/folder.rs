//! A folder as units: each agent's file with all it includes, and what is left over told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::floor::FoundFloor;
use super::shelf::{Shelf, names_agent};
use super::stamp::concerns;
use super::{Bound, FLOOR, FREEZE, Found, Source, Stamp, file, floor, freeze, stray};
use crate::policy::Frozen;
use crate::policy::allowlist::{Allowlist, Reading};
use crate::policy::fault::{Fault, Warning, code};
use crate::policy::floor::Floor;
use crate::policy::leaks::LeakRules;
use crate::policy::succession::{Binding, Unit};
use crate::text::trouble;

/// Readings of a folder that is written to meanwhile, until it is given up.
const READINGS: usize = 10;

type Named<'a> = &'a dyn Fn(&Path) -> String;

/// Reads everything, at a time at which nobody writes.
pub(super) fn read(source: &Source, bound: &Bound, now: SystemTime, named: Named<'_>) -> Result<Found, Fault> {
    let name = source.folder.display().to_string();
    for _ in 0..READINGS {
        let stamp = Stamp::of(source);
        let found = once(source, bound, now, named).map_err(|error| {
            let found = format!("no readable folder ({})", trouble(error.kind()));
            Fault::whole(&name, found, "a folder of allowlists", "make it, with one NAME.toml an agent; until then nothing new is in force")
        })?;
        // Half of one version and half of another would be a policy that nobody wrote.
        if stamp == Stamp::of(source) {
            return Ok(Found { stamp, ..found });
        }
    }
    Err(Fault::whole(
        &name,
        "files that change while they are read",
        "a folder that keeps still for a moment",
        "write beside it and rename",
    ))
}

/// Reads one file, with what it includes, under the floor beside it.
pub(super) fn one(path: &Path, inspects: bool, now: SystemTime, named: Named<'_>) -> Result<Found, Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let source = Source { folder: folder.to_owned(), floor: None, inspects };
    if path.file_name().is_some_and(|base| base == FREEZE) {
        let (frozen, faults) = freeze::read(&named(path), file::read(path, &named(path)));
        return Ok(Found { frozen, faults, ..nothing(Binding::Never) });
    }
    let FoundFloor { binding, faults, warnings } = floor::read(&source, &Bound::Start, named);
    let mut found = Found { faults, warnings, ..nothing(binding) };
    if path.file_name().is_some_and(|base| base == FLOOR) {
        return Ok(found);
    }
    let shelf = Shelf::new(folder, named);
    let text = shelf.text_of(path)?;
    if LeakRules::is_one(&text) {
        found.faults.extend(LeakRules::read(&named(path), &text).err().unwrap_or_default());
        found.included = Some(named(path).into());
    } else if !names_agent(&text) && Allowlist::is_to_be_included(&text) {
        found.faults.extend(Allowlist::faults_of_included(&named(path), &text, inspects));
        found.included = Some(named(path).into());
    } else if names_agent(&text) || !Allowlist::faults_of_included(&named(path), &text, inspects).is_empty() {
        let floor = binding_floor(&found.binding);
        let reading = Reading { now, floor: &floor, library: &shelf, inspects };
        found.units.push(unit(path, &named(path), &shelf, &reading, &mut found.warnings));
    }
    Ok(found)
}

fn nothing(binding: Binding) -> Found {
    let (units, faults, warnings) = (Vec::new(), Vec::new(), Vec::new());
    Found { binding, frozen: Frozen::Nobody, units, faults, warnings, included: None, stamp: Stamp::default() }
}

fn once(source: &Source, bound: &Bound, now: SystemTime, named: Named<'_>) -> io::Result<Found> {
    let FoundFloor { binding, faults, warnings } = floor::read(source, bound, named);
    let floor = binding_floor(&binding);
    let mut found = Found { faults, warnings, ..nothing(binding) };
    let shelf = Shelf::new(&source.folder, named);
    let reading = Reading { now, floor: &floor, library: &shelf, inspects: source.inspects };
    let (mut shared, mut any) = (Vec::new(), false);
    for path in entries(&source.folder)? {
        match path.file_name().and_then(|base| base.to_str()) {
            Some(FREEZE) => {
                let name = named(&path);
                let (frozen, faults) = freeze::read(&name, file::read(&path, &name));
                found.frozen = frozen;
                found.faults.extend(faults);
            }
            // The configured floor may lie here under another name.
            Some(FLOOR) => {}
            _ if source.floor.as_deref() == Some(&path) => {}
            Some(_) | None => {
                any = true;
                match shelf.text_of(&path) {
                    Ok(text) if !names_agent(&text) => shared.push(path),
                    Ok(_) | Err(_) => found.units.push(unit(&path, &named(&path), &shelf, &reading, &mut found.warnings)),
                }
            }
        }
    }
    for path in shared.into_iter().filter(|path| !shelf.is_included(path)).collect::<Vec<_>>() {
        found.units.extend(of_nobody(&path, &named(&path), &shelf, &reading, &found.units));
    }
    if !any {
        let fix = "write one; until then every attempt is refused";
        found.faults.push(Fault::whole(&source.folder.display().to_string(), "a folder without allowlists", "at least one NAME.toml", fix));
    }
    found.warnings.extend(stray::warnings(source, &shelf, named)?);
    found.warnings.extend(frozen_strangers(&found, named(&source.folder.join(FREEZE))));
    Ok(found)
}

fn binding_floor(binding: &Binding) -> Arc<Floor> {
    match binding {
        Binding::Read(floor) | Binding::Last(floor) => Arc::clone(floor),
        Binding::Never => Arc::new(Floor::none()),
    }
}

fn unit(path: &Path, name: &str, shelf: &Shelf<'_>, reading: &Reading<'_>, warnings: &mut Vec<Warning>) -> Unit {
    let file: Arc<str> = name.into();
    let text = match shelf.text_of(path) {
        Ok(text) => text,
        Err(fault) => return Unit { file, agent: None, read: Err(vec![fault]), claims: Vec::new() },
    };
    match Allowlist::read(name, &text, reading) {
        Ok((allowlist, second_looks)) => {
            warnings.extend(second_looks);
            Unit { file, agent: Some(allowlist.agent.clone()), read: Ok(allowlist), claims: Vec::new() }
        }
        Err(faults) => Unit { file, agent: Allowlist::agent_of(&text), read: Err(faults), claims: Allowlist::claims_of(name, &text) },
    }
}

/// A file that names no agent and that no allowlist asked for.
fn of_nobody(path: &Path, name: &str, shelf: &Shelf<'_>, reading: &Reading<'_>, units: &[Unit]) -> Option<Unit> {
    let text = shelf.text_of(path).ok()?;
    if LeakRules::is_one(&text) {
        return unnamed_leak_rules(name, &text, units);
    }
    let faults = Allowlist::faults_of_included(name, &text, reading.inspects);
    if !faults.is_empty() && Allowlist::is_to_be_included(&text) {
        return Some(Unit { file: name.into(), agent: None, read: Err(faults), claims: Vec::new() });
    }
    if !faults.is_empty() {
        let mut second_looks = Vec::new();
        return Some(unit(path, name, shelf, reading, &mut second_looks));
    }
    // A file that broke before its `include` was read may be the one that wants it.
    if units.iter().any(|unit| unit.read.is_err()) {
        return None;
    }
    let fix = r#"write agent = "NAME" at its top, or include it from an agent's file, or remove it"#;
    let fault =
        Fault::whole(name, "a file that names no agent and that no agent includes", "an agent's file, or one that is included", fix);
    Some(Unit { file: name.into(), agent: None, read: Err(vec![fault]), claims: Vec::new() })
}

/// Rules of a leak guard that no agent's file asked for, and all that is wrong with them.
fn unnamed_leak_rules(name: &str, text: &str, units: &[Unit]) -> Option<Unit> {
    let mut faults = LeakRules::read(name, text).err().unwrap_or_default();
    // A file that broke before its `[leaks]` was read may be the one that wants it.
    if faults.is_empty() && units.iter().any(|unit| unit.read.is_err()) {
        return None;
    }
    if faults.is_empty() {
        let found = "a file of leak rules that no agent names";
        faults.push(Fault::whole(name, found, "one that an agent's [leaks] names", "name it there with rules, or remove it"));
    }
    Some(Unit { file: name.into(), agent: None, read: Err(faults), claims: Vec::new() })
}

/// Names in `freeze` that no file has: a slip of the pen there leaves an agent running.
fn frozen_strangers(found: &Found, file: String) -> Vec<Warning> {
    let Frozen::These(names) = &found.frozen else { return Vec::new() };
    let strangers = names.iter().filter(|name| !found.units.iter().any(|unit| unit.agent.as_ref() == Some(*name)));
    let warning =
        |name| Warning { file: file.as_str().into(), line: 0, column: 0, code: code::FREEZES_NOBODY, text: freeze::of_nobody(name) };
    strangers.map(warning).collect()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let all = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let mut files: Vec<PathBuf> = all.into_iter().filter(|path| concerns(path)).collect();
    files.sort();
    Ok(files)
}
