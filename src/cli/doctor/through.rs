//! What the proxy does for an agent: what is listed passes, what is not is refused by exeat itself, and nobody passes unproven.

use std::time::Duration;

use tokio::time::Instant;

use super::proxy::ProxyUrl;
use super::tries::addresses;
use super::way::{Outcome, Place, Try, silence};
use super::wire::{self, Answer, Silence};
use crate::cli::Usage;
use crate::policy::destination::{Destination, Port};
use crate::policy::host::Host;
use crate::text::{plain, trouble};

/// Of what others say no more is shown.
const SHOWN: usize = 200;

/// A name that exeat always refuses (RFC 6761, section 6.4), but not before it knows who asks.
const NOWHERE: &str = "exeat-doctor.invalid:443";

/// What is tried through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As it was written.
    url: String,
    tls: bool,
    at: Destination,
}

/// What the answer should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It passes.
    Listed,
    /// Exeat refuses it.
    Unlisted,
    /// Exeat asks who is there.
    Unproven,
}

impl Target {
    /// Reads an `http` or `https` URL.
    pub(super) fn parse(url: &str) -> Result<Self, Usage> {
        let example =
            if url.contains("://") { "http://HOST/ or https://HOST/".to_owned() } else { format!("https://{}/", plain(url, SHOWN)) };
        let wrong = || Usage(format!("{} is no URL to try; pass {example}", plain(url, SHOWN)));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let port = Port::parse(if tls { "443" } else { "80" }).map_err(|_| wrong())?;
        let at = Destination::parse_with_default_port(authority, port).map_err(|_| wrong())?;
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ok(Self { url: url.to_owned(), tls, at })
    }

    /// The host, and whether it is asked by TLS.
    pub(super) fn host(&self) -> (&Host, bool) {
        (&self.at.host, self.tls)
    }

    fn question(&self, authorization: &str) -> String {
        let Self { url, tls, at } = self;
        if *tls {
            format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n{authorization}\r\n")
        } else {
            let url = url.split('#').next().unwrap_or_default();
            format!("GET {url} HTTP/1.1\r\nHost: {at}\r\n{authorization}Connection: close\r\n\r\n")
        }
    }
}

/// Asks the proxy for a target, and judges what it answers.
pub(super) async fn one(proxy: &ProxyUrl, target: &Target, wanted: Wanted, within: Duration) -> Try {
    let authorization = if wanted == Wanted::Unproven { String::new() } else { proxy.authorization() };
    let asked = ask(proxy, &target.question(&authorization), Instant::now() + within).await;
    let (result, known, fix) = match asked {
        Ok(answer) => judged(&answer, wanted),
        Err(words) => (Outcome::Fails, words.unwrap_or_else(|| silence(within)), Some(wanted.on_silence())),
    };
    let way = match wanted {
        Wanted::Listed => "listed",
        Wanted::Unlisted => "unlisted",
        Wanted::Unproven => "no-token",
    };
    Try { way, to: target.url.clone(), result, known, fix: fix.map(str::to_owned) }
}

/// Whether exeat asks who is there, although the proxy's URL is all that a client has. Where nobody answers, that is not known.
pub(super) async fn is_refused(proxy: &ProxyUrl, within: Duration) -> bool {
    let question = format!("CONNECT {NOWHERE} HTTP/1.1\r\nHost: {NOWHERE}\r\n{}\r\n", proxy.authorization());
    let asked = ask(proxy, &question, Instant::now() + within).await;
    asked.is_ok_and(|answer| answer.by_exeat && answer.status == Some(407))
}

async fn ask(proxy: &ProxyUrl, question: &str, end: Instant) -> Result<Answer, Option<String>> {
    let mut last = "the proxy's name has no address".to_owned();
    let Destination { host, port } = &proxy.at;
    for address in addresses(&Place::of(host, port.number()), end).await? {
        let mut stream = match wire::connect(address, end).await {
            Ok(stream) => stream,
            Err(Silence::Late) => return Err(None),
            Err(Silence::Error(kind)) => {
                last = format!("the proxy cannot be reached: {}", trouble(kind));
                continue;
            }
        };
        return wire::ask(&mut stream, question, end).await.map_err(|silence| match silence {
            Silence::Late => None,
            Silence::Error(kind) => Some(format!("the proxy did not answer: {}", trouble(kind))),
        });
    }
    Err(Some(last))
}

fn judged(answer: &Answer, wanted: Wanted) -> (Outcome, String, Option<&'static str>) {
    let Some(status) = answer.status else {
        return (Outcome::Fails, "what answers is no HTTP proxy".to_owned(), Some("correct the proxy's URL"));
    };
    let by = if answer.by_exeat { "exeat" } else { "somebody who is not exeat" };
    let known = format!("{status} {} (by {by})", plain(&answer.phrase, SHOWN));
    let passed = !answer.by_exeat && status < 500;
    let good = match wanted {
        Wanted::Listed => passed && status != 407,
        Wanted::Unlisted => answer.by_exeat && status == 403,
        Wanted::Unproven => answer.by_exeat && status == 407,
    };
    if good {
        return (Outcome::Works, if wanted == Wanted::Listed { format!("{status} came back") } else { known }, None);
    }
    match wanted {
        Wanted::Listed => (Outcome::Fails, known, Some(to_pass(status, answer.by_exeat))),
        Wanted::Unlisted if passed => {
            (Outcome::Open, known, Some("take the host out of the allowlist, or pass --unlisted with one that is in none"))
        }
        Wanted::Unproven if passed => (Outcome::Open, known, Some("this proxy asks nobody for a token: is it exeat?")),
        Wanted::Unlisted | Wanted::Unproven => (
            Outcome::Fails,
            known,
            Some("the refusal is not the one of exeat that was wanted: see the token, the proxy's URL, and `exeat log`"),
        ),
    }
}

/// What to do where that does not pass which is to.
fn to_pass(status: u16, by_exeat: bool) -> &'static str {
    match (by_exeat, status) {
        (true, 407) => "give the proxy's URL the agent's token: `exeat token AGENT` prints it",
        (true, 502 | 504) => "the policy lets it pass, and the way there fails: see `exeat log`, and whether exeat itself gets there",
        (true, 503) => "exeat is at a limit or cannot record: see `exeat doctor` where it runs",
        (true, _) => "list the host in the agent's allowlist: `exeat explain AGENT URL` says what it gets",
        (false, 407) => "this proxy is not exeat: correct the proxy's URL",
        (false, _) => "the answer came from behind exeat: try another --listed",
    }
}

impl Wanted {
    fn on_silence(self) -> &'static str {
        match self {
            Wanted::Listed => "let the agent reach the proxy's port; if it does, see `exeat holds` and `exeat log`",
            Wanted::Unlisted => {
                "let the agent reach the proxy's port; if what is not listed is held for a person, pass --unlisted with a host that is blocked"
            }
            Wanted::Unproven => "let the agent reach the proxy's port",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_was_wanted_and_by_who_gave_it() {
        use Outcome::{Fails, Open, Works};
        use Wanted::{Listed, Unlisted, Unproven};
        let rows = [
            (Some(200), false, [Works, Open, Open]),
            (Some(404), false, [Works, Open, Open]),
            (Some(407), false, [Fails, Open, Open]),
            (Some(502), false, [Fails, Fails, Fails]),
            (Some(403), true, [Fails, Works, Fails]),
            (Some(407), true, [Fails, Fails, Works]),
            (Some(502), true, [Fails, Fails, Fails]),
            (None, false, [Fails, Fails, Fails]),
        ];
        for (status, by_exeat, expected) in rows {
            let answer = Answer { status, phrase: "x".into(), by_exeat, body: String::new() };
            assert_eq!([Listed, Unlisted, Unproven].map(|wanted| judged(&answer, wanted).0), expected, "{answer:?}");
        }
    }

    #[test]
    fn what_is_listed_and_does_not_pass_is_told_with_what_would_let_it() {
        for (status, by_exeat, fix) in [
            (403, true, "list the host"),
            (407, true, "give the proxy's URL the agent's token"),
            (502, true, "the policy lets it pass, and the way there fails"),
            (504, true, "the policy lets it pass, and the way there fails"),
            (503, true, "exeat is at a limit"),
            (407, false, "this proxy is not exeat"),
            (502, false, "the answer came from behind exeat"),
        ] {
            let answer = Answer { status: Some(status), phrase: "x".into(), by_exeat, body: String::new() };
            let said = judged(&answer, Wanted::Listed).2;
            assert!(said.is_some_and(|said| said.starts_with(fix)), "{status} {by_exeat}: {said:?}");
        }
    }

    #[test]
    fn a_target_is_asked_for_as_a_client_does() {
        let https = Target::parse("https://api.example/x").unwrap();
        assert_eq!(https.question("A: b\r\n"), "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\nA: b\r\n\r\n");
        let http = Target::parse("http://api.example:8080/x?y#z").unwrap();
        let expected = "GET http://api.example:8080/x?y HTTP/1.1\r\nHost: api.example:8080\r\nConnection: close\r\n\r\n";
        assert_eq!(http.question(""), expected);
        for url in ["api.example", "ftp://a/", "http://", "https://a b/", "http://a/\r\nx"] {
            assert!(Target::parse(url).is_err(), "{url:?}");
        }
    }
}
