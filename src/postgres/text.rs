//! Statements as a person types them, answers as text.

use super::OneLine;
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Either, Row, TypeInfo, ValueRef};

/// What one statement answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Empty when the statement returns no rows.
    pub columns: Vec<String>,
    /// Whether a column holds numbers.
    pub numeric: Vec<bool>,
    /// None is null.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows returned or touched.
    pub affected: u64,
}

pub(super) async fn execute(connection: &mut PgConnection, sql: &str) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut current = Answer::default();
    // The simple protocol: several statements at once, and every value as the server prints it.
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    while let Some(item) = stream.try_next().await.one_line().context("postgres refuses the statement")? {
        match item {
            Either::Left(done) => {
                current.affected = done.rows_affected();
                answers.push(std::mem::take(&mut current));
            }
            Either::Right(row) => {
                if current.columns.is_empty() {
                    current.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
                    let is_number = |name| matches!(name, "INT2" | "INT4" | "INT8" | "NUMERIC" | "FLOAT4" | "FLOAT8");
                    current.numeric = row.columns().iter().map(|column| is_number(column.type_info().name())).collect();
                }
                let mut values = Vec::with_capacity(row.len());
                for index in 0..row.len() {
                    let value = row.try_get_raw(index).context("reading a value")?;
                    values.push(if value.is_null() {
                        None
                    } else {
                        Some(value.as_str().map_err(anyhow::Error::from_boxed).context("reading a value")?.to_owned())
                    });
                }
                current.rows.push(values);
            }
        }
    }
    Ok(answers)
}
