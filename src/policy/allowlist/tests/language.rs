//! Requests, ends, limits, includes, expectations and the floor, as files write them.

use std::collections::HashMap;
use std::time::Duration;

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// Files of a folder, by the names an include gives them.
#[derive(Debug, Default)]
struct Folder(HashMap<String, String>);

impl Library for Folder {
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
        let (name, file) = (name.to_string(), format!("{name}.toml"));
        let text = self.0.get(&name).ok_or_else(|| Unfound { found: "no such file".into(), fix: format!("write {file}") })?;
        Ok(IncludedText { file: file.into(), text: text.as_str().into() })
    }
}

fn read(floor: &str, files: &[(&str, &str)]) -> Result<(Allowlist, Vec<Warning>), String> {
    let folder = Folder(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect());
    let floor = Floor::parse("floor.toml", floor).unwrap().0;
    let reading = Reading { now: NOW, floor: &floor, library: &folder, inspects: false };
    let text = &folder.0["a"];
    Allowlist::read("a.toml", text, &reading).map_err(|faults| faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))
}

fn fault(floor: &str, files: &[(&str, &str)]) -> String {
    read(floor, files).map_or_else(|said| said, |_| "loads".to_owned())
}

#[test]
fn a_request_rule_reads_as_written() {
    let text = "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = [\"GET\", \"HEAD\"]\npath = \"/v1/**\"\nquery = { service = [\"up\", \"down\"], v = \"1\" }\nuntil = 1970-02-01T00:00:00Z\nwebsocket = true\nlimits = { open = 4, per_minute = 30, bytes_per_day = \"2GiB\" }\n";
    let (allowlist, warnings) = read("", &[("a", text)]).unwrap();
    assert_eq!(warnings, []);
    let rule = &allowlist.rules[0];
    let request = rule.request.as_ref().unwrap();
    let words = (request.methods.join(" "), request.paths[0].to_string(), request.query.len());
    assert_eq!(words, ("GET HEAD".to_owned(), "/v1/**".to_owned(), 2));
    assert_eq!(rule.until, Some(NOW + Duration::from_secs(31 * 24 * 3600)));
    let Effect::Allow(allow) = &rule.effect else { panic!("an allow rule") };
    assert_eq!((allow.websocket, allow.limits), (true, Limits { open: Some(4), per_minute: Some(30), bytes_per_day: Some(2 << 30) }));
}

#[test]
fn a_request_rule_that_could_never_speak_is_a_fault() {
    for (rule, expected) in [
        (
            "[[allow]]\nhost = \"x.example.com\"\nmethod = \"GET\"",
            "a.toml:4:10: found method, path or query in [[allow]] for port 443, and no CA: requests inside TLS cannot be seen; wanted a CA of exeat's own, or ports whose requests are in plain sight; fix: run `exeat ca init` and name what it made in [inspect] of exeat.toml, or write port = [80]",
        ),
        ("[[block]]\nhost = \"x.example.com\"\npath = \"/x\"", "a.toml:4:8: found method, path or query in [[block]] for port 443"),
        ("[[hold]]\nhost = \"x.example.com\"\nport = [80, 443]\nquery = { a = \"b\" }", "query in [[hold]] for port 443"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = \"get\"", "fix: methods are spelled exactly: write GET"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = \"GET, HEAD\"", "fix: write the methods one by one"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = \"CONNECT\"", "fix: leave it out: a tunnel is judged by host and port"),
        ("[[block]]\nhost = \"x.example.com\"\nport = 80\nmethod = \"TRACE\"", "fix: leave it out: the method is never passed on"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = []", "found an empty list; wanted at least one method"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\npath = \"v1\"", "a.toml:5:8: found \"v1\""),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\npath = \"/a/../b\"", "fix: write `/b`"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nquery = \"service=x\"", "fix: write query = { NAME = [\"VALUE\"] }"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nquery = {}", "fix: write query = { NAME = [\"VALUE\"] }"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\npath = \"/x\"\nopaque = true", "found opaque beside method, path or query"),
        ("[[allow]]\nhost = \"x.example.com\"\nport = 80\nmethod = \"POST\"\nwebsocket = true", "found websocket without GET"),
        ("[[block]]\nhost = \"10.0.0.0/8\"\nport = 80\nmethod = \"POST\"", "found method, path or query in a block rule for addresses"),
        ("[[hold]]\nhost = \"x.example.com\"\nwebsocket = true", "wanted websocket only in [[allow]]"),
        ("[[block]]\nhost = \"x.example.com\"\nlimits = { open = 1 }", "wanted limits only in [[allow]]"),
        ("[[allow]]\nhost = \"x.example.com\"\nlimits = {}", "found an empty [allow.limits]; wanted open, per_minute or bytes_per_day"),
        ("[[allow]]\nhost = \"x.example.com\"\nlimits = { open = 0 }", "wanted a whole number from 1 to 100000"),
        ("[[allow]]\nhost = \"x.example.com\"\nlimits = { bytes_per_day = 5 }", "5; wanted"),
        ("[[allow]]\nhost = \"x.example.com\"\nlimits = { bytes_per_day = \"0B\" }", "wanted a size from 1B to 1048576GiB"),
        ("[[allow]]\nhost = \"x.example.com\"\nlimits = { bytes_per_day = \"1048577GiB\" }", "wanted a size from 1B to 1048576GiB"),
        ("[[allow]]\nhost = \"x.example.com\"\nuntil = \"tomorrow\"", "found until \"tomorrow\"; wanted a day or a moment"),
        ("[[allow]]\nhost = \"x.example.com\"\nuntil = 1970-01-01T00:00:00", "wanted a day or a moment"),
    ] {
        let said = fault("", &[("a", &format!("agent = \"a\"\n{rule}\n"))]);
        assert!(said.lines().count() == 1 && said.contains(expected), "{rule}: {said}");
    }
}

#[test]
fn included_files_bring_their_rules_once_whichever_way_leads_to_them() {
    let files = [
        ("a", "agent = \"a\"\ninclude = [\"base\", \"team\"]\n[[allow]]\nhost = \"a.example.com\"\n"),
        ("team", "include = \"base\"\n[[block]]\nhost = \"t.example.com\"\n[[expect]]\ntry = \"b.example.com\"\ndecision = \"allow\"\n"),
        ("base", "title = \"Base\"\nrisk = \"none\"\n[[allow]]\nhost = \"b.example.com\"\n"),
    ];
    let (allowlist, _) = read("", &files).unwrap();
    let places: Vec<String> = allowlist.rules.iter().map(|rule| rule.place.to_string()).collect();
    assert_eq!(places, ["a.toml:3", "base.toml:3", "team.toml:2"]);
    assert_eq!(allowlist.includes, [Arc::from("base.toml"), Arc::from("team.toml")]);
    assert_eq!(allowlist.expectations.len(), 1);
}

#[test]
fn what_is_wrong_with_an_include_is_told_where_it_stands() {
    type Files = &'static [(&'static str, &'static str)];
    let table: [(&str, Files, &str); 9] = [
        (
            "no file",
            &[("a", "agent = \"a\"\ninclude = \"none\"")],
            "a.toml:2:11: found include \"none\", no such file; wanted a file that can be included; fix: write none.toml",
        ),
        ("a path", &[("a", "agent = \"a\"\ninclude = \"../b\"")], "fix: name a file of the same folder"),
        ("a suffix", &[("a", "agent = \"a\"\ninclude = \"b.toml\"")], "fix: leave .toml out: write \"b\""),
        ("a preset that is none", &[("a", "agent = \"a\"\ninclude = \"preset:../x\"")], "fix: write preset: and a name"),
        ("no list", &[("a", "agent = \"a\"\ninclude = [3]")], "a.toml:2:12: found include 3"),
        (
            "itself",
            &[("a", "agent = \"a\"\ninclude = \"b\""), ("b", "include = \"b\"")],
            "b.toml:1:11: found a cycle of includes: b includes b",
        ),
        (
            "a cycle",
            &[("a", "agent = \"a\"\ninclude = \"b\""), ("b", "include = \"c\""), ("c", "\ninclude = [\"b\"]")],
            "c.toml:2:12: found a cycle of includes: b includes c includes b; wanted files that do not include themselves; fix: remove this entry",
        ),
        (
            "an agent",
            &[("a", "agent = \"a\"\ninclude = \"b\""), ("b", "agent = \"b\"")],
            "b.toml:1:1: found agent in the top level; wanted a file with nothing but rules, include and expect",
        ),
        (
            "a typo",
            &[("a", "agent = \"a\"\ninclude = \"b\""), ("b", "[[alow]]\nhost = \"x.example.com\"")],
            "b.toml:1:3: found the unknown key \"alow\" in the top level",
        ),
    ];
    for (name, files, expected) in table {
        let said = fault("", files);
        assert!(said.lines().count() == 1 && said.contains(expected), "{name}: {said}");
    }
    let many: Vec<(String, String)> = (0..70).map(|n| (format!("f{n}"), format!("include = \"f{}\"", n + 1))).collect();
    let mut files = vec![("a", "agent = \"a\"\ninclude = \"f0\"")];
    files.extend(many.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    assert!(fault("", &files).starts_with("f63.toml:1:11: found more than 64 included files"), "{}", fault("", &files));
}

#[test]
fn a_file_whose_expectations_fail_does_not_load() {
    let rules = "agent = \"a\"\nunlisted = \"hold\"\nobserve_until = 1970-01-03\n[[allow]]\nhost = \"x.example.com\"\nport = [80, 443]\nuntil = 1970-01-01\n[[block]]\nhost = \"y.example.com\"\nport = 80\nmethod = \"POST\"\n";
    for (tried, decision, expected) in [
        ("GET https://x.example.com/", "allow", "loads"),
        (
            "x.example.com",
            "hold",
            "a.toml:12:1: found allow by a.toml:4 for \"x.example.com\"; wanted hold; fix: mend the rule, or the expectation",
        ),
        ("POST http://y.example.com/", "block", "loads"),
        ("GET http://y.example.com/", "hold", "loads"),
        ("CONNECT y.example.com:80", "look", "loads"),
        ("CONNECT y.example.com:80", "allow", "a.toml:12:1: found look by a.toml:8"),
        ("z.example.com", "block", "a.toml:12:1: found hold for \"z.example.com\"; wanted block"),
        ("169.254.169.254", "allow", "a.toml:12:1: found block by forbidden-address"),
        ("z.example.com", "maybe", "a.toml:14:12: found decision \"maybe\"; wanted a decision; fix: write one of allow, look, hold, block"),
        ("POST z.example.com:443", "block", "a.toml:13:7: found try \"POST z.example.com:443\"; wanted an attempt"),
        ("GET ftp://z.example.com/", "block", "a.toml:13:7: found try \"GET ftp://z.example.com/\"; wanted an attempt"),
    ] {
        let text = format!("{rules}[[expect]]\ntry = \"{tried}\"\ndecision = \"{decision}\"\n");
        let said = fault("", &[("a", &text)]);
        assert!(said.starts_with(expected), "{tried}: {said}");
    }
}

#[test]
fn an_agent_is_observed_for_fourteen_days_at_most() {
    let observed = |day: &str, floor: &str| fault(floor, &[("a", &format!("agent = \"a\"\nobserve_until = {day}\n"))]);
    assert_eq!(observed("1970-01-15", ""), "loads");
    assert_eq!(observed("\"1970-01-01\"", ""), "loads");
    assert!(
        observed("1970-01-15T00:00:01Z", "").starts_with("a.toml:2:1: found observe_until more than 14 days ahead; wanted 14 days at most")
    );
    assert!(
        observed("1970-01-02", "forbid = \"observe\"").starts_with("a.toml:2:1: found observe_until, which the floor floor.toml forbids")
    );
}

#[test]
fn the_floor_says_what_an_allowlist_may_not() {
    let floor = "private = [\"10.0.0.0/8\", \"fd00::/8\"]\nforbid = [\"opaque\"]\n";
    for (text, expected) in [
        ("addresses = [\"public\", \"10.1.0.0/16\"]", "loads"),
        (
            "addresses = [\"192.168.0.0/16\"]",
            "a.toml:1:1: found addresses with 192.168.0.0/16, which the floor floor.toml does not list as private",
        ),
        ("[[allow]]\nhost = \"db.example.com\"\naddresses = \"10.0.0.0/7\"", "a.toml:2:1: found addresses with 10.0.0.0/7"),
        ("[[hold]]\nhost = \"db.example.com\"\naddresses = \"127.0.0.1\"", "a.toml:2:1: found addresses with 127.0.0.1/32"),
        ("[[allow]]\nhost = \"db.example.com\"\nopaque = true", "a.toml:2:1: found opaque = true, which the floor floor.toml forbids"),
    ] {
        let said = fault(floor, &[("a", &format!("agent = \"a\"\n{text}\n"))]);
        assert!(said.starts_with(expected), "{text}: {said}");
    }
}

#[test]
fn a_floor_reads_as_written_and_holds_nothing_that_lets_pass() {
    let text = "private = \"10.0.0.0/8\"\nforbid = [\"observe\", \"always\"]\nmax_for = \"8h\"\n[[block]]\nhost = \"*.example.com\"\n[[hold]]\nhost = \"x.example.org\"\n[limits]\nper_minute = 600\n";
    let (floor, warnings) = Floor::parse("floor.toml", text).unwrap();
    assert_eq!((floor.rules.len(), warnings), (2, Vec::new()));
    assert_eq!((floor.max_for, floor.limits), (Some(Duration::from_secs(8 * 3600)), Limits { per_minute: Some(600), ..Limits::default() }));
    assert_eq!((floor.forbid.observe, floor.forbid.opaque, floor.forbid.always), (true, false, true));
    for (text, expected) in [
        ("[[allow]]\nhost = \"x.example.com\"", "wanted [[block]] and [[hold]]: the floor lets nothing pass"),
        ("agent = \"a\"", "wanted agent only in an agent's allowlist"),
        ("unlisted = \"hold\"", "wanted unlisted only in an agent's allowlist"),
        ("[[hold]]\nhost = \"x.example.com\"\naddresses = \"public\"", "wanted addresses only in an allowlist"),
        ("private = \"public\"", "floor.toml:1:11: found private \"public\"; wanted a network such as 10.0.0.0/8"),
        ("private = \"10.0.0.1/8\"", "fix: write 10.0.0.0/8, or 10.0.0.1 for that address alone"),
        ("forbid = \"hold\"", "wanted observe, opaque or always"),
        ("max_for = \"0s\"", "wanted a duration longer than nothing"),
        ("max_for = 8", "wanted a duration"),
        ("[[block]]\nhost = \"*\"", "found \"*\", a pattern for everything"),
        ("colour = 1", "found the unknown key \"colour\""),
    ] {
        let faults = Floor::parse("floor.toml", text).unwrap_err();
        assert!(faults.len() == 1 && faults[0].to_string().contains(expected), "{text}: {faults:?}");
    }
}

#[test]
fn an_allowlist_that_stands_alone_includes_nothing() {
    let said = faults("agent = \"a\"\ninclude = \"b\"");
    assert_eq!(
        said,
        ["coder.toml:2:11: found include \"b\", nothing that can be included; wanted a file that can be included; fix: remove it"]
    );
}

#[test]
fn two_rules_on_one_line_have_one_place_and_do_not_load() {
    let rules = |between: &str| {
        format!(
            "agent = \"a\"\nallow = [{{ host = \"a.example.com\", limits = {{ open = 1 }} }},{between}{{ host = \"b.example.com\" }}]\n"
        )
    };
    assert_eq!(fault("", &[("a", &rules("\n"))]), "loads");
    let said = "a.toml:2:1: found a second rule on this line; wanted a line for each rule; fix: put it on a line of its own";
    assert_eq!(fault("", &[("a", &rules(" "))]), said);
}

#[test]
fn the_fix_of_an_address_that_carries_another_loads() {
    for host in ["10.0.0.1", "[fd00::1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[64:ff9b:1::a00:1]", "[fe80::200:5efe:a00:1]"] {
        let text = format!("agent = \"a\"\n[[allow]]\nhost = \"{host}\"\n");
        let said = fault("", &[("a", &text)]);
        let fix = said.split_once("fix: add ").and_then(|(_, fix)| fix.strip_suffix(" to the rule")).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(fault("", &[("a", &format!("{text}{fix}\n"))]), "loads", "{host}: {fix}");
    }
    let said = fault("", &[("a", "agent = \"a\"\naddresses = \"169.254.169.254/16\"\n")]);
    assert!(said.ends_with("fix: metadata services are never dialled; leave the entry out"), "{said}");
}
