//! The lock of a mart of an organisation: a session-level advisory lock, which a process that dies gives back.

use std::fmt;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Who holds a lock.
#[derive(Debug, Clone)]
pub struct Holder {
    /// As it calls itself.
    pub application_name: String,
    /// The server's process for it.
    pub pid: i32,
    /// Since when it is connected.
    pub since: Option<DateTime<Utc>>,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, Postgres session {}", self.application_name, self.pid)?;
        match self.since {
            Some(since) => write!(out, ", connected since {}", since.format("%Y-%m-%d %H:%M:%SZ")),
            None => Ok(()),
        }
    }
}

/// The number of a lock. It is hashed by the server, so that every client agrees.
pub(super) async fn key(connection: &mut PgConnection, mart: &str, org_id: i32) -> Result<i64> {
    let (key,): (i64,) =
        sqlx::query_as("select hashtextextended('marts ' || current_schema() || ' ' || $1 || ' ' || $2::text, 0)")
            .bind(mart)
            .bind(org_id)
            .fetch_one(connection)
            .await?;
    Ok(key)
}

pub(super) async fn take(connection: &mut PgConnection, key: i64) -> Result<Option<Holder>> {
    let (taken,): (bool,) =
        sqlx::query_as("select pg_try_advisory_lock($1)").bind(key).fetch_one(&mut *connection).await?;
    if taken {
        return Ok(None);
    }
    // An advisory lock on a 64-bit key shows its halves as classid and objid, and objsubid 1.
    let holder: Option<(Option<String>, i32, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select sessions.application_name, locks.pid, sessions.backend_start
        from pg_locks as locks
        left join pg_stat_activity as sessions on sessions.pid = locks.pid
        where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
            and locks.database = (select oid from pg_database where datname = current_database())
            and ((locks.classid::bigint << 32) | locks.objid::bigint) = $1",
    )
    .bind(key)
    .fetch_optional(&mut *connection)
    .await?;
    let (application_name, pid, since) = holder.unwrap_or_default();
    let application_name = application_name.filter(|name| !name.is_empty()).unwrap_or_else(|| "another session".into());
    Ok(Some(Holder { application_name, pid, since }))
}

/// Takes a lock again that was lost with its connection.
pub(super) async fn retake(connection: &mut PgConnection, key: i64) -> Result<()> {
    match take(connection, key).await? {
        None => Ok(()),
        Some(holder) => bail!("the connection was lost, and with it a lock that now {holder} holds"),
    }
}

pub(super) async fn release(connection: &mut PgConnection, key: i64) -> Result<()> {
    sqlx::query("select pg_advisory_unlock($1)").bind(key).execute(connection).await?;
    Ok(())
}
