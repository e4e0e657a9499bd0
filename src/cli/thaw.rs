//! `exeat thaw`: takes a freeze back, and says who stays frozen all the same.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::admin_client::{AdminClient, NotRunning};
use super::freeze::{Changed, WhomArgs, alone, me, route, stopped};
use crate::app::freezing::FrozenBy;
use crate::approval::store::Whom;
use crate::config::Config;
use crate::policy::attempt::AgentId;
use crate::text::plain;

/// Of a name no more is said.
const LONGEST: usize = 100;

/// `exeat thaw`.
#[derive(Args, Clone, Debug)]
pub struct ThawArgs {
    /// Whom
    #[command(flatten)]
    pub whom: WhomArgs,
}

/// Lets somebody go on. Fails where he does not, as something else stops him.
pub async fn run(args: ThawArgs, config: &Config, out: &mut impl Write) -> Result<ExitCode> {
    let whom = args.whom.whom();
    let changed = match AdminClient::new(&config.state).post(&route(&whom, "thaw"), &serde_json::json!({})).await {
        Err(error) if error.is::<NotRunning>() => alone(config, |freezing, _, recording| Ok(freezing.thaw(&whom, &me(), recording)?))?,
        running => running.map(|changed: Changed| changed.is_so())?,
    };
    let of_all = if whom == Whom::Everyone { " --all" } else { "" };
    if !changed {
        writeln!(out, "{whom} was not frozen by exeat freeze{of_all}")?;
    } else {
        writeln!(out, "{whom} is no longer frozen by exeat freeze{of_all}")?;
    }
    let still = still(&whom, stopped(config).await?);
    for line in &still {
        writeln!(out, "{line}")?;
    }
    Ok(if still.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who of those thawed stays frozen, and how that ends.
fn still(whom: &Whom, stopped: BTreeMap<AgentId, Vec<FrozenBy>>) -> Vec<String> {
    let of_whom = stopped.into_iter().filter(|(agent, _)| whom.agent().is_none_or(|whom| whom == agent));
    let lines = of_whom.flat_map(|(agent, frozen)| {
        frozen.into_iter().map(move |FrozenBy { by, since, note: _, everyone }| {
            let mend = match (since, everyone) {
                (None, _) => "take it out of the file freeze in the allowlist folder".to_owned(),
                (Some(_), true) => "exeat thaw --all".to_owned(),
                (Some(_), false) => format!("exeat thaw {agent}"),
            };
            format!("{agent} is still frozen by {}; {mend}", plain(&by, LONGEST))
        })
    });
    lines.collect()
}
