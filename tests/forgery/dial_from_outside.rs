//! The dialer, the pool and the relay have no door to the outside.
fn main() {
    let _ = exeat::egress::dial::Judged::new;
    let _ = exeat::egress::pool::Pool::new;
    let _ = exeat::egress::relay::relay;
}
