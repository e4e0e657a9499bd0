//! What one decision costs, at 10, 1,000 and 100,000 rules: exact, wildcard, mixed; and what loading them costs.
//!
//! `cargo bench --bench decide`. For instructions instead of seconds, which say more on a shared machine:
//! `valgrind --tool=callgrind --toggle-collect='*measured*' PROGRAM --exact-instructions RULES KIND`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up says so by ending")]
#![allow(missing_docs, clippy::allow_attributes, reason = "divan's macros make items without documentation")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::policy::approvals::Approvals;
use exeat::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Sight};
use exeat::policy::decide::Decision;
use exeat::policy::destination::Destination;

const SIZES: [usize; 3] = [10, 1_000, 100_000];
/// Attempts that hit, spread over all rules, so that caches help no more than they would in service; as many miss.
const SPREAD: usize = 512;
const KINDS: [Kind; 3] = [Kind::Exact, Kind::Wildcard, Kind::Mixed];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    Wildcard,
    Mixed,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rules, kind] = arguments.as_slice()
        && flag == "--exact-instructions"
    {
        let kind = KINDS.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(kind)).unwrap();
        let scene = Scene::new(rules.parse().unwrap(), kind);
        for _ in 0..100 {
            measured(&scene);
        }
        return;
    }
    divan::main();
}

/// Everything one decision needs, and attempts that hit and miss in turn.
struct Scene {
    policy: Policy,
    approvals: Approvals,
    attempts: Vec<Attempt>,
    now: SystemTime,
}

impl Scene {
    fn new(rules: usize, kind: Kind) -> Self {
        let (allowlist, _warnings) = Allowlist::parse("bench.toml", &text(rules, kind)).unwrap();
        let policy = Policy::new(vec![allowlist], Guard::default()).unwrap();
        let hits = (0..SPREAD).map(|at| host(at * rules / SPREAD, kind).replace('*', "x"));
        let misses = (0..SPREAD).map(|at| format!("www.elsewhere{at}.test"));
        let attempts = hits.zip(misses).flat_map(|(hit, miss)| [attempt(&hit), attempt(&miss)]).collect();
        Self { policy, approvals: Approvals::default(), attempts, now: SystemTime::now() }
    }

    fn decide(&self, attempt: &Attempt) -> Decision {
        self.policy.decide(black_box(attempt), &self.approvals, self.now)
    }
}

#[inline(never)]
fn measured(scene: &Scene) {
    for attempt in &scene.attempts {
        black_box(scene.decide(attempt));
    }
}

#[divan::bench(args = SIZES, consts = [0, 1, 2], sample_size = 2048)]
fn decide<const KIND: usize>(bencher: divan::Bencher<'_, '_>, rules: usize) {
    let scene = Scene::new(rules, KINDS[KIND]);
    let mut next = scene.attempts.iter().cycle();
    bencher.bench_local(|| scene.decide(next.next().unwrap()));
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn load(bencher: divan::Bencher<'_, '_>, rules: usize) {
    let text = text(rules, Kind::Mixed);
    bencher.bench_local(|| {
        let (allowlist, _warnings) = Allowlist::parse("bench.toml", &text).unwrap();
        Policy::new(vec![allowlist], Guard::default()).unwrap()
    });
}

fn text(rules: usize, kind: Kind) -> String {
    let mut text = String::from("agent = \"bench\"\n");
    for at in 0..rules {
        writeln!(text, "[[allow]]\nhost = \"{}\"", host(at, kind)).unwrap();
    }
    text
}

fn host(at: usize, kind: Kind) -> String {
    match (kind, at % 5) {
        (Kind::Exact, _) | (Kind::Mixed, 0..=2) => format!("api.host{at}.test"),
        (Kind::Wildcard, _) | (Kind::Mixed, 3) => format!("*.host{at}.test"),
        (Kind::Mixed, _) => format!("api-*.host{at}.test"),
    }
}

fn attempt(host: &str) -> Attempt {
    Attempt {
        id: AttemptId(uuid::Uuid::nil()),
        agent: AgentId::parse("bench").unwrap(),
        instance: Instance(Arc::from("10.0.0.1")),
        destination: Destination::parse(&format!("{host}:443")).unwrap(),
        scheme: None,
        sight: Sight::NotYet,
        within: None,
    }
}
