//! Clients that are installed here, each with exactly the variables that `exeat env` prints: it reaches an origin whose certificate exeat's
//! authority signed, and without them it does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use exeat::policy::host::Host;
use exeat::tls::authority::{Authority, Offer};

use super::{did, inspecting};
use crate::clients::table::python;
use crate::support::origin::{Origin, Request, Step, raw};
use crate::support::tls::Identity;

/// What a client is called with: `URL` and `HOME` are put in.
struct Client {
    name: &'static str,
    probe: &'static str,
    /// A shell command.
    runs: &'static str,
}

const CLIENTS: [Client; 12] = [
    Client { name: "curl", probe: "curl --version", runs: "curl -sS --max-time 60 URL/page" },
    Client { name: "git", probe: "git --version", runs: "git ls-remote URL/repo.git" },
    Client {
        name: "python urllib",
        probe: "PYTHON --version",
        runs: "PYTHON -c 'import urllib.request; urllib.request.urlopen(\"URL/page\", timeout=60)'",
    },
    Client {
        name: "python requests",
        probe: "PYTHON -c 'import requests'",
        runs: "PYTHON -c 'import requests; requests.get(\"URL/page\", timeout=60)'",
    },
    Client {
        name: "python httpx",
        probe: "PYTHON -c 'import httpx'",
        runs: "PYTHON -c 'import httpx; httpx.get(\"URL/page\", timeout=60)'",
    },
    Client {
        name: "pip",
        probe: "PYTHON -m pip --version",
        runs: "PYTHON -m pip --isolated --disable-pip-version-check download --no-cache-dir --retries 0 --no-deps -d HOME -i URL/simple nothing",
    },
    Client {
        name: "node",
        probe: "node --version",
        runs: "node -e 'require(\"https\").get(\"URL/page\", r => r.resume()).on(\"error\", e => { console.error(e.message); process.exit(1) })'",
    },
    Client { name: "npm", probe: "npm --version", runs: "npm ping --registry URL/ --fetch-retries 0" },
    Client { name: "cargo", probe: "cargo --version", runs: "cargo search nothing --index sparse+URL/index/" },
    Client {
        name: "go",
        probe: "go version",
        runs: "GOPROXY=URL GONOSUMDB='*' GOFLAGS=-mod=mod go list -m -versions example.test/nothing",
    },
    Client { name: "java", probe: "java -version", runs: "java HOME/Get.java URL/page" },
    Client {
        name: "keytool",
        probe: "keytool -version",
        runs: "keytool -list -storetype PKCS12 -keystore STORE -storepass '' && curl -sS --max-time 60 URL/page",
    },
];

const GET: &str = "import java.net.URI;
public class Get {
    public static void main(String[] arguments) throws Exception {
        URI.create(arguments[0]).toURL().openStream().readAllBytes();
    }
}
";

/// Names by which clients learn what to trust, or how to get out.
fn is_about_the_network(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["CERT", "CA_", "CAFILE", "CAINFO", "PROXY", "SSL", "JAVA_TOOL", "CA_BUNDLE"].iter().any(|part| name.contains(part))
}

fn answer(request: &Request) -> Vec<Step> {
    let body = match request.target().split('?').next() {
        Some("/repo.git/info/refs") => "1111111111111111111111111111111111111111\trefs/heads/main\n",
        Some("/repo.git/HEAD") => "ref: refs/heads/main\n",
        _ => "{}",
    };
    raw(&format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

fn is_here(client: &Client) -> bool {
    let probe =
        Command::new("sh").args(["-c", &client.probe.replace("PYTHON", &python())]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = probe.is_ok_and(|status| status.success());
    if !here {
        eprintln!("NOTICE: {} is not installed, its trust is not tried", client.name);
    }
    here
}

/// Runs it; what it said.
fn run(client: &Client, url: &str, home: &Path, variables: &BTreeMap<String, String>) -> String {
    let store = variables.get("JAVA_TOOL_OPTIONS").and_then(|options| options.split(['=', ' ']).nth(1)).unwrap_or("none");
    let line = client.runs.replace("PYTHON", &python()).replace("URL", url).replace("HOME", home.to_str().unwrap()).replace("STORE", store);
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_the_network(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(["-c", &line]).current_dir(home).stdin(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    command.env("CARGO_HOME", home.join("cargo")).env("CARGO_NET_RETRY", "0").env("GOPATH", home.join("go")).env("GOFLAGS", "-mod=mod");
    command.env("npm_config_userconfig", "/dev/null").env("npm_config_cache", home.join("npm")).env("npm_config_update_notifier", "false");
    let output = command.envs(variables).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn installed_clients_trust_what_the_printed_variables_name_and_nothing_without_them() {
    let site = inspecting();
    did(&site, &["ca", "init", "--permit", "localhost"]);
    let [pem, key] = ["ca.pem", "ca.key"].map(|file| std::fs::read(site.path().join("certs").join(file)).unwrap());
    let authority = Authority::read(&pem, &key, SystemTime::now()).unwrap();
    let config = authority.server_config(&Host::parse("localhost").unwrap(), Offer::Http1).unwrap();
    let origin = Origin::https(&Identity::of(Arc::clone(&config)), answer);
    let url = format!("https://localhost:{}", origin.port());
    let printed = did(&site, &["env", "--shell", "dotenv", "--url", "http://a:exeat_1@127.0.0.1:9"]);
    let pairs =
        printed.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()));
    let variables: BTreeMap<String, String> =
        pairs.filter(|(name, _)| is_about_the_network(name) && !name.to_ascii_uppercase().contains("PROXY")).collect();
    assert!(variables.len() >= 20, "{printed}");
    let mut tried = 0;
    for client in CLIENTS.iter().filter(|client| is_here(client)) {
        let home = tempfile::TempDir::with_prefix("exeat-it-").unwrap();
        std::fs::write(home.path().join("Get.java"), GET).unwrap();
        let before = origin.requests().len();
        if client.name != "keytool" {
            let said = run(client, &url, home.path(), &BTreeMap::new());
            assert_eq!(origin.requests().len(), before, "{} trusts anybody: {said}", client.name);
        }
        let said = run(client, &url, home.path(), &variables);
        assert!(origin.requests().len() > before, "{} does not trust exeat's authority: {said}", client.name);
        if client.name == "keytool" {
            assert!(said.contains("trustedCertEntry") && said.contains("exeat-0"), "{said}");
        }
        tried += 1;
    }
    assert!(tried > 0, "no client is installed");
}

/// Keys and names as other tools make them; a client compares the issuer of a leaf with the subject of its authority octet for octet.
#[test]
fn an_authority_of_somebody_elses_making_is_believed() {
    let here = |program: &str| Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !here("openssl") || !here("curl") {
        eprintln!("NOTICE: openssl or curl is not installed, other authorities are not tried");
        return;
    }
    for key in
        ["ecparam -name prime256v1 -genkey", "ecparam -name secp384r1 -genkey -noout", "genrsa -traditional", "genpkey -algorithm RSA"]
    {
        let folder = tempfile::TempDir::with_prefix("exeat-it-").unwrap();
        let script = format!(
            "openssl {key} -out ca.key && openssl req -new -x509 -key ca.key -days 30 -subj '/DC=example/DC=corp/O=A+OU=b/CN=x' \
             -addext keyUsage=critical,keyCertSign -out ca.pem"
        );
        let made = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).stderr(Stdio::piped()).output().unwrap();
        assert!(made.status.success(), "{key}: {}", String::from_utf8_lossy(&made.stderr));
        let [pem, secret] = ["ca.pem", "ca.key"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
        let authority = Authority::read(&pem, &secret, SystemTime::now()).unwrap_or_else(|fault| panic!("{key}: {fault}"));
        let config = authority.server_config(&Host::parse("localhost").unwrap(), Offer::Both).unwrap();
        let origin = Origin::https(&Identity::of(config), answer);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--http1.1", "--noproxy", "*", "--max-time", "60", "--cacert"]).arg(folder.path().join("ca.pem"));
        let output = curl.arg(format!("https://localhost:{}/page", origin.port())).output().unwrap();
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
