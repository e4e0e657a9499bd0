//! What is wrong with a file, said so that it can be mended: where, what was found, what was wanted, the fix.
//!
//! A value found is shown escaped and cut short; a token or a secret never.

pub mod code;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The most characters of a value that a fault shows.
const SHOWN: usize = 60;

/// Hexadecimal digits that stand for a secret: a token or digest has 64, and some may have been lost.
const SECRET: usize = 40;

const NOT_SHOWN: &str = "a text that looks like a token (not shown)";

/// One error in a file. Faults sort by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: u32,
    /// What stands there.
    pub found: String,
    /// What should.
    pub wanted: String,
    /// What to do.
    pub fix: String,
}

impl Fault {
    /// A fault of a file or folder as a whole.
    pub fn whole(file: &str, found: impl Into<String>, wanted: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, found: found.into(), wanted: wanted.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.column)?;
        write!(f, "found {}; wanted {}; fix: {}", self.found, self.wanted, self.fix)
    }
}

/// Something that loads and deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: u32,
    /// A stable word for programs.
    pub code: &'static str,
    /// The sentence for people.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.column)?;
        write!(f, "warning: {} [{}]", self.text, self.code)
    }
}

/// A value from a file, fit for a message: quoted, escaped, cut short; what looks like a token is not shown at all.
pub fn shown(text: &str) -> String {
    if is_secret(text) {
        return NOT_SHOWN.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// A host from a file that could be read, as it is written there; what looks like a token is not shown at all.
pub fn host_shown(text: &str) -> &str {
    if is_secret(text) { NOT_SHOWN } else { text }
}

fn is_secret(text: &str) -> bool {
    text.contains("exeat_") || text.contains("sha256:") || holds_digits(text)
}

/// Whether so many hexadecimal digits stand together that they are a token or a digest whose prefix was lost.
fn holds_digits(text: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_hexdigit()).any(|digits| digits.len() >= SECRET)
}

/// The name of a file, fit for a terminal: whoever may put a file into a folder may not write on the screen of who checks it.
pub fn named(file: &str) -> String {
    let mut name = String::with_capacity(file.len());
    for char in file.chars() {
        if matches!(char, '\'' | '"') { name.push(char) } else { name.extend(char.escape_debug()) }
    }
    name
}

fn place(f: &mut fmt::Formatter<'_>, file: &str, line: u32, column: u32) -> fmt::Result {
    let file = named(file);
    if file.starts_with("--") && line > 0 {
        return write!(f, "{file}, value {line}: ");
    }
    match (line, column) {
        (0, _) => write!(f, "{file}: "),
        (line, 0) => write!(f, "{file}:{line}: "),
        (line, column) => write!(f, "{file}:{line}:{column}: "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line() {
        let fault = Fault {
            file: "coder.toml".into(),
            line: 12,
            column: 8,
            found: shown("a\nb"),
            wanted: "a host".into(),
            fix: "write one".into(),
        };
        assert_eq!(fault.to_string(), r#"coder.toml:12:8: found "a\nb"; wanted a host; fix: write one"#);
        let whole = Fault::whole("allowlists", "no folder", "a folder", "make it");
        assert_eq!(whole.to_string(), "allowlists: found no folder; wanted a folder; fix: make it");
        let flag = Fault { file: "--allow".into(), line: 2, column: 0, ..whole };
        assert_eq!(flag.to_string(), "--allow, value 2: found no folder; wanted a folder; fix: make it");
    }

    #[test]
    fn the_name_of_a_file_steers_no_terminal() {
        let fault = Fault::whole("a\u{1b}[2J\n\u{202e}b\u{9b}.toml", "x", "y", "z");
        assert_eq!(fault.to_string(), "a\\u{1b}[2J\\n\\u{202e}b\\u{9b}.toml: found x; wanted y; fix: z");
        let warning = Warning { file: "é\u{7f} 'x'.toml".into(), line: 1, column: 0, code: "c", text: "t".into() };
        assert_eq!(warning.to_string(), "é\\u{7f} 'x'.toml:1: warning: t [c]");
    }

    #[test]
    fn a_warning_ends_with_its_code() {
        let warning = Warning { file: "a.toml".into(), line: 2, column: 1, code: "shared-hosting", text: "anyone can rent there".into() };
        assert_eq!(warning.to_string(), "a.toml:2:1: warning: anyone can rent there [shared-hosting]");
    }

    #[test]
    fn a_value_is_shown_escaped_and_cut() {
        for (text, expected) in [
            ("plain", "\"plain\"".to_owned()),
            ("\u{1b}[31m\u{202e}\"", r#""\u{1b}[31m\u{202e}\"""#.to_owned()),
            (&"x".repeat(60), format!("\"{}\"", "x".repeat(60))),
            (&"x".repeat(61), format!("\"{}…\"", "x".repeat(60))),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let without_prefix = format!("\u{1b}xeat_{}", "00ffabc1".repeat(8));
        for text in ["exeat_abc", "http://a:exeat_abc@h", "sha256:00ff", &without_prefix] {
            let said = shown(text);
            assert!(!said.contains("abc") && !said.contains("00ff"), "{said}");
        }
    }
}
