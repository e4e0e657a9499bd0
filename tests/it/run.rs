//! `exeat run`: a proxy for one command, questions on the terminal, the command's own exit code.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use rustix::io::FdFlags;

use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::proxy::{decided, exeat, journal, ours};
use crate::support::pty::Terminal;
use crate::support::site::Site;

struct Run {
    site: Site,
    origin: Origin,
}

impl Run {
    fn new() -> Self {
        let (site, origin) = (Site::new(), Origin::http(|request| ok(&format!("reached {}", request.target()))));
        for name in ["listed.test", "held.test"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        Self { site, origin }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/x", self.origin.port())
    }

    /// Without a terminal: a session of its own has none.
    fn quietly(&self, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new("setsid");
        command.arg("--wait").arg(env!("CARGO_BIN_EXE_exeat")).arg("--config").arg(self.site.config()).arg("run").args(arguments);
        for name in ours() {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn on_a_terminal(&self, arguments: &[&str]) -> Terminal {
        let config = self.site.config();
        let argv = [&[env!("CARGO_BIN_EXE_exeat"), "--config", config.to_str().unwrap(), "run"], arguments].concat();
        Terminal::run(&argv, self.site.path(), &[("NO_COLOR", "1"), ("EXEAT_LOG", "error")])
    }
}

#[test]
fn an_unlisted_host_waits_is_answered_on_the_terminal_and_passes() {
    let run = Run::new();
    let mut terminal = run.on_a_terminal(&["--address", "127.0.0.0/8", "--", "curl", "-sS", &run.url("held.test")]);
    terminal.expect("held.test");
    assert!(run.site.dns.queries().is_empty());
    terminal.press("y\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("reached /x"), "{shown}");
    assert!(shown.contains("not enforced"), "it does not say that nothing holds the command in: {shown}");
    let records = journal(&run.site.state());
    assert_eq!(decided(&records, "held.test")[0]["reason"], "approved");
    assert_eq!(decided(&records, "held.test")[0]["separated"], false, "the agent has the approver's uid, and the record does not say so");
}

#[test]
fn a_no_on_the_terminal_reaches_the_command_as_403_with_words() {
    let run = Run::new();
    let mut terminal = run.on_a_terminal(&["--addresses", "127.0.0.0/8", "--", "curl", "-sSi", &run.url("held.test")]);
    terminal.expect("held.test");
    terminal.press("n\n");
    let (_, shown) = terminal.end();
    assert!(shown.contains("HTTP/1.1 403") && shown.contains("\"refused\""), "{shown}");
    assert!(run.origin.connections().is_empty());
}

#[test]
fn keys_pressed_before_the_question_do_not_answer_it() {
    let run = Run::new();
    let script = format!("echo ready; read go; curl -sS {}", run.url("held.test"));
    let mut terminal = run.on_a_terminal(&["--addresses", "127.0.0.0/8", "--", "sh", "-c", &script]);
    terminal.expect("ready");
    terminal.press("go\ny\ny\ny\n");
    terminal.expect("held.test:");
    terminal.press("n\n");
    let (_, shown) = terminal.end();
    assert!(!shown.contains("reached /x"), "type-ahead answered the question: {shown}");
    assert!(run.origin.connections().is_empty());
}

#[test]
fn without_a_terminal_unlisted_is_blocked_and_allow_passes() {
    let run = Run::new();
    let refused = run.quietly(&["--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", &run.url("held.test")]);
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "403", "{refused:?}");
    let host = format!("listed.test:{}", run.origin.port());
    let passed = run.quietly(&["--allow", &host, "--addresses", "127.0.0.0/8", "--", "curl", "-sS", &run.url("listed.test")]);
    assert_eq!(String::from_utf8_lossy(&passed.stdout), "reached /x", "{passed:?}");
}

#[test]
fn the_exit_code_is_the_commands_and_the_summary_is_one_line_on_stderr() {
    let run = Run::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let output = run.quietly(&["--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        assert!(output.stdout.is_empty(), "stdout is the command's: {output:?}");
    }
    let missing = run.quietly(&["--", "nosuch-command-here"]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("nosuch-command-here"), "{missing:?}");
}

#[test]
fn the_command_sees_proxy_variables_in_both_cases_and_nothing_of_exeats() {
    let run = Run::new();
    let of_services = [
        ("NOTIFY_SOCKET", "/nowhere"),
        ("WATCHDOG_USEC", "1000000"),
        ("LISTEN_FDS", "0"),
        ("LISTEN_FDNAMES", "main"),
        ("CREDENTIALS_DIRECTORY", "/nowhere"),
    ];
    let mut command = exeat(Some(&run.site.config()));
    command.env("EXEAT_DNS_TIMEOUT", "2s").envs(of_services).args(["run", "--", "env"]).stdin(Stdio::null());
    let environment = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    for (name, _) in of_services {
        assert!(!environment.lines().any(|line| line.starts_with(name)), "{environment}");
    }
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        let value = environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .unwrap_or_else(|| panic!("no {name} in {environment}"));
        assert!(value.starts_with("http://") && value.contains(":exeat_") && value.contains("@127.0.0.1:"), "{name}={value}");
    }
    assert!(!environment.lines().any(|line| line.starts_with("EXEAT_")), "{environment}");
    assert!(!environment.contains("NO_PROXY=*"), "the command would go around: {environment}");
}

#[test]
fn the_command_has_no_descriptor_beyond_the_three_that_every_program_has() {
    let run = Run::new();
    // As a shell leaves a file open, and a service manager a socket (sd_listen_fds(3)).
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lent = rustix::io::fcntl_dupfd_cloexec(&listener, 60).unwrap();
    rustix::io::fcntl_setfd(&lent, FdFlags::empty()).unwrap();
    let script = "exec 9</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --config \"$1\" run -- ls /dev/fd/";
    let mut command = std::process::Command::new("sh");
    for name in ours() {
        command.env_remove(name);
    }
    command.args(["-c", script, env!("CARGO_BIN_EXE_exeat")]).arg(run.site.config()).stdin(Stdio::null());
    let output = command.output().unwrap();
    // The fourth is the folder that `ls` reads.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n1\n2\n3\n", "{output:?}");
}

#[test]
fn git_proves_its_agent_in_its_first_request() {
    let run = Run::new();
    let host = format!("listed.test:{}", run.origin.port());
    let clone = ["--allow", &host, "--addresses", "127.0.0.0/8", "--", "git", "ls-remote", &run.url("listed.test")];
    let output = run.quietly(&clone);
    let records = journal(&run.site.state());
    let reasons: Vec<_> = records.iter().filter_map(|record| record["reason"].as_str()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == "listed"), "{reasons:?} {output:?}");
}

/// A `curl` that shows nothing but the status.
#[test]
fn the_command_has_no_variable_that_holds_a_secret_of_its_agent() {
    let run = Run::new();
    let inject = "[[inject]]\nhost = \"127.0.0.1\"\nport = 9\nscheme = \"http\"\nheader = \"x-key\"\nvalue = { env = \"INJECTED_KEY\" }\n";
    run.site.agent("c", "[leaks]\nsecrets = [{ env = \"GUARDED_KEY\" }]\n", inject);
    let mut command = exeat(Some(&run.site.config()));
    command.envs([("INJECTED_KEY", "injected-value"), ("GUARDED_KEY", "guarded-value"), ("OTHER_KEY", "kept")]);
    let output = command.args(["run", "--agent", "c", "--", "env"]).stdin(Stdio::null()).output().unwrap();
    let environment = String::from_utf8(output.stdout).unwrap();
    assert!(environment.contains("OTHER_KEY=kept\n"), "{environment}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!environment.contains("_KEY=injected") && !environment.contains("_KEY=guarded"), "{environment}");
}

fn status(url: &str) -> String {
    format!("curl -sS -m 20 -o /dev/null -w '{{%{{http_code}}}}\\n' {url}")
}

#[test]
fn a_command_that_takes_the_terminal_is_not_asked_over_and_afterwards_it_is() {
    for (taken, back) in [("bash -mc \"first; true\"", ""), ("stty -icanon; first", "stty icanon; "), ("stty -echo; first", "stty echo; ")]
    {
        let run = Run::new();
        let first = status(&run.url("listed.test"));
        let script = format!("{}; echo freed; {back}sleep 1; {}", taken.replace("first", &first), status(&run.url("held.test")));
        let mut terminal = run.on_a_terminal(&["--addresses", "127.0.0.0/8", "--", "bash", "-c", &script]);
        terminal.expect("{403}");
        terminal.expect("freed");
        terminal.expect("held.test:");
        terminal.press("y\n");
        let (code, shown) = terminal.end();
        assert_eq!(code, 0, "{taken}: {shown}");
        assert!(shown.contains("{200}") && !shown.contains("exeat: listed.test:"), "{taken}: {shown}");
        assert!(shown.contains("1 question could not be asked while the command had the terminal"), "{taken}: {shown}");
        assert_eq!(decided(&journal(&run.site.state()), "listed.test")[0]["reason"], "unattended", "{taken}: {shown}");
    }
}

#[test]
fn a_question_nobody_answers_in_time_says_so_and_the_next_try_asks_again() {
    let mut run = Run::new();
    run.site.set("hold", "wait", "\"2s\"");
    let curl = status(&run.url("held.test"));
    let mut terminal = run.on_a_terminal(&["--addresses", "127.0.0.0/8", "--", "sh", "-c", &format!("{curl}; echo again; {curl}")]);
    terminal.expect("[n]o, 2 s: ");
    terminal.expect(&format!("exeat: too late, held.test:{} was refused; the next try asks again", run.origin.port()));
    terminal.expect("again");
    terminal.expect_times("[n]o, 2 s: ", 2);
    terminal.press("n\n");
    let (_, shown) = terminal.end();
    assert_eq!(shown.matches("{403}").count(), 2, "{shown}");
}

#[test]
fn an_empty_line_and_a_continued_process_bring_the_question_again() {
    let run = Run::new();
    let script = format!("(sleep 1; kill -CONT $PPID) & {}", status(&run.url("held.test")));
    let mut terminal = run.on_a_terminal(&["--addresses", "127.0.0.0/8", "--", "sh", "-c", &script]);
    let host = format!("exeat: held.test:{} (http, any request; first GET /x) for this-run", run.origin.port());
    let keys = "? [y]es [h]our [a]lways [n]o";
    for (at, press) in [(2, "\n"), (3, "YES\n")] {
        // Between them stands the process that was seen to ask, if it was.
        terminal.expect_times(&host, at);
        terminal.expect_times(keys, at);
        terminal.press(press);
    }
    let (code, shown) = terminal.end();
    assert!(code == 0 && shown.contains("{200}"), "{shown}");
}

#[test]
fn a_wrong_value_of_a_flag_is_a_wrong_use_with_the_fix() {
    let run = Run::new();
    for (flag, value, said) in [
        ("--allow", "a.com,b.com", "--allow, value 1: found \"a.com,b.com\", a list; wanted one host per --allow; fix: repeat the flag"),
        ("--allow", "a.com:99999", "wanted a port from 1 to 65535"),
        ("--allow", "https://api.openai.com/v1", "fix: write --allow api.openai.com"),
        ("--allow", "*.internal", "a whole zone"),
        ("--addresses", "127.0.0.1/8", "fix: write 127.0.0.0/8"),
    ] {
        let output = run.quietly(&[flag, value, "--", "true"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(said), "{flag} {value}: {output:?}");
    }
}
