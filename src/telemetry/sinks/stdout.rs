//! Records as JSON lines on standard output: the journal's line with `record`, its identity, before all else.
//!
//! A thread of its own writes, as nobody knows when a pipe is read. A batch counts once the system has all of it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Deliver, NotDelivered};
use crate::journal::Entry;

/// A reader that takes longer is told of.
const PATIENCE: Duration = Duration::from_secs(10);

/// The wait before a full pipe that does not block is tried again.
const FULL: Duration = Duration::from_millis(50);

/// Writes lines.
#[derive(Debug)]
pub struct Lines {
    thread: mpsc::SyncSender<Job>,
    /// What the thread is still at.
    writing: Option<(Vec<String>, oneshot::Receiver<io::Result<()>>)>,
}

#[derive(Debug)]
struct Job {
    text: String,
    done: oneshot::Sender<io::Result<()>>,
}

impl Lines {
    /// Lines on the standard output of this process.
    pub fn stdout() -> io::Result<Self> {
        Self::to(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (thread, jobs) = mpsc::sync_channel::<Job>(1);
        std::thread::Builder::new().name("exeat-stdout".into()).spawn(move || {
            let mut torn = false;
            for Job { text, done } in jobs {
                // Whoever waited may be gone; what is written is written.
                let _ = done.send(write(&mut out, &text, &mut torn));
            }
        })?;
        Ok(Self { thread, writing: None })
    }
}

impl Deliver for Lines {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        let identities: Vec<String> = batch.iter().map(Entry::identity).collect();
        let later = |error: io::Error| NotDelivered::later(format!("standard output cannot be written: {error}"));
        let (was, mut done) = match self.writing.take() {
            Some(writing) => writing,
            None => {
                let (done, waits) = oneshot::channel();
                let text = batch.iter().map(|entry| line(entry) + "\n").collect();
                self.thread.send(Job { text, done }).map_err(|_| NotDelivered::later("the thread that writes is gone"))?;
                (identities.clone(), waits)
            }
        };
        let Ok(result) = tokio::time::timeout(PATIENCE, &mut done).await else {
            self.writing = Some((was, done));
            return Err(NotDelivered::later("nobody reads standard output"));
        };
        result.map_err(|_| NotDelivered::later("the thread that writes is gone"))?.map_err(later)?;
        if was == identities { Ok(()) } else { Err(NotDelivered::later("another batch was written meanwhile")) }
    }
}

/// The journal's line with the identity of its record in front.
pub(super) fn line(entry: &Entry) -> String {
    // An identity is made of letters, digits, - and /; a line of the journal is an object with members.
    format!("{{\"record\":\"{}\",{}", entry.identity(), entry.text.strip_prefix('{').unwrap_or_default())
}

/// Writes all of it. After a failure in the middle of a line the next text begins on a new one.
fn write(out: &mut impl Write, text: &str, torn: &mut bool) -> io::Result<()> {
    if *torn {
        write_all(out, b"\n")?;
        *torn = false;
    }
    write_all(out, text.as_bytes()).and_then(|()| out.flush()).inspect_err(|_| *torn = true)
}

fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(FULL),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::telemetry::sinks::sample::entries;

    #[test]
    fn a_line_is_the_journals_with_its_identity_in_front() {
        let (_state, entries) = entries(2);
        assert_eq!(line(&entries[1]), entries[1].text.replacen('{', "{\"record\":\"proxy-1/2\",", 1));
        let value: serde_json::Value = serde_json::from_str(&line(&entries[1])).unwrap();
        assert_eq!((&value["record"], &value["seq"], &value["kind"]), (&"proxy-1/2".into(), &2.into(), &"decided".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_nobody_reads_holds_up_nothing_else_and_loses_nothing() {
        let (_state, entries) = entries(2000);
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::to(writer).unwrap();
        let wanted: String = entries.iter().map(|entry| line(entry) + "\n").collect();
        for _ in 0..3 {
            assert_eq!(lines.deliver(&entries).await, Err(NotDelivered::later("nobody reads standard output")));
        }
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while lines.deliver(&entries).await != Ok(()) {}
        drop(lines);
        assert_eq!(read.join().unwrap(), wanted);
    }

    #[tokio::test]
    async fn a_pipe_that_is_closed_is_told_and_tried_again() {
        let (_state, entries) = entries(2);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut lines = Lines::to(writer).unwrap();
        for _ in 0..2 {
            let said = lines.deliver(&entries).await.unwrap_err().to_string();
            assert!(said.starts_with("standard output cannot be written: "), "{said}");
        }
    }

    #[test]
    fn after_a_failure_in_the_middle_the_next_text_begins_a_line() {
        #[derive(Debug)]
        struct Full(Vec<u8>, usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let room = self.1.min(bytes.len());
                self.1 -= room;
                self.0.extend(&bytes[..room]);
                if room == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(room) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut out, mut torn) = (Full(Vec::new(), 5), false);
        assert!(write(&mut out, "one\ntwo\n", &mut torn).is_err());
        out.1 = 100;
        write(&mut out, "one\ntwo\n", &mut torn).unwrap();
        write(&mut out, "three\n", &mut torn).unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "one\nt\none\ntwo\nthree\n");
    }
}
