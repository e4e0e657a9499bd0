//! What is no TOML, told narrowly where people are known to get it wrong; the parser's own words for the rest.

/// What an editor, a word processor or a chat makes of a straight quotation mark.
const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];

/// What git leaves in a file where two versions of it could not be joined.
const MERGE: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// A fault of the text: its place in octets, what was found, what was wanted, and the fix.
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) words: [String; 3],
}

/// Tells what is wrong at a place of the text; `message` is the parser's.
pub(super) fn told(text: &str, at: usize, message: &str) -> Broken {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default();
    let words = |[found, wanted, fix]: [&str; 3]| [found.to_owned(), wanted.to_owned(), fix.to_owned()];
    if let Some(mark) = MERGE.iter().find(|mark| line.starts_with(**mark)) {
        let found = format!("the mark {mark} of a merge that is not finished");
        let fix = "keep the lines that are meant, and remove those that begin with <<<<<<<, |||||||, ======= or >>>>>>>";
        return Broken { at: start, words: words([&found, "the file as it is to be", fix]) };
    }
    let next = text.get(at..).and_then(|rest| rest.chars().next());
    if let Some(mark) = next.filter(|mark| TYPOGRAPHIC.contains(mark)) {
        let found = format!("the typographic quotation mark {mark}");
        let fix = r#"type the quotation marks anew, as in "example.com": some editors and chats turn straight ones into these"#;
        return Broken { at, words: words([&found, r#"the straight quotation mark ""#, fix]) };
    }
    let found = format!("no valid TOML: {message}");
    Broken { at, words: words([&found, "TOML 1.1", "see https://toml.io; texts stand in double quotes, lists in [ ]"]) }
}
