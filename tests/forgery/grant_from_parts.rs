//! A grant comes from a decision: its addresses cannot be widened afterwards.
use exeat::policy::address::Addresses;
use exeat::policy::decide::Grant;

fn widen(grant: Grant, addresses: Addresses) -> Grant {
    Grant { addresses: addresses.into(), ..grant }
}

fn main() {
    let _ = widen;
}
