//! Who may send a request at all: Host, Origin, token, method, size.

use std::time::{Duration, Instant};

use super::{Office, shown};
use crate::support::origin::Origin;
use crate::support::site;
use crate::support::talk::Talk;

#[test]
fn a_request_with_a_right_token_passes_only_from_our_own_page_or_no_page() {
    let office = Office::new();
    let at = office.at;
    let web = Origin::http(|_| crate::support::origin::ok("an agent's page"));
    let other = format!("http://127.0.0.1:{}", web.port());
    let rows: &[(&str, String, u16)] = &[
        ("no page", String::new(), 200),
        ("our page", format!("Origin: http://{at}\r\nSec-Fetch-Site: same-origin\r\n"), 200),
        ("a page of another port of this host", format!("Origin: {other}\r\n"), 403),
        ("the same, said to be of the same site", format!("Origin: {other}\r\nSec-Fetch-Site: same-site\r\n"), 403),
        ("our page, said to be of the same site", format!("Origin: http://{at}\r\nSec-Fetch-Site: same-site\r\n"), 403),
        ("no origin, and another site", "Sec-Fetch-Site: cross-site\r\n".to_owned(), 403),
        ("typed in", "Sec-Fetch-Site: none\r\n".to_owned(), 200),
        ("no port", "Origin: http://127.0.0.1\r\n".to_owned(), 403),
        ("a wrong port", format!("Origin: http://127.0.0.1:{}\r\n", at.port() ^ 1), 403),
        ("TLS that we do not speak", format!("Origin: https://{at}\r\n"), 403),
        ("a sandboxed page", "Origin: null\r\n".to_owned(), 403),
        ("an empty origin", "Origin: \r\n".to_owned(), 403),
        ("two origins", format!("Origin: http://{at}\r\nOrigin: {other}\r\n"), 403),
        ("a name for ours", "Origin: http://exeat.corp.example\r\n".to_owned(), 403),
    ];
    for (what, headers, status) in rows {
        for (method, route) in [("GET", "holds"), ("POST", "reload")] {
            let headers = format!("Host: {at}\r\nAuthorization: Bearer {}\r\n{headers}", office.admin);
            let answer = office.send(method, route, &headers, "");
            assert_eq!(answer.status, *status, "{what}: {method} {route}: {}", answer.text());
            let cors: Vec<_> = answer.headers.iter().filter(|(name, _)| name.starts_with("access-control")).collect();
            assert_eq!(cors, Vec::<&(String, String)>::new());
        }
    }
    let preflight = office.send("OPTIONS", "holds", &format!("Host: {at}\r\nOrigin: {other}\r\n"), "");
    assert_eq!(preflight.status, 405);
}

#[test]
fn a_name_that_was_made_to_lead_here_is_misdirected() {
    let office = Office::new();
    let at = office.at;
    let port = at.port();
    let rows = [
        (format!("Host: {at}\r\n"), 200),
        ("Host: exeat.corp.example\r\n".to_owned(), 200),
        (format!("Host: exeat.corp.example:{port}\r\n"), 200),
        ("Host: exeat.corp.example\r\nOrigin: https://exeat.corp.example\r\n".to_owned(), 200),
        // Port 80 of that name may be anybody's.
        ("Host: exeat.corp.example\r\nOrigin: http://exeat.corp.example\r\n".to_owned(), 403),
        ("Host: evil.test\r\n".to_owned(), 421),
        (format!("Host: evil.test:{port}\r\n"), 421),
        (format!("Host: evil.test:{port}\r\nOrigin: http://evil.test:{port}\r\n"), 421),
        (format!("Host: localhost:{port}\r\n"), 421),
        ("Host: 127.0.0.1\r\n".to_owned(), 421),
        ("Host: \r\n".to_owned(), 421),
        (String::new(), 421),
        (format!("Host: {at}\r\nHost: evil.test\r\n"), 421),
        (format!("Host: evil.test\r\nX-Forwarded-Host: {at}\r\nForwarded: host={at}\r\n"), 421),
    ];
    for (headers, status) in rows {
        let answer = office.send("GET", "me", &format!("{headers}Authorization: Bearer {}\r\n", office.admin), "");
        assert_eq!(answer.status, status, "{headers}: {}", answer.text());
    }
    let mut talk = Talk::to(at);
    talk.send(format!("GET http://evil.test/api/v1/me HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"));
    assert_eq!(talk.answer().status, 421);
}

#[test]
fn no_token_of_an_agent_opens_the_api_and_none_of_a_person_identifies_an_agent() {
    let office = Office::new();
    let agents = site::token("a");
    let issued = office.proxy.said(&["token", "a", "--address", "127.0.0.1:3128"]);
    let issued = issued.split([':', '@']).find(|part| part.starts_with("exeat_")).unwrap();
    for wrong in ["", "x", agents.as_str(), issued, &office.admin[..office.admin.len() - 1], "exeat-session_0"] {
        let answer = office.call(wrong, "GET", "holds", "");
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.header("www-authenticate").is_some_and(|wants| wants.starts_with("Bearer")));
        assert!(wrong.len() < 8 || !answer.text().contains(wrong));
    }
    // At rest there are digests alone.
    let mut read = 0;
    for entry in std::fs::read_dir(office.p0.site.state()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(&entry).unwrap()).into_owned();
        assert!(!text.contains(&office.admin) && !text.contains(issued), "a token is in {}", entry.display());
        read += usize::from(entry.ends_with("approvals.db") || entry.ends_with("tokens.json"));
    }
    assert_eq!(read, 2);
    let basic = format!("Host: {}\r\nAuthorization: Basic {}\r\n", office.at, site::base64(format!("a:{}", office.admin).as_bytes()));
    assert_eq!(office.send("GET", "holds", &basic, "").status, 401);
    let cookie = format!("Host: {}\r\nCookie: token={}\r\n", office.at, office.admin);
    assert_eq!(office.send("GET", "holds", &cookie, "").status, 401);
    let query = office.send("GET", &format!("holds?token={}", office.admin), &format!("Host: {}\r\n", office.at), "");
    assert_eq!(query.status, 401);
    let refused = office.proxy.get(&office.p0.url("plain.allowed.test", "/"), &site::offer("a", &office.admin));
    assert_eq!(refused.status, 407, "{}", refused.text());
    let said = office.proxy.stderr();
    assert!(!said.contains(&office.admin) && !said.contains(issued), "a token in the log");
    assert!(!office.proxy.journal().iter().any(|record| record.to_string().contains(&office.admin)), "a token in a record");
}

#[test]
fn wrong_tokens_are_answered_ever_slower_and_the_right_one_is_not() {
    let office = Office::new();
    let statuses: Vec<u16> = (0..14).map(|_| office.call("exeat-approver_0", "GET", "me", "").status).collect();
    assert_eq!(statuses, [vec![401; 10], vec![429; 4]].concat());
    let answer = office.call("exeat-approver_0", "GET", "me", "");
    assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| (1..=60).contains(&wait))));
    assert_eq!(office.send("POST", "login", &format!("Host: {}\r\n", office.at), r#"{"code": "exeat-login_0"}"#).status, 429);
    assert_eq!(office.call(&office.admin, "GET", "me", "").status, 200, "an agent of this host could lock its approver out");
}

#[test]
fn a_get_changes_nothing_whatever_else_it_says() {
    let office = Office::new();
    let hold = office.question("held.test");
    let id = hold["id"].as_str().unwrap();
    let before = office.proxy.journal().len();
    let routes = [
        format!("holds/{id}/approve"),
        format!("holds/{id}/deny"),
        format!("holds/{id}/approve?facts={}", hold["facts"].as_str().unwrap()),
        format!("holds/{id}"),
        "reload".to_owned(),
        "freeze".to_owned(),
        "agents/a/freeze".to_owned(),
        "login?code=x".to_owned(),
        "approvers".to_owned(),
        "approvals".to_owned(),
        "events".to_owned(),
        "holds".to_owned(),
    ];
    let overrides = "X-HTTP-Method-Override: POST\r\nX-Method-Override: POST\r\nX-HTTP-Method: DELETE\r\n";
    for route in &routes {
        for method in ["GET", "HEAD"] {
            if (method, route.as_str()) == ("GET", "events") {
                continue;
            }
            let headers = format!("Host: {}\r\nAuthorization: Bearer {}\r\n{overrides}", office.at, office.admin);
            let answer = office.send(method, route, &headers, &if method == "GET" { shown(&hold) } else { String::new() });
            assert!([200, 405].contains(&answer.status), "{method} {route}: {}", answer.status);
        }
    }
    assert_eq!(office.proxy.holds().len(), 1);
    assert_eq!(office.proxy.journal().len(), before, "a record of a look");
    assert_eq!(office.get("approvals"), serde_json::json!([]));
}

#[test]
fn what_is_too_large_or_too_slow_is_refused_and_others_are_served() {
    let office = Office::new();
    let large = format!(r#"{{"agent": "a", "try": "{}"}}"#, "x".repeat(20_000));
    assert_eq!(office.call(&office.admin, "POST", "explain", &large).status, 413);
    let mut talk = Talk::to(office.at);
    let chunk = format!("4e20\r\n{}\r\n0\r\n\r\n", "x".repeat(20_000));
    talk.send(format!(
        "POST /api/v1/explain HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}",
        office.at, office.admin
    ));
    assert_eq!(talk.answer().status, 413);
    let head = office.send("GET", "me", &format!("Host: {}\r\nX: {}\r\n", office.at, "x".repeat(40_000)), "");
    assert_eq!(head.status, 431);
    let slow: Vec<Talk> = (0..40)
        .map(|_| {
            let mut talk = Talk::to(office.at);
            talk.send("GET /api/v1/me HTTP/1.1\r\nHost: ");
            talk
        })
        .collect();
    assert_eq!(office.call(&office.admin, "GET", "me", "").status, 200);
    let began = Instant::now();
    for mut talk in slow {
        assert!(!talk.is_quiet(Duration::from_secs(20)), "a head was waited for without end");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}
