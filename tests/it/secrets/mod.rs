//! Credentials that exeat puts into requests, and what it does not let out: by the origin's account, the agent's, and every record and log.

mod leaks;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::proxy::{Proxy, decided, ended};
use crate::support::site::{Site, base64};
use crate::support::tls::{Authority, Terms};
use crate::support::visit::{Visit, Way, Whole};
use crate::support::web::body::Flow;
use crate::support::web::{Web, run};

const HOST: &str = "web.test";
const H1: &[&str] = &["http/1.1"];
const H2: &[&str] = &["h2", "http/1.1"];
const SPOKEN: [(&[&str], &[&str]); 3] = [(H1, H1), (H2, H2), (H2, H1)];

/// Letters and digits that nothing else has, as long as a secret is.
const CANARY: &str = "c4n4ry0a1b2c3d4e5f6g7h8j9k0a1b2c3d4e5f6g7h8j9k";

/// Everything is allowed.
const OPEN: &str = "
[[allow]]
host = \"web.test\"
LOCAL
";

/// Its token is put in, from a file.
const TOKEN: &str = "
[[inject]]
host = \"web.test\"
PORT
header = \"authorization\"
prefix = \"Bearer \"
value = { file = \"token\" }
";

struct World {
    site: Site,
    ours: Authority,
    web: Web,
}

impl World {
    fn new(keys: &str, rules: &str) -> Self {
        Self::speaking(keys, rules, H2)
    }

    /// Agent `c`, and an origin that speaks these.
    fn speaking(keys: &str, rules: &str, origin: &[&str]) -> Self {
        let (ours, origins) = (Authority::named("exeat"), Authority::named("origins"));
        let web = Web::secure(&origins.present(&Terms { alpn: origin, ..Terms::of(&[HOST]) }));
        let mut site = Site::new();
        site.inspecting(&ours, &origins);
        site.dns.script(HOST, [Reply::to(["127.0.0.1"])]);
        let world = Self { site, ours, web };
        world.agent(keys, rules);
        world.secret(CANARY);
        world
    }

    fn agent(&self, keys: &str, rules: &str) {
        let port = format!("port = {}", self.web.port());
        let local = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", self.web.port());
        self.site.agent("c", &format!("unlisted = \"block\"\n{keys}"), &rules.replace("LOCAL", &local).replace("PORT", &port));
    }

    /// What stands in the file of the token.
    fn secret(&self, text: &str) {
        fs::write(self.allowlists().join("token"), text).unwrap();
    }

    fn allowlists(&self) -> std::path::PathBuf {
        self.site.path().join("allowlists")
    }

    /// As loud as it gets.
    fn start(&self) -> Proxy {
        Proxy::start_under(&self.site.config(), &self.site.state(), Some("export EXEAT_LOG=trace"))
    }

    fn visit(&self, proxy: &Proxy, alpn: &[&str]) -> Visit {
        let way = Way::through(proxy.address, "c", HOST, self.web.port(), self.ours.trusting(alpn));
        run(way.visit()).unwrap_or_else(|missed| panic!("{missed:?}"))
    }

    /// Everything that leaves exeat but for the way to the origin, with what the agent was answered.
    fn assert_kept(&self, proxy: &Proxy, answers: &[Whole], canary: &str) {
        let records = proxy.settled();
        let state = files(&self.site.state());
        let said = ["log", "approvals", "holds"].map(|command| proxy.said(&[command, "--json"]));
        let explained = proxy.exeat(&["explain", "c", &format!("GET https://{HOST}:{}/", self.web.port())]);
        for (what, text) in [
            ("records", format!("{records:?}")),
            ("the state folder", state),
            ("the log", proxy.stderr()),
            ("standard output", proxy.stdout()),
            ("metrics", proxy.metrics()),
            ("commands", said.join("\n")),
            ("explain", String::from_utf8_lossy(&explained.stdout).into_owned()),
            ("answers", answers.iter().map(|answer| format!("{answer:?} {}", answer.text())).collect()),
        ] {
            assert!(!text.is_empty(), "{what} says nothing, so nothing is shown");
            for form in [canary.to_owned(), base64(canary.as_bytes()).trim_end_matches('=')[..20].to_owned()] {
                assert!(!text.contains(&form), "{what} tells {form}");
            }
        }
    }
}

fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &files(&path);
        } else if let Ok(bytes) = fs::read(&path) {
            text += &String::from_utf8_lossy(&bytes);
        }
    }
    text
}

fn get(visit: &Visit, target: &str, fields: &[(&str, &str)]) -> Whole {
    let mut request = visit.request("GET", target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    run(visit.ask(request.body(Flow::whole("")).unwrap())).unwrap()
}

/// The requests found in tunnels, each with its end.
fn inner(records: &[Value]) -> Vec<(&Value, &Value)> {
    let all = decided(records, HOST).into_iter().filter(|record| !record["within"].is_null());
    all.map(|record| (record, ended(records, &record["id"]))).collect()
}

#[test]
fn a_credential_reaches_its_origin_in_place_of_the_agents_own_and_nobody_else() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking("", &format!("{OPEN}{TOKEN}"), origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let own =
            [("authorization", "Bearer own"), ("cookie", "session=own"), ("x-api-key", "own"), ("x_auth_token", "own"), ("accept", "*/*")];
        let mut answers = vec![get(&visit, "/page", &own), get(&visit, "/redirect?to=/page", &[]), get(&visit, "/status/401", &[])];
        answers.push(get(&visit, "/refused", &[]));
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 302, 401, 417]);
        assert!(run(visit.get("/cut?after=10")).is_err(), "it resets");
        drop(visit);
        for seen in world.web.seen() {
            assert_eq!(seen.all("authorization"), [format!("Bearer {CANARY}")], "{seen:?}");
            assert!(!format!("{seen:?}").contains("own"), "{seen:?}");
        }
        assert_eq!(world.web.seen()[0].all("accept"), ["*/*"]);
        world.assert_kept(&proxy, &answers, CANARY);
    }
}

#[test]
fn what_an_origin_repeats_is_masked_in_fields_and_body() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking("", &format!("{OPEN}{TOKEN}mask = true\n"), origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let (plain, coded) =
            (format!("/redirect?to=/{CANARY}"), format!("/redirect?to=/{}", base64(CANARY.as_bytes()).trim_end_matches('=')));
        let answers = [get(&visit, "/echo", &[("accept-encoding", "gzip"), ("range", "bytes=0-9")]), get(&visit, &plain, &[])];
        let stars = "*".repeat(CANARY.len());
        assert!(answers[0].text().contains(&format!("Bearer {stars}")), "{}", answers[0].text());
        assert_eq!(answers[1].header("location"), Some(format!("/{stars}").as_str()));
        let phrase = get(&visit, "/phrase", &[]).phrase;
        assert!(!phrase.iter().any(|phrase| phrase.contains(CANARY)), "{phrase:?}");
        let masked = get(&visit, &coded, &[]);
        assert!(masked.header("location").unwrap().starts_with("/******************************"), "{masked:?}");
        drop(visit);
        let seen = &world.web.seen()[0];
        assert_eq!((seen.all("accept-encoding"), seen.all("range")), (vec!["identity"], Vec::<&str>::new()));
        // What the agent itself asked for stands in the record of its request: the value is not its own to know.
        assert_eq!(answers[0].status, 200);
    }
}

#[test]
fn a_secret_that_cannot_be_had_refuses_what_needs_it_and_says_where_it_is_named() {
    let world = World::new("", &format!("{OPEN}{TOKEN}"));
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    fs::remove_file(world.allowlists().join("token")).unwrap();
    let refused = get(&visit, "/page", &[]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    let problem = refused.json();
    assert_eq!((&problem["reason"], &problem["retryable"]), (&json!("internal"), &json!(true)));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("c.toml:") && detail.contains("cannot be read"), "{detail}");
    assert!(world.web.met().is_empty() && !world.site.dns.was_asked(HOST), "nothing was dialled");

    world.secret("line one\nline two");
    assert_eq!(get(&visit, "/page", &[]).status, 503);
    world.secret(CANARY);
    assert_eq!(get(&visit, "/page", &[]).status, 200);
    let newer = format!("{CANARY}newer");
    world.secret(&newer);
    assert_eq!(get(&visit, "/page", &[]).status, 200);
    let sent: Vec<_> = world.web.seen().iter().map(|seen| seen.all("authorization")[0].to_owned()).collect();
    assert_eq!(sent, [format!("Bearer {CANARY}"), format!("Bearer {newer}")]);
    drop(visit);
    let records = proxy.settled();
    let ends: Vec<_> = inner(&records)
        .iter()
        .map(|(decided, ended)| (decided["decision"].clone(), ended["outcome"].clone(), ended["reason"].clone()))
        .collect();
    assert_eq!(ends[0], (json!("allow"), json!("refused"), json!("internal")));
    assert_eq!(ends[2], (json!("allow"), json!("completed"), json!("listed")));
    world.assert_kept(&proxy, &[refused], CANARY);
}

#[test]
fn whoever_runs_exeat_is_told_which_secret_cannot_be_had_until_it_can() {
    let world = World::new("", &format!("{OPEN}{TOKEN}"));
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    fs::remove_file(world.allowlists().join("token")).unwrap();
    let answers = [get(&visit, "/page", &[]), get(&visit, "/page", &[])];
    assert_eq!([answers[0].status, answers[1].status], [503, 503]);
    let place = "c.toml:12";
    let why = "its file cannot be read (no such file or folder)";
    let told = |text: &str| text.matches(&format!("{place}: a secret that it names cannot be had: {why}")).count();
    let ready = proxy.readyz();
    assert_eq!((ready.status, told(&ready.text())), (200, 1), "{}", ready.text());
    assert_eq!(proxy.metric("exeat_secrets_missing", &[]), 1.0);
    let warned = |proxy: &Proxy| proxy.stderr().lines().filter(|line| line.contains(" WARN ") && told(line) == 1).count();
    assert_eq!(warned(&proxy), 1, "{}", proxy.stderr());
    world.secret(CANARY);
    assert_eq!(get(&visit, "/page", &[]).status, 200);
    assert_eq!((proxy.readyz().text().as_str(), proxy.metric("exeat_secrets_missing", &[])), ("ready\n", 0.0));
    world.secret("line one\nline two");
    assert_eq!(get(&visit, "/page", &[]).status, 503);
    assert_eq!(proxy.metric("exeat_secrets_missing", &[]), 1.0);
    world.agent("", OPEN);
    proxy.until("the reload", |records| records.iter().filter(|record| record["kind"] == "policy").count() == 2);
    assert_eq!((proxy.readyz().text().as_str(), proxy.metric("exeat_secrets_missing", &[])), ("ready\n", 0.0), "nobody needs it any more");
    drop(visit);
    let records = proxy.settled();
    let secret = inner(&records)[0].1["secret"].clone();
    assert_eq!(secret, json!({"rule": place, "why": why}));
    let log = proxy.said(&["log"]);
    let line = log.lines().find(|line| line.contains("refused") && line.contains("web.test")).unwrap();
    assert!(line.contains(&format!("{place}: {why}")), "{line}");
    world.assert_kept(&proxy, &answers, CANARY);
}

#[test]
fn a_client_certificate_proves_exeat_to_the_origin_and_one_that_is_broken_refuses() {
    let (ours, origins) = (Authority::named("exeat"), Authority::named("origins"));
    let web = Web::secure(&origins.present(&Terms { alpn: H2, asks_for_a_certificate: true, ..Terms::of(&[HOST]) }));
    let mut site = Site::new();
    site.inspecting(&ours, &origins);
    site.dns.script(HOST, [Reply::to(["127.0.0.1"])]);
    let world = World { site, ours, web };
    let inject = "[[inject]]\nhost = \"web.test\"\nPORT\ncertificate = { chain = \"chain.pem\", key = \"key.pem\" }\n";
    world.agent("", &format!("{OPEN}{inject}"));
    let (chain, key) = origins.client_identity("exeat");
    fs::write(world.allowlists().join("chain.pem"), chain).unwrap();
    fs::write(world.allowlists().join("key.pem"), &key).unwrap();
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    assert_eq!(get(&visit, "/page", &[]).text(), "the page");
    assert_eq!(world.web.met()[0].certificates, 1);
    fs::write(world.allowlists().join("key.pem"), "no key").unwrap();
    assert_eq!(get(&visit, "/page", &[]).status, 503);
    drop(visit);
    assert!(!proxy.stderr().contains(key.lines().nth(1).unwrap()));
}
