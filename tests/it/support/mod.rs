//! What the tests stand on: a scripted name server, recording origins, origins as the web has them, the real binary, raw conversations, a pseudo-terminal.

pub(crate) mod ahead;
pub(crate) mod dns;
pub(crate) mod origin;
pub(crate) mod own_network;
pub(crate) mod p0;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod site;
pub(crate) mod strict;
pub(crate) mod talk;
pub(crate) mod tls;
pub(crate) mod visit;
pub(crate) mod wait;
pub(crate) mod web;
