//! The page where people answer: a shell, one style sheet and a few script modules, all part of the binary.
//!
//! It holds no data and needs no log-in; all it shows comes from the API, fetched with the token of whoever looks.

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may load and do: its own files, its own API, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file of the page but the shell: name, kind, text.
const FILES: [(&str, &str, &str); 14] = [
    ("page.css", CSS, include_str!("page.css")),
    ("page.js", SCRIPT, include_str!("page.js")),
    ("agents.js", SCRIPT, include_str!("script/agents.js")),
    ("api.js", SCRIPT, include_str!("script/api.js")),
    ("approvals.js", SCRIPT, include_str!("script/approvals.js")),
    ("attempts.js", SCRIPT, include_str!("script/attempts.js")),
    ("card.js", SCRIPT, include_str!("script/card.js")),
    ("dom.js", SCRIPT, include_str!("script/dom.js")),
    ("keys.js", SCRIPT, include_str!("script/keys.js")),
    ("names.js", SCRIPT, include_str!("script/names.js")),
    ("policy.js", SCRIPT, include_str!("script/policy.js")),
    ("questions.js", SCRIPT, include_str!("script/questions.js")),
    ("tunnels.js", SCRIPT, include_str!("script/tunnels.js")),
    ("words.js", SCRIPT, include_str!("script/words.js")),
];

/// The sections of the page, in the order of their tabs: id and name.
const SECTIONS: [(&str, &str); 6] = [
    ("questions", "Questions"),
    ("approvals", "Approvals"),
    ("attempts", "Attempts"),
    ("tunnels", "Tunnels"),
    ("agents", "Agents"),
    ("policy", "Policy"),
];

/// The shell.
#[derive(Debug, Template)]
#[template(path = "page.html")]
struct Shell {
    version: &'static str,
    sections: [(&'static str, &'static str); 6],
}

/// `/` and the files it loads, for a router of any state.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(shell)).route("/page/{file}", get(file))
}

async fn shell() -> Response {
    let shell = Shell { version: env!("CARGO_PKG_VERSION"), sections: SECTIONS };
    match shell.render() {
        Ok(html) => said(HTML, html),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, text)) => said(kind, *text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn said(kind: &'static str, body: impl IntoResponse) -> Response {
    let headers: [(HeaderName, HeaderValue); 8] = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        // A page of yesterday's exeat would speak yesterday's API.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests;
