//! A connection, an interception and a receipt come from the neck; none of them can be made or opened up.
use exeat::egress::{Connected, Interception, Receipt};

fn open_up(connected: Connected) {
    let _stream = connected.line;
}

fn interception(from: Connected) -> Interception {
    Interception { open: from.open, attempt: todo!(), live: todo!() }
}

fn main() {
    let _ = (open_up, interception);
    let _ = Receipt::of;
}
