//! The question of `exeat run` on the terminal: one at a time, one key and Enter. What was typed before it was shown does
//! not count, and what an agent had a hand in is escaped. A terminal that the command has for itself is not touched: who
//! reads or flushes it from the background is stopped, and in raw mode the answer would go to the command.

mod prompt;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::fs::OFlags;
use rustix::process::{Signal as Number, getpgrp};
use rustix::termios::{LocalModes, QueueSelector, tcflush, tcgetattr, tcgetpgrp, tcgetwinsize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::approval::{AnswerError, HoldDesk, HoldView, News, Presence};
use crate::policy::attempt::AgentId;
use crate::text::plain;
use prompt::Beside;

/// How often the terminal is looked at while a question is shown, while the command has it, and otherwise: an open question
/// must answer to the key, and reading between questions would take what is typed for the command.
const LOOK: Duration = Duration::from_millis(50);
const LURK: Duration = Duration::from_millis(100);
const GLANCE: Duration = Duration::from_secs(1);

/// An attempt that leaves this long before its wait is over was not refused for want of an answer.
const EARLY: Duration = Duration::from_secs(1);

/// The longest line that is taken for an answer.
const LINE: usize = 64;

/// Why no more is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedOut {
    /// The run ended.
    Stopped,
    /// The terminal hung up.
    HungUp,
    /// There is no terminal.
    NoTerminal,
}

/// How many questions could not be asked, because the command had the terminal for itself. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Unasked(Arc<AtomicUsize>);

impl Unasked {
    /// The number so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The sentence for the end of a run; `None` where every question could be asked.
    pub fn words(&self) -> Option<String> {
        let questions = match self.count() {
            0 => return None,
            1 => "1 question".to_owned(),
            count => format!("{count} questions"),
        };
        Some(format!("{questions} could not be asked while the command had the terminal for itself; list the hosts with --allow"))
    }

    fn add(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// Whether there is a terminal to ask on.
pub fn terminal_available() -> bool {
    open().is_ok()
}

/// Asks the agent's questions on the terminal until stopped or hung up. Somebody can answer for that agent meanwhile, but for
/// the times when the command has the terminal for itself. `wait` is how long an attempt waits for an answer.
pub async fn ask_on_terminal(desk: Arc<HoldDesk>, agent: AgentId, wait: Duration, unasked: Unasked, stop: CancellationToken) -> AskedOut {
    let Ok(terminal) = open() else { return AskedOut::NoTerminal };
    let Ok(continued) = signal(SignalKind::from_raw(Number::CONT.as_raw())) else { return AskedOut::NoTerminal };
    let approver = crate::admin::name_of(rustix::process::getuid().as_raw());
    let news = desk.subscribe();
    let (since, unanswerable) = (BTreeMap::new(), BTreeSet::new());
    let mut asking = Asking { desk, agent, approver, wait, terminal, continued, news, presence: None, unasked, since, unanswerable };
    tokio::select! {
        () = stop.cancelled() => AskedOut::Stopped,
        _ = asking.ask_all() => AskedOut::HungUp,
    }
}

/// Not blocking, so that nothing is left reading when the run ends; the flag is on this opening of the terminal only.
fn open() -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).map_err(io::Error::other)?;
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty")?;
    tcgetattr(&terminal)?;
    Ok(terminal)
}

struct Asking {
    desk: Arc<HoldDesk>,
    agent: AgentId,
    approver: String,
    wait: Duration,
    terminal: File,
    /// The process was stopped and goes on: what the terminal shows is no longer the question.
    continued: Signal,
    news: broadcast::Receiver<News>,
    /// Kept while the terminal is ours.
    presence: Option<Presence>,
    unasked: Unasked,
    /// The questions attempts wait for, and since when.
    since: BTreeMap<String, Instant>,
    /// Questions whose answer the desk did not take.
    unanswerable: BTreeSet<String>,
}

/// What came of a question that is shown.
#[derive(Debug)]
enum Heard {
    Line(Vec<u8>),
    /// The terminal has to be written anew.
    Continued,
    /// The command took the terminal.
    Taken,
    /// No attempt waits any more.
    Left,
    /// The question is no more.
    Over,
}

impl Asking {
    /// Ends with the terminal.
    async fn ask_all(&mut self) -> io::Result<()> {
        loop {
            if !self.attend()? {
                self.lurk().await?;
                continue;
            }
            if let Some(hold) = self.next() {
                self.ask(&hold).await?;
                continue;
            }
            match tokio::time::timeout(GLANCE, self.news.recv()).await {
                Ok(Err(RecvError::Closed)) => return Ok(()),
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => {}
            }
        }
    }

    /// Whether the terminal is ours. Where it is not, nobody is present: those who wait are told so.
    fn attend(&mut self) -> io::Result<bool> {
        let ours = self.is_ours()?;
        if ours && self.presence.is_none() {
            self.presence = Some(self.desk.attach(Some(self.agent.clone())));
        } else if !ours && self.presence.is_some() {
            let waiting = self.waiting().len();
            self.unasked.add(waiting);
            self.news = self.desk.subscribe();
            self.presence = None;
        }
        Ok(ours)
    }

    /// Canonical mode with echo, and our process group in the foreground. Neither look stops a process in the background.
    fn is_ours(&self) -> io::Result<bool> {
        let modes = tcgetattr(&self.terminal)?.local_modes;
        let in_front = tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp());
        Ok(in_front && modes.contains(LocalModes::ICANON | LocalModes::ECHO))
    }

    /// Counts what cannot be asked for a moment.
    async fn lurk(&mut self) -> io::Result<()> {
        match tokio::time::timeout(LURK, self.news.recv()).await {
            Ok(Ok(News::Opened { hold })) if hold.agent == self.agent => self.unasked.add(1),
            Ok(Ok(News::Opened { .. } | News::Changed { .. } | News::Closed { .. }) | Err(RecvError::Lagged(_))) | Err(_) => {}
            Ok(Err(RecvError::Closed)) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(())
    }

    /// The agent's questions that attempts wait for, the oldest first.
    fn waiting(&mut self) -> Vec<HoldView> {
        let mut holds = self.desk.holds();
        holds.retain(|hold| hold.agent == self.agent && hold.waiting > 0);
        self.since.retain(|id, _| holds.iter().any(|hold| hold.id == *id));
        for hold in &holds {
            self.since.entry(hold.id.clone()).or_insert_with(Instant::now);
        }
        self.unanswerable.retain(|id| self.since.contains_key(id));
        holds
    }

    fn next(&mut self) -> Option<HoldView> {
        self.waiting().into_iter().find(|hold| !self.unanswerable.contains(&hold.id))
    }

    async fn ask(&mut self, hold: &HoldView) -> io::Result<()> {
        let asked_for = plain(&hold.place.authority(), 270);
        let began = self.since.get(&hold.id).copied().unwrap_or_else(Instant::now);
        let _stale = self.continued.recv().now_or_never();
        loop {
            if !self.show(hold, began).await? {
                return Ok(());
            }
            let reply = match self.hear(&hold.id).await? {
                Heard::Line(line) => prompt::answer(&line),
                Heard::Continued => None,
                Heard::Taken => return Ok(()),
                Heard::Left if began.elapsed() + EARLY < self.wait => {
                    return self.say(&format!("\nexeat: {asked_for} is not waited for any more; the next try asks again\n")).await;
                }
                Heard::Left => {
                    return self.say(&format!("\nexeat: too late, {asked_for} was refused; the next try asks again\n")).await;
                }
                Heard::Over => return self.say(&format!("\nexeat: {asked_for} was answered elsewhere, or too late\n")).await,
            };
            let Some(reply) = reply else { continue };
            return match self.desk.answer(&hold.id, reply, &self.approver, None) {
                Ok(answered) if answered.yes_by.is_empty() => Ok(()),
                // Nobody else can say so here, and asking again would be no other person.
                Ok(_) => {
                    self.unanswerable.insert(hold.id.clone());
                    self.say("exeat: your yes counts; somebody else would have to say so as well, and here nobody can\n").await
                }
                Err(AnswerError::Floor(refused)) => {
                    self.say(&format!("exeat: {refused}\n")).await?;
                    continue;
                }
                Err(error) => {
                    self.unanswerable.insert(hold.id.clone());
                    self.say(&format!("exeat: {error}\n")).await
                }
            };
        }
    }

    /// Shows the question, unless the terminal is not ours.
    async fn show(&mut self, hold: &HoldView, began: Instant) -> io::Result<bool> {
        let more = self.waiting().len().saturating_sub(1);
        let columns = tcgetwinsize(&self.terminal).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        let left = self.wait.saturating_sub(began.elapsed());
        let question = prompt::question(hold, Beside { left, more, columns: columns.unwrap_or(80) });
        if !self.is_ours()? {
            return Ok(false);
        }
        tcflush(&self.terminal, QueueSelector::IFlush)?;
        self.say(&question).await?;
        Ok(true)
    }

    /// One line, or why none comes.
    async fn hear(&mut self, id: &str) -> io::Result<Heard> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            if !self.is_ours()? {
                return Ok(Heard::Taken);
            }
            match self.terminal.read(&mut byte) {
                // Ctrl-D is a key like any other that answers nothing. A terminal that hung up fails at the next look.
                Ok(0) => {
                    tokio::time::sleep(LOOK).await;
                    self.is_ours()?;
                    return Ok(Heard::Line(Vec::new()));
                }
                Ok(_) if byte == [b'\n'] => return Ok(Heard::Line(line)),
                Ok(_) if line.len() < LINE => line.push(byte[0]),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some(hold) = self.desk.hold(id) else { return Ok(Heard::Over) };
                    if hold.waiting == 0 {
                        return Ok(Heard::Left);
                    }
                    // So that a question that comes meanwhile is known since then.
                    self.waiting();
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        _ = self.news.recv() => {}
                        _ = self.continued.recv() => return Ok(Heard::Continued),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() && self.is_ours()? {
            match self.terminal.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;
    use crate::approval::testing::{Room, agent, attempt, pass_time};
    use crate::policy::attempt::{Scheme, Seen, Sight};

    const CHILD: &str = "cli::terminal::tests::the_run_on_the_other_side_of_the_terminal";

    #[test]
    fn a_person_at_the_terminal_is_asked_one_at_a_time_and_type_ahead_does_not_count() {
        let mut person = Person::sit_down();
        person.reads("ready");
        // What is typed before a question is shown must answer nothing.
        person.types("go\ny\nn\n");
        let question = "exeat: 192.0.2.1:443 (http, any request; first GET /\\u{1b}[2J\\u{202e}evil), BEWARE: a bare address that is not public: documentation (TEST-NET-1), RFC 5737 for coder? (2 more) [y]es [h]our [a]lways [n]o, 45 s: ";
        person.reads(question);
        for none in ["x\n", "\n"] {
            person.seen.clear();
            person.types(none);
            person.reads(question);
        }
        person.types("y\n");
        person.reads("first: DecideAgain");
        person.reads("192.0.2.2:443 (tunnel, contents not seen), BEWARE: a bare address that is not public: documentation (TEST-NET-1), RFC 5737 for coder? (1 more) [y]es");
        person.types("n\n");
        person.reads("second: No");
        person.reads("192.0.2.3:443 (tunnel, contents not seen), BEWARE: a bare address that is not public: documentation (TEST-NET-1), RFC 5737 for coder? [y]es");
        person.seen.clear();
        person.types("\u{4}");
        person.reads("192.0.2.3:443 (tunnel, contents not seen), BEWARE: a bare address that is not public: documentation (TEST-NET-1), RFC 5737 for coder? [y]es");
        person.types("n\n");
        person.reads("third: No");
        assert!(!person.seen.contains(['\u{202e}', '\u{1b}']), "{}", person.seen);
    }

    /// Started by the test above, on a terminal of its own.
    #[tokio::test]
    #[ignore = "needs a person at the terminal"]
    async fn the_run_on_the_other_side_of_the_terminal() {
        let room = Room::new();
        let stop = CancellationToken::new();
        let mut line = String::new();
        say("ready");
        while line.trim() != "go" {
            line.clear();
            std::io::stdin().read_line(&mut line).unwrap();
        }
        let _asking = tokio::spawn(ask_on_terminal(
            Arc::clone(&room.desk),
            agent("coder"),
            Duration::from_secs(45),
            Unasked::default(),
            stop.clone(),
        ));
        tokio::time::sleep(LOOK).await;
        let mut first = attempt(1, "coder", 1);
        let path = "/\x1b[2J\u{202e}evil";
        first.scheme = Some(Scheme::Http);
        first.sight = Sight::Seen(Seen::bare("GET", path, None).into());
        let mut waiting = Vec::new();
        for attempt in [first, attempt(2, "coder", 2), attempt(3, "coder", 3)] {
            waiting.push(room.ask_waiting(&attempt));
            pass_time(Duration::from_secs(1));
        }
        for (name, waiting) in ["first", "second"].into_iter().zip(&mut waiting) {
            say(&format!("{name}: {:?}", waiting.word().await));
        }
        let word = waiting[2].word().await;
        say(&format!("third: {word:?}"));
    }

    fn say(text: &str) {
        let _ = writeln!(io::stdout(), "{text}");
    }

    /// Somebody who sees what a terminal shows and types on it.
    struct Person {
        seen: String,
        screen: std::sync::mpsc::Receiver<String>,
        keys: Box<dyn Write + Send>,
        child: Box<dyn portable_pty::Child + Send + Sync>,
        _pty: Box<dyn portable_pty::MasterPty + Send>,
    }

    impl Person {
        fn sit_down() -> Self {
            let pty = native_pty_system().openpty(PtySize { rows: 50, cols: 250, pixel_width: 0, pixel_height: 0 }).unwrap();
            let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
            command.args(["--exact", CHILD, "--ignored", "--nocapture"]);
            let child = pty.slave.spawn_command(command).unwrap();
            let mut reader = pty.master.try_clone_reader().unwrap();
            let keys = pty.master.take_writer().unwrap();
            let (sender, screen) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut bytes) {
                    let _ = sender.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
                }
            });
            Self { seen: String::new(), screen, keys, child, _pty: pty.master }
        }

        fn types(&mut self, keys: &str) {
            self.keys.write_all(keys.as_bytes()).unwrap();
            self.keys.flush().unwrap();
        }

        fn reads(&mut self, text: &str) {
            let patience = std::time::Instant::now() + Duration::from_secs(30);
            loop {
                if self.seen.contains(text) {
                    return;
                }
                let left = patience.saturating_duration_since(std::time::Instant::now());
                match self.screen.recv_timeout(left) {
                    Ok(more) => self.seen.push_str(&more),
                    Err(_) => panic!("never saw {text:?} in {:?}", self.seen),
                }
            }
        }
    }

    impl Drop for Person {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
