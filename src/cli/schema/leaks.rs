//! `[leaks]` of an allowlist, and the file of rules it names.

use serde_json::{Value, json};

use super::{Key, any, list, one_of, size, table, text};

/// `[leaks]`.
pub(super) fn guard() -> Value {
    let secret = vec![("env", text(), "A variable of exeat's own environment."), ("file", text(), "A file, read again when it changes.")];
    let keys = vec![
        ("found", one_of(&["hold", "block"]), "What a find means: a question, or a refusal."),
        ("rules", text(), "A file of rules beside this one."),
        ("secrets", list(&table(&[], secret)), "Values that are looked for as they are."),
        ("scan", size(), "So much of a body is looked at before the decision."),
        ("encoded", one_of(&["found", "pass"]), "What a body in a content coding means, which cannot be looked into."),
    ];
    table(&[], keys)
}

/// The file of rules, in the shape of gitleaks.
pub(super) fn rules() -> Value {
    let keys = vec![
        ("id", json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" }), "Its name in records and refusals."),
        ("description", json!({ "type": "string" }), "Words for people."),
        ("regex", text(), "What it matches."),
        ("keywords", any(&text()), "One of these stands near; without them the regex is tried everywhere."),
        ("secretGroup", json!({ "type": "integer", "minimum": 0, "maximum": 99 }), "The group of the regex that is the secret."),
        ("entropy", json!({ "type": "number", "minimum": 0, "maximum": 8 }), "The least entropy of the secret, in bits a byte."),
        ("tags", any(&json!({ "type": "string" })), "Labels for people."),
    ];
    let rule = table(&["id", "regex"], keys.into_iter().chain(excuses()).collect());
    let words = vec![
        ("title", json!({ "type": "string" }), "Words for people."),
        ("description", json!({ "type": "string" }), "Words for people."),
    ];
    let rules = ("rules", list(&rule), "What is looked for.");
    table(&[], words.into_iter().chain([rules]).chain(excuses()).collect())
}

fn excuses() -> [Key; 2] {
    let one = || {
        let keys = vec![
            ("description", json!({ "type": "string" }), "Words for people."),
            ("regexes", any(&text()), "What matches one of these is no secret."),
            ("stopwords", any(&text()), "What has one of these in it is no secret."),
            ("regexTarget", one_of(&["secret", "match"]), "What regexes are held against."),
            ("condition", one_of(&["OR"]), "Any one is enough."),
        ];
        table(&[], keys)
    };
    [("allowlist", one(), "What is no secret."), ("allowlists", list(&one()), "What is no secret, each by itself.")]
}
