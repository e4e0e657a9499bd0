//! `exeat log`: the journal for people, its lines as they are, or what they come to.
//!
//! Whatever an agent had a hand in is escaped before it is shown.

mod summary;
mod view;

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::recorded::{self, Period, shown};
use crate::policy::attempt::AgentId;
use view::View;

/// How often a followed journal is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Shows what was decided and how it ended, oldest first
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// Only this agent's attempts
    #[arg(long, value_name = "NAME", value_parser = AgentId::parse)]
    pub agent: Option<AgentId>,
    /// Only attempts with this decision
    #[arg(long, value_enum)]
    pub decision: Option<Decision>,
    /// Only attempts to this host, as records spell it (lower case, xn-- where it is not ASCII)
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Of which time.
    #[command(flatten)]
    pub period: Period,
    /// What each agent did, in sums: hosts, bytes, questions and who answered them
    #[arg(long, conflicts_with_all = ["follow", "decision"])]
    pub summary: bool,
    /// Goes on as the journal is written, until interrupted
    #[arg(long, conflicts_with = "until")]
    pub follow: bool,
    /// The journal's lines as they are, one JSON object each; with --summary one object
    #[arg(long)]
    pub json: bool,
}

/// A decision to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Decision {
    /// Attempts that passed
    Allow,
    /// Tunnels whose requests are judged one by one
    Look,
    /// Attempts that were refused, those among them that were allowed by name first
    Block,
}

/// Writes what `args` asks for to `out`, and what cannot be read to `complaints`.
pub fn log(state: &Path, args: &LogArgs, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<()> {
    let bad = if args.summary { summary::show(state, args, out, complaints) } else { show_all(state, args, out, complaints) };
    match bad {
        Ok(0) => Ok(()),
        Ok(bad) => bail!("{bad} of the journal's lines cannot be read; they are named above, and the rest is shown"),
        // Whoever read the output has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How many lines cannot be read.
fn show_all(state: &Path, args: &LogArgs, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<u64> {
    let now = Timestamp::now();
    let mut reader = recorded::open(state, args.period.bounds(now))?;
    let mut view = View::new(args, now);
    let (mut bad, mut any) = (0_u64, false);
    loop {
        for item in &mut reader {
            match item {
                Ok(entry) => any |= view.show(&entry, out)?,
                Err(line) => {
                    bad += 1;
                    writeln!(complaints, "{}", shown(&line.to_string()))?;
                }
            }
        }
        out.flush()?;
        if !args.follow {
            if !any && bad == 0 {
                writeln!(complaints, "exeat: nothing is recorded of that")?;
            }
            return Ok(bad);
        }
        #[expect(clippy::disallowed_methods, reason = "a command that follows a file has nothing else to do")]
        std::thread::sleep(GLANCE);
        reader.refresh().with_context(|| recorded::unreadable(state))?;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
