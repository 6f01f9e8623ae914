//! Arrow batches as the text that COPY reads. Text, because it is exact for every type here and because the server's
//! complaints then quote the row and the value.

use std::io::Write as _;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use chrono::{Datelike, NaiveDate};

/// The rows of a batch, its columns in the order of `columns`.
///
/// # Errors
/// A column that the batch lacks, and a value that there is no way to copy.
pub fn encode(batch: &RecordBatch, columns: &[&str]) -> Result<Vec<u8>> {
    let mut arrays = Vec::with_capacity(columns.len());
    for name in columns {
        let array = batch.column_by_name(name).with_context(|| format!("the rows lack column {name}"))?;
        let cells = Cells::of(array.as_ref()).with_context(|| format!("column {name}"))?;
        arrays.push((*name, array.as_ref(), cells));
    }
    let mut text = Vec::with_capacity(batch.num_rows() * columns.len() * 8);
    for row in 0..batch.num_rows() {
        for (index, (name, array, cells)) in arrays.iter().enumerate() {
            if index > 0 {
                text.push(b'\t');
            }
            if array.is_null(row) {
                text.extend_from_slice(b"\\N");
            } else {
                cells.value(&mut text, row).with_context(|| format!("column {name}"))?;
            }
        }
        text.push(b'\n');
    }
    Ok(text)
}

/// A column by its type, which is looked at once and not for each row.
enum Cells<'a> {
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Bool(&'a BooleanArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, usize),
    Text(&'a StringArray),
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array) -> Result<Self> {
        fn typed<T: ArrowPrimitiveType>(array: &dyn Array) -> &PrimitiveArray<T> {
            array.as_primitive()
        }
        Ok(match array.data_type() {
            DataType::Int32 => Cells::Int32(typed(array)),
            DataType::Int64 => Cells::Int64(typed(array)),
            DataType::Boolean => Cells::Bool(array.as_boolean()),
            DataType::Date32 => Cells::Date(typed(array)),
            DataType::Timestamp(..) => Cells::Timestamp(typed(array)),
            DataType::Decimal128(_, scale) => {
                Cells::Decimal(typed(array), usize::try_from(*scale).context("a decimal with a negative scale")?)
            }
            DataType::Utf8 => Cells::Text(array.as_string()),
            other => bail!("there is no way to copy the type {other}"),
        })
    }

    fn value(&self, text: &mut Vec<u8>, row: usize) -> Result<()> {
        match self {
            Cells::Int32(array) => integer(text, array.value(row).into(), 0),
            Cells::Int64(array) => integer(text, array.value(row).into(), 0),
            Cells::Bool(array) => text.push(if array.value(row) { b't' } else { b'f' }),
            Cells::Date(array) => date(text, array.value_as_date(row).context("a date out of range")?)?,
            Cells::Timestamp(array) => {
                let instant = array.value_as_datetime(row).context("a timestamp out of range")?;
                write!(text, "{}", instant.format("%Y-%m-%d %H:%M:%S%.6f"))?;
            }
            Cells::Decimal(array, scale) => integer(text, array.value(row), *scale),
            Cells::Text(array) => escape(text, array.value(row))?,
        }
        Ok(())
    }
}

/// All digits of a whole number, the last `scale` of them behind a point, whatever its precision: Arrow's own formatting of
/// decimals cuts off what exceeds it, which would make an overflow a wrong amount. By hand, because a mart is mostly
/// numbers, and the formatting of the standard library took most of the time.
fn integer(text: &mut Vec<u8>, number: i128, scale: usize) {
    // As many digits as there can be, a point, and a sign; filled from the end.
    let mut digits = [b'0'; 64];
    let mut at = digits.len();
    let mut put = |digit: u8| {
        at -= 1;
        digits[at] = digit;
    };
    let mut rest = number.unsigned_abs();
    let mut written = 0;
    while rest > 0 || written <= scale {
        if written == scale && scale > 0 {
            put(b'.');
        }
        // Division of a word is many times faster, and nearly all amounts fit one.
        let digit = if let Ok(word) = u64::try_from(rest) {
            rest = u128::from(word / 10);
            word % 10
        } else {
            let digit = rest % 10;
            rest /= 10;
            digit as u64
        };
        put(b'0' + digit as u8);
        written += 1;
    }
    if number < 0 {
        put(b'-');
    }
    text.extend_from_slice(&digits[at..]);
}

/// `2026-01-20`
fn date(text: &mut Vec<u8>, date: NaiveDate) -> Result<()> {
    let year = date.year();
    if !(1000..=9999).contains(&year) {
        return Ok(write!(text, "{date}")?);
    }
    integer(text, year.into(), 0);
    for part in [date.month(), date.day()] {
        text.push(b'-');
        if part < 10 {
            text.push(b'0');
        }
        integer(text, part.into(), 0);
    }
    Ok(())
}

fn escape(text: &mut Vec<u8>, value: &str) -> Result<()> {
    // What is escaped is ASCII, which no byte of another character looks like.
    for byte in value.bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0 => bail!("the text contains a zero character, which Postgres cannot store"),
            other => text.push(other),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, StringArray};

    use super::*;

    fn encoded(columns: &[(&str, ArrayRef)]) -> Result<String> {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        encode(&batch, &names).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn values_are_written_exactly() {
        let amount = Decimal128Array::from(vec![Some(-999_999_999_999_999_999), Some(5), None]);
        let amount = amount.with_precision_and_scale(18, 2).unwrap();
        let text = encoded(&[
            ("day", Arc::new(Date32Array::from(vec![Some(0), Some(20_473), None]))),
            ("amount", Arc::new(amount)),
            ("count", Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(0), None]))),
            ("name", Arc::new(StringArray::from(vec![Some("a\tb\\N\r\n"), Some(""), None]))),
        ]);
        assert_eq!(
            text.unwrap(),
            "1970-01-01\t-9999999999999999.99\t-2147483648\ta\\tb\\\\N\\r\\n\n\
             2026-01-20\t0.05\t0\t\n\\N\t\\N\t\\N\t\\N\n"
        );
    }

    #[test]
    fn decimals_keep_every_digit() {
        let written = |number, scale| {
            let mut text = Vec::new();
            integer(&mut text, number, scale);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(written(0, 2), "0.00");
        assert_eq!(written(-5, 2), "-0.05");
        assert_eq!(written(1_000_000_000_000_000_000, 2), "10000000000000000.00", "nineteen digits, one too many");
        assert_eq!(written(i128::MIN, 0), "-170141183460469231731687303715884105728");
    }

    #[test]
    fn a_zero_character_is_an_error_that_names_the_column() {
        let error = encoded(&[("name", Arc::new(StringArray::from(vec!["a\0b"])))]).unwrap_err();
        assert!(format!("{error:#}").starts_with("column name: "), "{error:#}");
    }
}
