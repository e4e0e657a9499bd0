//! The proxy variables of this shell: whether they lead to this exeat, and whom `NO_PROXY` leads past it.

use super::finding::Finding;
use super::proxy::ProxyUrl;

const ABOUT: &str = "variables";

/// What clients read: some the one, some the other.
const PAIRS: [[&str; 2]; 2] = [["http_proxy", "HTTP_PROXY"], ["https_proxy", "HTTPS_PROXY"]];

/// What is odd in the variables. `ours` are the addresses that exeat listens on, as a client here writes them.
pub(super) fn look(variable: impl Fn(&str) -> Option<String>, ours: &[String]) -> Vec<Finding> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let fix = "eval \"$(exeat env)\", or with a token: exeat token AGENT | exeat env --url -";
    let mut findings = Vec::new();
    for [lower, upper] in PAIRS {
        match (set(lower), set(upper)) {
            (None, None) => findings.push(Finding::warn(ABOUT, format!("{upper} is not set: programs started here go direct"), fix)),
            (Some(one), Some(other)) if one != other => {
                findings.push(Finding::warn(ABOUT, format!("{lower} and {upper} differ, and programs differ in which they read"), fix));
            }
            (Some(_), None) => findings.push(Finding::warn(ABOUT, format!("{upper} is not set, and some programs read no other"), fix)),
            (None, Some(_)) if lower == "http_proxy" => {
                findings.push(Finding::warn(ABOUT, "http_proxy is not set, and curl reads no other for http", fix));
            }
            (None | Some(_), Some(_)) => {}
        }
        for value in [lower, upper].into_iter().filter_map(set) {
            findings.extend(leads_elsewhere(upper, &value, ours, fix));
        }
    }
    findings.extend(
        ["no_proxy", "NO_PROXY"].into_iter().filter_map(|name| Some((name, set(name)?))).flat_map(|(name, value)| past(name, &value)),
    );
    if set("NODE_USE_ENV_PROXY").is_none_or(|value| value != "1") {
        findings.push(Finding::warn(ABOUT, "NODE_USE_ENV_PROXY is not 1: Node reads no proxy variable without it", fix));
    }
    findings.dedup();
    if findings.is_empty() { vec![Finding::ok(ABOUT, "the proxy variables of this shell lead here")] } else { findings }
}

fn leads_elsewhere(name: &str, value: &str, ours: &[String], fix: &str) -> Option<Finding> {
    match ProxyUrl::parse(value) {
        Err(_) => Some(Finding::bad(ABOUT, format!("{name} is no URL of this proxy"), fix)),
        Ok(proxy) => {
            let at = proxy.at.to_string();
            let here = ours.contains(&at) || ours.contains(&at.replace("localhost", "127.0.0.1"));
            (!here).then(|| Finding::warn(ABOUT, format!("{name} leads to {at}, which is no listener of this configuration"), fix))
        }
    }
}

/// Entries of `NO_PROXY` that lead more past the proxy than they seem to.
fn past(name: &str, value: &str) -> Vec<Finding> {
    let fix = format!("{name}=localhost,127.0.0.1,::1");
    let odd = |entry: &str| {
        if entry == "*" {
            Some(format!("{name} holds *: programs go direct for everything"))
        } else if entry.contains('/') {
            Some(format!("{name} holds {entry}: several clients do not read ranges, and some go direct because of one"))
        } else if entry.starts_with("*.") {
            Some(format!("{name} holds {entry}: most clients want a dot without the star"))
        } else if !matches!(entry, "localhost" | "127.0.0.1" | "::1" | "[::1]") {
            Some(format!("{name} holds {entry}: it and, for most clients, all names under it go direct, and nothing is recorded of that"))
        } else {
            None
        }
    };
    let entries = value.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.filter_map(odd).map(|text| Finding::warn(ABOUT, text, fix.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn said(set: &[(&str, &str)]) -> Vec<(Level, String)> {
        let find = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        look(find, &["127.0.0.1:3128".into(), "[::1]:3128".into()]).into_iter().map(|one| (one.level, one.text)).collect()
    }

    #[test]
    fn what_exeat_env_sets_is_good_and_any_change_of_it_is_told() {
        let good = super::super::super::env::variables("http://a:exeat_secret@127.0.0.1:3128");
        let good: Vec<(&str, &str)> = good.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(said(&good), [(Level::Ok, "the proxy variables of this shell lead here".to_owned())]);
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
