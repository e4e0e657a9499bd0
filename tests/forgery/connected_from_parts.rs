//! A connection, an interception and a receipt come from the neck; none of them can be made or opened up.
use exeat::egress::{Connected, Interception, Receipt};

fn open_up(connected: Connected) {
    let _stream = connected.line;
}

fn interception(from: Interception) -> Interception {
    let Interception { open, asker, live } = from;
    Interception { open, asker, live }
}

fn main() {
    let _ = (open_up, interception);
    let _ = Receipt::of;
}
