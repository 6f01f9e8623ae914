//! Arrow to COPY's text format, without a detour: a decimal is written from its digits, never as a float.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Schema};
use sqlx::PgConnection;

use super::MartColumn;

/// Bytes sent at a time.
const CHUNK: usize = 1 << 16;

/// Fails unless computed columns fit a mart's, one by one.
pub(super) fn check(columns: &[MartColumn], schema: &Schema) -> Result<()> {
    ensure!(
        columns.len() == schema.fields().len(),
        "{} columns were computed for {} in the table",
        schema.fields().len(),
        columns.len()
    );
    for (column, field) in columns.iter().zip(schema.fields()) {
        let fits = match field.data_type() {
            DataType::Int32 => column.kind == "integer",
            DataType::Date32 => column.kind == "date",
            DataType::Decimal128(precision, scale) => column.kind == format!("numeric({precision},{scale})"),
            DataType::Utf8 => column.kind == "jsonb" || column.kind.starts_with("character varying"),
            _ => false,
        };
        ensure!(
            column.name == *field.name() && fits,
            "the table's column {} is {}, and {} {} was computed",
            column.name,
            column.kind,
            field.name(),
            field.data_type()
        );
    }
    Ok(())
}

/// Copies rows by the given COPY statement; returns how many arrived.
pub(super) async fn copy(connection: &mut PgConnection, statement: &str, batches: &[RecordBatch]) -> sqlx::Result<u64> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut buffer = String::with_capacity(CHUNK * 2);
    for batch in batches {
        for row in 0..batch.num_rows() {
            if let Err(error) = encode(&mut buffer, batch, row) {
                copy.abort(error.to_string()).await?;
                return Err(sqlx::Error::Protocol(error.to_string()));
            }
            if buffer.len() >= CHUNK {
                copy.send(buffer.as_bytes()).await?;
                buffer.clear();
            }
        }
    }
    copy.send(buffer.as_bytes()).await?;
    copy.finish().await
}

fn encode(out: &mut String, batch: &RecordBatch, row: usize) -> Result<()> {
    for (at, array) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.push('\t');
        }
        if array.is_null(row) {
            out.push_str("\\N");
            continue;
        }
        match array.data_type() {
            DataType::Int32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(row))?,
            DataType::Date32 => {
                let day = array.as_primitive::<Date32Type>().value_as_date(row);
                write!(out, "{}", day.ok_or_else(|| anyhow!("a date is out of range"))?)?;
            }
            DataType::Decimal128(_, scale) => decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale)?,
            DataType::Utf8 => text(out, array.as_string::<i32>().value(row)),
            other => bail!("no mart has a column of type {other}"),
        }
    }
    out.push('\n');
    Ok(())
}

fn decimal(out: &mut String, value: i128, scale: i8) -> Result<()> {
    let scale = usize::try_from(scale)?;
    if value < 0 {
        out.push('-');
    }
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.push_str(whole);
    if scale > 0 {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(())
}

fn text(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    #[test]
    fn decimals_are_written_as_rust_decimal_writes_them() {
        for value in [0, 1, -1, 9, 10, 99, 100, -12_345, 999_999_999_999_999_999, i128::from(i64::MIN)] {
            for scale in [0, 2, 4] {
                let mut out = String::new();
                decimal(&mut out, value, scale).unwrap();
                assert_eq!(out, Decimal::from_i128_with_scale(value, scale as u32).to_string());
            }
        }
    }

    #[test]
    fn text_survives_what_copy_gives_a_meaning() {
        let mut out = String::new();
        text(&mut out, "a\\N\tb\r\nc");
        assert_eq!(out, "a\\\\N\\tb\\r\\nc");
    }
}
