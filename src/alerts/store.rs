//! The table `etl_alerts`. Its times are by the program's clock.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as};

use super::conditions::{Condition, Kind};
use super::decide::Open;
use crate::postgres::{OneLine, as_admin, as_loader};

/// The organisations of the database: number, and since when they are there, by slug.
pub async fn organizations(connection: &mut PgConnection) -> Result<BTreeMap<String, (i32, DateTime<Utc>)>> {
    let mut transaction = as_admin(connection).await?;
    let rows: Vec<(String, i32, DateTime<Utc>)> =
        query_as("select slug, id, created_at at time zone 'UTC' from organizations")
            .fetch_all(&mut *transaction)
            .await
            .one_line()
            .context("reading the organisations")?;
    Ok(rows.into_iter().map(|(slug, id, since)| (slug, (id, since))).collect())
}

/// The alerts that are open.
pub async fn open(connection: &mut PgConnection) -> Result<Vec<Open>> {
    type Row = (String, String, String, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>);
    let mut transaction = as_admin(connection).await?;
    let rows: Vec<Row> = query_as(
        "select slug, job, kind, since, opened_at, notified_at
         from etl_alerts join organizations on organizations.id = org_id
         where closed_at is null order by slug, job, kind",
    )
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the open alerts")?;
    let read = |(org, job, kind, since, opened_at, notified_at): Row| {
        Some(Open { org, job, kind: Kind::read(&kind)?, since, opened_at, notified_at })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Writes down that something was found.
pub async fn opened(
    connection: &mut PgConnection,
    org_id: i32,
    condition: &Condition,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut transaction = as_loader(connection, org_id).await?;
    query(
        "insert into etl_alerts (org_id, job, kind, since, opened_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
    )
    .bind(org_id)
    .bind(&condition.job)
    .bind(condition.kind.name())
    .bind(condition.since)
    .bind(now)
    .execute(&mut *transaction)
    .await
    .one_line()
    .context("writing an alert")?;
    transaction.commit().await.one_line().context("writing an alert")
}

/// Writes down that somebody was told of what is open, or that it is over.
pub async fn mark(
    connection: &mut PgConnection,
    org_id: i32,
    (job, kind): (&str, Kind),
    mark: Mark,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut transaction = as_loader(connection, org_id).await?;
    let statement = match mark {
        Mark::Notified => {
            "update etl_alerts set notified_at = $4 where org_id = $1 and job = $2 and kind = $3 and closed_at is null"
        }
        Mark::Closed => {
            "update etl_alerts set closed_at = $4 where org_id = $1 and job = $2 and kind = $3 and closed_at is null"
        }
    };
    query(statement)
        .bind(org_id)
        .bind(job)
        .bind(kind.name())
        .bind(now)
        .execute(&mut *transaction)
        .await
        .one_line()
        .context("writing an alert")?;
    transaction.commit().await.one_line().context("writing an alert")
}

/// What becomes of an open alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Notified,
    Closed,
}
