//! One run at a time per mart and organisation.

use std::fmt;

use super::OneLine;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as, query_scalar};

/// The answer to asking for a lock.
#[derive(Debug)]
pub enum Locked {
    Taken,
    HeldBy(Holder),
}

/// Who holds a lock. A field is none when the server does not let this user see it.
#[derive(Debug, Default, FromRow)]
pub struct Holder {
    pub application_name: Option<String>,
    pub pid: Option<i32>,
    /// When its connection began.
    pub since: Option<DateTime<Utc>>,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.application_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("another client"))?;
        if let Some(pid) = self.pid {
            write!(out, " (server process {pid}")?;
            if let Some(since) = self.since {
                write!(out, ", connected since {}", since.format("%Y-%m-%dT%H:%M:%SZ"))?;
            }
            out.write_str(")")?;
        }
        Ok(())
    }
}

/// Waits until nobody else is taking locks of an organisation; until the transaction ends nobody else will.
pub(super) async fn stand_in_line(connection: &mut PgConnection, org_id: i32) -> Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtext('marts'), $1)")
        .bind(org_id)
        .execute(connection)
        .await
        .one_line()
        .context("waiting for another run that locks its marts")?;
    Ok(())
}

/// The lock lasts until it is released or the session ends: no transaction needs to stay open for it.
pub(super) async fn take(connection: &mut PgConnection, mart: &str, org_id: i32) -> Result<Locked> {
    let context = || format!("locking {mart}");
    let taken: bool = query_scalar("select pg_try_advisory_lock(hashtext('marts.' || $1), $2)")
        .bind(mart)
        .bind(org_id)
        .fetch_one(&mut *connection)
        .await
        .one_line()
        .with_context(context)?;
    if taken {
        return Ok(Locked::Taken);
    }
    let holder: Option<Holder> = query_as(
        "select activity.application_name, locks.pid, activity.backend_start as since
         from pg_locks locks
         join pg_database on pg_database.oid = locks.database and datname = current_database()
         left join pg_stat_activity activity on activity.pid = locks.pid
         where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 2
           and locks.classid::bigint::bit(32)::integer = hashtext('marts.' || $1)
           and locks.objid::bigint::bit(32)::integer = $2",
    )
    .bind(mart)
    .bind(org_id)
    .fetch_optional(&mut *connection)
    .await
    .one_line()
    .with_context(context)?;
    Ok(Locked::HeldBy(holder.unwrap_or_default()))
}

pub(super) async fn release(connection: &mut PgConnection, mart: &str, org_id: i32) -> Result<()> {
    sqlx::query("select pg_advisory_unlock(hashtext('marts.' || $1), $2)")
        .bind(mart)
        .bind(org_id)
        .execute(connection)
        .await
        .one_line()
        .with_context(|| format!("unlocking {mart}"))?;
    Ok(())
}
