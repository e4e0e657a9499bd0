use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

type Sum = BTreeMap<(Date, AgentId, Arc<str>), u64>;

/// A ledger in memory that takes what it is told until it is told not to.
#[derive(Debug, Default)]
struct Book {
    full: AtomicBool,
    days: Mutex<Sum>,
}

impl Ledger for Book {
    fn spent(&self, day: Date) -> Result<Vec<Spent>, String> {
        let days = self.days.lock();
        let of_day = days.iter().filter(|((of, ..), _)| *of == day);
        Ok(of_day.map(|((_, agent, budget), bytes)| Spent { agent: agent.clone(), budget: Arc::clone(budget), bytes: *bytes }).collect())
    }

    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), String> {
        if self.full.load(Ordering::Relaxed) {
            return Err("full".to_owned());
        }
        let mut days = self.days.lock();
        for Spent { agent, budget, bytes } in spent {
            *days.entry((day, agent.clone(), Arc::clone(budget))).or_default() += bytes;
        }
        Ok(())
    }
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn day(number: i16) -> Date {
    Date::new(2026, 1, 1).unwrap().checked_add(i64::from(number).days()).unwrap()
}

fn bytes(by: LimitedBy, most: u64) -> (LimitedBy, Limits) {
    (by, Limits { bytes_per_day: Some(most), ..Limits::default() })
}

impl Drawing {
    fn take_on(&self, day: Date, wanted: u64) -> u64 {
        let mut sums = self.account.0.lock();
        sums.turn(day);
        sums.take(&self.keys, wanted)
    }
}

#[test]
fn what_passes_is_never_more_than_every_limit_lets() {
    let spending = Spending::default();
    let (a, b) = (agent("a"), agent("b"));
    let both = [bytes(LimitedBy::Floor, 100), bytes(LimitedBy::Agent, 60)];
    let (one, other) = (spending.drawing(&a, &both).unwrap(), spending.drawing(&a, &both[..1]).unwrap());
    assert_eq!((one.take(50), one.take(50), one.take(1)), (50, 10, 0), "the agent's own is the lower");
    assert_eq!((other.take(30), other.take(30)), (30, 10), "what is left of the floor's");
    let (by, most, free_in) = spending.lacks(&a, &both).unwrap();
    assert_eq!((by, most), (LimitedBy::Floor, 100));
    assert!(free_in <= Duration::from_secs(24 * 3600));
    assert_eq!(spending.lacks(&b, &both), None, "no other agent pays for it");
    assert!(spending.drawing(&a, &[(LimitedBy::Agent, Limits { open: Some(1), ..Limits::default() })]).is_none());
}

#[test]
fn a_limit_that_changes_binds_what_is_open() {
    let (spending, a) = (Spending::default(), agent("a"));
    let open = spending.drawing(&a, &[bytes(LimitedBy::Agent, 100)]).unwrap();
    assert_eq!(open.take(40), 40);
    spending.drawing(&a, &[bytes(LimitedBy::Agent, 30)]);
    assert_eq!(open.take(1), 0);
    spending.drawing(&a, &[bytes(LimitedBy::Agent, 50)]);
    assert_eq!(open.take(20), 10);
}

#[test]
fn a_new_day_begins_with_nothing_spent_while_tunnels_run_and_the_old_one_is_kept_as_its_own() {
    let (book, a) = (Arc::new(Book::default()), agent("a"));
    let spending = Spending::open_on(Arc::clone(&book) as _, day(0)).unwrap();
    spending.accounts.lock().insert(a.clone(), Arc::new(Account::on(day(0))));
    let open = spending.drawing(&a, &[bytes(LimitedBy::Agent, 100)]).unwrap();
    assert_eq!((open.take_on(day(0), 70), open.take_on(day(1), 70), open.take_on(day(0), 70)), (70, 70, 30), "a day never begins again");
    spending.keep();
    let kept: Vec<(Date, u64)> = book.days.lock().iter().map(|((day, ..), bytes)| (*day, *bytes)).collect();
    assert_eq!(kept, [(day(0), 70), (day(1), 100)]);
}

#[test]
fn midnight_is_that_of_utc() {
    for (now, left) in [("2026-03-01T00:00:00Z", 86_400), ("2026-03-01T23:59:59Z", 1), ("2026-12-31T12:00:00Z", 43_200)] {
        assert_eq!(until_midnight(now.parse::<Timestamp>().unwrap().into()), Duration::from_secs(left), "{now}");
    }
}

/// What may happen to what is spent.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take {
        agent: usize,
        limits: usize,
        wanted: u64,
    },
    Keep {
        full: bool,
    },
    NextDay,
    /// In order: what was spent is kept first.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_usize, 0..3_usize, 0..40_u64).prop_map(|(agent, limits, wanted)| Step::Take { agent, limits, wanted }),
        3 => any::<bool>().prop_map(|full| Step::Keep { full }),
        1 => Just(Step::NextDay),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn no_byte_is_lost_nor_counted_twice_and_no_limit_is_overrun(steps in proptest::collection::vec(step(), 1..80)) {
        let agents = [agent("a"), agent("b")];
        let limits = [
            vec![bytes(LimitedBy::Agent, 200)],
            vec![bytes(LimitedBy::Floor, 300), bytes(LimitedBy::Agent, 200)],
            vec![bytes(LimitedBy::Floor, 300)],
        ];
        let book = Arc::new(Book::default());
        let mut today = 0;
        let mut spending = Spending::open_on(Arc::clone(&book) as _, day(today)).unwrap();
        let mut model = Sum::new();
        for step in steps {
            match step {
                Step::Take { agent, limits: at, wanted } => {
                    let (who, limits) = (&agents[agent], &limits[at]);
                    spending.accounts.lock().entry(who.clone()).or_insert_with(|| Arc::new(Account::on(day(today))));
                    let taken = spending.drawing(who, limits).unwrap().take_on(day(today), wanted);
                    let entry = |by: &LimitedBy| (day(today), who.clone(), Arc::<str>::from(by.key()));
                    let left = limits.iter().map(|(by, limits)| {
                        limits.bytes_per_day.unwrap() - model.get(&entry(by)).copied().unwrap_or_default()
                    });
                    prop_assert_eq!(taken, left.min().unwrap().min(wanted));
                    for (by, _) in limits {
                        *model.entry(entry(by)).or_default() += taken;
                    }
                }
                Step::Keep { full } => {
                    book.full.store(full, Ordering::Relaxed);
                    spending.keep();
                    book.full.store(false, Ordering::Relaxed);
                }
                Step::NextDay => today += 1,
                Step::Restart => {
                    spending.keep();
                    spending = Spending::open_on(Arc::clone(&book) as _, day(today)).unwrap();
                }
            }
        }
        spending.keep();
        model.retain(|_, bytes| *bytes > 0);
        prop_assert_eq!(&*book.days.lock(), &model);
    }
}

#[test]
fn what_a_ledger_refuses_for_long_is_one_sum_and_not_one_for_each_time() {
    let book = Arc::new(Book::default());
    let spending = Spending::open(Arc::clone(&book) as Arc<dyn Ledger>).unwrap();
    let a = agent("a");
    let drawing = spending.drawing(&a, &[bytes(LimitedBy::Agent, 1_000_000)]).unwrap();
    book.full.store(true, Ordering::Relaxed);
    for _ in 0..1000 {
        assert_eq!(drawing.take(3), 3);
        spending.keep();
    }
    assert!(drawing.account.0.lock().late.len() <= 2, "a day may have begun meanwhile");
    book.full.store(false, Ordering::Relaxed);
    spending.keep();
    assert_eq!(book.days.lock().values().sum::<u64>(), 3000);
}
