//! Who sits at the other end of the unix socket.

use std::io::Read as _;

use tokio::net::UnixStream;

/// The largest user database that is read for a name.
const LARGEST: u64 = 1 << 20;

/// The name records give the peer, or `None` for another user than ours and root.
pub(super) fn approver(stream: &UnixStream) -> Option<String> {
    let uid = stream.peer_cred().ok()?.uid();
    let ours = rustix::process::geteuid().as_raw();
    (uid == ours || uid == 0).then(|| name_of(uid))
}

/// The user's name, or `uid:N` for one without.
pub(crate) fn name_of(uid: u32) -> String {
    let mut users = String::new();
    let read = std::fs::File::open("/etc/passwd").and_then(|file| file.take(LARGEST).read_to_string(&mut users));
    read.ok().and_then(|_| find(&users, uid)).unwrap_or_else(|| format!("uid:{uid}"))
}

fn find(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_user_is_found_by_uid_and_by_nothing_else() {
        let users = "root:x:0:0:root:/root:/bin/sh\n:x:7:7::/:\nshort:x\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n";
        assert_eq!(find(users, 1000).as_deref(), Some("alice"));
        for nobody in [100, 7, 1] {
            assert_eq!(find(users, nobody), None);
        }
    }
}
