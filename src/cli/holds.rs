//! `exeat holds`: the pending questions, once or as they come.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::admin_client::AdminClient;
use super::approvals::lasting;
use super::approve::{local, shown};
use crate::approval::{Closed, Closing, HoldView, News};
use crate::text::{ascii_json, plain};

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

/// Lists, or watches until the running exeat ends. `config` is the file that --config named: who answers has to name it too.
pub async fn run(args: HoldsArgs, state: &Path, config: Option<&Path>, out: &mut impl Write) -> Result<ExitCode> {
    let HoldsArgs { watch, json } = args;
    let client = AdminClient::new(state);
    if watch {
        return follow(&client, json, config, out).await;
    }
    let holds: Vec<HoldView> = client.get("holds").await?;
    if json {
        writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(&holds)?))?;
    } else if holds.is_empty() {
        writeln!(out, "no question is pending")?;
    }
    for hold in holds.iter().filter(|_| !json) {
        writeln!(out, "{}", line(hold))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(client: &AdminClient, json: bool, config: Option<&Path>, out: &mut impl Write) -> Result<ExitCode> {
    let mut lines = client.stream("holds?watch").await?;
    if !json {
        let exeat = config.map_or_else(|| "exeat".to_owned(), |config| format!("exeat --config {}", quoted(config)));
        writeln!(out, "watching; answer with `{exeat} approve ID` or `{exeat} deny ID` in another terminal")?;
        out.flush()?;
    }
    while let Some(news) = lines.next::<News>().await? {
        if json {
            writeln!(out, "{}", ascii_json(&serde_json::to_string(&news)?))?;
        } else {
            match &news {
                News::Opened { hold } => writeln!(out, "{}", line(hold))?,
                News::Changed { hold: _ } => {}
                News::Closed { closed } => writeln!(out, "{}", ended(closed))?,
            }
        }
        out.flush()?;
    }
    bail!("the running exeat ended")
}

/// The end of a question in one line.
fn ended(closed: &Closed) -> String {
    let Closed { id, agent, place, how, approver, scope, until } = closed;
    let by = approver.as_deref().map(|approver| format!(" by {}", plain(approver, 60))).unwrap_or_default();
    let how = match how {
        Closing::Approved => format!("answered yes{by}: {}", lasting(scope.as_deref().unwrap_or("once"), *until)),
        Closing::Denied => format!("answered no{by}"),
        Closing::Expired => "died unanswered".to_owned(),
        Closing::Withdrawn => "is not asked any more: the policy changed".to_owned(),
    };
    format!("{}  {agent}  {}  {how}", plain(id, 20), shown(place, None))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// One question in one line.
pub fn line(hold: &HoldView) -> String {
    let rule = hold.rule.as_deref().map(|rule| format!("  {}", plain(rule, 120)));
    let note = hold.note.as_deref().map(|note| format!(": {}", plain(note, 500)));
    let extra: String = [rule, note].into_iter().flatten().collect();
    let (id, agent, instance, place) =
        (plain(&hold.id, 20), &hold.agent, plain(&hold.instance, 60), shown(&hold.place, hold.request.as_ref()));
    let first = if hold.first_time { "  first time" } else { "" };
    let waiting = match hold.waiting {
        count @ (0 | 1) => format!("{count} waiting"),
        count => format!("{count} waiting, a yes releases all of them"),
    };
    let yes_by: Vec<String> = hold.yes_by.iter().map(|name| plain(name, 60)).collect();
    let yes_by = if yes_by.is_empty() { String::new() } else { format!("  yes by {}, waits for another", yes_by.join(", ")) };
    let (opened, expires) = (local(hold.opened_at), local(hold.expires_at));
    format!("{id}  {agent} ({instance})  {place}{extra}  {waiting}{first}{yes_by}  asked {opened}, until {expires}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::approval::testing::{Room, attempt, yes};
    use crate::approval::{Lasting, Reply};

    #[test]
    fn the_end_of_a_question_names_place_answer_and_who() {
        for (reply, words) in [
            (yes(Lasting::Once), "coder  192.0.2.1:443 (tunnel, contents not seen)  answered yes by alice: once"),
            (yes(Lasting::Always), "coder  192.0.2.1:443 (tunnel, contents not seen)  answered yes by alice: always"),
            (Reply::No, "coder  192.0.2.1:443 (tunnel, contents not seen)  answered no by alice"),
        ] {
            let room = Room::new();
            let _presence = room.desk.attach(None);
            let _waiting = room.ask_waiting(&attempt(1, "coder", 1));
            let mut news = room.desk.subscribe();
            let id = room.desk.holds().remove(0).id;
            room.desk.answer(&id, reply, "alice", None).unwrap();
            let told = serde_json::to_string(&news.try_recv().unwrap()).unwrap();
            let News::Closed { closed } = serde_json::from_str(&told).unwrap() else { panic!("{told}") };
            assert_eq!(ended(&closed), format!("{id}  {words}"));
        }
    }

    #[test]
    fn a_question_many_wait_for_says_that_a_yes_releases_all() {
        let room = Room::new();
        let _presence = room.desk.attach(None);
        let _one = room.ask_waiting(&attempt(1, "coder", 1));
        assert!(line(&room.desk.holds()[0]).contains("  1 waiting  first time  "));
        let _other = room.ask_waiting(&attempt(2, "coder", 1));
        assert!(line(&room.desk.holds()[0]).contains("  2 waiting, a yes releases all of them  "));
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_read_it_otherwise() {
        assert_eq!(quoted(Path::new("/etc/exeat/exeat.toml")), "/etc/exeat/exeat.toml");
        assert_eq!(quoted(Path::new("/a b/it's.toml")), r"'/a b/it'\''s.toml'");
    }
}
