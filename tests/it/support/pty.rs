//! A command in a pseudo-terminal: what a person would see, and keys a person would press.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

#[derive(Default)]
struct Screen {
    text: String,
    ended: bool,
}

/// The terminal and the command in it; dropping it kills the command.
pub(crate) struct Terminal {
    screen: Arc<(Mutex<Screen>, Condvar)>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    /// Starts `argv` in `folder`, with these changes to the environment.
    pub(crate) fn run(argv: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::run_within(200, argv, folder, environment)
    }

    /// The same where the terminal has so many columns.
    pub(crate) fn run_within(columns: u16, argv: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows: 50, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::from_argv(argv.iter().map(Into::into).collect());
        command.cwd(folder);
        for name in super::proxy::ours() {
            command.env_remove(name);
        }
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let screen: Arc<(Mutex<Screen>, Condvar)> = Arc::default();
        let shown = screen.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.0.lock().unwrap().text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                shown.1.notify_all();
            }
            shown.0.lock().unwrap().ended = true;
            shown.1.notify_all();
        });
        Self { screen, keys, child, _master: pair.master }
    }

    /// What has come so far.
    pub(crate) fn shown(&self) -> String {
        self.screen.0.lock().unwrap().text.clone()
    }

    /// Waits until `text` is on the screen.
    pub(crate) fn expect(&self, text: &str) {
        self.expect_times(text, 1);
    }

    /// Waits until `text` has come that often.
    pub(crate) fn expect_times(&self, text: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut screen = self.screen.0.lock().unwrap();
        while screen.text.matches(text).count() < times {
            assert!(!screen.ended && Instant::now() < deadline, "never saw {text:?} in:\n{}", screen.text);
            screen = self.screen.1.wait_timeout(screen, Duration::from_millis(200)).unwrap().0;
        }
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the end: the exit code, and all that was shown.
    pub(crate) fn end(mut self) -> (u32, String) {
        let code = self.child.wait().unwrap().exit_code();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut screen = self.screen.0.lock().unwrap();
        while !screen.ended && Instant::now() < deadline {
            screen = self.screen.1.wait_timeout(screen, Duration::from_millis(200)).unwrap().0;
        }
        (code, screen.text.clone())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
