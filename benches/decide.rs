//! What one decision costs, at 10, 1,000 and 100,000 rules: exact, wildcard, mixed, and about requests.
//!
//! `cargo bench --bench decide`. For instructions instead of seconds, which say more on a shared machine:
//! `valgrind --tool=callgrind --toggle-collect='*measured*' PROGRAM --exact-instructions RULES KIND`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up says so by ending")]
#![expect(unreachable_pub, reason = "what two benches share")]
#![allow(missing_docs, clippy::allow_attributes, reason = "divan's macros make items without documentation")]

mod rules;

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use exeat::policy::Policy;
use exeat::policy::approvals::Approvals;
use exeat::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Scheme, Seen, Sight};
use exeat::policy::decide::Decision;
use exeat::policy::destination::Destination;
use rules::{KINDS, Kind, SIZES, host, policy, text};

/// Attempts that hit, spread over all rules, so that caches help no more than they would in service; as many miss.
const SPREAD: usize = 512;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rules, kind] = arguments.as_slice()
        && flag == "--exact-instructions"
    {
        let scene = Scene::new(rules.parse().unwrap(), Kind::parse(kind).unwrap());
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
        let policy = policy(&text(rules, kind));
        let pair = |at: usize| {
            let hit = at * rules / SPREAD;
            [attempt(hit, &host(hit, kind).replace('*', "x"), kind), attempt(hit, &format!("www.elsewhere{at}.test"), kind)]
        };
        Self { policy, approvals: Approvals::default(), attempts: (0..SPREAD).flat_map(pair).collect(), now: SystemTime::now() }
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

#[divan::bench(args = cases(), sample_size = 2048)]
fn decide(bencher: divan::Bencher<'_, '_>, (kind, rules): (Kind, usize)) {
    let scene = Scene::new(rules, kind);
    let mut next = scene.attempts.iter().cycle();
    bencher.bench_local(|| scene.decide(next.next().unwrap()));
}

fn cases() -> impl Iterator<Item = (Kind, usize)> {
    KINDS.into_iter().flat_map(|kind| SIZES.map(|rules| (kind, rules)))
}

fn attempt(at: usize, host: &str, kind: Kind) -> Attempt {
    let (port, scheme, sight) = match kind {
        Kind::Exact | Kind::Wildcard | Kind::Mixed => (443, None, Sight::NotYet),
        Kind::Request => (80, Some(Scheme::Http), Sight::Seen(Seen::bare("GET", &format!("/repos/acme{at}/x/pulls"), None).into())),
    };
    Attempt {
        id: AttemptId(uuid::Uuid::nil()),
        agent: AgentId::parse("bench").unwrap(),
        instance: Instance(Arc::from("10.0.0.1")),
        destination: Destination::parse(&format!("{host}:{port}")).unwrap(),
        scheme,
        sight,
        within: None,
        proven: true,
    }
}
