//! The clients of the matrix: how each is called, and how much of what it prints is worth showing. Each is called with the variables that
//! `exeat env` prints and its own switches for where to fetch from; where it can be told, with no tries after the first; and what reads no variable for
//! its proxy or its roots is told them by a switch.

use std::path::PathBuf;

use super::table::{module, python, words};
use super::world::World;

/// A row.
pub(super) struct Caller {
    pub(super) name: &'static str,
    /// A shell command that prints the client's version.
    pub(super) version: fn() -> String,
    /// Called with the host to fetch from.
    pub(super) argv: fn(&World, &str) -> Vec<String>,
    /// Printed when it got what it wanted.
    pub(super) success: &'static str,
    /// How many of its last lines say what happened when it did not, and what stands in them.
    pub(super) lines: (usize, &'static str),
    /// Whether it can prove which agent it is; who cannot goes to a listener that is an agent's own.
    pub(super) has_credentials: bool,
}

impl Caller {
    /// A row whose last line says what happened, and who can prove which agent it is.
    const fn new(name: &'static str, version: fn() -> String, success: &'static str, argv: fn(&World, &str) -> Vec<String>) -> Self {
        Self { name, version, argv, success, lines: (1, ""), has_credentials: true }
    }
}

/// Where `.ci/run` puts Node's packages.
pub(super) fn node_modules() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    std::env::var_os("EXEAT_TEST_NODE").map_or_else(|| target.join("test-node/node_modules"), PathBuf::from)
}

fn secure(world: &World, host: &str, path: &str) -> String {
    format!("https://{host}:{}{path}", world.secure.port())
}

fn web(world: &World, host: &str, path: &str) -> String {
    format!("https://{host}:{}{path}", world.web.port())
}

fn shell(script: &str, arguments: &[&str]) -> Vec<String> {
    ["sh", "-c", script].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

fn snake(text: &str, url: String) -> Vec<String> {
    vec![python(), "-c".to_owned(), text.to_owned(), url]
}

fn imports(module: &str) -> String {
    format!("{} -c 'import importlib.metadata as m, {module}; print(m.version(\"{module}\"))'", python())
}

fn node(text: &str, url: String) -> Vec<String> {
    vec!["node".to_owned(), "-e".to_owned(), text.to_owned(), url]
}

fn requires(module: &str) -> String {
    format!("node -p 'require(\"{module}/package.json\").version'")
}

const URLLIB: &str = "import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1]).read().decode())
except urllib.error.HTTPError as error:
    sys.exit('%s\\n%s' % (error, error.read().decode()))
";

const REQUESTS: &str = "import sys, requests
answer = requests.get(sys.argv[1])
print(answer.status_code, answer.reason, answer.text)
sys.exit(answer.status_code != 200)
";

const HTTPX: &str = "import sys, httpx
with httpx.Client(http2=True, timeout=60) as client:
    answer = client.get(sys.argv[1])
print(answer.http_version, answer.status_code, answer.text)
sys.exit(answer.status_code != 200)
";

const AIOHTTP: &str = "import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get(sys.argv[1]) as answer:
            print(answer.status, answer.reason, await answer.text())
            return answer.status != 200
sys.exit(asyncio.run(main()))
";

const WEBSOCKETS: &str = "import sys
from websockets.sync.client import connect
with connect(sys.argv[1].replace('https:', 'wss:'), open_timeout=60) as socket:
    socket.send('the page')
    print(socket.recv())
";

const GRPC: &str = "import os, sys, grpc
channel = grpc.secure_channel(sys.argv[1].split('//')[1], grpc.ssl_channel_credentials())
call = channel.stream_stream('/exeat.Echo/Both')(iter([b'the page', b'the end']), timeout=60)
try:
    print([message.decode() for message in call])
except grpc.RpcError as error:
    print(error.code(), error.details().splitlines()[0])
    sys.exit(1)
";

/// Node 20 ignores proxy variables outside undici, so the tunnel is made by hand.
const TUNNEL: &str = "
const [http, https, http2, tls] = [require('http'), require('https'), require('http2'), require('tls')];
const url = new URL(process.argv[1]), proxy = new URL(process.env.https_proxy);
const headers = { Host: url.host, 'Proxy-Authorization': 'Basic ' + Buffer.from(proxy.username + ':' + proxy.password).toString('base64') };
const over = (answer, text) => { console.log(answer, text); process.exitCode = answer.startsWith('200') ? 0 : 1; };
const asked = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host, headers });
asked.on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) { over(answer.statusCode + ' ' + answer.statusMessage, ''); return socket.destroy(); }
  fetch(socket);
});
asked.end();
";

const HTTPS: &str = "
const fetch = socket => https.get({ host: url.hostname, port: url.port, servername: url.hostname, path: url.pathname, socket, agent: false }, answer => {
  let text = '';
  answer.on('data', piece => text += piece).on('end', () => over(answer.statusCode + ' ' + answer.statusMessage, text));
});
";

const HTTP2: &str = "
const fetch = socket => {
  const secured = tls.connect({ socket, servername: url.hostname, ALPNProtocols: ['h2'] });
  secured.on('error', error => over('error', String(error)));
  const session = http2.connect(url.origin, { createConnection: () => secured });
  session.on('error', error => over('error', String(error)));
  const stream = session.request({ ':path': url.pathname });
  let status = 0, text = '';
  stream.on('response', headers => status = headers[':status']).on('data', piece => text += piece);
  stream.on('end', () => { over(String(status), text); session.close(); });
  stream.on('error', error => over('error', String(error)));
};
";

const UNDICI: &str = "
const { EnvHttpProxyAgent, request } = require('undici');
request(process.argv[1], { dispatcher: new EnvHttpProxyAgent({ allowH2: true }) }).then(async answer => {
  console.log(answer.statusCode, await answer.body.text());
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
}).catch(error => { console.log(String(error), String(error.cause)); process.exitCode = 1; });
";

const WS: &str = "
const [WebSocket, { HttpsProxyAgent }] = [require('ws'), require('https-proxy-agent')];
const socket = new WebSocket(process.argv[1].replace('https:', 'wss:'), { agent: new HttpsProxyAgent(process.env.https_proxy) });
socket.on('open', () => socket.send('the page'));
socket.on('message', message => { console.log(String(message)); socket.close(); });
socket.on('error', error => { console.log(String(error)); process.exitCode = 1; });
";

const JAVA: &str = "import java.net.URI;
import java.net.http.*;
public class Fetch {
    public static void main(String[] arguments) throws Exception {
        try {
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
            var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.version() + \" \" + answer.statusCode() + \" \" + answer.body());
            System.exit(answer.statusCode() == 200 ? 0 : 1);
        } catch (java.io.IOException error) {
            System.out.println(error);
            System.exit(1);
        }
    }
}
";

/// Java has system properties for a proxy, and none for its credentials.
const JAVA_PROXY: &str = "address=${https_proxy##*[/@]}; options=\"-Dhttps.proxyHost=${address%:*} -Dhttps.proxyPort=${address##*:}\"";

const MAVEN: &str =
    "mvn -q -B -Dmaven.repo.local=\"$0/local\" -Dmaven.wagon.http.retryHandler.count=0 -f \"$0/pom.xml\" validate && echo fetched";

/// It reads the variables for the proxy but no credentials in them, and trusts what is in a database of the user's. Of a page that was not had, the code is shown.
const CHROMIUM: &str = "mkdir -p \"$HOME/.pki/nssdb\" && certutil -d \"sql:$HOME/.pki/nssdb\" -A -t C,, -n exeat -i \"$0\" || exit
page=$(chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom \"$1\" 2>&1)
code=$?
printf '%s\\n' \"$page\" | grep -oE 'the page|net::ERR_[A-Z_]+|[{]\"type\".*[}]' | head -n1
exit $code";

/// All rows.
pub(super) const CALLERS: &[Caller] = &[
    Caller::new(
        "curl",
        || "curl --version | head -n1 | cut -d' ' -f2".into(),
        "the page",
        |world, host| words(["curl", "-sS", &web(world, host, "/page")]),
    ),
    Caller::new(
        "wget",
        || "wget --version | head -n1 | cut -d' ' -f3".into(),
        "the page",
        |world, host| shell("exec wget -nv -O - --tries=1 --ca-certificate=\"$SSL_CERT_FILE\" \"$0\"", &[&secure(world, host, "/page")]),
    ),
    Caller::new(
        "git",
        || "git --version | cut -d' ' -f3".into(),
        "cloned",
        |world, host| {
            let into = world.fresh("clone").join("repo").display().to_string();
            shell("git clone -q \"$0\" \"$1\" && cat \"$1/file\"", &[&secure(world, host, "/repo.git"), &into])
        },
    ),
    Caller {
        lines: (3, ""),
        ..Caller::new(
            "pip",
            || format!("{} -m pip --version | cut -d' ' -f2", python()),
            "Successfully downloaded exeat-hello",
            |world, host| {
                let into = world.fresh("wheels").display().to_string();
                let index = secure(world, host, "/simple/");
                module("pip download --no-deps --no-cache-dir --retries=1 -d", &[&into, "--index-url", &index, "exeat-hello"])
            },
        )
    },
    Caller {
        lines: (2, ""),
        ..Caller::new(
            "uv",
            || format!("{} -m uv --version | cut -d' ' -f2", python()),
            "+ exeat-hello==1.0",
            |world, host| {
                let into = world.fresh("wheels").display().to_string();
                let index = secure(world, host, "/simple/");
                module("uv pip install --no-cache --python", &[&python(), "--target", &into, "--index-url", &index, "exeat-hello"])
            },
        )
    },
    Caller {
        lines: (2, ""),
        ..Caller::new(
            "Python urllib",
            || format!("{} -c 'import platform; print(platform.python_version())'", python()),
            "the page",
            |world, host| snake(URLLIB, secure(world, host, "/page")),
        )
    },
    Caller::new("requests", || imports("requests"), "200 OK the page", |world, host| snake(REQUESTS, secure(world, host, "/page"))),
    Caller::new("httpx", || imports("httpx"), "HTTP/2 200 the page", |world, host| snake(HTTPX, web(world, host, "/page"))),
    Caller::new("aiohttp", || imports("aiohttp"), "200 OK the page", |world, host| snake(AIOHTTP, secure(world, host, "/page"))),
    Caller::new("websockets", || imports("websockets"), "the page", |world, host| snake(WEBSOCKETS, web(world, host, "/ws"))),
    Caller {
        lines: (1, "StatusCode"),
        ..Caller::new(
            "grpcio",
            || imports("grpc").replace("version(\"grpc\")", "version(\"grpcio\")"),
            "['the page', 'the end']",
            |world, host| snake(GRPC, web(world, host, "")),
        )
    },
    Caller::new(
        "Node https",
        || "node --version".into(),
        "200 OK the page",
        |world, host| node(&format!("{TUNNEL}{HTTPS}"), secure(world, host, "/page")),
    ),
    Caller::new(
        "Node http2",
        || "node --version".into(),
        "200 the page",
        |world, host| node(&format!("{TUNNEL}{HTTP2}"), web(world, host, "/page")),
    ),
    Caller::new("undici", || requires("undici"), "200 the page", |world, host| node(UNDICI, web(world, host, "/page"))),
    Caller::new("ws", || requires("ws"), "the page", |world, host| node(WS, web(world, host, "/ws"))),
    Caller {
        lines: (3, ""),
        ..Caller::new(
            "npm",
            || "npm --version".into(),
            "added 1 package",
            |world, host| {
                let into = world.fresh("package").display().to_string();
                let registry = secure(world, host, "/npm/");
                words(["npm", "install", "--no-audit", "--no-fund", "--prefix", &into, "--registry", &registry, "exeat-hello"])
            },
        )
    },
    Caller {
        lines: (2, ""),
        ..Caller::new(
            "cargo",
            || "cargo --version | cut -d' ' -f2".into(),
            "Downloaded exeat-hello v1.0.0",
            |world, host| {
                let folder = world.fresh("crate");
                std::fs::create_dir(folder.join("src")).unwrap();
                std::fs::write(folder.join("src/lib.rs"), "").unwrap();
                let manifest = "[package]\nname = \"own\"\nedition = \"2021\"\n[dependencies]\nexeat-hello = { version = \"1\", registry = \"local\" }\n[workspace]\n";
                std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
                let index = format!("registries.local.index=\"sparse+{}\"", secure(world, host, "/cargo/"));
                let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
                words([&cargo, "fetch", "--config", &index, "--manifest-path", &folder.join("Cargo.toml").display().to_string()])
            },
        )
    },
    Caller {
        lines: (2, ""),
        ..Caller::new(
            "go",
            || "go version | cut -d' ' -f3".into(),
            "fetched",
            |world, host| {
                let path = world.fresh("go").display().to_string();
                let script = "export GOPATH=\"$1\" GOCACHE=\"$1/cache\" GOPROXY=\"$0\" GOSUMDB=off GOFLAGS=-modcacherw; cd \"$1\"; go mod download example.test/hello@v1.0.0 && echo fetched";
                shell(script, &[&secure(world, host, "/go"), &path])
            },
        )
    },
    Caller {
        lines: (1, "Failed to fetch"),
        ..Caller::new(
            "apt",
            || "apt-get --version | head -n1 | cut -d' ' -f2".into(),
            "Package: exeat-hello",
            |world, host| {
                let folder = world.fresh("apt");
                std::fs::create_dir_all(folder.join("lists/partial")).unwrap();
                std::fs::create_dir_all(folder.join("archives/partial")).unwrap();
                let source = format!("deb [trusted=yes] {} ./\n", secure(world, host, "/apt/"));
                std::fs::write(folder.join("sources.list"), source).unwrap();
                let script = "apt-get -q update -o Acquire::https::CAInfo=\"$SSL_CERT_FILE\" -o Dir::Etc::SourceList=\"$0/sources.list\" -o Dir::Etc::SourceParts=- -o Dir::State=\"$0\" -o Dir::Cache=\"$0\" \
                          -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Retries=0 -o Acquire::Languages=none && apt-cache dumpavail -o Dir::State=\"$0\" -o Dir::Cache=\"$0\" -o Dir::State::status=/dev/null -o Dir::Etc::SourceList=\"$0/sources.list\" -o Dir::Etc::SourceParts=- | grep Package:";
                shell(script, &[&folder.display().to_string()])
            },
        )
    },
    Caller::new(
        "skopeo",
        || "skopeo --version | cut -d' ' -f3".into(),
        "\"Digest\": \"sha256:",
        |world, host| {
            let image = secure(world, host, "/hello:1").replace("https:", "docker:");
            words(["skopeo", "inspect", "--no-tags", "--retry-times=0", &image])
        },
    ),
    Caller {
        has_credentials: false,
        ..Caller::new(
            "Java HttpClient",
            || "java -version 2>&1 | head -n1 | cut -d'\"' -f2".into(),
            "HTTP_2 200 the page",
            |world, host| {
                let source = world.fresh("java").join("Fetch.java");
                std::fs::write(&source, JAVA).unwrap();
                shell(
                    &format!("{JAVA_PROXY}; exec java $options \"$0\" \"$1\""),
                    &[&source.display().to_string(), &web(world, host, "/page")],
                )
            },
        )
    },
    Caller {
        lines: (1, "Could not transfer"),
        has_credentials: false,
        ..Caller::new(
            "Maven",
            || "mvn --version | head -n1 | sed 's/\\x1b\\[[0-9;]*m//g' | cut -d' ' -f3".into(),
            "fetched",
            |world, host| {
                let folder = world.fresh("maven");
                let repository = secure(world, host, "/maven");
                let pom = format!(
                    "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
                 <parent><groupId>test.example</groupId><artifactId>parent</artifactId><version>1.0</version><relativePath/></parent>\
                 <artifactId>own</artifactId><packaging>pom</packaging><repositories><repository><id>central</id><url>{repository}</url></repository></repositories></project>"
                );
                std::fs::write(folder.join("pom.xml"), pom).unwrap();
                shell(&format!("{JAVA_PROXY}; export MAVEN_OPTS=\"$options\"; {MAVEN}"), &[&folder.display().to_string()])
            },
        )
    },
    Caller {
        has_credentials: false,
        ..Caller::new(
            "Chromium",
            || "certutil -H 2>&1 | grep -q 'certificate' && chromium --version | cut -d' ' -f2".into(),
            "the page",
            |world, host| shell(CHROMIUM, &[&world.ca.display().to_string(), &web(world, host, "/page")]),
        )
    },
];
