//! Networks of their own: namespaces joined by veth pairs, with an outside in which everything answers. All of it is gone when the test ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Where the doctor looks unless it is told otherwise, as `docs/reference/commands.md` names it.
pub(crate) const PUBLIC: [&str; 4] = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888"];
/// What clouds have.
const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
/// The origin of every name.
pub(crate) const ORIGIN: &str = "203.0.113.10";

static NETS: AtomicU32 = AtomicU32::new(0);

/// Namespaces, and whom they hold.
pub(crate) struct Net {
    prefix: String,
    names: Vec<String>,
    children: Vec<Child>,
    /// A folder that every user may enter, with the program in it.
    folder: tempfile::TempDir,
}

/// Whether namespaces and rules can be made here; says so if not, and fails if they must be.
pub(crate) fn is_possible() -> bool {
    let works = |line: &str| {
        let status = Command::new("sh").args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let lacking =
        ["test \"$(id -u)\" = 0", "nft --version", "ip -V", "setpriv --version", "python3 --version", "openssl version", "curl --version"];
    let lacking: Vec<&str> = lacking.into_iter().chain(["unshare -n nft list ruleset"]).filter(|line| !works(line)).collect();
    let must_be = std::env::var("EXEAT_TEST_CLIENTS").as_deref() == Ok("all");
    assert!(lacking.is_empty() || !must_be, "network namespaces cannot be tried: {lacking:?} fail");
    if !lacking.is_empty() {
        eprintln!("NOTICE: network namespaces cannot be tried, {lacking:?} fail: the test is skipped");
    }
    lacking.is_empty()
}

/// What the verify Job of a topology runs, word for word, but for the URLs: those are of these networks.
pub(crate) fn verify(topology: &str) -> Vec<String> {
    let job = super::shipped::text(&format!("deploy/kubernetes/base/{topology}/verify.yaml"));
    let (_, job) = job.split_once("- name: verify\n").unwrap();
    let (_, words) = job.split_once("args:\n").unwrap();
    let words: Vec<String> = words
        .lines()
        .map_while(|line| line.trim_start().strip_prefix("- "))
        .map(|word| word.replace("api.openai.com", "listed.test"))
        .collect();
    assert_eq!(words[..2], ["doctor", "--from-agent"], "{words:?}");
    words
}

fn succeeded(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{err}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

impl Net {
    /// Namespaces of these names, each with its loopback up.
    pub(crate) fn new(names: &[&str]) -> Self {
        let prefix = format!("exeat-{}-{}-", std::process::id(), NETS.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut net = Self { prefix, names: Vec::new(), children: Vec::new(), folder };
        fs::copy(env!("CARGO_BIN_EXE_exeat"), net.exeat()).unwrap();
        for name in names {
            let full = net.name(name);
            succeeded(Command::new("ip").args(["netns", "add", &full]));
            net.names.push(full);
            net.ip(name, "link set lo up");
            net.tune(name, "ipv4/ping_group_range", "0 2147483647");
        }
        net
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The program, where every user may run it.
    pub(crate) fn exeat(&self) -> PathBuf {
        self.folder.path().join("exeat")
    }

    /// A file or folder beside it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// `ip` in a namespace, the arguments as a shell would split them.
    pub(crate) fn ip(&self, name: &str, line: &str) {
        succeeded(Command::new("ip").args(["-n", &self.name(name)]).args(line.split(' ')));
    }

    /// A program in a namespace, with nothing of this process's environment but `PATH`.
    pub(crate) fn command(&self, name: &str, argv: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(name)]).args(argv).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// As `command`, which must succeed.
    pub(crate) fn within(&self, name: &str, argv: &[&str]) -> String {
        succeeded(&mut self.command(name, argv))
    }

    /// Sets a value of the kernel's for a namespace.
    pub(crate) fn tune(&self, name: &str, key: &str, value: &str) {
        self.within(name, &["sh", "-c", &format!("echo '{value}' > /proc/sys/net/{key}")]);
    }

    /// Joins two namespaces: an interface and an address of each family in each.
    pub(crate) fn join(&self, one: [&str; 4], other: [&str; 4]) {
        let peer = self.name(other[0]);
        self.ip(one[0], &format!("link add {} type veth peer name {} netns {peer}", one[1], other[1]));
        for [name, link, v4, v6] in [one, other] {
            self.ip(name, &format!("addr add {v4} dev {link}"));
            self.ip(name, &format!("addr add {v6} dev {link} nodad"));
            self.ip(name, &format!("link set {link} up"));
        }
    }

    /// Default routes of both families.
    pub(crate) fn route(&self, name: &str, v4: &str, v6: &str) {
        self.ip(name, &format!("route add default via {v4}"));
        self.ip(name, &format!("-6 route add default via {v6}"));
    }

    /// Everything that is outside, in a namespace: it has all the addresses, and answers at each.
    pub(crate) fn outside(&mut self, name: &str) {
        let addresses: Vec<&str> = PUBLIC.into_iter().chain(METADATA).chain([ORIGIN]).collect();
        for address in &addresses {
            let length = if address.contains(':') { "128 nodad" } else { "32" };
            self.ip(name, &format!("addr add {address}/{length} dev lo").replace("128 nodad dev lo", "128 dev lo nodad"));
        }
        let (cert, key) = (self.folder.path().join("cert.pem"), self.folder.path().join("key.pem"));
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        let made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=listed.test"];
        succeeded(Command::new("openssl").args(made).args(["-days", "2", "-keyout", key, "-out", cert]).stderr(Stdio::null()));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/deploy/outside.py");
        let mut command = self.command(name, &["python3", script, cert, key, ORIGIN]);
        let mut child = command.args(&addresses).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.children.push(child);
        assert_eq!(line, "ready\n");
    }

    /// Loads a shipped rule set with nothing changed but the values of some of its `define` lines.
    pub(crate) fn rules(&self, name: &str, shipped: &str, defines: &[(&str, &str)]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nft").join(shipped);
        let mut text = fs::read_to_string(path).unwrap();
        for (define, value) in defines {
            let line = text.lines().find(|line| line.starts_with(&format!("define {define} ="))).unwrap().to_owned();
            text = text.replace(&line, &format!("define {define} = {value}"));
        }
        let file = self.file(shipped, &text);
        self.within(name, &["nft", "-c", "-f", file.to_str().unwrap()]);
        self.within(name, &["nft", "-f", file.to_str().unwrap()]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// What the doctor said.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    tries: Vec<BTreeMap<String, Value>>,
    text: String,
}

impl Said {
    /// Of a run with `--json`.
    pub(crate) fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(report["ok"] == true, output.status.code() == Some(0), "{text}");
        let tries = serde_json::from_value(report["tries"].clone()).unwrap();
        Self { code: output.status.code(), tries, text }
    }

    /// The ways with a result, as `WAY TO`, without those to the name servers of this machine.
    pub(crate) fn with(&self, result: &str) -> Vec<String> {
        let of = self.tries.iter().filter(|one| one["result"] == result);
        let said = of.map(|one| format!("{} {}", one["way"].as_str().unwrap(), one["to"].as_str().unwrap()));
        said.filter(|said| !said.starts_with("dns-") || said.contains("8.8.8.8") || said.contains("2001:4860:4860::8888")).collect()
    }

    /// Every way is closed, none merely silent, and the proxy works.
    pub(crate) fn assert_closed(&self, ways: usize, works: usize) {
        let nothing = Vec::<String>::new();
        assert_eq!(
            (self.code, self.with("open"), self.with("fails"), self.with("unanswered")),
            (Some(0), nothing.clone(), nothing.clone(), nothing),
            "{}",
            self.text
        );
        assert_eq!((self.with("closed").len(), self.with("works").len()), (ways, works), "{}", self.text);
    }

    /// Exactly these ways are open, each with a fix that names it, and that ends the doctor with 1.
    pub(crate) fn assert_open(&self, ways: &[&str], hole: &str) {
        assert_eq!((self.code, self.with("open")), (Some(1), ways.iter().map(|way| (*way).to_owned()).collect()), "{hole}: {}", self.text);
        let open = self.tries.iter().filter(|one| one["result"] == "open");
        assert!(open.into_iter().all(|one| one["fix"].as_str().is_some_and(|fix| !fix.is_empty())), "{}", self.text);
    }
}
