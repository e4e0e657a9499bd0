//! The real binary: `exeat serve` and the commands beside it, started and ended by their own process id.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::talk::{Answer, Talk};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running `exeat serve`.
pub(crate) struct Proxy {
    /// Where agents connect.
    pub(crate) address: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` are.
    pub(crate) watched: SocketAddr,
    child: Child,
    config: PathBuf,
    state: PathBuf,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

/// `exeat` with a clean environment but for proxy variables that it must not obey.
pub(crate) fn exeat(config: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
    clean(&mut command);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command
}

/// The variables of the test run that the proxy would take for its configuration.
pub(crate) fn ours() -> impl Iterator<Item = std::ffi::OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("EXEAT_"))
}

fn clean(command: &mut Command) {
    for name in ours() {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("NO_PROXY", "*").env("NO_COLOR", "1").env("EXEAT_LOG", "debug,hickory_net=warn,hickory_resolver=warn");
}

/// `exeat serve` under a shell that first runs `before`: limits, ignored signals.
fn served(config: &Path, before: Option<&str>) -> Command {
    let Some(before) = before else {
        let mut command = exeat(Some(config));
        command.arg("serve");
        return command;
    };
    let mut command = Command::new("sh");
    clean(&mut command);
    command.arg("-c").arg(format!("{before}; exec \"$0\" --config \"$1\" serve"));
    command.arg(env!("CARGO_BIN_EXE_exeat")).arg(config);
    command
}

impl Proxy {
    /// Starts and waits until both addresses are printed.
    pub(crate) fn start(config: &Path, state: &Path) -> Self {
        Self::start_under(config, state, None)
    }

    /// As `start`, after shell commands that bind the process.
    pub(crate) fn start_under(config: &Path, state: &Path, before: Option<&str>) -> Self {
        let mut child = served(config, before).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = collect(child.stderr.take().unwrap());
        let (lines, stdout) = lines_of(child.stdout.take().unwrap());
        let (mut address, mut watched) = (None, None);
        let deadline = Instant::now() + PATIENCE;
        while address.is_none() || watched.is_none() {
            let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let _ = child.kill();
                panic!("`exeat serve` did not say where it listens: {:?}\n{}", child.wait(), stderr.lock().unwrap());
            };
            if let Some(url) = line.strip_prefix("proxy main http://") {
                address = url.parse().ok();
            } else if let Some(url) = line.strip_prefix("metrics http://") {
                watched = url.strip_suffix("/metrics").and_then(|url| url.parse().ok());
            }
        }
        let (config, state) = (config.to_owned(), state.to_owned());
        Self { address: address.unwrap(), watched: watched.unwrap(), child, config, state, stdout, stderr }
    }

    /// A new connection of an agent.
    pub(crate) fn talk(&self) -> Talk {
        Talk::to(self.address)
    }

    /// One `GET` on a connection of its own.
    pub(crate) fn get(&self, url: &str, credentials: &str) -> Answer {
        self.talk().get(url, credentials)
    }

    /// Runs another `exeat` command on the same configuration.
    pub(crate) fn exeat(&self, arguments: &[&str]) -> Output {
        exeat(Some(&self.config)).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// As `exeat`, which must succeed; its standard output.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.exeat(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "exeat {arguments:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// Opens `exeat holds --watch`, and waits until questions wait for it.
    pub(crate) fn watch(&self) -> Watcher {
        let mut command = exeat(Some(&self.config));
        command.args(["holds", "--watch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let shown = collect(child.stdout.take().unwrap());
        collect(child.stderr.take().unwrap());
        let watcher = Watcher { child, shown };
        let deadline = Instant::now() + PATIENCE;
        while watcher.shown().is_empty() {
            assert!(Instant::now() < deadline, "`exeat holds --watch` never said that it watches");
            thread::sleep(Duration::from_millis(10));
        }
        watcher
    }

    /// The pending questions.
    pub(crate) fn holds(&self) -> Vec<Value> {
        let text = self.said(&["holds", "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// Waits until so many questions are pending, and so many attempts wait at the first.
    pub(crate) fn until_held(&self, questions: usize, waiting: u64) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let holds = self.holds();
            if holds.len() == questions && holds.first().is_none_or(|hold| hold["waiting"] == waiting) {
                return holds;
            }
            assert!(Instant::now() < deadline, "wanted {questions} questions with {waiting} waiting, got {holds:?}\n{}", self.stderr());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it says where the page is.
    pub(crate) fn people_at(&self) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stdout = self.stdout();
            if let Some(at) = stdout.lines().find_map(|line| line.strip_prefix("page http://")?.strip_suffix('/')?.parse().ok()) {
                return at;
            }
            assert!(Instant::now() < deadline, "no page in {stdout}\n{}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it says where a listener is.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stdout = self.stdout();
            let said = format!("proxy {name} http://");
            if let Some(at) = stdout.lines().find_map(|line| line.strip_prefix(&said)?.parse().ok()) {
                return at;
            }
            assert!(Instant::now() < deadline, "no listener {name} in {stdout}\n{}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All records so far, in the order they were written.
    pub(crate) fn journal(&self) -> Vec<Value> {
        journal(&self.state)
    }

    /// Waits until something holds of the records, and gives them.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let records = self.journal();
            if holds(&records) {
                return records;
            }
            assert!(Instant::now() < deadline, "never recorded: {what}\n{}\n{}", show(&records), self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until every attempt decided has ended, and gives all records.
    pub(crate) fn settled(&self) -> Vec<Value> {
        self.until("an end of every attempt", |records| {
            of_kind(records, "decided").iter().all(|decided| of_kind(records, "ended").iter().any(|ended| ended["id"] == decided["id"]))
        })
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        self.page("/metrics").text()
    }

    /// The sum of a metric over the label sets that hold all of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.metrics();
        let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Whether it says that it is ready, and its words.
    pub(crate) fn readyz(&self) -> Answer {
        self.page("/readyz")
    }

    /// Any page of the metrics listener.
    pub(crate) fn page(&self, path: &str) -> Answer {
        let mut talk = Talk::to(self.watched);
        talk.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.watched));
        talk.answer()
    }

    /// What it said on standard output.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it logged.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.status().is_none()
    }

    /// How it ended, if it has.
    pub(crate) fn status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop\n{}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- records ---\n{}\n--- stderr of exeat ---\n{}", show(&self.journal()), self.stderr());
        }
    }
}

/// An open `exeat holds --watch`.
pub(crate) struct Watcher {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Watcher {
    /// What it shows.
    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All records under a state folder, in the order of their times; a line still being written is left out.
pub(crate) fn journal(state: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    let mut folders = vec![state.join("journal")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = fs::read_to_string(path).unwrap();
                let whole = text.rfind('\n').map_or("", |end| &text[..end]);
                records.extend(
                    whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"))),
                );
            }
        }
    }
    records.sort_by_key(|record| (record["at"].as_str().unwrap().to_owned(), record["seq"].as_u64()));
    records
}

/// The records of one kind.
pub(crate) fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

/// The `decided` records for a host.
pub(crate) fn decided<'a>(records: &'a [Value], host: &str) -> Vec<&'a Value> {
    of_kind(records, "decided").into_iter().filter(|record| record["destination"]["host"] == host).collect()
}

/// The `ended` record of an attempt.
pub(crate) fn ended<'a>(records: &'a [Value], id: &Value) -> &'a Value {
    let all: Vec<_> = of_kind(records, "ended").into_iter().filter(|record| record["id"] == *id).collect();
    assert_eq!(all.len(), 1, "{id} ended {} times:\n{}", all.len(), show(records));
    all[0]
}

fn show(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

fn lines_of(output: impl Read + Send + 'static) -> (mpsc::Receiver<String>, Arc<Mutex<String>>) {
    let (sender, receiver) = mpsc::channel();
    let text: Arc<Mutex<String>> = Arc::default();
    let kept = text.clone();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            kept.lock().unwrap().push_str(&format!("{line}\n"));
            drop(sender.send(line));
        }
    });
    (receiver, text)
}

fn collect(mut output: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text: Arc<Mutex<String>> = Arc::default();
    let kept = text.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
    text
}
