//! One statement and its answer as text, for `marts postgres`.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Column as _, Executor as _, PgConnection, Row as _, TypeInfo as _, ValueRef as _};

/// An answer as Postgres writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub columns: Vec<String>,
    /// Whether a column holds numbers.
    pub numeric: Vec<bool>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that a statement without an answer touched.
    pub affected: u64,
}

/// Runs SQL as it is written, and returns the rows of its last answer.
///
/// # Errors
/// Postgres' own words.
pub async fn execute(connection: &mut PgConnection, sql: &str) -> Result<Answer> {
    use futures_util::TryStreamExt as _;
    let mut answer = Answer::default();
    // The simple protocol answers in text, whatever the type.
    let mut stream = (&mut *connection).fetch_many(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())));
    while let Some(step) = stream.try_next().await.map_err(plain)? {
        match step {
            sqlx::Either::Left(done) => answer.affected += done.rows_affected(),
            sqlx::Either::Right(row) => {
                if answer.columns.is_empty() {
                    answer.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
                    let is_number =
                        |name: &str| matches!(name, "INT2" | "INT4" | "INT8" | "NUMERIC" | "FLOAT4" | "FLOAT8");
                    answer.numeric = row.columns().iter().map(|column| is_number(column.type_info().name())).collect();
                }
                let cell = |at: usize| -> Result<Option<String>> {
                    let value = row.try_get_raw(at)?;
                    if value.is_null() {
                        return Ok(None);
                    }
                    Ok(Some(value.as_str().map_err(|error| anyhow::anyhow!(error))?.to_owned()))
                };
                let cells = (0..row.len()).map(cell).collect::<Result<_>>().context("reading the answer")?;
                answer.rows.push(cells);
            }
        }
    }
    Ok(answer)
}

fn plain(error: sqlx::Error) -> anyhow::Error {
    match error {
        sqlx::Error::Database(error) => anyhow::anyhow!("{}", error.message()),
        error => anyhow::anyhow!(error),
    }
}
