//! Approvers and freezes.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::super::{Approver, Freeze, Role, Whom};
use super::row;
use crate::policy::attempt::AgentId;
use crate::policy::token::TokenDigest;

pub(super) fn approvers(connection: &Connection) -> rusqlite::Result<Vec<Approver>> {
    let mut found = connection.prepare_cached("SELECT name, role, agents, digest, at, by FROM approvers ORDER BY name")?;
    let rows = found.query_map([], |row| {
        let agents: Option<String> = row.get(2)?;
        let agents: Option<Vec<String>> = agents.map(|text| row::from_json(&text, 2)).transpose()?;
        let parse = |names: Vec<String>| names.iter().map(|name| AgentId::parse(name)).collect::<Result<BTreeSet<_>, _>>();
        Ok(Approver {
            name: row.get(0)?,
            role: role(&row.get::<_, String>(1)?)?,
            agents: agents.map(parse).transpose().map_err(|_| row::unreadable(2, "agents"))?,
            digest: TokenDigest::parse(&row.get::<_, String>(3)?).map_err(|_| row::unreadable(3, "a digest"))?,
            at: row::time(row.get(4)?),
            by: row.get(5)?,
        })
    })?;
    rows.collect()
}

pub(super) fn add_approver(change: &Connection, approver: &Approver) -> rusqlite::Result<bool> {
    let Approver { name, role, agents, digest, at, by } = approver;
    let agents = agents.as_ref().map(|agents| row::json(&agents.iter().map(ToString::to_string).collect::<Vec<_>>())).transpose()?;
    let sql = "INSERT INTO approvers VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING";
    Ok(change.execute(sql, params![name, word(*role), agents, digest.to_string(), row::micros(*at), by])? == 1)
}

pub(super) fn remove_approver(change: &Connection, name: &str) -> rusqlite::Result<bool> {
    // What he said and others did not yet join counts no more.
    change.execute("DELETE FROM yeses WHERE approver = ?1", [name])?;
    Ok(change.execute("DELETE FROM approvers WHERE name = ?1", [name])? == 1)
}

pub(super) fn freezes(connection: &Connection) -> rusqlite::Result<Vec<Freeze>> {
    let mut found = connection.prepare_cached("SELECT whom, by, at, note FROM freezes ORDER BY whom")?;
    let rows = found.query_map([], |row| {
        let whom = match row.get::<_, String>(0)?.as_str() {
            Whom::EVERYONE => Whom::Everyone,
            name => Whom::Agent(AgentId::parse(name).map_err(|_| row::unreadable(0, "an agent"))?),
        };
        Ok(Freeze { whom, by: row.get(1)?, at: row::time(row.get(2)?), note: row.get(3)? })
    })?;
    rows.collect()
}

pub(super) fn freeze(change: &Connection, freeze: &Freeze) -> rusqlite::Result<bool> {
    let Freeze { whom, by, at, note } = freeze;
    let sql = "INSERT INTO freezes VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    Ok(change.execute(sql, params![whom.as_str(), by, row::micros(*at), note])? == 1)
}

pub(super) fn thaw(change: &Connection, whom: &Whom) -> rusqlite::Result<bool> {
    Ok(change.execute("DELETE FROM freezes WHERE whom = ?1", [whom.as_str()])? == 1)
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Approver => "approver",
        Role::Admin => "admin",
    }
}

fn role(word: &str) -> rusqlite::Result<Role> {
    match word {
        "viewer" => Ok(Role::Viewer),
        "approver" => Ok(Role::Approver),
        "admin" => Ok(Role::Admin),
        _ => Err(row::unreadable(1, "a role")),
    }
}
