//! `exeat holds`: the pending questions, once or as they come.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::admin_client::AdminClient;
use super::approve::{local, shown};
use crate::approval::{Closing, HoldView, News};
use crate::text::plain;

/// List the pending questions.
///
/// While `--watch` runs somebody counts as present: attempts wait for an answer instead of being refused at once.
#[derive(Args, Clone, Debug)]
pub struct HoldsArgs {
    /// Stay, and print questions and their ends as they come.
    #[arg(long)]
    pub watch: bool,
    /// Print JSON: an array, or with --watch one object a line.
    #[arg(long)]
    pub json: bool,
}

/// Lists, or watches until the running exeat ends.
pub async fn run(args: HoldsArgs, state: &Path, out: &mut impl Write) -> Result<ExitCode> {
    let HoldsArgs { watch, json } = args;
    let client = AdminClient::new(state);
    if watch {
        return follow(&client, json, out).await;
    }
    let holds: Vec<HoldView> = client.get("holds").await?;
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&holds)?)?;
    } else if holds.is_empty() {
        writeln!(out, "no question is pending")?;
    }
    for hold in holds.iter().filter(|_| !json) {
        writeln!(out, "{}", line(hold))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(client: &AdminClient, json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let mut lines = client.stream("holds?watch").await?;
    if !json {
        writeln!(out, "watching; answer with `exeat approve ID` or `exeat deny ID` in another terminal")?;
        out.flush()?;
    }
    while let Some(news) = lines.next::<News>().await? {
        if json {
            writeln!(out, "{}", serde_json::to_string(&news)?)?;
        } else {
            match &news {
                News::Opened { hold } => writeln!(out, "{}", line(hold))?,
                News::Changed { hold: _ } => {}
                News::Closed { id, how } => writeln!(out, "{}  {}", plain(id, 20), ending(*how))?,
            }
        }
        out.flush()?;
    }
    bail!("the running exeat ended")
}

fn ending(how: Closing) -> &'static str {
    match how {
        Closing::Approved => "answered yes",
        Closing::Denied => "answered no",
        Closing::Expired => "died unanswered",
    }
}

/// One question in one line.
pub fn line(hold: &HoldView) -> String {
    let request = hold.request.as_ref().map(|request| format!("  {} {}", plain(&request.method, 20), plain(&request.path, 120)));
    let rule = hold.rule.as_deref().map(|rule| format!("  {}", plain(rule, 120)));
    let note = hold.note.as_deref().map(|note| format!(": {}", plain(note, 500)));
    let extra: String = [request, rule, note].into_iter().flatten().collect();
    let (id, agent, instance, place) = (plain(&hold.id, 20), &hold.agent, plain(&hold.instance, 60), shown(&hold.place));
    let first = if hold.first_time { "  first time" } else { "" };
    let (waiting, opened, expires) = (hold.waiting, local(hold.opened_at), local(hold.expires_at));
    format!("{id}  {agent} ({instance})  {place}{extra}  {waiting} waiting{first}  asked {opened}, until {expires}")
}
