//! `[leaks]` as an agent's file writes it.

use std::sync::Arc;

use super::rules::LeakRules;
use super::{Encoded, Leaks, OnLeak, SCAN};
use crate::policy::allowlist::{IncludeName, Library, Unfound};
use crate::policy::document::{Document, Item, Table, one_of};
use crate::policy::fault::Fault;
use crate::policy::inject::SecretSource;
use crate::policy::rule::RuleRef;

const SCAN_MOST: u64 = 1 << 20;

/// The most values that are looked for.
const SECRETS_MAX: usize = 256;

/// Reads `[leaks]`, if it is there, and the file of rules it names, whose faults come beside it.
pub(in crate::policy) fn leaks(document: &Document<'_>, root: &mut Table<'_>, library: &dyn Library) -> (Option<Arc<Leaks>>, Vec<Fault>) {
    let Some(mut table) = root.table("leaks") else { return (None, Vec::new()) };
    let mut faults = Vec::new();
    let place = RuleRef { file: document.file().clone(), line: table.line() };
    let on_find = [("hold", OnLeak::Hold), ("block", OnLeak::Block)];
    let found = table.take("found").and_then(|item| item.parse("hold or block", |text| one_of(&on_find, text)));
    let codings = [("found", Encoded::Found), ("pass", Encoded::Pass)];
    let encoded = table.take("encoded").and_then(|item| item.parse("found or pass", |text| one_of(&codings, text)));
    let scan = table.take("scan").and_then(scan);
    let named = table.take("rules");
    let rules = named.and_then(|item| rules(item, library, &mut faults));
    let (mut secrets, mut any) = (Vec::new(), false);
    for source_table in table.tables("secrets") {
        any = true;
        secrets.extend(source(source_table));
    }
    if secrets.len() > SECRETS_MAX {
        table.fault(format!("{} secrets", secrets.len()), format!("at most {SECRETS_MAX}"), "leave out what no agent could know");
    }
    if named.is_none() && !any {
        table.fault(
            "[leaks] that looks for nothing",
            "rules, secrets or both",
            r#"write rules = "leaks.toml", or secrets = [{ env = "NAME" }]"#,
        );
    }
    let found = found.unwrap_or(OnLeak::Block);
    let (scan, encoded) = (scan.unwrap_or(SCAN), encoded.unwrap_or(Encoded::Found));
    (Some(Arc::new(Leaks { place, found, rules, secrets, scan, encoded })), faults)
}

fn scan(item: Item<'_>) -> Option<usize> {
    let size = item.size()?;
    if (1024..=SCAN_MOST).contains(&size) {
        return usize::try_from(size).ok();
    }
    item.wrong("a size from 1KiB to 1024KiB", "write one in that range: so much of each body waits for its end");
    None
}

/// The file of rules lies beside the agent's, as what it includes does.
fn rules(item: Item<'_>, library: &dyn Library, faults: &mut Vec<Fault>) -> Option<Arc<LeakRules>> {
    let sibling = |text: &str| {
        let name = text.strip_suffix(".toml").ok_or_else(|| format!(r#"write "{text}.toml""#))?;
        match IncludeName::parse(name)? {
            IncludeName::Sibling(name) => Ok(IncludeName::Sibling(name)),
            IncludeName::Preset(_) => Err("name a file of the same folder".to_owned()),
        }
    };
    let name = item.parse("a file of rules beside this one", sibling)?;
    match library.text(&name) {
        Ok(text) => LeakRules::read(&text.file, &text.text).map_err(|wrong| faults.extend(wrong)).ok().map(Arc::new),
        Err(Unfound { found, fix }) => {
            item.fault(format!("rules \"{name}.toml\", {found}"), "a file of rules that can be read", fix);
            None
        }
    }
}

/// One value that is looked for. A command's would be had anew for each request, and is no agent's to know.
fn source(mut table: Table<'_>) -> Option<SecretSource> {
    let env = table.take("env").map(Item::secret);
    let file = table.take("file");
    table.refuse("command", "env or file", "name the variable or the file of the value");
    match (env, file) {
        (Some(env), None) => env.parse("the name of a variable", variable).map(SecretSource::Env),
        (None, Some(file)) => {
            let path = |text: &str| if text.is_empty() || text.contains('\0') { Err("name a file") } else { Ok(Arc::from(text)) };
            file.parse("a path", path).map(SecretSource::File)
        }
        (None, None) | (Some(_), Some(_)) => {
            table.fault("a secret without one source", "env or file, one of them", r#"write { env = "NAME" } or { file = "PATH" }"#);
            None
        }
    }
}

/// exeat's own variables configure it, and are cleared for commands as a whole.
fn variable(text: &str) -> Result<Arc<str>, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let right = !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) && !text.as_bytes()[0].is_ascii_digit();
    if right && !text.starts_with("EXEAT_") {
        Ok(text.into())
    } else {
        Err("name a variable, of letters, digits and _, that does not begin with EXEAT_")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::allowlist::IncludedText;

    const RULES: &str = "[[rules]]\nid = \"x\"\nregex = \"xyz[0-9]{8}\"\n";

    #[derive(Debug)]
    struct Beside;

    impl Library for Beside {
        fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
            match name.to_string().as_str() {
                "leaks" => Ok(IncludedText { file: "leaks.toml".into(), text: RULES.into() }),
                "broken" => Ok(IncludedText { file: "broken.toml".into(), text: "\n[[rules]]\nid = \"x\"\nregex = \"(\"\n".into() }),
                _ => Err(Unfound { found: "of which there is no file".into(), fix: "write it".into() }),
            }
        }
    }

    fn read(text: &str) -> (Option<Leaks>, Vec<String>) {
        let document = Document::parse("a.toml", text);
        let (leaks, beside) = leaks(&document, &mut document.root(), &Beside);
        let (faults, _) = document.into_findings();
        (leaks.map(Arc::unwrap_or_clone), faults.into_iter().chain(beside).map(|fault| fault.to_string()).collect())
    }

    #[test]
    fn a_guard_is_read_whole() {
        let text = "[leaks]\nfound = \"hold\"\nrules = \"leaks.toml\"\nsecrets = [{ env = \"TOKEN\" }, { file = \"a/b\" }]\nscan = \"4KiB\"\nencoded = \"pass\"\n";
        let wanted = Leaks {
            place: RuleRef { file: "a.toml".into(), line: 1 },
            found: OnLeak::Hold,
            rules: Some(Arc::new(LeakRules::read("leaks.toml", RULES).unwrap())),
            secrets: vec![SecretSource::Env("TOKEN".into()), SecretSource::File("a/b".into())],
            scan: 4096,
            encoded: Encoded::Pass,
        };
        assert_eq!(read(text), (Some(wanted), vec![]));
    }

    #[test]
    fn a_guard_that_says_little_blocks() {
        let (leaks, faults) = read("[leaks]\nsecrets = [{ env = \"TOKEN\" }]\n");
        let leaks = leaks.unwrap();
        assert_eq!((leaks.found, leaks.scan, leaks.encoded, faults), (OnLeak::Block, SCAN, Encoded::Found, vec![]));
        assert_eq!(read("[other]\n").0, None);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        for (text, found) in [
            ("[leaks]\n", "a.toml:1:1: found [leaks] that looks for nothing"),
            ("[leaks]\nrules = \"leaks\"\n", "a.toml:2:9: found rules \"leaks\""),
            ("[leaks]\nrules = \"../leaks.toml\"\n", "a.toml:2:9: found rules"),
            ("[leaks]\nrules = \"none.toml\"\n", "a.toml:2:9: found rules \"none.toml\", of which there is no file"),
            ("[leaks]\nrules = \"broken.toml\"\n", "broken.toml:4:9: found regex"),
            ("[leaks]\nrules = \"leaks.toml\"\nscan = \"2MiB\"\n", "a.toml:3:8: found scan \"2MiB\""),
            ("[leaks]\nrules = \"leaks.toml\"\nfound = \"log\"\n", "a.toml:3:9: found the key found, \"log\"; wanted hold or block"),
            (
                "[leaks]\nrules = \"leaks.toml\"\nsecrets = [{ env = \"A\" }, \"hunter2hunter2\"]\n",
                "a.toml:3:27: found secrets with something that is no table; wanted tables alone; fix: write a table",
            ),
            ("[leaks]\nsecrets = [{ command = [\"x\"] }]\n", "a.toml:2:"),
            ("[leaks]\nsecrets = [{ env = \"EXEAT_X\" }]\n", "a.toml:2:20: found a value of env that is not shown"),
            ("[leaks]\nsecrets = [{ env = \"A\", file = \"b\" }]\n", "a.toml:2:12: found a secret without one source"),
        ] {
            let faults = read(text).1;
            assert!(faults.iter().any(|fault| fault.starts_with(found)), "{text}: {faults:?}");
        }
    }
}
