//! What `exeat env` prints where it fails: shells take no output at all for success, and what follows `eval` would go direct.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum as _;

use super::Shell;

/// Global options that take a word of their own.
const WITH_VALUE: [&str; 2] = ["--config", "--log-format"];

/// Ends with a failure what reads the output; nobody reads it on a terminal.
pub(in crate::cli) fn end(shell: Option<Shell>) {
    let mut out = io::stdout();
    if let Some(line) = shell.and_then(last_line)
        && !out.is_terminal()
    {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// What fails in that shell. Readers of `dotenv` run nothing: they have the exit code alone.
fn last_line(shell: Shell) -> Option<&'static str> {
    match shell {
        Shell::Bash | Shell::Fish => Some("false"),
        Shell::Powershell => Some("throw 'exeat env failed'"),
        Shell::Dotenv => None,
    }
}

/// The shell that `exeat env` is asked for by words that are wrong otherwise; `None` where they are another command's.
pub(in crate::cli) fn asked(words: impl IntoIterator<Item = OsString>) -> Option<Shell> {
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let command = loop {
        let word = words.next()?;
        if WITH_VALUE.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') {
            break word;
        }
    };
    if command != "env" {
        return None;
    }
    let mut named = None;
    while let Some(word) = words.next() {
        named = if word == "--shell" { words.next() } else { word.strip_prefix("--shell=").map(str::to_owned).or(named) };
    }
    Some(named.and_then(|name| Shell::from_str(&name, false).ok()).unwrap_or(Shell::Bash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_words_still_say_whose_shell_reads_the_answer() {
        let table: [(&[&str], Option<Shell>); 10] = [
            (&["env", "--nosuch"], Some(Shell::Bash)),
            (&["env", "--shell", "fish", "--nosuch"], Some(Shell::Fish)),
            (&["-v", "--config", "check", "env", "--nosuch", "--shell=powershell"], Some(Shell::Powershell)),
            (&["--log-format", "xml", "env", "--shell", "dotenv"], Some(Shell::Dotenv)),
            (&["env", "--shell", "csh"], Some(Shell::Bash)),
            (&["env", "--shell"], Some(Shell::Bash)),
            (&["run", "--nosuch", "--", "env"], None),
            (&["token", "env", "--nosuch"], None),
            (&["--config"], None),
            (&[], None),
        ];
        for (words, shell) in table {
            assert_eq!(asked(words.iter().map(OsString::from)), shell, "{words:?}");
        }
    }

    #[test]
    fn each_shell_fails_in_its_own_words() {
        let lines = [Shell::Bash, Shell::Fish, Shell::Powershell, Shell::Dotenv].map(last_line);
        assert_eq!(lines, [Some("false"), Some("false"), Some("throw 'exeat env failed'"), None]);
    }
}
