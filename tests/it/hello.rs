//! The README's first command, as a person would run it and as a pipeline would.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::pty::Terminal;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const BINARY: (&str, &str) = ("HELLO_BINARY", env!("CARGO_BIN_EXE_exeat"));

#[test]
fn the_first_command_is_held_answered_and_passes() {
    let mut terminal = Terminal::run(&["sh", "examples/hello/run.sh"], root(), &[BINARY, ("NO_COLOR", "1")]);
    terminal.expect("hello.test:");
    terminal.expect("not enforced");
    terminal.press("y\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Hello from the other side."), "{shown}");
}

#[test]
fn without_a_terminal_the_first_command_says_that_it_will_be_refused() {
    let output = Command::new("setsid")
        .args(["--wait", "sh", "examples/hello/run.sh"])
        .current_dir(root())
        .env(BINARY.0, BINARY.1)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("no terminal") && shown.contains("\"unlisted\"") && !shown.contains("Hello from"), "{shown}");
}
