//! `exeat deny`: a no, told to the agent with its note.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::admin_client::{AdminClient, each, segment};
use super::approve::shown;
use crate::admin::Deny;
use crate::approval::Answered;
use crate::text::{ascii_json, plain};

/// Answer no to pending questions.
///
/// The same question stays quiet for a while. A no that comes after a yes takes back what of it is unused.
#[derive(Args, Clone, Debug)]
pub struct DenyArgs {
    /// Ids of questions, as `exeat holds` shows them.
    #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// Why; told to the agent, so say what it should do instead.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Print what was done as JSON, one line each.
    #[arg(long)]
    pub json: bool,
}

/// Denies, printing what each no did.
pub async fn run(args: DenyArgs, state: &Path, out: &mut impl Write) -> Result<ExitCode> {
    let DenyArgs { ids, note, json } = args;
    let body = Deny { note, facts: None };
    let client = AdminClient::new(state);
    each(&ids, async |id| {
        let answered: Answered = client.post(&format!("holds/{}/deny", segment(id)), &body).await?;
        if json {
            writeln!(out, "{}", ascii_json(&serde_json::to_string(&answered)?))?
        } else {
            writeln!(out, "{}", refused(&answered))?
        }
        Ok(())
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// What a no did, in words.
pub fn refused(answered: &Answered) -> String {
    let took = if answered.approval.is_some() { "; the yes given before is taken back" } else { "" };
    let (hold, instance) = (plain(&answered.hold, 20), plain(&answered.instance, 60));
    format!(
        "{hold}: no: {} ({instance}) may not reach {}; {} refused{took}",
        answered.agent,
        shown(&answered.place, None),
        answered.released
    )
}
