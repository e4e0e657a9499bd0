//! `exeat init`: on a machine of scripts that stand for clients, and with the clients that are installed here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::proxy::exeat;

/// A machine: a home, the only folder of PATH, and a repository to stand in.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::TempDir::with_prefix("exeat-it-").unwrap();
        for name in ["home", "bin", "repository/.git"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    /// A client that answers as `text` says, in `sh`. Whatever it runs has to be part of the shell.
    fn program(&self, path: &str, text: &str) {
        self.put(path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, config: Option<&Path>, arguments: &[&str]) -> Command {
        let mut command = exeat(config);
        command.args(arguments).current_dir(self.at("repository")).stdin(Stdio::null());
        command.env_clear().env("HOME", self.at("home")).env("PATH", self.at("bin")).env("NO_COLOR", "1");
        command
    }

    fn ran(&self, arguments: &[&str]) -> Output {
        self.command(None, arguments).output().unwrap()
    }

    /// A machine with every client, each of which lets secrets slip.
    fn furnished() -> Self {
        let machine = Self::new();
        machine.program(
            "bin/pip",
            "case \"$1 $2\" in\n\
             'config list') echo \"global.extra-index-url='https://user:s3cret@extra.test:8443/s3cret/simple'\";;\n\
             'config debug') printf 'user:\\n  %s, exists: True\\n    global.extra-index-url: x\\n' \"$HOME/.config/pip/pip.conf\";;\n\
             'download --help') echo '  -i, --index-url <url>  Base URL (default'; echo '     https://index.test/simple). More';;\n\
             *) echo \"pip 24.0 from $HOME/site/pip (python 3.11)\";;\nesac",
        );
        machine.put("home/site/pip/_internal/models/index.py", "A = I(\"https://index.test/\", file_storage_domain=\"files.test\")\n");
        machine.program("bin/npm", "echo \"{\\\"registry\\\": \\\"https://npm.test/\\\", \\\"userconfig\\\": \\\"$HOME/.npmrc\\\"}\"");
        machine.put("home/.npmrc", "@acme:registry=https://s3cret@acme.test/npm/\n//acme.test/npm/:_authToken=s3cret\n");
        machine.program("bin/cargo", "echo 'failed to download from `https://crates.test/config.json`' >&2; exit 101");
        machine.put("home/.cargo/registry/index/crates.test-0123456789abcdef/config.json", "{\"dl\": \"https://dl.test/crates\"}");
        machine.program("bin/go", "echo 'https://goproxy.test,direct'; echo sum.test; echo /nowhere");
        machine.program(
            "bin/mvn",
            "echo '[ERROR] No plugin found, available from the repositories [local (/r), central (https://u:s3cret@maven.test/maven2)] -> [Help 1]'; exit 1",
        );
        machine.program("bin/claude", "exit 1");
        machine.put("repository/.git/config", "[remote \"origin\"]\n\turl = https://user:s3cret@git.acme.test:8443/a/b.git\n");
        machine
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The rules of an allowlist in words, without those that only apt named: its sources are this machine's.
fn rules(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let rules = table.get("allow").and_then(toml::Value::as_array).into_iter().flatten();
    let words = rules.map(|rule| {
        let note = rule["note"].as_str().unwrap();
        format!("{}:{} {note}", rule["host"].as_str().unwrap(), rule["port"][0])
    });
    words.filter(|rule| !rule.contains(" apt: from ")).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn whatever_clients_are_configured_with_comes_out_as_rules_that_load() {
    let machine = Machine::furnished();
    let ran = machine.ran(&["init"]);
    assert_eq!(ran.status.code(), Some(0), "{}{}", out(&ran), err(&ran));
    let written = machine.at("home/.config/exeat/allowlists/coder.toml");
    let text = fs::read_to_string(&written).unwrap();
    let expected = [
        "git.acme.test:8443 git: from .git/config, remote origin",
        "extra.test:8443 pip: from pip config, ~/.config/pip/pip.conf",
        "index.test:443 pip: from pip's own default",
        "files.test:443 pip: from pip's own source, ~/site/pip/_internal/models/index.py: where that index keeps its files",
        "npm.test:443 npm: from npm's own default",
        "acme.test:443 npm: from ~/.npmrc",
        "crates.test:443 cargo: from cargo's own default",
        "dl.test:443 cargo: from ~/.cargo/registry/index/crates.test-0123456789abcdef/config.json: where crates.test keeps its crates",
        "goproxy.test:443 go: from go's own default",
        "sum.test:443 go: from go's own default",
        "maven.test:443 maven: from maven's answer: its repositories with mirrors counted",
    ];
    assert_eq!(rules(&text), expected, "{}", out(&ran));
    machine.put("home/preset.toml", "agent = \"a\"\ninclude = [\"preset:claude-code\"]\n");
    let taken = machine.ran(&["check", machine.at("home/preset.toml").to_str().unwrap()]).status.success();
    assert_eq!(text.contains("\ninclude  = [\"preset:claude-code\"]\n"), taken, "a preset is included exactly where that loads");
    let said = out(&ran);
    for line in [
        "claude: ",
        "pip: https://extra.test:8443 from pip config, ~/.config/pip/pip.conf\n",
        "go: direct, ",
        "no lock file in the working directory",
        "wrote ~/.config/exeat/allowlists/coder.toml: rules ",
        "wrote ~/.config/exeat/exeat.toml: ",
        &format!(
            "next:\n  exeat check {}\n  exeat serve\n  eval \"$(exeat env)\"   # in the agent's shell: points what starts there at the proxy\n",
            written.display()
        ),
    ] {
        assert!(said.contains(line), "{line:?} is not said:\n{said}");
    }
    assert!(!(said + &err(&ran) + &text).contains("s3cret"), "a secret was printed");
    let folder = written.parent().unwrap();
    assert_eq!((mode(&written), mode(folder), mode(folder.parent().unwrap())), (0o600, 0o700, 0o700));
    assert_eq!(mode(&machine.at("home/.config/exeat/exeat.toml")), 0o600);

    let checked = machine.ran(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", out(&checked));
    for (target, code) in [("https://index.test/", 0), ("https://other.test/", 10)] {
        assert_eq!(machine.ran(&["explain", "coder", target]).status.code(), Some(code), "{target}");
    }
}

#[test]
fn nothing_of_the_working_directory_is_run_or_obeyed() {
    let machine = Machine::new();
    let touched = machine.at("touched");
    for name in ["npm", "pip", "git", "cargo", "claude"] {
        machine.program(&format!("repository/tools/{name}"), &format!(": > {}", touched.display()));
    }
    machine.put("repository/.git/config", &format!("[core]\n\tfsmonitor = : > {}\n", touched.display()));
    machine.put("repository/exeat.toml", "allowlists = \"/nowhere\"\n");
    machine.put("repository/.npmrc", "registry=https://planted.test/\n");
    machine.put("repository/package-lock.json", "{\"packages\": {\"a\": {\"resolved\": \"https://planted.test/a.tgz\"}}}");
    machine.program("bin/npm", "pwd >&2; echo '{\"registry\": \"https://npm.test/\"}'");
    machine.program("bin/go", "echo https://goproxy.test; echo off; echo");
    let before = listed(&machine.at("repository"));
    let path = format!(".:tools:{}/tools:{}", machine.at("repository").display(), machine.at("bin").display());
    let ran = machine.command(None, &["init", "--stdout"]).env("PATH", path).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    assert!(!touched.exists(), "something of the working directory ran");
    assert_eq!(rules(&out(&ran)), ["npm.test:443 npm: from npm's own default"], "a repository lists its own hosts");
    assert!(out(&ran).contains("#host = \"planted.test\"\n") && out(&ran).contains("#host = \"goproxy.test\"\n"), "{}", out(&ran));
    assert!(
        err(&ran).contains("npm: https://planted.test from .npmrc (not in force: only a file in the repository names it"),
        "{}",
        err(&ran)
    );
    assert!(err(&ran).contains("/tools of PATH"), "{}", err(&ran));
    assert_eq!((listed(&machine.at("repository")), listed(&machine.at("home"))), (before, vec![]), "it wrote");
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_told_to() {
    let machine = Machine::new();
    machine.program("bin/npm", "echo '{\"registry\": \"https://npm.test/\"}'");
    machine.put("elsewhere/exeat.toml", "state = \"state\"\n");
    machine.put("elsewhere/allowlists/tester.toml", "agent = \"tester\"\n");
    let config = machine.at("elsewhere/exeat.toml");
    let ran = |arguments: &[&str]| machine.command(Some(&config), arguments).output().unwrap();
    let first = ran(&["init", "--agent", "tester"]);
    assert_eq!(first.status.code(), Some(1));
    assert!(err(&first).contains("allowlists/tester.toml is there already; pass --force"), "{}", err(&first));
    assert_eq!(fs::read_to_string(machine.at("elsewhere/allowlists/tester.toml")).unwrap(), "agent = \"tester\"\n");

    let forced = ran(&["init", "--agent", "tester", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", err(&forced));
    assert_eq!(rules(&fs::read_to_string(machine.at("elsewhere/allowlists/tester.toml")).unwrap()).len(), 1);
    assert!(out(&forced).ends_with(&format!("  exeat --config {} run --agent tester -- CMD\n", config.display())), "{}", out(&forced));

    machine.put("elsewhere/allowlists/other.toml", "agent = \"coder\"\n");
    let second = ran(&["init", "--force"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(err(&second).contains("coder has an allowlist already, ") && err(&second).contains("other.toml"), "{}", err(&second));
    assert_eq!(ran(&["init", "--agent", "floor"]).status.code(), Some(2), "a floor is no agent's");
    assert_eq!(listed(&machine.at("home")), Vec::<String>::new(), "it wrote where no configuration said so");
}

#[test]
fn a_folder_that_is_named_is_written_to_and_nothing_else() {
    let machine = Machine::new();
    let ran = machine.ran(&["init", "--folder", "lists", "--agent", "a"]);
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    assert_eq!((listed(&machine.at("repository/lists")), listed(&machine.at("home"))), (vec!["a.toml".to_owned()], vec![]));
    assert!(out(&ran).contains("npm: not on PATH\n") && out(&ran).contains("pip: not on PATH\n"), "{}", out(&ran));
    let checked = machine.ran(&["check", "lists"]);
    assert_eq!(checked.status.code(), Some(0), "{}", out(&checked));
}

fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn whatever_the_clients_of_this_machine_name_comes_out() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("exeat.toml");
    fs::write(&config, "state = \"state\"\n").unwrap();
    // The real home and PATH; the folder has no lock file, so every client counts. On a busy machine a client may need another try.
    let ran = || exeat(Some(&config)).args(["init", "--stdout"]).current_dir(place.path()).stdin(Stdio::null()).output().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut ran_last = ran();
    while err(&ran_last).contains("did not say where it goes") && Instant::now() < deadline {
        ran_last = ran();
    }
    let ran = ran_last;
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    let text = out(&ran);
    for (client, url) in [("npm", npm()), ("pip", pip()), ("pip", pip_files()), ("cargo", cargo()), ("apt", apt())] {
        let Some(url) = url else {
            eprintln!("skipped: {client} is not installed, or names nothing to be found");
            continue;
        };
        let (scheme, rest) = url.trim().split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap().rsplit('@').next().unwrap();
        let (host, port) = authority.split_once(':').unwrap_or((authority, if scheme == "http" { "80" } else { "443" }));
        // A mirror in a private network is there as a comment.
        let rule = format!("host = \"{}\"\n", host.to_ascii_lowercase());
        let rest = text.split(&rule).nth(1).unwrap_or_else(|| panic!("{client} goes to {host}, and\n{text}\n{}", err(&ran)));
        assert!(rest.trim_start_matches('#').starts_with(&format!("port = [{port}]")), "{client}: {host}:{port} in\n{text}");
    }
    assert_eq!(exeat(None).args(["check"]).arg(kept(place.path(), &text)).output().unwrap().status.code(), Some(0));
}

fn kept(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("kept.toml");
    fs::write(&path, text).unwrap();
    path
}

/// What a client says in the root folder, where no file configures it; `None` where it is not there or ends badly.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir("/").stdin(Stdio::null()).output().ok()?;
    let text = out(&output).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn npm() -> Option<String> {
    said("npm", &["config", "get", "registry"])
}

fn pip() -> Option<String> {
    said("pip", &["--version"])?;
    said("pip", &["config", "get", "global.index-url"])
        .or_else(|| said("python3", &["-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"]))
}

/// Of the default index only: where another keeps its files nobody says.
fn pip_files() -> Option<String> {
    said("pip", &["--version"])?;
    if said("pip", &["config", "list"]).is_some_and(|list| list.contains("index-url")) {
        return None;
    }
    said("python3", &["-c", "from pip._internal.models.index import PyPI; print('https://' + PyPI.file_storage_domain)"])
}

/// The index that built this test, by the folder that cargo keeps it in; `None` where there are several, or another stands in for the default.
fn cargo() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
    if home.join("config.toml").exists() || home.join("config").exists() {
        return None;
    }
    let folders = listed(home.join("registry/index").as_path().is_dir().then(|| home.join("registry/index"))?.as_path());
    let [folder] = folders.as_slice() else { return None };
    folder.rsplit_once('-').map(|(host, _)| format!("https://{host}"))
}

fn apt() -> Option<String> {
    let sites = said("apt-get", &["indextargets", "--format", "$(SITE)"])?;
    sites.lines().find(|site| site.starts_with("http")).map(str::to_owned)
}
