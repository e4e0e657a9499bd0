//! What the system gives this process: open files and memory, told once, with a word where they are too few for what is configured.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit};

use crate::config::Config;

/// Open files that are kept for other things than the two sides of each connection.
const FILES_BESIDE: u64 = 2048;

/// Memory that is kept for other things than connections, and what one takes at most while it carries something.
const MEMORY_BESIDE: u64 = 64 << 20;
const MEMORY_OF_ONE: u64 = 32 << 10;

const MIB: u64 = 1 << 20;

/// What the system gives; `None` is without end, or not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Descriptors that may be open.
    pub files: Option<u64>,
    /// Bytes of the control group (v2 or v1), the least of it and those above it.
    pub memory: Option<u64>,
    /// Bytes of addresses, `ulimit -v`.
    pub addresses: Option<u64>,
}

/// Raises the limit of open files as far as it goes, and says what there is, and what is too little for the configured connections.
pub fn raise_open_files(config: &Config) -> Given {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let memory = of_groups(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), Path::new("/sys/fs/cgroup"));
    let given = Given { files: getrlimit(Resource::Nofile).current, memory, addresses: getrlimit(Resource::As).current };
    given.tell(config.limits.connections as u64);
    given
}

impl Given {
    /// The memory it may have, by whatever limits it.
    pub fn memory(&self) -> Option<u64> {
        self.memory.into_iter().chain(self.addresses).min()
    }

    fn tell(&self, connections: u64) {
        let Self { files, memory, addresses } = *self;
        let said = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
        tracing::info!(
            open_files = said(files),
            memory_bytes = said(memory),
            address_bytes = said(addresses),
            "what this process is given"
        );
        // An agent's side and the origin's side, parked connections, and what the process itself has open.
        let wanted = 2 * connections + FILES_BESIDE;
        if let Some(most) = files.filter(|most| *most < wanted) {
            tracing::warn!("{}", too_few_files(most, wanted));
        }
        let wanted = connections * MEMORY_OF_ONE + MEMORY_BESIDE;
        if let Some(most) = self.memory().filter(|most| *most < wanted) {
            tracing::warn!("{}", too_little_memory(most, wanted));
        }
    }
}

fn too_few_files(most: u64, wanted: u64) -> String {
    let mend = or_fewer(most.saturating_sub(FILES_BESIDE) / 2);
    format!("{most} open files are too few for limits.connections: ulimit -n {wanted} (LimitNOFILE={wanted}){mend}")
}

fn too_little_memory(most: u64, wanted: u64) -> String {
    let mend = or_fewer(most.saturating_sub(MEMORY_BESIDE) / MEMORY_OF_ONE);
    let wanted = wanted.div_ceil(MIB);
    format!("{} MiB of memory may be too little for limits.connections: MemoryMax={wanted}M, memory: {wanted}Mi{mend}", most / MIB)
}

fn or_fewer(connections: u64) -> String {
    match connections {
        0 => String::new(),
        connections => format!(", or limits.connections = {connections}"),
    }
}

/// The least limit of memory of the control groups that `/proc/self/cgroup` names, and of those above them.
fn of_groups(groups: &str, mounted: &Path) -> Option<u64> {
    groups.lines().filter_map(|line| of_group(line, mounted)).min()
}

/// `N:CONTROLLERS:PATH`, none of them in version 2.
fn of_group(line: &str, mounted: &Path) -> Option<u64> {
    let (_number, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, file) = match controllers {
        "" => (mounted.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => (mounted.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let group = root.join(path.trim_start_matches('/'));
    let above = group.ancestors().take_while(|folder| folder.starts_with(&root));
    // Version 1 says a number near the largest where there is no limit.
    above.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).filter(|bytes| *bytes < 1 << 60).min()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_told_with_what_to_write() {
        for (said, wanted) in [
            (
                too_few_files(4096, 10_240),
                "4096 open files are too few for limits.connections: ulimit -n 10240 (LimitNOFILE=10240), or limits.connections = 1024",
            ),
            (too_few_files(1024, 10_240), "1024 open files are too few for limits.connections: ulimit -n 10240 (LimitNOFILE=10240)"),
            (
                too_little_memory(128 * MIB, 689 * MIB),
                "128 MiB of memory may be too little for limits.connections: MemoryMax=689M, memory: 689Mi, or limits.connections = 2048",
            ),
            (too_little_memory(32 * MIB, MIB + 1), "32 MiB of memory may be too little for limits.connections: MemoryMax=2M, memory: 2Mi"),
        ] {
            assert_eq!(said, wanted);
        }
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_counts() {
        let mounted = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("a/memory.max", "2000\n"),
            ("a/b/memory.max", "3000\n"),
            ("c/memory.max", "max\n"),
            ("memory/d/memory.limit_in_bytes", "1000\n"),
            ("memory/e/memory.limit_in_bytes", "9223372036854771712\n"),
        ] {
            let path = mounted.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (groups, wanted) in [
            ("0::/a/b", Some(2000)),
            ("0::/c", None),
            ("0::/none/of/it", None),
            ("12:cpu,cpuacct:/d\n4:memory:/d\n0::/", Some(1000)),
            ("4:memory:/e", None),
            ("no line of it", None),
        ] {
            assert_eq!(of_groups(groups, mounted.path()), wanted, "{groups}");
        }
    }
}
