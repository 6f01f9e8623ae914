//! Rows on their way to Parquet: one typed builder per column, filled value by value.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};
use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, NaiveDate, Utc};

use crate::datasets::{Column, Dataset, Kind};

/// One cell of a row on its way to staging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    /// `mantissa` × 10^-`scale`.
    Decimal {
        mantissa: i128,
        scale: u8,
    },
    Bool(bool),
    Date(NaiveDate),
    Timestamp(DateTime<Utc>),
}

impl Value<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Text(_) => "text",
            Value::Int(_) => "an integer",
            Value::Decimal { .. } => "a decimal",
            Value::Bool(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::Timestamp(_) => "an instant",
        }
    }

    fn shown(&self) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Text(text) => (*text).into(),
            Value::Int(value) => value.to_string(),
            Value::Decimal { mantissa, scale } => format!("{mantissa}e-{scale}"),
            Value::Bool(value) => value.to_string(),
            Value::Date(value) => value.to_string(),
            Value::Timestamp(value) => value.to_rfc3339(),
        }
    }
}

impl From<rust_decimal::Decimal> for Value<'_> {
    fn from(value: rust_decimal::Decimal) -> Self {
        // The scale of a rust_decimal is at most 28.
        Value::Decimal { mantissa: value.mantissa(), scale: value.scale() as u8 }
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<NaiveDate> for Value<'_> {
    fn from(value: NaiveDate) -> Self {
        Value::Date(value)
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(value: DateTime<Utc>) -> Self {
        Value::Timestamp(value)
    }
}

enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Decimal { values: Decimal128Builder, precision: u8, scale: i8 },
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// Rows of one dataset, until they are written out as a batch.
pub(super) struct Rows {
    dataset: &'static Dataset,
    schema: SchemaRef,
    builders: Vec<Builder>,
    pages: Option<Int64Builder>,
    pending: usize,
}

impl Rows {
    pub(super) fn new(dataset: &'static Dataset) -> Self {
        let builders = dataset.columns.iter().map(|column| builder(column.kind)).collect();
        let pages = dataset.pages.then(Int64Builder::new);
        Rows { dataset, schema: dataset.schema(), builders, pages, pending: 0 }
    }

    /// Rows not yet taken.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Adds a row.
    pub(super) fn push(&mut self, page: Option<i64>, values: &[Value<'_>]) -> Result<()> {
        let columns = self.dataset.columns;
        ensure!(
            values.len() == columns.len(),
            "{}: a row of {} values for {} columns",
            self.dataset.name,
            values.len(),
            columns.len()
        );
        match (&mut self.pages, page) {
            (Some(pages), Some(page)) => pages.append_value(page),
            (None, None) => {}
            (Some(_), None) => bail!("{}: a row without the number of its page", self.dataset.name),
            (None, Some(_)) => bail!("{} has no pages", self.dataset.name),
        }
        for ((column, builder), value) in columns.iter().zip(&mut self.builders).zip(values) {
            append(builder, column, value).map_err(|problem| {
                let shown = if column.personal { String::new() } else { format!(" ({})", value.shown()) };
                anyhow!(
                    "{}: {}: column {} is {}, {problem}{shown}",
                    self.dataset.name,
                    row_name(self.dataset, values),
                    column.name,
                    column.kind.sql()
                )
            })?;
        }
        self.pending += 1;
        Ok(())
    }

    /// Takes what was pushed since the last time.
    pub(super) fn take(&mut self) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = self.builders.iter_mut().map(finish).collect();
        arrays.extend(self.pages.as_mut().map(|pages| Arc::new(pages.finish()) as ArrayRef));
        self.pending = 0;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// Names a row in a message by its key, as far as the key is not personal.
fn row_name(dataset: &Dataset, values: &[Value<'_>]) -> String {
    let mut name = String::from("the row with");
    for key in dataset.key {
        let Some(at) = dataset.columns.iter().position(|column| column.name == *key) else { continue };
        let shown = if dataset.columns[at].personal { "(not shown)".into() } else { values[at].shown() };
        let _ = write!(name, " {key} {shown}");
    }
    name
}

fn builder(kind: Kind) -> Builder {
    match kind {
        Kind::Text => Builder::Text(StringBuilder::new()),
        Kind::Int => Builder::Int(Int64Builder::new()),
        Kind::Decimal { precision, scale } => {
            let values = Decimal128Builder::new().with_data_type(kind.data_type());
            Builder::Decimal { values, precision, scale }
        }
        Kind::Bool => Builder::Bool(BooleanBuilder::new()),
        Kind::Date => Builder::Date(Date32Builder::new()),
        Kind::Timestamp => Builder::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
    }
}

/// Appends a value; on failure says what does not fit.
fn append(builder: &mut Builder, column: &Column, value: &Value<'_>) -> Result<(), String> {
    if *value == Value::Null && !column.nullable {
        return Err("which may not be null".into());
    }
    match (builder, value) {
        (Builder::Text(values), Value::Null) => values.append_null(),
        (Builder::Int(values), Value::Null) => values.append_null(),
        (Builder::Decimal { values, .. }, Value::Null) => values.append_null(),
        (Builder::Bool(values), Value::Null) => values.append_null(),
        (Builder::Date(values), Value::Null) => values.append_null(),
        (Builder::Timestamp(values), Value::Null) => values.append_null(),
        (Builder::Text(values), Value::Text(text)) => values.append_value(text),
        (Builder::Int(values), Value::Int(value)) => values.append_value(*value),
        (Builder::Bool(values), Value::Bool(value)) => values.append_value(*value),
        (Builder::Date(values), Value::Date(date)) => {
            values.append_value(arrow::datatypes::Date32Type::from_naive_date(*date));
        }
        (Builder::Timestamp(values), Value::Timestamp(instant)) => values.append_value(instant.timestamp_micros()),
        (Builder::Decimal { values, precision, scale }, Value::Decimal { mantissa, scale: given }) => {
            values.append_value(rescale(*mantissa, *given, *precision, *scale)?);
        }
        (Builder::Decimal { values, precision, scale }, Value::Int(value)) => {
            values.append_value(rescale(i128::from(*value), 0, *precision, *scale)?);
        }
        (_, value) => return Err(format!("the value is {}", value.type_name())),
    }
    Ok(())
}

/// `mantissa` × 10^-`given` at another scale, exactly.
fn rescale(mantissa: i128, given: u8, precision: u8, scale: i8) -> Result<i128, String> {
    let shift = i32::from(scale) - i32::from(given);
    let too_large =
        || format!("the value has more than {} digits before the point", i32::from(precision) - i32::from(scale));
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let rescaled = match (shift >= 0, power) {
        (true, Some(power)) => mantissa.checked_mul(power).ok_or_else(too_large)?,
        (false, Some(power)) if mantissa % power == 0 => mantissa / power,
        (false, None) if mantissa == 0 => 0,
        (true, None) => return Err(too_large()),
        (false, _) => return Err(format!("the value has more than {scale} decimals")),
    };
    if rescaled.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
        return Err(too_large());
    }
    Ok(rescaled)
}

fn finish(builder: &mut Builder) -> ArrayRef {
    match builder {
        Builder::Text(values) => Arc::new(values.finish()),
        Builder::Int(values) => Arc::new(values.finish()),
        Builder::Decimal { values, .. } => Arc::new(values.finish()),
        Builder::Bool(values) => Arc::new(values.finish()),
        Builder::Date(values) => Arc::new(values.finish()),
        Builder::Timestamp(values) => Arc::new(values.finish()),
    }
}
