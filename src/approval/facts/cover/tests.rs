use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::facts;
use crate::approval::shown::{HoldView, timestamp};
use crate::approval::testing::{Room, attempt};

/// Every field of a question with something in it, as JSON.
fn full() -> Map<String, Value> {
    let whole = json!({
        "id": "abc123", "agent": "coder", "instance": "run", "host": "xn--pypal-4ve.com", "unicode": "pаypal.com",
        "registrable": "xn--pypal-4ve.com", "mixed_script": true, "port": 443, "scheme": "http",
        "only": {"method": "POST", "path": "/a"}, "request": {"method": "GET", "path": "/b"}, "rule": "a.toml:3 host", "note": "ask",
        "addresses": ["public"],
        "process": {"pid": 7, "name": "curl", "executable": "/usr/bin/curl", "called": "curl", "user": "alice", "holders": 1},
        "preset": "github", "lookalike": {"of": "paypal.com"}, "risk": [{"code": "punycode", "text": "…"}],
        "similar": {"count": 2, "ids": ["k"]}, "first_time": true, "approvers": 1, "yes_by": ["bob"], "waiting": 3,
        "opened_at": Timestamp::UNIX_EPOCH, "expires_at": Timestamp::MAX, "facts": "0",
    });
    let Value::Object(fields) = whole else { panic!("an object") };
    fields
}

fn hash(fields: &Map<String, Value>) -> Option<String> {
    serde_json::from_value::<HoldView>(Value::Object(fields.clone())).ok().map(|hold| facts(&hold))
}

/// What comes and goes while the question stays the same.
const PASSING: [&str; 7] = ["request", "similar", "yes_by", "waiting", "opened_at", "expires_at", "facts"];

/// The paths to every leaf of a JSON value.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{path}/{at}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(path.to_owned()),
    }
}

/// Another value of the same kind.
fn another(value: &Value, more: &str) -> Value {
    match value {
        Value::Bool(said) => Value::Bool(!said),
        Value::Number(number) => json!(number.as_u64().map_or(1, |number| number + 1)),
        Value::String(text) if text == "http" => Value::Null,
        Value::String(text) if text == "coder" => json!(format!("{text}-2")),
        Value::String(text) => json!(format!("{text}{more}")),
        Value::Null | Value::Array(_) | Value::Object(_) => Value::Null,
    }
}

#[test]
fn the_hash_is_sixteen_hexadecimal_digits_and_the_same_for_the_same_question() {
    let room = Room::new();
    let _presence = room.desk.attach(None);
    let _one = room.ask_waiting(&attempt(1, "coder", 1));
    let before = room.desk.holds().remove(0);
    let _other = room.ask_waiting(&attempt(2, "coder", 1));
    let after = room.desk.holds().remove(0);
    assert_eq!((before.waiting, after.waiting), (1, 2));
    assert_eq!((before.facts.len(), before.facts.bytes().all(|byte| byte.is_ascii_hexdigit())), (16, true));
    assert_eq!(before.facts, after.facts);
}

#[test]
fn what_comes_and_goes_is_not_in_the_hash_and_every_other_field_is() {
    let fields = full();
    let was = hash(&fields);
    assert!(was.is_some());
    for key in fields.keys() {
        let mut without = fields.clone();
        without.remove(key);
        let Some(now) = hash(&without) else { continue };
        assert_eq!(Some(&now) == was.as_ref(), PASSING.contains(&key.as_str()) || key == "approvers", "{key}");
    }
    let later = json!(timestamp(std::time::SystemTime::now()));
    for (key, value) in [("waiting", json!(9)), ("opened_at", later.clone()), ("expires_at", later), ("request", Value::Null)] {
        let mut changed = fields.clone();
        changed.insert(key.to_owned(), value);
        assert_eq!(hash(&changed), was, "{key}");
    }
}

proptest! {
    #[test]
    fn any_change_of_a_covered_field_changes_the_hash(at in 0_usize..64, more in "[a-zа-я0-9\"\\\\,:{}\u{0}\u{202e} ]{1,8}") {
        let fields = full();
        let mut found = Vec::new();
        leaves(&Value::Object(fields.clone()), "", &mut found);
        found.retain(|path| !PASSING.iter().any(|key| path[1..] == **key || path.starts_with(&format!("/{key}/"))));
        prop_assert!(found.len() > 20);
        let path = &found[at % found.len()];
        let mut whole = Value::Object(fields.clone());
        let leaf = whole.pointer_mut(path).expect("a leaf");
        *leaf = another(leaf, &more);
        let Value::Object(changed) = whole else { panic!("an object") };
        let (was, now) = (hash(&fields), hash(&changed));
        prop_assert!(now.is_some(), "{} does not read", path);
        prop_assert_ne!(was, now, "{}", path);
    }
}
