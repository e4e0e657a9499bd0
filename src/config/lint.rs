//! Second looks at a configuration that loads.

use super::Config;
use crate::policy::Policy;
use crate::policy::allowlist::{Allowlist, Unlisted};
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Warning, code};
use crate::policy::inject::{Credential, Inject, SecretSource};
use crate::policy::rule::Effect;
use crate::text::plain;

/// The most agents that a warning names.
const NAMED_MAX: usize = 5;

/// Of the name of a file no more is said.
const SHOWN_MAX: usize = 200;

/// What deserves a second look in the configuration, and in the policy beside it.
pub fn second_looks(config: &Config, policy: &Policy) -> Vec<Warning> {
    let file = config.path.as_deref().map_or_else(|| "the embedded default".to_owned(), |path| path.display().to_string());
    let warning = |code, text| Warning { file: file.as_str().into(), line: 0, column: 0, code, text };
    let mut warnings = Vec::new();
    // To one that is transparent no token is sent.
    for listen in config.listen.iter().filter(|listen| !listen.transparent) {
        for address in listen.addresses.iter().filter(|address| !address.ip().to_canonical().is_loopback()) {
            let words = format!(
                "listen.{} at {address} is not loopback and has no TLS: tokens and plain requests cross the network readable; bind it to loopback, or to a network that only agents are on",
                listen.name
            );
            warnings.push(warning(code::PLAIN_LISTENER, words));
        }
    }
    warnings.extend(page_in_clear(config).map(|words| warning(code::PLAIN_LISTENER, words)));
    for agent in policy.agents() {
        warnings.extend(policy.allowlist(agent).iter().flat_map(|allowlist| lacking(config, allowlist)));
    }
    warnings.extend(unattended(config, policy).map(|words| warning(code::UNATTENDED_HOLDS, words)));
    warnings
}

/// Page and API speak plain HTTP, and a token opens them.
fn page_in_clear(config: &Config) -> Option<String> {
    let address = config.admin.address.filter(|address| !address.ip().to_canonical().is_loopback())?;
    let hosts = if config.admin.hosts.is_empty() { ", and name it in hosts" } else { "" };
    Some(format!(
        "admin at {address} is not loopback and has no TLS: approvers' tokens cross the network readable; bind it to loopback and put a TLS proxy in front{hosts}"
    ))
}

/// Secrets of an agent that are not there now: requests that need one are refused.
fn lacking(config: &Config, allowlist: &Allowlist) -> Vec<Warning> {
    let folder = config.allowlists.clone().unwrap_or_default();
    let missing = |file: &str| {
        let path = folder.join(file);
        (!path.is_file()).then(|| format!("the file {} is not there", plain(&path.display().to_string(), SHOWN_MAX)))
    };
    let why = |source: &SecretSource| match source {
        SecretSource::Env(name) => std::env::var_os(&**name).is_none().then(|| format!("the variable {name} is not set here")),
        SecretSource::File(file) => missing(file),
        SecretSource::Command { line: _, cache: _ } => None,
    };
    let of_inject = |inject: &Inject| match &inject.credential {
        Credential::Header { name: _, prefix: _, value, placeholder: _ } => why(value),
        Credential::Certificate { chain, key } => missing(chain).or_else(|| missing(key)),
    };
    let injects = allowlist.injects.iter().filter_map(|inject| Some((&inject.place, of_inject(inject)?)));
    let guards = allowlist.leaks.iter().flat_map(|leaks| leaks.secrets.iter().filter_map(|source| Some((&leaks.place, why(source)?))));
    let told = injects.chain(guards).map(|(place, why)| Warning {
        file: place.file.clone(),
        line: place.line,
        column: 1,
        code: code::MISSING_SECRET,
        text: format!("a secret cannot be had: {why}; requests that need it are refused with 503 until it is"),
    });
    told.collect()
}

/// A question waits only while somebody can answer, and nothing that a configuration of this version says can.
fn unattended(config: &Config, policy: &Policy) -> Option<String> {
    // Whoever opens the page answers there.
    if config.admin.address.is_some() {
        return None;
    }
    let asks = |agent: &&AgentId| {
        let holds = |effect: &Effect| matches!(effect, Effect::Hold { addresses: _ });
        policy.unlisted(agent) == Some(Unlisted::Hold) || policy.rules(agent).into_iter().flatten().any(|rule| holds(&rule.effect))
    };
    let agents: Vec<&str> = policy.agents().filter(asks).map(AgentId::as_str).collect();
    let (named, more) = (agents.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", "), agents.len().saturating_sub(NAMED_MAX));
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!agents.is_empty()).then(|| {
        format!("for {named}{more} something is held, and no [admin] address is set where people answer: a question waits only while `exeat holds --watch` runs, or the page is open that `exeat serve` has on a terminal, and is refused as unattended otherwise")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::address::Guard;

    fn codes(config: &str, allowlists: &[&str]) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exeat.toml");
        std::fs::write(&path, format!("state = \"state\"\n{config}")).unwrap();
        let config = Config::load(Some(&path), Vec::new()).unwrap();
        let read = |text: &&str| Allowlist::parse("a.toml", text).unwrap().0;
        let policy = Policy::new(allowlists.iter().map(read).collect(), Guard::default()).unwrap();
        second_looks(&config, &policy).iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn a_secret_that_is_not_there_is_told() {
        for (sources, wanted) in [
            ("{ env = \"NOBODY_SETS_THIS_VARIABLE\" }", 1),
            ("{ env = \"PATH\" }", 0),
            ("{ file = \"none\" }, { env = \"PATH\" }, { file = \"secrets/none\" }", 2),
        ] {
            let agent = format!("agent = \"a\"\n[leaks]\nsecrets = [{sources}]\n");
            assert_eq!(codes("", &[&agent]), vec!["missing-secret"; wanted], "{sources}");
        }
    }

    #[test]
    fn a_listener_off_loopback_and_questions_nobody_answers_are_told() {
        let listen = |address: &str| format!("[listen.main]\naddress = \"{address}\"\n");
        assert_eq!(codes("", &["agent = \"a\"\n"]), [""; 0]);
        assert_eq!(codes(&listen("0.0.0.0:3128"), &["agent = \"a\"\n"]), ["plain-listener"]);
        assert_eq!(codes(&listen("[::ffff:127.0.0.1]:3128"), &["agent = \"a\"\n"]), [""; 0]);
        assert_eq!(
            codes("", &["agent = \"a\"\nunlisted = \"hold\"\n", "agent = \"b\"\n[[hold]]\nhost = \"x.example\"\n"]),
            ["unattended-holds"]
        );
        let page = "[admin]\naddress = \"127.0.0.1:3129\"\n";
        assert_eq!(codes(page, &["agent = \"a\"\nunlisted = \"hold\"\n"]), [""; 0], "whoever opens the page answers");
    }
}
