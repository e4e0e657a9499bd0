//! The clients: how each is called, what it prints when it got what it wanted, what it shows of a refusal.

use super::Scheme;
use super::world::World;

/// The most that a client shows of a refusal, as measured in November 2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The reason phrase.
    Phrase,
    /// The body.
    Body,
    /// The status code.
    Code,
    /// Only that it failed.
    Failure,
}

/// A row.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Whether `EXEAT_TEST_CLIENTS=all` means it too; the others are tried where they are.
    pub(crate) counts: bool,
    /// A shell command that succeeds where the client is installed.
    pub(crate) probe: fn() -> String,
    pub(crate) argv: fn(&World, &str) -> Vec<String>,
    /// Printed when it got what it wanted.
    pub(crate) success: &'static str,
    pub(crate) speaks: &'static [Scheme],
    /// Of a refused `CONNECT`.
    pub(crate) connect: Shows,
    /// Of a refused plain request.
    pub(crate) http: Shows,
}

const BOTH: &[Scheme] = &[Scheme::Http, Scheme::Https];

/// The Python to use.
pub(crate) fn python() -> String {
    std::env::var("EXEAT_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// A module of Python, called as the line says.
pub(super) fn module(line: &str, more: &[&str]) -> Vec<String> {
    let python = python();
    [&*python, "-m"].into_iter().chain(line.split(' ')).chain(more.iter().copied()).map(str::to_owned).collect()
}

fn script(text: &str, url: &str, world: &World) -> Vec<String> {
    vec![python(), "-c".to_owned(), text.to_owned(), format!("{url}/page"), world.ca.display().to_string()]
}

pub(super) const URLLIB: &str = "import ssl, sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())
except urllib.error.HTTPError as error:
    sys.exit('%s %s' % (error, error.read().decode()))
";

pub(super) const REQUESTS: &str = "import sys, requests
answer = requests.get(sys.argv[1], verify=sys.argv[2])
print(answer.reason, answer.text)
sys.exit(answer.status_code != 200)
";

pub(super) const HTTPX: &str = "import ssl, sys, httpx
with httpx.Client(verify=ssl.create_default_context(cafile=sys.argv[2]), timeout=60) as client:
    answer = client.get(sys.argv[1])
print(answer.reason_phrase, answer.text)
sys.exit(answer.status_code != 200)
";

/// Node 20's own `fetch` ignores proxy variables, so the tunnel is made by hand.
pub(super) const NODE: &str = "
const [http, https] = [require('http'), require('https')];
const url = new URL(process.argv[1]), proxy = new URL(process.env.https_proxy);
const headers = { 'Proxy-Authorization': 'Basic ' + Buffer.from(proxy.username + ':' + proxy.password).toString('base64') };
const show = answer => {
  let text = '';
  answer.on('data', piece => text += piece).on('end', () => { console.log(answer.statusCode, answer.statusMessage, text); process.exitCode = answer.statusCode === 200 ? 0 : 1; });
};
if (url.protocol === 'http:') {
  http.get({ host: proxy.hostname, port: proxy.port, path: url.href, headers: { ...headers, Host: url.host } }, show);
} else {
  const asked = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host, headers });
  asked.on('connect', (answer, socket) => {
    if (answer.statusCode !== 200) { console.log(answer.statusCode, answer.statusMessage); process.exitCode = 1; return socket.destroy(); }
    https.get({ host: url.hostname, servername: url.hostname, path: url.pathname, socket, agent: false }, show);
  });
  asked.end();
}
";

pub(super) const UNDICI: &str = "
const { EnvHttpProxyAgent, request } = require('undici');
request(process.argv[1], { dispatcher: new EnvHttpProxyAgent() }).then(async answer => {
  console.log(answer.statusCode, await answer.body.text());
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
}).catch(error => { console.log(String(error), String(error.cause)); process.exitCode = 1; });
";

/// All rows.
pub(crate) const CLIENTS: [Client; 9] = [
    Client {
        name: "curl",
        counts: true,
        probe: || "curl --version".into(),
        argv: |_, url| words(["curl", "-sS", &format!("{url}/page")]),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Code,
        http: Shows::Body,
    },
    Client {
        name: "wget",
        counts: false,
        probe: || "wget --version".into(),
        argv: |world, url| {
            words(["wget", "-O", "-", "--tries=2", &format!("--ca-certificate={}", world.ca.display()), &format!("{url}/page")])
        },
        success: "the page",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Phrase,
    },
    Client {
        name: "git",
        counts: true,
        probe: || "git --version".into(),
        argv: |world, url| {
            let into = world.fresh("clone").join("repo").display().to_string();
            words(["sh", "-c", "git clone -q \"$0\" \"$1\" && cat \"$1/file\"", &format!("{url}/repo.git"), &into])
        },
        success: "cloned",
        speaks: BOTH,
        connect: Shows::Code,
        http: Shows::Code,
    },
    Client {
        name: "pip",
        counts: true,
        probe: || format!("{} -m pip --version", python()),
        argv: |world, url| {
            let into = world.fresh("wheels").display().to_string();
            let host = url.split("://").nth(1).unwrap().to_owned();
            let trusted = if url.starts_with("http://") { format!("--trusted-host={host}") } else { "--no-input".to_owned() };
            let index = format!("--index-url={url}/simple/");
            // What it was told stands in the warning before a second try, and nowhere else.
            module("pip download --no-deps --no-cache-dir --retries=1 -d", &[&into, &trusted, &index, "exeat-hello"])
        },
        success: "exeat_hello-1.0-py3-none-any.whl",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Failure,
    },
    Client {
        name: "urllib",
        counts: true,
        probe: || format!("{} -c 'import urllib.request, ssl'", python()),
        argv: |world, url| script(URLLIB, url, world),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Phrase,
    },
    Client {
        name: "requests",
        counts: true,
        probe: || format!("{} -c 'import requests'", python()),
        argv: |world, url| script(REQUESTS, url, world),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Phrase,
    },
    Client {
        name: "httpx",
        counts: true,
        probe: || format!("{} -c 'import httpx'", python()),
        argv: |world, url| script(HTTPX, url, world),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Phrase,
    },
    Client {
        name: "node",
        counts: true,
        probe: || "node --version".into(),
        argv: |_, url| words(["node", "-e", NODE, &format!("{url}/page")]),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Phrase,
        http: Shows::Body,
    },
    Client {
        name: "undici",
        counts: false,
        probe: || "node -e 'require(\"undici\")'".into(),
        argv: |_, url| words(["node", "-e", UNDICI, &format!("{url}/page")]),
        success: "the page",
        speaks: BOTH,
        connect: Shows::Failure,
        http: Shows::Body,
    },
];
