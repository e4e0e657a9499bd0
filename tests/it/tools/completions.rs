//! What a shell completes.

use std::fs;
use std::process::Command;

use super::exeat;

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = exeat(None).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("explain") && script.contains("completions"), "{shell}");
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exeat.bash");
    fs::write(&path, exeat(None).args(["completions", "bash"]).output().unwrap().stdout).unwrap();
    let completed = |words: &str, at: usize| {
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; _exeat exeat \"${{COMP_WORDS[{at}]}}\" exeat; echo \"${{COMPREPLY[@]}}\"",
            path.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("exeat ex", 1), "explain");
    assert_eq!(completed("exeat completions po", 2), "powershell");
    assert_eq!(completed("exeat check --js", 2), "--json");
}
