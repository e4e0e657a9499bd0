//! Policy P0 of the attack corpus, on ports that are free: agents `a` and `b`, their origins, their names.

use super::dns::Reply;
use super::origin::{Origin, ok};
use super::proxy::Proxy;
use super::site::{Site, credentials};
use super::talk::Answer;
use super::tls::Authority;

/// The policy's world before the proxy runs.
pub(crate) struct P0 {
    pub(crate) site: Site,
    /// `plain.allowed.test`, and whatever else resolves here.
    pub(crate) plain: Origin,
    /// `api.allowed.test` and `*.wild.test`.
    pub(crate) secure: Origin,
    /// Signs the secure origin's certificate.
    pub(crate) authority: Authority,
}

impl P0 {
    /// Agents `a` (unlisted is held) and `b` (unlisted is blocked, nothing of `a`'s is listed).
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let identity = authority.identity(&["api.allowed.test", "*.wild.test", "evil.test", "only-b.allowed.test"]);
        let plain = Origin::http(|request| ok(&format!("plain {}", request.target())));
        let secure = Origin::https(&identity, |request| ok(&format!("secure {}", request.target())));
        let site = Site::new();
        for name in
            ["plain.allowed.test", "api.allowed.test", "*.wild.test", "evil.test", "held.test", "blocked.test", "only-b.allowed.test"]
        {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let p0 = Self { site, plain, secure, authority };
        p0.write_agents("");
        p0
    }

    /// Writes both allowlists; `more` is added to the tables of `a`.
    pub(crate) fn write_agents(&self, more: &str) {
        let ports = format!("port = [{}, {}]\naddresses = [\"127.0.0.0/8\"]", self.plain.port(), self.secure.port());
        let tables = format!(
            r#"
[[allow]]
host = ["api.allowed.test", "plain.allowed.test"]
{ports}
[[allow]]
host = "*.wild.test"
{ports}
[[block]]
host = "blocked.test"
because = "blocked in the tests; use plain.allowed.test"
{more}"#
        );
        self.site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]", &tables);
        self.site.agent("b", "", &format!("[[allow]]\nhost = \"only-b.allowed.test\"\n{ports}"));
    }

    /// Starts the proxy.
    pub(crate) fn start(&self) -> Proxy {
        self.site.start()
    }

    /// The plain origin under a name.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.plain.port())
    }

    /// `host:port` at the plain origin.
    pub(crate) fn at_plain(&self, host: &str) -> String {
        format!("{host}:{}", self.plain.port())
    }

    /// `host:port` at the secure origin.
    pub(crate) fn at_secure(&self, host: &str) -> String {
        format!("{host}:{}", self.secure.port())
    }
}

/// Agent `a`'s header line.
pub(crate) fn a() -> String {
    credentials("a")
}

/// Agent `b`'s header line.
pub(crate) fn b() -> String {
    credentials("b")
}

/// Asserts that an answer is a refusal with this status and reason, well-formed in every part CONTRACT section 4 promises.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?} {}", answer.text());
    let problem = answer.problem();
    assert_eq!(problem["reason"], reason, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["error"], problem["detail"], "npm prints exactly `error`");
    for field in ["type", "title", "detail", "instance", "decision"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field} in {problem}");
    }
    assert!(problem["retryable"].is_boolean(), "no retryable in {problem}");
    let text = answer.text();
    let first = text.lines().next().unwrap();
    assert!(first.len() < 2048 && serde_json::from_str::<serde_json::Value>(first).is_ok(), "the first line is not complete: {first}");
    assert!(answer.phrase.is_ascii() && !answer.phrase.is_empty() && answer.phrase.len() < 120, "reason phrase: {:?}", answer.phrase);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let proxy_status = answer.header("proxy-status").unwrap_or_default();
    assert!(proxy_status.starts_with("exeat; error="), "Proxy-Status: {proxy_status:?}");
    assert!(problem["instance"].as_str().unwrap().contains(&answer.attempt()), "{problem} names another attempt than {}", answer.attempt());
}
