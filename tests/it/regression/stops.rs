//! Stopping: who waits is told at once, who downloads is cut when the time to end in order is over.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::Stage;
use crate::support::p0::assert_refused;
use crate::support::proxy::{decided, ended, of_kind};

#[test]
fn a_stop_answers_who_waits_and_records_a_download_as_cut() {
    let mut stage = Stage::attended(&[]);
    let mut held = stage.proxy.talk();
    held.send(stage.request("GET", "held.test", ""));
    stage.proxy.until_held(1, 1);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("GET", "listed.test", ""));
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\n\r\nbegun");
    assert!(agent.head()[0].contains("200"));

    let began = Instant::now();
    kill_process(stage.proxy.pid(), Signal::TERM).unwrap();
    assert_refused(&held.answer(), 403, "pending");
    assert!(began.elapsed() < Duration::from_secs(3), "who waited was told after {:?}", began.elapsed());
    agent.rest();
    assert!(origin.is_closed());
    while stage.proxy.is_alive() {
        assert!(began.elapsed() < Duration::from_secs(15), "it does not stop");
        thread::sleep(Duration::from_millis(10));
    }
    let records = stage.proxy.settled();
    let end = ended(&records, &decided(&records, "listed.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("internal")));
    assert_eq!(of_kind(&records, "stopped").len(), 1);
}
