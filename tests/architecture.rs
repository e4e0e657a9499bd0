//! The shape of the source, kept by a test: which way imports point, what `policy/` may touch, who may name a socket, how long a file is,
//! and which crates may stand in the tree. Each detector is shown to fire on planted text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each room of `src/` may import from the others. A room that is not here may not exist.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("private", &[]),
    ("policy", &[]),
    ("tls", &["policy", "text"]),
    ("secrets", &["policy", "text"]),
    ("egress", &["policy", "secrets", "tls", "text"]),
    ("front", &["egress", "policy", "text"]),
    ("approval", &["egress", "policy", "text"]),
    ("journal", &["egress", "policy", "text"]),
    ("telemetry", &["egress", "journal", "policy", "private", "text"]),
    ("config", &["policy", "private", "text", "tls"]),
    ("explain", &["policy", "text"]),
    ("admin", &["approval", "config", "egress", "explain", "journal", "policy", "telemetry", "text"]),
    ("app", &["admin", "approval", "config", "egress", "front", "journal", "policy", "secrets", "telemetry", "text", "tls"]),
    ("cli", &["admin", "app", "approval", "config", "egress", "explain", "front", "journal", "policy", "telemetry", "text", "tls"]),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// What those who ask and those who record may see of `egress`: no permit and no connection.
const NECK_ONLY: &[(&str, &[&str])] = &[("approval", &["hold", "record"]), ("journal", &["record"]), ("telemetry", &["record"])];

/// The model of asking and answering: tests alone, which walk through the real gate.
const WALK: &str = "approval/tests/walk/";

/// What has no place in `policy/`: it is pure, and time is an argument.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "tokio",
    "tracing",
    "SystemTime::now",
    "Instant",
    "async",
    "await",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "println",
    "eprintln",
];

/// Which rooms may name a socket.
const SOCKETS: &[(&str, &[&str])] = &[
    // The doctor tries from where it stands what can be reached: no permit is there to be had, and nothing of an agent's is carried.
    ("TcpStream", &["front/", "egress/", "admin/", "telemetry/", "app.rs", "cli/run", "cli/doctor/"]),
    ("TcpListener", &["front/", "admin/", "telemetry/", "app/bound", "cli/run"]),
    ("UnixStream", &["admin/", "cli/"]),
    ("UnixListener", &["admin/", "app.rs"]),
    ("TcpSocket", &["egress/", "front/"]),
    ("UdpSocket", &["egress/dial", "cli/doctor/"]),
    ("hickory_resolver", &["egress/"]),
];

/// Names that say nothing of what is in a file.
const HOLLOW: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "engine", "handler", "acl"];

const LINES_BEFORE_TESTS: usize = 400;

/// A source file: its path below `src/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The room: a folder of `src/`, or a file beside them.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The text before the module of tests; a file `tests.rs` is such a module.
    fn before_tests(&self) -> &str {
        if self.path.ends_with("/tests.rs") {
            return "";
        }
        let is_tests =
            |at: usize| self.text[at..].lines().skip(1).find(|line| !line.starts_with("#[")).is_some_and(|line| line.starts_with("mod "));
        let begins = self.text.match_indices("#[cfg(test)]").map(|(at, _)| at);
        let tests = begins.filter(|at| *at == 0 || self.text.as_bytes()[at - 1] == b'\n').find(|at| is_tests(*at));
        &self.text[..tests.unwrap_or(self.text.len())]
    }

    /// The module path, for example `["policy", "host"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        path.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src/ can be read") {
            let path: PathBuf = entry.expect("src/ can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                let path = path.strip_prefix(&root).expect("found below src/").to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.iter().any(|source| source.path == "policy/mod.rs"), "the real source is read");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every finding of a detector over the whole source, one a line.
fn assert_clean(detector: Detector) {
    let found: Vec<String> = sources().iter().flat_map(detector).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The text with comments and the insides of literals blanked out, line breaks kept.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = vec![b' '; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if let Some(end) = end {
            at = end;
        } else {
            out[at] = bytes[at];
            at += 1;
        }
    }
    for (blank, byte) in out.iter_mut().zip(bytes) {
        if *byte == b'\n' {
            *blank = b'\n';
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `None` if none begins there.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let find =
        |needle: &[u8], from: usize| rest[from..].windows(needle.len()).position(|window| window == needle).map(|found| from + found);
    let after = |found: Option<usize>, length: usize| Some(at + found.map_or(rest.len(), |found| found + length));
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return after(find(b"\n", 0), 0);
    }
    if rest.starts_with(b"/*") {
        return after(find(b"*/", 2), 2);
    }
    if rest.starts_with(b"r\"") || rest.starts_with(b"r#") && !in_word {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
            return after(find(&closing, 2 + hashes), closing.len());
        }
    }
    if rest.starts_with(b"\"") {
        let mut end = 1;
        while end < rest.len() && rest[end] != b'"' {
            end += if rest[end] == b'\\' { 2 } else { 1 };
        }
        return Some((at + end + 1).min(bytes.len()));
    }
    match rest {
        [b'\'', b'\\', ..] => after(find(b"'", 3), 1),
        [b'\'', _, b'\'', ..] => Some(at + 3),
        _ => None,
    }
}

/// Whether `word` stands in the code as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = code.as_bytes();
    code.match_indices(word)
        .any(|(at, _)| !part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !part(bytes.get(at + word.len())))
}

/// The paths that follow `prefix` (`crate::`), their first two parts; a group in braces is opened.
fn paths_after(code: &str, prefix: &str) -> Vec<(String, String)> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let tail = |text: &str| text.strip_prefix("::").map(ident).unwrap_or_default();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        for part in group(rest) {
            let first = ident(part);
            for second in part
                .get(first.len() + 2..)
                .filter(|second| second.starts_with('{'))
                .map_or(vec![tail(&part[first.len()..])], |second| group(second).into_iter().map(ident).collect())
            {
                found.push((first.clone(), second));
            }
        }
    }
    found
}

/// The members of a group in braces, or the text itself where it is none.
fn group(text: &str) -> Vec<&str> {
    let Some(inside) = text.strip_prefix('{') else { return vec![text] };
    let (mut depth, mut start, mut members) = (0_usize, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(inside[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

/// What is wrong with one file, a line each.
type Detector = fn(&Source) -> Vec<String>;

fn wrong_imports(source: &Source) -> Vec<String> {
    let code = code(source.before_tests());
    let room = source.room();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
        return vec![format!("src/{}: a room that MAY_IMPORT does not know", source.path)];
    };
    let up = "super::".repeat(source.module().len());
    let mut imports = paths_after(&code, "crate::");
    imports.extend(paths_after(&code, "exeat::"));
    if !up.is_empty() {
        imports.extend(paths_after(&code, &up).into_iter().filter(|(first, _)| first != "super"));
    }
    let parts = NECK_ONLY.iter().find(|(name, _)| *name == room).map(|(_, parts)| *parts);
    let mut wrong = BTreeSet::new();
    for (first, second) in imports {
        let own = first == room || first.chars().next().is_none_or(char::is_uppercase);
        if !own && !allowed.contains(&first.as_str()) {
            wrong.insert(format!("src/{}: {room} may not import {first}", source.path));
        } else if first == "egress" && parts.is_some_and(|parts| !parts.contains(&second.as_str())) && !source.path.starts_with(WALK) {
            wrong.insert(format!("src/{}: {room} may not import egress::{second}", source.path));
        }
    }
    wrong.into_iter().collect()
}

fn impurity(source: &Source) -> Vec<String> {
    if source.room() != "policy" {
        return Vec::new();
    }
    let code = code(source.before_tests());
    IMPURE
        .iter()
        .filter(|word| names(&code, word))
        .map(|word| format!("src/{}: policy is pure, and this names {word}", source.path))
        .collect()
}

fn sockets(source: &Source) -> Vec<String> {
    let code = code(source.before_tests());
    let wrong = |(word, rooms): &&(&str, &[&str])| names(&code, word) && !rooms.iter().any(|room| source.path.starts_with(room));
    SOCKETS.iter().filter(wrong).map(|(word, rooms)| format!("src/{}: names {word}, which only {rooms:?} may", source.path)).collect()
}

fn unfinished(source: &Source) -> Vec<String> {
    let code = code(&source.text);
    let mut found: Vec<&str> = ["todo", "unimplemented"].into_iter().filter(|word| names(&code, word)).collect();
    found.extend(["TODO", "FIXME", "XXX", "HACK"].into_iter().filter(|word| names(&source.text, word)));
    found.extend(["#[path", "#![path", "#[ignore]", "include!("].into_iter().filter(|word| code.contains(word)));
    found.into_iter().map(|word| format!("src/{}: {word}", source.path)).collect()
}

fn size_and_heading(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.before_tests().lines().count();
    if lines > LINES_BEFORE_TESTS {
        found.push(format!("src/{}: {lines} lines before its tests, {LINES_BEFORE_TESTS} are the cap", source.path));
    }
    let doc = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    if source.path != "lib.rs" && !source.before_tests().is_empty() && !(1..=6).contains(&doc) {
        found.push(format!("src/{}: begins with {doc} lines of module documentation, 1 to 6 are wanted", source.path));
    }
    let name = source.module().last().copied().unwrap_or_default();
    if HOLLOW.contains(&name) {
        found.push(format!("src/{}: a name that says nothing of what is inside", source.path));
    }
    found
}

#[test]
fn imports_point_one_way() {
    assert_clean(wrong_imports);
}

#[test]
fn policy_is_pure() {
    assert_clean(impurity);
}

#[test]
fn only_the_rooms_that_need_one_name_a_socket() {
    assert_clean(sockets);
}

#[test]
fn nothing_is_left_unfinished_or_pulled_in_sideways() {
    assert_clean(unfinished);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    assert_clean(size_and_heading);
}

/// Follows `deny.toml` over the crates that are in the tree on this platform; licences are cargo-deny's part.
#[test]
fn no_banned_crate_and_no_stray_source_is_in_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules: toml::Table = fs::read_to_string(root.join("deny.toml")).expect("deny.toml is there").parse().expect("deny.toml is TOML");
    let bans = rules["bans"]["deny"].as_array().expect("a list of bans");
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root).args(["tree", "--locked", "--offline", "--edges", "all", "--prefix", "none", "--format", "{p}"]);
    let tree = tree.output().expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("tokio"), "the real tree is read");
    for ban in bans {
        let name = ban["crate"].as_str().expect("a name");
        assert!(ban["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name} is banned without a reason");
        assert!(!crates.contains(name), "{name} is in the tree: {}", ban["reason"]);
    }
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock is there").parse().expect("Cargo.lock is TOML");
    for package in lock["package"].as_array().expect("a list of packages") {
        let source = package.get("source").and_then(toml::Value::as_str).unwrap_or("registry+");
        assert!(source.starts_with("registry+"), "{} comes from {source}", package["name"]);
    }
}

#[test]
fn each_detector_fires_on_what_it_is_for() {
    let planted = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let fires: &[(Detector, &str, &str)] = &[
        (wrong_imports, "policy/x.rs", "use crate::egress::dial;"),
        (wrong_imports, "policy/x.rs", "use super::super::config::Config;"),
        (wrong_imports, "policy/deep/x.rs", "use super::super::super::config::Config;"),
        (wrong_imports, "egress/x.rs", "use crate::{policy::host::Host, front::connect};"),
        (wrong_imports, "journal/x.rs", "fn f(p: crate::egress::permit::Permit) {}"),
        (wrong_imports, "telemetry/x.rs", "use crate::egress::{record::Record, permit::Permit};"),
        (wrong_imports, "gossip/x.rs", ""),
        (impurity, "policy/x.rs", "let now = SystemTime::now();"),
        (impurity, "policy/x.rs", "/* fine */ async fn f() {}"),
        (impurity, "policy/x.rs", "let s = \"\\\"\"; use std::fs;"),
        (impurity, "policy/x.rs", "#[cfg(test)]\nuse std::fs;\nfn f() {}"),
        (sockets, "policy/x.rs", "use std::net::TcpStream;"),
        (sockets, "front/x.rs", "let s = tokio::net::UdpSocket::bind(a);"),
        (unfinished, "front/x.rs", "// TODO: later"),
        (unfinished, "front/x.rs", "fn f() { todo!() }"),
        (unfinished, "front/x.rs", "#[path = \"elsewhere.rs\"] mod x;"),
        (size_and_heading, "front/x.rs", "fn undocumented() {}"),
        (size_and_heading, "front/util.rs", "//! Things."),
    ];
    for (detector, path, text) in fires {
        assert_eq!(detector(&planted(path, text)).len(), 1, "{path}: {text}");
    }
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LINES_BEFORE_TESTS));
    assert_eq!(size_and_heading(&planted("front/x.rs", &long)).len(), 1);
}

#[test]
fn no_detector_fires_on_what_is_fine() {
    let planted = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let quiet: &[(Detector, &str, &str)] = &[
        (wrong_imports, "policy/x.rs", "use crate::policy::host; use super::address; // crate::egress is elsewhere"),
        (wrong_imports, "front/x.rs", "use crate::{egress::gate::{Gate, Claim}, policy::host::Host};"),
        (wrong_imports, "journal/x.rs", "use crate::egress::record::{Record, Front};"),
        (
            impurity,
            "policy/x.rs",
            "//! No tokio here.\nlet a = 'a'; let quote = '\"'; let s = r#\"std::fs \"tokio\" \"#; fn f<'a>(asynchronous: &'a str) {}",
        ),
        (impurity, "policy/x.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }"),
        (impurity, "policy/x.rs", "fn f() {}\n#[cfg(test)]\n#[expect(x, reason = \"tests\")]\nmod tests { use std::fs; }"),
        (impurity, "egress/x.rs", "use std::fs;"),
        (sockets, "egress/dial.rs", "use tokio::net::TcpStream;"),
        (unfinished, "front/x.rs", "let todos = 1;"),
        (size_and_heading, "front/x.rs", "//! What it is.\n"),
    ];
    for (detector, path, text) in quiet {
        assert_eq!(detector(&planted(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
