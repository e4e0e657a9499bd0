//! The configuration: `exeat.toml` as written becomes a valid `Config`, or every error at once.
//!
//! It never comes from the working directory: a cloned repository must not configure its own guard.

pub mod allowlists;
mod draft;
mod export;
mod find;
pub mod inspect;
pub mod lint;
mod read;
pub mod state;
pub mod tokens;
pub mod trust;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::attempt::AgentId;
use crate::policy::document::Document;
use crate::policy::fault::Fault;
use crate::policy::host::Host;

use draft::Draft;
pub use export::{Durability, Journal, Otlp, OtlpProtocol, Telemetry, Webhook};
use find::{Found, Surroundings};
use inspect::Inspect;
use read::Origin;

/// What holds where there is no file: everyone on one loopback listener is `local`, whose policy is embedded as well.
const EMBEDDED: &str = "[listen.main]\naddress = [\"127.0.0.1:3128\", \"[::1]:3128\"]\nagent = \"local\"\n";

/// What to say of the embedded default.
pub const NO_FILE: &str = "there is no exeat.toml in the user's configuration folder or in /etc/exeat";

/// The user's own `exeat.toml`, whether it is there or not; `None` where the environment names no folder for it.
pub fn user_file(environment: impl IntoIterator<Item = (String, String)>) -> Option<PathBuf> {
    Surroundings::new(environment).user
}

/// The configuration of one process, valid as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from; `None` where it is the embedded default.
    pub path: Option<PathBuf>,
    /// The folder of allowlists; `None` stands for the embedded agent `local`, and only where there is no file.
    pub allowlists: Option<PathBuf>,
    /// The floor, where one is named; else it is `floor.toml` in the folder of allowlists, if that is there.
    pub floor: Option<PathBuf>,
    /// Journal, tokens and sockets; created 0700.
    pub state: PathBuf,
    /// The listeners, at least one.
    pub listen: Vec<Listen>,
    /// Where people are served over TCP.
    pub admin: Admin,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub metrics: Option<SocketAddr>,
    /// How it ends when it is told to.
    pub drain: Drain,
    /// How questions wait.
    pub hold: Hold,
    /// Who is asked for names.
    pub dns: Dns,
    /// The certificate authority, where requests inside TLS are to be seen.
    pub inspect: Option<Inspect>,
    /// Authorities beside the system's that origins are believed by.
    pub upstream_ca: Option<PathBuf>,
    /// `[guard] never`: not dialled whatever a rule or a person says.
    pub never: Vec<IpNet>,
    /// What everything is bounded by.
    pub limits: Limits,
    /// How records are kept.
    pub journal: Journal,
    /// Where they are exported.
    pub telemetry: Telemetry,
}

/// `[listen.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The NAME: `[a-z0-9-]{1,63}`.
    pub name: Arc<str>,
    /// Where it listens, at least one; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// Who everyone here is, where that is settled.
    pub agent: Option<AgentId>,
    /// Other names and addresses of this listener: never dialled.
    pub known_as: Vec<Host>,
    /// It takes connections that were redirected to it, and no requests to a proxy.
    pub transparent: bool,
}

/// `[admin]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Where page and API are served; `None` leaves it to whether `serve` runs on a terminal.
    pub address: Option<SocketAddr>,
    /// Names by which a browser may know the listener, in lower case, with a port where it has one of its own.
    pub hosts: Vec<AdminHost>,
}

/// A name of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminHost {
    /// The host, which no agent reaches.
    pub host: Host,
    /// As a `Host` header says it.
    pub written: Arc<str>,
}

/// `[drain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long what is open may go on once nothing is accepted any more.
    pub time: Duration,
    /// How long it still accepts, so that those who look at `/readyz` can send agents elsewhere.
    pub notice: Duration,
}

/// `[hold]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long an attempt waits for an answer.
    pub wait: Duration,
    /// How long a question lives.
    pub pending: Duration,
    /// Questions of one agent that may be pending.
    pub per_agent: usize,
    /// Questions of one running instance of an agent that may be pending.
    pub per_source: usize,
    /// Questions that may be pending, and attempts that may wait, in all; never more than `limits.connections`.
    pub total: usize,
    /// How long the same question is not asked again after a no.
    pub quiet_after_deny: Duration,
}

/// `[dns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers; none stands for those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long a look-up may take.
    pub timeout: Duration,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head; 8 KiB is the least hyper takes.
    pub head: usize,
    /// Time for a whole head, from the connection's begin or the end of the request before.
    pub head_timeout: Duration,
    /// Time to connect to a destination.
    pub connect_timeout: Duration,
    /// How long a tunnel may carry nothing.
    pub idle: Duration,
    /// How long a tunnel's first bytes are waited for.
    pub peek: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Attempts of one agent open at once.
    pub per_agent: usize,
    /// Connections of one source address before it is identified.
    pub per_source: usize,
    /// Refusals a second, of an agent or an unidentified source, that are written down one by one; more are summarised.
    pub refusal_records: u32,
}

impl Config {
    /// Finds and reads the configuration: `explicit` (`--config`), `EXEAT_CONFIG`, the user's configuration folder, `/etc/exeat/exeat.toml`,
    /// else the embedded default. `EXEAT_SECTION_KEY` variables of `environment` override it. The faults are all there are.
    pub fn load(explicit: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, Vec<Fault>> {
        let surroundings = Surroundings::new(environment);
        let found = find::find(explicit, &surroundings, Path::new(find::SYSTEM)).map_err(|fault| vec![fault])?;
        Self::read(found, &surroundings)
    }

    /// The listeners that clients can be pointed at.
    pub fn proxies(&self) -> impl Iterator<Item = &Listen> {
        self.listen.iter().filter(|listen| !listen.transparent)
    }

    /// Whether there is a CA, so that requests inside TLS can be seen.
    pub fn inspects(&self) -> bool {
        self.inspect.is_some()
    }

    fn read(found: Option<Found>, surroundings: &Surroundings) -> Result<Config, Vec<Fault>> {
        let mut draft = Draft::default();
        let mut faults = Vec::new();
        let (name, text) = found.as_ref().map_or(("the embedded default", EMBEDDED), |found| (found.name.as_str(), found.text.as_str()));
        let origin =
            Origin { name: name.into(), base: found.as_ref().and_then(|found| found.path.parent()), home: surroundings.home.as_deref() };
        let document = Document::parse(name, text);
        read::read(document.root(), &origin, &mut draft);
        faults.extend(document.into_findings().0);
        faults.extend(variables::apply(surroundings, &mut draft));
        match draft.finish(found.map(|found| found.path), surroundings.home.as_deref()) {
            Ok(config) if faults.is_empty() => Ok(config),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let mut environment = vec![("HOME".to_owned(), "/home/a".to_owned())];
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let found = Found { path: "/etc/x/exeat.toml".into(), name: "exeat.toml".into(), text: text.into() };
        Config::read(Some(found), &Surroundings::new(environment)).map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
        load(text, variables).expect_err("a fault")
    }

    #[test]
    fn without_a_file_one_loopback_listener_is_local() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let surroundings = Surroundings::new([("HOME".to_owned(), home)]);
        assert!(find::find(None, &surroundings, &folder.path().join("none.toml")).unwrap().is_none());
        let config = Config::read(None, &surroundings).unwrap();
        let addresses = vec!["127.0.0.1:3128".parse().unwrap(), "[::1]:3128".parse().unwrap()];
        let main = Listen { name: "main".into(), addresses, agent: Some(agent("local")), known_as: Vec::new(), transparent: false };
        assert_eq!((&config.path, &config.allowlists, &config.listen), (&None, &None, &vec![main]));
        assert_eq!(config.state, folder.path().join(".local/state/exeat"));
    }

    #[test]
    fn an_empty_file_has_every_default_and_no_agent() {
        let config = load("", &[]).unwrap();
        let second = Duration::from_secs(1);
        let expected = Config {
            path: Some("/etc/x/exeat.toml".into()),
            allowlists: Some("/etc/x/allowlists".into()),
            floor: None,
            state: "/home/a/.local/state/exeat".into(),
            listen: vec![Listen {
                name: "main".into(),
                addresses: vec!["127.0.0.1:3128".parse().unwrap(), "[::1]:3128".parse().unwrap()],
                agent: None,
                known_as: Vec::new(),
                transparent: false,
            }],
            admin: Admin::default(),
            metrics: None,
            drain: Drain { time: 30 * second, notice: Duration::ZERO },
            hold: Hold {
                wait: 45 * second,
                pending: 900 * second,
                per_agent: 64,
                per_source: 64,
                total: 10_000,
                quiet_after_deny: 600 * second,
            },
            dns: Dns { servers: Vec::new(), timeout: 5 * second },
            inspect: None,
            upstream_ca: None,
            never: Vec::new(),
            limits: Limits {
                head: 32_768,
                head_timeout: 10 * second,
                connect_timeout: 10 * second,
                idle: 3_600 * second,
                peek: 3 * second,
                connections: 20_000,
                per_agent: 512,
                per_source: 256,
                refusal_records: 200,
            },
            journal: Journal {
                durability: Durability::Process,
                segment: 64 << 20,
                keep: 30 * 86_400 * second,
                max: 10 << 30,
                checkpoints: None,
            },
            telemetry: Telemetry { otlp: None, stdout: false, agent_label: true, webhook: None, ocsf: None },
        };
        assert_eq!(config, expected);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "every key there is")]
    fn every_key_is_read() {
        let text = r#"
allowlists = "~/lists"
floor = "floor.toml"
state = "var/state"
[listen.main]
address = "127.0.0.1:0"
[listen.side-car]
address = ["10.0.0.1:8080", "[fd00::1]:8080"]
agent = "coder"
known_as = ["Egress.corp.example.", "10.0.0.9"]
transparent = true
[admin]
address = "127.0.0.1:3129"
hosts = ["Exeat.corp.example", "other.example:8443", "[FD00::1]:3129"]
[metrics]
address = "127.0.0.1:9464"
[drain]
time = "2m"
notice = "5s"
[hold]
wait = "1s"
pending = "2m"
per_agent = 3
per_source = 2
total = 4
quiet_after_deny = "0s"
[dns]
servers = ["10.0.0.2", "[fd00::2]:5353", "fd00::3"]
timeout = "250ms"
[guard]
never = ["10.96.0.1", "fd00::/8"]
[limits]
head = "8KiB"
head_timeout = "1s"
connect_timeout = "2s"
idle = "3d"
peek = "4ms"
connections = 5
per_agent = 6
per_source = 7
refusal_records = "8/s"
[inspect]
ca_cert = "certs/ca.pem"
ca_key = "/ca.key"
[upstream]
ca = "extra.pem"
[journal]
durability = "disk"
segment = "1GiB"
keep = "2h"
max = "3GiB"
checkpoints = "elsewhere"
[telemetry]
otlp = "https://collector.example:4317/base"
protocol = "http/protobuf"
headers_file = "headers"
ca = "/ca.pem"
sample = "25%"
metrics = "off"
stdout = true
agent_label = "off"
[telemetry.webhook]
url = "http://hook.example/in"
secret_file = "secret"
ca = "ca.pem"
[telemetry.ocsf]
file = "/var/log/ocsf.jsonl"
"#;
        let second = Duration::from_secs(1);
        let expected = Config {
            path: Some("/etc/x/exeat.toml".into()),
            allowlists: Some("/home/a/lists".into()),
            floor: Some("/etc/x/floor.toml".into()),
            state: "/etc/x/var/state".into(),
            listen: vec![
                Listen {
                    name: "main".into(),
                    addresses: vec!["127.0.0.1:0".parse().unwrap()],
                    agent: None,
                    known_as: Vec::new(),
                    transparent: false,
                },
                Listen {
                    name: "side-car".into(),
                    addresses: vec!["10.0.0.1:8080".parse().unwrap(), "[fd00::1]:8080".parse().unwrap()],
                    agent: Some(agent("coder")),
                    known_as: vec![Host::parse("egress.corp.example").unwrap(), Host::parse("10.0.0.9").unwrap()],
                    transparent: true,
                },
            ],
            admin: Admin {
                address: Some("127.0.0.1:3129".parse().unwrap()),
                hosts: vec![
                    AdminHost { host: Host::parse("exeat.corp.example").unwrap(), written: "exeat.corp.example".into() },
                    AdminHost { host: Host::parse("other.example").unwrap(), written: "other.example:8443".into() },
                    AdminHost { host: Host::parse("[fd00::1]").unwrap(), written: "[fd00::1]:3129".into() },
                ],
            },
            metrics: Some("127.0.0.1:9464".parse().unwrap()),
            drain: Drain { time: 120 * second, notice: 5 * second },
            hold: Hold { wait: second, pending: 120 * second, per_agent: 3, per_source: 2, total: 4, quiet_after_deny: Duration::ZERO },
            dns: Dns {
                servers: vec!["10.0.0.2:53".parse().unwrap(), "[fd00::2]:5353".parse().unwrap(), "[fd00::3]:53".parse().unwrap()],
                timeout: second / 4,
            },
            inspect: Some(Inspect { cert: "/etc/x/certs/ca.pem".into(), key: "/ca.key".into() }),
            upstream_ca: Some("/etc/x/extra.pem".into()),
            never: vec!["10.96.0.1/32".parse().unwrap(), "fd00::/8".parse().unwrap()],
            limits: Limits {
                head: 8192,
                head_timeout: second,
                connect_timeout: 2 * second,
                idle: 3 * 86_400 * second,
                peek: Duration::from_millis(4),
                connections: 5,
                per_agent: 6,
                per_source: 7,
                refusal_records: 8,
            },
            journal: Journal {
                durability: Durability::Disk,
                segment: 1 << 30,
                keep: 7200 * second,
                max: 3 << 30,
                checkpoints: Some("/etc/x/elsewhere".into()),
            },
            telemetry: Telemetry {
                otlp: Some(Otlp {
                    url: "https://collector.example:4317/base".parse().unwrap(),
                    protocol: OtlpProtocol::Http,
                    headers_file: Some("/etc/x/headers".into()),
                    ca: Some("/ca.pem".into()),
                    sample: 0.25,
                    metrics: None,
                }),
                stdout: true,
                agent_label: false,
                webhook: Some(Webhook {
                    url: "http://hook.example/in".parse().unwrap(),
                    secret_file: "/etc/x/secret".into(),
                    ca: Some("/etc/x/ca.pem".into()),
                }),
                ocsf: Some("/var/log/ocsf.jsonl".into()),
            },
        };
        assert_eq!(load(text, &[]).unwrap(), expected);
    }

    #[test]
    fn what_comes_later_is_refused_and_says_so() {
        for text in [
            "[upstream]\nproxy = \"http://corp:3128\"",
            "[upstream]\nresolve = \"parent\"",
            "[listen.main]\naddress = \"127.0.0.1:1\"\ntls = {}",
            "[listen.main]\naddress = \"127.0.0.1:1\"\nproxy_protocol = []",
            "[listen.main]\naddress = \"127.0.0.1:1\"\ndns = \"127.0.0.1:5353\"",
            "[listen.main]\naddress = \"unix:/run/exeat.sock\"",
            "[[hold.notify]]",
            "[hold.reviewer]",
        ] {
            let said = faults(text, &[]);
            assert!(said.len() == 1 && said[0].contains("comes with a later version"), "{text}: {said:?}");
        }
    }

    #[test]
    fn a_transparent_listener_is_no_proxy_that_clients_are_pointed_at() {
        let text =
            "[listen.aside]\naddress = \"127.0.0.1:1\"\ntransparent = true\n[listen.main]\naddress = \"127.0.0.1:2\"\ntransparent = false";
        let config = load(text, &[]).unwrap();
        assert_eq!(
            config.listen.iter().map(|listen| (&*listen.name, listen.transparent)).collect::<Vec<_>>(),
            [("aside", true), ("main", false)]
        );
        assert_eq!(config.proxies().map(|listen| &*listen.name).collect::<Vec<_>>(), ["main"]);
        let config = load(text, &[("EXEAT_LISTEN_MAIN_TRANSPARENT", "true")]).unwrap();
        assert_eq!(config.proxies().count(), 0);
        let said = faults("[listen.main]\naddress = \"127.0.0.1:1\"\ntransparent = \"yes\"", &[]);
        assert!(said.len() == 1 && said[0].contains("transparent"), "{said:?}");
    }

    #[test]
    fn approvals_are_kept_in_sqlite_and_nowhere_else_yet() {
        let plain = load("", &[]).unwrap();
        assert_eq!(load("[store]\nurl = \"sqlite\"", &[]).unwrap(), plain);
        assert_eq!(load("", &[("EXEAT_STORE_URL", "sqlite")]).unwrap(), plain);
        for (text, found) in
            [("[store]\nurl = \"postgres://db\"", "postgres://db"), ("[store]\nurl = 1", "1"), ("[store]\npath = \"x\"", "path")]
        {
            let said = faults(text, &[]);
            assert!(said.len() == 1 && said[0].contains(found) && said[0].contains("exeat.toml:2"), "{said:?}");
        }
    }

    #[test]
    fn every_error_is_told_at_once_with_its_place() {
        let text = "stat = \"x\"\n[listen.Main]\naddress = \"localhost:1\"\nagent = \"A\"\nknown_as = [\"a..b\"]\n[hold]\nwait = \"2h\"\n\
                    [dns]\nservers = [\"x\", \"1.1.1.1:0\"]\n[guard]\nnever = [\"10.0.0.0/33\"]\n[limits]\nhead = \"4KiB\"\nconnections = 0\n";
        let said = faults(text, &[("EXEAT_HOLD_PENDING", "soon")]);
        let starts = [
            "exeat.toml:1:1: found the unknown key \"stat\"",
            "exeat.toml:2:9: found a listener's name",
            "exeat.toml:3:11: found address \"localhost:1\"",
            "exeat.toml:4:9: found agent \"A\"",
            "exeat.toml:5:13: found known_as \"a..b\"",
            "exeat.toml:7:8: found wait \"2h\"; wanted a duration from 1ms to 3600s",
            "exeat.toml:9:12: found servers \"x\"",
            "exeat.toml:9:17: found servers \"1.1.1.1:0\"",
            "exeat.toml:11:10: found never \"10.0.0.0/33\"",
            "exeat.toml:13:8: found head \"4KiB\"; wanted a size from 8KiB to 1024KiB",
            "exeat.toml:14:15: found connections 0",
            "EXEAT_HOLD_PENDING: found pending \"soon\"",
        ];
        assert_eq!(said.len(), starts.len(), "{said:#?}");
        for (line, start) in said.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}\n{start}");
        }
    }

    #[test]
    fn what_only_the_whole_shows_is_told_with_its_place() {
        for (text, start) in [
            ("[listen.main]\nagent = \"a\"", "exeat.toml:1: found no address for [listen.main]"),
            ("[hold]\ntotal = 11\n[limits]\nconnections = 10", "exeat.toml:2: found [hold] total 11 beside [limits] connections 10"),
            (
                "[listen.a]\naddress = \"127.0.0.1:1\"\n[listen.b]\naddress = \"127.0.0.1:1\"",
                "exeat.toml:3: found 127.0.0.1:1 in [listen.b] and in [listen.a]",
            ),
            ("[metrics]\naddress = \"127.0.0.1:3128\"", "exeat.toml:1: found 127.0.0.1:3128 in [metrics] and in [listen.main]"),
        ] {
            let said = faults(text, &[]);
            assert!(said.len() == 1 && said[0].starts_with(start), "{text}: {said:?}");
        }
        assert_eq!(load("[limits]\nconnections = 10", &[]).unwrap().hold.total, 10);
        assert!(load("[listen.a]\naddress = [\"127.0.0.1:0\", \"127.0.0.1:0\"]", &[]).is_ok());
    }

    #[test]
    fn a_variable_for_metrics_is_one_address() {
        let config = load("", &[("EXEAT_METRICS_ADDRESS", "127.0.0.1:9464")]).unwrap();
        assert_eq!(config.metrics, Some("127.0.0.1:9464".parse().unwrap()));
    }

    #[test]
    fn variables_override_the_file() {
        let text = "[listen.main]\naddress = \"127.0.0.1:1\"\nagent = \"coder\"\n[hold]\nwait = \"1s\"\n";
        let variables = [
            ("EXEAT_LISTEN_MAIN_ADDRESS", "127.0.0.1:2, [::1]:2"),
            ("EXEAT_LISTEN_SIDE_CAR_ADDRESS", "127.0.0.1:3"),
            ("EXEAT_LISTEN_SIDE_CAR_KNOWN_AS", "a.example,b.example"),
            ("EXEAT_HOLD_WAIT", "2s"),
            ("EXEAT_HOLD_PER_AGENT", "7"),
            ("EXEAT_DNS_SERVERS", "10.0.0.2"),
            ("EXEAT_STATE", "/var/lib/exeat"),
            ("EXEAT_LOG", "debug"),
            ("EXEAT_TEST_CLIENTS", "all"),
            ("PATH", "/bin"),
        ];
        let config = load(text, &variables).unwrap();
        let [main, side] = &config.listen[..] else { panic!("two listeners: {config:?}") };
        assert_eq!(main.addresses, ["127.0.0.1:2".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        assert_eq!(main.agent, Some(agent("coder")));
        assert_eq!((&*side.name, side.known_as.len()), ("side-car", 2));
        assert_eq!((config.hold.wait, config.hold.per_agent), (Duration::from_secs(2), 7));
        assert_eq!(config.dns.servers, ["10.0.0.2:53".parse().unwrap()]);
        assert_eq!(config.state, Path::new("/var/lib/exeat"));
    }

    #[test]
    fn a_variable_that_is_wrong_is_named_and_one_without_a_key_is_a_fault() {
        for (variable, value, start) in [
            ("EXEAT_HOLD_WAT", "1s", "EXEAT_HOLD_WAT: found the unknown key \"wat\" in [hold]"),
            ("EXEAT_STAT", "x", "EXEAT_STAT: found the unknown key \"stat\""),
            ("EXEAT_", "x", "EXEAT_: found the unknown key"),
            ("EXEAT_HOLD", "x", "EXEAT_HOLD: found hold \"x\""),
            ("EXEAT_LISTEN_MAIN", "x", "EXEAT_LISTEN_MAIN: found the unknown key"),
            ("EXEAT_LISTEN_SIDE_AGENT", "coder", "EXEAT_LISTEN_SIDE_AGENT: found no address for [listen.side]"),
            ("EXEAT_LIMITS_CONNECTIONS", "0x10", "EXEAT_LIMITS_CONNECTIONS: found connections \"0x10\""),
            ("EXEAT_LIMITS_CONNECTIONS", "010", "EXEAT_LIMITS_CONNECTIONS: found connections \"010\""),
            ("EXEAT_HOLD_TOTAL", "20001", "EXEAT_HOLD_TOTAL: found [hold] total 20001"),
            ("EXEAT_STATE", "state", "EXEAT_STATE: found state \"state\""),
            ("EXEAT_STATE", "x\"\n[admin]\n", "EXEAT_STATE: found state"),
            ("EXEAT_FLOOR", "x", "EXEAT_FLOOR: found floor \"x\"; wanted a path; fix: begin it with / or ~/"),
            ("EXEAT_TELEMETRY_OTLP", "http://a:b@x", "EXEAT_TELEMETRY_OTLP: found otlp"),
            ("EXEAT_TELEMETRY_CA", "/ca.pem", "telemetry: found headers_file or ca in [telemetry] without otlp"),
            ("EXEAT_TELEMETRY_WEBHOOK_URL", "http://h", "telemetry: found [telemetry.webhook] without secret_file"),
        ] {
            let said = faults("[listen.main]\naddress = \"127.0.0.1:1\"", &[(variable, value)]);
            assert!(said.len() == 1 && said[0].starts_with(start), "{variable}={value}: {said:?}");
        }
    }

    #[test]
    fn a_home_is_needed_only_where_something_rests_on_it() {
        let without = Surroundings::new([]);
        let faults = Config::read(None, &without).unwrap_err();
        assert!(faults.len() == 1 && faults[0].to_string().starts_with("state: found no state, and no HOME"), "{faults:?}");
        let named = Surroundings::new([("EXEAT_STATE".to_owned(), "/s".to_owned())]);
        assert_eq!(Config::read(None, &named).unwrap().state, Path::new("/s"));
        let tilde = Surroundings::new([("EXEAT_STATE".to_owned(), "~/s".to_owned())]);
        assert!(Config::read(None, &tilde).is_err());
    }
}
