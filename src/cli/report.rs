//! What the commands tell, as plain data. `run.rs` and the run ledger fill these in; `tables` and `progress` show them.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Exit;
pub use crate::run::{Event, Finding, MartReport, RunReport, Status};

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
    /// The rows of Arrow batches of one schema.
    ///
    /// # Errors
    /// When a column's type cannot be shown.
    pub fn from_batches(schema: &Schema, batches: &[RecordBatch]) -> anyhow::Result<Self> {
        let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray};

    use std::time::Duration;

    use chrono::DateTime;

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
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let result = QueryResult::from_batches(&batch.schema(), &[batch]).unwrap();
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
