//! The floor while it is read again: good, broken, gone.

use super::*;

#[test]
fn a_floor_that_comes_binds_everyone_and_cuts_what_it_blocks() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("x.wild.test"), &a()).status, 200);
    let mut open = talk.tls(&p0.authority, "x.wild.test").unwrap();
    put(&file(&p0, "floor.toml"), "[[block]]\nhost = \"*.wild.test\"\nbecause = \"not here\"\n");
    assert!(open.is_closed());
    let refused = proxy.get(&p0.url("y.wild.test", "/"), &a());
    assert_refused(&refused, 403, "blocked");
    assert_eq!(refused.problem()["rule"], "floor.toml:1");
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200);
}

#[test]
fn under_a_broken_floor_nothing_widens_and_what_narrows_is_in_force() {
    let p0 = P0::new();
    fs::write(file(&p0, "floor.toml"), "[[block]]\nhost = \"evil.test\"\n").unwrap();
    let proxy = p0.start();
    let good = text_of_a(&p0);
    assert_eq!(status(&p0, &proxy, "evil.test"), 403);
    for broken in [Some("[[block]\n"), None] {
        match broken {
            Some(text) => put(&file(&p0, "floor.toml"), text),
            None => fs::remove_file(file(&p0, "floor.toml")).unwrap(),
        }
        put(&file(&p0, "a.toml"), good.clone() + &listed(&p0, "held.test"));
        until(&proxy, "wider is refused", || {
            let said = proxy.readyz().text();
            said.contains("wider while the floor floor.toml cannot be read") && said.contains("agent a keeps its last good allowlist")
        });
        until(&proxy, "counted as of no agent", || proxy.metric("exeat_policy_broken", &["agent=\"-\""]) == 1.0);
        assert!(proxy.readyz().text().contains("floor.toml"), "{}", proxy.readyz().text());
        assert_eq!((status(&p0, &proxy, "held.test"), status(&p0, &proxy, "evil.test"), proxy.readyz().status), (403, 403, 200));
    }
    let narrow = good.split("[[allow]]\nhost = \"*.wild.test\"").next().unwrap().to_owned()
        + "[[block]]\nhost = \"blocked.test\"\nbecause = \"x\"\n";
    put(&file(&p0, "a.toml"), narrow);
    until(&proxy, "narrower is in force", || status(&p0, &proxy, "x.wild.test") == 403);
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200);
    put(&file(&p0, "floor.toml"), "");
    put(&file(&p0, "a.toml"), good + &listed(&p0, "held.test"));
    until(&proxy, "mended", || status(&p0, &proxy, "held.test") == 200);
    assert!(proxy.stderr().contains("WARN"));
}

#[test]
fn a_floor_that_was_broken_from_the_start_lets_nothing_pass_until_it_is_mended() {
    let p0 = P0::new();
    fs::write(file(&p0, "floor.toml"), "forbid = [\"everything\"]\n").unwrap();
    let proxy = p0.start();
    assert_eq!((proxy.readyz().status, status(&p0, &proxy, "plain.allowed.test")), (503, 407));
    fs::remove_file(file(&p0, "floor.toml")).unwrap();
    reload(&p0);
    let said = proxy.readyz().text();
    assert!(said.contains("floor.toml: found no floor where there was one"), "a floor that is gone is no floor mended: {said}");
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 407);
    put(&file(&p0, "floor.toml"), "forbid = [\"observe\"]\n");
    until(&proxy, "ready", || proxy.readyz().status == 200);
    assert_eq!(status(&p0, &proxy, "plain.allowed.test"), 200);
}
