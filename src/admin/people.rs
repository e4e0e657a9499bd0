//! The people who may use page and API: approvers by token, and sessions that a log-in link began.
//!
//! A token is looked up by its digest, so that no comparison takes longer the more of it is right. Nothing here keeps a token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::throttle::Throttle;
use crate::approval::store::{Approver, Role, Store, StoreError};
use crate::config::tokens::{Token, TokenError};
use crate::policy::token::TokenDigest;

/// How long a log-in link may be used.
pub const LINK: Duration = Duration::from_secs(60);

/// How long a session lives.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// Sessions, and links, at a time; one more ends the oldest.
const MOST: usize = 16;

/// The most people.
const PEOPLE: usize = 1000;

/// Who may use page and API.
#[derive(Debug)]
pub struct People {
    store: Arc<dyn Store>,
    known: RwLock<HashMap<TokenDigest, Caller>>,
    sessions: Mutex<Vec<Session>>,
    links: Mutex<Vec<(TokenDigest, Instant)>>,
    failures: Mutex<Throttle>,
}

#[derive(Debug)]
struct Session {
    digest: TokenDigest,
    caller: Caller,
    until: Instant,
}

/// A session that began.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) token: Token,
    pub(super) name: Arc<str>,
    pub(super) lasts: Duration,
}

impl People {
    /// Those the store knows.
    pub fn new(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let known = store.approvers()?.into_iter().map(|approver| (approver.digest, of(approver))).collect();
        let (sessions, links, failures) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { store, known: RwLock::new(known), sessions, links, failures })
    }

    /// Whose the token is.
    pub(super) fn find(&self, token: &str, now: Instant) -> Option<Caller> {
        // An agent's token is never looked up.
        if !Token::is_a_persons(token) {
            return None;
        }
        let digest = TokenDigest::of(token);
        if let Some(caller) = self.known.read().get(&digest) {
            return Some(caller.clone());
        }
        let mut sessions = self.sessions.lock();
        end(&mut sessions, now);
        sessions.iter().find(|session| session.digest == digest).map(|session| session.caller.clone())
    }

    /// Counts a wrong token or code; the error says after how long to try again.
    pub(super) fn failed(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        self.failures.lock().failed(from, now)
    }

    /// A code that begins one session, if it is used in time.
    pub fn link(&self, now: Instant) -> Result<Token, TokenError> {
        let code = Token::for_log_in()?;
        let mut links = self.links.lock();
        links.retain(|(_, until)| *until > now);
        if links.len() >= MOST {
            links.remove(0);
        }
        links.push((code.digest(), now + LINK));
        Ok(code)
    }

    /// Spends a code: a session of `name`, admin over all.
    pub(super) fn log_in(&self, code: &str, name: &str, now: Instant) -> Result<Option<Begun>, TokenError> {
        let digest = TokenDigest::of(code);
        let token = Token::for_session()?;
        {
            let mut links = self.links.lock();
            links.retain(|(_, until)| *until > now);
            let Some(at) = links.iter().position(|(link, _)| *link == digest) else { return Ok(None) };
            links.remove(at);
        }
        let name: Arc<str> = name.into();
        let caller = Caller { name: Arc::clone(&name), role: Role::Admin, agents: None, gone: CancellationToken::new(), by_token: true };
        let mut sessions = self.sessions.lock();
        end(&mut sessions, now);
        if sessions.len() >= MOST {
            sessions.remove(0).caller.gone.cancel();
        }
        sessions.push(Session { digest: token.digest(), caller, until: now + SESSION });
        Ok(Some(Begun { token, name, lasts: SESSION }))
    }

    /// Ends the session by which somebody is known. `false`: he is known by a token of his own.
    pub(super) fn log_out(&self, caller: &Caller) -> bool {
        let mut sessions = self.sessions.lock();
        // Each session has a name of its own, whatever it says.
        let Some(at) = sessions.iter().position(|session| Arc::ptr_eq(&session.caller.name, &caller.name)) else { return false };
        sessions.remove(at).caller.gone.cancel();
        true
    }

    /// Ends the sessions whose time has come. Requests find that out by themselves; streams are told.
    pub(super) fn end_sessions(&self, now: Instant) {
        end(&mut self.sessions.lock(), now);
    }

    /// All of them.
    pub(super) fn list(&self) -> Result<Vec<Approver>, StoreError> {
        self.store.approvers()
    }

    /// Whether there is room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.known.read().len() >= PEOPLE
    }

    /// Adds one. `false`: there is one of that name.
    pub(super) fn add(&self, approver: Approver) -> Result<bool, StoreError> {
        let mut known = self.known.write();
        let added = self.store.add_approver(&approver)?;
        if added {
            known.insert(approver.digest, of(approver));
        }
        Ok(added)
    }

    /// Removes one, whose token is worth nothing and whose streams end. `false`: there is none of that name.
    pub(super) fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let mut known = self.known.write();
        let removed = self.store.remove_approver(name)?;
        known.retain(|_, caller| {
            if caller.name.as_ref() == name {
                caller.gone.cancel();
            }
            caller.name.as_ref() != name
        });
        Ok(removed)
    }
}

/// The approver whose token has that digest.
pub(super) fn approver(
    named: (&str, Role),
    agents: Option<std::collections::BTreeSet<crate::policy::attempt::AgentId>>,
    by: &str,
) -> Result<(Approver, Token), TokenError> {
    let (name, role) = named;
    let token = Token::for_approver()?;
    let made = Approver { name: name.into(), role, agents, digest: token.digest(), at: SystemTime::now(), by: by.into() };
    Ok((made, token))
}

fn of(approver: Approver) -> Caller {
    let Approver { name, role, agents, digest: _, at: _, by: _ } = approver;
    Caller { name, role, agents, gone: CancellationToken::new(), by_token: true }
}

fn end(sessions: &mut Vec<Session>, now: Instant) {
    sessions.retain(|session| {
        if session.until <= now {
            session.caller.gone.cancel();
        }
        session.until > now
    });
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::approval::store::Sqlite;

    fn people() -> People {
        People::new(Arc::new(Sqlite::in_memory().unwrap())).unwrap()
    }

    #[test]
    fn a_link_begins_one_session_and_that_ends() {
        let (people, now) = (people(), Instant::now());
        let code = people.link(now).unwrap();
        assert!(people.log_in("exeat-login_0", "alice", now).unwrap().is_none());
        let begun = people.log_in(code.expose(), "alice", now).unwrap().unwrap();
        assert!(people.log_in(code.expose(), "alice", now).unwrap().is_none(), "used twice");
        let found = people.find(begun.token.expose(), now).unwrap();
        assert_eq!((found.name.as_ref(), found.role, found.agents), ("alice", Role::Admin, None));
        assert!(people.find(code.expose(), now).is_none(), "a code is no token");
        let late = people.link(now).unwrap();
        assert!(people.log_in(late.expose(), "alice", now + LINK).unwrap().is_none(), "too late");
        assert!(people.find(begun.token.expose(), now + SESSION).is_none());
        assert!(found.gone.is_cancelled());
    }

    #[test]
    fn who_logs_out_ends_that_session_and_no_other() {
        let (people, now) = (people(), Instant::now());
        let (made, token) = approver(("alice", Role::Admin), None, "root").unwrap();
        people.add(made).unwrap();
        let [one, other] = [(); 2].map(|()| people.log_in(people.link(now).unwrap().expose(), "alice", now).unwrap().unwrap().token);
        let found = people.find(one.expose(), now).unwrap();
        assert!(people.log_out(&found) && !people.log_out(&found));
        assert!(found.gone.is_cancelled() && people.find(one.expose(), now).is_none());
        assert!(people.find(other.expose(), now).is_some());
        let by_token = people.find(token.expose(), now).unwrap();
        assert!(!people.log_out(&by_token) && !by_token.gone.is_cancelled());
    }

    #[test]
    fn an_approver_is_known_by_his_token_until_he_is_removed() {
        let (people, now) = (people(), Instant::now());
        let (made, token) = approver(("bob", Role::Viewer), None, "alice").unwrap();
        assert!(people.add(made.clone()).unwrap());
        assert!(!people.add(made).unwrap());
        let found = people.find(token.expose(), now).unwrap();
        assert_eq!((found.name.as_ref(), found.role), ("bob", Role::Viewer));
        for wrong in ["", "exeat-approver_", &token.expose().replace("exeat-approver_", "exeat_"), &format!("{}0", token.expose())] {
            assert!(people.find(wrong, now).is_none(), "{wrong}");
        }
        assert!(people.remove("bob").unwrap());
        assert!(found.gone.is_cancelled() && people.find(token.expose(), now).is_none());
        assert!(!people.remove("bob").unwrap());
    }

    #[test]
    fn sessions_and_links_are_bounded() {
        let (people, now) = (people(), Instant::now());
        let first = people.link(now).unwrap();
        for _ in 0..MOST {
            people.link(now).unwrap();
        }
        assert!(people.log_in(first.expose(), "alice", now).unwrap().is_none(), "the oldest gave its place");
        let begun: Vec<_> = (0..=MOST).map(|_| people.log_in(people.link(now).unwrap().expose(), "alice", now).unwrap().unwrap()).collect();
        assert!(people.find(begun[0].token.expose(), now).is_none());
        assert!(people.find(begun[MOST].token.expose(), now).is_some());
    }
}
