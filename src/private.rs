//! Files with secrets in them: whom their rights let in who should not be.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Who besides the user of this process may use the file, as the end of a sentence.
pub fn exposed(found: &Metadata) -> Option<&'static str> {
    lets_in(found.mode() & 0o7777, found.uid(), rustix::process::geteuid().as_raw())
}

/// As PostgreSQL has it: root's own file may be read by a group, which is how an orchestrator hands a secret to a process that is not root.
fn lets_in(mode: u32, owner: u32, user: u32) -> Option<&'static str> {
    let group = if owner == 0 && user != 0 { 0o030 } else { 0o070 };
    if mode & 0o007 != 0 {
        Some("everyone on this machine may use")
    } else if mode & group != 0 {
        Some("its group may use")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_read_what_root_hands_to_another_and_nothing_else() {
        let rows = [
            (0o600, 7, 7, None),
            (0o400, 7, 7, None),
            (0o640, 7, 7, Some("its group may use")),
            (0o604, 7, 7, Some("everyone on this machine may use")),
            (0o644, 0, 0, Some("everyone on this machine may use")),
            (0o640, 0, 0, Some("its group may use")),
            (0o440, 0, 7, None),
            (0o460, 0, 7, Some("its group may use")),
            (0o444, 0, 7, Some("everyone on this machine may use")),
        ];
        for (mode, owner, user, wanted) in rows {
            assert_eq!(lets_in(mode, owner, user), wanted, "{mode:o} {owner} {user}");
        }
    }
}
