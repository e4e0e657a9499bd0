//! What a machine lacks: descriptors, room, time, addresses. Each is told with what to do, and nothing starts half open.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, exeat};
use crate::support::site::Site;
use crate::support::talk::Talk;
use crate::support::wait::until;

fn serve(site: &Site) -> Output {
    exeat(Some(&site.config())).arg("serve").output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, wanted: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{said}");
    for wanted in wanted {
        assert!(said.contains(wanted), "{said}\n{wanted}");
    }
}

#[test]
fn out_of_descriptors_agents_are_answered_or_wait_and_it_recovers() {
    let mut p0 = P0::new();
    p0.site.set("limits", "head_timeout", "\"1h\"");
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some("ulimit -n 96"));
    assert!(proxy.stderr().contains("96 open files are too few for limits.connections: ulimit -n 42048"), "{}", proxy.stderr());
    assert!(proxy.stderr().contains("what this process is given open_files=\"96\""), "{}", proxy.stderr());
    let url = p0.url("plain.allowed.test", "/");
    assert_eq!(proxy.get(&url, &a()).status, 200);
    let idle: Vec<Talk> = (0..120).map(|_| proxy.talk()).collect();
    until("it has none left", || proxy.stderr().contains("connections could not be accepted"));
    // Those that wait before it are answered first: they have asked nothing, and hear it too.
    let refused = proxy.get(&url, &a());
    assert_eq!((refused.status, refused.header("proxy-status")), (503, Some("exeat; error=connection_limit_reached")));
    drop(idle);
    until("there is room again", || proxy.talk().try_answer_to(&url).is_some_and(|status| status == 200));
    assert_eq!(proxy.stderr().matches("connections could not be accepted").count(), 1, "{}", proxy.stderr());
    assert!(proxy.is_alive() && proxy.stop().success());
}

#[test]
fn the_memory_that_it_may_have_is_told_in_the_log_and_as_a_metric() {
    let p0 = P0::new();
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some("ulimit -v 67108864"));
    let log = proxy.stderr();
    let told = |name: &str| log.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse::<u64>().ok();
    assert_eq!(told("address_bytes"), Some(64 << 30), "{log}");
    // Where the tests themselves are in a group with a limit, the lesser one counts.
    let least = told("memory_bytes").into_iter().chain(told("address_bytes")).min().unwrap();
    let metrics = proxy.metrics();
    assert!(metrics.lines().any(|line| line == format!("exeat_memory_limit_bytes {least}")), "{metrics}");
    assert!(proxy.stop().success());
}

/// Status of one request, if there is an answer.
trait Try {
    fn try_answer_to(self, url: &str) -> Option<u16>;
}

impl Try for Talk {
    fn try_answer_to(mut self, url: &str) -> Option<u16> {
        self.send(format!("GET {url} HTTP/1.1\r\nHost: plain.allowed.test\r\n{}\r\n", a()));
        self.try_answer("GET").map(|answer| answer.status)
    }
}

#[test]
fn a_clock_that_is_behind_what_was_written_stops_the_start() {
    let site = Site::new();
    site.agent("a", "", "");
    assert!(site.start().stop().success());
    let file = site.path().join("allowlists/a.toml");
    File::options().append(true).open(&file).unwrap().set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    assert_refused(&serve(&site), &["a clock that is behind keeps alive", "by NTP", &format!("touch {}", file.display())]);
    File::options().append(true).open(&file).unwrap().set_modified(SystemTime::now()).unwrap();

    let mut segments: Vec<_> = fs::read_dir(site.state().join("journal/proxy-1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    segments.sort();
    let newest = segments.pop().unwrap();
    let text = fs::read_to_string(&newest).unwrap();
    let last = text.trim_end().lines().last().unwrap();
    let at = last.split("\"at\":\"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(&newest, text.replace(last, &last.replace(at, &at.replacen("20", "21", 1)))).unwrap();
    let output = serve(&site);
    assert_refused(&output, &["the newest record of the journal is of 21", "by NTP"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mend = said.split("put the journal aside: ").nth(1).unwrap().lines().next().unwrap();
    assert!(Command::new("sh").args(["-c", mend]).status().unwrap().success());
    assert!(site.start().stop().success());
}

#[test]
fn what_a_start_lacks_is_told_before_anything_is_written() {
    let cases: [(&str, &str, &str, &[&str]); 4] = [
        ("listen.main", "address", "\"[fd00:1:2::3]:3128\"", &["this machine has no such IPv6 address: write an address that it has"]),
        ("listen.main", "address", "\"192.0.2.7:3128\"", &["listen.main: 192.0.2.7:3128 cannot be listened on", "write one that it has"]),
        ("telemetry.webhook", "secret_file", "\"no-such-secret\"", &["telemetry.webhook", "no-such-secret"]),
        ("upstream", "ca", "\"no-such-roots.pem\"", &["no-such-roots.pem"]),
    ];
    for (section, key, value, wanted) in cases {
        let mut site = Site::new();
        site.agent("a", "", "");
        if section == "telemetry.webhook" {
            site.set(section, "url", "\"http://127.0.0.1:9/\"");
        }
        site.set(section, key, value);
        assert_refused(&serve(&site), wanted);
        assert!(!site.state().join("journal").exists(), "{section} {key}: it was half open");
    }
}

/// A start on a file system of its own at the state folder.
fn on_a_file_system(site: &Site, options: &str) -> Option<Output> {
    let (config, state) = (site.config(), site.state());
    fs::create_dir_all(&state).unwrap();
    let script = "mount -t tmpfs -o \"$2\" none \"$3\" || exit 77; exec \"$0\" --config \"$1\" serve";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_exeat")]).arg(config).arg(options).arg(state);
    let output = command.output().ok().filter(|output| output.status.code() != Some(77) && !output.stderr.starts_with(b"unshare:"));
    assert!(output.is_some() || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "no file system can be mounted here");
    if output.is_none() {
        eprintln!("NOTICE: no file system can be mounted here, a state that is full or read-only is skipped");
    }
    output
}

#[test]
fn a_state_folder_that_takes_nothing_stops_the_start() {
    for (options, wanted) in
        [("size=32k,mode=700", "make room there, or lower [journal] max and keep"), ("ro,mode=700", "mount it writable (readOnly: false")]
    {
        let site = Site::new();
        site.agent("a", "", "");
        let Some(output) = on_a_file_system(&site, options) else { return };
        assert_refused(&output, &["nothing can be written in the state folder", wanted]);
    }
}

/// As a volume of a ConfigMap: files are links through `..data`, which is turned by one rename.
fn project(folder: &Path, version: &str, text: &str) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.toml"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if !folder.join("a.toml").is_symlink() {
        symlink("..data/a.toml", folder.join("a.toml")).unwrap();
    }
}

#[test]
fn a_volume_of_a_config_map_is_read_again_when_it_is_turned_and_never_written() {
    let p0 = P0::new();
    let folder = p0.site.path().join("allowlists");
    let text = fs::read_to_string(folder.join("a.toml")).unwrap();
    let without = text.replace("\"plain.allowed.test\"", "\"other.allowed.test\"");
    assert_ne!(text, without);
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    project(&folder, "..1", &without);
    let proxy = p0.start();
    let url = p0.url("plain.allowed.test", "/");
    assert_eq!(proxy.get(&url, &a()).status, 403);
    project(&folder, "..2", &text);
    until("the new one is in force", || proxy.get(&url, &a()).status == 200);
    fs::remove_dir_all(folder.join("..1")).unwrap();
    project(&folder, "..3", &without);
    until("the next one is in force", || proxy.get(&url, &a()).status == 403);
    let mut found: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, ["..2", "..3", "..data", "a.toml"]);
}
