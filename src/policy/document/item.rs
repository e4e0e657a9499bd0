//! One value of a file and the ways to read it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use super::Document;
use super::tree::{Node, Value};
use crate::policy::fault::shown;
use crate::policy::units;

/// A key's value, or one element of it. Each reader returns `None` after it has noted the fault.
#[derive(Clone, Copy, Debug)]
pub struct Item<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) key: &'d str,
    pub(super) key_at: usize,
    pub(super) node: Node,
    pub(super) secret: bool,
}

impl<'d> Item<'d> {
    /// The value is a secret: no message shows it.
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// A text.
    pub fn text(self) -> Option<&'d str> {
        let text = self.document.tree.text(self.node);
        if text.is_none() {
            self.wrong("a text", "put it in double quotes");
        }
        text
    }

    /// Whether it is a text at all.
    pub fn is_text(self) -> bool {
        self.document.tree.text(self.node).is_some()
    }

    /// `true` or `false`.
    pub fn flag(self) -> Option<bool> {
        let flag = if let Value::Flag(flag) = self.value() { Some(flag) } else { None };
        if flag.is_none() {
            self.wrong("true or false", "write true or false without quotes");
        }
        flag
    }

    /// A whole number in the range.
    pub fn integer(self, range: RangeInclusive<i64>) -> Option<i64> {
        let number = if let Value::Integer { digits, radix } = self.value() { i64::from_str_radix(&digits, radix).ok() } else { None };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = range.into_inner();
            self.wrong(&format!("a whole number from {low} to {high}"), "write one such number, as digits without quotes");
        }
        number
    }

    /// A number in the range, whole or not.
    pub fn number(self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.value() {
            Value::Float(text) => text.parse().ok(),
            Value::Integer { digits, radix } => i32::from_str_radix(&digits, radix).ok().map(f64::from),
            Value::Text(_) | Value::Flag(_) | Value::Date(_) | Value::List(_) | Value::Table(_) => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = range.into_inner();
            self.wrong(&format!("a number from {low} to {high}"), "write one such number, without quotes");
        }
        number
    }

    /// The elements of a list, or the value itself where it is none.
    pub fn list(self) -> Vec<Item<'d>> {
        let Some(list) = self.document.tree.list(self.node) else { return vec![self] };
        list.iter().map(|node| Item { node: *node, ..self }).collect()
    }

    /// As `list`, but an empty list is a fault.
    pub fn filled_list(self, wanted: &str) -> Vec<Item<'d>> {
        let items = self.list();
        if items.is_empty() {
            self.fault("an empty list", wanted, format!("name one, or remove {}", self.key));
        }
        items
    }

    /// A text that `read` understands.
    pub fn parse<T, E: Display>(self, wanted: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text()?;
        read(text).inspect_err(|why| self.wrong(wanted, &why.to_string())).ok()
    }

    /// A duration with its unit.
    pub fn duration(self) -> Option<Duration> {
        self.united("a duration", r#"write a number and a unit in quotes, like "45s", "15m", "1h" or "30d""#, |text| {
            units::duration(text).ok()
        })
    }

    /// A day or a moment in UTC: RFC 3339, as a text or as TOML has it.
    pub fn moment(self) -> Option<SystemTime> {
        let written = match self.value() {
            Value::Date(date) => Some(date.to_string()),
            Value::Text(text) => Some(text.to_string()),
            Value::Integer { .. } | Value::Float(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) => None,
        };
        let moment = written.and_then(|text| units::moment(&text).ok());
        if moment.is_none() {
            self.wrong("a day or a moment", r#"write it like "2027-01-01" or "2027-01-01T12:00:00Z""#);
        }
        moment
    }

    /// The key it stands under.
    pub fn key(self) -> &'d str {
        self.key
    }

    /// A size in bytes with its unit.
    pub fn size(self) -> Option<u64> {
        self.united("a size", r#"write a number and a unit in quotes, like "32KiB", "64MiB" or "10GiB""#, |text| units::size(text).ok())
    }

    /// The value is there but not what was wanted: a fault showing it.
    pub fn wrong(self, wanted: &str, fix: &str) {
        self.fault(self.described(), wanted, fix);
    }

    /// A fault at this place.
    pub fn fault(self, found: impl Into<String>, wanted: impl Into<String>, fix: impl Into<String>) {
        self.document.fault(self.node.at(), found.into(), wanted, fix);
    }

    /// A warning at this place.
    pub fn warn(self, code: &'static str, text: impl Into<String>) {
        self.document.warn(self.node.at(), code, text.into());
    }

    /// The line of the value, from 1.
    pub fn line(self) -> u32 {
        self.document.line(self.node.at())
    }

    /// The column of the value in characters, from 1.
    pub fn column(self) -> u32 {
        self.document.place(self.node.at()).1
    }

    fn value(self) -> Value<'d> {
        self.document.tree.value(self.node)
    }

    fn united<T>(self, wanted: &str, fix: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = self.document.tree.text(self.node).and_then(read);
        if value.is_none() {
            self.wrong(wanted, fix);
        }
        value
    }

    fn described(self) -> String {
        // A fault begins with the word, and "found found" says nothing.
        let key = if self.key == "found" { "the key found," } else { self.key };
        match self.value() {
            Value::Text(_) | Value::Integer { .. } | Value::Float(_) | Value::Date(_) if self.secret => {
                format!("a value of {key} that is not shown")
            }
            Value::Text(text) => format!("{key} {}", shown(text)),
            Value::Integer { digits, radix: _ } => format!("{key} {}", shown(&digits).trim_matches('"')),
            Value::Float(number) => format!("{key} {}", shown(number).trim_matches('"')),
            Value::Flag(flag) => format!("{key} {flag}"),
            Value::Date(date) => format!("{key} {date}"),
            Value::List(_) => format!("{key} with a list"),
            Value::Table(_) => format!("{key} with a table"),
        }
    }
}
