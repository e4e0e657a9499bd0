//! From watching to enforcing: real clients of an observed agent, what is suggested of them, and the same clients under it.
//!
//! A client that is not installed is skipped with a notice; with `EXEAT_TEST_CLIENTS=all` all must be there. `EXEAT_TEST_PYTHON` names the Python to use.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clients::table::python;
use crate::clients::world::World;
use crate::support::proxy::{Proxy, exeat, of_kind};
use crate::support::site::token;

/// A client's work, as a shell command; its registry is a host of its own.
struct Work {
    name: &'static str,
    probe: String,
    script: String,
    /// What is there in the end, below the folder it runs in.
    makes: &'static str,
}

fn works(world: &World) -> Vec<Work> {
    let (plain, secure) = (world.plain.port(), world.secure.port());
    let (python, cargo) = (python(), env!("CARGO"));
    vec![
        Work {
            name: "git",
            probe: "git --version".into(),
            script: format!("git clone -q https://git.listed.test:{secure}/repo.git repo"),
            makes: "repo/file",
        },
        Work {
            name: "git over http",
            probe: "git --version".into(),
            script: format!("git clone -q http://mirror.listed.test:{plain}/repo.git repo"),
            makes: "repo/file",
        },
        Work {
            name: "pip",
            probe: format!("{python} -m pip --version"),
            script: format!(
                "{python} -m pip install --no-deps --no-cache-dir --no-input --target into --index-url=https://pip.listed.test:{secure}/simple/ exeat-hello"
            ),
            makes: "into/exeat_hello.py",
        },
        Work {
            name: "npm",
            probe: "npm --version".into(),
            script: format!(
                "npm install --no-audit --no-fund --no-update-notifier --cache ./cache --prefix . --registry https://npm.listed.test:{secure}/ exeat-hello"
            ),
            makes: "node_modules/exeat-hello/package.json",
        },
        Work {
            name: "cargo",
            probe: format!("{cargo} --version"),
            script: format!(
                "mkdir -p home/.cargo src && touch src/lib.rs && \
                 printf '[registries.local]\\nindex = \"sparse+https://cargo.listed.test:{secure}/index/\"\\n' > home/.cargo/config.toml && \
                 printf '[package]\\nname = \"p\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[dependencies]\\nexeat-hello = {{ version = \"1\", registry = \"local\" }}\\n[workspace]\\n' > Cargo.toml && \
                 CARGO_HOME=\"$PWD/home/.cargo\" {cargo} vendor into"
            ),
            makes: "into/exeat-hello/Cargo.toml",
        },
    ]
}

/// Whether the client is here; says so if not, and fails if all must be.
fn is_here(work: &Work) -> bool {
    let probe = Command::new("sh").args(["-c", &work.probe]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let here = probe.is_ok_and(|status| status.success());
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "{} is not installed", work.name);
    if !here {
        eprintln!("NOTICE: {} is not installed, it is left out", work.name);
    }
    here
}

/// Does the work in a new folder, through the proxy; it has to succeed.
fn does(work: &Work, world: &World, proxy: &Proxy) {
    let folder = world.fresh("work");
    let mut command = Command::new("sh");
    let through = format!("http://a:{}@{}", token("a"), proxy.address);
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(name, &through);
    }
    for name in
        ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "CARGO_HTTP_CAINFO"]
    {
        command.env(name, &world.ca);
    }
    for name in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "CARGO_BUILD_TARGET_DIR", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command.env("HOME", world.fresh("home")).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_CONFIG_FILE", "/dev/null");
    let output = command.args(["-c", &work.script]).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && folder.join(work.makes).exists(), "{}: {text}", work.name);
}

/// Tar archives of one package each, and what their registries say of them.
fn make_packages(world: &World) {
    let files = world.site.path().join("files");
    let secure = world.secure.port();
    let archive = |name: &str, members: &[(&str, &str)]| {
        let script = "import io, sys, tarfile
with tarfile.open(sys.argv[1], 'w:gz') as archive:
    for name, text in zip(sys.argv[2::2], sys.argv[3::2]):
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
";
        let mut command = Command::new(python());
        command.args(["-c", script]).arg(files.join(name)).args(members.iter().flat_map(|(name, text)| [*name, *text]));
        assert!(command.status().unwrap().success());
        fs::read(files.join(name)).unwrap()
    };
    archive("exeat-hello.tgz", &[("package/package.json", r#"{"name":"exeat-hello","version":"1.0.0"}"#)]);
    let tarball = format!("https://npm.listed.test:{secure}/exeat-hello.tgz");
    let version = serde_json::json!({"name": "exeat-hello", "version": "1.0.0", "dist": {"tarball": tarball}});
    let all = serde_json::json!({"name": "exeat-hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}});
    fs::write(files.join("exeat-hello"), all.to_string()).unwrap();

    let manifest = "[package]\nname = \"exeat-hello\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let members = [("exeat-hello-1.0.0/Cargo.toml", manifest), ("exeat-hello-1.0.0/src/lib.rs", "")];
    let digest = Sha256::digest(archive("exeat-hello.crate", &members)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entry = serde_json::json!({"name": "exeat-hello", "vers": "1.0.0", "deps": [], "cksum": digest, "features": {}, "yanked": false});
    fs::create_dir_all(files.join("index/ex/ea")).unwrap();
    fs::write(files.join("index/ex/ea/exeat-hello"), format!("{entry}\n")).unwrap();
    let at = serde_json::json!({"dl": format!("https://cargo.listed.test:{secure}/{{crate}}.crate")});
    fs::write(files.join("index/config.json"), at.to_string()).unwrap();
}

/// What a reviewer takes who wants all that was reached: the rules of that section, without their #.
fn reviewed(suggested: &str) -> String {
    let (kept, refused) = suggested.split_once("# REFUSED").unwrap_or((suggested, ""));
    assert!(refused.contains("#host = \"localhost.test\""), "{suggested}");
    let taken = |line: &str| match line.strip_prefix('#') {
        Some(rule) if !rule.starts_with([' ', 'u']) => format!("{rule}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    kept.lines().map(taken).collect()
}

fn checked(path: &Path) -> String {
    let output = exeat(None).arg("check").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains(", 0 errors, 0 warnings"), "{said}");
    said
}

fn replayed(proxy: &Proxy, path: &Path) -> (Option<i32>, Value) {
    let output = proxy.exeat(&["replay", "--json", "--since", "1h", path.to_str().unwrap()]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[test]
fn what_is_suggested_of_an_observed_agent_lets_it_do_the_same_unobserved() {
    let mut world = World::new();
    // Several clients that start on a busy machine are slow to speak.
    for (section, key) in [("limits", "peek"), ("limits", "head_timeout"), ("limits", "connect_timeout"), ("dns", "timeout")] {
        world.site.set(section, key, "\"30s\"");
    }
    make_packages(&world);
    let works: Vec<Work> = works(&world).into_iter().filter(is_here).collect();
    let end = jiff::Timestamp::now() + Duration::from_secs(5 * 24 * 3600);
    let keys = format!("unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]\nobserve_until = {end:.0}");
    world.site.agent("a", &keys, "[[block]]\nhost = \"localhost.test\"");
    let identify = fs::read_to_string(world.site.path().join("allowlists/a.toml")).unwrap();
    let identify = identify.lines().skip_while(|line| *line != "[[identify]]").take(2).map(|line| format!("{line}\n")).collect::<String>();

    let mut proxy = world.site.start();
    works.iter().for_each(|work| does(work, &world, &proxy));
    proxy.talk().connect("localhost.test:443", &crate::support::site::credentials("a"));
    let observed = of_kind(&proxy.settled(), "decided").into_iter().filter(|record| record["reason"] == "observed").count();
    assert!(observed >= works.len(), "{:?}", proxy.journal());

    let review = world.fresh("review");
    let (suggestion, taken) = (review.join("suggestion.toml"), review.join("taken.toml"));
    let text = proxy.said(&["suggest", "a", "--since", "1h"]);
    fs::write(&suggestion, &text).unwrap();
    assert!(checked(&suggestion).contains("agent a, 0 rules"));
    let blocked =
        |report: &Value| report["newly_blocked"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum::<u64>();
    let (code, report) = replayed(&proxy, &suggestion);
    assert_eq!((code, blocked(&report)), (Some(0), observed as u64), "as it stands the suggestion lists none of this machine: {report}");
    let text = reviewed(&text) + "\n" + &identify;
    fs::write(&taken, &text).unwrap();
    checked(&taken);
    let (code, report) = replayed(&proxy, &taken);
    assert_eq!(
        (code, &report["widens"], report["unchanged"]["attempts"].as_u64()),
        (Some(0), &Value::Bool(false), Some(observed as u64 + 1)),
        "{report}"
    );
    assert_eq!(proxy.stop().code(), Some(0));

    world.site.allowlist("a", &text);
    let before = proxy.journal().len();
    let proxy = world.site.start();
    works.iter().for_each(|work| does(work, &world, &proxy));
    let records = proxy.settled().split_off(before);
    let decided = of_kind(&records, "decided");
    let by_a: Vec<_> = decided.into_iter().filter(|record| record["agent"] == "a").collect();
    assert!(
        by_a.len() >= works.len() && by_a.iter().all(|record| record["decision"] == "allow" && record["reason"] == "listed"),
        "{by_a:?}"
    );
    assert_eq!(of_kind(&records, "held"), [] as [&Value; 0]);
}
