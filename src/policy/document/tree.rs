//! A TOML text as a tree that stays small.
//!
//! The parser's own takes a kilobyte for each table, and its tokens half as much again, so a long text is parsed piece by piece, cut where a line begins with `[[`,
//! and each piece is taken over before the next is read. Pieces are only ever joined where the whole would say the same; whatever else is read as a whole.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue, Error};
use toml::value::Datetime;

/// The least a piece holds, in octets.
const PIECE: usize = 64 << 10;

/// What stands in a table, in the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Entries<'t>(Vec<Entry<'t>>);

/// One key and its value.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    /// Octets before it in the text.
    pub(super) key_at: usize,
    pub(super) node: Node<'t>,
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Octets before it in the text.
    pub(super) at: usize,
    pub(super) value: Value<'t>,
}

/// A value as TOML has it.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    Integer(DeInteger<'t>),
    Float(DeFloat<'t>),
    Flag(bool),
    Date(Datetime),
    List(Vec<Node<'t>>),
    Table(Entries<'t>),
}

/// Reads the text as far as it is TOML, and says where it is not.
pub(super) fn read(text: &str) -> (Entries<'_>, Vec<Error>) {
    if let Some(root) = in_pieces(text, PIECE) {
        return (root, Vec::new());
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    (Entries::of(root.into_inner(), 0), errors)
}

/// A piece that is TOML ends outside every text and list, so that the next begins with a header. `None` where a piece is not TOML, or where a header of one may
/// say more, or less, beside those before it: only lists of tables go on from piece to piece.
fn in_pieces(text: &str, least: usize) -> Option<Entries<'_>> {
    let mut at = cut(text, 0);
    let mut root = Entries::of(DeTable::parse(text.get(..at)?).ok()?.into_inner(), 0);
    let head = root.0.len();
    while at < text.len() {
        let end = cut(text, at + least);
        for entry in Entries::of(DeTable::parse(text.get(at..end)?).ok()?.into_inner(), at).0 {
            match root.0.iter_mut().position(|known| known.key == entry.key) {
                None => root.0.push(entry),
                Some(known) if known < head => return None,
                Some(known) => match (&mut root.0[known].node.value, entry.node.value) {
                    (Value::List(list), Value::List(more)) => list.extend(more),
                    (_, _) => return None,
                },
            }
        }
        at = end;
    }
    root.0.sort_by(|one, other| one.key.cmp(&other.key));
    Some(root)
}

/// Where the first line that begins with `[[` begins, `from` octets or more into the text; its end where there is none.
fn cut(text: &str, from: usize) -> usize {
    if from == 0 && text.starts_with("[[") {
        return 0;
    }
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.windows(3).position(|window| window == b"\n[[").map_or(text.len(), |before| from + before + 1)
}

impl<'t> Entries<'t> {
    /// `before` octets stand in front of what was parsed.
    fn of(table: DeTable<'t>, before: usize) -> Self {
        let mut entries = Vec::with_capacity(table.len());
        entries.extend(table.into_iter().map(|(key, value)| Entry {
            key_at: before + key.span().start,
            key: key.into_inner(),
            node: Node::of(value, before),
        }));
        Self(entries)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.0.iter().find(|entry| entry.key == key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<'t>> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'t> Node<'t> {
    fn of(value: Spanned<DeValue<'t>>, before: usize) -> Self {
        let at = before + value.span().start;
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text),
            DeValue::Integer(number) => Value::Integer(number),
            DeValue::Float(number) => Value::Float(number),
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(date) => Value::Date(date),
            DeValue::Array(array) => {
                let mut list = Vec::with_capacity(array.len());
                list.extend(array.into_iter().map(|value| Node::of(value, before)));
                Value::List(list)
            }
            DeValue::Table(table) => Value::Table(Entries::of(table, before)),
        };
        Self { at, value }
    }

    pub(super) fn table(&self) -> Option<&Entries<'t>> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::List(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Node<'t>]> {
        match &self.value {
            Value::List(list) => Some(list),
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::Table(_) => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Float(_) | Value::Flag(_) | Value::Date(_) | Value::List(_) | Value::Table(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Option<String> {
        DeTable::parse(text).ok().map(|root| format!("{:?}", Entries::of(root.into_inner(), 0)))
    }

    fn pieces(text: &str) -> Option<String> {
        in_pieces(text, 1).map(|root| format!("{root:?}"))
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
        assert!(size_of::<Node<'_>>() <= 48 && size_of::<Entry<'_>>() <= 80);
    }

    #[test]
    fn a_text_of_many_pieces_is_read_in_them() {
        let text = format!("a = 1\n{}", "[[b]]\nc = \"x\"\n".repeat(PIECE));
        assert_eq!(in_pieces(&text, PIECE).map(|root| format!("{root:?}")), whole(&text));
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
