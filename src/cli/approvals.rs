//! `exeat approvals`: the yeses in force.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::admin_client::{AdminClient, NotRunning};
use super::approve::{local, shown};
use crate::approval::{ApprovalView, granted, store};
use crate::text::{ascii_json, plain};

/// List the approvals in force.
#[derive(Args, Clone, Debug)]
pub struct ApprovalsArgs {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Print those without end as rules to move into an allowlist; without a running exeat as well.
    #[arg(long, conflicts_with = "json")]
    pub toml: bool,
}

/// Lists, the oldest first.
pub async fn run(args: ApprovalsArgs, state: &Path, out: &mut impl Write) -> Result<ExitCode> {
    let ApprovalsArgs { json, toml } = args;
    let approvals: Vec<ApprovalView> = match AdminClient::new(state).get("approvals").await {
        Err(error) if toml && error.is::<NotRunning>() => store::kept_approvals(state, SystemTime::now())?,
        answered => answered?,
    };
    if toml {
        let rules = granted::as_rules(&approvals);
        write!(out, "{}", if rules.is_empty() { "# no approval without end is in force\n" } else { &rules })?;
        return Ok(ExitCode::SUCCESS);
    }
    if json {
        writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(&approvals)?))?;
    } else if approvals.is_empty() {
        writeln!(out, "no approval is in force")?;
    }
    for approval in approvals.iter().filter(|_| !json) {
        writeln!(out, "{}", line(approval))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How long a yes lasts, in words.
pub(super) fn lasting(scope: &str, until: Option<Timestamp>) -> String {
    match (scope, until) {
        ("for", Some(until)) => format!("until {}", local(until)),
        (_, Some(until)) => format!("{}, the next attempt before {}", plain(scope, 20), local(until)),
        (_, None) => plain(scope, 20),
    }
}

/// One approval in one line.
pub fn line(approval: &ApprovalView) -> String {
    let id = approval.hold.as_deref().map_or_else(|| approval.id.to_string(), |hold| plain(hold, 20));
    let instance = approval.instance.as_deref().map_or_else(|| "any instance".to_owned(), |instance| plain(instance, 60));
    let scope = lasting(&approval.scope, approval.until);
    let note = approval.note.as_deref().map(|note| format!(": {}", plain(note, 500))).unwrap_or_default();
    let (agent, at) = (&approval.agent, local(approval.at));
    let (place, approver) = (shown(&approval.place, None), plain(&approval.approver, 60));
    format!("{id}  {agent} ({instance})  {place}  {scope}  {} open  {approver}, {at}{note}", approval.open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_yes_lasts_is_said_in_words() {
        let then = Some(Timestamp::UNIX_EPOCH);
        for (scope, until, words) in [
            ("for", then, "until 1970-01-01 00:00:00 UTC"),
            ("once", then, "once, the next attempt before 1970-01-01 00:00:00 UTC"),
            ("once", None, "once"),
            ("always", None, "always"),
        ] {
            assert_eq!(lasting(scope, until), words);
        }
    }
}
