//! Words for people: text an agent had a hand in, shown as it is only where it cannot deceive; paths as a shell reads them; moments; the system's troubles.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

/// Letters that are drawn as nothing.
const BLANK_LETTERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// `text` on one line in at most about `limit` characters: printable ASCII and letters and digits of any script stand as they are; all else
/// (controls, line ends, bidirectional and invisible characters, marks that stack) is written as `\u{…}`, a backslash as two.
pub fn plain(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, char) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match char {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(char),
            _ if char.is_alphanumeric() && !char.is_ascii() && !BLANK_LETTERS.contains(&char) && !stacks(char) => out.push(char),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
        }
    }
    out
}

/// JSON in which whatever is not printable ASCII is escaped, so that printing it steers no terminal. Line ends between tokens stay.
pub fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() && letter != '\u{7f}' {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// A path as a shell reads it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A moment as RFC 3339 writes it.
pub fn moment(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "a time out of range".to_owned(), |at| at.to_string())
}

/// Why a file cannot be used, in words of people; the system's own where there are none.
pub fn trouble(kind: std::io::ErrorKind) -> String {
    use std::io::ErrorKind;
    let words = [
        (ErrorKind::NotFound, "no such file or folder"),
        (ErrorKind::NotADirectory, "no folder"),
        (ErrorKind::IsADirectory, "a folder"),
        (ErrorKind::InvalidData, "not text in UTF-8"),
        (ErrorKind::FileTooLarge, "too large"),
    ];
    words.into_iter().find(|(of, _)| *of == kind).map_or_else(|| kind.to_string(), |(_, words)| words.to_owned())
}

/// Blocks whose marks count as alphabetic and pile up on the letter before.
fn stacks(char: char) -> bool {
    matches!(u32::from(char), 0x0300..=0x036f | 0x0483..=0x0489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0x2de0..=0x2dff | 0xfe00..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_printed_in_ascii_and_reads_back_the_same() {
        let value = serde_json::json!({"path": "/a\u{9b}31m\u{202e}b\u{7f}\u{1b}\u{1f512}é"});
        for json in [value.to_string(), format!("{value:#}")] {
            let text = ascii_json(&json);
            assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..0x7f).contains(&byte)), "{text:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok().as_ref(), Some(&value));
        }
    }

    #[test]
    fn what_could_deceive_on_a_terminal_is_escaped() {
        let rows = [
            ("api.example.com", "api.example.com"),
            ("bücher.example", "bücher.example"),
            ("例え.テスト", "例え.テスト"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\tc\0", "a\\u{a}b\\u{d}\\u{9}c\\u{0}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}gro.lve", "a\\u{202e}gro.lve"),
            ("a\u{2066}b\u{200b}c\u{feff}", "a\\u{2066}b\\u{200b}c\\u{feff}"),
            ("a\u{3164}b", "a\\u{3164}b"),
            ("e\u{301}\u{345}", "e\\u{301}\\u{345}"),
            ("\\u{1b}", "\\\\u{1b}"),
            ("\u{2028}\u{e0041}", "\\u{2028}\\u{e0041}"),
        ];
        for (text, shown) in rows {
            assert_eq!(plain(text, 80), shown, "{text:?}");
        }
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_read_it_otherwise() {
        assert_eq!(quoted(Path::new("/etc/exeat/exeat.toml")), "/etc/exeat/exeat.toml");
        assert_eq!(quoted(Path::new("/a b/it's.toml")), r"'/a b/it'\''s.toml'");
    }

    #[test]
    fn long_text_is_cut_where_the_limit_is() {
        assert_eq!(plain("abcdef", 6), "abcdef");
        assert_eq!(plain("abcdefg", 6), "abcdef…");
    }
}
