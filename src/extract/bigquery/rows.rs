//! Answers as rows: cells are `{"f": [{"v": …}]}`, every value a text or null, in the order of the answer's schema.

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use gcp_bigquery_client::model::field_type::FieldType;
use gcp_bigquery_client::model::query_response::QueryResponse;
use gcp_bigquery_client::model::table_row::TableRow;
use gcp_bigquery_client::model::table_schema::TableSchema;
use serde_json::Value as Json;

use super::query::{ITEMS, Type};
use crate::staging::{Landing, Value};

/// Reads the body of an answer of `jobs.query` or `jobs.getQueryResults`: the same members under two names.
///
/// # Errors
/// JSON that is no such answer, and a result that came with errors.
pub(super) fn parse(body: &[u8]) -> Result<QueryResponse> {
    let answer: QueryResponse = serde_json::from_slice(body).map_err(|error| {
        // serde's text may quote a cell.
        anyhow::anyhow!("the answer is no result of a query (line {} column {})", error.line(), error.column())
    })?;
    let errors = answer.errors.as_deref().unwrap_or_default();
    if let Some(error) = errors.first() {
        bail!("the result came with {}", error.reason.as_deref().unwrap_or("an error"));
    }
    Ok(answer)
}

/// A count that BigQuery writes as text.
pub(super) fn count(text: Option<&str>, name: &str) -> Result<Option<u64>> {
    text.map(|text| text.parse().with_context(|| format!("{name} is {text:?}, which is no number"))).transpose()
}

/// Where the columns asked for are in an answer.
pub(super) struct Layout([usize; ITEMS.len()]);

impl Layout {
    /// # Errors
    /// A column that is missing, nested, or of another type than was asked for. Others are passed over.
    pub(super) fn read(schema: &TableSchema) -> Result<Self> {
        let fields = schema.fields.as_deref().unwrap_or_default();
        let mut places = [0; ITEMS.len()];
        for (place, (name, kind, _)) in places.iter_mut().zip(ITEMS) {
            let at = fields.iter().position(|field| field.name == name);
            let at = at.with_context(|| format!("the answer has no column {name}"))?;
            let field = &fields[at];
            ensure!(field.mode.as_deref() != Some("REPEATED"), "{name} is a list");
            let is_right = match kind {
                Type::Text => matches!(field.r#type, FieldType::String),
                Type::Integer => matches!(field.r#type, FieldType::Integer | FieldType::Int64),
            };
            ensure!(is_right, "{name} is {:?} where {kind:?} was asked for", field.r#type);
            *place = at;
        }
        Ok(Layout(places))
    }
}

/// Which instants stand for a date.
pub(super) struct Sane {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Sane {
    /// Not before 1990, nor more than two years ahead of the day on which the source is asked.
    pub(super) fn new(today: NaiveDate) -> Result<Self> {
        let start = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
        let from = NaiveDate::from_ymd_opt(1990, 1, 1).context("a date")?;
        Ok(Sane { from: start(from), to: start(today + Months::new(24) + Days::new(1)) })
    }
}

/// Lands the rows of an answer; returns how many.
pub(super) fn land(
    landing: &mut Landing,
    page: i64,
    layout: &Layout,
    rows: &[TableRow],
    day: NaiveDate,
    sane: &Sane,
) -> Result<u64> {
    for row in rows {
        let number = i64::try_from(landing.rows())?;
        let cells = row.columns.as_deref().unwrap_or_default();
        let cell = |item: usize| {
            let (name, kind, _) = ITEMS[item];
            let cell = cells.get(layout.0[item]).with_context(|| format!("row {number} has no cell for {name}"))?;
            match cell.value.as_ref().unwrap_or(&Json::Null) {
                Json::Null => Ok(Value::Null),
                Json::String(text) => match kind {
                    // An empty text says as little as none.
                    Type::Text => Ok(Some(text.trim()).filter(|text| !text.is_empty()).into()),
                    Type::Integer => {
                        let integer = text.parse().ok().map(Value::Int);
                        integer.with_context(|| format!("{name} of row {number} is no whole number"))
                    }
                },
                _ => bail!("{name} of row {number} is no text: cells are written as texts"),
            }
        };
        let Value::Text(written) = cell(0)? else { bail!("row {number} has no event_date") };
        ensure!(
            written == day.format("%Y%m%d").to_string(),
            "the table gave a row of another day, event_date {written}"
        );
        let at = match cell(1)? {
            Value::Int(micros) => {
                DateTime::from_timestamp_micros(micros).filter(|at| sane.from <= *at && *at < sane.to)
            }
            _ => None,
        };
        let system = match cell(9)? {
            Value::Text(text) => Some(text.to_lowercase()),
            _ => None,
        };
        landing.push(
            Some(page),
            &[
                Value::Int(number),
                Value::Date(day),
                at.into(),
                cell(2)?,
                cell(3)?,
                cell(4)?,
                cell(5)?,
                cell(6)?,
                cell(7)?,
                cell(8)?,
                system.as_deref().into(),
            ],
        )?;
    }
    Ok(rows.len() as u64)
}
