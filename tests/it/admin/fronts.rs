//! An agent that tries to approve itself: no way in leads to page or API.

use super::{Office, shown};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, raw};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::of_kind;

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

/// Requests of an agent inside a tunnel that name the admin address, in every form a request may name it.
#[test]
fn plain_http_inside_a_tunnel_does_not_lead_to_the_api() {
    let office = Office::new();
    let port = office.at.port();
    list_everything(&office);
    let hold = office.question("held.test");
    let (approve, body) = (format!("/api/v1/holds/{}/approve", hold["id"].as_str().unwrap()), shown(&hold));
    // A tunnel to what is allowed, and what is said in it.
    for named in NAMES.map(|name| format!("{name}:{port}")) {
        for target in [format!("http://{named}{approve}"), approve.clone()] {
            let mut talk = office.proxy.talk();
            assert_eq!(talk.connect(&office.p0.at_plain("plain.allowed.test"), &a()).status, 200);
            talk.send(format!(
                "POST {target} HTTP/1.1\r\nHost: {named}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
                office.admin,
                body.len()
            ));
            let answer = talk.answer();
            assert_refused(&answer, 403, "name-mismatch");
        }
    }
    assert_eq!(office.p0.plain.requests().len(), 0, "it passed on to where the tunnel leads");
    assert_nobody_answered(&office);
}

#[test]
fn a_websocket_to_the_api_is_refused_by_literal_by_name_and_after_a_redirect() {
    let office = Office::new();
    let port = office.at.port();
    list_everything(&office);
    office.question("held.test");
    let fields =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let shake = |url: &str, host: &str| {
        let mut talk = office.proxy.talk();
        talk.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n{}{fields}\r\n", office.admin, a()));
        talk.answer_to("GET")
    };
    for name in NAMES {
        let host = format!("{name}:{port}");
        assert_refused(&shake(&format!("http://{host}/api/v1/events"), &host), 403, "self");
        let mut talk = office.proxy.talk();
        assert_refused(&talk.connect(&host, &a()), 403, "self");
    }
    let location = format!("http://{}/api/v1/events", office.at);
    let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let origin = Origin::http(move |_| raw(&answer));
    office.p0.write_agents(&format!(
        "{}\n[[allow]]\nhost = \"turn.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]\nwebsocket = true",
        everything(&office),
        origin.port()
    ));
    office.p0.site.dns.script("turn.test", [Reply::to(["127.0.0.1"])]);
    assert_eq!(office.call(&office.admin, "POST", "reload", "").status, 200);
    let host = format!("turn.test:{}", origin.port());
    let turned = shake(&format!("http://{host}/"), &host);
    assert_eq!((turned.status, turned.header("location")), (307, Some(location.as_str())));
    assert_refused(&shake(&location, &office.at.to_string()), 403, "self");
    assert_nobody_answered(&office);
}

/// What leads to the admin address: a literal, a name that resolves to it, and one that the configuration gives it.
const NAMES: [&str; 3] = ["127.0.0.1", "rebind.test", "exeat.corp.example"];

/// A rule that lists the admin address as badly as it can be.
fn everything(office: &Office) -> String {
    format!(
        "[[allow]]\nhost = [\"127.0.0.1\", \"rebind.test\", \"exeat.corp.example\"]\nport = [{}, 80, 443]\naddresses = [\"127.0.0.0/8\"]\nwebsocket = true",
        office.at.port()
    )
}

fn list_everything(office: &Office) {
    office.p0.write_agents(&everything(office));
    for name in ["rebind.test", "exeat.corp.example"] {
        office.p0.site.dns.script(name, [Reply::to(["127.0.0.1"])]);
    }
    assert_eq!(office.call(&office.admin, "POST", "reload", "").status, 200);
}

fn assert_nobody_answered(office: &Office) {
    assert_eq!(office.proxy.holds().len(), 1, "answered by its own agent");
    assert_eq!(of_kind(&office.proxy.journal(), "answered").len(), 0);
}
