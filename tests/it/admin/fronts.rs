//! An agent that tries to approve itself: no way in leads to page or API.

use super::{Office, shown};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, raw};
use crate::support::p0::{P0, a, assert_refused};

#[test]
fn no_front_leads_to_the_api_by_literal_or_by_name() {
    let office = Office::new();
    let port = office.at.port();
    // Everything is listed, as badly as it can be.
    let rule = format!(
        "[[allow]]\nhost = [\"127.0.0.1\", \"rebind.test\", \"exeat.corp.example\"]\nport = [{port}, 80, 443]\naddresses = [\"127.0.0.0/8\"]"
    );
    office.p0.write_agents(&rule);
    office.get("me");
    assert_eq!(office.call(&office.admin, "POST", "reload", "").status, 200);
    office.p0.site.dns.script("rebind.test", [Reply::to(["127.0.0.1"])]);
    let hold = office.question("held.test");
    let approve = format!("/api/v1/holds/{}/approve", hold["id"].as_str().unwrap());
    let body = shown(&hold);
    let hosts = [("127.0.0.1", "self"), ("rebind.test", "self"), ("exeat.corp.example", "self")];
    for (host, reason) in hosts {
        let tunnel = office.proxy.talk().connect(&format!("{host}:{port}"), &a());
        assert_refused(&tunnel, 403, reason);
        let mut talk = office.proxy.talk();
        talk.send(format!(
            "POST http://{host}:{port}{approve} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {}\r\n{}Content-Length: {}\r\n\r\n{body}",
            office.admin,
            a(),
            body.len()
        ));
        assert_refused(&talk.answer(), 403, reason);
    }
    assert_eq!(office.proxy.holds().len(), 1, "answered by its own agent");
}

#[test]
fn a_client_that_follows_a_redirect_through_the_proxy_is_refused_at_the_second_step() {
    let mut p0 = P0::new();
    p0.site.set("admin", "address", "\"127.0.0.1:0\"");
    let proxy = p0.start();
    let at = proxy.people_at();
    let location = format!("http://{at}/api/v1/freeze");
    let to = location.clone();
    let origin = Origin::http(move |_| raw(&format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")));
    p0.write_agents(&format!(
        "[[allow]]\nhost = [\"turn.test\", \"127.0.0.1\"]\nport = [{}, {}]\naddresses = [\"127.0.0.0/8\"]",
        origin.port(),
        at.port()
    ));
    p0.site.dns.script("turn.test", [Reply::to(["127.0.0.1"])]);
    let reloaded = rustix::process::kill_process(proxy.pid(), rustix::process::Signal::HUP);
    assert!(reloaded.is_ok());
    proxy.until("the reading is recorded", |records| records.iter().any(|record| record["kind"] == "policy" && record["who"] != "start"));
    let first = proxy.get(&format!("http://turn.test:{}/", origin.port()), &a());
    assert_eq!((first.status, first.header("location")), (307, Some(location.as_str())));
    assert_refused(&proxy.get(&location, &a()), 403, "self");
}
