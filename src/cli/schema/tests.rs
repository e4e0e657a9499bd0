use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::Config;
use crate::policy::allowlist::{Allowlist, IncludeName, IncludedText, Library, Reading, Unfound};
use crate::policy::fault::Fault;
use crate::policy::floor::Floor;
use crate::policy::leaks::LeakRules;

const KINDS: [SchemaOf; 5] = [SchemaOf::Exeat, SchemaOf::Allowlist, SchemaOf::Include, SchemaOf::Floor, SchemaOf::Leaks];

/// One library with one file in it.
#[derive(Debug)]
struct One(&'static str);

impl Library for One {
    fn text(&self, _name: &IncludeName) -> Result<IncludedText, Unfound> {
        Ok(IncludedText { file: "included.toml".into(), text: self.0.into() })
    }
}

fn faults_of_allowlist(text: &str, included: &'static str) -> Vec<Fault> {
    let reading = Reading { now: std::time::SystemTime::UNIX_EPOCH, floor: &Floor::none(), library: &One(included), inspects: false };
    Allowlist::read("a.toml", text, &reading).err().unwrap_or_default()
}

fn faults_of_config(text: &str) -> Vec<Fault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exeat.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), Vec::new()).err().unwrap_or_default()
}

/// The keys that a reader knows, by the title of their table: what it wants in place of one it does not know.
fn known(faults: &[Fault]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = BTreeMap::new();
    for fault in faults {
        if let Some(title) = fault.found.strip_prefix("the unknown key \"zzz\" in ") {
            let keys = fault.wanted.trim_start_matches("one of ").split(", ").map(str::to_owned).collect();
            tables.insert(title.to_owned(), keys);
        }
    }
    tables
}

/// The keys of a table of the schema, found by the way to it.
fn in_schema(of: SchemaOf, way: &str) -> BTreeSet<String> {
    let schema = schema(of);
    let table = schema.pointer(way).unwrap_or_else(|| panic!("no {way}"));
    table["properties"].as_object().unwrap().keys().cloned().collect()
}

const EVERY_TABLE: &str = "zzz = 1\nlimits = { zzz = 1 }\n[[allow]]\nzzz = 1\nlimits = { zzz = 1 }\n[[hold]]\nzzz = 1\n[[block]]\nzzz = 1\n[[expect]]\nzzz = 1\n[[identify]]\nzzz = 1\n[[inject]]\nzzz = 1\nvalue = { zzz = 1 }\n[[inject]]\ncertificate = { zzz = 1 }\n[leaks]\nzzz = 1\nsecrets = [{ zzz = 1 }]\n";

const LEAK_TABLES: [(&str, &str); 5] = [
    ("the top level", ""),
    ("[[rules]]", "/properties/rules/items"),
    ("[rules.allowlist]", "/properties/rules/items/properties/allowlist"),
    ("[allowlist]", "/properties/allowlist"),
    ("[[allowlists]]", "/properties/allowlists/items"),
];

const EVERY_LEAK_TABLE: &str = "zzz = 1\n[allowlist]\nzzz = 1\n[[allowlists]]\nzzz = 1\n[[rules]]\nzzz = 1\n[rules.allowlist]\nzzz = 1\n[[rules.allowlists]]\nzzz = 1\n";

const LEAKS: [(&str, &str); 2] = [("[leaks]", "/properties/leaks"), ("[[secrets]]", "/properties/leaks/properties/secrets/items")];

const INJECT: [(&str, &str); 3] = [
    ("[[inject]]", "/properties/inject/items"),
    ("[inject.value]", "/properties/inject/items/properties/value"),
    ("[inject.certificate]", "/properties/inject/items/properties/certificate"),
];

#[test]
fn the_schema_knows_the_keys_that_the_readers_know() {
    let owned = |(title, way): (&str, &str)| (title.to_owned(), way.to_owned());
    let rules = [("[[allow]]", "allow"), ("[[hold]]", "hold"), ("[[block]]", "block")];
    let ways = |more: &[(&str, &str)]| -> Vec<(String, String)> {
        let rules = rules.map(|(title, key)| (title.to_owned(), format!("/properties/{key}/items")));
        rules.into_iter().chain(more.iter().map(|(title, way)| ((*title).to_owned(), (*way).to_owned()))).collect()
    };
    let limits = [("[limits]", "/properties/limits"), ("[allow.limits]", "/properties/allow/items/properties/limits")];
    let expect = ("[[expect]]", "/properties/expect/items");
    let of_allowlist = [
        limits.as_slice(),
        &[
            ("the top level", ""),
            expect,
            ("[[identify]]", "/properties/identify/items"),
            INJECT[0],
            INJECT[1],
            INJECT[2],
            LEAKS[0],
            LEAKS[1],
        ],
    ]
    .concat();
    let of_config = [
        ("the top level", ""),
        ("[listen.main]", "/properties/listen/patternProperties/^[a-z0-9-]{1,63}$"),
        ("[metrics]", "/properties/metrics"),
        ("[drain]", "/properties/drain"),
        ("[hold]", "/properties/hold"),
        ("[dns]", "/properties/dns"),
        ("[inspect]", "/properties/inspect"),
        ("[upstream]", "/properties/upstream"),
        ("[guard]", "/properties/guard"),
        ("[limits]", "/properties/limits"),
        ("[journal]", "/properties/journal"),
        ("[telemetry]", "/properties/telemetry"),
        ("[telemetry.webhook]", "/properties/telemetry/properties/webhook"),
        ("[telemetry.ocsf]", "/properties/telemetry/properties/ocsf"),
    ];
    let mut config = "zzz = 1\n".to_owned();
    for (title, _) in &of_config[1..] {
        config.push_str(&format!("{title}\nzzz = 1\n"));
    }
    let included = faults_of_allowlist("agent = \"a\"\ninclude = \"x\"\n", EVERY_TABLE);
    for (of, faults, ways) in [
        (SchemaOf::Allowlist, faults_of_allowlist(EVERY_TABLE, ""), ways(&of_allowlist)),
        (SchemaOf::Include, included, ways(&[("the top level", ""), ("[allow.limits]", limits[1].1), expect])),
        (SchemaOf::Floor, Floor::parse("floor.toml", EVERY_TABLE).unwrap_err(), ways(&[("the top level", ""), limits[0]])),
        (SchemaOf::Leaks, LeakRules::read("leaks.toml", EVERY_LEAK_TABLE).unwrap_err(), LEAK_TABLES.map(owned).to_vec()),
        (SchemaOf::Exeat, faults_of_config(&config), of_config.map(owned).to_vec()),
    ] {
        let known = known(&faults);
        for (title, way) in ways {
            if of == SchemaOf::Floor && title == "[[allow]]" {
                continue;
            }
            let keys = known.get(&title).unwrap_or_else(|| panic!("{of:?}: no {title} in {known:?}"));
            assert_eq!(in_schema(of, &way), *keys, "{of:?} {title}");
        }
    }
}

/// As editors show TOML to a schema.
fn shown(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => json!(flag),
        toml::Value::Datetime(date) => json!(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(shown).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, shown(value))).collect()),
    }
}

fn wrong(of: SchemaOf, text: &str) -> Vec<String> {
    let value = toml::Value::Table(text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
    let validator = jsonschema::validator_for(&schema(of)).unwrap();
    validator.iter_errors(&shown(value)).map(|error| error.to_string()).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn each_schema_is_one_and_describes_every_key() {
    fn described(value: &Value) {
        if let Some(properties) = value["properties"].as_object() {
            for (key, value) in properties {
                assert!(value["description"].is_string(), "{key}");
                described(value);
                described(&value["items"]);
            }
        }
    }
    for of in KINDS {
        assert!(jsonschema::meta::is_valid(&schema(of)), "{of:?}");
        described(&schema(of));
    }
}

#[test]
fn every_example_fits_its_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for path in files(&root.join("allowlists/presets"), "toml") {
        assert_eq!(wrong(SchemaOf::Include, &fs::read_to_string(&path).unwrap()), [""; 0], "{}", path.display());
        seen += 1;
    }
    for path in files(&root.join("examples"), "toml") {
        let of = if path.file_name().unwrap() == "exeat.toml" { SchemaOf::Exeat } else { SchemaOf::Allowlist };
        assert_eq!(wrong(of, &fs::read_to_string(&path).unwrap()), [""; 0], "{}", path.display());
        seen += 1;
    }
    for path in files(&root.join("docs"), "md").into_iter().chain([root.join("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            // Also a part of an agent's file that is to be put at its end.
            let part = block.starts_with('[').then(|| format!("agent = \"a\"\n{block}"));
            let texts = KINDS.into_iter().map(|of| (of, block)).chain(part.as_deref().map(|part| (SchemaOf::Allowlist, part)));
            let told: Vec<Vec<String>> = texts.map(|(of, text)| wrong(of, text)).collect();
            assert!(told.iter().any(Vec::is_empty), "{}: {block}\n{told:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn what_the_readers_refuse_the_schema_refuses() {
    for text in [
        "",
        "agent = \"A\"\n",
        "agent = \"a\"\nunlisted = \"ask\"\n",
        "agent = \"a\"\n[[allow]]\nhots = \"x\"\n",
        "agent = \"a\"\n[[allow]]\nhost = []\n",
        "agent = \"a\"\n[[allow]]\nhost = \"x.example\"\nport = 0\n",
        "agent = \"a\"\n[[block]]\nhost = \"x.example\"\nopaque = true\n",
        "agent = \"a\"\n[[identify]]\n",
        "agent = \"a\"\n[[inject]]\nheader = \"cookie\"\nvalue = { env = \"X\" }\n",
        "agent = \"a\"\n[[inject]]\nhost = \"x.example\"\nheader = \"cookie\"\nvalue = \"secret\"\n",
        "agent = \"a\"\n[[expect]]\ntry = \"x\"\ndecision = \"maybe\"\n",
    ] {
        assert_ne!(wrong(SchemaOf::Allowlist, text), [""; 0], "{text}");
        assert_ne!(faults_of_allowlist(text, ""), [], "{text}");
    }
}
