//! Commands that are named in words to people: they name the configuration too, where the command line named one.
//!
//! Without it, who copies such a command asks another exeat.

use std::io::{self, Write as _};
use std::path::Path;

use crate::text::quoted;

/// The text with the configuration in every command of exeat that it names.
pub(super) fn with_config(text: &str, config: Option<&Path>) -> String {
    let Some(config) = config.map(quoted) else { return text.to_owned() };
    let mut named = text.to_owned();
    for before in ["`", "$(", "| "] {
        named = named.replace(&format!("{before}exeat "), &format!("{before}exeat --config {config} "));
    }
    match named.strip_prefix("exeat ") {
        Some(rest) => format!("exeat --config {config} {rest}"),
        None => named,
    }
}

/// Does something, and says on standard error what it has to say, with the configuration named.
pub(super) fn telling<T>(config: Option<&Path>, task: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut said = Vec::new();
    let done = task(&mut said);
    let _ = io::stderr().write_all(with_config(&String::from_utf8_lossy(&said), config).as_bytes());
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_words_names_the_configuration_that_was_named() {
        let rows = [
            ("start `exeat serve`", "start `exeat --config a.toml serve`"),
            ("exeat token A | exeat env --url -", "exeat --config a.toml token A | exeat --config a.toml env --url -"),
            ("eval \"$(exeat env)\"", "eval \"$(exeat --config a.toml env)\""),
            ("Take it back: `exeat agents --revoke a`", "Take it back: `exeat --config a.toml agents --revoke a`"),
            ("let exeat reach it", "let exeat reach it"),
            ("exeat: no exeat is running", "exeat: no exeat is running"),
        ];
        for (text, expected) in rows {
            assert_eq!(with_config(text, Some(Path::new("a.toml"))), expected);
            assert_eq!(with_config(text, None), text);
        }
        assert_eq!(with_config("`exeat log`", Some(Path::new("/a b.toml"))), "`exeat --config '/a b.toml' log`");
    }
}
