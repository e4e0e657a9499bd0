//! Who sits at the other end of the unix socket.

use tokio::net::UnixStream;

pub(crate) use crate::egress::user_name as name_of;

/// The name records give the peer, or `None` for another user than ours and root.
pub(super) fn approver(stream: &UnixStream) -> Option<String> {
    let uid = stream.peer_cred().ok()?.uid();
    let ours = rustix::process::geteuid().as_raw();
    (uid == ours || uid == 0).then(|| name_of(uid))
}
