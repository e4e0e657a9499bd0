//! Between rows and the values they stand for. A row that reads as nothing exeat writes is an error, never a guess.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::types::Type;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::approval::Closing;
use crate::policy::address::Addresses;
use crate::policy::approvals::{Asking, Subject};
use crate::policy::attempt::{AgentId, Instance, RequestLine, Scheme};
use crate::policy::decide::HoldTerms;
use crate::policy::destination::{Destination, Port};
use crate::policy::host::Host;
use crate::policy::rule::RuleRef;

/// A subject in its seven columns.
pub(super) struct Columns {
    pub(super) agent: String,
    pub(super) instance: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) scheme: &'static str,
    pub(super) method: String,
    pub(super) path: String,
}

impl Columns {
    pub(super) fn of(subject: &Subject) -> Self {
        let Subject { agent, instance, destination, scheme, request } = subject;
        let (method, path) =
            request.as_ref().map_or((String::new(), String::new()), |RequestLine { method, path }| (method.to_string(), path.to_string()));
        let (host, port) = place(destination);
        let scheme = scheme.map_or("", Scheme::as_str);
        Self { agent: agent.to_string(), instance: instance.to_string(), host, port, scheme, method, path }
    }
}

/// A destination in its two columns.
pub(super) fn place(destination: &Destination) -> (String, u16) {
    let host = match &destination.host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.as_str().to_owned(),
    };
    (host, destination.port.number())
}

/// Reads a subject from the columns from `at` on.
pub(super) fn subject(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Subject> {
    let agent = AgentId::parse(&row.get::<_, String>(at)?).map_err(|_| unreadable(at, "an agent"))?;
    let instance = Instance(row.get::<_, Arc<str>>(at + 1)?);
    let host: String = row.get(at + 2)?;
    let host = match host.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::parse(&host).map_err(|_| unreadable(at + 2, "a host"))?,
    };
    let port = row.get::<_, u16>(at + 3)?.try_into().map(Port).map_err(|_| unreadable(at + 3, "a port"))?;
    let scheme = match row.get::<_, String>(at + 4)?.as_str() {
        "" => None,
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => return Err(unreadable(at + 4, "a scheme")),
    };
    let (method, path): (Arc<str>, Arc<str>) = (row.get(at + 5)?, row.get(at + 6)?);
    let request = (!method.is_empty()).then_some(RequestLine { method, path });
    Ok(Subject { agent, instance, destination: Destination { host, port }, scheme, request })
}

/// The terms of a question, as kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Terms {
    rule: Option<(Arc<str>, u32)>,
    note: Option<Arc<str>>,
    addresses: Vec<String>,
    this_request: bool,
}

impl Terms {
    pub(super) fn of(terms: &HoldTerms) -> Self {
        let HoldTerms { rule, note, addresses, asking } = terms;
        let rule = rule.as_ref().map(|RuleRef { file, line }| (Arc::clone(file), *line));
        Self { rule, note: note.clone(), addresses: spelt(addresses), this_request: *asking == Asking::ThisRequest }
    }

    pub(super) fn read(self, at: usize) -> rusqlite::Result<HoldTerms> {
        let Self { rule, note, addresses, this_request } = self;
        let asking = if this_request { Asking::ThisRequest } else { Asking::EveryRequest };
        let rule = rule.map(|(file, line)| RuleRef { file, line });
        Ok(HoldTerms { rule, note, addresses: read_addresses(&addresses, at)?, asking })
    }
}

pub(super) fn spelt(addresses: &Addresses) -> Vec<String> {
    let Addresses { public, networks } = addresses;
    public.then(|| "public".to_owned()).into_iter().chain(networks.iter().map(ToString::to_string)).collect()
}

pub(super) fn read_addresses(entries: &[String], at: usize) -> rusqlite::Result<Arc<Addresses>> {
    let mut addresses = Addresses::none();
    entries.iter().try_for_each(|entry| addresses.add(entry)).map_err(|_| unreadable(at, "addresses"))?;
    Ok(Arc::new(addresses))
}

pub(super) fn closing(word: &str, at: usize) -> rusqlite::Result<Option<Closing>> {
    match word {
        "pending" => Ok(None),
        "approved" => Ok(Some(Closing::Approved)),
        "denied" => Ok(Some(Closing::Denied)),
        "expired" => Ok(Some(Closing::Expired)),
        "withdrawn" => Ok(Some(Closing::Withdrawn)),
        _ => Err(unreadable(at, "a state of a question")),
    }
}

pub(super) fn word(how: Closing) -> &'static str {
    match how {
        Closing::Approved => "approved",
        Closing::Denied => "denied",
        Closing::Expired => "expired",
        Closing::Withdrawn => "withdrawn",
    }
}

/// Microseconds since 1970. What does not fit becomes the nearest end.
pub(super) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

pub(super) fn time(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str, at: usize) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|_| unreadable(at, "JSON of exeat"))
}

pub(super) fn unreadable(at: usize, wanted: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, format!("wanted {wanted}").into())
}
