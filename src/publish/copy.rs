//! Arrow batches as the text that COPY reads. Text, because it is exact for every type here and because the server's
//! complaints then quote the row and the value.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

/// The rows of a batch, its columns in the order of `columns`.
///
/// # Errors
/// A column that the batch lacks, and a value that there is no way to copy.
pub fn encode(batch: &RecordBatch, columns: &[&str]) -> Result<Vec<u8>> {
    let mut arrays = Vec::with_capacity(columns.len());
    for name in columns {
        let array = batch.column_by_name(name).with_context(|| format!("the rows lack column {name}"))?;
        arrays.push((*name, array.as_ref()));
    }
    let mut text = String::with_capacity(batch.num_rows() * columns.len() * 8);
    for row in 0..batch.num_rows() {
        for (index, (name, array)) in arrays.iter().enumerate() {
            if index > 0 {
                text.push('\t');
            }
            if array.is_null(row) {
                text.push_str("\\N");
            } else {
                value(&mut text, *array, row).with_context(|| format!("column {name}"))?;
            }
        }
        text.push('\n');
    }
    Ok(text.into_bytes())
}

fn value(text: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    match array.data_type() {
        DataType::Int32 => write!(text, "{}", array.as_primitive::<Int32Type>().value(row))?,
        DataType::Int64 => write!(text, "{}", array.as_primitive::<Int64Type>().value(row))?,
        DataType::Boolean => text.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
        DataType::Date32 => {
            let date = array.as_primitive::<Date32Type>().value_as_date(row).context("a date out of range")?;
            write!(text, "{date}")?;
        }
        DataType::Timestamp(..) => {
            let instant = array.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row);
            write!(text, "{}", instant.context("a timestamp out of range")?.format("%Y-%m-%d %H:%M:%S%.6f"))?;
        }
        DataType::Decimal128(_, scale) => {
            decimal(text, array.as_primitive::<Decimal128Type>().value(row), *scale)?;
        }
        DataType::Utf8 => escape(text, array.as_string::<i32>().value(row))?,
        other => bail!("there is no way to copy the type {other}"),
    }
    Ok(())
}

/// All digits of a decimal, whatever its precision: Arrow's own formatting cuts off what exceeds it, which would make an
/// overflow a wrong amount.
fn decimal(text: &mut String, number: i128, scale: i8) -> Result<()> {
    let scale = usize::try_from(scale).context("a decimal with a negative scale")?;
    if number < 0 {
        text.push('-');
    }
    write!(text, "{:0>width$}", number.unsigned_abs(), width = scale + 1)?;
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    Ok(())
}

fn escape(text: &mut String, value: &str) -> Result<()> {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0' => bail!("the text contains a zero character, which Postgres cannot store"),
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
            let mut text = String::new();
            decimal(&mut text, number, scale).unwrap();
            text
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
