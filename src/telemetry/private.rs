//! Files with credentials for back ends: whom their rights let in.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Whether others than exeat may use the file.
pub(super) fn is_open(found: &Metadata) -> bool {
    lets_in(found.mode() & 0o7777, found.uid(), rustix::process::geteuid().as_raw())
}

/// As PostgreSQL has it: root's own file may be read by a group, which is how an orchestrator hands a secret to a process that is not root.
fn lets_in(mode: u32, owner: u32, user: u32) -> bool {
    let group = if owner == 0 && user != 0 { 0o030 } else { 0o070 };
    mode & (group | 0o007) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_read_what_root_hands_to_another_and_nothing_else() {
        for (mode, owner, user, open) in [
            (0o600, 7, 7, false),
            (0o640, 7, 7, true),
            (0o604, 7, 7, true),
            (0o440, 0, 7, false),
            (0o460, 0, 7, true),
            (0o444, 0, 7, true),
            (0o640, 0, 0, true),
        ] {
            assert_eq!(lets_in(mode, owner, user), open, "{mode:o} {owner} {user}");
        }
    }
}
