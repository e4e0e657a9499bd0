//! `deploy/ci`: a step of a job behind exeat, as a runner would run it, and the action around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::shipped::{is_here, path, python, read_by, runs};
use crate::documents::{Claim, play};
use crate::support::dns::{Dns, Reply};
use crate::support::origin::{Origin, ok};
use crate::support::proxy::{decided, journal, ours};

const PAGE: &str = "docs/ci.md";

/// What the page of the recipe says, in its order.
pub(crate) const CLAIMS: &[Claim<Job>] = &[
    (PAGE, "sh deploy/ci/exeat-step.sh wrap", |job, text| {
        let ran = job.reads(text);
        assert!(ran.status.success() && said(&ran).contains("exeat-step: not enforced: "), "{}", said(&ran));
        fs::remove_dir_all(job.folder.path().join("exeat-step")).unwrap();
    }),
    (PAGE, "sh deploy/ci/exeat-step.sh start", |job, text| {
        let ran = job.reads(text);
        assert!(ran.status.success() && said(&ran).contains("OBSERVING"), "{}", said(&ran));
    }),
    (PAGE, "chmod 700 report", |job, text| {
        fs::rename(job.folder.path().join("exeat-step/report"), job.folder.path().join("report")).unwrap();
        let ran = job.reads(text);
        assert!(
            ran.status.success() && said(&ran).contains("records, seq 1 to") && said(&ran).contains("coder: 2 attempts"),
            "{}",
            said(&ran)
        );
    }),
];

/// A checkout, an origin, names, and what a runner sets.
pub(crate) struct Job {
    folder: TempDir,
    dns: Dns,
    origin: Origin,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/ci/exeat-step.sh")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Job {
    fn new() -> Self {
        let folder = TempDir::with_prefix("exeat-ci-").unwrap();
        let (dns, origin) = (Dns::start(), Origin::http(|request| ok(&format!("reached {}\n", request.header("host").unwrap()))));
        for name in ["listed.test", "other.test"] {
            dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let job = Self { folder, dns, origin };
        fs::create_dir_all(job.folder.path().join(".exeat")).unwrap();
        fs::create_dir_all(job.folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_exeat"), job.folder.path().join("bin/exeat")).unwrap();
        job.put(".exeat/coder.toml", &job.allowlist(""));
        job
    }

    fn allowlist(&self, keys: &str) -> String {
        let rule = format!("[[allow]]\nhost = \"listed.test\"\nport = {}\naddresses = [\"127.0.0.0/8\"]\n", self.origin.port());
        format!("# Read by whoever reviews it.\nagent = \"coder\"\naddresses = [\"127.0.0.0/8\"]\n{keys}\n{rule}")
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let unset = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "TMPDIR"];
        for name in ours().chain(unset.map(Into::into)) {
            command.env_remove(name);
        }
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("EXEAT_DNS_SERVERS", self.dns.address.to_string()).env("RUNNER_TEMP", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the script; `more` is what else the runner sets.
    fn script(&self, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        self.command("sh").arg(script()).args(arguments).envs(more.iter().copied()).output().unwrap()
    }

    /// Tries the listed host and the other one, says what came, and ends with 7.
    fn tries(&self) -> String {
        let port = self.origin.port();
        format!(
            "curl -s http://listed.test:{port}/; curl -s -o /dev/null -w 'other %{{http_code}}\\n' http://other.test:{port}/; \
             env | grep ^EXEAT_ || true; exit 7"
        )
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("exeat-step/report")
    }

    fn reported(&self, file: &str) -> String {
        fs::read_to_string(self.report().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Runs a block of the page in the checkout.
    fn reads(&self, text: &str) -> Output {
        let curl = format!("curl -s http://listed.test:{0}/ http://other.test:{0}/", self.origin.port());
        self.put("bin/my-agent", &format!("#!/bin/sh\n{curl}\n"));
        fs::set_permissions(self.folder.path().join("bin/my-agent"), fs::Permissions::from_mode(0o755)).unwrap();
        let text = text.replace("deploy/ci/exeat-step.sh", &script().display().to_string());
        self.command("sh").args(["-e", "-c", &text]).output().unwrap()
    }
}

/// The token of a job that runs, as only its owner can read it.
fn token(job: &Job) -> String {
    let url = fs::read_to_string(job.folder.path().join("exeat-step/url")).unwrap();
    url.split(['@', ':']).find(|part| part.starts_with("exeat_")).unwrap().to_owned()
}

fn everything_in(folder: &Path) -> String {
    let mut all = String::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all += &everything_in(&path);
        } else {
            all += &String::from_utf8_lossy(&fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn an_enforced_step_reaches_what_is_listed_and_keeps_its_exit_code() {
    let job = Job::new();
    let ran = job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "sh", "-c", &job.tries()], &[]);
    let (words, out) = (said(&ran), String::from_utf8_lossy(&ran.stdout).into_owned());
    assert_eq!(ran.status.code(), Some(7), "{words}");
    assert_eq!(out, format!("reached listed.test:{}\nother 403\n", job.origin.port()), "{words}");
    for word in ["not enforced: only the environment leads to the proxy", "deploy/nft", "doctor --from-agent"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    assert!(
        !words.contains("exeat_") && !everything_in(&job.folder.path().join("exeat-step")).contains("exeat_"),
        "a token stayed: {words}"
    );
    let summary = job.reported("summary.md");
    assert!(
        summary.starts_with("### exeat: agent coder, enforce\n") && summary.contains("    coder: 2 attempts, 1 allowed, 1 refused"),
        "{summary}"
    );
    assert!(summary.contains("other.test") && summary.contains("\nRefused:\n\n    ") && summary.contains("    proxy-1: "), "{summary}");
    let records = journal(&job.report());
    assert_eq!(decided(&records, "other.test")[0]["reason"], "unlisted");
    assert_eq!(records.last().unwrap()["kind"], "stopped", "{records:?}");
    assert!(!job.folder.path().join("exeat-step/state").exists(), "keys and tokens stayed");
    assert_eq!(job.script(&["stop"], &[]).status.code(), Some(1), "there is nothing to stop");
}

#[test]
fn a_summary_tells_what_failed_from_what_was_refused() {
    let job = Job::new();
    job.dns.script("listed.test", [Reply::NoSuchName]);
    let ran = job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "sh", "-c", &job.tries().replace("other", "listed")], &[]);
    assert!(said(&ran).contains("listed 502\n"), "{}", said(&ran));
    let summary = job.reported("summary.md");
    assert!(summary.contains("    coder: 2 attempts, 2 allowed (2 failed), 0 refused\n"), "{summary}");
    assert!(summary.contains("      allowed, and failed on the way: 2 dns-failed\n"), "{summary}");
    assert!(summary.contains("\nNothing was refused.\n") && !summary.contains("Refused:"), "{summary}");
}

#[test]
fn a_fault_is_told_of_the_file_that_has_it() {
    let job = Job::new();
    job.put("floor.toml", "forbidden = []\n");
    job.put("bad.toml", "agent = \"coder\"\nno_such = 1\n");
    job.put("unknown.toml", "# Ours.\n[limits]\nno_such = 1\n");
    job.put("twice.toml", "[metrics]\naddress = \"127.0.0.1:1\"\n");
    job.put("relative.toml", "[inspect]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\n");
    let settings = "does not load. Paths in it are absolute; allowlists, floor, state, [listen.main] and [metrics] are the script's own\n";
    let rows = [
        (["--allowlist", "bad.toml"], None, "./bad.toml:2:1: found", "exeat-step: the allowlist does not load\n"),
        (["--floor", "floor.toml"], None, "\nfloor.toml:1:1: found", "exeat-step: the floor does not load\n"),
        (["--settings", "unknown.toml"], None, "exeat: unknown.toml:3:1: found the unknown key \"no_such\"", settings),
        (["--settings", "twice.toml"], None, "exeat: twice.toml:1:2: found the key \"metrics\" a second time", settings),
        (["--settings", "relative.toml"], None, "/ca.pem: found a file that cannot be read", settings),
        (
            ["--mode", "enforce"],
            Some(("EXEAT_LIMITS_IDLE", "x")),
            "exeat: EXEAT_LIMITS_IDLE: found",
            "a variable of the job does not load: mend or unset EXEAT_LIMITS_IDLE\n",
        ),
    ];
    for (arguments, more, fault, end) in rows {
        let all = [&["wrap", "--allowlist", ".exeat/coder.toml"], &arguments[..], &["--", "touch", "ran"]].concat();
        let ran = job.script(&all, more.as_slice());
        let words = format!("\n{}", said(&ran));
        assert!(
            ran.status.code() == Some(1) && words.contains(fault) && words.ends_with(end),
            "{arguments:?} gave {:?}: {words}",
            ran.status
        );
        assert!(!job.folder.path().join("exeat-step").exists(), "{arguments:?} left something");
    }
}

#[test]
fn an_observed_step_passes_loudly_and_proposes_an_allowlist() {
    let job = Job::new();
    let page = job.folder.path().join("step-summary.md");
    let more = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", page.to_str().unwrap())];
    let ran = job.script(&["wrap", "--mode", "observe", "--allowlist", ".exeat/coder.toml", "--", "sh", "-c", &job.tries()], &more);
    let words = said(&ran);
    assert_eq!(ran.status.code(), Some(7), "{words}");
    for word in ["OBSERVING: WHAT IS NOT LISTED PASSES", "::warning::exeat only observes agent coder", "other 200\n"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    let named: Vec<&str> = words.lines().filter(|line| line.contains("exeat_")).collect();
    assert!(named.len() == 1 && named[0].starts_with("::add-mask::exeat_"), "{named:?}");
    assert!(fs::read_to_string(&page).unwrap().contains("**Only observed: what is not listed passed.**"));
    assert_eq!(decided(&journal(&job.report()), "other.test")[0]["reason"], "observed");
    let proposed = job.reported("suggested.toml");
    assert!(proposed.contains("last by coder.toml:5"), "the lines moved: {proposed}");
    assert!(proposed.contains("\nagent = \"coder\"\n") && proposed.contains("#host = \"other.test\""), "{proposed}");
}

#[test]
fn a_step_can_be_started_run_and_stopped_one_by_one() {
    let job = Job::new();
    let started = job.script(&["start", "--allowlist", ".exeat/coder.toml"], &[]);
    assert!(started.status.success(), "{}", said(&started));
    let token = token(&job);
    assert_eq!(fs::metadata(job.folder.path().join("exeat-step")).unwrap().permissions().mode() & 0o777, 0o700);
    let again = job.script(&["start", "--allowlist", ".exeat/coder.toml"], &[]);
    assert!(again.status.code() == Some(1) && said(&again).contains("is there already"), "{}", said(&again));
    let ran = job.script(&["run", "--", "sh", "-c", &job.tries()], &[]);
    assert_eq!((ran.status.code(), said(&ran).contains("other 403")), (Some(7), true), "{}", said(&ran));
    assert_eq!(job.script(&["run", "--", "true"], &[]).status.code(), Some(0));
    let stopped = job.script(&["stop"], &[]);
    assert!(stopped.status.success() && said(&stopped).contains("coder: 2 attempts"), "{}", said(&stopped));
    assert!([&started, &ran, &stopped].iter().all(|output| !said(output).contains(&token)));
    assert_eq!(job.script(&["run", "--", "true"], &[]).status.code(), Some(1), "a step ran after the stop");
}

#[test]
fn a_step_that_outlives_its_proxy_fails() {
    let job = Job::new();
    let ends = "kill -9 $(cat \"$RUNNER_TEMP/exeat-step/pid\"); while kill -0 $(cat \"$RUNNER_TEMP/exeat-step/pid\") 2>/dev/null && \
                ! grep -q 'State:.Z' /proc/$(cat \"$RUNNER_TEMP/exeat-step/pid\")/status; do :; done";
    let ran = job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "sh", "-c", ends], &[]);
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));
    assert!(said(&ran).contains("exeat had ended before the step was over"), "{}", said(&ran));
    assert!(job.report().join("journal/proxy-1").is_dir());
}

#[test]
fn what_cannot_be_right_is_refused_before_the_step_and_leaves_nothing() {
    let job = Job::new();
    job.put(".exeat/broken.toml", "agent = \"coder\"\n[[allow]]\nhots = \"listed.test\"\n");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    job.put(".exeat/observed.toml", &job.allowlist(&format!("'observe_until' = \"{soon}\"")));
    // One name is blocked, and everything else passes.
    let hides = job.allowlist(&format!("observe_until = \"{soon}\"\n[[block]]\nhost = \"on-no-list.exeat-step.test\"\n"));
    job.put(".exeat/hides.toml", &hides);
    job.put("floor.toml", "forbid = [\"observe\"]\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, code, words) in [
        (vec!["--allowlist", ".exeat/broken.toml"], 1, "\n.exeat/broken.toml:3:1: found the unknown key \"hots\""),
        (vec!["--allowlist", ".exeat/none.toml"], 1, "cannot read .exeat/none.toml"),
        (vec!["--allowlist", "floor.toml"], 1, "names no agent"),
        (vec!["--allowlist", ".exeat/observed.toml"], 1, "say --mode observe"),
        (vec!["--allowlist", ".exeat/hides.toml"], 1, "say --mode observe"),
        (vec!["--allowlist", ".exeat/coder.toml", "--mode", "observe", "--floor", "floor.toml"], 1, "observe_until, which the floor "),
        (vec!["--allowlist", ".exeat/coder.toml", "--port", &port], 1, "exeat does not start"),
        (vec!["--allowlist", ".exeat/coder.toml", "--exeat", "no-such-program"], 1, "there is no program no-such-program"),
        (vec!["--allowlist", ".exeat/coder.toml", "--mode", "look"], 2, "--mode is enforce or observe"),
        (vec!["--allowlist", ".exeat/coder.toml", "--port", "x"], 2, "--port is a number up to 65535, not x"),
        (vec!["--allowlist", ".exeat/coder.toml", "--port", "65536"], 2, "--port is a number up to 65535, not 65536"),
        (vec!["--allowlst", ".exeat/coder.toml"], 2, "--allowlst is not known"),
        (vec![], 2, "start needs --allowlist FILE"),
    ] {
        let all: Vec<&str> = ["wrap"].into_iter().chain(arguments.iter().copied()).chain(["--", "touch", "ran"]).collect();
        let ran = job.script(&all, &[]);
        assert!(ran.status.code() == Some(code) && said(&ran).contains(words), "{arguments:?} gave {:?}: {}", ran.status, said(&ran));
        assert!(!job.folder.path().join("ran").exists() && !job.folder.path().join("exeat-step").exists(), "{arguments:?} left something");
    }
    let observed = job.script(&["wrap", "--mode", "observe", "--allowlist", ".exeat/observed.toml", "--", "true"], &[]);
    assert!(observed.status.success() && said(&observed).contains("OBSERVING"), "{}", said(&observed));
}

#[test]
fn a_second_step_leaves_the_report_of_the_first_and_says_what_to_do() {
    let job = Job::new();
    let wrap = || job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "true"], &[]);
    assert!(wrap().status.success());
    let (again, summary) = (wrap(), job.reported("summary.md"));
    let words = "exeat-step is there already, with the report of an earlier step: keep or remove it, or name another with --folder\n";
    assert!(again.status.code() == Some(1) && said(&again).ends_with(words) && !summary.is_empty(), "{}", said(&again));
}

#[test]
fn help_that_is_asked_for_is_no_failure() {
    let job = Job::new();
    for arguments in [&["--help"][..], &["-h"], &["wrap", "--help"], &["stop", "-h"]] {
        let ran = job.script(arguments, &[]);
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(
            ran.status.success() && err.is_empty() && out.starts_with("Runs one step") && out.contains("--port N"),
            "{arguments:?}: {out}{err}"
        );
    }
    let inner = job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "printf", "its %s\\n", "--help"], &[]);
    assert!(inner.status.success() && said(&inner).starts_with("its --help\n"), "the command's own is the command's: {}", said(&inner));
}

#[test]
fn what_an_allowlist_includes_and_the_floor_beside_it_come_along() {
    let job = Job::new();
    job.put(
        ".exeat/team.toml",
        &format!("[[allow]]\nhost = \"other.test\"\nport = {}\naddresses = [\"127.0.0.0/8\"]\n", job.origin.port()),
    );
    job.put(".exeat/reader.toml", "agent = \"reader\"\ninclude = [\"readers\"]\n");
    job.put(".exeat/readers.toml", "[[allow]]\nhost = \"other.test\"\n");
    job.put(".exeat/coder.toml", &job.allowlist("include = [\"team\"]"));
    let wrap = || job.script(&["wrap", "--allowlist", ".exeat/coder.toml", "--", "sh", "-c", &job.tries()], &[]);
    let ran = wrap();
    assert!(said(&ran).contains("other 200\n"), "{}", said(&ran));
    fs::remove_dir_all(job.folder.path().join("exeat-step")).unwrap();
    job.put(".exeat/floor.toml", "[[block]]\nhost = \"other.test\"\nbecause = \"not from here\"\n");
    let ran = wrap();
    assert!(said(&ran).contains("other 403\n"), "{}", said(&ran));
}

#[test]
fn the_page_of_the_recipe_does_what_it_says() {
    play(CLAIMS, &mut Job::new());
}

#[test]
fn the_scripts_are_plain_and_without_the_usual_faults() {
    if is_here("shellcheck", runs(&["shellcheck", "--version"])) {
        let scripts = ["ci/exeat-step.sh", "compose/through-exeat.sh", "image.sh", "package.sh"].map(|name| path("deploy").join(name));
        let output = Command::new("shellcheck").args(["-s", "sh"]).args(scripts).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn the_action_only_calls_the_script_and_keeps_its_report() {
    let Some(python) = python("yaml") else { return };
    let action = read_by(&python, "import yaml; value = yaml.safe_load(text)", "deploy/ci/action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let [step, kept] = action["runs"]["steps"].as_array().unwrap().as_slice() else { panic!("{action}") };
    let lines: Vec<&str> = step["run"].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("sh \"$STEP_SCRIPT\" wrap ") && lines[1].ends_with(" -- sh -e -c \"$STEP_RUN\""), "{lines:?}");
    assert!(!step["run"].to_string().contains("${{"), "an input is text of the script");
    assert!(step["env"]["STEP_SCRIPT"].as_str().unwrap().ends_with("/exeat-step.sh"));
    let inputs: Vec<String> = action["inputs"].as_object().unwrap().keys().filter(|name| *name != "artifact").cloned().collect();
    for name in &inputs {
        assert_eq!(step["env"][format!("STEP_{}", name.to_uppercase())], format!("${{{{ inputs.{name} }}}}"));
        assert!(step["run"].as_str().unwrap().contains(&format!("\"$STEP_{}\"", name.to_uppercase())), "{name} is not used");
    }
    let (name, pinned) = kept["uses"].as_str().unwrap().split_once('@').unwrap();
    assert!(name == "actions/upload-artifact" && pinned.len() == 40 && pinned.bytes().all(|byte| byte.is_ascii_hexdigit()), "{kept}");
    assert_eq!((kept["if"].as_str(), kept["with"]["path"].as_str()), (Some("always()"), Some("${{ steps.step.outputs.report }}")));
    the_lines_of_the_action_run(lines.join("\n"));
}

/// As the runner runs them, but for what it puts in place of `${{ }}`.
fn the_lines_of_the_action_run(lines: String) {
    let job = Job::new();
    let output = job.folder.path().join("output");
    let folder = job.folder.path().join("exeat-step").display().to_string();
    let mut command = job.command("sh");
    command.args(["-e", "-c", &lines]).env("GITHUB_OUTPUT", &output).env("STEP_SCRIPT", script()).env("STEP_FOLDER", &folder);
    command.env("STEP_OUTPUT", format!("report={folder}/report")).env("STEP_RUN", job.tries()).env("STEP_MODE", "enforce");
    command.env("STEP_ALLOWLIST", ".exeat/coder.toml").env("STEP_FLOOR", "").env("STEP_SETTINGS", "").env("STEP_EXEAT", "exeat");
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(7), "{}", said(&ran));
    assert!(said(&ran).contains("other 403\n") && job.report().join("summary.md").exists(), "{}", said(&ran));
    assert_eq!(fs::read_to_string(output).unwrap(), format!("report={folder}/report\n"));
}
