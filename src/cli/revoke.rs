//! `exeat revoke`: takes approvals back; what they covered is decided again.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::admin_client::{AdminClient, each, segment};
use super::approvals::line;
use crate::approval::ApprovalView;
use crate::text::ascii_json;

/// Take approvals back. Tunnels that rest on them are cut.
#[derive(Args, Clone, Debug)]
pub struct RevokeArgs {
    /// Ids as `exeat approvals` shows them, or at least 8 characters of the beginning of an approval's full id.
    #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub ids: Vec<String>,
    /// Print what was taken back as JSON, one line each.
    #[arg(long)]
    pub json: bool,
}

/// Revokes, printing what each approval was.
pub async fn run(args: RevokeArgs, state: &Path, out: &mut impl Write) -> Result<ExitCode> {
    let RevokeArgs { ids, json } = args;
    let client = AdminClient::new(state);
    each(&ids, async |id| {
        let revoked: ApprovalView = client.delete(&format!("approvals/{}", segment(id))).await?;
        if json {
            writeln!(out, "{}", ascii_json(&serde_json::to_string(&revoked)?))?
        } else {
            writeln!(out, "revoked: {}", line(&revoked))?
        }
        Ok(())
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
