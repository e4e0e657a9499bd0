//! `exeat token`: issues a token. Standard output is exactly what the next program takes; every word for people goes to standard error.

use std::io::Write;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use crate::config::tokens::{Token, TokenStore};
use crate::config::{Config, NO_FILE};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;

use super::Usage;
use super::env::reachable;

/// `exeat token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The agent the token is for
    #[arg(value_name = "AGENT")]
    pub agent: String,
    /// Keep nothing: print the identify lines for the agent's allowlist, and the proxy URL to standard error
    #[arg(long)]
    pub hash: bool,
    /// The host:port at which the agent reaches the proxy; the first listener without it
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
}

/// What a command about agents rests on.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The agents that have an allowlist.
    pub agents: &'a [AgentId],
}

impl Known<'_> {
    /// There is no configuration: the agent was not made by anybody.
    pub(super) fn built_in(&self) -> bool {
        self.config.allowlists.is_none()
    }

    /// The agent of that name, or an error that names those there are.
    pub(super) fn agent(&self, name: &str) -> anyhow::Result<AgentId> {
        if let Some(agent) = self.agents.iter().find(|agent| agent.as_str() == name) {
            return Ok(agent.clone());
        }
        let shown = crate::policy::fault::shown(name);
        if self.built_in() {
            bail!("no agent is named {shown}; there is only the built-in agent local, as {NO_FILE}");
        }
        let mut names: Vec<&str> = self.agents.iter().map(AgentId::as_str).collect();
        names.sort_unstable();
        if names.is_empty() {
            bail!("no agent is named {shown}: no allowlist loads; write one with agent = \"…\", or see `exeat check`");
        }
        bail!("no agent is named {shown}; the allowlists name {}", names.join(", "));
    }
}

/// Where a command writes.
#[derive(Debug)]
pub struct Streams<'a, O, E> {
    /// For programs.
    pub out: &'a mut O,
    /// For people.
    pub err: &'a mut E,
}

/// Issues a token. `notify` tells a running `serve`, after the token is kept.
pub fn token<O: Write, E: Write>(
    args: &TokenArgs,
    known: Known<'_>,
    at: SystemTime,
    notify: impl FnOnce() -> anyhow::Result<()>,
    streams: Streams<'_, O, E>,
) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let agent = known.agent(&args.agent)?;
    let address = match &args.address {
        Some(text) => match Destination::parse(text) {
            Ok(destination) => destination.to_string(),
            Err(_) => bail!(Usage("--address is not HOST:PORT; write one like 127.0.0.1:3128".to_owned())),
        },
        None => reachable(known.config).context("no address to print; pass --address HOST:PORT")?,
    };
    if args.hash {
        let token = Token::generate()?;
        writeln!(out, "[[identify]]\ntoken = \"{}\"", token.digest())?;
        writeln!(err, "Add the lines above to the allowlist of {agent}; this URL is shown once and kept nowhere:")?;
        writeln!(err, "{}", proxy_url(&agent, &token, &address))?;
        return Ok(());
    }
    let token = TokenStore::open(&known.config.state)?.issue(&agent, at)?;
    let told = notify();
    writeln!(out, "{}", proxy_url(&agent, &token, &address))?;
    writeln!(
        err,
        "A token for {agent}, shown once; set it as HTTPS_PROXY, or pass it to `exeat env --url -`. Take it back: `exeat agents --revoke {agent}`"
    )?;
    told.map_err(|error| {
        anyhow!("the token is kept, but the running exeat does not accept it yet: {}; start that one again", super::chain(&error))
    })
}

fn proxy_url(agent: &AgentId, token: &Token, address: &str) -> String {
    format!("http://{agent}:{}@{address}", token.expose())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::policy::token::TokenDigest;

    struct Run {
        out: String,
        err: String,
        notified: bool,
        kept: Vec<(TokenDigest, AgentId)>,
    }

    fn run(agent: &str, hash: bool, address: Option<&str>) -> anyhow::Result<Run> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exeat.toml");
        std::fs::write(&file, "state = \"state\"\n").unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        let agents = ["tester", "coder"].map(|name| AgentId::parse(name).unwrap());
        let args = TokenArgs { agent: agent.into(), hash, address: address.map(str::to_owned) };
        let (mut out, mut err, notified) = (Vec::new(), Vec::new(), Cell::new(false));
        let streams = Streams { out: &mut out, err: &mut err };
        token(
            &args,
            Known { config: &config, agents: &agents },
            SystemTime::UNIX_EPOCH,
            || {
                notified.set(true);
                Ok(())
            },
            streams,
        )?;
        let kept = TokenStore::open(&config.state)?.digests()?;
        Ok(Run { out: String::from_utf8(out)?, err: String::from_utf8(err)?, notified: notified.get(), kept })
    }

    fn token_in(url: &str) -> &str {
        url.split(['/', ':', '@']).find(|part| part.starts_with("exeat_")).unwrap()
    }

    #[test]
    fn standard_output_is_exactly_the_url_and_the_digest_is_kept() {
        let run = run("coder", false, None).unwrap();
        let token = token_in(&run.out);
        assert_eq!(run.out, format!("http://coder:{token}@127.0.0.1:3128\n"));
        assert_eq!(run.kept, [(TokenDigest::of(token), AgentId::parse("coder").unwrap())]);
        assert!(run.notified && !run.err.contains(token));
    }

    #[test]
    fn hash_prints_the_lines_of_the_allowlist_and_keeps_nothing() {
        let run = run("coder", true, Some("proxy.example:8080")).unwrap();
        let token = token_in(&run.err);
        assert_eq!(run.out, format!("[[identify]]\ntoken = \"{}\"\n", TokenDigest::of(token)));
        assert!(run.err.ends_with(&format!("http://coder:{token}@proxy.example:8080\n")), "{}", run.err);
        assert!(run.kept.is_empty() && !run.notified);
    }

    #[test]
    fn an_agent_that_is_not_known_is_answered_with_those_that_are() {
        for hash in [false, true] {
            let error = run("codr\u{1b}", hash, None).err().unwrap();
            assert_eq!(error.to_string(), "no agent is named \"codr\\u{1b}\"; the allowlists name coder, tester");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_before_a_token_is_made() {
        assert!(run("coder", false, Some("127.0.0.1")).is_err_and(|error| error.is::<Usage>()));
    }
}
