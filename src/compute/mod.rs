//! DuckDB: one organisation's winning pulls as views, one SELECT, a mart's rows.
//!
//! A connection lives for one job of one organisation. It can read that organisation's files and nothing else, loads no
//! extension, and never sees `org_id`, so that no query can cross tenants.

mod prelude;
mod pulls;
mod query;
mod schema;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use chrono::NaiveDate;
use duckdb::{Config as Flags, Connection};

use crate::config::{Config, Limits, Org};
use crate::jobs::{Job, Source};
use crate::run::Plan;
use crate::staging::Staging;

pub use prelude::Fingerprint;
pub(crate) use prelude::{literal, path_text, pattern};
pub use pulls::Pulls;
pub use query::{Answer, cell, check_select, query};
pub use schema::{BOOKKEEPING, MartColumn, MartKind, mart_columns, mart_comment, mart_schema};

/// What a computation is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub config: &'a Config,
    pub org: &'a Org,
    /// The job, the source it is filled from and the periods.
    pub plan: &'a Plan,
    pub pulls: &'a Pulls,
    /// The last local day that the run reports.
    pub as_of: NaiveDate,
}

/// A DuckDB connection that holds one organisation's data for one job.
pub struct Compute {
    connection: Connection,
    job: &'static Job,
    source: &'static Source,
}

impl Compute {
    /// Opens a connection with a view for each dataset that the job reads, the relations that sql/README.md lists, the
    /// macros of `sql/macros.sql`, and the relations of `sql/shared` whose datasets the job reads.
    ///
    /// # Errors
    /// A dataset that the job reads and of which there is no pull at all.
    pub fn open(inputs: &Inputs<'_>) -> Result<Self> {
        let files = prelude::files(inputs)?;
        Self::prepare(inputs, &files, &prelude::prelude(inputs)?)
    }

    /// The same without data: every dataset is empty, whatever is staged. For checking SQL.
    pub fn dry(inputs: &Inputs<'_>) -> Result<Self> {
        Self::prepare(inputs, &[], &prelude::dry(inputs)?)
    }

    fn prepare(inputs: &Inputs<'_>, files: &[String], prelude: &str) -> Result<Self> {
        let connection = connect(inputs.config, files)?;
        connection.execute_batch(prelude).context("preparing DuckDB")?;
        Ok(Compute { connection, job: inputs.plan.job, source: inputs.plan.source })
    }

    /// Runs the mart's SQL: one row per period, the mart's columns in the mart's order and types, ordered by its key.
    /// The rows stay in the connection as the relation `mart`.
    ///
    /// # Errors
    /// A period without a row or with several, a row of no period, a column that is missing, surplus, out of order or
    /// of another type.
    pub fn compute(&self) -> Result<Vec<RecordBatch>> {
        self.materialize()
            .and_then(|()| self.check_columns())
            .and_then(|()| self.check_periods())
            .and_then(|()| self.mart("select * from mart"))
            .with_context(|| format!("computing {} by {}.sql", self.job.mart, self.source.sql_name))
    }

    /// Runs the mart's SQL and checks only the columns it returns. For checking SQL.
    pub fn check_sql(&self) -> Result<()> {
        self.materialize().and_then(|()| self.check_columns()).with_context(|| format!("{}.sql", self.source.sql_name))
    }

    /// The rows of `mart` that a publication may take: all but those of the periods held.
    pub fn rows_except(&self, held: &BTreeSet<NaiveDate>) -> Result<Vec<RecordBatch>> {
        self.mart(&format!("select * from mart where not {}", self.is_of(held)))
    }

    /// The rows of `mart` of these periods.
    pub fn rows_of(&self, periods: &BTreeSet<NaiveDate>) -> Result<Vec<RecordBatch>> {
        self.mart(&format!("select * from mart where {}", self.is_of(periods)))
    }

    /// The condition that a row of the mart is of one of these periods.
    fn is_of(&self, periods: &BTreeSet<NaiveDate>) -> String {
        let days: Vec<_> = periods.iter().map(|day| format!("date '{day}'")).collect();
        format!("list_contains([{}]::date[], {})", days.join(", "), self.period())
    }

    /// The mart's SQL up to `final`.
    fn before_final(&self) -> Result<&'static str> {
        let parts = self.source.sql.split_once("\nfinal as (");
        Ok(parts.with_context(|| format!("{}.sql has no CTE called final", self.source.sql_name))?.0)
    }

    /// Makes the table `parts`: what each staged row brings to the numbers of one cell, of a column and the first day of a
    /// period, or to all numbers. Of things that are counted once it has one row each.
    pub(crate) fn explain(&self, cell: Option<(&str, NaiveDate)>) -> Result<()> {
        let (before, explain) = (self.before_final()?, self.source.explain);
        let is_it = cell.map_or_else(
            || "true".to_owned(),
            |(column, period)| format!("column_name = {} and period_start = date '{period}'", literal(column)),
        );
        let sql = format!(
            "create or replace temporary table parts as
            select * from (\n{before}\n{explain}\n)
            where {is_it}
            qualify
                how <> 'distinct'
                or row_number() over (
                    partition by period_start, column_name, entry, counted order by source_dataset, source_key
                ) = 1"
        );
        let context = || format!("explaining {} by {}.sql", self.job.mart, self.source.sql_name);
        self.connection.execute_batch(&sql).with_context(context)
    }

    /// What `final` aggregates: one row per staged row that counts, with its period, key, page and measures.
    pub fn contributions(&self) -> Result<Answer> {
        let before = self.before_final()?;
        self.select(&format!("{before}\nfinal as (select * from contributions) select * from final order by all"))
    }

    /// Runs SQL of our own; its batches have the types that DuckDB gives them.
    pub(crate) fn select(&self, sql: &str) -> Result<Answer> {
        Answer::of(&self.connection, sql)
    }

    /// The connection with its relations.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where the mart is computed from.
    pub fn source(&self) -> &'static Source {
        self.source
    }

    /// The job whose mart it computes.
    pub fn job(&self) -> &'static Job {
        self.job
    }

    /// The expression for the first day of the period of a row of the mart.
    fn period(&self) -> String {
        self.period_of("mart")
    }

    /// The same for a relation with the mart's columns.
    pub(crate) fn period_of(&self, relation: &str) -> String {
        match self.job.key {
            ["year", "month"] => format!("make_date({relation}.year, {relation}.month, 1)"),
            [day] => format!("{relation}.{day}"),
            _ => unreachable!("{} has a key that names no period", self.job.mart),
        }
    }

    fn materialize(&self) -> Result<()> {
        Ok(self.connection.execute_batch(&format!("create or replace table mart as\n{}", self.source.sql))?)
    }

    fn mart(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let schema = mart_schema(self.job.mart)?;
        let answer = self.select(sql)?;
        answer
            .batches
            .iter()
            .map(|batch| {
                // DuckDB marks JSON columns as such; to the loader they are text.
                let columns = batch.columns().iter().zip(schema.fields());
                let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()));
                let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
                Ok(RecordBatch::try_new(schema.clone(), columns)?)
            })
            .collect()
    }

    fn check_columns(&self) -> Result<()> {
        let found = describe(&self.connection, "mart")?;
        let expected: Vec<_> =
            mart_columns(self.job.mart)?.into_iter().map(|column| (column.name, column.kind.to_string())).collect();
        for (position, (found, expected)) in found.iter().zip(&expected).enumerate() {
            ensure!(
                found == expected,
                "column {} is {} {} and should be {} {}",
                position + 1,
                found.0,
                found.1,
                expected.0,
                expected.1
            );
        }
        ensure!(found.len() == expected.len(), "{} columns instead of {}", found.len(), expected.len());
        Ok(())
    }

    fn check_periods(&self) -> Result<()> {
        let sql = format!(
            "with found as (select {} as period, count(*) as row_count from mart group by all)
            select coalesce(periods.period_start, found.period)::varchar, found.row_count, periods.period_start is null
            from periods full join found on periods.period_start = found.period
            where found.row_count is distinct from 1 or periods.period_start is null
            order by 1",
            self.period(),
        );
        let mut statement = self.connection.prepare(&sql)?;
        let wrong = statement.query_map([], |row| {
            let period = row.get::<_, Option<String>>(0)?.unwrap_or_else(|| "null".to_owned());
            Ok(match (row.get::<_, Option<i64>>(1)?, row.get(2)?) {
                (None, _) => format!("{period} has no row"),
                (Some(_), true) => format!("{period}, which has a row, is no period of this run"),
                (Some(rows), false) => format!("{period} has {rows} rows"),
            })
        })?;
        let wrong = wrong.collect::<Result<Vec<_>, _>>()?;
        ensure!(wrong.is_empty(), "a period has exactly one row, but {}", wrong.join(", "));
        Ok(())
    }
}

/// The script that computes a mart in the `duckdb` shell: relations, macros and the SELECT, as they are run here.
pub fn script(inputs: &Inputs<'_>) -> Result<String> {
    let source = inputs.plan.source;
    let prelude = prelude::prelude(inputs)?;
    Ok(format!("-- {} of {}\n{prelude}\n{};\n", source.sql_name, inputs.org.slug, source.sql.trim_end()))
}

/// Runs SQL on any connection of ours.
pub(crate) fn select(connection: &Connection, sql: &str) -> Result<Answer> {
    Answer::of(connection, sql)
}

/// The columns of a relation: names, and types as DuckDB writes them.
pub(crate) fn describe(connection: &Connection, relation: &str) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(&format!("select column_name, column_type from (describe {relation})"))?;
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(columns.collect::<Result<_, _>>()?)
}

/// A connection in memory that may read `files` and nothing else.
pub(crate) fn connect(config: &Config, files: &[String]) -> Result<Connection> {
    let Limits { duckdb_memory_mib, duckdb_threads, .. } = &config.limits;
    let spill = std::path::absolute(Staging::new(&config.staging.path).spill())?;
    let mut flags = Flags::default()
        .enable_autoload_extension(false)?
        .with("autoinstall_known_extensions", "false")?
        .with("temp_directory", spill.to_string_lossy())?
        .max_memory(&format!("{duckdb_memory_mib}MiB"))?;
    if *duckdb_threads > 0 {
        flags = flags.threads(i64::from(*duckdb_threads))?;
    }
    let connection = Connection::open_in_memory_with_flags(flags).context("opening DuckDB")?;
    // Without ICU there is no such setting, and no other time zone than UTC either.
    let has_time_zones: bool =
        connection
            .query_row("select count(*) > 0 from duckdb_settings() where name = 'TimeZone'", [], |row| row.get(0))?;
    if has_time_zones {
        connection.execute_batch("set TimeZone = 'UTC'")?;
    }
    // A file is looked up as a pattern and then opened as a path: both have to be allowed.
    let files: Vec<_> = files
        .iter()
        .flat_map(|file| [prelude::pattern(file), file.clone()])
        .map(|name| prelude::literal(&name))
        .collect();
    connection
        .execute_batch(&format!(
            "set allowed_paths = [{}]; set enable_external_access = false; set lock_configuration = true;",
            files.join(", ")
        ))
        .context("locking DuckDB")?;
    Ok(connection)
}
