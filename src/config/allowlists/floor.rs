//! The floor: which file it is, and what binds where it cannot be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Bound, FLOOR, Source, file};
use crate::policy::fault::{Fault, Warning};
use crate::policy::floor::Floor;
use crate::policy::succession::Binding;

/// What was found of it.
#[derive(Debug)]
pub(super) struct FoundFloor {
    pub(super) binding: Binding,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads the floor of a source; `named` are files as messages name them.
pub(super) fn read(source: &Source, bound: &Bound, named: &dyn Fn(&Path) -> String) -> FoundFloor {
    let beside = source.folder.join(FLOOR);
    let lies_there = fs::symlink_metadata(&beside).is_ok();
    let path = match &source.floor {
        Some(path) if lies_there && !same(path, &beside) => return broken(vec![two(path, &named(&beside))], bound),
        Some(path) => path,
        None if lies_there => &beside,
        None => return absent(bound, &named(&beside)),
    };
    let name = named(path);
    match file::read(path, &name).map_err(|fault| vec![fault]).and_then(|text| Floor::read(&name, &text, source.inspects)) {
        Ok((floor, warnings)) => FoundFloor { binding: Binding::Read(Arc::new(floor)), faults: Vec::new(), warnings },
        Err(faults) => broken(faults, bound),
    }
}

fn absent(bound: &Bound, name: &str) -> FoundFloor {
    let none = Floor::none();
    match bound {
        // As there was one that bound nobody.
        Bound::By(floor) if (Floor { file: Arc::clone(&none.file), ..(**floor).clone() }) == none => {}
        Bound::Start => {}
        Bound::By(_) | Bound::Never => {
            let found = "no floor where there was one";
            let fix = "put it back; to bind nobody leave it empty, or start exeat without it";
            return broken(vec![Fault::whole(name, found, "the floor", fix)], bound);
        }
    }
    FoundFloor { binding: Binding::Read(Arc::new(none)), faults: Vec::new(), warnings: Vec::new() }
}

fn broken(faults: Vec<Fault>, bound: &Bound) -> FoundFloor {
    let binding = match bound {
        Bound::By(floor) => Binding::Last(Arc::clone(floor)),
        Bound::Start | Bound::Never => Binding::Never,
    };
    FoundFloor { binding, faults, warnings: Vec::new() }
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    real(one) == real(other)
}

fn two(configured: &Path, beside: &str) -> Fault {
    let found = format!("a second floor beside {}, which the configuration names", configured.display());
    Fault::whole(beside, found, "one floor", "merge the two, and leave one")
}
