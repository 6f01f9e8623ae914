//! What the commands tell, as plain data. `run.rs` and the run ledger fill these in; `tables` and `progress` show them.

use std::time::Duration;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};

use super::Exit;

/// Something that happened during a run. With `--json`, one line each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The run begins, with that many marts to fill.
    Started { run: Option<&'a str>, marts: usize },
    /// A pull goes on; `rows` so far.
    Pulling { org: &'a str, dataset: &'a str, rows: u64 },
    /// A pull is complete.
    Pulled { org: &'a str, dataset: &'a str, period: &'a str, rows: u64 },
    /// A mart's rows are computed and audited.
    Computed { org: &'a str, job: &'a str, rows: u64 },
    /// A mart is done, one way or the other.
    Done { mart: &'a MartReport },
}

/// How filling one mart for one organisation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All its rows are published; they may all have been there already.
    Published,
    /// Some of its rows are published, the audit held the others.
    PartlyHeld,
    /// The audit held it: what was published before stands.
    Held,
    /// It failed before the audit: what was published before stands.
    Failed,
    /// Computed and audited, and left unpublished as `--dry-run` asks.
    DryRun,
}

impl Status {
    /// As it reads in a table.
    pub fn name(self) -> &'static str {
        match self {
            Status::Published => "published",
            Status::PartlyHeld => "partly held",
            Status::Held => "held",
            Status::Failed => "FAILED",
            Status::DryRun => "not published",
        }
    }

    /// Whether nothing is wrong with it.
    pub fn is_good(self) -> bool {
        matches!(self, Status::Published | Status::DryRun)
    }
}

/// One row of an audit: a rule that is broken.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub rule: String,
    /// Whether it holds what it names; a warning only tells.
    pub holds: bool,
    /// The period it names; none when it is about the mart as a whole.
    pub period: Option<String>,
    pub detail: String,
}

/// One mart of one organisation in a run.
#[derive(Debug, Clone, Serialize)]
pub struct MartReport {
    pub org: String,
    pub job: String,
    pub mart: String,
    pub status: Status,
    /// Rows in the pulls it was computed from.
    pub landed: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// What the audit found.
    pub findings: Vec<Finding>,
    /// Why it failed, outermost cause first.
    pub error: Option<String>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// Its number in the run ledger; none for a dry run.
    pub run: Option<String>,
    pub started_at: DateTime<Utc>,
    /// None when it was cut off, or is still under way.
    #[serde(rename = "duration_ms", serialize_with = "maybe_milliseconds")]
    pub duration: Option<Duration>,
    /// The last day it reports; differs between organisations only around midnight.
    pub as_of: Option<NaiveDate>,
    pub marts: Vec<MartReport>,
}

impl RunReport {
    /// The exit code it deserves.
    pub fn exit(&self) -> Exit {
        let published = |mart: &MartReport| matches!(mart.status, Status::Published | Status::PartlyHeld);
        match (self.marts.iter().all(|mart| mart.status.is_good()), self.marts.iter().any(published)) {
            (true, _) => Exit::Good,
            (false, true) => Exit::Partial,
            (false, false) => Exit::Failed,
        }
    }
}

/// The answer to a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryResult {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Null,
    Bool(bool),
    /// Exact, as its digits.
    Number(String),
    Text(String),
}

impl QueryResult {
    /// The rows of Arrow batches, which all have the schema of the first.
    ///
    /// # Errors
    /// When a column's type cannot be shown.
    pub fn from_batches(batches: &[RecordBatch]) -> anyhow::Result<Self> {
        let Some(first) = batches.first() else { return Ok(QueryResult::default()) };
        let columns = first.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        for batch in batches {
            let columns = batch.columns().iter().map(in_utc).collect::<Result<Vec<_>, _>>()?;
            let formatters = columns
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cells = columns.iter().zip(&formatters);
                rows.push(cells.map(|(column, formatter)| cell(column.as_ref(), formatter, row)).collect());
            }
        }
        Ok(QueryResult { columns, rows })
    }
}

/// Instants are shown in UTC. Arrow writes them only in zones given as offsets, unless it carries all zones of the world.
fn in_utc(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))),
        _ => Ok(column.clone()),
    }
}

fn cell(column: &dyn Array, formatter: &ArrayFormatter<'_>, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    let text = formatter.value(row).to_string();
    match column.data_type() {
        DataType::Boolean => Cell::Bool(text == "true"),
        kind if kind.is_numeric() => Cell::Number(text),
        _ => Cell::Text(text),
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

fn maybe_milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_millis()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn arrow_values_keep_every_digit() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("amount", Arc::new(Decimal128Array::from(vec![Some(-1), None]).with_precision_and_scale(18, 2).unwrap())),
            ("text", Arc::new(StringArray::from(vec![Some("12"), Some("")]))),
            ("is_leaf", Arc::new(BooleanArray::from(vec![true, false]))),
            ("day", Arc::new(Date32Array::from(vec![20_473, 0]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ];
        let result = QueryResult::from_batches(&[RecordBatch::try_from_iter(columns).unwrap()]).unwrap();
        assert_eq!(result.columns, ["amount", "text", "is_leaf", "day", "at"]);
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(
            result.rows,
            [
                vec![
                    Cell::Number("-0.01".into()),
                    text("12"),
                    Cell::Bool(true),
                    text("2026-01-20"),
                    text("1970-01-01T00:00:00Z")
                ],
                vec![Cell::Null, text(""), Cell::Bool(false), text("1970-01-01"), text("1970-01-01T00:00:00.000001Z")],
            ]
        );
    }

    #[test]
    fn a_run_exits_as_its_marts_ended() {
        let exit = |statuses: &[Status]| {
            let marts = statuses.iter().map(|status| MartReport {
                org: "vital".into(),
                job: "etl_x".into(),
                mart: "mart_x".into(),
                status: *status,
                landed: 0,
                inserted: 0,
                updated: 0,
                unchanged: 0,
                duration: Duration::ZERO,
                findings: Vec::new(),
                error: None,
            });
            let started_at = DateTime::UNIX_EPOCH;
            RunReport { run: None, started_at, duration: None, as_of: None, marts: marts.collect() }.exit()
        };
        assert_eq!(exit(&[]), Exit::Good);
        assert_eq!(exit(&[Status::Published, Status::DryRun]), Exit::Good);
        assert_eq!(exit(&[Status::Failed, Status::Held]), Exit::Failed);
        assert_eq!(exit(&[Status::Published, Status::Failed]), Exit::Partial);
        assert_eq!(exit(&[Status::PartlyHeld]), Exit::Partial);
    }
}
