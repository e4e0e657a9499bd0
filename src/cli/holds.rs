//! `exeat holds`: the pending questions, once or as they come.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::admin_client::AdminClient;
use super::approvals::lasting;
use super::approve::{local, shown};
use super::fit::{self, listed};
use crate::approval::{Closed, Closing, HoldView, Lookalike, News};
use crate::egress::hold::Process;
use crate::text::{ascii_json, plain, quoted};

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
    let columns = fit::columns();
    for group in groups(&holds).iter().filter(|_| !json) {
        write_group(group, columns, out)?;
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
                News::Opened { hold } => writeln!(out, "{}", listed(&line(hold), fit::columns()))?,
                News::Changed { hold: _ } => {}
                News::Closed { closed } => writeln!(out, "{}", listed(&ended(closed), fit::columns()))?,
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

/// The questions in their order, those that are nearly the same together.
fn groups(holds: &[HoldView]) -> Vec<Vec<&HoldView>> {
    let mut groups: Vec<(BTreeSet<&str>, Vec<&HoldView>)> = Vec::new();
    for hold in holds {
        let near: BTreeSet<&str> = hold.similar.iter().flat_map(|similar| &similar.ids).map(String::as_str).collect();
        let beside = |(ids, _): &&mut (BTreeSet<&str>, Vec<&HoldView>)| ids.contains(hold.id.as_str()) || !ids.is_disjoint(&near);
        match groups.iter_mut().find(beside).filter(|_| !near.is_empty()) {
            Some((ids, group)) => {
                ids.extend(near);
                group.push(hold);
            }
            None => groups.push((near, vec![hold])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn write_group(group: &[&HoldView], columns: Option<usize>, out: &mut impl Write) -> std::io::Result<()> {
    let [first, others @ ..] = group else { return Ok(()) };
    if others.is_empty() {
        return writeln!(out, "{}", listed(&line(first), columns));
    }
    let heading = format!("{} questions that are nearly the same; an answer covers one of them:", group.len());
    writeln!(out, "{}", listed(&heading, columns))?;
    writeln!(out, "{}", listed(&format!("  {}", line(first)), columns))?;
    for hold in others {
        let waiting = hold.waiting;
        let (id, place) = (plain(&hold.id, 20), shown(&hold.place, None));
        let line = format!("  {id}  {} ({})  {place}{}  {waiting} waiting", hold.agent, plain(&hold.instance, 60), known(hold));
        writeln!(out, "{}", listed(&line, columns))?;
    }
    Ok(())
}

/// What is known of a question beside what is asked.
fn known(hold: &HoldView) -> String {
    let mut known = String::new();
    if hold.addresses != ["public"] {
        let addresses: Vec<String> = hold.addresses.iter().map(|address| plain(address, 60)).collect();
        known.push_str(&format!("  may lead to {}", if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") }));
    }
    if let Some(Lookalike { of }) = &hold.lookalike {
        known.push_str(&format!("  LOOKS LIKE {}", plain(of, 253)));
    }
    if let Some(preset) = &hold.preset {
        known.push_str(&format!("  of preset {}", plain(preset, 60)));
    }
    let risks: Vec<String> = hold.risk.iter().map(|risk| plain(&risk.text, 200)).collect();
    if !risks.is_empty() {
        known.push_str(&format!("  risk: {}", risks.join("; ")));
    }
    if let Some(process) = &hold.process {
        known.push_str(&format!("  seen to ask: {}", asker(process)));
    }
    known
}

/// The process as it was observed, whatever it says of itself.
fn asker(process: &Process) -> String {
    let Process { pid, name, executable, called: _, user, holders } = process;
    let file = executable.as_deref().map(|file| format!("{}, ", plain(file, 200))).unwrap_or_default();
    let more = if *holders > 1 { format!(", one of {holders} that hold the connection") } else { String::new() };
    format!("{} ({file}pid {pid}, {}{more})", plain(name, 40), plain(user, 60))
}

/// One question in one line.
pub fn line(hold: &HoldView) -> String {
    let known = known(hold);
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
    format!("{id}  {agent} ({instance})  {place}{extra}{known}  {waiting}{first}{yes_by}  asked {opened}, until {expires}")
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
    fn addresses_are_told_where_a_yes_opens_others_than_public_ones() {
        let (_room, mut holds) = held_for(&["a.example"]);
        let mut told = |addresses: &[&str]| {
            holds[0].addresses = addresses.iter().map(|&address| address.to_owned()).collect();
            line(&holds[0]).split("  ").find(|part| part.starts_with("may lead to ")).map(ToOwned::to_owned)
        };
        assert_eq!(told(&["public"]), None);
        assert_eq!(told(&["public", "10.0.0.0/8"]).as_deref(), Some("may lead to public, 10.0.0.0/8"));
        assert_eq!(told(&[]).as_deref(), Some("may lead to no address"));
    }

    fn held_for(hosts: &[&str]) -> (Room, Vec<HoldView>) {
        let room = Room::new();
        for (number, host) in (1..).zip(hosts) {
            let mut attempt = attempt(number, "coder", 1);
            attempt.destination.host = crate::policy::host::Host::parse(host).unwrap();
            let _unattended = room.ask(&attempt);
        }
        let holds = room.desk.holds();
        (room, holds)
    }

    #[test]
    fn questions_that_are_nearly_the_same_stand_together_each_on_a_line_of_its_own() {
        let (_room, holds) = held_for(&["nbswy3dpeb3w64tmmq.example.com", "curl.example", "7f83b1657ff1fc53b92dc1.example.com"]);
        let mut out = Vec::new();
        groups(&holds).iter().for_each(|group| write_group(group, None, &mut out).unwrap());
        let shown = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = shown.lines().collect();
        let of = |host: &str| holds.iter().find(|hold| hold.place.host == host).unwrap().id.clone();
        assert_eq!(lines.len(), 4, "{shown}");
        let together =
            lines.iter().position(|line| *line == "2 questions that are nearly the same; an answer covers one of them:").unwrap();
        for (at, host) in [(1, "nbswy3dpeb3w64tmmq.example.com"), (2, "7f83b1657ff1fc53b92dc1.example.com")] {
            let same = lines[together + 1..=together + 2].iter().find(|line| line.contains(host)).unwrap();
            assert!(same.starts_with(&format!("  {}  coder", of(host))), "{at}: {shown}");
            assert!(same.contains("  risk: a long, random-looking label: data can leave in a name  "), "{shown}");
        }
        assert!(lines.iter().any(|line| line.starts_with(&format!("{}  coder", of("curl.example")))), "{shown}");
    }

    #[test]
    fn what_is_known_of_a_question_is_one_line_that_steers_no_terminal() {
        let (_room, mut holds) = held_for(&["раураӏ.com"]);
        let hostile = "a\u{1b}[2J\r\n\u{9b}31m\u{202e}\u{200b}\u{2028}\u{85}\u{7f}\0\t\u{300}<b>&\\";
        let hold = &mut holds[0];
        hold.lookalike = Some(Lookalike { of: hostile.to_owned() });
        hold.preset = Some(hostile.to_owned());
        hold.risk.push(crate::approval::Risk { code: hostile.to_owned(), text: hostile.to_owned() });
        let (name, user) = (hostile.to_owned(), hostile.to_owned());
        hold.process = Some(Process { pid: 7, name, executable: Some(hostile.to_owned()), called: None, user, holders: 2 });
        hold.place.unicode = Some(hostile.to_owned());
        let shown = line(hold);
        assert!(shown.chars().all(|char| char == ' ' || char.is_ascii_graphic() || char.is_alphanumeric()), "{shown:?}");
        assert!(shown.contains("  LOOKS LIKE a\\u{1b}[2J\\u{d}\\u{a}"), "{shown}");
        assert!(shown.contains(", pid 7, ") && shown.contains(", one of 2 that hold the connection)"), "{shown}");
    }
}
