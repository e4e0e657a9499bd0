//! Files of this repository, and the programs that judge them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A file or folder of this repository.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of this repository.
pub(super) fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether what a test needs is here; says so if not, and fails where everything must be.
pub(super) fn is_here(what: &str, here: bool) -> bool {
    assert!(here || std::env::var("EXEAT_TEST_CLIENTS").as_deref() != Ok("all"), "not here: {what}");
    if !here {
        eprintln!("NOTICE: not here: {what}; what needs it is not tried");
    }
    here
}

/// Whether this command line can be run at all.
pub(super) fn runs(argv: &[&str]) -> bool {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether the tests run as root.
pub(super) fn are_we_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What a command that must succeed says on standard output.
pub(super) fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, words(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Both of a command's outputs.
pub(super) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The Python of the tests, if it has these modules.
pub(super) fn python(modules: &str) -> Option<String> {
    let python = std::env::var("EXEAT_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let here = runs(&[&python, "-c", &format!("import {modules}")]);
    is_here(&format!("Python with {modules}"), here).then_some(python)
}

/// A file of this repository as another program's reader has it, by a line of Python that makes `value` of `text`.
pub(super) fn read_by(python: &str, line: &str, name: &str) -> Value {
    let script = format!("import json, plistlib, sys\ntext = open(sys.argv[1], 'rb').read()\n{line}\nprint(json.dumps(value))");
    let mut command = Command::new(python);
    let output = said(command.arg("-c").arg(script).arg(path(name)));
    serde_json::from_str(&output).unwrap()
}

/// Every file under a folder, as `ls -l` would have mode and owner, in order; without the folder itself.
pub(super) fn listing(folder: &Path) -> String {
    let mut command = Command::new("find");
    command.arg(folder).args(["-mindepth", "1", "-printf", "%M %U:%G %P%l\\n"]);
    let mut lines: Vec<String> = said(&mut command).lines().map(str::to_owned).collect();
    lines.sort_by(|one, other| one.split(' ').skip(2).cmp(other.split(' ').skip(2)));
    lines.join("\n") + "\n"
}
