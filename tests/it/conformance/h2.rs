//! The cases of `h2.py`, straight to the origin and through exeat.

use std::collections::BTreeMap;
use std::process::Command;

use super::{Both, HOST, World, compare, here};
use crate::clients::table::python;
use crate::support::site::token;

/// What each case showed, by section and name: whether it passed, and what was seen.
fn run(world: &World, proxy: Option<&str>) -> BTreeMap<String, (bool, String)> {
    let mut command = Command::new(python());
    command.arg(here("h2.py")).args(["--host", HOST, "--port", &world.web.port().to_string()]);
    command.arg("--ca").arg(world.authority.write(world.site.path()));
    if let Some(proxy) = proxy {
        command.args(["--proxy", proxy, "--credentials", &format!("a:{}", token("a"))]);
    }
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    out.lines()
        .map(|line| {
            let columns: Vec<&str> = line.splitn(4, '\t').collect();
            (format!("{} {}", columns[0], columns[1]), (columns[2] == "pass", columns[3].to_owned()))
        })
        .collect()
}

#[test]
fn every_case_of_http2_passes_as_it_does_straight_or_is_explained() {
    let probe = Command::new(python()).args(["-c", "import hpack"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("EXEAT_TEST_CLIENTS").as_deref(), Ok("all"), "hpack is not installed");
        return eprintln!("NOTICE: Python has no hpack, the cases of HTTP/2 are skipped");
    }
    let world = World::new();
    let proxy = world.site.start();
    let straight = run(&world, None);
    let through = run(&world, Some(&proxy.address.to_string()));
    assert!(straight.len() >= 100 && straight.len() == through.len(), "{} and {} cases", straight.len(), through.len());
    let told = |(passed, seen): &(bool, String)| format!("{}: {seen}", if *passed { "pass" } else { "fail" });
    let differing = straight
        .iter()
        .zip(&through)
        .filter(|((_, one), (_, two))| !(one.0 && two.0))
        .map(|((case, one), (_, two))| (case.clone(), Both { straight: told(one), through: told(two) }));
    compare("h2.tsv", &differing.collect(), |_| true);
    assert_eq!(proxy.talk().get("http://blocked.test/", &crate::support::site::credentials("a")).status, 403, "it lives");
}
