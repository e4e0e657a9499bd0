//! An interception cannot be put together from parts: its agent and its destination are the tunnel's.
use exeat::egress::Interception;

fn forge(other: Interception) -> Interception {
    let Interception { open, asker, live, within, over } = other;
    Interception { open, asker, live, within, over }
}

fn main() {
    let _ = forge;
}
