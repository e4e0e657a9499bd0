//! A TOML file read so that every error is told at once, each with its place.
//!
//! Readers take the keys they know from a `Table`; a key still there when the table is dropped is a fault, so none is ignored in silence.

mod broken;
mod item;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use super::fault::{Fault, Warning, shown};
use broken::Broken;
pub use item::Item;
use tree::{Entries, Entry, Tree};

/// About as many keys as any table is asked for.
const KEYS: usize = 16;

/// Tables of which a file may have many.
const LISTS: [&str; 6] = ["allow", "hold", "block", "identify", "inject", "expect"];

/// The most faults that are told of one file: whoever writes it mends the first ones first.
const FAULTS_MAX: usize = 1000;

/// A file as it stands, with what is wrong in it so far.
#[derive(Debug)]
pub struct Document<'t> {
    file: Arc<str>,
    line_starts: Vec<usize>,
    text: &'t str,
    tree: Tree<'t>,
    broken: BTreeSet<u32>,
    findings: RefCell<Findings>,
}

#[derive(Debug, Default)]
struct Findings {
    faults: BTreeSet<Fault>,
    warnings: BTreeSet<Warning>,
    top: BTreeSet<&'static str>,
    left_over: Vec<LeftOver>,
    untold: usize,
}

#[derive(Debug)]
struct LeftOver {
    at: usize,
    key: String,
    title: Arc<str>,
    known: BTreeSet<&'static str>,
}

impl<'t> Document<'t> {
    /// Reads the text as far as it is TOML; where it is not, that is a fault. `file` is its name in every message.
    pub fn parse(file: &str, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (tree, errors) = tree::read(text);
        let mut document =
            Self { file: file.into(), line_starts, text, tree, broken: BTreeSet::new(), findings: RefCell::new(Findings::default()) };
        let (mut broken, mut merged) = (BTreeSet::new(), false);
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            let twice = error.span().and_then(|span| text.get(span)).filter(|_| error.message() == "duplicate key");
            match twice {
                Some(key) if LISTS.contains(&key) => {
                    merged = true;
                    let found = format!("[{key}] a second time");
                    document.fault(
                        at,
                        found,
                        format!("a list of tables, [[{key}]]"),
                        format!("write [[{key}]] with double brackets, every time"),
                    );
                }
                // Keys of two tables that were to be two.
                Some(_) if merged => {}
                Some(key) => {
                    document.fault(at, format!("the key {} a second time", shown(key)), "every key once in its table", "keep one of them")
                }
                None => {
                    let Broken { at, words: [found, wanted, fix] } = broken::told(text, at, error.message());
                    document.fault(at, found, wanted, fix);
                }
            }
            broken.insert(document.place(at).0);
        }
        document.broken = broken;
        document
    }

    /// The table of the whole file.
    pub fn root(&self) -> Table<'_> {
        Table { document: self, key: "", title: "the top level".into(), at: 0, entries: self.tree.root(), taken: Vec::new(), top: true }
    }

    /// The file's name in messages.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Everything found, in the order of the file. Empty faults: the file is good.
    pub fn into_findings(self) -> (Vec<Fault>, Vec<Warning>) {
        let left_over = std::mem::take(&mut self.findings.borrow_mut().left_over);
        for left in left_over {
            let fix = self.fix_of_unknown(&left);
            let wanted = format!("one of {}", listed(left.known.iter()));
            self.fault(left.at, format!("the unknown key {} in {}", shown(&left.key), left.title), wanted, fix);
        }
        let Findings { faults, warnings, untold, .. } = self.findings.into_inner();
        let mut faults: Vec<Fault> = faults.into_iter().collect();
        if untold > 0 {
            faults.push(Fault::whole(&self.file, format!("{untold} faults more"), "none", "mend those above and look again"));
        }
        (faults, warnings.into_iter().collect())
    }

    fn fix_of_unknown(&self, left: &LeftOver) -> String {
        if let Some(near) = left.known.iter().find(|known| is_near(&left.key, known)) {
            return format!("did you mean {near}?");
        }
        if self.findings.borrow().top.contains(left.key.as_str()) {
            return format!(
                "a key that follows {} belongs to that table; move {} to the top of the file, before the first [",
                left.title, left.key
            );
        }
        "correct its spelling or remove it".to_owned()
    }

    fn place(&self, at: usize) -> (u32, u32) {
        let line = self.line(at);
        let start = self.line_starts.get(line as usize - 1).copied().unwrap_or(at);
        let column = self.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        (line, u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The line alone: a column costs as much as the line is long, and a file may have all its tables on one.
    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.line_starts.partition_point(|start| *start <= at).max(1)).unwrap_or(u32::MAX)
    }

    /// A line that is no TOML has its fault; what the parser guessed for the rest of it deserves none.
    fn fault(&self, at: usize, found: String, wanted: impl Into<String>, fix: impl Into<String>) {
        if self.findings.borrow().faults.len() >= FAULTS_MAX {
            self.findings.borrow_mut().untold += 1;
            return;
        }
        let (line, column) = self.place(at);
        if !self.broken.contains(&line) {
            let fault = Fault { file: self.file.clone(), line, column, found, wanted: wanted.into(), fix: fix.into() };
            self.findings.borrow_mut().faults.insert(fault);
        }
    }

    fn warn(&self, at: usize, code: &'static str, text: String) {
        if self.findings.borrow().warnings.len() >= FAULTS_MAX {
            return;
        }
        let (line, column) = self.place(at);
        self.findings.borrow_mut().warnings.insert(Warning { file: self.file.clone(), line, column, code, text });
    }
}

/// One table of the file. Keys nobody took are faults when it is dropped.
#[derive(Debug)]
pub struct Table<'d> {
    document: &'d Document<'d>,
    key: &'d str,
    title: Arc<str>,
    at: usize,
    entries: Entries<'d>,
    taken: Vec<Taken>,
    top: bool,
}

/// A key that was asked for. A file may have a table a rule, so this is a list, and a key asked for twice stands in it twice.
#[derive(Clone, Copy, Debug)]
struct Taken {
    key: &'static str,
    /// It may stand in the table; of one that may not, what is wrong has been told.
    known: bool,
}

impl<'d> Table<'d> {
    /// Takes a key, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.take_as(key, true)
    }

    fn take_as(&mut self, key: &'static str, known: bool) -> Option<Item<'d>> {
        self.taken.push(Taken { key, known });
        self.entries.get(key).map(|entry| self.item(entry))
    }

    /// Takes a key that must be there; where it is not, that is a fault of the table.
    pub fn require(&mut self, key: &'static str, fix: &str) -> Option<Item<'d>> {
        let item = self.take(key);
        if item.is_none() && self.document.broken.is_empty() {
            self.fault(format!("no key {key} in {}", self.title), format!("{key} = …"), fix);
        }
        item
    }

    /// Takes every table of a `[[key]]` list.
    pub fn tables(&mut self, key: &'static str) -> impl Iterator<Item = Table<'d>> + use<'d> {
        self.tables_or(key, "")
    }

    /// As `tables`; `hint` ends the fix where something else stands there.
    pub fn tables_or(&mut self, key: &'static str, hint: &str) -> impl Iterator<Item = Table<'d>> + use<'d> {
        let item = self.take(key);
        let list = item.and_then(|item| self.document.tree.list(item.node)).unwrap_or_default();
        let is_table = |node: &&_| self.document.tree.entries(**node).is_some();
        if let Some(item) = item
            && (self.document.tree.list(item.node).is_none() || !list.iter().all(|node| is_table(&node)))
        {
            let stray = list.iter().find(|node| !is_table(node)).filter(|_| list.iter().any(|node| is_table(&node)));
            match stray {
                // What it is may be what nobody is to see.
                Some(node) => Item { node: *node, ..item }.fault(
                    format!("{key} with something that is no table"),
                    "tables alone",
                    "write a table, { … }, in its place, as the others are",
                ),
                None => item.wrong(&format!("a list of tables, [[{key}]]"), &format!("write [[{key}]] with double brackets{hint}")),
            }
        }
        let title: Arc<str> = format!("[[{key}]]").into();
        let document = self.document;
        let tables = list.iter().filter_map(|node| Some((node.at(), document.tree.entries(*node)?)));
        tables.map(move |(at, entries)| Table::below(document, key, title.clone(), (at, entries)))
    }

    /// Takes the table `[key]`, if it is there.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'d>> {
        let item = self.take(key)?;
        let title = self.title_below(key);
        let Some(entries) = self.document.tree.entries(item.node) else {
            item.wrong(&format!("a table, {title}"), &format!("write {title} on a line of its own, its keys below"));
            return None;
        };
        Some(Self::below(self.document, item.key, title.into(), (item.node.at(), entries)))
    }

    /// Takes every `[key.NAME]`; `Table::key` is the NAME.
    pub fn named_tables(&mut self, key: &'static str) -> Vec<Table<'d>> {
        let Some(item) = self.take(key) else { return Vec::new() };
        let title = self.title_below(key);
        let Some(names) = self.document.tree.entries(item.node) else {
            item.wrong(&format!("tables with names, [{key}.NAME]"), &format!("write [{key}.main] on a line of its own, its keys below"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for entry in names.iter() {
            let title = format!("{}.{}]", title.trim_end_matches(']'), entry.key);
            match self.document.tree.entries(entry.node) {
                Some(entries) => tables.push(Self::below(self.document, entry.key, title.into(), (entry.key_at, entries))),
                None => {
                    let wanted = format!("tables with names, [{key}.NAME]");
                    self.item(entry).wrong(&wanted, &format!("write [{key}.main] above this key"));
                }
            }
        }
        tables
    }

    /// Takes a table whose keys the file chooses; `Item::key` is each.
    pub fn named_items(&mut self, key: &'static str) -> Vec<Item<'d>> {
        let Some(item) = self.take(key) else { return Vec::new() };
        let Some(entries) = self.document.tree.entries(item.node).filter(|entries| !entries.is_empty()) else {
            item.wrong("a table of names", &format!("write {key} = {{ NAME = [\"VALUE\"] }}"));
            return Vec::new();
        };
        entries.iter().map(|entry| self.item(entry)).collect()
    }

    /// Takes keys that a later version gives a meaning; one that is there is a fault saying so.
    pub fn not_yet(&mut self, keys: &[&'static str]) {
        for key in keys {
            if let Some(item) = self.take_as(key, false) {
                let wanted = format!("a key this version knows: {key} comes with a later version");
                self.document.fault(item.key_at, format!("{key}, not yet a key of this version"), wanted, "remove it");
            }
        }
    }

    /// Takes a key that belongs to another kind of table; if it is there, that is a fault.
    pub fn refuse(&mut self, key: &'static str, wanted: &str, fix: &str) {
        if let Some(item) = self.take_as(key, false) {
            self.document.fault(item.key_at, format!("{key} in {}", self.title), wanted, fix);
        }
    }

    /// Its name: `main` of `[listen.main]`.
    pub fn key(&self) -> &'d str {
        self.key
    }

    /// Its header as messages spell it: `[listen.main]`, `[[allow]]`.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The line of its header, from 1.
    pub fn line(&self) -> u32 {
        self.document.line(self.at)
    }

    /// Nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A fault of the table as a whole.
    pub fn fault(&self, found: impl Into<String>, wanted: impl Into<String>, fix: impl Into<String>) {
        self.document.fault(self.at, found.into(), wanted, fix);
    }

    fn title_below(&self, key: &str) -> String {
        if self.top { format!("[{key}]") } else { format!("[{}.{key}]", self.title.trim_matches(['[', ']'])) }
    }

    fn item(&self, entry: Entry<'d>) -> Item<'d> {
        Item { document: self.document, key: entry.key, key_at: entry.key_at, node: entry.node, secret: false }
    }

    fn below(document: &'d Document<'d>, key: &'d str, title: Arc<str>, (at, entries): (usize, Entries<'d>)) -> Table<'d> {
        Table { document, key, title, at, entries, taken: Vec::with_capacity(KEYS), top: false }
    }

    fn known(&self) -> impl Iterator<Item = &'static str> {
        self.taken.iter().filter(|taken| taken.known).map(|taken| taken.key)
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let is_taken = |key: &str| self.taken.iter().any(|taken| taken.key == key);
        let mut findings = self.document.findings.borrow_mut();
        for entry in self.entries.iter().filter(|entry| !is_taken(entry.key)) {
            if findings.left_over.len() >= FAULTS_MAX {
                findings.untold += 1;
                continue;
            }
            let (at, key) = (entry.key_at, entry.key.to_string());
            findings.left_over.push(LeftOver { at, key, title: self.title.clone(), known: self.known().collect() });
        }
        if self.top {
            findings.top.extend(self.known());
        }
    }
}

/// One of a fixed set of words, as `Item::parse` takes it.
pub fn one_of<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| format!("write one of {}", listed(words.iter().map(|(word, _)| word))))
}

fn listed<T: Display>(words: impl Iterator<Item = T>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

fn is_near(written: &str, known: &str) -> bool {
    let far = 1 + known.len() / 6;
    written.chars().nth(known.len() + far).is_none() && strsim::osa_distance(written, known) <= far
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Reads what a file of this shape has and returns its faults as lines.
    fn faults(text: &str) -> Vec<String> {
        let document = Document::parse("f.toml", text);
        {
            let mut root = document.root();
            let _ = root.require("name", "write name = \"x\"").and_then(Item::text);
            let _ = root.take("on").and_then(Item::flag);
            let _ = root.take("secret").map(Item::secret).and_then(|item| item.integer(1..=2));
            let _ = root.take("wait").and_then(Item::duration);
            let _ = root.take("room").and_then(Item::size);
            root.not_yet(&["include"]);
            for mut rule in root.tables("allow") {
                let ports = rule.take("port").map(|item| item.filled_list("at least one port")).unwrap_or_default();
                for port in ports {
                    let _ = port.integer(1..=65535);
                }
                rule.not_yet(&["method"]);
            }
            if let Some(mut hold) = root.table("hold") {
                let _ = hold.take("per_agent").and_then(|item| item.integer(1..=10));
            }
            for mut listen in root.named_tables("listen") {
                let _ = listen.take("address").and_then(Item::text);
            }
        }
        document.into_findings().0.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_good_file_has_no_faults() {
        let text = "name = \"x\"\non = true\nwait = \"45s\"\nroom = \"1KiB\"\n[[allow]]\nport = 1\n[[allow]]\nport = [1, 0x10]\n[hold]\nper_agent = 3\n[listen.main]\naddress = \"a\"\n";
        assert_eq!(faults(text), Vec::<String>::new());
        assert_eq!(faults(&text.replace('\n', "\r\n")), Vec::<String>::new());
    }

    #[test]
    fn of_very_many_faults_the_first_are_told_and_the_others_counted() {
        let text = format!("name = \"x\"\n{}", "[[allow]]\nports = 1\n".repeat(1500));
        let said = faults(&text);
        assert_eq!(said.len(), 1001);
        let last = said.iter().find(|fault| fault.contains("more")).unwrap();
        assert_eq!(last, "f.toml: found 500 faults more; wanted none; fix: mend those above and look again");
    }

    #[test]
    fn single_brackets_twice_are_told_to_be_doubled() {
        let said = faults("name = \"x\"\n[allow]\nport = 1\n[allow]\nport = 2\n");
        let wanted = "f.toml:4:2: found [allow] a second time; wanted a list of tables, [[allow]]; fix: write [[allow]] with double brackets, every time";
        assert_eq!(said, [wanted]);
    }

    #[test]
    fn every_fault_is_told_at_once_in_the_order_of_the_file() {
        let text = "name = 3\non = \"yes\"\nsecret = 77\nwait = 45\nroom = \"64MB\"\ninclude = []\n[[allow]]\nport = [0, \"a\"]\nmethod = \"GET\"\n[[allow]]\nport = []\n[hold]\nper_agent = 11\n[listen.main]\nadress = \"x\"\n";
        assert_eq!(
            faults(text),
            [
                "f.toml:1:8: found name 3; wanted a text; fix: put it in double quotes",
                "f.toml:2:6: found on \"yes\"; wanted true or false; fix: write true or false without quotes",
                "f.toml:3:10: found a value of secret that is not shown; wanted a whole number from 1 to 2; fix: write one such number, as digits without quotes",
                "f.toml:4:8: found wait 45; wanted a duration; fix: write a number and a unit in quotes, like \"45s\", \"15m\", \"1h\" or \"30d\"",
                "f.toml:5:8: found room \"64MB\"; wanted a size; fix: write a number and a unit in quotes, like \"32KiB\", \"64MiB\" or \"10GiB\"",
                "f.toml:6:1: found include, not yet a key of this version; wanted a key this version knows: include comes with a later version; fix: remove it",
                "f.toml:8:9: found port 0; wanted a whole number from 1 to 65535; fix: write one such number, as digits without quotes",
                "f.toml:8:12: found port \"a\"; wanted a whole number from 1 to 65535; fix: write one such number, as digits without quotes",
                "f.toml:9:1: found method, not yet a key of this version; wanted a key this version knows: method comes with a later version; fix: remove it",
                "f.toml:11:8: found an empty list; wanted at least one port; fix: name one, or remove port",
                "f.toml:13:13: found per_agent 11; wanted a whole number from 1 to 10; fix: write one such number, as digits without quotes",
                "f.toml:15:1: found the unknown key \"adress\" in [listen.main]; wanted one of address; fix: did you mean address?",
            ]
        );
    }

    #[test]
    fn unknown_keys_are_faults_in_every_table() {
        for (text, expected) in [
            ("name = \"x\"\nzebra = 1", "f.toml:2:1: found the unknown key \"zebra\" in the top level; wanted one of"),
            ("name = \"x\"\n[zebra]\na = 1", "f.toml:2:2: found the unknown key \"zebra\" in the top level"),
            ("name = \"x\"\n[[allow]]\nzebra = 1", "f.toml:3:1: found the unknown key \"zebra\" in [[allow]]"),
            ("name = \"x\"\n[hold]\nzebra = 1", "f.toml:3:1: found the unknown key \"zebra\" in [hold]"),
            ("name = \"x\"\n[listen.a]\nzebra = 1", "f.toml:3:1: found the unknown key \"zebra\" in [listen.a]"),
            ("name = \"x\"\nhold.zebra = 1", "f.toml:2:6: found the unknown key \"zebra\" in [hold]"),
        ] {
            let said = faults(text);
            assert!(said.len() == 1 && said[0].starts_with(expected), "{text}: {said:?}");
        }
    }

    #[test]
    fn a_top_level_key_below_a_table_is_pointed_upwards() {
        let said = faults("[[allow]]\nport = 1\nname = \"x\"\n");
        assert!(said.iter().any(|line| line.contains("belongs to that table; move name to the top")), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("f.toml:1:1: found no key name in the top level")), "{said:?}");
    }

    #[test]
    fn single_brackets_are_not_a_list_of_tables() {
        let said = faults("name = \"x\"\n[allow]\nport = 1\n");
        assert_eq!(
            said,
            ["f.toml:2:1: found allow with a table; wanted a list of tables, [[allow]]; fix: write [[allow]] with double brackets"]
        );
        let said = faults("name = \"x\"\nallow = [1]\nlisten = 1\n");
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn broken_toml_is_told_with_its_place_and_the_rest_still_read() {
        let said = faults("name = \"x\nwait = 45\n\non = maybe\nname2 = 1\n");
        assert!(said[0].starts_with("f.toml:1:"), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("f.toml:2:8: found wait 45")), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("f.toml:4:")), "{said:?}");
        assert!(faults("name = \"x\"\nname = \"y\"\n")[0].starts_with("f.toml:2:1: found the key \"name\" a second time; wanted"));
        assert!(!faults("\u{0}").is_empty());
        assert!(!faults(&"[".repeat(100_000)).is_empty());
    }

    #[test]
    fn what_people_are_known_to_get_wrong_is_told_narrowly_and_once() {
        let quotation =
            |mark: &str| format!("found the typographic quotation mark {mark}; wanted the straight quotation mark \"; fix: type");
        let merge =
            |mark: &str| format!("found the mark {mark} of a merge that is not finished; wanted the file as it is to be; fix: keep");
        for (text, expected) in [
            ("name = “x”\n", vec![("1:8", quotation("“"))]),
            ("name = \"a “b” ’\"\nlist = [‘x’]\n", vec![("2:9", quotation("‘"))]),
            ("«name» = 1\n", vec![("1:1", quotation("«")), ("1:6", quotation("»"))]),
            (
                "name = \"x\"\n<<<<<<< HEAD\non = true\n||||||| base\n=======\non = false\n>>>>>>> other\n",
                vec![("2:1", merge("<<<<<<<")), ("4:1", merge("|||||||")), ("5:1", merge("=======")), ("7:1", merge(">>>>>>>"))],
            ),
        ] {
            let mut said = faults(text);
            said.retain(|line| !line.contains("a second time"));
            assert_eq!(said.len(), expected.len(), "{said:#?}");
            for (line, (place, words)) in said.iter().zip(expected) {
                assert!(line.starts_with(&format!("f.toml:{place}: {words}")), "{line}");
            }
        }
    }

    #[test]
    fn columns_count_characters() {
        assert!(faults("name = \"x\"\nhold = { \"é\" = 1 , zebra = 1 }\n").iter().any(|line| line.starts_with("f.toml:2:20: ")));
    }

    #[test]
    fn a_table_knows_the_line_of_its_header() {
        let document = Document::parse("f.toml", "a = 1\n\n[[allow]]\nport = 1\n\n  [[allow]]\nport = 1\n");
        let mut root = document.root();
        let lines: Vec<u32> = root.tables("allow").map(|table| table.line()).collect();
        assert_eq!(lines, [3, 6]);
    }

    #[test]
    fn a_word_outside_the_set_is_answered_with_the_set() {
        let words = [("block", 1), ("hold", 2)];
        assert_eq!(one_of(&words, "hold"), Ok(2));
        assert_eq!(one_of(&words, "Hold").unwrap_err(), "write one of block, hold");
    }
}
