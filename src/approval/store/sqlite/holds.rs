//! Questions, approvals and the echo of a no.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::super::Kept;
use super::row::{self, Columns, Terms};
use crate::approval::Closing;
use crate::approval::Lasting;
use crate::approval::holds::{Question, Yes};
use crate::policy::approvals::{Approval, ApprovalId, Echo, ONCE_WITHIN, Scope, Subject};
use crate::policy::attempt::{AgentId, RequestLine};
use crate::policy::destination::Destination;

pub(super) fn kept(change: &Connection, now: SystemTime) -> rusqlite::Result<Kept> {
    let now_micros = row::micros(now);
    change.execute("UPDATE holds SET state = 'expired', closed_at = dies_at WHERE state = 'pending' AND dies_at <= ?1", [now_micros])?;
    change.execute("DELETE FROM silences WHERE until <= ?1", [now_micros])?;
    // Whoever held a claim on a `once` is gone with the process.
    let within = i64::try_from(ONCE_WITHIN.as_micros()).unwrap_or(i64::MAX);
    change.execute(
        "UPDATE approvals SET ended_at = ?1 WHERE ended_at IS NULL AND (until <= ?1 OR scope = 'once' AND (used > 0 OR at + ?2 <= ?1))",
        [now_micros, within],
    )?;
    let mut kept = Kept::default();
    let mut questions = change.prepare(
        "SELECT id, agent, instance, host, port, scheme, method, path, first, terms, first_time, opened_at, dies_at \
         FROM holds WHERE state = 'pending' ORDER BY opened_at DESC",
    )?;
    for found in questions.query_map([], question)? {
        let mut question = found?;
        question.yeses = yeses(change, &question.id)?;
        kept.questions.push(question);
    }
    let mut approvals = change.prepare(
        "SELECT hold, id, agent, instance, host, port, scheme, method, path, scope, until, addresses, approver, at, note \
         FROM approvals WHERE ended_at IS NULL",
    )?;
    for found in approvals.query_map([], approval)? {
        kept.approvals.push(found?);
    }
    let mut silences = change.prepare("SELECT agent, instance, host, port, scheme, method, path, until, note FROM silences")?;
    for found in silences.query_map([], |row| Ok((row::subject(row, 0)?, Echo { until: row::time(row.get(7)?), note: row.get(8)? })))? {
        kept.silences.push(found?);
    }
    Ok(kept)
}

fn question(row: &Row<'_>) -> rusqlite::Result<Question> {
    let first: Option<String> = row.get(8)?;
    let request: Option<RequestLine> = first.map(|text| row::from_json(&text, 8)).transpose()?;
    let terms = row::from_json::<Terms>(&row.get::<_, String>(9)?, 9)?.read(9)?;
    let times = [row::time(row.get(11)?), row::time(row.get(12)?)];
    Ok(Question::kept(row.get::<_, Arc<str>>(0)?, row::subject(row, 1)?, request, terms, (row.get(10)?, times)))
}

fn approval(row: &Row<'_>) -> rusqlite::Result<(Arc<str>, Approval)> {
    let id = Uuid::parse_str(&row.get::<_, String>(1)?).map_err(|_| row::unreadable(1, "an id"))?;
    let at = row::time(row.get(13)?);
    let until: Option<i64> = row.get(10)?;
    let scope = match (row.get::<_, String>(9)?.as_str(), until) {
        ("once", _) => Scope::Once { waiting: BTreeSet::new(), next_until: Some(at + ONCE_WITHIN) },
        ("for", Some(until)) => Scope::For { until: row::time(until) },
        ("always", None) => Scope::Always,
        _ => return Err(row::unreadable(9, "a scope")),
    };
    let addresses = row::read_addresses(&row::from_json::<Vec<String>>(&row.get::<_, String>(11)?, 11)?, 11)?;
    let approval = Approval {
        id: ApprovalId(id),
        subject: row::subject(row, 2)?,
        scope,
        addresses,
        approver: row.get(12)?,
        at,
        note: row.get(14)?,
        claimed: BTreeSet::new(),
    };
    Ok((row.get(0)?, approval))
}

pub(super) fn open(change: &Connection, question: &Question) -> rusqlite::Result<()> {
    let Columns { agent, instance, host, port, scheme, method, path } = Columns::of(&question.subject);
    let first = question.request.as_ref().map(row::json).transpose()?;
    let terms = row::json(&Terms::of(&question.terms))?;
    change
        .prepare_cached(
            "INSERT INTO holds (id, agent, instance, host, port, scheme, method, path, first, terms, first_time, opened_at, dies_at, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 'pending')",
        )?
        .execute(params![
            question.id,
            agent,
            instance,
            host,
            port,
            scheme,
            method,
            path,
            first,
            terms,
            question.first_time,
            row::micros(question.opened_at),
            row::micros(question.dies_at)
        ])
        .map(drop)
}

/// The yeses to a question that needs more of them, the first first.
fn yeses(change: &Connection, hold: &str) -> rusqlite::Result<Vec<Yes>> {
    let mut found = change.prepare_cached("SELECT approver, scope, seconds, addresses, note FROM yeses WHERE hold = ?1 ORDER BY at")?;
    let rows = found.query_map([hold], |row| {
        let lasting = match (row.get::<_, String>(1)?.as_str(), row.get::<_, Option<u32>>(2)?) {
            ("once", None) => Lasting::Once,
            ("for", Some(seconds)) => Lasting::For(Duration::from_secs(seconds.into())),
            ("always", None) => Lasting::Always,
            _ => return Err(row::unreadable(1, "a scope")),
        };
        let addresses = row::read_addresses(&row::from_json::<Vec<String>>(&row.get::<_, String>(3)?, 3)?, 3)?;
        Ok(Yes { approver: row.get(0)?, lasting, addresses, note: row.get(4)? })
    })?;
    rows.collect()
}

pub(super) fn agree(change: &Connection, hold: &str, yes: &Yes, at: SystemTime) -> rusqlite::Result<bool> {
    let Yes { approver, lasting, addresses, note } = yes;
    let (word, seconds) = match lasting {
        Lasting::Once => ("once", None),
        Lasting::For(duration) => ("for", Some(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))),
        Lasting::Always => ("always", None),
    };
    let sql = "INSERT INTO yeses (hold, approver, scope, seconds, addresses, note, at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 \
               WHERE EXISTS (SELECT 1 FROM holds WHERE id = ?1 AND state = 'pending') ON CONFLICT DO NOTHING";
    let addresses = row::json(&row::spelt(addresses))?;
    Ok(change.prepare_cached(sql)?.execute(params![hold, approver, word, seconds, addresses, note, row::micros(at)])? == 1)
}

pub(super) fn extend(change: &Connection, hold: &str, dies_at: SystemTime) -> rusqlite::Result<()> {
    let sql = "UPDATE holds SET dies_at = max(dies_at, ?2) WHERE id = ?1 AND state = 'pending'";
    change.prepare_cached(sql)?.execute(params![hold, row::micros(dies_at)]).map(drop)
}

pub(super) fn close(change: &Connection, hold: &str, how: Closing, at: SystemTime) -> rusqlite::Result<bool> {
    let sql = "UPDATE holds SET state = ?2, closed_at = ?3 WHERE id = ?1 AND state = 'pending'";
    Ok(change.prepare_cached(sql)?.execute(params![hold, row::word(how), row::micros(at)])? == 1)
}

pub(super) fn approve(change: &Connection, hold: &str, approval: &Approval) -> rusqlite::Result<bool> {
    if !close(change, hold, Closing::Approved, approval.at)? {
        return Ok(false);
    }
    let Columns { agent, instance, host, port, scheme, method, path } = Columns::of(&approval.subject);
    let (word, until, uses) = match &approval.scope {
        Scope::Once { waiting, next_until: _ } => ("once", None, i64::try_from(waiting.len().max(1)).unwrap_or(i64::MAX)),
        Scope::For { until } => ("for", Some(row::micros(*until)), 0),
        Scope::Always => ("always", None, 0),
    };
    change
        .prepare_cached(
            "INSERT INTO approvals \
             (id, hold, agent, instance, host, port, scheme, method, path, scope, until, addresses, approver, at, note, uses, used) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 0)",
        )?
        .execute(params![
            approval.id.0.to_string(),
            hold,
            agent,
            instance,
            host,
            port,
            scheme,
            method,
            path,
            word,
            until,
            row::json(&row::spelt(&approval.addresses))?,
            approval.approver,
            row::micros(approval.at),
            approval.note,
            uses
        ])?;
    Ok(true)
}

pub(super) fn deny(change: &Connection, hold: &str, subject: &Subject, (at, echo): (SystemTime, &Echo)) -> rusqlite::Result<bool> {
    let sql = "UPDATE holds SET state = 'denied', closed_at = ?2 WHERE id = ?1 AND state IN ('pending', 'approved')";
    if change.prepare_cached(sql)?.execute(params![hold, row::micros(at)])? == 0 {
        return Ok(false);
    }
    change
        .prepare_cached("UPDATE approvals SET ended_at = ?2 WHERE hold = ?1 AND ended_at IS NULL")?
        .execute(params![hold, row::micros(at)])?;
    let Columns { agent, instance, host, port, scheme, method, path } = Columns::of(subject);
    change
        .prepare_cached(
            "INSERT INTO silences VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT DO UPDATE SET until = max(until, excluded.until), note = excluded.note",
        )?
        .execute(params![agent, instance, host, port, scheme, method, path, row::micros(echo.until), echo.note])?;
    Ok(true)
}

pub(super) fn claim(change: &Connection, approval: ApprovalId) -> rusqlite::Result<bool> {
    let sql = "UPDATE approvals SET used = used + 1 WHERE id = ?1 AND ended_at IS NULL AND (scope <> 'once' OR used < uses)";
    Ok(change.prepare_cached(sql)?.execute([approval.0.to_string()])? == 1)
}

pub(super) fn end(change: &Connection, approval: ApprovalId, at: SystemTime) -> rusqlite::Result<bool> {
    let sql = "UPDATE approvals SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL";
    Ok(change.prepare_cached(sql)?.execute(params![approval.0.to_string(), row::micros(at)])? == 1)
}

pub(super) fn fate(connection: &Connection, hold: &str) -> rusqlite::Result<Option<Option<Closing>>> {
    let found: Option<String> =
        connection.prepare_cached("SELECT state FROM holds WHERE id = ?1")?.query_row([hold], |row| row.get(0)).optional()?;
    found.map(|word| row::closing(&word, 0)).transpose()
}

pub(super) fn asked_before(connection: &Connection, agent: &AgentId, destination: &Destination) -> rusqlite::Result<bool> {
    let (host, port) = row::place(destination);
    let sql = "SELECT 1 FROM holds WHERE agent = ?1 AND host = ?2 AND port = ?3 LIMIT 1";
    connection.prepare_cached(sql)?.exists(params![agent.to_string(), host, port])
}

pub(super) fn forget(change: &Connection, before: SystemTime) -> rusqlite::Result<usize> {
    let before = row::micros(before);
    let within = i64::try_from(ONCE_WITHIN.as_micros()).unwrap_or(i64::MAX);
    // What ends by itself is not written down when it does.
    change.execute(
        "UPDATE approvals SET ended_at = coalesce(until, at + ?2) \
         WHERE ended_at IS NULL AND (until < ?1 OR scope = 'once' AND at + ?2 < ?1)",
        [before, within],
    )?;
    change.execute("DELETE FROM silences WHERE until < ?1", [before])?;
    let approvals = change.execute("DELETE FROM approvals WHERE ended_at < ?1", [before])?;
    let holds = change.execute(
        "DELETE FROM holds WHERE closed_at < ?1 AND NOT EXISTS (SELECT 1 FROM approvals WHERE approvals.hold = holds.id)",
        [before],
    )?;
    change
        .execute("DELETE FROM yeses WHERE NOT EXISTS (SELECT 1 FROM holds WHERE holds.id = yeses.hold AND holds.state = 'pending')", [])?;
    Ok(approvals + holds)
}
