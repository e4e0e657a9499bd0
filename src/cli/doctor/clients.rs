//! The clients that are installed here, each with a real request through the proxy: they differ in what they obey.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::process::Command;

use super::finding::Finding;
use crate::cli::env;
use crate::text::plain;

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

/// Tries each with each URL, through the proxy that is passed or else the one in the environment.
pub(super) async fn look(listed: &[String], proxy: Option<&str>) -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |client: &&Client| std::env::split_paths(&path).any(|folder| is_program(&folder.join(client.program)));
    let here: Vec<&Client> = CLIENTS.iter().filter(is_here).collect();
    let tries = here.iter().flat_map(|client| listed.iter().map(move |url| one(client, url, proxy)));
    join_all(tries).await
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}

async fn one(client: &Client, url: &str, proxy: Option<&str>) -> Finding {
    let Client { program, arguments, harmless } = client;
    let mut command = Command::new(program);
    command.args(*arguments).arg(url).env("GIT_TERMINAL_PROMPT", "0").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(proxy) = proxy {
        command.envs(env::variables(proxy));
    }
    let fix = match *program {
        "node" => "Node reads proxy variables from 22.21 and 24 on, with NODE_USE_ENV_PROXY=1; see docs/clients.md, and `exeat log`",
        _ => "see `exeat log` for what became of it; `exeat env` sets the variables and the certificates that clients read",
    };
    match tokio::time::timeout(TIME, command.output()).await {
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() || harmless.iter().any(|words| said.contains(words)) {
                Finding::ok(ABOUT, format!("{program} reaches {}", plain(url, SHOWN)))
            } else {
                let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
                Finding::bad(ABOUT, format!("{program} does not reach {}: {}", plain(url, SHOWN), plain(last.trim(), SHOWN)), fix)
            }
        }
        Ok(Err(error)) => {
            Finding::warn(ABOUT, format!("{program} cannot be started: {}", crate::text::trouble(error.kind())), "mend its installation")
        }
        Err(_) => Finding::bad(ABOUT, format!("{program} does not reach {} within {TIME:?}", plain(url, SHOWN)), fix),
    }
}
