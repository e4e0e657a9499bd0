//! Files that cannot be put in force: that agent stays as it was, and the fault says where and what to do.

use super::*;

/// What is wrong with `a.toml`, how its fault begins on `/readyz`, and what its fix says.
fn rows(good: &str) -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let after = |more: &str| [good.as_bytes(), more.as_bytes()].concat();
    let lines = good.lines().count();
    let before = |first: &str| [first.as_bytes(), good.as_bytes()].concat();
    assert!(lines > 3);
    vec![
        ("a misspelt key", before("unlistd = \"hold\"\n"), "a.toml:1:1: found the unknown key \"unlistd\"", "did you mean unlisted?"),
        ("a misspelt agent", good.replace("agent = ", "agnet = ").into_bytes(), "a.toml:1:1: found ", "did you mean agent?"),
        ("a wildcard too wide", after("[[allow]]\nhost = \"*.com\"\n"), "found \"*.com\"", "fix: "),
        (
            "a rule that can never match",
            after("[[allow]]\nhost = \"x.invalid\"\n"),
            "found x.invalid, a name no rule opens",
            "fix: remove it",
        ),
        ("a broken expectation", after("[[expect]]\ntry = \"GET http://evil.test/\"\ndecision = \"allow\"\n"), "a.toml:", "fix: "),
        ("a cycle", before("include = [\"round\"]\n"), "round.toml:1:", "remove this entry"),
        ("a swallowed key", after("unlisted = \"block\"\n"), "a.toml:", "move unlisted to the top"),
        ("a NUL byte", after("# \0\n"), "found a NUL byte", "remove it"),
        ("invalid UTF-8", [good.as_bytes(), b"# \xff\n"].concat(), "found bytes that are not UTF-8", "save the file as UTF-8"),
        ("no TOML", after("[[allow\n"), "a.toml:", "fix: "),
        ("nothing", Vec::new(), "a.toml: found a file that names no agent", "agent = \"NAME\""),
    ]
}

#[test]
fn every_bad_input_leaves_the_agent_as_it_was_and_says_where_and_what_to_do() {
    let p0 = P0::new();
    let good = text_of_a(&p0);
    fs::write(file(&p0, "round.toml"), "include = [\"round\"]\n").unwrap();
    fs::write(file(&p0, "user.toml"), "agent = \"user\"\n").unwrap();
    let proxy = p0.start();
    for (what, text, start, fix) in rows(&good) {
        put(&file(&p0, "a.toml"), text);
        reload(&p0);
        let ready = proxy.readyz();
        let said = ready.text();
        assert!(said.lines().any(|line| line.contains(start) && line.contains(fix)), "{what}: {said}");
        assert!(said.contains("agent a keeps its last good allowlist"), "{what}: {said}");
        assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200, "{what}");
        assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200, "{what}");
        assert_eq!(proxy.metric("exeat_policy_broken", &["agent=\"a\""]), 1.0, "{what}");
    }
    let records = proxy.journal();
    let last = of_kind(&records, "policy").pop().unwrap();
    assert_eq!((&last["unread"][0]["agent"], &last["unread"][0]["kept"]), (&json!("a"), &json!(true)), "{last}");
    assert_eq!(last["old"], last["new"]);
    assert!(proxy.stderr().contains("WARN"), "{}", proxy.stderr());
    put(&file(&p0, "a.toml"), good + &listed(&p0, "held.test"));
    until(&proxy, "mended", || status(&p0, &proxy, "held.test") == 200);
    assert_eq!(proxy.metric("exeat_policy_broken", &["agent=\"a\""]), 0.0);
}

#[test]
fn a_file_of_100_megabytes_or_a_pipe_is_told_and_keeps_nobody_waiting() {
    let p0 = P0::new();
    let proxy = p0.start();
    let path = file(&p0, "a.toml");
    fs::File::options().write(true).open(&path).unwrap().set_len(100 << 20).unwrap();
    reload(&p0);
    let said = proxy.readyz().text();
    assert!(said.contains("a.toml: found more than 64 MiB") && said.contains("agent a keeps"), "{said}");
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    reload(&p0);
    let said = proxy.readyz().text();
    assert!(said.contains("a.toml: found no file but something else") && said.contains("agent a keeps"), "{said}");
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200);
}

#[test]
fn two_files_for_one_agent_leave_that_agent_as_it_was_and_take_the_rest() {
    let p0 = P0::new();
    let proxy = p0.start();
    put(&file(&p0, "copy.toml"), text_of_a(&p0) + &listed(&p0, "held.test"));
    put(&file(&p0, "b.toml"), fs::read_to_string(file(&p0, "b.toml")).unwrap() + &listed(&p0, "evil.test"));
    until(&proxy, "b is wider", || proxy.get(&p0.url("evil.test", "/"), &b()).status == 200);
    let said = proxy.readyz().text();
    assert!(said.starts_with("ready\n") && said.contains("copy.toml:1: found a second file for agent a, beside a.toml"), "{said}");
    assert_eq!((status(&p0, &proxy, "plain.allowed.test"), status(&p0, &proxy, "held.test")), (200, 403));
    until(&proxy, "counted", || reloads(&proxy, "partial") >= 1.0);
}

#[test]
fn what_is_broken_from_the_start_is_not_ready_until_it_is_mended_and_needs_no_start() {
    let p0 = P0::new();
    let good = text_of_a(&p0);
    put(&file(&p0, "a.toml"), format!("{good}oops = 1\n"));
    let proxy = p0.start();
    assert_eq!((proxy.readyz().status, status(&p0, &proxy, "plain.allowed.test")), (503, 407));
    let start = of_kind(&proxy.journal(), "policy")[0].clone();
    assert_eq!((&start["unread"][0]["agent"], &start["unread"][0]["kept"]), (&json!("a"), &json!(false)), "{start}");
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
    put(&file(&p0, "a.toml"), &good);
    until(&proxy, "ready", || proxy.readyz().status == 200);
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200);
    // What breaks later takes nothing out of service.
    put(&file(&p0, "c.toml"), "agent = \"c\"\noops = 1\n");
    until(&proxy, "told", || proxy.readyz().text().contains("agent c has no allowlist in force"));
    assert_eq!(proxy.readyz().status, 200);
}
