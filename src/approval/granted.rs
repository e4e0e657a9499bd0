//! Approvals without end as text: a file an agent, for people who look, and rules to move into the reviewed allowlist.
//!
//! The store's rows are what counts: what is written to these files changes nothing, and is written over.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::answer::ApprovalView;
use crate::policy::attempt::{AgentId, RequestLine, Scheme};
use crate::text::plain;

/// The folder in `state`.
const FOLDER: &str = "granted";

/// The longest note a rule takes is 500 characters.
const NOTE: usize = 500;

/// The files of one state folder, written one at a time.
#[derive(Debug)]
pub(super) struct Granted {
    folder: Mutex<PathBuf>,
}

impl Granted {
    pub(super) fn new(state: &Path) -> Self {
        Self { folder: Mutex::new(state.join(FOLDER)) }
    }

    /// Writes the file of an agent by what `approvals` says at that moment; where there is none without end, there is no file.
    pub(super) fn write(&self, agent: &AgentId, approvals: impl FnOnce() -> Vec<ApprovalView>) -> io::Result<()> {
        let folder = self.folder.lock();
        let path = folder.join(format!("{agent}.toml"));
        let approvals: Vec<_> = approvals().into_iter().filter(|one| one.agent == *agent && is_without_end(one)).collect();
        if approvals.is_empty() {
            return fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&*folder)?;
        let beside = folder.join(format!(".{agent}.toml"));
        // Left over by a kill, perhaps; opened anew so that its mode is ours.
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(file_of(agent, &approvals).as_bytes())?;
        file.sync_all()?;
        fs::rename(beside, path)
    }

    /// The agents that have a file.
    pub(super) fn agents(&self) -> Vec<AgentId> {
        let Ok(found) = fs::read_dir(&*self.folder.lock()) else { return Vec::new() };
        let names = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| AgentId::parse(name.strip_suffix(".toml")?).ok()).collect()
    }
}

pub(super) fn is_without_end(approval: &ApprovalView) -> bool {
    approval.scope == "always"
}

fn file_of(agent: &AgentId, approvals: &[ApprovalView]) -> String {
    let mut text = format!(
        "# What people let {agent} reach without end. exeat writes this file and never reads it: its store is what counts.\n\
         # `exeat revoke ID` takes one back; `exeat approvals --toml` prints them as rules for the allowlist.\n"
    );
    for approval in approvals {
        let ApprovalView { id, hold, agent: _, instance: _, place, scope: _, until: _, addresses, approver, at, note, open: _ } = approval;
        let _ = write!(text, "\n[[approved]]\nid = {}\n", quoted(&id.to_string()));
        if let Some(hold) = hold {
            let _ = writeln!(text, "hold = {}", quoted(hold));
        }
        let _ = writeln!(text, "host = {}\nport = {}", quoted(&place.host), place.port);
        if let Some(scheme) = place.scheme {
            let _ = writeln!(text, "scheme = \"{}\"", scheme.as_str());
        }
        if let Some(RequestLine { method, path }) = &place.only {
            let _ = writeln!(text, "method = {}\npath = {}", quoted(method), quoted(path));
        }
        let _ = writeln!(text, "addresses = {}\nwho = {}\nwhen = {at}", list(addresses), quoted(approver));
        if let Some(note) = note {
            let _ = writeln!(text, "note = {}", quoted(note));
        }
    }
    text
}

/// Approvals without end as `[[allow]]` rules, by agent. What no rule can say is a comment.
pub fn as_rules(approvals: &[ApprovalView]) -> String {
    let mut sorted: Vec<&ApprovalView> = approvals.iter().filter(|approval| is_without_end(approval)).collect();
    sorted.sort_by(|one, other| (&one.agent, one.at, one.id).cmp(&(&other.agent, other.at, other.id)));
    let mut text = String::new();
    let mut heading = None;
    for approval in sorted {
        if heading != Some(&approval.agent) {
            let _ = writeln!(text, "{}# For the allowlist of {}.", if heading.is_some() { "\n" } else { "" }, approval.agent);
            heading = Some(&approval.agent);
        }
        text.push('\n');
        text.push_str(&rule(approval));
    }
    text
}

fn rule(approval: &ApprovalView) -> String {
    let ApprovalView { id: _, hold: _, agent: _, instance: _, place, scope: _, until: _, addresses, approver, at, note, open: _ } =
        approval;
    let why = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
    let mut rule = format!("[[allow]]\nhost = {}\nport = [{}]\n", quoted(&place.host), place.port);
    if let Some(RequestLine { method, path }) = &place.only {
        let _ = writeln!(rule, "method = [{}]\npath = [{}]", quoted(method), quoted(path));
    }
    if addresses != &["public"] {
        let _ = writeln!(rule, "addresses = {}", list(addresses));
    }
    let note: String = plain(&format!("{approver}, {}{why}", at.strftime("%Y-%m-%d")), NOTE).chars().take(NOTE).collect();
    let _ = writeln!(rule, "note = {}", quoted(&note));
    match (place.scheme, &place.only) {
        (Some(Scheme::Http), None) => rule.insert_str(0, "# The yes is to plain HTTP alone; a rule lets a tunnel there pass as well.\n"),
        (Some(Scheme::Https), None) => {
            rule.insert_str(
                0,
                "# The yes is to requests that are seen inside TLS; a rule lets a tunnel pass as well, once nothing looks at them.\n",
            );
        }
        (Some(Scheme::Http | Scheme::Https), Some(_)) | (None, _) => {}
    }
    let unsaid = place
        .only
        .as_ref()
        .is_some_and(|RequestLine { method, path }| format!("{method}{path}").contains(['*', '?', '[', ']', '{', '}', '<', '>']))
        || place.only.as_ref().is_some_and(|only| only.path.ends_with("..."));
    let found = place.only.as_ref().is_some_and(|only| only.path.contains(' '));
    if !unsaid && !found {
        return rule;
    }
    // No path has a space: what follows one tells what the leak guard found.
    let why = if found {
        "No rule lets what the leak guard found pass, so this yes cannot become one: it is about a find, which these lines name."
    } else {
        "The path cannot be written as a rule: part of it is masked here, or stands for itself. Correct it, and take the # away."
    };
    let lines = rule.lines().fold(String::new(), |text, line| text + "# " + line + "\n");
    format!("# {why}\n{lines}")
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A TOML basic string. JSON escapes the same way, but for DEL, which TOML wants escaped as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
