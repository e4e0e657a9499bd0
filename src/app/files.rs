//! Open files: as many as the system gives, and a word where those are too few.

use rustix::process::{Resource, Rlimit};

use crate::config::Config;

/// Open files that are kept for other things than the two sides of each connection.
const FILES_BESIDE: u64 = 2048;

/// Raises the limit of open files as far as it goes, and says so where that is too few for the configured connections.
pub fn raise_open_files(config: &Config) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    // An agent's side and the origin's side, parked connections, and what the process itself has open.
    let wanted = 2 * config.limits.connections as u64 + FILES_BESIDE;
    if let Some(most) = limit.maximum.filter(|most| *most < wanted) {
        tracing::warn!("{}", too_few_files(most, wanted));
    }
}

fn too_few_files(most: u64, wanted: u64) -> String {
    let mend = match most.saturating_sub(FILES_BESIDE) / 2 {
        0 => String::new(),
        connections => format!(", or limits.connections = {connections}"),
    };
    format!("{most} open files are too few for limits.connections: ulimit -n {wanted}{mend}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_told_with_what_to_write() {
        for (most, wanted, said) in [
            (4096, 10_240, "4096 open files are too few for limits.connections: ulimit -n 10240, or limits.connections = 1024"),
            (1024, 10_240, "1024 open files are too few for limits.connections: ulimit -n 10240"),
        ] {
            assert_eq!(too_few_files(most, wanted), said);
        }
    }
}
