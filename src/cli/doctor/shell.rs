//! The proxy variables of this shell: whether they lead to this exeat with a token it takes.

use std::time::Duration;

use super::finding::Finding;
use super::proxy::ProxyUrl;
use super::{past, through};
use crate::cli::env::PROXIES;

const ABOUT: &str = "variables";

/// What clients read: some the one, some the other.
const PAIRS: [[&str; 2]; 2] = [["http_proxy", "HTTP_PROXY"], ["https_proxy", "HTTPS_PROXY"]];

/// How a shell gets them. Where no listener is the agent's own, a token has to be among them.
pub(super) const FIX: &str = "eval \"$(exeat env)\", or with a token: eval \"$(exeat token AGENT | exeat env --url -)\"";

/// That no variable leads anywhere, where that is so: bad where a client is to go through the proxy.
pub(super) fn unset(variable: impl Fn(&str) -> Option<String>, listed: &[String]) -> Option<Finding> {
    const TEXT: &str = "no proxy variable is set here: programs started here go direct";
    if PROXIES.into_iter().filter_map(variable).any(|value| !value.is_empty()) {
        return None;
    }
    let by_flag = || format!("pass --proxy URL, as `exeat token AGENT` prints it; or {FIX}");
    Some(if listed.is_empty() { Finding::warn(ABOUT, TEXT, FIX) } else { Finding::bad(ABOUT, TEXT, by_flag()) })
}

/// What is odd in the variables. `ours` are the addresses that exeat listens on, as a client here writes them; `None` where that is not known.
pub(super) async fn look(variable: impl Fn(&str) -> Option<String>, ours: Option<&[String]>, within: Duration) -> Vec<Finding> {
    let mut findings = set_wrong(&variable, ours);
    let mut asked = Vec::new();
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        let Some(proxy) = variable(name).and_then(|value| ProxyUrl::parse(&value).ok()) else { continue };
        if ours.is_some_and(|ours| leads_here(&proxy, ours)) && !asked.contains(&proxy) {
            findings.extend(unproven(name, &proxy, within).await);
            asked.push(proxy);
        }
    }
    match ours {
        Some(_) if findings.is_empty() => vec![Finding::ok(ABOUT, "the proxy variables of this shell lead here")],
        Some(_) | None => findings,
    }
}

/// Asks the proxy whether it takes the token.
pub(super) async fn unproven(name: &str, proxy: &ProxyUrl, within: Duration) -> Option<Finding> {
    let has = if proxy.proves() { "has no token that exeat takes" } else { "has no token of an agent" };
    let refused = through::is_refused(proxy, within).await;
    refused
        .then(|| Finding::bad(ABOUT, format!("{name} {has}: every request gets 407"), "eval \"$(exeat token AGENT | exeat env --url -)\""))
}

fn set_wrong(variable: impl Fn(&str) -> Option<String>, ours: Option<&[String]>) -> Vec<Finding> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut findings = Vec::new();
    for [lower, upper] in PAIRS {
        match (set(lower), set(upper)) {
            (None, None) => findings.push(Finding::warn(ABOUT, format!("{upper} is not set: programs started here go direct"), FIX)),
            (Some(one), Some(other)) if one != other => {
                findings.push(Finding::warn(ABOUT, format!("{lower} and {upper} differ, and programs differ in which they read"), FIX));
            }
            (Some(_), None) => findings.push(Finding::warn(ABOUT, format!("{upper} is not set, and some programs read no other"), FIX)),
            (None, Some(_)) if lower == "http_proxy" => {
                findings.push(Finding::warn(ABOUT, "http_proxy is not set, and curl reads no other for http", FIX));
            }
            (None | Some(_), Some(_)) => {}
        }
        for value in [lower, upper].into_iter().filter_map(set) {
            findings.extend(ours.and_then(|ours| leads_elsewhere(upper, &value, ours)));
        }
    }
    findings.extend(past::odd(set));
    if set("NODE_USE_ENV_PROXY").is_none_or(|value| value != "1") {
        findings.push(Finding::warn(ABOUT, "NODE_USE_ENV_PROXY is not 1: Node reads no proxy variable without it", FIX));
    }
    findings.dedup();
    findings
}

pub(super) fn leads_here(proxy: &ProxyUrl, ours: &[String]) -> bool {
    let at = proxy.at.to_string();
    ours.contains(&at) || ours.contains(&at.replace("localhost", "127.0.0.1"))
}

fn leads_elsewhere(name: &str, value: &str, ours: &[String]) -> Option<Finding> {
    match ProxyUrl::parse(value) {
        Err(_) => Some(Finding::bad(ABOUT, format!("{name} is no URL of this proxy"), FIX)),
        Ok(proxy) => (!leads_here(&proxy, ours))
            .then(|| Finding::warn(ABOUT, format!("{name} leads to {}, which is no listener of this configuration", proxy.at), FIX)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::super::finding::Level;
    use super::*;

    fn said(set: &[(&str, &str)]) -> Vec<(Level, String)> {
        let find = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        set_wrong(find, Some(&["127.0.0.1:3128".into(), "[::1]:3128".into()])).into_iter().map(|one| (one.level, one.text)).collect()
    }

    #[test]
    fn what_exeat_env_sets_is_good_and_any_change_of_it_is_told() {
        let good = super::super::super::env::variables("http://a:exeat_secret@127.0.0.1:3128");
        let good: Vec<(&str, &str)> = good.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(said(&good), []);
        let rows = [
            ("HTTPS_PROXY", "", "HTTPS_PROXY is not set, and some programs read no other"),
            ("http_proxy", "", "http_proxy is not set, and curl reads no other for http"),
            ("https_proxy", "http://localhost:3128", "https_proxy and HTTPS_PROXY differ, and programs differ in which they read"),
            ("NO_PROXY", "*", "NO_PROXY holds *: programs go direct for everything"),
            ("no_proxy", "10.0.0.0/8", "no_proxy holds 10.0.0.0/8: several clients do not read ranges, and some go direct because of one"),
            ("NODE_USE_ENV_PROXY", "0", "NODE_USE_ENV_PROXY is not 1: Node reads no proxy variable without it"),
        ];
        for (name, value, expected) in rows {
            let changed: Vec<(&str, &str)> = good.iter().map(|(of, is)| (*of, if *of == name { value } else { *is })).collect();
            assert_eq!(said(&changed), [(Level::Warn, expected.to_owned())]);
        }
    }

    #[test]
    fn variables_of_which_none_is_set_are_told_once() {
        let none = |name: &str| (name == "HTTP_PROXY").then(String::new);
        assert_eq!(unset(none, &[]).map(|one| one.level), Some(Level::Warn));
        assert_eq!(unset(none, &["https://a.test/".to_owned()]).map(|one| one.level), Some(Level::Bad));
        for name in PROXIES {
            assert_eq!(unset(|of| (of == name).then(|| "http://a.test:1".to_owned()), &[]), None);
        }
    }

    /// A proxy that answers one connection.
    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = Vec::new();
            while !said.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                said.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(said).unwrap()
        });
        (at, heard)
    }

    #[tokio::test]
    async fn variables_without_a_token_that_is_taken_are_bad() {
        const UNKNOWN: &str = "HTTP/1.1 407 x\r\nProxy-Status: exeat; error=x\r\nContent-Length: 0\r\n\r\n";
        const REFUSED: &str = "HTTP/1.1 403 x\r\nProxy-Status: exeat; error=x\r\nContent-Length: 0\r\n\r\n";
        let good = (Level::Ok, "the proxy variables of this shell lead here");
        let rows = [
            ("", UNKNOWN, (Level::Bad, "HTTPS_PROXY has no token of an agent: every request gets 407")),
            ("a:exeat_secret@", UNKNOWN, (Level::Bad, "HTTPS_PROXY has no token that exeat takes: every request gets 407")),
            ("a:exeat_secret@", REFUSED, good),
            ("", REFUSED, good),
        ];
        for (credential, answer, expected) in rows {
            let (at, heard) = answering(answer);
            let set = super::super::super::env::variables(&format!("http://{credential}{at}"));
            let find = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
            let found = look(find, Some(&[at]), Duration::from_secs(60)).await;
            let told: Vec<_> = found.iter().map(|one| (one.level, one.text.as_str())).collect();
            assert_eq!(told, [expected], "{credential} {answer}");
            let asked = heard.join().unwrap();
            assert!(asked.starts_with("CONNECT exeat-doctor.invalid:443 HTTP/1.1\r\n"), "{asked}");
            assert_eq!(asked.contains("Proxy-Authorization: Basic "), !credential.is_empty(), "{asked}");
        }
    }

    #[test]
    fn a_proxy_elsewhere_is_told_without_its_token() {
        let elsewhere = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"].map(|name| (name, "http://a:exeat_secret@10.0.0.1:1"));
        let told = said(&elsewhere);
        assert!(
            told.iter().any(|(_, text)| text == "HTTPS_PROXY leads to 10.0.0.1:1, which is no listener of this configuration"),
            "{told:?}"
        );
        assert!(told.iter().all(|(_, text)| !text.contains("secret")), "{told:?}");
    }
}
