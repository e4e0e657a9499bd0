//! Every client that can be had, allowed, blocked, and held until somebody says yes: through a tunnel, and looked into. What each shows is compared
//! with `docs/clients.md`.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::callers::{CALLERS, Caller, node_modules};
use super::page::{self, Cell};
use super::world::World;
use crate::support::proxy::{Proxy, decided};
use crate::support::site::token;

/// How the proxy carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tunnel,
    Inspected,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Blocked,
    Held,
}

impl Outcome {
    fn zone(self) -> &'static str {
        match self {
            Outcome::Allowed => "listed.test",
            Outcome::Blocked => "blocked.test",
            Outcome::Held => "held.test",
        }
    }
}

/// A client's name as a label of a host name.
fn label(caller: &Caller) -> String {
    caller.name.to_ascii_lowercase().replace(' ', "-")
}

/// The version of a client; says so where it is not here, and fails if all must be.
fn version(caller: &Caller) -> Option<String> {
    let mut probe = Command::new("sh");
    probe.args(["-c", &(caller.version)()]).env("NODE_PATH", node_modules()).stderr(Stdio::null());
    let output = probe.output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !version.is_empty() {
        return Some(version);
    }
    assert_ne!(std::env::var("EXEAT_TEST_CLIENTS").as_deref(), Ok("all"), "{} is not installed", caller.name);
    eprintln!("NOTICE: {} is not installed, its rows are not tried", caller.name);
    None
}

fn world(way: Way) -> World {
    World::with(|_, secure, web| {
        let ports = format!("port = [{secure}, {web}]");
        let allow = format!("{ports}\naddresses = [\"127.0.0.0/8\"]");
        match way {
            Way::Tunnel => {
                format!("[[allow]]\nhost = \"*.listed.test\"\n{allow}\n[[block]]\nhost = \"*.blocked.test\"\nbecause = \"use the mirror\"")
            }
            Way::Inspected => format!(
                "[[allow]]\nhost = [\"*.listed.test\", \"*.held.test\"]\n{allow}\npath = [\"/**\"]\nwebsocket = true\n\
                 [[hold]]\nhost = \"*.held.test\"\n{ports}\npath = [\"/**\"]\n\
                 [[block]]\nhost = \"*.blocked.test\"\n{ports}\npath = [\"/**\"]\nbecause = \"use the mirror\""
            ),
        }
    })
}

/// The client's command in an environment that `exeat env` has made.
fn command(caller: &Caller, world: &World, proxy: &Proxy, host: &str) -> Command {
    let argv = (caller.argv)(world, host);
    let mut command = Command::new(&argv[0]);
    let home = world.fresh("home");
    for name in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"] {
        command.env_remove(name);
    }
    let url = match caller.has_credentials {
        true => format!("http://a:{}@{}", token("a"), proxy.address),
        false => format!("http://{}", proxy.listener("own")),
    };
    for line in proxy.said(&["env", "--shell", "dotenv", "--url", &url]).lines() {
        let (name, value) = line.split_once('=').unwrap();
        command.env(name, value.trim_matches('\''));
    }
    for (name, value) in [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("UV_HTTP_RETRIES", "0"),
        ("UV_HTTP_CONNECT_TIMEOUT", "60"),
        ("CARGO_NET_RETRY", "0"),
        ("npm_config_fetch_retries", "0"),
        ("npm_config_update_notifier", "false"),
        ("NO_COLOR", "1"),
        ("LC_ALL", "C.UTF-8"),
    ] {
        command.env(name, value);
    }
    if let Some(cargo) = std::env::var_os("CARGO") {
        command.env("RUSTC", std::path::Path::new(&cargo).with_file_name("rustc"));
    }
    command.env("NODE_PATH", node_modules()).env("CARGO_HOME", home.join("cargo")).env("HOME", home);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a browser asks for beside its page, and gives up when it has that.
const BY_ITSELF: &str = "/favicon.ico";

/// No client takes so long. One that still waits is then refused, as nobody answers any more.
const PATIENCE: Duration = Duration::from_secs(300);

/// Says yes to every question until all clients have ended.
fn approve_all(proxy: &Proxy, over: &AtomicBool) {
    let (mut answered, deadline) = (HashSet::new(), Instant::now() + PATIENCE);
    while !over.load(Ordering::Relaxed) {
        assert!(Instant::now() < deadline, "clients that never end");
        let holds: Value = serde_json::from_str(&proxy.said(&["holds", "--json"])).unwrap();
        for id in holds.as_array().unwrap().iter().map(|hold| hold["id"].as_str().unwrap().to_owned()) {
            if answered.insert(id.clone()) {
                proxy.exeat(&["approve", "--for", "1h", &id]);
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What a client did, and what became of its attempts.
fn judge(caller: &Caller, way: Way, outcome: Outcome, cell: &Cell, attempts: &[Value]) -> Result<(), String> {
    let passed = cell.text.contains(caller.success);
    let wanted = match (way, outcome) {
        (_, Outcome::Blocked) => ("block", "blocked"),
        (_, Outcome::Allowed) => ("allow", "listed"),
        (_, Outcome::Held) => ("allow", "approved"),
    };
    let of = |record: &Value| (record["decision"].as_str().unwrap().to_owned(), record["reason"].as_str().unwrap().to_owned());
    let (looks, others): (Vec<_>, Vec<_>) = attempts.iter().partition(|record| record["decision"] == "look");
    if others.is_empty() || others.iter().any(|record| of(record) != (wanted.0.to_owned(), wanted.1.to_owned())) {
        return Err(format!("{} was decided otherwise than {wanted:?}: {attempts:?}\n{}", caller.name, cell.text));
    }
    if (way == Way::Inspected) == looks.is_empty()
        || others.iter().any(|record| (way == Way::Inspected) != (record["destination"]["scheme"] == "https"))
    {
        return Err(format!("{} was not carried as {way:?}: {attempts:?}", caller.name));
    }
    let should_pass = outcome != Outcome::Blocked;
    // curl ends well with a page that is a refusal.
    if passed != should_pass || (should_pass && cell.exit != Some(0)) {
        return Err(format!("{} ended with {:?}: {}", caller.name, cell.exit, cell.text));
    }
    Ok(())
}

fn run(way: Way, outcome: Outcome) {
    let mut world = world(way);
    world.lay_wares();
    world.site.set("limits", "peek", "\"15s\"");
    world.site.set("listen.own", "address", "[\"127.0.0.1:0\"]");
    world.site.set("listen.own", "agent", "\"a\"");
    let proxy = world.site.start();
    let _watcher = proxy.watch();
    let here: Vec<(&Caller, String)> = CALLERS.iter().filter_map(|caller| version(caller).map(|version| (caller, version))).collect();
    let host = |caller: &Caller| format!("{}.{}", label(caller), outcome.zone());
    let running: Vec<Child> = here.iter().map(|(caller, _)| command(caller, &world, &proxy, &host(caller)).spawn().unwrap()).collect();
    let over = AtomicBool::new(false);
    let outputs = thread::scope(|scope| {
        if outcome == Outcome::Held {
            scope.spawn(|| approve_all(&proxy, &over));
        }
        let outputs: Vec<_> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        outputs
    });
    let records = proxy.settled();
    let (mut cells, mut wrong) = (Vec::new(), Vec::new());
    for ((caller, version), output) in here.into_iter().zip(outputs) {
        let cell = Cell::new(caller, version, &output, &host(caller), &world);
        eprintln!("{} {way:?} {outcome:?}: {:?} {}", caller.name, cell.exit, cell.text);
        // Some clients wait to be asked for their credentials.
        let of_the_client = |record: &&Value| record["agent"] == "a" && record["request"]["path"] != BY_ITSELF;
        let attempts: Vec<Value> = decided(&records, &host(caller)).into_iter().filter(of_the_client).cloned().collect();
        wrong.extend(judge(caller, way, outcome, &cell, &attempts).err());
        cells.push(cell);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    page::compare(way, outcome, &cells);
}

#[test]
fn what_is_allowed_passes_through_a_tunnel_as_the_page_says() {
    run(Way::Tunnel, Outcome::Allowed);
}

#[test]
fn what_is_blocked_is_shown_of_a_tunnel_as_the_page_says() {
    run(Way::Tunnel, Outcome::Blocked);
}

#[test]
fn what_is_held_waits_before_a_tunnel_and_passes_as_the_page_says() {
    run(Way::Tunnel, Outcome::Held);
}

#[test]
fn what_is_allowed_passes_inspection_as_the_page_says() {
    run(Way::Inspected, Outcome::Allowed);
}

#[test]
fn what_is_blocked_is_shown_within_tls_as_the_page_says() {
    run(Way::Inspected, Outcome::Blocked);
}

#[test]
fn what_is_held_waits_within_tls_and_passes_as_the_page_says() {
    run(Way::Inspected, Outcome::Held);
}
