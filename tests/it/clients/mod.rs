//! Real clients through the proxy: listed, blocked, held and then approved or denied; and what each shows of a refusal.
//!
//! A client that is not installed is skipped with a notice; with `EXEAT_TEST_CLIENTS=all` those that count must be there. `EXEAT_TEST_PYTHON` names the Python to use.

mod callers;
mod matrix;
mod page;
pub(crate) mod table;
pub(crate) mod world;

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use table::{CLIENTS, Client, Shows};
use world::World;

use crate::support::proxy::{Proxy, decided};
use crate::support::site::token;

/// Which way a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn url(self, world: &World, host: &str) -> String {
        match self {
            Scheme::Http => format!("http://{host}:{}", world.plain.port()),
            Scheme::Https => format!("https://{host}:{}", world.secure.port()),
        }
    }
}

/// The client's command, with the proxy and the authority in its environment.
fn command(client: &Client, world: &World, proxy: &Proxy, url: &str) -> Command {
    let argv = (client.argv)(world, url);
    let mut command = Command::new(&argv[0]);
    let through = format!("http://a:{}@{}", token("a"), proxy.address);
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(name, &through);
    }
    for name in ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, &world.ca);
    }
    for name in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
        .env("HOME", world.fresh("home"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_CONFIG_FILE", "/dev/null");
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the client is here; says so if not, and fails if all must be.
fn is_here(client: &Client) -> bool {
    let probe = Command::new("sh").args(["-c", &(client.probe)()]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = probe.is_ok_and(|status| status.success());
    let must_be = client.counts && std::env::var("EXEAT_TEST_CLIENTS").as_deref() == Ok("all");
    assert!(here || !must_be, "{} is not installed", client.name);
    if !here {
        eprintln!("NOTICE: {} is not installed, its row is skipped", client.name);
    }
    here
}

/// One client's try, and what is known of it.
struct Try<'a> {
    client: &'a Client,
    /// The client's own name in the zone.
    host: String,
    ended: bool,
    text: String,
    /// Its attempts that came with a credential: some clients wait to be asked for it.
    attempts: Vec<Value>,
}

impl Try<'_> {
    /// It got what it wanted, by leave of this reason.
    fn assert_passed(&self, reason: &str) {
        let Self { client, host, ended, text, attempts } = self;
        assert!(*ended && text.contains(client.success), "{host}: {text}");
        assert!(!attempts.is_empty(), "{host} went another way");
        assert!(attempts.iter().all(|record| record["decision"] == "allow" && record["reason"] == reason), "{attempts:?}");
    }

    /// It was refused, saw what this client shows of that, and reached nothing.
    fn assert_refused(&self, scheme: Scheme, reasons: &[&str], sentence: &str, body: &str) {
        let Self { client, host, ended, text, attempts } = self;
        assert!(!text.contains(client.success), "{host} passed: {text}");
        assert!(!attempts.is_empty(), "{host} went another way");
        let expected = |record: &Value| record["decision"] == "block" && reasons.contains(&record["reason"].as_str().unwrap());
        assert!(attempts.iter().all(expected), "{attempts:?}");
        let phrase = sentence.replace("HOST", host);
        match if scheme == Scheme::Http { client.http } else { client.connect } {
            Shows::Phrase => assert!(text.contains(&phrase), "{} hides the reason phrase {phrase:?}: {text}", client.name),
            Shows::Body => assert!(text.contains(body), "{} hides the body: {text}", client.name),
            Shows::Code => assert!(text.contains("403") && !text.contains(&phrase), "{} shows another thing: {text}", client.name),
            Shows::Failure => assert!(!ended, "{} takes a refusal for a success", client.name),
        }
    }
}

/// Starts every client that is here, each at its own host of the zone; lets `meanwhile` act on that many questions; checks each when it has ended.
fn everyone(scheme: Scheme, zone: &str, meanwhile: impl Fn(&Proxy, usize), check: impl Fn(&World, &Try)) {
    let world = World::new();
    let proxy = world.site.start();
    let _watcher = proxy.watch();
    let here: Vec<&Client> = CLIENTS.iter().filter(|client| client.speaks.contains(&scheme) && is_here(client)).collect();
    let host = |client: &Client| format!("{}.{zone}", client.name);
    let running: Vec<_> =
        here.iter().map(|client| command(client, &world, &proxy, &scheme.url(&world, &host(client))).spawn().unwrap()).collect();
    meanwhile(&proxy, here.len());
    for (client, child) in here.iter().zip(running) {
        let (host, output) = (host(client), child.wait_with_output().unwrap());
        let records = proxy.settled();
        let attempts = decided(&records, &host).into_iter().filter(|record| record["agent"] == "a").cloned().collect();
        eprintln!("{} over {scheme:?}: {}", client.name, shown(&output));
        check(&world, &Try { client, host, ended: output.status.success(), text: shown(&output), attempts });
    }
}

/// Gives the same answer to every question, once all clients wait.
fn answering(answer: &'static [&'static str]) -> impl Fn(&Proxy, usize) {
    move |proxy, clients| {
        let holds = proxy.until_held(clients, 1);
        let ids = holds.iter().map(|hold| hold["id"].as_str().unwrap());
        proxy.said(&answer.iter().copied().take(1).chain(ids).chain(answer.iter().copied().skip(1)).collect::<Vec<_>>());
    }
}

const NOBODY: fn(&Proxy, usize) = |_, _| {};

fn is_listed(scheme: Scheme) {
    everyone(scheme, "listed.test", NOBODY, |world, one| {
        one.assert_passed("listed");
        if one.client.name == "git" {
            let origin = if scheme == Scheme::Http { &world.plain } else { &world.secure };
            assert!(
                origin.requests().iter().any(|request| request.line.starts_with("POST /repo.git/git-upload-pack")),
                "the dumb protocol"
            );
        }
    });
}

fn is_blocked(scheme: Scheme) {
    everyone(scheme, "blocked.test", NOBODY, |world, one| {
        one.assert_refused(scheme, &["blocked"], "Egress refused: a rule blocks HOST", "use the mirror");
        assert!(!world.site.dns.was_asked(&one.host));
    });
}

fn is_held_and_approved(scheme: Scheme) {
    let approve = answering(&["approve", "--for", "1h"]);
    everyone(scheme, "held.test", approve, |_, one| one.assert_passed("approved"));
}

fn is_held_and_denied(scheme: Scheme) {
    let deny = answering(&["deny", "--note", "use the mirror"]);
    everyone(scheme, "held.test", deny, |world, one| {
        one.assert_refused(scheme, &["refused", "quiet"], "Egress refused: a person refused HOST", "use the mirror");
        assert_eq!(one.attempts[0]["reason"], "refused");
        assert!(!world.site.dns.was_asked(&one.host));
    });
}

#[test]
fn what_is_listed_passes_over_http() {
    is_listed(Scheme::Http);
}

#[test]
fn what_is_listed_passes_over_https() {
    is_listed(Scheme::Https);
}

#[test]
fn what_is_blocked_is_shown_as_a_refusal_over_http() {
    is_blocked(Scheme::Http);
}

#[test]
fn what_is_blocked_is_shown_as_a_refusal_over_https() {
    is_blocked(Scheme::Https);
}

#[test]
fn what_is_held_waits_and_passes_once_approved_over_http() {
    is_held_and_approved(Scheme::Http);
}

#[test]
fn what_is_held_waits_and_passes_once_approved_over_https() {
    is_held_and_approved(Scheme::Https);
}

#[test]
fn what_is_held_waits_and_is_shown_as_a_refusal_once_denied_over_http() {
    is_held_and_denied(Scheme::Http);
}

#[test]
fn what_is_held_waits_and_is_shown_as_a_refusal_once_denied_over_https() {
    is_held_and_denied(Scheme::Https);
}
