use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::*;
use crate::policy::attempt::AgentId;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn source(folder: &tempfile::TempDir) -> Source {
    Source { folder: folder.path().to_owned(), floor: None, inspects: false }
}

fn read(folder: &tempfile::TempDir) -> Found {
    source(folder).read(&Bound::Start, now()).unwrap()
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

/// Each unit in a line: its file, its agent, and its rules or its faults.
fn units(found: &Found) -> Vec<String> {
    let line = |unit: &Unit| {
        let agent = unit.agent.as_ref().map_or("-", AgentId::as_str);
        match &unit.read {
            Ok(allowlist) => {
                let places: Vec<String> = allowlist.rules.iter().map(|rule| rule.place.to_string()).collect();
                format!("{} {agent} [{}]", unit.file, places.join(" "))
            }
            Err(faults) => format!("{} {agent} {}", unit.file, said(faults).join(" | ")),
        }
    };
    found.units.iter().map(line).collect()
}

fn said(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(Fault::to_string).collect()
}

const RULE: &str = "[[allow]]\nhost = \"x.example\"\n";

#[test]
fn a_unit_is_an_agents_file_with_all_it_includes() {
    let folder = folder(&[
        ("a.toml", &format!("agent = \"a\"\ninclude = [\"team\"]\n{RULE}")),
        ("b.toml", "agent = \"b\"\ninclude = [\"team\"]\n"),
        ("team.toml", "include = [\"base\"]\n[[block]]\nhost = \"y.example\"\n"),
        ("base.toml", "[[hold]]\nhost = \"z.example\"\n"),
        ("presets/p.toml", "?"),
        ("README.md", "?"),
        (".c.toml", "?"),
        ("c.toml~", "?"),
    ]);
    let found = read(&folder);
    assert_eq!(units(&found), ["a.toml a [a.toml:3 team.toml:2 base.toml:1]", "b.toml b [team.toml:2 base.toml:1]"]);
    assert_eq!((said(&found.faults), found.frozen), (Vec::new(), Frozen::Nobody));
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    let agent_text = "agent = \"a\"\ninclude = [\"team\"]\n[[allow]]\nhost = \"x.example\"\nuntil = 2020-01-01\n";
    let texts = [("a.toml", agent_text), ("team.toml", RULE), ("floor.toml", "[[block]]\nhost = \"y.example\"\n"), ("freeze", "a\n")];
    let plain = read(&folder(&texts));
    assert_eq!((units(&plain).as_slice(), plain.warnings.len()), (["a.toml a [a.toml:3 team.toml:1]".to_owned()].as_slice(), 1));
    let marked = texts.map(|(name, text)| (name, format!("\u{feff}{text}")));
    let found = read(&folder(&marked.each_ref().map(|(name, text)| (*name, text.as_str()))));
    assert_eq!((units(&found), &found.warnings, &found.frozen), (units(&plain), &plain.warnings, &plain.frozen));
    assert_eq!((said(&found.faults), format!("{:?}", found.binding)), (Vec::new(), format!("{:?}", plain.binding)));
    let broken = read(&folder(&[("a.toml", "\u{feff}agent = \"a\"\nunlistd = 1\n")]));
    assert_eq!(broken.units[0].agent, Some(agent("a")));
}

#[test]
fn what_is_broken_breaks_its_own_unit_and_says_where() {
    let cases: &[(&str, &str, &str)] = &[
        ("a misspelt key", "agent = \"a\"\nunlistd = \"hold\"\n", "x.toml:2:1: found the unknown key \"unlistd\""),
        ("a misspelt agent", "agnet = \"a\"\n", "found the unknown key \"agnet\" in the top level; wanted one of"),
        ("a wildcard too wide", "agent = \"a\"\n[[allow]]\nhost = \"*.com\"\n", "x.toml:3:8: found \"*.com\""),
        ("a rule for nobody", RULE, "x.toml: found a file that names no agent and that no agent includes"),
        ("an empty file", "", "x.toml: found a file that names no agent and that no agent includes"),
        ("a broken expectation", "agent = \"a\"\n[[expect]]\ntry = \"GET http://q.example/\"\ndecision = \"allow\"\n", "x.toml:2"),
        ("a cycle", "agent = \"a\"\ninclude = [\"y\"]\n", "a cycle of includes: y includes y"),
        ("a missing include", "agent = \"a\"\ninclude = [\"z\"]\n", "x.toml:2:12: found include \"z\", of which there is no file"),
        ("an include of an agent", "agent = \"a\"\ninclude = [\"good\"]\n", "which is the allowlist of an agent"),
        ("an include of the floor", "agent = \"a\"\ninclude = [\"floor\"]\n", "which is the floor"),
        ("a preset there is not", "agent = \"a\"\ninclude = [\"preset:none\"]\n", "which is no preset"),
        ("a swallowed key", "[[allow]]\nhost = \"x.example\"\nagent = \"a\"\n", "belongs to that table; move agent to the top"),
        ("a NUL", "agent = \"a\"\n#\0\n", "x.toml:2:2: found a NUL byte; wanted text in UTF-8"),
    ];
    for (what, text, expected) in cases {
        let folder = folder(&[("good.toml", "agent = \"good\"\n"), ("x.toml", text)]);
        if text.contains("\"y\"") {
            fs::write(folder.path().join("y.toml"), "include = [\"y\"]\n").unwrap();
        }
        let found = read(&folder);
        let lines = units(&found);
        assert_eq!((lines.len(), lines[0].as_str()), (2, "good.toml good []"), "{what}: {lines:?}");
        assert!(found.units[1].read.is_err() && lines[1].contains(expected), "{what}: {}", lines[1]);
        assert_eq!(found.faults, [], "{what}");
    }
}

#[test]
fn what_is_no_readable_file_is_a_fault_and_keeps_nobody_waiting() {
    let folder = folder(&[("good.toml", "agent = \"good\"\n"), ("bytes.toml", "")]);
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("dir.toml")).unwrap();
    fs::write(at("bytes.toml"), b"agent = \"a\"\n# \xff\n").unwrap();
    symlink(at("nowhere"), at("dangling.toml")).unwrap();
    symlink("/dev/zero", at("device.toml")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.toml"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    fs::File::create(at("huge.toml")).unwrap().set_len(100 << 20).unwrap();
    let found = read(&folder);
    let start = [
        "bytes.toml - bytes.toml:2:3: found bytes that are not UTF-8; wanted text in UTF-8; fix: save the file as UTF-8",
        "dangling.toml - dangling.toml: found a file that cannot be read (no such file or folder)",
        "device.toml - device.toml: found no file but something else",
        "dir.toml - dir.toml: found no file but something else",
        "good.toml good []",
        "huge.toml - huge.toml: found more than 64 MiB; wanted at most 64 MiB",
        "pipe.toml - pipe.toml: found no file but something else",
    ];
    let lines = units(&found);
    assert_eq!(lines.len(), start.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(start) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_folder_that_is_gone_is_told_and_an_empty_one_has_nobody() {
    let empty = folder(&[("presets/p.toml", "?")]);
    assert_eq!(said(&read(&empty).faults).len(), 1);
    let gone = Source { folder: empty.path().join("none"), floor: None, inspects: false };
    assert!(gone.read(&Bound::Start, now()).unwrap_err().found.starts_with("no readable folder"));
}

#[test]
fn the_floor_is_beside_the_allowlists_or_where_the_configuration_says() {
    let floor = "[[block]]\nhost = \"x.example\"\n";
    let beside = folder(&[("a.toml", "agent = \"a\"\n"), ("floor.toml", floor)]);
    let found = read(&beside);
    assert_eq!(units(&found), ["a.toml a []"]);
    let Binding::Read(good) = &found.binding else { panic!("{found:?}") };
    assert_eq!((good.rules.len(), &*good.file), (1, "floor.toml"));

    // Gone or broken, the last good one binds; before there was one, nothing may pass.
    let by = Bound::By(Arc::clone(good));
    for (what, text) in [("broken", Some("?")), ("gone", None)] {
        match text {
            Some(text) => fs::write(beside.path().join("floor.toml"), text).unwrap(),
            None => fs::remove_file(beside.path().join("floor.toml")).unwrap(),
        }
        for (bound, last) in [(&by, true), (&Bound::Never, false)] {
            let found = source(&beside).read(bound, now()).unwrap();
            assert!(found.faults.iter().any(|fault| &*fault.file == "floor.toml"), "{what}");
            assert_eq!(matches!(&found.binding, Binding::Last(floor) if floor == good), last, "{what}");
            assert_eq!(matches!(found.binding, Binding::Never), !last, "{what}");
        }
    }

    // One that bound nobody may go.
    let empty = Floor::parse("floor.toml", "# nothing\n").unwrap().0;
    let gone = source(&beside).read(&Bound::By(Arc::new(empty)), now()).unwrap();
    assert_eq!((said(&gone.faults), matches!(gone.binding, Binding::Read(_))), (Vec::new(), true));

    let elsewhere = folder(&[("f.toml", floor)]);
    let named = Source { floor: Some(elsewhere.path().join("f.toml")), ..source(&beside) };
    assert!(matches!(named.read(&Bound::Start, now()).unwrap().binding, Binding::Read(_)));
    fs::write(beside.path().join("floor.toml"), "").unwrap();
    let two = named.read(&Bound::Start, now()).unwrap();
    assert!(matches!(two.binding, Binding::Never) && said(&two.faults)[0].contains("a second floor"), "{:?}", two.faults);
    let missing = Source { floor: Some(elsewhere.path().join("none.toml")), ..source(&elsewhere) };
    assert!(matches!(missing.read(&Bound::Start, now()).unwrap().binding, Binding::Never));
}

#[test]
fn a_freeze_stops_those_it_names_and_everyone_where_it_cannot_be_read() {
    let these = |names: &[&str]| Frozen::These(names.iter().map(|name| agent(name)).collect());
    for (text, frozen, faults) in [
        ("", Frozen::Everyone, 0),
        ("# a reason\n\n", Frozen::Everyone, 0),
        ("a # why\r\n\n  b\n", these(&["a", "b"]), 0),
        ("a\nB!\n", Frozen::Everyone, 1),
        ("a b\n", Frozen::Everyone, 1),
        ("a\0\n", Frozen::Everyone, 1),
    ] {
        let folder = folder(&[("a.toml", "agent = \"a\"\n"), ("b.toml", "agent = \"b\"\n"), ("freeze", text)]);
        let found = read(&folder);
        assert_eq!((&found.frozen, found.faults.len(), found.warnings.len()), (&frozen, faults, 0), "{text:?}");
        assert!(found.faults.iter().all(|fault| &*fault.file == "freeze"), "{:?}", found.faults);
    }
    let folder = folder(&[("a.toml", "agent = 3\n"), ("freeze", "coder\n")]);
    let found = read(&folder);
    assert_eq!((found.frozen, found.warnings[0].code), (these(&["coder"]), "freezes-nobody"));
    assert_eq!(found.warnings[0].text, "freeze names coder, who is no agent here: nobody is stopped by that line");
    fs::remove_file(folder.path().join("freeze")).unwrap();
    fs::create_dir(folder.path().join("freeze")).unwrap();
    assert_eq!(read(&folder).frozen, Frozen::Everyone);
}

#[test]
fn a_file_with_nearly_a_right_name_is_told_with_the_right_one() {
    let right = [
        ("freeze.txt", Some("freeze")),
        ("FREEZE", Some("freeze")),
        ("floor.TOML", Some("floor.toml")),
        ("Floor.toml", Some("floor.toml")),
        ("coder.TOML", Some("coder.toml")),
        ("x.tml", Some("x.toml")),
        ("y.toml.txt", Some("y.toml")),
        ("freeze", None),
        ("floor.toml", None),
        ("Coder.toml", None),
        ("a.toml~", None),
        (".x.tml", None),
        (".toml", None),
        ("README.txt", None),
    ];
    for (name, expected) in right {
        assert_eq!(meant(name).as_deref(), expected, "{name}");
    }
    let folder = folder(&[("a.toml", "agent = \"a\"\n"), ("freeze.txt", "a\n"), ("b.TOML", "?"), ("Floor.toml", RULE), ("x.tml/y", "")]);
    let told: Vec<String> = read(&folder).warnings.iter().map(ToString::to_string).collect();
    let line = |name: &str, right: &str| {
        format!("{name}: warning: nothing of a file of this name is in force: rename it to {right}, or remove it [unread-file]")
    };
    assert_eq!(told, [line("Floor.toml", "floor.toml"), line("b.TOML", "b.toml"), line("freeze.txt", "freeze")]);
    let before = source(&folder).stamp();
    fs::remove_file(folder.path().join("freeze.txt")).unwrap();
    assert_ne!(source(&folder).stamp(), before);
}

#[test]
fn a_stamp_moves_with_whatever_is_written() {
    let folder = folder(&[("real/a.toml", "agent = \"a\"\n"), ("real2/a.toml", "agent = \"b\"\n"), ("f/x", "")]);
    let at = |name: &str| folder.path().join(name);
    let source = Source { folder: at("f"), floor: Some(at("floor.toml")), inspects: false };
    let mut before = source.stamp();
    let mut moved = |what: &str, moves: bool| {
        let after = source.stamp();
        assert_eq!(before != after, moves, "{what}");
        before = after;
    };
    fs::write(at("f/README"), "x").unwrap();
    moved("a file of nobody", false);
    symlink(at("real"), at("f/..data")).unwrap();
    symlink("..data/a.toml", at("f/a.toml")).unwrap();
    moved("a new link", true);
    fs::write(at("real/a.toml"), "agent = \"abc\"\n").unwrap();
    moved("what it leads to", true);
    symlink(at("real2"), at("f/..new")).unwrap();
    fs::rename(at("f/..new"), at("f/..data")).unwrap();
    moved("a link that is turned", true);
    fs::set_permissions(at("real2/a.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    moved("permissions", true);
    fs::write(at("floor.toml"), "").unwrap();
    moved("a floor", true);
    fs::write(at("f/freeze"), "").unwrap();
    moved("a freeze", true);
    fs::remove_file(at("f/freeze")).unwrap();
    moved("no freeze", true);
    fs::rename(at("f"), at("g")).unwrap();
    moved("no folder", true);
}

#[test]
fn single_files_are_checked_with_what_stands_beside_them() {
    let folder = folder(&[
        ("a.toml", "agent = \"a\"\ninclude = [\"team\"]\n"),
        ("team.toml", RULE),
        ("floor.toml", "forbid = [\"opaque\"]\n"),
        ("b.toml", "agent = \"b\"\n[[allow]]\nhost = \"y.example\"\nport = 5432\nopaque = true\n"),
        ("freeze", "?\n"),
    ]);
    let at = |name: &str| folder.path().join(name);
    for (name, agents, faults) in
        [("a.toml", 1, 0), ("team.toml", 0, 0), ("floor.toml", 0, 0), ("b.toml", 0, 1), ("freeze", 0, 1), ("none.toml", 0, 1), ("", 1, 2)]
    {
        let loaded = load_paths(&[at(name)], false);
        assert_eq!((loaded.allowlists.len(), loaded.faults.len()), (agents, faults), "{name}: {:?}", loaded.faults);
    }
}

#[test]
fn rules_about_requests_inside_tls_load_where_there_is_a_ca_and_only_there() {
    let rule = |table: &str| format!("[[{table}]]\nhost = \"x.example\"\nmethod = \"POST\"\n");
    let folder = folder(&[
        ("a.toml", &format!("agent = \"a\"\ninclude = [\"team\"]\n{}", rule("allow"))),
        ("team.toml", &rule("hold")),
        ("floor.toml", &rule("block")),
    ]);
    let with_ca = Source { inspects: true, ..source(&folder) }.read(&Bound::Start, now()).unwrap();
    assert_eq!((units(&with_ca), said(&with_ca.faults)), (vec!["a.toml a [a.toml:3 team.toml:1]".to_owned()], Vec::new()));
    let without = read(&folder);
    let words = |file: &str, line: u32, table: &str| {
        let found = format!("method, path or query in [[{table}]] for port 443, and no CA: requests inside TLS cannot be seen");
        let fix = "run `exeat ca init` and name what it made in [inspect] of exeat.toml, or write port = [80]";
        let wanted = "a CA of exeat's own, or ports whose requests are in plain sight";
        format!("{file}:{line}:10: found {found}; wanted {wanted}; fix: {fix}")
    };
    let unit = format!("a.toml a {} | {}", words("a.toml", 5, "allow"), words("team.toml", 3, "hold"));
    assert_eq!((units(&without), said(&without.faults)), (vec![unit], vec![words("floor.toml", 3, "block")]));
    for (name, inspects, faults) in [("team.toml", true, 0), ("team.toml", false, 2), ("a.toml", true, 0), ("", true, 0), ("", false, 3)] {
        let loaded = load_paths(&[folder.path().join(name)], inspects);
        assert_eq!(loaded.faults.len(), faults, "{name}: {:?}", loaded.faults);
    }
}

#[test]
fn leak_rules_that_no_agent_names_are_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let rule = "[[rules]]\nid = \"x\"\nregex = \"abc\"\n";
    let said = || -> Vec<String> {
        let faults = load_paths(&[folder.path().to_owned()], false).faults;
        faults.iter().map(|fault| fault.to_string().replace(&format!("{}/", folder.path().display()), "")).collect()
    };
    write("a.toml", "agent = \"a\"\n");
    write("leaks.toml", rule);
    let unnamed = "leaks.toml: found a file of leak rules that no agent names; wanted one that an agent's [leaks] names; fix: name it there with rules, or remove it";
    assert_eq!(said(), [unnamed]);
    write("leaks.toml", &format!("{rule}verify = true\n"));
    assert!(said().len() == 1 && said()[0].starts_with("leaks.toml:4:1: found the unknown key \"verify\""), "{:?}", said());
    write("leaks.toml", rule);
    write("a.toml", "agent = \"a\"\n[leaks]\nrules = \"leaks.toml\"\n");
    assert_eq!(said(), [""; 0]);
}
