use std::time::{Duration, SystemTime};

use super::*;
use crate::policy::allowlist::{NoLibrary, Reading};
use crate::policy::floor::Floor;

fn allowlist(text: &str) -> Allowlist {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let reading = Reading { now, floor: &Floor::none(), library: &NoLibrary, inspects: false };
    Allowlist::read("a.toml", &format!("agent = \"a\"\n{text}"), &reading).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).0
}

fn told(found: &[Difference]) -> Vec<String> {
    found.iter().map(|difference| format!("{} {}", difference.change.mark(), difference.what)).collect()
}

fn between(old: &str, new: &str) -> Vec<String> {
    told(&of_allowlists(&allowlist(old), &allowlist(new)))
}

const ALLOW: &str = "[[allow]]\nhost = \"x.example\"\n";
const BLOCK: &str = "[[block]]\nhost = \"b.example\"\n";
const HOLD: &str = "[[hold]]\nhost = \"h.example\"\n";

#[test]
fn what_means_the_same_is_no_difference() {
    let two = "[[allow]]\nhost = [\"x.example\", \"y.example\"]\n";
    let split = "[[allow]]\nhost = \"y.example\"\nport = 443\n[[allow]]\nhost = \"y.example\"\nport = 80\n";
    for (old, new) in [
        (format!("{ALLOW}{BLOCK}{HOLD}"), format!("# moved\n\n{HOLD}\n{BLOCK}because = \"no\"\n{ALLOW}note = \"why\"\n")),
        (two.to_owned(), format!("{ALLOW}{split}")),
        (format!("{ALLOW}{split}"), two.to_owned()),
        (ALLOW.to_owned(), format!("{ALLOW}{ALLOW}")),
        ("[[allow]]\nhost = \"*.example.com\"\n".to_owned(), "[[allow]]\nhost = [\"*.example.com\", \"a.example.com\"]\n".to_owned()),
        (
            "[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = [\"GET\", \"HEAD\"]\n".to_owned(),
            "[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = [\"HEAD\", \"GET\"]\n".to_owned(),
        ),
    ] {
        assert_eq!(between(&old, &new), [""; 0], "{old} to {new}");
    }
}

#[test]
fn each_difference_says_whether_it_widens() {
    let digest = format!("[[identify]]\ntoken = \"sha256:{}\"\n", "0".repeat(64));
    let wide = "[[allow]]\nhost = \"*.corp.example\"\n";
    let named = "[[allow]]\nhost = \"db.corp.example\"\naddresses = [\"10.0.0.0/8\"]\n";
    let request = "[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = \"GET\"\n";
    for (old, new, expected) in [
        ("", ALLOW, vec!["+ allow x.example on 80, 443 (a.toml:2)"]),
        (ALLOW, "", vec!["- allow no more x.example on 80, 443 (a.toml:2)"]),
        (ALLOW, "[[allow]]\nhost = \"x.example\"\nport = [80, 443, 8080]\n", vec!["+ allow x.example on 8080 (a.toml:2)"]),
        (
            ALLOW,
            "[[allow]]\nhost = \"x.example\"\nopaque = true\n",
            vec!["+ allow x.example on 80, 443, opaque; was (a.toml:2, was a.toml:2)"],
        ),
        (
            "[[allow]]\nhost = \"x.example\"\nport = 80\n",
            request,
            vec!["- allow x.example on 80, method GET; was (a.toml:2, was a.toml:2)"],
        ),
        (
            request,
            "[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = \"POST\"\n",
            vec!["~ allow x.example on 80, method POST; was, method GET (a.toml:2, was a.toml:2)"],
        ),
        ("", HOLD, vec!["+ hold h.example on 80, 443 (a.toml:2)"]),
        ("unlisted = \"hold\"\n", &format!("unlisted = \"hold\"\n{HOLD}"), vec!["- hold h.example on 80, 443 (a.toml:3)"]),
        (
            "[[allow]]\nhost = \"h.example\"\n",
            &format!("[[allow]]\nhost = \"h.example\"\n{HOLD}"),
            vec!["- hold h.example on 80, 443 (a.toml:4)"],
        ),
        (HOLD, "", vec!["- hold no more h.example on 80, 443 (a.toml:2)"]),
        ("", BLOCK, vec!["- block b.example on every port (a.toml:2)"]),
        (BLOCK, "", vec!["+ block no more b.example on every port (a.toml:2)"]),
        ("", "unlisted = \"hold\"\n", vec!["+ unlisted: was block, is hold"]),
        ("", "addresses = [\"public\", \"10.1.0.0/16\"]\n", vec!["+ addresses: was public, is public, 10.1.0.0/16"]),
        ("addresses = [\"10.1.0.0/16\"]\n", "addresses = [\"public\"]\n", vec!["~ addresses: was 10.1.0.0/16, is public"]),
        ("", "[limits]\nopen = 3\n", vec!["- [limits]: was no limit, is 3 open at once"]),
        ("[limits]\nbytes_per_day = \"2GiB\"\n", "[limits]\nbytes_per_day = \"3GiB\"\n", vec!["+ [limits]: was 2GiB a day, is 3GiB a day"]),
        ("", "observe_until = \"2026-09-25\"\n", vec!["+ observe_until: was none, is 2026-09-25T00:00:00Z"]),
        ("", &digest, vec!["+ identify by a token (a.toml:2)"]),
        ("[[identify]]\nsource = \"10.0.0.0/8\"\n", "", vec!["~ identify no more by source 10.0.0.0/8 (a.toml:2)"]),
        ("", "[[expect]]\ntry = \"https://x.example/\"\ndecision = \"block\"\n", vec!["= expect: block for https://x.example/"]),
        (&format!("{wide}{named}"), named, vec!["- allow no more *.corp.example on 80, 443 (a.toml:2)"]),
        (&format!("{wide}{named}"), wide, vec!["~ allow no more db.corp.example on 80, 443, addresses 10.0.0.0/8 (a.toml:4)"]),
    ] {
        assert_eq!(between(old, new), expected, "{old:?} to {new:?}");
    }
}

#[test]
fn a_list_that_only_shrinks_narrows_an_allow_and_widens_a_block() {
    for (old, new, expected) in [
        ("method = [\"GET\", \"POST\"]", "method = [\"GET\"]", "-+"),
        ("method = [\"GET\"]", "method = [\"GET\", \"POST\"]", "+-"),
        ("method = [\"GET\"]", "method = [\"POST\"]", "~~"),
        ("method = [\"GET\"]", "", "+-"),
        ("path = [\"/a\", \"/b\"]", "path = [\"/b\"]", "-+"),
        ("path = [\"/a\", \"/b\"]", "path = [\"/b\"]\nmethod = [\"GET\"]", "-+"),
        ("path = [\"/a\"]\nmethod = [\"GET\"]", "path = [\"/a\"]\nmethod = [\"GET\", \"PUT\"]\nquery = { a = [\"b\"] }", "~~"),
        ("path = [\"/a\"]", "path = [\"/a\"]\nquery = { a = [\"b\"] }", "-+"),
        ("query = { a = [\"b\"] }", "query = { c = [\"b\"] }", "~~"),
        ("method = [\"GET\", \"POST\"]", "method = [\"GET\"]\nuntil = \"2026-12-01\"", "-+"),
        ("method = [\"GET\", \"POST\"]\nuntil = \"2026-12-01\"", "method = [\"GET\"]", "~~"),
    ] {
        let marks = ["allow", "block"].map(|kind| {
            let rule = |keys: &str| format!("[[{kind}]]\nhost = \"x.example\"\nport = 80\n{keys}\n");
            let lines = between(&rule(old), &rule(new));
            assert_eq!(lines.len(), 1, "{lines:?}");
            lines[0].chars().next().unwrap()
        });
        assert_eq!(marks.iter().collect::<String>(), expected, "{old} to {new}");
    }
}

#[test]
fn where_another_rule_speaks_for_the_rest_it_cannot_be_told() {
    let wide = "[[allow]]\nhost = \"*.corp.example\"\nport = 80\naddresses = [\"10.0.0.0/8\"]\n";
    let rule = |keys: &str| format!("{wide}[[allow]]\nhost = \"db.corp.example\"\nport = 80\n{keys}\n");
    for (old, new) in [("method = [\"GET\", \"POST\"]", "method = [\"GET\"]"), ("", "method = [\"GET\"]"), ("", "until = \"2026-12-01\"")] {
        let lines = between(&rule(old), &rule(new));
        assert!(lines.len() == 1 && lines[0].starts_with("~ allow db.corp.example"), "{lines:?}");
    }
}

#[test]
fn what_widens_comes_first() {
    let marks: String =
        between(&format!("{ALLOW}{HOLD}"), BLOCK.replace("b.", "x.").as_str()).iter().filter_map(|line| line.chars().next()).collect();
    assert_eq!(marks, "---");
    let marks: String = between(ALLOW, &format!("{HOLD}{BLOCK}")).iter().filter_map(|line| line.chars().next()).collect();
    assert_eq!(marks, "+--");
}

#[test]
fn a_floor_that_narrows_less_widens() {
    let floor = |text: &str| Floor::parse("floor.toml", text).unwrap().0;
    for (old, new, expected) in [
        ("", "", vec![]),
        ("private = []\n", "", vec!["+ private: was [], is every network"]),
        ("", "forbid = [\"opaque\"]\n", vec!["- forbid: opaque"]),
        ("max_for = \"8h\"\n", "", vec!["+ max_for: was 28800s, is none"]),
        (BLOCK, "", vec!["+ block no more b.example on every port (floor.toml:1)"]),
        ("", HOLD, vec!["- hold h.example on 80, 443 (floor.toml:1)"]),
    ] {
        assert_eq!(told(&of_floors(&floor(old), &floor(new))), expected, "{old:?} to {new:?}");
    }
}
