//! Pages that promise to name all of something do: metrics, alerts, limits; and tests that are cited are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::p0::{P0, a};
use crate::support::proxy::exeat;

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The first cells of the table under a heading, each there once.
fn rows(text: &str, heading: &str) -> BTreeSet<String> {
    let text = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let text = text.split("\n## ").next().unwrap();
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    let mut rows = BTreeSet::new();
    for row in text.lines().filter_map(cell) {
        assert!(rows.insert(row.clone()), "{heading}: {row} has two rows");
    }
    rows
}

fn set(names: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    names.into_iter().map(Into::into).collect()
}

#[test]
#[should_panic(expected = "Limits: b has two rows")]
fn a_row_that_is_there_twice_is_found() {
    rows("\n## Limits\n| `a` | x |\n| `b` | x |\n| `b` | y |\n\n## Else\n| `a` | x |\n", "Limits");
}

#[test]
fn operations_says_what_to_do_of_everything_it_names() {
    let operations = page("docs/operations.md");
    let silent: Vec<&str> = operations.lines().filter(|line| line.contains("| |")).collect();
    assert!(silent.is_empty() && operations.matches("\n| `").count() > 60, "{silent:?}");
}

#[test]
fn operations_names_every_metric_and_no_other() {
    let (operations, mut reference) = (rows(&page("docs/operations.md"), "Metrics"), rows(&page("docs/reference/metrics.md"), "Metrics"));
    // The page goes on with a table of labels.
    reference.retain(|name| name.contains('_'));
    assert_eq!(operations.symmetric_difference(&reference).collect::<Vec<_>>(), [""; 0]);
    let p0 = P0::new();
    let proxy = p0.start();
    proxy.get(&p0.url("plain.allowed.test", "/"), &a());
    proxy.get(&p0.url("held.test", "/"), &a());
    proxy.settled();
    let exported = set(proxy.metrics().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()));
    assert!(exported.len() > 20, "{exported:?}");
    assert_eq!(exported.difference(&operations).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn operations_names_every_alert_and_no_other() {
    let rules = page("deploy/observability/prometheus-rules.yaml");
    let alerts = set(rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")));
    assert!(alerts.len() > 15, "{alerts:?}");
    assert_eq!(rows(&page("docs/operations.md"), "Alerts"), alerts);
}

#[test]
fn operations_names_every_limit_of_the_configuration_and_of_policies() {
    let told = rows(&page("docs/operations.md"), "Limits");
    let schema = |of: &str| serde_json::from_slice::<Value>(&exeat(None).args(["schema", of]).output().unwrap().stdout).unwrap();
    let mut limits = BTreeSet::new();
    for (table, keys) in schema("exeat")["properties"].as_object().unwrap() {
        for (key, value) in keys["properties"].as_object().into_iter().flatten() {
            let bound = value["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^[0-9]+"));
            if bound || value["type"] == "integer" {
                limits.insert(format!("{table}.{key}"));
            }
        }
    }
    assert!(limits.len() > 15, "{limits:?}");
    let of_policies = schema("floor");
    let of_policies = of_policies["properties"]["limits"]["properties"].as_object().unwrap_or_else(|| panic!("{of_policies}"));
    limits.extend(of_policies.keys().map(|key| format!("policy.{key}")));
    assert_eq!(limits.difference(&told).collect::<Vec<_>>(), [""; 0]);
    let counted = page("docs/reference/metrics.md");
    let counted = counted.split_once("\n`limit` is a name").unwrap().1.split("\n\n").next().unwrap();
    let names = counted.split('`').skip(1).step_by(2).filter(|word| !["exeat.toml"].contains(word));
    assert_eq!(set(names).difference(&told).collect::<Vec<_>>(), [""; 0]);
    let mut hit = BTreeSet::new();
    limits_hit_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut hit);
    assert!(hit.contains("streams") && hit.contains("limits.per_agent"), "{hit:?}");
    assert_eq!(hit.difference(&told).collect::<Vec<_>>(), [""; 0]);
}

/// What the source calls a limit where it is hit.
fn limits_hit_in(folder: &Path, hit: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            limits_hit_in(&path, hit);
        } else if let Ok(text) = fs::read_to_string(&path)
            && !path.ends_with("tests.rs")
        {
            let text = text.split("#[cfg(test)]").next().unwrap();
            for call in ["limit_hit(\"", "full(open, \""] {
                hit.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
}

/// `file::test` or `folder::file::test` in code spans.
fn cited(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        word.contains("::") && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte))
    };
    set(words.filter(is_path))
}

/// Whether `tests/it` has the file, and the file the test.
fn is_there(test: &str) -> bool {
    let (file, name) = test.rsplit_once("::").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file.replace("::", "/"));
    let text = [path.with_extension("rs"), path.join("mod.rs")].iter().find_map(|path| fs::read_to_string(path).ok());
    text.is_some_and(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn every_test_that_the_threat_model_cites_is_there() {
    let tests = cited(&page("docs/threat-model.md"));
    assert!(tests.len() > 30, "{tests:?}");
    let missing: Vec<&String> = tests.iter().filter(|test| !is_there(test)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(!is_there("records::no_such_test"));
}
