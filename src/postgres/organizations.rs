//! The table `organizations`, kept in step with marts.toml.

use super::OneLine;
use anyhow::{Context, Result};
use chrono::NaiveDate;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, query_scalar};

/// What marts.toml says of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationRow {
    pub slug: String,
    pub name: String,
    /// IANA name.
    pub timezone: String,
    pub fiscal_year_start_month: i32,
    pub data_start_date: Option<NaiveDate>,
}

impl From<&crate::config::Org> for OrganizationRow {
    fn from(org: &crate::config::Org) -> Self {
        OrganizationRow {
            slug: org.slug.clone(),
            name: org.name.clone(),
            timezone: org.timezone.name().to_owned(),
            // 1 to 12, as the configuration has checked.
            fiscal_year_start_month: i32::try_from(org.fiscal_year_start_month).unwrap_or_default(),
            data_start_date: org.data_start_date,
        }
    }
}

pub(super) async fn sync(connection: &mut PgConnection, rows: &[OrganizationRow]) -> Result<Vec<i32>> {
    let mut transaction = connection.begin().await.one_line().context("keeping organizations in step")?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        let context = || format!("keeping organisation {} in step", row.slug);
        // Looking first spares the sequence, which an upsert would use up.
        let known: Option<i32> = query_scalar(
            "update organizations o set name = $2, timezone = $3, fiscal_year_start_month = $4, data_start_date = $5,
                 updated_at = case when (name, timezone, fiscal_year_start_month, data_start_date)
                     is distinct from ($2, $3, $4, $5) then current_timestamp at time zone 'UTC' else updated_at end
             where slug = $1 returning id",
        )
        .bind(&row.slug)
        .bind(&row.name)
        .bind(&row.timezone)
        .bind(row.fiscal_year_start_month)
        .bind(row.data_start_date)
        .fetch_optional(&mut *transaction)
        .await
        .one_line()
        .with_context(context)?;
        let id = match known {
            Some(id) => id,
            None => query_scalar(
                "insert into organizations (slug, name, timezone, fiscal_year_start_month, data_start_date)
                 values ($1, $2, $3, $4, $5)
                 on conflict (slug) do update set name = excluded.name returning id",
            )
            .bind(&row.slug)
            .bind(&row.name)
            .bind(&row.timezone)
            .bind(row.fiscal_year_start_month)
            .bind(row.data_start_date)
            .fetch_one(&mut *transaction)
            .await
            .one_line()
            .with_context(context)?,
        };
        ids.push(id);
    }
    transaction.commit().await.one_line().context("keeping organizations in step")?;
    Ok(ids)
}
