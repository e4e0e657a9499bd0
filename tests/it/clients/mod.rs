//! Real clients through the proxy: listed, blocked, held and then approved; and what each shows of a refusal.
//!
//! A client that is not installed is skipped with a notice, unless `EXEAT_TEST_CLIENTS=all`. `EXEAT_TEST_PYTHON` names the Python to use.

mod table;
mod world;

use std::process::{Child, Command, Output, Stdio};

use table::{CLIENTS, Client, Shows};
use world::World;

use crate::support::p0::a;
use crate::support::proxy::{Proxy, decided};
use crate::support::site::token;

/// Which way a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
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

fn start(client: &Client, world: &World, proxy: &Proxy, url: &str) -> Child {
    command(client, world, proxy, url).spawn().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the client is here; says so if not, and fails if all must be.
fn is_here(client: &Client) -> bool {
    let probe = Command::new("sh").args(["-c", &(client.probe)()]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = probe.is_ok_and(|status| status.success());
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "{} is not installed", client.name);
    if !here {
        eprintln!("NOTICE: {} is not installed, its row is skipped", client.name);
    }
    here
}

fn each(scheme: Scheme, check: impl Fn(&Client, &World, &Proxy)) {
    let world = World::new();
    let proxy = world.site.start();
    for client in CLIENTS.iter().filter(|client| client.speaks.contains(&scheme) && is_here(client)) {
        eprintln!("{} over {scheme:?}", client.name);
        check(client, &world, &proxy);
    }
}

/// The attempts to a host that came with a credential: some clients wait to be asked for it.
fn identified<'a>(records: &'a [serde_json::Value], host: &str) -> impl Iterator<Item = &'a serde_json::Value> {
    decided(records, host).into_iter().filter(|record| record["agent"] == "a")
}

fn passes(scheme: Scheme) {
    each(scheme, |client, world, proxy| {
        let output = start(client, world, proxy, &scheme.url(world, "listed.test")).wait_with_output().unwrap();
        assert!(output.status.success() && shown(&output).contains(client.success), "{}: {output:?}", client.name);
        let records = proxy.settled();
        assert!(identified(&records, "listed.test").all(|record| record["decision"] == "allow"), "{}", client.name);
    });
}

fn is_blocked(scheme: Scheme) {
    each(scheme, |client, world, proxy| {
        let url = scheme.url(world, "blocked.test");
        let output = start(client, world, proxy, &url).wait_with_output().unwrap();
        let text = shown(&output);
        assert!(!text.contains(client.success), "{}: it passed: {text}", client.name);
        let phrase = match scheme {
            Scheme::Http => proxy.get(&format!("{url}/"), &a()).phrase,
            Scheme::Https => proxy.talk().connect(url.trim_start_matches("https://"), &a()).phrase,
        };
        // The id at its end differs from attempt to attempt.
        let sentence = phrase.split('(').next().unwrap().trim();
        match if scheme == Scheme::Http { client.http } else { client.connect } {
            Shows::Phrase => assert!(text.contains(sentence), "{} hides the reason phrase {sentence:?}: {text}", client.name),
            Shows::Body => assert!(text.contains("use listed.test"), "{} hides the body: {text}", client.name),
            Shows::Code => assert!(text.contains("403"), "{} hides the status: {text}", client.name),
            Shows::Failure => assert!(!output.status.success(), "{} takes a refusal for a success", client.name),
        }
    });
}

#[test]
fn what_is_listed_passes_over_http() {
    passes(Scheme::Http);
}

#[test]
fn what_is_listed_passes_over_https() {
    passes(Scheme::Https);
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
fn what_is_held_waits_and_passes_once_approved() {
    each(Scheme::Https, |client, world, proxy| {
        let _watcher = proxy.watch();
        let host = format!("held-{}.test", client.name.to_ascii_lowercase());
        world.site.dns.script(&host, [crate::support::dns::Reply::to(["127.0.0.1"])]);
        let child = start(client, world, proxy, &Scheme::Https.url(world, &host));
        let holds = proxy.until_held(1, 1);
        proxy.said(&["approve", holds[0]["id"].as_str().unwrap(), "--for", "1h"]);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && shown(&output).contains(client.success), "{}: {output:?}", client.name);
        let records = proxy.settled();
        assert!(identified(&records, &host).all(|record| record["reason"] == "approved"), "{records:?}");
    });
}
