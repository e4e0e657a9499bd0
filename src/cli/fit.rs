//! Lines fitted to the width of a terminal: broken between fields and between words. Nothing is left out, and a word is never cut.

use std::io::{self, IsTerminal as _};

use rustix::termios::tcgetwinsize;

/// How far in what belongs to a line above it stands.
const HANG: usize = 4;

/// The width of the terminal that standard output is; `None` where it is none, or does not say.
pub(super) fn columns() -> Option<usize> {
    let out = io::stdout();
    let size = out.is_terminal().then(|| tcgetwinsize(&out).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A line of a listing, whose fields are two blanks apart. What does not fit goes on below, further in; `None` is no terminal, and any width.
pub(super) fn listed(line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return line.to_owned() };
    let fields = line.trim_start();
    let lead = line.len() - fields.len();
    format!("{}{}", &line[..lead], broken(fields, columns, (lead, lead + HANG)))
}

/// Words, broken where the terminal is narrower.
pub(super) fn worded(text: &str, columns: usize) -> String {
    broken(text, columns, (0, 0))
}

/// The first line begins at a column, and the others at another. A field that fits on a line is not broken.
fn broken(text: &str, columns: usize, (first, others): (usize, usize)) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut column, mut begins) = (first, true);
    for field in text.split("  ") {
        let mut fits = begins || column + 2 + width(field) <= columns;
        for (at, word) in field.split(' ').enumerate() {
            let blanks = if begins {
                0
            } else if at == 0 {
                2
            } else {
                1
            };
            fits = if at == 0 { fits } else { column + blanks + width(word) <= columns };
            if fits || begins {
                out.push_str(&"  "[..blanks]);
                column += blanks;
            } else {
                out.push('\n');
                out.push_str(&" ".repeat(others));
                column = others;
            }
            out.push_str(word);
            column += width(word);
            begins = false;
        }
    }
    out
}

/// The columns that a text takes at most: a letter beyond ASCII may take two.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if letter.is_ascii() { 1 } else { 2 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "j9dvvk  coder (127.0.0.1)  slow.example:80 (http, any request)  risk: a long label  asked 2026-11-22 14:05:23 UTC";

    #[test]
    fn a_line_is_broken_between_fields_and_then_between_words() {
        let rows = [
            (None, LINE.to_owned()),
            (Some(200), LINE.to_owned()),
            (Some(LINE.len()), LINE.to_owned()),
            (
                Some(80),
                "j9dvvk  coder (127.0.0.1)  slow.example:80 (http, any request)\n    risk: a long label  asked 2026-11-22 14:05:23 UTC".to_owned(),
            ),
            (
                Some(30),
                "j9dvvk  coder (127.0.0.1)\n    slow.example:80 (http, any\n    request)\n    risk: a long label\n    asked 2026-11-22 14:05:23\n    UTC"
                    .to_owned(),
            ),
        ];
        for (columns, expected) in rows {
            assert_eq!(listed(LINE, columns), expected, "{columns:?}");
        }
    }

    #[test]
    fn what_goes_on_stands_further_in_than_its_line() {
        assert_eq!(listed("  abc  defgh  ijk", Some(10)), "  abc\n      defgh\n      ijk");
    }

    #[test]
    fn a_word_that_is_too_long_stands_whole() {
        let host = format!("{}.example.com:443", "a".repeat(60));
        assert_eq!(listed(&format!("k3f  coder  {host} (tunnel)"), Some(40)), format!("k3f  coder\n    {host}\n    (tunnel)"));
    }

    #[test]
    fn letters_that_may_be_wide_count_twice() {
        assert_eq!(listed("ab  例え", Some(8)), "ab  例え");
        assert_eq!(listed("ab  例え", Some(7)), "ab\n    例え");
    }

    #[test]
    fn a_break_leaves_no_blank_at_the_end_of_a_line() {
        for columns in 1..LINE.len() {
            let shown = listed(LINE, Some(columns));
            assert!(shown.lines().all(|line| line.trim_end() == line), "{shown}");
            assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), LINE.split_whitespace().collect::<Vec<_>>());
        }
    }
}
