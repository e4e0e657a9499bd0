//! A reader at a desk: a folder, `exeat` in the search path, names that resolve, a shell, and what was started and goes on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::proxy::ours;
use crate::support::pty::Terminal;
use crate::support::site::Site;

/// The reader. Lines are run in the folder of `site`, which is the home as well.
pub(crate) struct Reader {
    pub(crate) site: Site,
    /// What each line and text is read as: written, meant.
    pub(crate) stand_ins: Vec<(&'static str, String)>,
    /// Added to the environment of each line.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Reader {
    pub(crate) fn new(site: Site) -> Self {
        fs::create_dir(site.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_exeat"), site.path().join("bin/exeat")).unwrap();
        Self { site, stand_ins: Vec::new(), environment: Vec::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.site.path()
    }

    /// What is meant on this machine by what is written for every one.
    pub(crate) fn meant(&self, text: &str) -> String {
        self.stand_ins.iter().fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
    }

    /// The environment of each line.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let path = format!("{}:{}", self.folder().join("bin").display(), std::env::var("PATH").unwrap());
        let home = self.folder().display().to_string();
        let common = [("PATH", path), ("HOME", home), ("NO_COLOR", "1".into()), ("EXEAT_LOG", "error".into())];
        common.into_iter().chain(self.environment.clone()).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        for name in ours() {
            command.env_remove(name);
        }
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.args(["-e", "-c", script]).current_dir(self.folder()).envs(self.variables());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs lines to their end.
    pub(crate) fn ran(&self, lines: &str) -> Output {
        self.shell(&self.meant(lines)).output().unwrap()
    }

    /// As `ran`, which must succeed; what it printed.
    pub(crate) fn said(&self, lines: &str) -> String {
        self.said_with(lines, 0)
    }

    /// As `ran`, which must end with this code; what it printed.
    pub(crate) fn said_with(&self, lines: &str, code: i32) -> String {
        let output = self.ran(lines);
        assert_eq!(output.status.code(), Some(code), "{lines}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a line that goes on.
    pub(crate) fn start(&self, line: &str) -> Background {
        Background::start(self.shell(&format!("exec {}", self.meant(line))))
    }

    /// Runs a line at a terminal, as a person would.
    pub(crate) fn on_a_terminal(&self, line: &str) -> Terminal {
        let variables = self.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Terminal::run(&["sh", "-c", &self.meant(line)], self.folder(), &variables)
    }

    /// Runs the commands of a `console` block one by one, and finds what it shows in what they print.
    pub(crate) fn plays(&self, text: &str) {
        let mut printed = String::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                printed = self.said(command);
            } else {
                assert!(printed.contains(line), "{line:?} is shown, {printed:?} was printed");
            }
        }
    }
}

/// A line that goes on while later ones run.
pub(crate) struct Background {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Background {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, lines }
    }

    /// Waits for a line that holds `text`.
    pub(crate) fn expect(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => panic!("never printed {text:?}"),
            }
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that nobody has, for who has to write one down.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let all = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    all.map(|listener| listener.local_addr().unwrap().port())
}

/// The lines of a block, which must be as many as the test runs.
pub(crate) fn lines<const N: usize>(text: &str) -> [&str; N] {
    let lines: Vec<&str> = text.lines().collect();
    lines.try_into().unwrap_or_else(|lines: Vec<&str>| panic!("the test runs {N} lines, the page has {lines:#?}"))
}
