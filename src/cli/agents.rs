//! `exeat agents`: who may use the proxy, with how many tokens, and when each was last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anyhow::{anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::app::freezing::FrozenBy;
use crate::config::NO_FILE;
use crate::config::tokens::TokenStore;
use crate::policy::attempt::AgentId;
use crate::text::{plain, trouble};

use super::token::{Known, Streams};

/// Of a path no more is said.
const LONGEST: usize = 1000;

/// `exeat agents`.
#[derive(Args, Debug)]
pub struct AgentsArgs {
    /// Print JSON, one array
    #[arg(long)]
    pub json: bool,
    /// Take back every token issued to this agent
    #[arg(long, value_name = "AGENT", conflicts_with = "json")]
    pub revoke: Option<String>,
}

/// One agent as the listing shows it; the field names are promises.
#[derive(Debug, Serialize)]
struct Row<'a> {
    agent: &'a AgentId,
    /// It has an allowlist.
    configured: bool,
    /// Tokens issued and kept in the state; those written in allowlists are not counted.
    tokens: usize,
    /// When the newest of them was issued.
    issued: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    /// By whom it is stopped; absent where that could not be found out.
    frozen: Option<&'a [FrozenBy]>,
}

/// What was found out beside the configuration.
#[derive(Debug)]
pub struct Looked {
    /// When each agent was last seen.
    pub seen: io::Result<BTreeMap<AgentId, Timestamp>>,
    /// By whom each is stopped.
    pub stopped: anyhow::Result<BTreeMap<AgentId, Vec<FrozenBy>>>,
}

/// Lists the agents. A journal that cannot be read leaves open when they were last seen.
pub fn list<O: Write, E: Write>(json: bool, known: Known<'_>, looked: Looked, streams: Streams<'_, O, E>) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let Looked { seen, stopped } = looked;
    let issued = TokenStore::open(&known.config.state)?.list()?;
    if let Err(error) = &seen {
        let (state, trouble) = (plain(&known.config.state.display().to_string(), LONGEST), trouble(error.kind()));
        writeln!(
            err,
            "warning: the journal in {state} cannot be read ({trouble}), so nothing is known of when agents were last seen; run this as the user who runs exeat, or name its configuration with --config"
        )?;
    }
    if let Err(error) = &stopped {
        writeln!(err, "warning: nothing is known of who is frozen: {}", super::chain(error))?;
    }
    let (seen, stopped) = (seen.ok(), stopped.ok());
    let every: BTreeSet<&AgentId> = known.agents.iter().chain(issued.keys()).collect();
    let rows = every.into_iter().map(|agent| Row {
        agent,
        configured: known.agents.contains(agent),
        tokens: issued.get(agent).map_or(0, Vec::len),
        issued: issued.get(agent).and_then(|issued| issued.iter().map(|one| one.at).max()),
        last_seen: seen.as_ref().and_then(|seen| seen.get(agent).copied()),
        frozen: stopped.as_ref().map(|stopped| stopped.get(agent).map_or(&[][..], Vec::as_slice)),
    });
    let rows: Vec<Row<'_>> = rows.collect();
    if json {
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        return Ok(writeln!(out)?);
    }
    let unseen = if seen.is_some() { "never" } else { "" };
    table(&rows, known.built_in(), unseen, out)
}

fn table(rows: &[Row<'_>], built_in: bool, unseen: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let width = rows.iter().map(|row| row.agent.as_str().len()).max().unwrap_or(0).max("AGENT".len());
    let spelled = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| format!("{at:.0}"));
    writeln!(out, "{:width$}  TOKENS  {:20}  LAST SEEN", "AGENT", "ISSUED")?;
    for Row { agent, configured, tokens, issued, last_seen, frozen } in rows {
        let note = match (configured, built_in) {
            (true, true) => format!("  (built in: {NO_FILE})"),
            (true, false) => String::new(),
            (false, _) => "  (no allowlist loads)".to_owned(),
        };
        let note = note + &frozen.unwrap_or_default().iter().map(stop).collect::<String>();
        let issued = spelled(*issued, "-");
        writeln!(out, "{:width$}  {tokens:>6}  {issued:20}  {}{note}", agent.as_str(), spelled(*last_seen, unseen))?;
    }
    Ok(())
}

fn stop(frozen: &FrozenBy) -> String {
    let FrozenBy { by, since, note, everyone } = frozen;
    let whom = if *everyone { "everyone frozen" } else { "frozen" };
    let since = since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
    let note = note.as_deref().map(|note| format!(": {}", plain(note, LONGEST))).unwrap_or_default();
    format!("  ({whom} by {}{since}{note})", plain(by, LONGEST))
}

/// Takes back every token of an agent. `notify` tells a running exeat, after they are gone.
pub fn revoke(name: &str, known: Known<'_>, notify: impl FnOnce() -> anyhow::Result<()>, out: &mut impl Write) -> anyhow::Result<()> {
    let store = TokenStore::open(&known.config.state)?;
    // An agent whose allowlist is gone may still have tokens: those can be taken back as well.
    let agent = match AgentId::parse(name) {
        Ok(agent) if store.list()?.contains_key(&agent) => agent,
        _ => known.agent(name)?,
    };
    let count = store.revoke(&agent)?;
    if count == 0 {
        bail!("no token was issued to {agent}; a token in [[identify]] of its allowlist is taken back by removing it there");
    }
    notify().map_err(|error| {
        anyhow!("removed from the state, but the running exeat still accepts it: {}; start that one again", super::chain(&error))
    })?;
    Ok(writeln!(out, "{count} token{} of {agent} revoked", if count == 1 { "" } else { "s" })?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::Cell;
    use std::time::SystemTime;

    use super::*;
    use crate::config::Config;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    struct Set {
        _folder: tempfile::TempDir,
        config: Config,
        notified: Cell<bool>,
    }

    impl Set {
        /// `coder` has two tokens, `gone` has one and no allowlist, `tester` none.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("exeat.toml");
            std::fs::write(&file, "state = \"state\"\n").unwrap();
            let config = Config::load(Some(&file), []).unwrap();
            let store = TokenStore::open(&config.state).unwrap();
            for name in ["coder", "coder", "gone"] {
                store.issue(&agent(name), SystemTime::UNIX_EPOCH).unwrap();
            }
            Self { _folder: folder, config, notified: Cell::new(false) }
        }

        fn stopped(&self) -> BTreeMap<AgentId, Vec<FrozenBy>> {
            let by = |by: &str, since, everyone| FrozenBy { by: by.to_owned(), since, note: since.map(|_| "loops".to_owned()), everyone };
            let twice = vec![by("alice", Timestamp::from_second(90).ok(), false), by("the file freeze", None, true)];
            BTreeMap::from([(agent("coder"), Vec::new()), (agent("tester"), twice)])
        }

        fn run(&self, json: bool, revoke: Option<&str>) -> anyhow::Result<String> {
            let known = [agent("tester"), agent("coder")];
            let seen = BTreeMap::from([(agent("coder"), Timestamp::from_second(60).unwrap())]);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let known = Known { config: &self.config, agents: &known };
            match revoke {
                Some(name) => super::revoke(
                    name,
                    known,
                    || {
                        self.notified.set(true);
                        Ok(())
                    },
                    &mut out,
                )?,
                None => {
                    list(json, known, Looked { seen: Ok(seen), stopped: Ok(self.stopped()) }, Streams { out: &mut out, err: &mut err })?
                }
            }
            assert_eq!(err, b"");
            Ok(String::from_utf8(out)?)
        }
    }

    #[test]
    fn the_listing_shows_every_agent_with_an_allowlist_or_a_token() {
        let expected = "\
AGENT   TOKENS  ISSUED                LAST SEEN
coder        2  1970-01-01T00:00:00Z  1970-01-01T00:01:00Z
gone         1  1970-01-01T00:00:00Z  never  (no allowlist loads)
tester       0  -                     never  (frozen by alice since 1970-01-01T00:01:30Z: loops)  (everyone frozen by the file freeze)
";
        assert_eq!(Set::new().run(false, None).unwrap(), expected);
    }

    #[test]
    fn an_agent_nobody_made_is_said_to_be_built_in() {
        let mut set = Set::new();
        set.config.allowlists = None;
        assert!(set.run(false, None).unwrap().contains("never  (built in: there is no exeat.toml in "));
        let error = set.run(false, Some("codr")).unwrap_err().to_string();
        assert!(
            error.starts_with("no agent is named \"codr\"; there is only the built-in agent local, as there is no exeat.toml"),
            "{error}"
        );
    }

    #[test]
    fn json_has_stable_fields() {
        let value: serde_json::Value = serde_json::from_str(&Set::new().run(true, None).unwrap()).unwrap();
        let expected = serde_json::json!([
            { "agent": "coder", "configured": true, "tokens": 2, "issued": "1970-01-01T00:00:00Z", "last_seen": "1970-01-01T00:01:00Z", "frozen": [] },
            { "agent": "gone", "configured": false, "tokens": 1, "issued": "1970-01-01T00:00:00Z", "last_seen": null, "frozen": [] },
            { "agent": "tester", "configured": true, "tokens": 0, "issued": null, "last_seen": null, "frozen": [
                { "by": "alice", "since": "1970-01-01T00:01:30Z", "note": "loops", "everyone": false },
                { "by": "the file freeze", "everyone": true },
            ] },
        ]);
        assert_eq!(value, expected);
    }

    #[test]
    fn revoking_takes_the_tokens_and_tells_serve() {
        for (name, said) in [("coder", "2 tokens of coder revoked\n"), ("gone", "1 token of gone revoked\n")] {
            let set = Set::new();
            assert_eq!(set.run(false, Some(name)).unwrap(), said);
            assert!(set.notified.get());
            assert!(!TokenStore::open(&set.config.state).unwrap().list().unwrap().contains_key(&agent(name)));
        }
    }

    #[test]
    fn revoking_nothing_is_an_error() {
        for (name, said) in
            [("tester", "no token was issued to tester"), ("codr", "no agent is named \"codr\"; the allowlists name coder, tester")]
        {
            let set = Set::new();
            let error = set.run(false, Some(name)).unwrap_err().to_string();
            assert!(error.starts_with(said) && !set.notified.get(), "{error}");
        }
    }
}
