//! The proxy as an agent has it: a URL with or without a token. No error repeats it, as it may hold one.

use data_encoding::BASE64;

use crate::cli::Usage;
use crate::policy::destination::Destination;

/// Where an agent reaches exeat, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyUrl {
    /// Host and port.
    pub at: Destination,
    credential: Option<String>,
}

impl std::fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl ProxyUrl {
    /// Reads `http://[AGENT:TOKEN@]HOST:PORT`.
    pub(super) fn parse(url: &str) -> Result<Self, Usage> {
        let wrong =
            || Usage("the proxy is no URL of one; pass --proxy http://AGENT:TOKEN@HOST:PORT, as `exeat token` prints it".to_owned());
        let rest = url.trim().strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credential, authority) = rest.rsplit_once('@').map_or((None, rest), |(credential, at)| (Some(credential.to_owned()), at));
        Ok(Self { at: Destination::parse(authority).map_err(|_| wrong())?, credential })
    }

    /// Whether the agent proves who it is.
    pub(super) fn proves(&self) -> bool {
        self.credential.is_some()
    }

    /// Without the token.
    pub(super) fn shown(&self) -> String {
        format!("http://{}", self.at)
    }

    /// The header line that proves who the agent is; empty where there is no token.
    pub(super) fn authorization(&self) -> String {
        let line = |credential: &String| format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(credential.as_bytes()));
        self.credential.as_ref().map_or_else(String::new, line)
    }
}

/// The proxy variables that clients read for https, in the order curl has, and for http.
pub(super) const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
pub(super) const FOR_HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// The proxy that is passed, or that the environment names.
pub(super) fn find(passed: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<ProxyUrl>, Usage> {
    let named = || VARIABLES.into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    passed.map(str::to_owned).or_else(named).map(|url| ProxyUrl::parse(&url)).transpose()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_its_token_shown_nowhere() {
        let with = ProxyUrl::parse("http://coder:exeat_secret@10.0.0.1:3128/").unwrap();
        assert_eq!((with.shown(), with.proves()), ("http://10.0.0.1:3128".to_owned(), true));
        assert_eq!(with.authorization(), "Proxy-Authorization: Basic Y29kZXI6ZXhlYXRfc2VjcmV0\r\n");
        assert!(!format!("{with:?}").contains("secret"));
        let without = ProxyUrl::parse("http://[fd00::1]:3128").unwrap();
        assert_eq!((without.shown(), without.authorization()), ("http://[fd00::1]:3128".to_owned(), String::new()));
        for url in ["", "10.0.0.1:3128", "https://a:exeat_secret@10.0.0.1:3128", "http://a:exeat_secret@10.0.0.1", "socks5://10.0.0.1:1"] {
            assert!(!ProxyUrl::parse(url).unwrap_err().to_string().contains("secret"), "{url}");
        }
    }

    #[test]
    fn what_is_passed_goes_before_what_the_environment_names() {
        let variable = |name: &str| match name {
            "https_proxy" => Some(String::new()),
            "HTTPS_PROXY" => Some("http://10.0.0.2:1".to_owned()),
            _ => None,
        };
        assert_eq!(find(Some("http://10.0.0.1:1"), variable).unwrap().unwrap().shown(), "http://10.0.0.1:1");
        assert_eq!(find(None, variable).unwrap().unwrap().shown(), "http://10.0.0.2:1");
        assert_eq!(find(None, |_| None).unwrap(), None);
    }
}
