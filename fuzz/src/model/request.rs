//! Requests in plain sight, and what rules want of them.

use super::path;
use super::written::Rule;

/// A request, as far as rules look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    /// As sent; one of `PATHS`.
    pub path: &'static str,
    pub query: Option<&'static str>,
    pub content: bool,
    pub websocket: bool,
    pub rewrites: bool,
}

/// Paths as sent, and the one they stand for, if they stand for one.
pub const PATHS: [(&str, Option<&str>); 14] = [
    ("/", Some("/")),
    ("/a", Some("/a")),
    ("/a/", Some("/a/")),
    ("/a/b", Some("/a/b")),
    ("/A/B", Some("/A/B")),
    ("/a/x/../b", Some("/a/b")),
    ("/%61/%62", Some("/a/b")),
    ("/a/b/c", Some("/a/b/c")),
    ("/a/%c3%a9", Some("/a/%C3%A9")),
    ("/a//b", None),
    ("/a%2fb", None),
    ("/a/%2e%2e/b", None),
    ("/a;x/b", None),
    ("/../a", None),
];

/// Queries as sent, and whether `service` is surely, or may be, `git-upload-pack`.
pub const QUERIES: [(Option<&str>, bool, bool); 9] = [
    (None, false, false),
    (Some(""), false, false),
    (Some("service=git-upload-pack"), true, true),
    (Some("x=1&service=git-upload-pack"), true, true),
    (Some("service=git-receive-pack"), false, false),
    (Some("service=git-upload-pack&service=git-receive-pack"), false, true),
    (Some("Service=git-upload-pack"), false, true),
    (Some("service=git-upload-pack;x=1"), false, true),
    (Some("service[]=git-upload-pack"), false, true),
];

/// What the first pattern of `query` in a rule wants.
pub const QUERY: &str = "query = { service = [\"git-upload-pack\"] }\n";

/// Whether an allow rule lets a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permits {
    Yes,
    /// A rule of safe methods refuses bodies.
    NotWithContent,
    No,
}

impl Request {
    /// The path it stands for.
    pub fn normal(&self) -> Option<&'static str> {
        PATHS.iter().find(|(sent, _)| *sent == self.path).expect("paths are of the table").1
    }

    /// The path a question is about: however it is spelled, it is one question.
    pub fn meant(&self) -> &'static str {
        self.normal().unwrap_or(self.path)
    }

    fn asks_for_service(&self) -> (bool, bool) {
        let (_, surely, maybe) = QUERIES.iter().find(|(sent, ..)| *sent == self.query).expect("queries are of the table");
        (*surely, *maybe)
    }
}

/// Every reading of the request must be one that the rule lists.
pub fn permits(rule: &Rule, request: &Request) -> Permits {
    let path =
        rule.paths.is_empty() || request.normal().is_some_and(|normal| rule.paths.iter().any(|wanted| path::matches(wanted, normal)));
    let method = rule.methods.is_empty() || rule.methods.contains(&request.method);
    if !path || !method || rule.query && !request.asks_for_service().0 {
        return Permits::No;
    }
    let safe = ["GET", "HEAD", "OPTIONS"].contains(&request.method);
    if !rule.methods.is_empty() && safe && request.content { Permits::NotWithContent } else { Permits::Yes }
}

/// Some reading of the request is one that the rule lists.
pub fn concerns(rule: &Rule, request: &Request) -> bool {
    let may = |normal: &str| rule.paths.iter().any(|wanted| path::may_match(wanted, normal));
    let path = rule.paths.is_empty() || request.normal().is_none_or(may);
    let method = rule.methods.is_empty() || rule.methods.iter().any(|method| method.eq_ignore_ascii_case(request.method));
    path && method && (!rule.query || request.asks_for_service().1)
}
