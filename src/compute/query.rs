//! Answers of DuckDB as Arrow, and read-only SQL over everything that is staged.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use duckdb::Connection;
use serde_json::Value as Json;

use super::{connect, prelude};
use crate::config::Config;
use crate::datasets::DATASETS;
use crate::staging::Staging;

/// The result of a query.
#[derive(Debug)]
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    pub(crate) fn of(connection: &Connection, sql: &str) -> Result<Self> {
        let mut statement = connection.prepare(sql)?;
        // Not streamed: the crate's stream panics when a query fails on the way.
        let arrow = statement.query_arrow([])?;
        Ok(Answer { schema: arrow.get_schema(), batches: arrow.collect() })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Every cell as [`cell`] writes it, row by row.
    pub fn text(&self) -> Result<Vec<Vec<Option<String>>>> {
        let rows = self.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        rows.map(|(batch, row)| batch.columns().iter().map(|column| cell(column, row)).collect()).collect()
    }
}

/// A cell as text, to the last digit: decimals with all their places, days as ISO dates, instants with `Z`; none where
/// it is null.
pub fn cell(column: &dyn Array, row: usize) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    if let DataType::Timestamp(TimeUnit::Microsecond, Some(_)) = column.data_type() {
        // Formatting a named time zone would need its rules; the session's is UTC.
        let instants = column.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<&str>);
        return Ok(cell(&instants, row)?.map(|text| text + "Z"));
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default().with_display_error(false))?;
    Ok(Some(formatter.value(row).try_to_string()?))
}

/// Answers a SELECT over all that is staged: a view per dataset over the winning pulls of every organisation and
/// partition, with the columns `org` and `period` behind its own.
///
/// # Errors
/// Anything but a single SELECT: writing, attaching, copying, changing settings.
pub fn query(config: &Config, sql: &str) -> Result<Answer> {
    let staging = Staging::new(&config.staging.path);
    let parsed = parse(&Connection::open_in_memory().context("opening DuckDB")?, sql)?;
    let mut files = Vec::new();
    let mut views = Vec::new();
    for dataset in DATASETS {
        let mut winners = Vec::new();
        // Opening a pull reads all of it, to hold it against its checksums: only those that are asked about.
        let orgs = if names(&parsed, dataset.name) { staging.orgs(dataset)? } else { Vec::new() };
        for org in orgs {
            for partition in staging.partitions(dataset, &org)? {
                let Some(landed) = staging.winner(dataset, &org, partition, None)? else { continue };
                for file in landed.row_files() {
                    winners.push(prelude::path_text(&file)?);
                }
            }
        }
        views.push(prelude::view(dataset, &winners, &["org", "period"]));
        files.append(&mut winners);
    }
    let connection = connect(config, &files)?;
    connection.execute_batch(&views.join(";\n")).context("preparing DuckDB")?;
    Answer::of(&connection, sql)
}

/// DuckDB's own parser says whether it is one SELECT: that is all it can serialize. Files are out of its reach besides.
/// Fails unless the text is one SELECT, whatever it selects from.
pub fn check_select(sql: &str) -> Result<()> {
    ensure_select(&Connection::open_in_memory().context("opening DuckDB")?, sql)
}

fn ensure_select(connection: &Connection, sql: &str) -> Result<()> {
    parse(connection, sql).map(|_| ())
}

/// The SELECT as DuckDB's parser understands it.
fn parse(connection: &Connection, sql: &str) -> Result<Json> {
    let parsed: String =
        connection.query_row("select json_serialize_sql(?::varchar)::varchar", [sql], |row| row.get(0))?;
    let parsed: Json = serde_json::from_str(&parsed)?;
    if parsed["error"].as_bool().unwrap_or(true) {
        let message = parsed["error_message"].as_str().unwrap_or_default();
        match parsed["error_type"].as_str() {
            Some("not implemented") => bail!("only a SELECT is answered here: staged files are never changed"),
            _ => bail!("{message}"),
        }
    }
    let statements = parsed["statements"].as_array().map_or(0, Vec::len);
    ensure!(statements == 1, "one SELECT at a time, not {statements} statements");
    Ok(parsed)
}

/// Whether a name occurs anywhere in a SELECT. One that only looks like the dataset's costs time and nothing else.
fn names(parsed: &Json, dataset: &str) -> bool {
    match parsed {
        Json::String(text) => text.to_lowercase().contains(dataset),
        Json::Array(parts) => parts.iter().any(|part| names(part, dataset)),
        Json::Object(parts) => parts.values().any(|part| names(part, dataset)),
        _ => false,
    }
}
