//! A real Prometheus that scrapes one exeat every second and evaluates the rules of `deploy/observability`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::talk::Talk;

const PATIENCE: Duration = Duration::from_secs(30);

/// Running, with its data in a folder of its own.
pub(super) struct Prometheus {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

/// A file of `deploy/observability`.
pub(super) fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/observability").join(name)
}

/// Whether both programs are here; says so if not, and fails if they must be.
pub(crate) fn is_here() -> bool {
    let is_run =
        |name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|run| run.success());
    let here = is_run("prometheus") && is_run("promtool");
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "prometheus and promtool are not installed");
    if !here {
        eprintln!("NOTICE: prometheus and promtool are not installed, what they would say is not known");
    }
    here
}

impl Prometheus {
    /// Starts one; another port if somebody was faster.
    pub(super) fn watching(exeat: SocketAddr) -> Self {
        let folder = TempDir::with_prefix("exeat-prometheus-").unwrap();
        let config = folder.path().join("prometheus.yaml");
        let rules = deployed("prometheus-rules.yaml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs:\n  - job_name: exeat\n    static_configs: [{{targets: ['{exeat}']}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        for turn in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let mut command = Command::new("prometheus");
            command.arg(format!("--config.file={}", config.display())).arg(format!("--web.listen-address={address}"));
            command.arg(format!("--storage.tsdb.path={}", folder.path().join(format!("data-{turn}")).display()));
            command.args(["--enable-feature=exemplar-storage", "--log.level=warn"]);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            if is_ready(&mut child, address) {
                return Self { address, child, _folder: folder };
            }
            let _ = (child.kill(), child.wait());
        }
        panic!("prometheus does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap());
    }

    /// Where it answers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its API says at a path with a query.
    pub(super) fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let mut talk = Talk::to(self.address);
        talk.send(format!("GET /api/v1/{path}?{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", query.join("&"), self.address));
        let answer = talk.answer();
        let said: Value = serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
        assert_eq!(said["status"], "success", "{path} {query:?}: {said}");
        said["data"].clone()
    }

    /// The numbers an expression comes to now.
    pub(super) fn values(&self, expression: &str) -> Vec<f64> {
        let data = self.api("query", &[("query", expression)]);
        let number = |sample: &Value| sample["value"][1].as_str().and_then(|text| text.parse().ok());
        data["result"].as_array().unwrap().iter().filter_map(number).filter(|number: &f64| !number.is_nan()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(child: &mut Child, address: SocketAddr) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        if let Some(mut talk) = Talk::try_to(address) {
            talk.send(format!("GET /-/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
            if talk.answer().status == 200 {
                return true;
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
