//! Files with nearly a right name: of them nothing is in force, which whoever wrote them would never hear.

use std::fs;
use std::io;
use std::path::Path;

use super::shelf::{Shelf, names_agent};
use super::{FLOOR, FREEZE, Source};
use crate::policy::fault::{Warning, code};

/// Endings that stand where `.toml` was meant, in lower case.
const ENDINGS: [&str; 6] = [".toml.txt", ".toml", ".tml", ".tom", ".tolm", ".tmol"];

/// The name that a file of this name was meant to have; `None` for right names and for those of other things.
pub fn meant(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if name == FREEZE || name == FLOOR || name.starts_with('.') {
        return None;
    }
    match lower.as_str() {
        "freeze" | "freeze.txt" => return Some(FREEZE.to_owned()),
        "floor" | "floor.txt" => return Some(FLOOR.to_owned()),
        _ => {}
    }
    let stem = ENDINGS.iter().find_map(|ending| lower.strip_suffix(ending)).filter(|stem| !stem.is_empty())?;
    match stem {
        "floor" => Some(FLOOR.to_owned()),
        _ if name.ends_with(".toml") => None,
        "freeze" => Some(FREEZE.to_owned()),
        _ => Some(format!("{}.toml", name.get(..stem.len())?)),
    }
}

/// A warning for each such file of a folder.
pub(super) fn warnings(source: &Source, shelf: &Shelf<'_>, named: &dyn Fn(&Path) -> String) -> io::Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    for entry in fs::read_dir(&source.folder)? {
        let path = entry?.path();
        let Some(right) = path.file_name().and_then(|name| meant(&name.to_string_lossy())) else { continue };
        let is_used = || shelf.is_included(&path) || shelf.text_of(&path).is_ok_and(|text| names_agent(&text));
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        if path.is_dir() || source.floor.as_ref() == Some(&path) || is_toml && is_used() {
            continue;
        }
        let text = format!("nothing of a file of this name is in force: rename it to {right}, or remove it");
        warnings.push(Warning { file: named(&path).into(), line: 0, column: 0, code: code::UNREAD_FILE, text });
    }
    warnings.sort();
    Ok(warnings)
}
