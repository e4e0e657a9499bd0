//! The receiver's process.

use std::cell::{Ref, RefCell};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(crate) fn as_written(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http/protobuf",
        }
    }
}

/// A running receiver.
pub(crate) struct Collector {
    pub(crate) port: u16,
    child: Child,
    file: PathBuf,
    read: RefCell<Read>,
}

/// What of the file was read before, so that a long one is read once.
#[derive(Default)]
struct Read {
    bytes: u64,
    items: Vec<Value>,
}

fn python() -> String {
    std::env::var("EXEAT_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Whether its parts are here; says so if not, and fails if they must be.
pub(crate) fn is_here() -> bool {
    let probe = Command::new(python()).args(["-c", "import grpc, opentelemetry.proto.collector.logs.v1.logs_service_pb2"]).output();
    let here = probe.is_ok_and(|output| output.status.success());
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "grpcio and opentelemetry-proto are not installed");
    if !here {
        eprintln!("NOTICE: grpcio and opentelemetry-proto are not installed, the tests of OTLP are skipped");
    }
    here
}

impl Collector {
    /// Starts one that keeps what it gets in `folder`, beside what an earlier one got there. Port 0 is any.
    pub(crate) fn start(folder: &Path, protocol: Protocol, port: u16, mode: &str) -> Self {
        Self::secured(folder, protocol, port, mode, None)
    }

    /// As `start`, by TLS where there is a folder of `cert.pem` and `key.pem`: gRPC alone.
    pub(crate) fn secured(folder: &Path, protocol: Protocol, port: u16, mode: &str, identity: Option<&Path>) -> Self {
        let file = folder.join("received.jsonl");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/otlp/collector.py");
        let name = if protocol == Protocol::Grpc { "grpc" } else { "http" };
        let mut command = Command::new(python());
        command.arg(script).args([name, &port.to_string()]).arg(&file).arg(mode).args(identity).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening ").and_then(|port| port.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("the receiver does not listen: {line:?}")), child, file, read: RefCell::default() }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything received so far, in order; a line that is being written is left out.
    pub(crate) fn received(&self) -> Ref<'_, [Value]> {
        let mut read = self.read.borrow_mut();
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.file) {
            file.seek(SeekFrom::Start(read.bytes)).unwrap();
            file.read_to_string(&mut text).unwrap();
        }
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        read.bytes += whole as u64;
        read.items.extend(text[..whole].lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        drop(read);
        Ref::map(self.read.borrow(), |read| &read.items[..])
    }

    /// Waits until something holds of what was received.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Ref<'_, [Value]> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let received = self.received();
            if holds(&received) {
                return received;
            }
            // After a long outage it takes as long as there is more to come.
            if received.len() > before {
                (before, since) = (received.len(), Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(90), "never received: {what}; {} items are there", received.len());
            drop(received);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}
