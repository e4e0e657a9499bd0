//! What was spent on a day.

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::super::Spent;
use super::row;
use crate::policy::attempt::AgentId;

pub(super) fn spent(connection: &Connection, day: Date) -> rusqlite::Result<Vec<Spent>> {
    let mut found = connection.prepare_cached("SELECT agent, budget, bytes FROM spent WHERE day = ?1 ORDER BY agent, budget")?;
    let rows = found.query_map([day.to_string()], |row| {
        let agent = AgentId::parse(&row.get::<_, String>(0)?).map_err(|_| row::unreadable(0, "an agent"))?;
        Ok(Spent { agent, budget: row.get(1)?, bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default() })
    })?;
    rows.collect()
}

pub(super) fn spend(change: &Connection, day: Date, spent: &[Spent]) -> rusqlite::Result<()> {
    let mut add = change.prepare_cached(
        "INSERT INTO spent VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET bytes = min(bytes + excluded.bytes, 9007199254740991)",
    )?;
    for Spent { agent, budget, bytes } in spent {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX).min(1 << 53);
        add.execute(params![day.to_string(), agent.to_string(), budget, bytes])?;
    }
    let before = day.yesterday().unwrap_or(day);
    change.execute("DELETE FROM spent WHERE day < ?1", [before.to_string()]).map(drop)
}
