//! `[journal]` and `[telemetry]`: how records are kept, and where they are exported.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::draft::Draft;
use super::read::{DAY, HOUR, Origin, duration, path, set, size};
use crate::policy::document::{Table, one_of};

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// When a record counts as written.
    pub durability: Durability,
    /// The bytes after which a segment is closed.
    pub segment: u64,
    /// How long segments are kept.
    pub keep: Duration,
    /// The bytes all segments may have; above them the oldest go, whether sinks have them or not.
    pub max: u64,
    /// A folder to which checkpoints are appended as well.
    pub checkpoints: Option<PathBuf>,
}

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the system has it: a kill of the process loses nothing.
    Process,
    /// Once the disk has it: a power failure loses nothing.
    Disk,
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The OTLP collector.
    pub otlp: Option<Otlp>,
    /// Records go to standard output, one JSON object a line.
    pub stdout: bool,
    /// Metrics name agents.
    pub agent_label: bool,
    /// Who is posted batches of records.
    pub webhook: Option<Webhook>,
    /// The file of OCSF events.
    pub ocsf: Option<PathBuf>,
}

/// Where OTLP goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// `http` or `https`, host, port, and the path before `/v1/logs`; no userinfo, no query.
    pub url: Uri,
    /// How it is spoken.
    pub protocol: OtlpProtocol,
    /// A file of `name: value` lines that go along as headers or metadata.
    pub headers_file: Option<PathBuf>,
    /// A PEM file of certificate authorities beside the system's.
    pub ca: Option<PathBuf>,
    /// The share of allowed attempts that are traced, 0 to 1. Refused and held ones always are.
    pub sample: f64,
    /// How often metrics are pushed; `None` is never.
    pub metrics: Option<Duration>,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf by HTTP POST.
    Http,
}

/// `[telemetry.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `http` or `https`; no userinfo.
    pub url: Uri,
    /// The file of the signing secret.
    pub secret_file: PathBuf,
    /// A PEM file of certificate authorities beside the system's.
    pub ca: Option<PathBuf>,
}

/// What has been said of `[telemetry]` so far.
#[derive(Debug)]
pub(super) struct DraftTelemetry {
    url: Option<Uri>,
    protocol: OtlpProtocol,
    headers_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    sample: f64,
    metrics: Option<Duration>,
    stdout: bool,
    agent_label: bool,
    webhook: DraftWebhook,
    ocsf: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct DraftWebhook {
    url: Option<Uri>,
    secret_file: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { durability: Durability::Process, segment: 64 << 20, keep: 30 * DAY, max: 10 << 30, checkpoints: None }
    }
}

impl Default for DraftTelemetry {
    fn default() -> Self {
        Self {
            url: None,
            protocol: OtlpProtocol::Grpc,
            headers_file: None,
            ca: None,
            sample: 1.0,
            metrics: Some(Duration::from_secs(60)),
            stdout: false,
            agent_label: true,
            webhook: DraftWebhook::default(),
            ocsf: None,
        }
    }
}

impl DraftTelemetry {
    /// What lacks the other half it needs is a sentence: found, wanted, fix.
    pub(super) fn finish(self) -> (Telemetry, Vec<[&'static str; 3]>) {
        let Self { url, protocol, headers_file, ca, sample, metrics, stdout, agent_label, webhook, ocsf } = self;
        let mut lacking = Vec::new();
        if url.is_none() && (headers_file.is_some() || ca.is_some()) {
            lacking.push([
                "headers_file or ca in [telemetry] without otlp",
                "the collector they are for",
                "write otlp = \"http://collector:4317\"",
            ]);
        }
        let otlp = url.map(|url| Otlp { url, protocol, headers_file, ca, sample, metrics });
        let webhook = match (webhook.url, webhook.secret_file, webhook.ca) {
            (Some(url), Some(secret_file), ca) => Some(Webhook { url, secret_file, ca }),
            (None, None, None) => None,
            (None, _, _) => {
                lacking.push(["[telemetry.webhook] without url", "where batches are posted", "write url = \"https://…\""]);
                None
            }
            (Some(_), None, _) => {
                let fix = "write secret_file = \"PATH\": the secret that signs each batch";
                lacking.push(["[telemetry.webhook] without secret_file", "the file of the secret that signs", fix]);
                None
            }
        };
        (Telemetry { otlp, stdout, agent_label, webhook, ocsf }, lacking)
    }
}

pub(super) fn journal(mut table: Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    let journal = &mut draft.journal;
    if let Some(item) = table.take("durability") {
        let words = [("process", Durability::Process), ("disk", Durability::Disk)];
        set(&mut journal.durability, item.parse("when a record counts as written", |text| one_of(&words, text)));
    }
    set(&mut journal.segment, size(&mut table, "segment", 64 << 10, 16 << 30));
    set(&mut journal.keep, duration(&mut table, "keep", HOUR, 3650 * DAY));
    set(&mut journal.max, size(&mut table, "max", 1 << 20, 1 << 50));
    if let Some(folder) = path(&mut table, "checkpoints", origin) {
        journal.checkpoints = Some(folder);
    }
}

pub(super) fn telemetry(mut table: Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    let telemetry = &mut draft.telemetry;
    if let Some(item) = table.take("otlp") {
        telemetry.url = item.parse("the URL of a collector", url).or(telemetry.url.take());
    }
    if let Some(item) = table.take("protocol") {
        let words = [("grpc", OtlpProtocol::Grpc), ("http/protobuf", OtlpProtocol::Http)];
        set(&mut telemetry.protocol, item.parse("a protocol of OTLP", |text| one_of(&words, text)));
    }
    telemetry.headers_file = path(&mut table, "headers_file", origin).or(telemetry.headers_file.take());
    telemetry.ca = path(&mut table, "ca", origin).or(telemetry.ca.take());
    if let Some(item) = table.take("sample") {
        set(&mut telemetry.sample, item.parse("a share of allowed attempts", share));
    }
    if let Some(item) = table.take("metrics") {
        set(&mut telemetry.metrics, item.parse("how often metrics are pushed", interval));
    }
    if let Some(item) = table.take("stdout") {
        set(&mut telemetry.stdout, item.flag());
    }
    if let Some(item) = table.take("agent_label") {
        set(&mut telemetry.agent_label, item.parse("whether metrics name agents", |text| one_of(&[("agent", true), ("off", false)], text)));
    }
    if let Some(mut table) = table.table("webhook") {
        if let Some(item) = table.take("url") {
            telemetry.webhook.url = item.parse("a URL", url).or(telemetry.webhook.url.take());
        }
        telemetry.webhook.secret_file = path(&mut table, "secret_file", origin).or(telemetry.webhook.secret_file.take());
        telemetry.webhook.ca = path(&mut table, "ca", origin).or(telemetry.webhook.ca.take());
    }
    if let Some(mut table) = table.table("ocsf")
        && let Some(file) = table.require("file", "write file = \"PATH\"").and_then(|item| item.parse("a path", |text| origin.path(text)))
    {
        telemetry.ocsf = Some(file);
    }
}

/// A URL of a back end: what it says beside scheme, host, port and path would be lost or shown.
fn url(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_| "write it like https://collector.example:4317")?;
    let authority = url.authority().ok_or("begin it with http:// or https:// and a host")?;
    match url.scheme_str() {
        Some("http" | "https") => {}
        Some(_) | None => return Err("begin it with http:// or https://"),
    }
    if authority.as_str().contains('@') {
        return Err("leave credentials out: they belong in headers_file or secret_file");
    }
    if authority.host().is_empty() || url.port().is_some_and(|port| port.as_u16() == 0) {
        return Err("name a host, and a port that is not 0");
    }
    if url.query().is_some() { Err("leave the query out") } else { Ok(url) }
}

fn share(text: &str) -> Result<f64, &'static str> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'%');
    number.filter(|number| digits && (0.0..=100.0).contains(number)).map(|number| number / 100.0).ok_or("write \"0%\" to \"100%\"")
}

fn interval(text: &str) -> Result<Option<Duration>, &'static str> {
    let wrong = "write a duration from \"1s\" to \"1h\", or \"off\"";
    match text {
        "off" => Ok(None),
        _ => {
            crate::policy::units::duration(text).ok().filter(|every| (Duration::from_secs(1)..=HOUR).contains(every)).map(Some).ok_or(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_back_end_is_scheme_host_port_and_path() {
        for text in ["http://collector:4317", "https://c.example/otlp", "http://[::1]:1", "http://127.0.0.1:4318/"] {
            assert!(url(text).is_ok(), "{text}");
        }
        for text in ["collector:4317", "grpc://c:1", "http://", "http://a:b@c", "http://c/?k=v", "http://c:0", "c", "/x", ""] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_a_percentage() {
        for (text, wanted) in [("0%", Ok(0.0)), ("100%", Ok(1.0)), ("12.5%", Ok(0.125))] {
            assert_eq!(share(text), wanted, "{text}");
        }
        for text in ["", "%", "1", "101%", "-1%", "1e1%", "nan%", "inf%", " 1%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
