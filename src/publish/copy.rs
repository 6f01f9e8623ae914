//! Arrow batches in the binary format of COPY, which the server reads in two thirds of the time that text takes it, and
//! which is as exact: a `numeric` travels as its decimal digits. What the server complains of it does not quote then;
//! [`complaint`] does.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>; the formats of the types are those of their
//! `recv` functions.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use sqlx::postgres::PgConnection;

use super::columns::Column;
use super::keys;
use super::statements::quoted;
use crate::postgres::OneLine;

/// What the rows are preceded by: the signature, no flags, no extension.
const BEFORE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Bytes of a message, which the server holds as a whole before it reads the rows in it.
const MESSAGE_BYTES: usize = 1 << 15;

/// What they are followed by.
const AFTER: &[u8] = &(-1_i16).to_be_bytes();

/// Days and microseconds from 1970, which Arrow counts from, to 2000, which Postgres counts from.
const DAYS_TO_2000: i32 = 10_957;
const MICROSECONDS_TO_2000: i64 = DAYS_TO_2000 as i64 * 86_400_000_000;

/// Copies rows into a table, which is named as in SQL; returns how many.
///
/// # Errors
/// What [`encode`] and the server complain of. The server may say which line and column that is.
pub async fn copy_rows(
    connection: &mut PgConnection,
    table: &str,
    batches: &[RecordBatch],
    columns: &[Column],
) -> Result<u64> {
    let expected: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let statement = format!("copy {table} ({}) from stdin with (format binary)", names.join(", "));
    let mut copy = connection.copy_in_raw(&statement).await.one_line().context("starting the copy")?;
    let sent = async {
        copy.send(BEFORE).await.one_line()?;
        let mut bytes = Vec::new();
        for batch in batches {
            bytes.clear();
            encode(batch, columns, &mut bytes)?;
            for part in bytes.chunks(MESSAGE_BYTES) {
                copy.send(part).await.one_line()?;
            }
        }
        copy.send(AFTER).await.one_line()
    };
    if let Err(error) = sent.await {
        // An error here would only hide the first one.
        let _ = copy.abort("the rows could not be encoded").await;
        return Err(error);
    }
    let copied = copy.finish().await.one_line().context("copying the rows")?;
    ensure!(usize::try_from(copied).is_ok_and(|copied| copied == expected), "copied {copied} rows of {expected}");
    Ok(copied)
}

/// Appends the rows of a batch, its columns in the order of `columns`.
///
/// # Errors
/// A column that the batch lacks, and a value that there is no way to copy.
pub fn encode(batch: &RecordBatch, columns: &[Column], bytes: &mut Vec<u8>) -> Result<()> {
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        let name = column.name.as_str();
        let array = batch.column_by_name(name).with_context(|| format!("the rows lack column {name}"))?;
        let cells = Cells::of(array.as_ref(), &column.type_name).with_context(|| format!("column {name}"))?;
        arrays.push((name, array.nulls(), cells));
    }
    let fields = i16::try_from(columns.len()).context("more columns than COPY can have")?.to_be_bytes();
    bytes.reserve(batch.num_rows() * (2 + columns.len() * 14));
    for row in 0..batch.num_rows() {
        bytes.extend_from_slice(&fields);
        for (name, nulls, cells) in &arrays {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                bytes.extend_from_slice(&(-1_i32).to_be_bytes());
            } else {
                cells.value(bytes, row).with_context(|| format!("column {name}"))?;
            }
        }
    }
    Ok(())
}

/// A column by its type, which is looked at once and not for each row.
enum Cells<'a> {
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Bool(&'a BooleanArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u16),
    Text(&'a StringArray),
    Json(&'a StringArray),
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array, type_name: &str) -> Result<Self> {
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
                Cells::Decimal(typed(array), u16::try_from(*scale).context("a decimal with a negative scale")?)
            }
            DataType::Utf8 if type_name == "jsonb" => Cells::Json(array.as_string()),
            DataType::Utf8 => Cells::Text(array.as_string()),
            other => bail!("there is no way to copy the type {other}"),
        })
    }

    fn value(&self, bytes: &mut Vec<u8>, row: usize) -> Result<()> {
        match self {
            Cells::Int32(array) => field(bytes, array.value(row).to_be_bytes()),
            Cells::Int64(array) => field(bytes, array.value(row).to_be_bytes()),
            Cells::Bool(array) => field(bytes, [array.value(row).into()]),
            Cells::Date(array) => {
                let day = array.value(row).checked_sub(DAYS_TO_2000).context("a date out of range")?;
                field(bytes, day.to_be_bytes());
            }
            Cells::Timestamp(array) => {
                let instant = array.value(row).checked_sub(MICROSECONDS_TO_2000).context("a timestamp out of range")?;
                field(bytes, instant.to_be_bytes());
            }
            Cells::Decimal(array, scale) => numeric(bytes, array.value(row), *scale),
            Cells::Text(array) => text(bytes, &[], array.value(row))?,
            // The version of the format of jsonb.
            Cells::Json(array) => text(bytes, &[1], array.value(row))?,
        }
        Ok(())
    }
}

/// A value of few bytes, written with its length at once.
fn field<const N: usize>(bytes: &mut Vec<u8>, value: [u8; N]) {
    let mut cell = [0; 12];
    cell[..4].copy_from_slice(&(N as i32).to_be_bytes());
    cell[4..4 + N].copy_from_slice(&value);
    bytes.extend_from_slice(&cell[..4 + N]);
}

fn text(bytes: &mut Vec<u8>, before: &[u8], value: &str) -> Result<()> {
    ensure!(!value.contains('\0'), "the text contains a zero character, which Postgres cannot store");
    let length = i32::try_from(before.len() + value.len()).context("a text of more than 2 GiB")?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(value.as_bytes());
    Ok(())
}

/// What is left of a number without its last digits, which are the remainder by a power of ten up to 10,000. Division of a word
/// is many times faster, and nearly all amounts fit one.
fn split(number: u128, by: u64) -> (u128, u16) {
    match u64::try_from(number) {
        Ok(word) => ((word / by).into(), (word % by) as u16),
        Err(_) => (number / u128::from(by), (number % u128::from(by)) as u16),
    }
}

/// A number of so many digits behind the point, whatever its precision: how many groups of four decimal digits follow, the
/// power of 10,000 of the first, the sign, the digits behind the point, the groups. Groups of zeros at either end are
/// left out.
fn numeric(bytes: &mut Vec<u8>, number: i128, scale: u16) {
    // Places that fill the last group. An i128 has 39 digits, so that ten groups hold it, and eleven with those places.
    let filling = (4 - scale % 4) % 4;
    let mut groups = [0_u16; 11];
    let mut count = 0;
    let mut put = |group: u16| {
        groups[count] = group;
        count += 1;
    };
    let mut rest = number.unsigned_abs();
    if filling > 0 {
        let (more, group) = split(rest, 10_u64.pow((4 - filling).into()));
        put(group * 10_u16.pow(filling.into()));
        rest = more;
    }
    while rest > 0 {
        let (more, group) = split(rest, 10_000);
        put(group);
        rest = more;
    }
    let last = groups[..count].iter().rposition(|group| *group > 0).map_or(0, |last| last + 1);
    let first = groups[..last].iter().position(|group| *group > 0).unwrap_or(0);
    let groups = &groups[first..last];
    let behind_point = scale.div_ceil(4);
    let weight = if groups.is_empty() { 0 } else { last as i16 - behind_point as i16 - 1 };
    let sign: u16 = if number < 0 { 0x4000 } else { 0 };
    // Written at once: four bytes of length, eight of what precedes the groups, two for each of eleven groups at most.
    let mut cell = [0; 12 + 2 * 11];
    cell[..4].copy_from_slice(&(8 + 2 * groups.len() as i32).to_be_bytes());
    let parts = [groups.len() as u16, weight as u16, sign, scale];
    for (place, part) in cell[4..].chunks_exact_mut(2).zip(parts.iter().chain(groups.iter().rev())) {
        place.copy_from_slice(&part.to_be_bytes());
    }
    bytes.extend_from_slice(&cell[..12 + 2 * groups.len()]);
}

/// The server's complaint about a row, with the value that it complains of and the key of its row, where it says which row
/// and column those are: `…, line 3, column total_revenue`.
pub(super) fn complaint(error: anyhow::Error, batches: &[RecordBatch], key: &[&str]) -> anyhow::Error {
    let message = format!("{error:#}");
    match place(&message, batches, key) {
        Some(value) => error.context(value),
        None => error,
    }
}

fn place(message: &str, batches: &[RecordBatch], key: &[&str]) -> Option<String> {
    let (_, behind) = message.rsplit_once(", line ")?;
    let (line, column) = behind.split_once(", column ")?;
    let mut row = line.parse::<usize>().ok()?.checked_sub(1)?;
    let batch = batches.iter().find(|batch| {
        let is_within = row < batch.num_rows();
        if !is_within {
            row -= batch.num_rows();
        }
        is_within
    })?;
    let value = keys::shown(batch, row, column)?;
    Some(format!("column {column} is {value:?} in the row of {}", keys::shown_key(batch, row, key)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn encoded(columns: &[(&str, &str, ArrayRef)]) -> Result<Vec<u8>> {
        let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, _, array)| (*name, array.clone()))).unwrap();
        let columns = columns
            .iter()
            .map(|(name, type_name, _)| Column { name: (*name).to_owned(), type_name: (*type_name).to_owned() });
        let mut bytes = Vec::new();
        encode(&batch, &columns.collect::<Vec<_>>(), &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn rows_are_written_as_the_format_says() {
        let bytes = encoded(&[
            ("day", "date", Arc::new(Date32Array::from(vec![Some(10_957), None]))),
            ("count", "integer", Arc::new(Int32Array::from(vec![-2, 1]))),
            ("name", "text", Arc::new(StringArray::from(vec!["é", ""]))),
            ("parts", "jsonb", Arc::new(StringArray::from(vec![Some("{}"), None]))),
            (
                "at",
                "timestamp without time zone",
                Arc::new(TimestampMicrosecondArray::from(vec![0, 946_684_800_000_001])),
            ),
        ]);
        let expected: &[&[u8]] = &[
            &[0, 5],
            &[0, 0, 0, 4, 0, 0, 0, 0],
            &[0, 0, 0, 4, 255, 255, 255, 254],
            &[0, 0, 0, 2, 0xc3, 0xa9],
            &[0, 0, 0, 3, 1, b'{', b'}'],
            &[0, 0, 0, 8],
            &(-946_684_800_000_000_i64).to_be_bytes(),
            &[0, 5],
            &[255, 255, 255, 255],
            &[0, 0, 0, 4, 0, 0, 0, 1],
            &[0, 0, 0, 0],
            &[255, 255, 255, 255],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
        ];
        assert_eq!(bytes.unwrap(), expected.concat());
    }

    #[test]
    fn decimals_keep_every_digit() {
        // Read by the rules of numeric_recv, without a division.
        let read = |number, scale| {
            let mut bytes = Vec::new();
            numeric(&mut bytes, number, scale);
            let parts: Vec<i16> = bytes[4..].chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect();
            assert_eq!(i32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
            let [count, weight, sign, digits] = parts[..4] else { panic!() };
            let groups = &parts[4..];
            assert_eq!(groups.len(), count as usize);
            assert!(groups.first() != Some(&0) && groups.last() != Some(&0), "{groups:?}");
            let group = |power: i16| {
                let at = weight - power;
                if at < 0 { 0 } else { groups.get(at as usize).copied().unwrap_or(0) }
            };
            let whole: String = (0..=weight.max(0)).rev().map(|power| format!("{:04}", group(power))).collect();
            let part: String = (1..=10).map(|power| format!("{:04}", group(-power))).collect();
            let whole = whole.trim_start_matches('0');
            let (kept, lost) = part.split_at(digits as usize);
            assert!(lost.bytes().all(|digit| digit == b'0'), "{part}");
            let sign = if sign == 0x4000 { "-" } else { "" };
            format!("{sign}{}.{kept}", if whole.is_empty() { "0" } else { whole })
        };
        assert_eq!(read(0, 2), "0.00");
        assert_eq!(read(-5, 2), "-0.05");
        assert_eq!(read(-999_999_999_999_999_999, 2), "-9999999999999999.99");
        assert_eq!(read(1_000_000_000_000_000_000, 2), "10000000000000000.00", "nineteen digits, one too many");
        assert_eq!(read(10_000, 0), "10000.");
        assert_eq!(read(120_000_003, 4), "12000.0003");
        assert_eq!(read(7, 5), "0.00007");
        assert_eq!(read(i128::MIN, 0), "-170141183460469231731687303715884105728.");
        assert_eq!(read(i128::MIN, 1), "-17014118346046923173168730371588410572.8");
    }

    #[test]
    fn a_zero_character_is_an_error_that_names_the_column() {
        let error = encoded(&[("name", "text", Arc::new(StringArray::from(vec!["a\0b"])))]).unwrap_err();
        assert!(format!("{error:#}").starts_with("column name: "), "{error:#}");
    }

    #[test]
    fn a_complaint_quotes_the_value_and_the_key() {
        let batch = |first: i32| {
            let amounts = Decimal128Array::from(vec![1, 12_345]).with_precision_and_scale(4, 2).unwrap();
            let days: ArrayRef = Arc::new(Date32Array::from(vec![first, first + 1]));
            RecordBatch::try_from_iter([("day", days), ("amount", Arc::new(amounts) as ArrayRef)]).unwrap()
        };
        let said = |text: &str| complaint(anyhow::anyhow!("{text}"), &[batch(0), batch(2)], &["day"]);
        let told = said("overflow at COPY staged, line 4, column amount");
        assert_eq!(
            format!("{told:#}"),
            "column amount is \"123.45\" in the row of day 1970-01-04: overflow at COPY staged, line 4, column amount"
        );
        for unclear in ["overflow", "at COPY staged, line 5, column amount", "at COPY staged, line 1, column other"] {
            assert_eq!(format!("{:#}", said(unclear)), unclear);
        }
    }
}
