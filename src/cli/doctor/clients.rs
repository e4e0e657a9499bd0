//! The clients that are installed here, each with a real request through the proxy: they differ in what they obey.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::process::Command;

use super::finding::{Finding, Level};
use super::proxy::{FOR_HTTP, ProxyUrl, VARIABLES};
use super::through::{Target, Wanted};
use super::way::{Outcome, Try};
use super::{past, shell, through};
use crate::cli::env;
use crate::text::{plain, trouble};

const ABOUT: &str = "clients";

/// Of what a client says no more is shown.
const SHOWN: usize = 300;

const PYTHON: &str = "import sys, urllib.request, urllib.error\ntry:\n urllib.request.urlopen(sys.argv[1])\nexcept urllib.error.HTTPError as e:\n \
                      sys.exit(0 if e.headers.get('proxy-status') is None else str(e))";

/// Programs take longer to start than a connection takes.
const TIME: Duration = Duration::from_secs(30);

const NODE: &str = "fetch(process.argv[1]).then(r => { if (r.headers.get('proxy-status')) throw new Error(r.status + ' ' + r.statusText) })\
                    .catch(e => { console.error(String(e.cause ?? e)); process.exit(1) })";

/// A client: its program, what it is called with before the URL, and what of its complaints is no complaint about the way.
struct Client {
    program: &'static str,
    arguments: &'static [&'static str],
    harmless: &'static [&'static str],
}

const CLIENTS: [Client; 4] = [
    Client { program: "curl", arguments: &["--silent", "--show-error", "--output", "/dev/null"], harmless: &[] },
    Client { program: "git", arguments: &["ls-remote"], harmless: &["not found", "is this a git repository", "not valid"] },
    Client { program: "python3", arguments: &["-c", PYTHON], harmless: &[] },
    Client { program: "node", arguments: &["-e", NODE], harmless: &[] },
];

/// What stands in the way of trying clients, as it was found before.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Addresses of this exeat, where it does not run.
    pub stopped: Vec<String>,
    /// What clients have of the proxy is bad: no variable, or no token that it takes.
    pub unled: bool,
}

/// Tries each with each URL, through the proxy that is passed or else the one in the environment.
pub(super) async fn look(listed: &[String], proxy: Option<&str>, known: &Known, within: Duration) -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |client: &&Client| std::env::split_paths(&path).any(|folder| is_program(&folder.join(client.program)));
    let here: Vec<&Client> = CLIENTS.iter().filter(is_here).collect();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let tries = listed.iter().map(async |url| match barred(url, proxy, variable, known, within).await {
        Some(finding) => vec![finding],
        None if here.is_empty() => vec![Finding::untried(ABOUT, "none of curl, git, python3 and node is installed")],
        None => join_all(here.iter().map(|client| one(client, url, proxy))).await,
    });
    join_all(tries).await.into_iter().flatten().collect()
}

/// Why no client could reach the URL by the proxy, whichever it is: said once, and not of each.
async fn barred(
    url: &str,
    passed: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    known: &Known,
    within: Duration,
) -> Option<Finding> {
    let target = Target::parse(url).ok()?;
    let (host, tls) = target.host();
    let to = plain(url, SHOWN);
    let pasts = match passed {
        Some(_) => vec![("NO_PROXY", env::NO_PROXY.to_owned())],
        None => env::PAST.into_iter().filter_map(|name| Some((name, variable(name)?))).collect(),
    };
    for (name, value) in &pasts {
        if let Some(entry) = past::entry_for(value, host) {
            return Some(goes_past(&to, name, entry));
        }
    }
    if known.unled {
        return Some(Finding::untried(ABOUT, format!("not tried with {to}, because what they have of the proxy is bad")));
    }
    let names = if tls { VARIABLES } else { FOR_HTTP };
    let Some(proxy) = passed.map(str::to_owned).or_else(|| names.into_iter().find_map(variable)) else {
        let text = format!("no client is tried with {to}: {} is not set here and no --proxy passed, so each would go direct", names[1]);
        return Some(Finding::bad(ABOUT, text, format!("pass --proxy URL, as `exeat token AGENT` prints it; or {}", shell::FIX)));
    };
    let proxy = ProxyUrl::parse(&proxy).ok()?;
    if shell::leads_here(&proxy, &known.stopped) {
        return Some(Finding::untried(ABOUT, format!("not tried with {to}, because no exeat is running")));
    }
    let Try { result, known, fix, way: _, to: _ } = through::one(&proxy, &target, Wanted::Listed, within).await;
    let text = format!("no client is tried with {to}, because {} does not let it pass: {known}", proxy.shown());
    (result != Outcome::Works).then(|| Finding { fix, ..Finding::said(Level::Bad, ABOUT, text) })
}

fn goes_past(to: &str, name: &str, entry: &str) -> Finding {
    let text = format!("{name} holds {}, so clients go direct to {to}: exeat neither judges nor records it", plain(entry, SHOWN));
    let fix = if past::is_usual(entry) {
        "pass --listed with a URL of another host: `exeat env` and `exeat run` lead what is for this machine past the proxy".to_owned()
    } else {
        format!("take {} out of NO_PROXY and no_proxy", plain(entry, SHOWN))
    };
    Finding::bad(ABOUT, text, fix)
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// What became of a run.
enum Run {
    Reached,
    Failed(String),
    NotStarted(io::ErrorKind),
    Late,
}

/// A try is good where the client reaches the URL, and no longer does once the variables lead nowhere.
async fn one(client: &Client, url: &str, proxy: Option<&str>) -> Finding {
    let program = client.program;
    let to = plain(url, SHOWN);
    let led = proxy.map(env::variables).unwrap_or_default();
    let fix = match program {
        "node" => "Node reads proxy variables from 22.21 and 24 on, with NODE_USE_ENV_PROXY=1; see docs/clients.md, and `exeat log`",
        _ => "see `exeat log` for what became of it; `exeat env` sets the variables and the certificates that clients read",
    };
    match run(client, url, &led).await {
        Run::Reached => {}
        Run::Failed(words) => return Finding::bad(ABOUT, format!("{program} does not reach {to}: {words}"), fix),
        Run::NotStarted(kind) => {
            return Finding::warn(ABOUT, format!("{program} cannot be started: {}", trouble(kind)), "mend its installation");
        }
        Run::Late => return Finding::bad(ABOUT, format!("{program} does not reach {to} within {TIME:?}"), fix),
    }
    let (closed, _kept) = match closed() {
        Ok((at, kept)) => (format!("http://{at}"), kept),
        Err(error) => {
            let text = format!("{program} reaches {to}; whether by the proxy is not known: {}", trouble(error.kind()));
            return Finding::warn(ABOUT, text, "see `exeat log`");
        }
    };
    let misled = match proxy {
        Some(_) => env::variables(&closed),
        None => set(|name| std::env::var(name).ok(), &closed),
    };
    match run(client, url, &misled).await {
        Run::Reached => goes_round(program, &to, url.starts_with("http://")),
        Run::Failed(_) | Run::NotStarted(_) | Run::Late => Finding::ok(ABOUT, format!("{program} reaches {to} by the proxy")),
    }
}

/// An address where nobody listens: bound, so that nobody else can have the port, as long as the socket is kept.
fn closed() -> io::Result<(SocketAddr, OwnedFd)> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok((SocketAddr::try_from(rustix::net::getsockname(&socket)?)?, socket))
}

/// The proxy variables that are set here, each with another value.
fn set(variable: impl Fn(&str) -> Option<String>, value: &str) -> Vec<(&'static str, String)> {
    let is_set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    env::PROXIES.into_iter().filter(is_set).map(|name| (name, value.to_owned())).collect()
}

fn goes_round(program: &str, to: &str, is_http: bool) -> Finding {
    let variable = if is_http { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let obey = match program {
        "node" => "run Node 22.21, 24 or later with NODE_USE_ENV_PROXY=1",
        _ => "set all of the variables, as `exeat env` does, and take a proxy out of its own settings",
    };
    Finding::bad(
        ABOUT,
        format!("{program} goes round the proxy: it does not obey {variable}, and reaches {to} where that leads nowhere"),
        format!("{obey}; what obeys no variable is held by the network alone: deploy/README.md"),
    )
}

async fn run(client: &Client, url: &str, variables: &[(&'static str, String)]) -> Run {
    let Client { program, arguments, harmless } = client;
    let mut command = Command::new(program);
    command.args(*arguments).arg(url).env("GIT_TERMINAL_PROMPT", "0").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    match tokio::time::timeout(TIME, command.output()).await {
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() || harmless.iter().any(|words| said.contains(words)) {
                return Run::Reached;
            }
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
            Run::Failed(plain(last.trim(), SHOWN))
        }
        Ok(Err(error)) => Run::NotStarted(error.kind()),
        Err(_) => Run::Late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_reaches_a_place_without_its_proxy_goes_round_it() {
        let round = "sh goes round the proxy: it does not obey HTTPS_PROXY, and reaches https://a.test/ where that leads nowhere";
        let rows: [(&'static [&'static str], Level, &str); 4] = [
            (&["-c", "exit 0"], Level::Bad, round),
            (&["-c", "echo Not Found >&2; exit 1"], Level::Bad, round),
            (&["-c", "test \"$https_proxy\" = http://127.0.0.1:1"], Level::Ok, "sh reaches https://a.test/ by the proxy"),
            (&["-c", "echo no >&2; exit 1"], Level::Bad, "sh does not reach https://a.test/: no"),
        ];
        for (arguments, level, text) in rows {
            let client = Client { program: "sh", arguments, harmless: &["Not Found"] };
            let found = one(&client, "https://a.test/", Some("http://127.0.0.1:1")).await;
            assert_eq!((found.level, found.text.as_str()), (level, text), "{arguments:?}");
        }
    }

    #[tokio::test]
    async fn what_bars_every_client_is_said_once_with_its_fix() {
        let stopped = Known { stopped: vec!["127.0.0.1:1".to_owned()], unled: false };
        let unled = Known { unled: true, ..Known::default() };
        let fine = Known::default();
        let past = |name: &str, entry: &str| {
            format!(
                "{name} holds {entry}, so clients go direct to https://a.test/: exeat neither judges nor records it; fix: take {entry} out of"
            )
        };
        let refused =
            "no client is tried with http://a.test/, because http://127.0.0.1:1 does not let it pass: the proxy cannot be reached: ";
        let led = ("HTTPS_PROXY", "http://127.0.0.1:1");
        let rows = [
            ("https://a.test/", [led, ("no_proxy", "x, .test")], &fine, Level::Bad, past("no_proxy", ".test")),
            ("https://a.test/", [led, ("NO_PROXY", "*")], &stopped, Level::Bad, past("NO_PROXY", "*")),
            ("http://[::1]/", [led, ("NO_PROXY", "::1")], &fine, Level::Bad, "NO_PROXY holds ::1, so".into()),
            (
                "https://a.test/",
                [("HTTP_PROXY", led.1); 2],
                &fine,
                Level::Bad,
                "no client is tried with https://a.test/: HTTPS_PROXY is not".into(),
            ),
            ("https://a.test/", [led; 2], &stopped, Level::Untried, "not tried with https://a.test/, because no exeat is running".into()),
            ("https://a.test/", [led; 2], &unled, Level::Untried, "not tried with https://a.test/, because what they have".into()),
            ("http://a.test/", [led, ("http_proxy", led.1)], &fine, Level::Bad, refused.into()),
        ];
        for (url, set, known, level, words) in rows {
            let variable = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
            let found = barred(url, None, variable, known, Duration::from_secs(60)).await.expect(url);
            let said = format!("{}; fix: {}", found.text, found.fix.as_deref().unwrap_or_default());
            assert!(found.level == level && said.starts_with(&words), "{found:?}");
        }
    }

    #[tokio::test]
    async fn with_a_proxy_that_is_passed_only_this_machine_is_past_it() {
        let variable = |_: &str| Some("*".to_owned());
        let stopped = Known { stopped: vec!["127.0.0.1:1".to_owned()], unled: false };
        for (url, level) in [("http://127.0.0.1:8/", Level::Bad), ("http://a.test/", Level::Untried)] {
            let found = barred(url, Some("http://127.0.0.1:1"), variable, &stopped, Duration::ZERO).await;
            assert_eq!(found.map(|found| found.level), Some(level), "{url}");
        }
    }

    #[test]
    fn what_is_not_set_is_not_led_elsewhere() {
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://127.0.0.1:1".to_owned()),
            "HTTP_PROXY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(set(variable, "http://127.0.0.1:2"), [("https_proxy", "http://127.0.0.1:2".to_owned())]);
    }
}
