//! A connection and a receipt come from the neck; neither can be made or opened up.
use exeat::egress::{Connected, Receipt};

fn open_up(connected: Connected) {
    let _stream = connected.line;
}

fn main() {
    let _ = open_up;
    let _ = Receipt::of;
}
