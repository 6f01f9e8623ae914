//! The keys of rows: which of them come twice, and how they are told.

use anyhow::{Context, Result};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{DataType, Decimal128Type, DecimalType as _};
use arrow::record_batch::RecordBatch;
use arrow::row::{Row, RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A key that more than one row has, as `sales_date 2026-01-20`. The server would take any one of the rows for the row.
///
/// # Errors
/// A batch without a column of the key.
pub(super) fn repeated(batches: &[RecordBatch], key: &[&str]) -> Result<Option<String>> {
    let Some(first) = batches.first() else { return Ok(None) };
    let fields = key.iter().map(|name| Ok(SortField::new(first.schema().field_with_name(name)?.data_type().clone())));
    let converter = RowConverter::new(fields.collect::<Result<_>>()?)?;
    let mut keys: Vec<Rows> = Vec::with_capacity(batches.len());
    for batch in batches {
        let column = |name: &&str| batch.column_by_name(name).cloned().with_context(|| format!("the rows lack {name}"));
        keys.push(converter.convert_columns(&key.iter().map(column).collect::<Result<Vec<_>>>()?)?);
    }
    let mut sorted: Vec<(Row<'_>, usize, usize)> = Vec::with_capacity(keys.iter().map(Rows::num_rows).sum());
    for (at, keys) in keys.iter().enumerate() {
        sorted.extend(keys.iter().enumerate().map(|(row, key)| (key, at, row)));
    }
    // A mart's SQL hands its rows over in order, in which sorting only looks through them.
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0);
    Ok(twice.map(|pair| shown_key(&batches[pair[0].1], pair[0].2, key)))
}

/// The key of a row, as `sales_date 2026-01-20`.
pub(super) fn shown_key(batch: &RecordBatch, row: usize, key: &[&str]) -> String {
    let parts: Vec<String> =
        key.iter().map(|name| format!("{name} {}", shown(batch, row, name).unwrap_or_default())).collect();
    parts.join(", ")
}

/// A cell as text, where there is such a column.
pub(super) fn shown(batch: &RecordBatch, row: usize, column: &str) -> Option<String> {
    let array = batch.column_by_name(column)?;
    if let (DataType::Decimal128(_, scale), false) = (array.data_type(), array.is_null(row)) {
        // With all of its digits, also those beyond the precision.
        return Some(Decimal128Type::format_decimal(array.as_primitive::<Decimal128Type>().value(row), 38, *scale));
    }
    Some(ArrayFormatter::try_new(array, &FormatOptions::default()).ok()?.value(row).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};
    use proptest::prelude::*;

    use super::*;

    fn months(rows: &[(i32, i32)]) -> RecordBatch {
        let column =
            |of: fn(&(i32, i32)) -> i32| Arc::new(Int32Array::from_iter_values(rows.iter().map(of))) as ArrayRef;
        RecordBatch::try_from_iter([("year", column(|row| row.0)), ("month", column(|row| row.1))]).unwrap()
    }

    #[test]
    fn a_key_that_comes_twice_is_told_wherever_its_rows_are() {
        let told = |batches: &[RecordBatch]| repeated(batches, &["year", "month"]).unwrap();
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[months(&[(2026, 1), (2026, 2)]), months(&[(2027, 1), (2025, 12)])]), None);
        let apart = [months(&[(2026, 2), (2026, 1)]), months(&[]), months(&[(2025, 7), (2026, 2)])];
        assert_eq!(told(&apart).as_deref(), Some("year 2026, month 2"));
    }

    proptest! {
        #[test]
        fn a_key_is_found_twice_when_a_set_finds_it_twice(
            rows in proptest::collection::vec((-3..3_i32, 1..7_i32), 0..12), cut in 0..12_usize
        ) {
            let (one, other) = rows.split_at(cut.min(rows.len()));
            let mut seen = HashSet::new();
            let twice: HashSet<_> = rows.iter().filter(|row| !seen.insert(**row)).collect();
            let told = repeated(&[months(one), months(other)], &["year", "month"]).unwrap();
            let expected: Vec<_> = twice.iter().map(|(year, month)| format!("year {year}, month {month}")).collect();
            match told {
                None => prop_assert!(expected.is_empty(), "{expected:?}"),
                Some(key) => prop_assert!(expected.contains(&key), "{key} is not of {expected:?}"),
            }
        }
    }
}
