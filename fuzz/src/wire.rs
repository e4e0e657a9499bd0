//! What a head needs around it: bytes that arrive in given parts, and a gate that asks, records and lets nothing pass.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use exeat::egress::hold::{Asked, Claimed, Desk, HoldInfo};
use exeat::egress::record::{Ended, Outcome, Record, Recorder, Ruling, Unwritable};
use exeat::egress::{Company, Gate, GateSettings};
use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::policy::approvals::{ApprovalId, Approvals};
use exeat::policy::attempt::{Attempt, AttemptId};
use exeat::policy::decide::HoldTerms;
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

const FILE: &str = "agent = \"coder\"\nunlisted = \"hold\"\n[[identify]]\nlistener = \"main\"\n[[block]]\nhost = \"**.blocked.test\"\n";

/// A connection whose bytes arrive in these parts, one after the other, and that stays open then. What is written is dropped.
pub struct Parts {
    parts: VecDeque<Vec<u8>>,
    /// The next part has yet to arrive.
    between: bool,
}

impl Parts {
    pub fn new<const N: usize>(parts: [&[u8]; N]) -> Self {
        Self { parts: parts.iter().filter(|part| !part.is_empty()).map(|part| part.to_vec()).collect(), between: false }
    }
}

impl Read for Parts {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.between) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(part) = self.parts.front_mut() else { return Poll::Pending };
        let taken: Vec<u8> = part.drain(..part.len().min(buf.remaining())).collect();
        buf.put_slice(&taken);
        if part.is_empty() {
            self.parts.pop_front();
            self.between = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Parts {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A gate where everyone is the agent `coder`, nothing is listed, and nobody answers.
pub fn gate(ledger: &Arc<Ledger>) -> Arc<Gate> {
    let (allowlist, _warnings) = Allowlist::parse("coder.toml", FILE).expect("the file is good");
    let policy = Policy::new(vec![allowlist], Guard::default()).expect("one file contradicts no other");
    let (_, changed) = watch::channel(0);
    let company = Company {
        approvals: Arc::new(RwLock::new(Approvals::default())),
        desk: Arc::clone(ledger) as Arc<dyn Desk>,
        recorder: Arc::clone(ledger) as Arc<dyn Recorder>,
        changed,
    };
    let settings = GateSettings { hold_wait: Duration::from_secs(1), per_agent: 1, refusal_records: u32::MAX };
    Gate::new(Arc::new(ArcSwap::from_pointee(policy)), company, settings)
}

/// What was asked and recorded.
#[derive(Default)]
pub struct Ledger(Mutex<Counts>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    asked: usize,
    decided: usize,
    ended: usize,
}

impl Ledger {
    /// One decision and one end for each head, none of them an allow, and no question about what cannot be read.
    pub fn assert_refused(&self, heads: usize, readable: usize) {
        let Counts { asked, decided, ended } = *self.0.lock();
        assert_eq!((decided, ended), (heads, heads));
        assert!(asked <= readable, "{asked} questions for {readable} readable heads");
    }
}

impl Recorder for Ledger {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        let Record::Decided(decided) = record else { panic!("{record:?}") };
        assert_eq!(decided.decision, Ruling::Block, "{decided:?}");
        self.0.lock().decided += 1;
        Ok(())
    }

    fn settle(&self, ended: Ended) {
        assert_eq!(ended.outcome, Outcome::Refused, "{ended:?}");
        self.0.lock().ended += 1;
    }

    fn limit_hit(&self, limit: &'static str) {
        panic!("{limit} was hit");
    }

    fn decision_took(&self, _took: Duration) {}
    fn added(&self, _attempt: AttemptId, _decision: Ruling, _took: Duration) {}
}

impl Desk for Ledger {
    fn ask(self: Arc<Self>, _attempt: &Attempt, _terms: &HoldTerms) -> Asked {
        self.0.lock().asked += 1;
        Asked::Unattended(HoldInfo { id: "h".into(), expires_at: SystemTime::UNIX_EPOCH, opened: true })
    }

    fn leave(&self, hold: &str, _attempt: AttemptId) {
        panic!("nobody waits at {hold}");
    }

    fn claim(&self, approval: ApprovalId, _attempt: &Attempt, _now: SystemTime) -> Claimed {
        panic!("nobody said {approval:?}");
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().fmt(f)
    }
}
