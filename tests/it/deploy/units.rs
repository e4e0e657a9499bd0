//! Units of systemd and the agent of launchd: read by systemd's own tools and by Python's reader of property lists. Neither runs them here.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::shipped::{is_here, path, python, read_by, runs, said, text, words};
use crate::support::site::{Site, credentials};
use crate::support::talk::Talk;
use crate::support::wait::until;

fn is_systemd_here() -> bool {
    is_here("systemd-analyze", runs(&["systemd-analyze", "--version"]))
}

/// A folder with these units and drop-ins, that name a program that is here.
fn units(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::with_prefix("exeat-units-").unwrap();
    for (from, to) in files {
        let place = folder.path().join(to);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text(&format!("deploy/systemd/{from}")).replace("/usr/bin/exeat", env!("CARGO_BIN_EXE_exeat"))).unwrap();
    }
    folder
}

/// What systemd says of units; nothing where they are right. Its exit code tells only of units it cannot load at all.
fn verified(folder: &Path, scope: &str, units: &[&str]) -> String {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", scope]).args(units.iter().map(|unit| folder.join(unit)));
    let output = command.env("XDG_RUNTIME_DIR", folder).env("SYSTEMD_LOG_LEVEL", "warning").output().unwrap();
    // Units of this machine that it cannot read are its own.
    let said = words(&output);
    let ours: Vec<&str> =
        said.lines().filter(|line| line.contains(folder.to_str().unwrap()) || units.iter().any(|unit| line.contains(unit))).collect();
    assert!(output.status.success() || !ours.is_empty(), "{said}");
    ours.join("\n")
}

const SYSTEM: [(&str, &str); 2] = [("exeat.service", "exeat.service"), ("exeat-main.socket", "exeat-main.socket")];
const USER: [(&str, &str); 2] = [("user/exeat.service", "exeat.service"), ("user/exeat-main.socket", "exeat-main.socket")];

#[test]
fn systemd_has_nothing_to_say_of_the_units() {
    if !is_systemd_here() {
        return;
    }
    for (scope, files) in [("--system", SYSTEM), ("--user", USER)] {
        let folder = units(&files);
        assert_eq!(verified(folder.path(), scope, &["exeat.service", "exeat-main.socket"]), "", "{scope}");
        fs::write(folder.path().join("exeat.service"), "[Service]\nExecStart=/bin/true\nNoSuchKey=yes\n").unwrap();
        let said = verified(folder.path(), scope, &["exeat.service"]);
        assert!(said.contains("NoSuchKey"), "{scope}: {said}");
    }
}

#[test]
fn drop_ins_for_agents_and_for_credentials_are_read() {
    if !is_systemd_here() {
        return;
    }
    for (drop_in, unit, key) in [("agent.conf", "coder.service", "IPAddressDeny"), ("credentials.conf", "exeat.service", "LoadCredential")]
    {
        let folder = units(&[("exeat.service", "exeat.service"), (drop_in, &format!("{unit}.d/{drop_in}"))]);
        fs::write(folder.path().join("coder.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
        assert_eq!(verified(folder.path(), "--system", &[unit]), "", "{drop_in}");
        let place = folder.path().join(format!("{unit}.d/{drop_in}"));
        fs::write(&place, fs::read_to_string(&place).unwrap().replace(key, "NoSuchKey")).unwrap();
        assert!(verified(folder.path(), "--system", &[unit]).contains("NoSuchKey"), "{drop_in} is not looked at");
    }
}

#[test]
fn each_service_is_exposed_by_no_more_than_it_was_rated() {
    if !is_systemd_here() {
        return;
    }
    // Tenths of systemd's scale from 0 to 10. The unit of users uses no namespaces.
    for (files, most) in [(SYSTEM, 15), (USER, 65)] {
        let folder = units(&files);
        let rated = |threshold: u32| {
            let mut command = Command::new("systemd-analyze");
            command.args(["security", "--offline=true", "--no-pager", &format!("--threshold={threshold}")]);
            command.arg(folder.path().join("exeat.service")).output().unwrap()
        };
        let output = rated(most);
        assert!(output.status.success(), "{}", words(&output));
        assert!(!rated(most - 10).status.success(), "the threshold is not looked at");
    }
}

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn units_say_what_exeat_does() {
    let configured: toml::Table = toml::from_str(&text("deploy/debian/exeat.toml")).unwrap();
    let listened: Vec<&str> = configured["listen"]["main"]["address"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    for folder in ["", "user/"] {
        let (service, socket) =
            (text(&format!("deploy/systemd/{folder}exeat.service")), text(&format!("deploy/systemd/{folder}exeat-main.socket")));
        assert_eq!(values(&service, "Type"), ["notify"]);
        assert_eq!(values(&service, "ExecReload"), ["/bin/kill -HUP $MAINPID"]);
        assert_eq!(values(&service, "TimeoutStopSec"), ["45s"]);
        // The name of the table [listen.main].
        assert_eq!(values(&socket, "FileDescriptorName"), ["main"]);
        assert_eq!(values(&socket, "Service"), ["exeat.service"]);
        let wanted: Vec<&str> = if folder.is_empty() { listened.clone() } else { vec!["127.0.0.1:3128", "[::1]:3128"] };
        assert_eq!(values(&socket, "ListenStream"), wanted);
    }
    let service = text("deploy/systemd/exeat.service");
    assert_eq!(values(&service, "ExecStart"), ["/usr/bin/exeat --config /etc/exeat/exeat.toml serve"]);
    assert_eq!(configured["state"].as_str().unwrap(), format!("/var/lib/{}", values(&service, "StateDirectory")[0]));
    assert_eq!((values(&service, "User"), values(&service, "CapabilityBoundingSet")), (vec!["exeat"], vec![""]));
    // The one address that an agent's unit lets it reach is listened to, and nothing else of exeat's is there.
    let agent = text("deploy/systemd/agent.conf");
    let [reached] = values(&agent, "IPAddressAllow")[..] else { panic!("{agent}") };
    assert!(
        listened.contains(&format!("{reached}:3128").as_str()) && !configured["metrics"]["address"].as_str().unwrap().starts_with(reached)
    );
    assert_eq!((values(&agent, "IPAddressDeny"), values(&agent, "TemporaryFileSystem")), (vec!["any"], vec!["/run:ro"]));
    // Without it the families and namespaces are not restricted for programs of the machine's other architectures (systemd.exec(5)).
    assert_eq!((values(&agent, "SystemCallArchitectures"), values(&agent, "PrivateTmp")), (vec!["native"], vec!["yes"]));
    assert!(text("deploy/systemd/exeat.sysusers").contains("\nu exeat - "), "the user is made");
    assert!(text("deploy/systemd/exeat.tmpfile").contains("\nd /var/lib/exeat        0700 exeat exeat -\n"), "its state is there");
}

#[test]
fn the_sockets_of_the_unit_are_handed_over_by_systemds_own_tool() {
    if !is_here("systemd-socket-activate", runs(&["systemd-socket-activate", "--version"])) {
        return;
    }
    let socket = text("deploy/systemd/exeat-main.socket");
    let site = Site::new();
    site.agent("c", "", "");
    // Ports that are free on both, in place of the unit's.
    let ports: Vec<u16> = ["127.0.0.1:0", "127.0.0.2:0"].map(|any| TcpListener::bind(any).unwrap().local_addr().unwrap().port()).to_vec();
    let addresses = [SocketAddr::from(([127, 0, 0, 1], ports[0])), SocketAddr::from(([127, 0, 0, 2], ports[1]))];
    let mut command = Command::new("systemd-socket-activate");
    command.args(addresses.map(|address| format!("--listen={address}")));
    // systemd gives each socket of a unit the unit's name for them.
    let [name] = values(&socket, "FileDescriptorName")[..] else { panic!("{socket}") };
    command.arg(format!("--fdname={name}:{name}")).arg(env!("CARGO_BIN_EXE_exeat")).arg("--config").arg(site.config()).arg("serve");
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for address in addresses {
        let mut talk = None;
        until("somebody listens", || {
            assert!(running.0.try_wait().unwrap().is_none(), "nobody listens at {address}");
            talk = Talk::try_to(address);
            talk.is_some()
        });
        let answer = talk.unwrap().connect("elsewhere.test:443", &credentials("c"));
        assert_eq!((answer.status, answer.reason()), (403, "unlisted".to_owned()));
    }
}

/// Ended when the test is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn users_and_folders_are_made_as_written() {
    if !is_here(
        "systemd-sysusers and systemd-tmpfiles",
        runs(&["systemd-sysusers", "--version"]) && runs(&["systemd-tmpfiles", "--version"]),
    ) {
        return;
    }
    if !is_here("root", super::shipped::are_we_root()) {
        return;
    }
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    let at = format!("--root={}", root.path().display());
    said(Command::new("systemd-sysusers").arg(&at).arg(path("deploy/systemd/exeat.sysusers")));
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let entry: Vec<&str> = passwd.lines().find(|line| line.starts_with("exeat:")).unwrap().split(':').collect();
    assert_eq!(entry[4..], ["exeat, the egress proxy", "/var/lib/exeat", "/usr/sbin/nologin"]);
    said(Command::new("systemd-tmpfiles").args(["--create", &at]).arg(path("deploy/systemd/exeat.tmpfile")));
    let folders = super::shipped::listing(&root.path().join("etc/exeat"));
    assert_eq!(folders, "drwx------ 0:0 agents\ndrwxr-xr-x 0:0 allowlists\ndrwx------ 0:0 private\n");
    let state = super::shipped::listing(&root.path().join("var/lib"));
    assert_eq!(state, format!("drwx------ {}:{} exeat\n", entry[2], entry[3]));
}

#[test]
fn launchd_is_told_what_to_run_and_when_again() {
    let Some(python) = python("plistlib") else { return };
    let agent = read_by(&python, "value = plistlib.loads(text)", "deploy/launchd/local.exeat.plist");
    assert_eq!(
        agent,
        json!({
            "Label": "local.exeat",
            "ProgramArguments": ["/usr/local/bin/exeat", "serve"],
            "RunAtLoad": true,
            "KeepAlive": { "SuccessfulExit": false },
            "ThrottleInterval": 1,
            "ExitTimeOut": 45,
            "Umask": 0o077,
            "ProcessType": "Interactive",
            "SoftResourceLimits": { "NumberOfFiles": 65536 },
            "HardResourceLimits": { "NumberOfFiles": 65536 },
            "WorkingDirectory": "/",
            "StandardOutPath": "HOME_FOLDER/Library/Logs/exeat.log",
            "StandardErrorPath": "HOME_FOLDER/Library/Logs/exeat.log",
        })
    );
}
