//! A TOML text as a tree that stays small.
//!
//! The parser's own takes a kilobyte for each table, and its tokens half as much again, so a long text is parsed piece by piece, cut where a line begins with `[[`,
//! and each piece is taken over before the next is read. Pieces are only ever joined where the whole would say the same; whatever else is read as a whole.
//! All nodes stand in one list and all keys in another, and texts stay where they are in the file: a rule of four keys takes some 200 octets.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue, Error};
use toml::value::Datetime;

/// The least a piece holds, in octets.
const PIECE: usize = 64 << 10;

/// A text as far as it is TOML.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    text: &'t str,
    top: Range,
    /// Keys beside their values, those of one table together.
    entries: Vec<(Node, Node)>,
    /// Elements of lists, those of one list together.
    nodes: Vec<Node>,
    odd: Vec<Odd<'t>>,
}

/// A value and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    at: u32,
    packed: Packed,
}

/// A value in as little as most of them need.
#[derive(Clone, Copy, Debug)]
enum Packed {
    /// As it stands in the file.
    Text(Range),
    /// Decimal, and written as a number is shown.
    Number(u32),
    Flag(bool),
    List(Range),
    Table(Range),
    /// One that stands in `Tree::odd`.
    Odd(u32),
}

/// Some of the octets, nodes or entries, which stand together.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: u32,
    count: u32,
}

/// A value that is not spelled as it reads.
#[derive(Debug)]
enum Odd<'t> {
    Text(Box<str>),
    Integer(DeInteger<'t>),
    Float(DeFloat<'t>),
    Date(Datetime),
}

/// A value as TOML has it.
#[derive(Debug)]
pub(super) enum Value<'d> {
    Text(&'d str),
    Integer { digits: Cow<'d, str>, radix: u32 },
    Float(&'d str),
    Flag(bool),
    Date(Datetime),
    List(&'d [Node]),
    Table(Entries<'d>),
}

/// What stands in a table, in the order of its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'d> {
    tree: &'d Tree<'d>,
    list: &'d [(Node, Node)],
}

/// One key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'d> {
    pub(super) key: &'d str,
    /// Octets before it in the text.
    pub(super) key_at: usize,
    pub(super) node: Node,
}

/// A key of the whole file while it is read, as a list may go on in the next piece.
struct Top<'t> {
    name: Cow<'t, str>,
    key: Node,
    value: TopValue,
}

enum TopValue {
    One(Node),
    Many { at: u32, list: Vec<Node> },
}

/// Reads the text as far as it is TOML, and says where it is not.
pub(super) fn read(text: &str) -> (Tree<'_>, Vec<Error>) {
    if let Some(tree) = in_pieces(text, PIECE) {
        return (tree, Vec::new());
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    (as_a_whole(text, root), errors)
}

fn as_a_whole<'t>(text: &'t str, root: Spanned<DeTable<'t>>) -> Tree<'t> {
    let mut tree = Tree::empty(text);
    let top = tree.top_of(root.into_inner(), 0);
    tree.topped(top)
}

/// A piece that is TOML ends outside every text and list, so that the next begins with a header. `None` where a piece is not TOML, or where a header of one may
/// say more, or less, beside those before it: only lists of tables go on from piece to piece.
fn in_pieces(text: &str, least: usize) -> Option<Tree<'_>> {
    let mut at = cut(text, 0);
    let mut tree = Tree::empty(text);
    let mut top = tree.top_of(DeTable::parse(text.get(..at)?).ok()?.into_inner(), 0);
    let head = top.len();
    while at < text.len() {
        let end = cut(text, at + least);
        for one in tree.top_of(DeTable::parse(text.get(at..end)?).ok()?.into_inner(), at) {
            match top.iter_mut().position(|known| known.name == one.name) {
                None => top.push(one),
                Some(known) if known < head => return None,
                Some(known) => match (&mut top[known].value, one.value) {
                    (TopValue::Many { at: _, list }, TopValue::Many { at: _, list: more }) => list.extend(more),
                    (_, _) => return None,
                },
            }
        }
        at = end;
    }
    top.sort_by(|one, other| one.name.cmp(&other.name));
    Some(tree.topped(top))
}

/// Where the first line that begins with `[[` begins, `from` octets or more into the text; its end where there is none.
fn cut(text: &str, from: usize) -> usize {
    if from == 0 && text.starts_with("[[") {
        return 0;
    }
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.windows(3).position(|window| window == b"\n[[").map_or(text.len(), |before| from + before + 1)
}

impl<'t> Tree<'t> {
    fn empty(text: &'t str) -> Self {
        Self { text, top: Range::new(0, 0), entries: Vec::new(), nodes: Vec::new(), odd: Vec::new() }
    }

    /// The table of the whole file.
    pub(super) fn root(&self) -> Entries<'_> {
        self.table(self.top)
    }

    pub(super) fn value(&self, node: Node) -> Value<'_> {
        match node.packed {
            Packed::Text(range) => Value::Text(self.text.get(range.of_usize()).unwrap_or_default()),
            Packed::Number(number) => Value::Integer { digits: number.to_string().into(), radix: 10 },
            Packed::Flag(flag) => Value::Flag(flag),
            Packed::List(range) => Value::List(self.nodes.get(range.of_usize()).unwrap_or_default()),
            Packed::Table(range) => Value::Table(self.table(range)),
            Packed::Odd(number) => match &self.odd[number as usize] {
                Odd::Text(text) => Value::Text(text),
                Odd::Integer(number) => Value::Integer { digits: number.as_str().into(), radix: number.radix() },
                Odd::Float(number) => Value::Float(number.as_str()),
                Odd::Date(date) => Value::Date(*date),
            },
        }
    }

    fn table(&self, range: Range) -> Entries<'_> {
        Entries { tree: self, list: self.entries.get(range.of_usize()).unwrap_or_default() }
    }

    /// `before` octets stand in front of what was parsed.
    fn top_of(&mut self, table: DeTable<'t>, before: usize) -> Vec<Top<'t>> {
        let mut top = Vec::with_capacity(table.len());
        for (key, value) in table {
            let (name, key) = (key.get_ref().clone(), self.take_text(key, before));
            let at = before + value.span().start;
            let value = match value.into_inner() {
                DeValue::Array(array) => {
                    TopValue::Many { at: short(at), list: array.into_iter().map(|value| self.take(value, before)).collect() }
                }
                one @ (DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Table(_)) => TopValue::One(self.take_at(at, one, before)),
            };
            top.push(Top { name, key, value });
        }
        top
    }

    fn topped(mut self, top: Vec<Top<'t>>) -> Self {
        let mut entries = Vec::with_capacity(top.len());
        for Top { name: _, key, value } in top {
            let node = match value {
                TopValue::One(node) => node,
                TopValue::Many { at, list } => Node { at, packed: Packed::List(added(&mut self.nodes, list)) },
            };
            entries.push((key, node));
        }
        self.top = added(&mut self.entries, entries);
        self
    }

    fn take(&mut self, value: Spanned<DeValue<'t>>, before: usize) -> Node {
        let at = before + value.span().start;
        self.take_at(at, value.into_inner(), before)
    }

    fn take_at(&mut self, at: usize, value: DeValue<'t>, before: usize) -> Node {
        let packed = match value {
            DeValue::String(text) => return self.text_at(at, text),
            DeValue::Integer(number) => match plain(&number) {
                Some(number) => Packed::Number(number),
                None => self.put(Odd::Integer(number)),
            },
            DeValue::Float(number) => self.put(Odd::Float(number)),
            DeValue::Boolean(flag) => Packed::Flag(flag),
            DeValue::Datetime(date) => self.put(Odd::Date(date)),
            DeValue::Array(array) => {
                let list: Vec<Node> = array.into_iter().map(|value| self.take(value, before)).collect();
                Packed::List(added(&mut self.nodes, list))
            }
            DeValue::Table(table) => {
                let mut entries = Vec::with_capacity(table.len());
                for (key, value) in table {
                    entries.push((self.take_text(key, before), self.take(value, before)));
                }
                Packed::Table(added(&mut self.entries, entries))
            }
        };
        Node { at: short(at), packed }
    }

    fn take_text(&mut self, text: Spanned<Cow<'t, str>>, before: usize) -> Node {
        let at = before + text.span().start;
        self.text_at(at, text.into_inner())
    }

    /// Bare, or behind one quotation mark, most texts stand in the file as they read.
    fn text_at(&mut self, at: usize, text: Cow<'t, str>) -> Node {
        let stands = |from: &usize| self.text.get(*from..*from + text.len()) == Some(&*text);
        let packed = match [at, at + 1].iter().copied().find(stands) {
            Some(from) => Packed::Text(Range::new(from, text.len())),
            None => self.put(Odd::Text(text.into())),
        };
        Node { at: short(at), packed }
    }

    fn put(&mut self, odd: Odd<'t>) -> Packed {
        self.odd.push(odd);
        Packed::Odd(short(self.odd.len() - 1))
    }
}

impl Range {
    fn new(from: usize, count: usize) -> Self {
        Self { from: short(from), count: short(count) }
    }

    fn of_usize(self) -> std::ops::Range<usize> {
        let from = self.from as usize;
        from..from + self.count as usize
    }
}

impl<'d> Entries<'d> {
    pub(super) fn get(self, key: &str) -> Option<Entry<'d>> {
        self.iter().find(|entry| entry.key == key)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Entry<'d>> + use<'d> {
        let Self { tree, list } = self;
        list.iter().map(|(key, node)| Entry { key: tree.text(*key).unwrap_or_default(), key_at: key.at(), node: *node })
    }

    pub(super) fn is_empty(self) -> bool {
        self.list.is_empty()
    }
}

impl Tree<'_> {
    pub(super) fn entries(&self, node: Node) -> Option<Entries<'_>> {
        match self.value(node) {
            Value::Table(entries) => Some(entries),
            Value::Text(_) | Value::Integer { .. } | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::List(_) => None,
        }
    }

    pub(super) fn list(&self, node: Node) -> Option<&[Node]> {
        match self.value(node) {
            Value::List(list) => Some(list),
            Value::Text(_) | Value::Integer { .. } | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::Table(_) => None,
        }
    }

    pub(super) fn text(&self, node: Node) -> Option<&str> {
        match self.value(node) {
            Value::Text(text) => Some(text),
            Value::Integer { .. } | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::List(_) | Value::Table(_) => None,
        }
    }
}

impl Node {
    /// Octets before it in the text.
    pub(super) fn at(self) -> usize {
        self.at as usize
    }
}

/// A number that is shown as it is spelled.
fn plain(number: &DeInteger<'_>) -> Option<u32> {
    let value: u32 = number.as_str().parse().ok().filter(|_| number.radix() == 10)?;
    (value.to_string() == number.as_str()).then_some(value)
}

fn added<T>(all: &mut Vec<T>, some: Vec<T>) -> Range {
    let range = Range::new(all.len(), some.len());
    all.extend(some);
    range
}

fn short(octets: usize) -> u32 {
    u32::try_from(octets).expect("a file of rules is far shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Option<String> {
        DeTable::parse(text).ok().map(|root| told(as_a_whole(text, root).root()))
    }

    fn pieces(text: &str) -> Option<String> {
        in_pieces(text, 1).map(|tree| told(tree.root()))
    }

    /// Every key and value with its place.
    fn told(entries: Entries<'_>) -> String {
        let each = entries.iter().map(|entry| format!("{} {:?}: {}", entry.key_at, entry.key, told_of(entries.tree, entry.node)));
        format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
    }

    fn told_of(tree: &Tree<'_>, node: Node) -> String {
        let value = match tree.value(node) {
            Value::List(list) => format!("[{}]", list.iter().map(|node| told_of(tree, *node)).collect::<Vec<_>>().join(", ")),
            Value::Table(entries) => told(entries),
            one @ (Value::Text(_) | Value::Integer { .. } | Value::Float(_) | Value::Flag(_) | Value::Date(_)) => format!("{one:?}"),
        };
        format!("{} {value}", node.at())
    }

    #[test]
    fn lists_of_tables_are_joined_with_every_place_as_in_the_whole() {
        for text in [
            "",
            "a = 1\n",
            "a = 1\n[[b]]\nc = \"x\"\n[[b]]\nc = [1, 2.5, 2026-11-22, true]\nd.e = {f = 1}\n[[a2]]\n",
            "[[b]]\r\nc = 'é'\r\n[b.d]\r\ne = 1\r\n[[b]]\r\n[[a]]\r\n[[b]]\r\n",
            "a = 1\n\n  [[b]]\n[c]\nd = 1\n[[e]]\n[[e]]\n[f]\n",
        ] {
            assert!(pieces(text).is_some(), "{text}");
            assert_eq!(pieces(text), whole(text), "{text}");
        }
    }

    #[test]
    fn what_a_piece_alone_would_misread_is_left_to_the_whole() {
        for text in [
            "a = \"\"\"\n[[b]]\n\"\"\"\n",
            "a = [\n[[1]],\n[[2]]\n]\n",
            "[[b]]\n[[c]]\n[b.d]\n",
            "[[b]]\n[[b.d]]\n",
            "b = [{}]\n[[b]]\n",
            "[b]\n[[b]]\n",
            "[[b]]\n[[c]]\n[b]\n",
            "[[b]]\n[c.d]\n[[e]]\n[c.f]\n",
            "[[b]]\nc = 1\nc = 2\n[[b]]\n",
            "[[b]\n[[b]]\n",
        ] {
            assert_eq!(pieces(text), None, "{text}");
        }
    }

    #[test]
    fn nodes_are_as_small_as_a_hundred_thousand_rules_need() {
        assert_eq!((size_of::<Node>(), size_of::<(Node, Node)>()), (16, 32));
    }

    #[test]
    fn every_kind_of_value_reads_as_it_is_written() {
        let number = |digits: &str, radix: u32| format!("Integer {{ digits: {digits:?}, radix: {radix} }}");
        for (written, read) in [
            ("\"x\"", "4 Text(\"x\")".to_owned()),
            ("'y'", "4 Text(\"y\")".into()),
            ("\"\"", "4 Text(\"\")".into()),
            ("\"\"\"\nz\"\"\"", "4 Text(\"z\")".into()),
            ("\"\\u0041\"", "4 Text(\"A\")".into()),
            ("\"\\\"\"", r#"4 Text("\"")"#.into()),
            ("80", format!("4 {}", number("80", 10))),
            ("0x50", format!("4 {}", number("50", 16))),
            ("1_000", format!("4 {}", number("1000", 10))),
            ("+7", format!("4 {}", number("+7", 10))),
            ("-1", format!("4 {}", number("-1", 10))),
            ("4294967296", format!("4 {}", number("4294967296", 10))),
            ("2.5", "4 Float(\"2.5\")".into()),
            ("true", "4 Flag(true)".into()),
            ("[\"é\", [\"x\"], []]", "4 [5 Text(\"é\"), 11 [12 Text(\"x\")], 18 []]".into()),
            ("{b = {c = ''}, \"d\\u0041\" = 'x'}", "4 {5 \"b\": 9 {10 \"c\": 14 Text(\"\")}, 19 \"dA\": 31 Text(\"x\")}".into()),
        ] {
            let text = format!("a = {written}\n");
            let (tree, errors) = super::read(&text);
            assert!(errors.is_empty(), "{written}");
            assert_eq!(told(tree.root()), format!("{{0 \"a\": {read}}}"), "{written}");
        }
    }

    #[test]
    fn a_text_of_many_pieces_is_read_in_them() {
        let text = format!("a = 1\n{}", "[[b]]\nc = \"x\"\n".repeat(PIECE));
        assert_eq!(in_pieces(&text, PIECE).map(|tree| told(tree.root())), whole(&text));
    }

    proptest! {
        #[test]
        fn pieces_never_say_what_the_whole_does_not(lines in prop::collection::vec(prop::sample::select(vec![
            "[[b]]", "[[b]]", "[[c]]", "[b]", "[c.d]", "[b.d]", "[[b.d]]", "[[b.d.e]]", "a = 1", "b = 1", "d = 2", "b.d = 3", "d.e = 4",
            "b = [", "[[1]],", "]", "d = \"\"\"", "\"\"\"", "e = '''", "'''", "# [[b]]", "  [[b]]", "", "c = [{}]", "\"b\" = {}", "[[\"b\"]]",
        ]), 0..12)) {
            let text = lines.join("\n");
            if let Some(read) = pieces(&text) {
                prop_assert_eq!(Some(read), whole(&text), "{}", text);
            }
        }
    }
}
