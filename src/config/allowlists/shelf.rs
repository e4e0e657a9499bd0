//! The files of a folder, each read once, and what may be included of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FLOOR, file};
use crate::policy::allowlist::{IncludeName, IncludedText, Library, Unfound};
use crate::policy::fault::Fault;
use crate::policy::preset;

/// A folder's files.
pub(super) struct Shelf<'a> {
    folder: &'a Path,
    named: &'a dyn Fn(&Path) -> String,
    texts: RefCell<BTreeMap<PathBuf, Result<Arc<str>, Fault>>>,
    asked: RefCell<BTreeSet<PathBuf>>,
}

impl fmt::Debug for Shelf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<'a> Shelf<'a> {
    pub(super) fn new(folder: &'a Path, named: &'a dyn Fn(&Path) -> String) -> Self {
        Self { folder, named, texts: RefCell::default(), asked: RefCell::default() }
    }

    pub(super) fn text_of(&self, path: &Path) -> Result<Arc<str>, Fault> {
        let mut texts = self.texts.borrow_mut();
        texts.entry(path.to_owned()).or_insert_with(|| file::read(path, &(self.named)(path)).map(Arc::from)).clone()
    }

    /// Whether an allowlist asked for the file.
    pub(super) fn is_included(&self, path: &Path) -> bool {
        self.asked.borrow().contains(path)
    }
}

impl Library for Shelf<'_> {
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
        let sibling = match name {
            IncludeName::Preset(preset) => return preset::included(preset),
            IncludeName::Sibling(sibling) => sibling,
        };
        let path = self.folder.join(format!("{sibling}.toml"));
        if path.file_name().is_some_and(|base| base == FLOOR) {
            return Err(Unfound { found: "which is the floor".into(), fix: "remove it: the floor binds every agent as it is".into() });
        }
        if std::fs::symlink_metadata(&path).is_err() {
            let fix = match preset::preset(sibling) {
                Ok(_) => format!("did you mean preset:{sibling}?"),
                Err(_) => format!("write {sibling}.toml, or correct the name"),
            };
            return Err(Unfound { found: "of which there is no file".into(), fix });
        }
        self.asked.borrow_mut().insert(path.clone());
        let text = self.text_of(&path).map_err(|fault| Unfound { found: format!("with {}", fault.found), fix: fault.fix })?;
        if names_agent(&text) {
            let fix = "move the rules that both want to a file without `agent`, and include that";
            return Err(Unfound { found: "which is the allowlist of an agent".into(), fix: fix.into() });
        }
        Ok(IncludedText { file: (self.named)(&path).into(), text })
    }
}

/// Whether a file says whose it is, judged by the lines above its first table: cheap, and right but for keys inside texts of many lines.
pub(super) fn names_agent(text: &str) -> bool {
    let top = text.lines().map(str::trim_start).take_while(|line| !line.starts_with('['));
    top.filter_map(|line| line.split_once('=')).any(|(key, _)| key.trim().trim_matches(['"', '\'']) == "agent")
}
