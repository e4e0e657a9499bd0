//! The question of `exeat run` on the terminal: one at a time, one key and Enter. What was typed before it was shown does
//! not count, and what an agent had a hand in is escaped.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::termios::{QueueSelector, tcflush, tcgetattr};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::approve::shown;
use crate::approval::{HoldDesk, HoldView, Lasting, Reply};
use crate::policy::attempt::AgentId;
use crate::text::plain;

/// How often the terminal is looked at while a question is shown, and otherwise: an open question must answer to the key,
/// and reading between questions would take what is typed for the command.
const LOOK: Duration = Duration::from_millis(50);
const GLANCE: Duration = Duration::from_secs(1);

/// A yes for the run ends with the run; this outlasts any.
const RUN: Duration = Duration::from_secs(365 * 24 * 3600);

const HOUR: Duration = Duration::from_secs(3600);

/// The longest line that is taken for an answer.
const LINE: usize = 64;

/// Why no more is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedOut {
    /// The run ended.
    Stopped,
    /// The terminal hung up or gave an end of file.
    HungUp,
    /// There is no terminal.
    NoTerminal,
}

/// What a line typed at a question means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Answer(Reply),
    Skip,
    Unknown,
}

/// Whether there is a terminal to ask on.
pub fn terminal_available() -> bool {
    open().is_ok()
}

/// Asks the agent's questions on the terminal until stopped or hung up. Meanwhile somebody can answer for that agent.
pub async fn ask_on_terminal(desk: Arc<HoldDesk>, agent: AgentId, stop: CancellationToken) -> AskedOut {
    let Ok(terminal) = open() else { return AskedOut::NoTerminal };
    let approver = crate::admin::name_of(rustix::process::getuid().as_raw());
    let mut asking = Asking { desk, agent, approver, terminal, skipped: BTreeSet::new() };
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
    terminal: File,
    /// Pending questions that are not asked again.
    skipped: BTreeSet<String>,
}

impl Asking {
    /// Ends with the terminal.
    async fn ask_all(&mut self) -> io::Result<()> {
        let mut news = self.desk.subscribe();
        let _presence = self.desk.attach(Some(self.agent.clone()));
        loop {
            if let Some(hold) = self.next() {
                self.ask(&hold).await?;
                continue;
            }
            match tokio::time::timeout(GLANCE, news.recv()).await {
                Ok(Err(broadcast::error::RecvError::Closed)) => return Ok(()),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                Err(_) => {
                    tcgetattr(&self.terminal)?;
                }
            }
        }
    }

    fn next(&mut self) -> Option<HoldView> {
        let holds = self.desk.holds();
        self.skipped.retain(|id| holds.iter().any(|hold| hold.id == *id));
        holds.into_iter().find(|hold| hold.agent == self.agent && !self.skipped.contains(&hold.id))
    }

    async fn ask(&mut self, hold: &HoldView) -> io::Result<()> {
        tcflush(&self.terminal, QueueSelector::IFlush)?;
        self.say(&question(hold)).await?;
        loop {
            let Some(line) = self.line(&hold.id).await? else {
                return self.say("\nexeat: over: answered elsewhere, or died unanswered\n").await;
            };
            let reply = match key(&line) {
                Key::Answer(reply) => reply,
                Key::Skip => {
                    self.skipped.insert(hold.id.clone());
                    return Ok(());
                }
                Key::Unknown => {
                    tcflush(&self.terminal, QueueSelector::IFlush)?;
                    self.say("exeat: answer y, h, a, n or s, then Enter: ").await?;
                    continue;
                }
            };
            return match self.desk.answer(&hold.id, reply, &self.approver, None) {
                Ok(_) => Ok(()),
                Err(error) => {
                    self.skipped.insert(hold.id.clone());
                    self.say(&format!("exeat: {error}\n")).await
                }
            };
        }
    }

    /// One line, or `None` when the question is over meanwhile.
    async fn line(&mut self, id: &str) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match self.terminal.read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // A command that put the terminal in raw mode gets carriage returns, and so do we.
                Ok(_) if matches!(byte, [b'\n' | b'\r']) => return Ok(Some(line)),
                Ok(_) if line.len() < LINE => line.push(byte[0]),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.desk.hold(id).is_none() {
                        return Ok(None);
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
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

/// The question in one line.
fn question(hold: &HoldView) -> String {
    let request = hold.request.as_ref().map(|request| format!(", {} {}", plain(&request.method, 20), plain(&request.path, 80)));
    let note = hold.note.as_deref().map(|note| format!(" [{}]", plain(note, 200)));
    let extra: String = [request, note].into_iter().flatten().collect();
    format!(
        "exeat: {} asks for {}{extra} — allow? [y]es once, [h]our, [a]lways for this run, [n]o, [s]kip: ",
        hold.agent,
        shown(&hold.place)
    )
}

fn key(line: &[u8]) -> Key {
    let yes = |lasting| Key::Answer(Reply::Yes { lasting, addresses: None });
    match line.trim_ascii() {
        b"y" | b"Y" => yes(Lasting::Once),
        b"h" | b"H" => yes(Lasting::For(HOUR)),
        b"a" | b"A" => yes(Lasting::For(RUN)),
        b"n" | b"N" => Key::Answer(Reply::No),
        b"s" | b"S" => Key::Skip,
        _ => Key::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::Instant;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;
    use crate::approval::testing::{Room, agent, attempt, pass_time};
    use crate::policy::attempt::{RequestLine, Sight};

    const CHILD: &str = "cli::terminal::tests::the_run_on_the_other_side_of_the_terminal";

    #[test]
    fn a_person_at_the_terminal_is_asked_one_at_a_time_and_type_ahead_does_not_count() {
        let mut person = Person::sit_down();
        person.reads("ready");
        // What is typed before a question is shown must answer nothing.
        person.types("go\ny\nn\n");
        person.reads(
            "192.0.2.1:443 (tunnel), GET /\\u{1b}[2J\\u{202e}evil — allow? [y]es once, [h]our, [a]lways for this run, [n]o, [s]kip: ",
        );
        person.types("x\n");
        person.reads("answer y, h, a, n or s");
        person.types("y\n");
        person.reads("first: DecideAgain");
        person.reads("192.0.2.2:443 (tunnel) — allow?");
        person.types("n\n");
        person.reads("second: No");
        person.reads("192.0.2.3:443 (tunnel) — allow?");
        person.types("\u{4}");
        person.reads("third: Unattended HungUp");
        assert!(!person.seen.contains(['\u{202e}', '\u{1b}']), "{}", person.seen);
    }

    #[test]
    fn one_key_is_an_answer_and_anything_else_is_none() {
        let yes = |lasting| Key::Answer(Reply::Yes { lasting, addresses: None });
        let rows: [(&[u8], Key); 10] = [
            (b"y", yes(Lasting::Once)),
            (b" Y ", yes(Lasting::Once)),
            (b"h", yes(Lasting::For(HOUR))),
            (b"a", yes(Lasting::For(RUN))),
            (b"n", Key::Answer(Reply::No)),
            (b"s", Key::Skip),
            (b"", Key::Unknown),
            (b"yes", Key::Unknown),
            (b"yn", Key::Unknown),
            (b"\x1b[A", Key::Unknown),
        ];
        for (line, meant) in rows {
            assert_eq!(key(line), meant, "{line:?}");
        }
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
        let asking = tokio::spawn(ask_on_terminal(Arc::clone(&room.desk), agent("coder"), stop.clone()));
        tokio::time::sleep(LOOK).await;
        let mut first = attempt(1, "coder", 1);
        let path = "/\x1b[2J\u{202e}evil".into();
        first.sight = Sight::Seen(RequestLine { method: "GET".into(), path });
        let mut waiting = Vec::new();
        for attempt in [first, attempt(2, "coder", 2), attempt(3, "coder", 3)] {
            waiting.push(room.ask_waiting(&attempt));
            pass_time(Duration::from_secs(1));
        }
        for (name, waiting) in ["first", "second"].into_iter().zip(&mut waiting) {
            say(&format!("{name}: {:?}", waiting.word().await));
        }
        let word = waiting[2].word().await;
        say(&format!("third: {word:?} {:?}", asking.await.unwrap()));
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
            let patience = Instant::now() + Duration::from_secs(30);
            loop {
                if self.seen.contains(text) {
                    return;
                }
                let left = patience.saturating_duration_since(Instant::now());
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
