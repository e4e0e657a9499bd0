use super::*;
use crate::policy::allowlist::{NoLibrary, Reading};
use crate::policy::attempt::{Evidence, Offered};
use std::time::SystemTime;

/// Files, the agents that are in force then, and those that are broken.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

fn id(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn floor(text: &str) -> Arc<Floor> {
    Arc::new(Floor::parse("floor.toml", text).unwrap().0)
}

fn unit(file: &str, text: &str) -> Unit {
    let reading = Reading { now: SystemTime::UNIX_EPOCH, floor: &Floor::none(), library: &NoLibrary, inspects: false };
    let read = Allowlist::read(file, text, &reading).map(|(allowlist, _)| allowlist);
    let claims = if read.is_err() { Allowlist::claims_of(file, text) } else { Vec::new() };
    Unit { file: file.into(), agent: Allowlist::agent_of(text), read, claims }
}

fn follow(before: &Policy, binding: &Binding, files: &[(&str, &str)]) -> Succession {
    before.followed_by(files.iter().map(|(file, text)| unit(file, text)).collect(), binding, Guard::default())
}

/// The agents in force with the hosts they list, and those who are broken: `+` kept, `-` without any.
fn shown(succession: &Succession) -> (Vec<String>, Vec<String>) {
    let hosts = |agent: &AgentId| {
        let allowlist = succession.policy.allowlist(agent).unwrap();
        let hosts: Vec<String> = allowlist.rules.iter().flat_map(|rule| rule.hosts.iter().map(ToString::to_string)).collect();
        format!("{agent}: {}", hosts.join(" "))
    };
    let broken = succession.broken.iter().map(|broken| {
        let agent = broken.agent.as_ref().map_or("nobody", AgentId::as_str);
        assert!(!broken.faults.is_empty(), "{agent}");
        format!("{}{agent}", if broken.kept { '+' } else { '-' })
    });
    (succession.policy.agents().map(hosts).collect(), broken.collect())
}

fn file(agent: &str, hosts: &str) -> String {
    let rules: String = hosts.split_whitespace().map(|host| format!("[[allow]]\nhost = \"{host}.example\"\n")).collect();
    format!("agent = \"{agent}\"\n{rules}")
}

fn known(agent: &str, network: &str) -> String {
    format!("{}[[identify]]\nsource = \"{network}\"\n", file(agent, "x"))
}

#[test]
fn one_agent_is_the_unit() {
    let none = Binding::Read(Arc::new(Floor::none()));
    let nobody = Policy::nobody(Guard::default());
    let (a, b) = (file("a", "x"), file("b", "x"));
    let first = follow(&nobody, &none, &[("a.toml", &a), ("b.toml", &b)]).policy;
    let (wider, broken) = (file("a", "x y"), format!("{a}what = 1\n"));
    let cases: &[Case<'_>] = &[
        (&[("a.toml", &wider), ("b.toml", &b)], &["a: x.example y.example", "b: x.example"], &[]),
        (&[("a.toml", &broken), ("b.toml", &file("b", "z"))], &["a: x.example", "b: z.example"], &["+a"]),
        (&[("b.toml", &b)], &["b: x.example"], &[]),
        (&[], &[], &[]),
        (&[("new.toml", &wider), ("b.toml", &b)], &["a: x.example y.example", "b: x.example"], &[]),
        // Two files for one agent, one of them broken or not.
        (&[("a.toml", &wider), ("c.toml", &a), ("b.toml", &b)], &["a: x.example", "b: x.example"], &["+a"]),
        (&[("a.toml", &wider), ("c.toml", &broken), ("b.toml", &b)], &["a: x.example", "b: x.example"], &["+a"]),
        // Whose file it was is known by its name, where it does not say so itself.
        (&[("a.toml", "agent = 3"), ("b.toml", &b)], &["a: x.example", "b: x.example"], &["+a"]),
        (&[("a.toml", &file("c", "x!")), ("b.toml", &b)], &["a: x.example", "b: x.example"], &["+a", "-c"]),
        (&[("a.toml", "agent = 3"), ("c.toml", &wider), ("b.toml", &b)], &["a: x.example y.example", "b: x.example"], &["-nobody"]),
        (&[("a.toml", &a), ("b.toml", &b), ("d.toml", "?")], &["a: x.example", "b: x.example"], &["-nobody"]),
        (&[("a.toml", &a), ("b.toml", &b), ("d.toml", "agent = \"d\"\nx = 1")], &["a: x.example", "b: x.example"], &["-d"]),
    ];
    for (files, agents, broken) in cases {
        let (in_force, told) = shown(&follow(&first, &none, files));
        assert_eq!((in_force.as_slice(), told.as_slice()), (owned(agents).as_slice(), owned(broken).as_slice()), "{files:?}");
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn those_who_could_not_be_told_apart_give_way_to_those_in_force() {
    let none = Binding::Read(Arc::new(Floor::none()));
    let nobody = Policy::nobody(Guard::default());
    let (a, b, c) = (known("a", "10.1.0.0/16"), known("b", "10.2.0.0/16"), file("c", "x"));
    let clash = follow(&nobody, &none, &[("a.toml", &a), ("b.toml", &known("b", "10.1.2.0/24")), ("c.toml", &c)]);
    assert_eq!(shown(&clash), (owned(&["c: x.example"]), owned(&["-a", "-b"])));
    let first = follow(&nobody, &none, &[("a.toml", &a), ("b.toml", &b)]).policy;
    let taken = follow(&first, &none, &[("a.toml", &a), ("b.toml", &known("b", "10.1.2.0/24")), ("c.toml", &c)]);
    // Both are new readings, so both stay as they were.
    assert_eq!(shown(&taken), (owned(&["a: x.example", "b: x.example", "c: x.example"]), owned(&["+a", "+b"])));
    assert_eq!(taken.policy.allowlist(&id("b")).unwrap().identify, first.allowlist(&id("b")).unwrap().identify);
    // A broken file keeps its network, and whoever wants it stays as he was.
    let kept = follow(&first, &none, &[("a.toml", &format!("{a}oops = 1\n")), ("b.toml", &known("b", "10.1.0.0/16"))]);
    assert_eq!(shown(&kept).1, ["+a", "+b"]);
    let swapped = follow(&first, &none, &[("a.toml", &known("a", "10.2.0.0/16")), ("b.toml", &known("b", "10.1.0.0/16"))]);
    assert_eq!(shown(&swapped).1, Vec::<String>::new());
}

#[test]
fn what_would_prove_an_agent_whose_file_is_broken_proves_nobody_else() {
    let none = Binding::Read(Arc::new(Floor::none()));
    let nobody = Policy::nobody(Guard::default());
    let proven = |policy: &Policy, source: [u8; 4], listener: &str| {
        let evidence = Evidence { offered: Offered::Nothing, source: source.into(), listener: listener.into() };
        policy.identify(&evidence).ok().map(|agent| agent.to_string())
    };
    let by_listener = format!("{}[[identify]]\nlistener = \"side\"\n", file("b", "x"));
    let good = known("a", "10.1.0.0/16");
    for broken in [format!("{good}oops = 1\n"), good.replace("agent = \"a\"", "agent = 3"), format!("{good}\n?\n")] {
        let mut policy = nobody.clone();
        for _ in 0..2 {
            policy = follow(&policy, &none, &[("a.toml", &broken), ("b.toml", &by_listener)]).policy;
            assert_eq!(proven(&policy, [10, 1, 0, 1], "side"), None, "{broken}");
            assert_eq!(proven(&policy, [10, 2, 0, 1], "side"), Some("b".into()), "{broken}");
        }
        let mended = follow(&policy, &none, &[("b.toml", &by_listener)]).policy;
        assert_eq!(proven(&mended, [10, 1, 0, 1], "side"), Some("b".into()));
    }
    // One that is sure to be taken for the broken one comes no sooner than if that were whole; one in force stays.
    let (broken, rival) = (format!("{good}oops = 1\n"), known("b", "10.1.2.0/24"));
    let cold = follow(&nobody, &none, &[("a.toml", &broken), ("b.toml", &rival)]);
    assert_eq!(shown(&cold), (Vec::new(), owned(&["-a", "-b"])));
    let first = follow(&nobody, &none, &[("b.toml", &rival)]).policy;
    let warm = follow(&first, &none, &[("a.toml", &broken), ("b.toml", &rival)]);
    assert_eq!(shown(&warm), (owned(&["b: x.example"]), owned(&["-a", "+b"])));
    assert_eq!(proven(&warm.policy, [10, 1, 2, 1], "main"), Some("b".into()));
    assert_ne!(warm.policy.hash(), cold.policy.hash());
}

#[test]
fn under_a_broken_floor_nobody_becomes_wider_and_whoever_narrows_may() {
    let good = floor("[[block]]\nhost = \"bad.example\"\n");
    let nobody = Policy::nobody(Guard::default());
    let source = format!("{}[[block]]\nhost = \"b.example\"\n", known("c", "10.3.0.0/16"));
    let files = [("a.toml", file("a", "x y")), ("b.toml", file("b", "x")), ("c.toml", source)];
    let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let first = follow(&nobody, &Binding::Read(Arc::clone(&good)), &files).policy;
    let (narrower, wider, new) = (file("a", "x"), file("b", "x y"), file("d", "x"));
    let last = Binding::Last(Arc::clone(&good));
    let next = follow(&first, &last, &[("a.toml", &narrower), ("b.toml", &wider), ("d.toml", &new)]);
    // `c` is gone; the network that proved it proves nobody else.
    assert_eq!(shown(&next), (owned(&["a: x.example", "b: x.example", "c: b.example"]), owned(&["+b", "-d"])));
    assert_eq!(*next.policy.floor(), *good);
    let words = next.broken[0].faults[0].to_string();
    assert!(words.starts_with("b.toml:1: found an [[allow]] rule that is new or changed, which is wider while the floor"), "{words}");
    let never = follow(&nobody, &Binding::Never, &files);
    assert_eq!(shown(&never), (Vec::new(), Vec::new()));
}

#[test]
fn a_floor_that_comes_binds_those_who_are_kept() {
    let nobody = Policy::nobody(Guard::default());
    let opaque = format!("{}[[allow]]\nhost = \"db.example\"\nopaque = true\n", file("a", "x"));
    let first = follow(&nobody, &Binding::Read(Arc::new(Floor::none())), &[("a.toml", &opaque)]).policy;
    let next = follow(&first, &Binding::Read(floor("forbid = [\"opaque\"]\n")), &[("a.toml", "agent = \"a\"\n?")]);
    assert_eq!(shown(&next), (owned(&["a: x.example"]), owned(&["+a"])));
}

#[test]
fn who_is_unchanged_is_not_made_anew() {
    let none = Binding::Read(Arc::new(Floor::none()));
    let nobody = Policy::nobody(Guard::default());
    let (a, b) = (file("a", "x"), file("b", "x"));
    let first = follow(&nobody, &none, &[("a.toml", &a), ("b.toml", &b)]).policy;
    let next = follow(&first, &none, &[("a.toml", &a), ("b.toml", &file("b", "y"))]).policy;
    let same = |one: &Policy, other: &Policy, agent: &str| std::ptr::eq(one.agent(&id(agent)).unwrap(), other.agent(&id(agent)).unwrap());
    assert_eq!((same(&first, &next, "a"), same(&first, &next, "b")), (true, false));
    let bound = follow(&first, &Binding::Read(floor("")), &[("a.toml", &a), ("b.toml", &b)]).policy;
    assert!(!same(&first, &bound, "a"));
}
