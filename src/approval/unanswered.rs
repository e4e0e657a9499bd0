//! Why an answer or a revocation has no effect, or less than was meant.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::answer::{LONGEST_NOTE, Lasting, MOST_NETWORKS, Reply};
use super::store::StoreError;
use crate::policy::address::AddressesFault;
use crate::policy::floor::Floor;

/// Why an answer had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Never asked, or long over.
    #[error("no question has that id; `exeat holds` lists them")]
    Unknown,
    /// Nobody answered in time.
    #[error("the question died unanswered; it is asked again when the agent tries again")]
    Died,
    /// The policy changed meanwhile.
    #[error("the question is not asked any more: the policy changed")]
    Withdrawn,
    /// A yes was given.
    #[error(
        "the question was answered yes already; `exeat approvals` lists what is in force; for other terms `exeat revoke ID`, and answer when it is asked again"
    )]
    Approved,
    /// A no was given, and a no wins.
    #[error("the question was answered no already; a no cannot be taken back, and the agent may ask again after hold.quiet_after_deny")]
    Denied,
    /// A no came after every use of the yes.
    #[error("the question was answered yes and the yes was used; revoke it to cut what is open")]
    Used,
    /// The duration is zero or longer than a year.
    #[error("a yes lasts longer than nothing and at most 366 days")]
    Duration,
    /// Too long, or not text of one line.
    #[error("a note is one line of at most {LONGEST_NOTE} characters")]
    Note,
    /// None, or too many.
    #[error("a yes names 1 to {MOST_NETWORKS} networks, or none to keep those of the question")]
    Networks,
    /// No rule could list it.
    #[error("{network} cannot be named: {why}")]
    Network {
        /// Which.
        network: IpNet,
        /// What is wrong with it.
        why: AddressesFault,
    },
    /// The floor gives no such yes.
    #[error(transparent)]
    Floor(#[from] BeyondFloor),
    /// The journal does not take it.
    #[error("the journal cannot be written, so the answer has no effect")]
    Unwritable,
    /// A no after a yes is the safe side: it took effect all the same.
    #[error("the yes is taken back, but the journal cannot be written and does not say so")]
    Unrecorded,
    /// One person's yes counts once.
    #[error("you said yes to it already: {} people have to, so somebody else has to say so as well", .of)]
    SaidAlready {
        /// How many.
        of: u8,
    },
    /// Two yeses that open nothing together.
    #[error("no address is in this yes and in the one before: name networks that overlap, or leave --address out")]
    NothingInCommon,
    /// Another process was quicker.
    #[error("the question was answered elsewhere already, so the answer has no effect")]
    Elsewhere,
    /// The store does not take a yes.
    #[error("{0}; so the answer has no effect")]
    Unkept(StoreError),
    /// The store does not take a no, which is the safe side: it took effect all the same.
    #[error("the no holds, and is lost with the end of exeat unless the store takes it by then, which is tried again: {0}")]
    Unlasting(StoreError),
}

/// Why the floor gives no such yes, and which it gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeyondFloor {
    /// A yes without end, or longer than `max_for`.
    #[error("{floor} lets no yes last {}; answer {}", asked.map_or_else(|| "without end".to_owned(), |asked| format!("{} s", asked.as_secs())), allowed(.longest))]
    Longer {
        /// The floor's file.
        floor: Arc<str>,
        /// How long was asked for; `None` without end.
        asked: Option<Duration>,
        /// Its `max_for`.
        longest: Option<Duration>,
    },
    /// A network that is not in `private`.
    #[error("{floor} opens no address in {network}: `private` there lists {}; leave --address out, or write one within them", listed(.private))]
    Outside {
        /// The floor's file.
        floor: Arc<str>,
        /// What was asked for.
        network: IpNet,
        /// What it lists.
        private: Vec<IpNet>,
    },
}

fn allowed(longest: &Option<Duration>) -> String {
    match longest {
        Some(longest) => format!("--once, or --for {} or less", spelled(*longest)),
        None => "--once, or --for DURATION".to_owned(),
    }
}

fn listed(private: &[IpNet]) -> String {
    let words: Vec<String> = private.iter().map(ToString::to_string).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// A duration as --for takes it.
fn spelled(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Refuses a yes that the floor would not have in force, or not as long as its words say.
pub(super) fn within_floor(floor: &Floor, reply: &Reply) -> Result<(), BeyondFloor> {
    let Reply::Yes { lasting, addresses } = reply else { return Ok(()) };
    let file = || Arc::clone(&floor.file);
    let longer = |asked| Err(BeyondFloor::Longer { floor: file(), asked, longest: floor.max_for });
    match lasting {
        Lasting::Once => {}
        Lasting::For(asked) if floor.max_for.is_some_and(|longest| *asked > longest) => return longer(Some(*asked)),
        Lasting::For(_) => {}
        Lasting::Always if floor.forbid.always || floor.max_for.is_some() => return longer(None),
        Lasting::Always => {}
    }
    match addresses.iter().flatten().find(|network| !floor.permits_network(network)) {
        None => Ok(()),
        Some(network) => {
            let private = floor.private.as_deref().unwrap_or_default().to_vec();
            Err(BeyondFloor::Outside { floor: file(), network: *network, private })
        }
    }
}

/// Why a revocation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// No approval goes by it.
    #[error("no approval has that id; `exeat approvals` lists them")]
    Unknown,
    /// More than one begins so.
    #[error("more than one approval begins with that id; write more of it")]
    Ambiguous,
    /// Taking back is the safe side: it took effect all the same.
    #[error("the approval is revoked, but the journal cannot be written and does not say so")]
    Unrecorded,
    /// The store does not take it, and brings the approval back unless it takes it later; until exeat ends it is gone all the same.
    #[error("the approval is revoked, and comes back with the next start unless the store takes it by then, which is tried again: {0}")]
    Unlasting(StoreError),
}
