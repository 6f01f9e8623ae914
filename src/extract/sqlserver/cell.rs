//! A cell of a row, as a value for staging.

use anyhow::{Result, bail};
use chrono::NaiveDate;
use tiberius::{ColumnData, FromSql};

use crate::staging::Value;

/// The value of a cell. Text is trimmed on both sides, and empty text is NULL: `char` columns come padded, and the
/// sources use both for "none".
///
/// # Errors
/// Types that no statement of ours asks for, among them floats, in which an amount would have lost its exactness.
pub fn value<'r>(cell: &'r ColumnData<'static>) -> Result<Value<'r>> {
    Ok(match cell {
        ColumnData::String(text) => match text.as_deref().map(str::trim) {
            None | Some("") => Value::Null,
            Some(text) => Value::Text(text),
        },
        ColumnData::Numeric(number) => {
            number.map_or(Value::Null, |number| Value::Decimal { mantissa: number.value(), scale: number.scale() })
        }
        ColumnData::U8(number) => integer(*number),
        ColumnData::I16(number) => integer(*number),
        ColumnData::I32(number) => integer(*number),
        ColumnData::I64(number) => integer(*number),
        ColumnData::Bit(bit) => bit.map_or(Value::Null, Value::Bool),
        ColumnData::Date(_) => NaiveDate::from_sql(cell)?.map_or(Value::Null, Value::Date),
        _ => bail!("the server sent a type that was not asked for"),
    })
}

fn integer(number: Option<impl Into<i64>>) -> Value<'static> {
    number.map_or(Value::Null, |number| Value::Int(number.into()))
}
