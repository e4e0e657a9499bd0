//! `exeat env`: the variables that point a program at the proxy. They ask; only the network around a program makes it obey.

pub(super) mod failed;
pub(super) mod trust;

use std::io::{Read, Write};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use super::Usage;
use super::ca;
use super::token::Streams;
use crate::config::Config;
use crate::config::trust as files;
use crate::policy::destination::Destination;

/// `exeat env`.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// The shell, or kind of file, to write for
    #[arg(long, value_enum, default_value_t = Shell::Bash)]
    pub shell: Shell,
    /// The proxy URL, as `exeat token` prints it, or `-` to read it from standard input; the first listener without it
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    pub url: Option<String>,
}

/// How variables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `export NAME='value'`; any POSIX shell: zsh and sh mean the same.
    #[value(aliases = ["zsh", "sh"])]
    Bash,
    /// `set -gx NAME 'value'`.
    Fish,
    /// `$env:NAME = 'value'`.
    Powershell,
    /// `NAME=value`, a line each.
    Dotenv,
}

const NO_TOKEN: &str = "warning: the URL has no token, so the proxy answers 407; pass one: `exeat token AGENT | exeat env --url -`";

const NOTHING_CAME: &str = "no URL came on standard input: see why what was to print it did not";

/// No URL that `exeat token` prints is longer, in bytes.
const LONGEST: u64 = 4096;

/// Names that clients do not take to the proxy. No CIDR: several clients break on one, and others go direct.
pub(super) const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Where clients read that their proxy is: some the one, some the other.
pub(super) const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Where they read what they do not take to it.
pub(super) const PAST: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables for a proxy URL, both cases of each: clients differ in which they read. Node reads them only when told to.
/// Git asks without its credentials first unless it is told how to send them (git-config, `http.proxyAuthMethod`).
pub fn variables(url: &str) -> Vec<(&'static str, String)> {
    let mut variables = PROXIES.map(|name| (name, url.to_owned())).to_vec();
    variables.extend(PAST.map(|name| (name, NO_PROXY.to_owned())));
    variables.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
    variables.push(("GIT_HTTP_PROXY_AUTHMETHOD", "basic".to_owned()));
    variables
}

/// Prints the variables; what people should know of them goes to the other stream.
pub fn env<O: Write, E: Write>(args: &EnvArgs, config: &Config, streams: Streams<'_, O, E>) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let url = match &args.url {
        Some(url) if url == "-" => {
            let mut line = String::new();
            std::io::stdin().lock().take(LONGEST).read_to_string(&mut line).context("no URL came on standard input")?;
            ensure!(!line.trim_end().is_empty(), NOTHING_CAME);
            checked(line.trim_end())?.to_owned()
        }
        Some(url) => checked(url)?.to_owned(),
        None => {
            if config.proxies().find(|listen| !listen.addresses.is_empty()).is_some_and(|listen| listen.agent.is_none()) {
                writeln!(err, "{NO_TOKEN}")?;
            }
            format!("http://{}", reachable(config)?)
        }
    };
    let mut variables = variables(&url);
    if config.inspects() {
        let folder = files::folder(&config.state);
        crate::config::state::make(&config.state)?;
        let bundle = ca::bundle::of(config, false)?;
        let trust = files::write(&folder, &bundle).context("what clients are to trust cannot be written")?;
        let said = |name: &str| std::env::var(name).ok();
        if let Some(words) = trust::overruled(&bundle, said) {
            writeln!(err, "warning: {words}")?;
        }
        variables.extend(trust::variables(&trust, said(trust::JAVA).as_deref()));
    }
    for (name, value) in variables {
        writeln!(out, "{}", args.shell.line(name, &value).context("a path with a line break cannot be written for this shell")?)?;
    }
    Ok(())
}

impl Shell {
    /// One variable; `None` where the shell cannot say the value.
    fn line(self, name: &str, value: &str) -> Option<String> {
        if value.contains(['\n', '\r', '\0']) {
            return None;
        }
        Some(match self {
            Shell::Bash => format!("export {name}='{}'", value.replace('\'', "'\\''")),
            Shell::Fish => format!("set -gx {name} '{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
            Shell::Powershell => format!("$env:{name} = '{}'", value.replace('\'', "''")),
            // Readers of such files agree on bare values, and where there is a space or a quote on little else than single quotes.
            Shell::Dotenv if !value.contains([' ', '"', '\'', '#', '$', '\\']) => format!("{name}={value}"),
            Shell::Dotenv if !value.contains('\'') => format!("{name}='{value}'"),
            Shell::Dotenv => return None,
        })
    }
}

/// Where a client on this machine reaches the first listener.
pub(super) fn reachable(config: &Config) -> anyhow::Result<String> {
    let address = config
        .proxies()
        .flat_map(|listen| &listen.addresses)
        .next()
        .context("no listener takes requests to a proxy; add one without transparent = true")?;
    ensure!(address.port() != 0, "the first listener lets the system choose its port: say the address yourself");
    let mut address = *address;
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    Ok(address.to_string())
}

/// A URL that needs no quoting in any shell. It may hold a token, so no error repeats it.
fn checked(url: &str) -> anyhow::Result<&str> {
    let wanted = "--url is not a proxy URL; pass http://HOST:PORT, or http://AGENT:TOKEN@HOST:PORT as `exeat token` prints it";
    let wrong = || Usage(wanted.to_owned());
    let Some(rest) = url.strip_prefix("http://") else { bail!(wrong()) };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credential, authority) = rest.rsplit_once('@').unwrap_or(("a:a", rest));
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'));
    let proven = credential.split_once(':').is_some_and(|(agent, token)| plain(agent) && plain(token));
    ensure!(proven && authority.is_ascii() && Destination::parse(authority).is_ok(), wrong());
    Ok(url)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let empty = tempfile::NamedTempFile::new().unwrap();
        Config::load(Some(empty.path()), [("HOME".to_owned(), "/h".to_owned())].into_iter().chain(variables)).unwrap()
    }

    fn printed(shell: Shell, url: Option<&str>, config: &Config) -> anyhow::Result<String> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        env(&EnvArgs { shell, url: url.map(str::to_owned) }, config, Streams { out: &mut out, err: &mut err })?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_url_without_a_token_is_warned_of_unless_the_listener_knows_its_agent() {
        for (url, agent, warned) in
            [(None, None, true), (Some("http://a:exeat_1@127.0.0.1:3128"), None, false), (None, Some("coder"), false)]
        {
            let variables: Vec<(&str, &str)> = agent
                .map_or_else(Vec::new, |agent| vec![("EXEAT_LISTEN_MAIN_AGENT", agent), ("EXEAT_LISTEN_MAIN_ADDRESS", "127.0.0.1:3128")]);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let args = EnvArgs { shell: Shell::Bash, url: url.map(str::to_owned) };
            env(&args, &config(&variables), Streams { out: &mut out, err: &mut err }).unwrap();
            let said = String::from_utf8(err).unwrap();
            assert_eq!(said.contains("exeat token AGENT"), warned, "{url:?} {agent:?}: {said}");
        }
    }

    #[test]
    fn other_names_of_a_posix_shell_are_known() {
        for name in ["bash", "zsh", "sh"] {
            assert_eq!(Shell::from_str(name, false), Ok(Shell::Bash));
        }
    }

    #[test]
    fn every_variable_is_set_in_both_cases() {
        let url = "http://coder:exeat_1@127.0.0.1:3128";
        let expected = "HTTP_PROXY=<>\nhttp_proxy=<>\nHTTPS_PROXY=<>\nhttps_proxy=<>\nALL_PROXY=<>\nall_proxy=<>\n\
                        NO_PROXY=localhost,127.0.0.1,::1\nno_proxy=localhost,127.0.0.1,::1\nNODE_USE_ENV_PROXY=1\nGIT_HTTP_PROXY_AUTHMETHOD=basic\n";
        assert_eq!(printed(Shell::Dotenv, Some(url), &config(&[])).unwrap(), expected.replace("<>", url));
    }

    #[test]
    fn each_shell_has_its_own_words() {
        for (shell, first) in [
            (Shell::Bash, "export HTTP_PROXY='http://127.0.0.1:3128'"),
            (Shell::Fish, "set -gx HTTP_PROXY 'http://127.0.0.1:3128'"),
            (Shell::Powershell, "$env:HTTP_PROXY = 'http://127.0.0.1:3128'"),
            (Shell::Dotenv, "HTTP_PROXY=http://127.0.0.1:3128"),
        ] {
            assert_eq!(printed(shell, None, &config(&[])).unwrap().lines().next(), Some(first));
        }
    }

    #[test]
    fn a_value_is_quoted_as_the_shell_reads_it() {
        let rows = [
            (Shell::Bash, "/a b/it's", Some(r"export X='/a b/it'\''s'")),
            (Shell::Fish, r"/a\b/it's", Some(r"set -gx X '/a\\b/it\'s'")),
            (Shell::Powershell, "/a b/it's", Some("$env:X = '/a b/it''s'")),
            (Shell::Dotenv, "/a/b", Some("X=/a/b")),
            (Shell::Dotenv, "/a b", Some("X='/a b'")),
            (Shell::Dotenv, "/it's", None),
            (Shell::Bash, "/a\nb", None),
        ];
        for (shell, value, wanted) in rows {
            assert_eq!(shell.line("X", value).as_deref(), wanted, "{shell:?} {value}");
        }
    }

    #[test]
    fn the_first_listener_is_named_as_a_client_reaches_it() {
        for (address, expected) in
            [("0.0.0.0:3128", "127.0.0.1:3128"), ("[::]:3128", "[::1]:3128"), ("10.0.0.1:1,10.0.0.2:2", "10.0.0.1:1")]
        {
            assert_eq!(reachable(&config(&[("EXEAT_LISTEN_MAIN_ADDRESS", address)])).unwrap(), expected);
        }
        assert!(reachable(&config(&[("EXEAT_LISTEN_MAIN_ADDRESS", "127.0.0.1:0")])).is_err());
    }

    #[test]
    fn a_url_that_a_shell_would_read_otherwise_is_refused_and_not_repeated() {
        for url in [
            "",
            "127.0.0.1:3128",
            "https://127.0.0.1:3128",
            "http://127.0.0.1",
            "http://a'b:exeat_secret@127.0.0.1:3128",
            "http://a:exeat_secret$(x)@127.0.0.1:3128",
            "http://exeat_secret@127.0.0.1:3128",
            "http://a:exeat_secret@127.0.0.1:3128/path",
            "http://a:exeat_secret@127.0.0.1:3128\nX=1",
        ] {
            let error = printed(Shell::Bash, Some(url), &config(&[])).unwrap_err();
            assert!(error.is::<Usage>() && !format!("{error:#}").contains("secret"), "{error:#}");
        }
        assert!(printed(Shell::Bash, Some("http://a:exeat_1@[::1]:3128/"), &config(&[])).is_ok());
    }
}
