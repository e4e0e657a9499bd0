//! A permit cannot be put together from parts: the gate is its only maker.
use exeat::egress::Permit;

fn forge(other: Permit) -> Permit {
    let Permit { open, grant, live } = other;
    Permit { open, grant, live }
}

fn main() {
    let _ = forge;
}
