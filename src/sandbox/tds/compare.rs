//! Comparisons between values of different types, by SQL Server's type precedence.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    convert::{cast, exact, moment},
    error::SqlError,
    number, text,
    types::{SqlType, SqlValue},
};

/// Prepares a parameter once for comparisons with an expression of type `with`, so that a parameter that cannot be
/// compared is an error even where the table is empty.
pub(crate) fn prepare(value: SqlValue, own: SqlType, with: SqlType) -> Result<(SqlValue, SqlType), SqlError> {
    if value.is_null() || own.is_text() == with.is_text() {
        if !value.is_null() && family(own) != family(with) && !both_numbers(own, with) {
            return Err(SqlError::clash(own.name(), with.name()));
        }
        return Ok((value, own));
    }
    if with.is_text() {
        return Ok((value, own));
    }
    if let (SqlType::DateTime | SqlType::SmallDateTime, SqlValue::Text(given)) = (with, &value) {
        // A real server reads such text by the session's language: with a British login 2026-01-20 is the first of
        // the 20th month, and 2026-01-02 silently the wrong day. Here text is always refused.
        return Err(match text::parse_moment(given) {
            Some(_) => SqlError::date_range(own.name(), with.name()),
            None => SqlError::date_conversion(),
        });
    }
    Ok((cast(Cow::Owned(value), own, with)?.into_owned(), with))
}

#[derive(PartialEq)]
enum Family {
    Number,
    Moment,
    Text,
    Uuid,
}

fn family(sql_type: SqlType) -> Family {
    match sql_type {
        SqlType::DateTime | SqlType::SmallDateTime | SqlType::DateTime2(_) | SqlType::Date => Family::Moment,
        SqlType::UniqueIdentifier => Family::Uuid,
        t if t.is_text() => Family::Text,
        _ => Family::Number,
    }
}

fn both_numbers(left: SqlType, right: SqlType) -> bool {
    family(left) == Family::Number && family(right) == Family::Number
}

/// None when either side is NULL: the comparison is unknown, and no condition holds.
pub(crate) fn compare(
    left: &SqlValue,
    left_type: SqlType,
    right: &SqlValue,
    right_type: SqlType,
) -> Result<Option<Ordering>, SqlError> {
    if left.is_null() || right.is_null() {
        return Ok(None);
    }
    if let (SqlValue::Text(l), SqlValue::Text(r)) = (left, right) {
        return Ok(Some(text::compare(l, r)));
    }
    if left_type.is_text() {
        let left = cast(Cow::Borrowed(left), left_type, right_type)?;
        return compare(&left, right_type, right, right_type);
    }
    if right_type.is_text() {
        let right = cast(Cow::Borrowed(right), right_type, left_type)?;
        return compare(left, left_type, &right, left_type);
    }
    match (family(left_type), family(right_type)) {
        (Family::Moment, Family::Moment) => {
            // datetime meets datetime2 at the latter's 100 nanoseconds.
            let at = |value, own, other| match (own, other) {
                (SqlType::DateTime, SqlType::DateTime2(_)) => {
                    cast(Cow::Borrowed(value), own, SqlType::DateTime2(7)).and_then(|v| moment(&v, own, other))
                }
                _ => moment(value, own, other),
            };
            Ok(Some(at(left, left_type, right_type)?.cmp(&at(right, right_type, left_type)?)))
        }
        (Family::Number, Family::Number) => match (exact(left), exact(right)) {
            (Some(l), Some(r)) => Ok(Some(number::compare(l, r))),
            _ => {
                let l = cast(Cow::Borrowed(left), left_type, SqlType::Float)?;
                let r = cast(Cow::Borrowed(right), right_type, SqlType::Float)?;
                match (&*l, &*r) {
                    (SqlValue::Float(l), SqlValue::Float(r)) => Ok(l.partial_cmp(r)),
                    _ => Err(SqlError::clash(left_type.name(), right_type.name())),
                }
            }
        },
        (Family::Uuid, Family::Uuid) => match (left, right) {
            (SqlValue::Uuid(l), SqlValue::Uuid(r)) => Ok(Some(uuid_order(l).cmp(&uuid_order(r)))),
            _ => Err(SqlError::clash(left_type.name(), right_type.name())),
        },
        _ => Err(SqlError::clash(left_type.name(), right_type.name())),
    }
}

/// For ORDER BY: NULLs come first.
pub(crate) fn sort_order(left: &SqlValue, right: &SqlValue, sql_type: SqlType) -> Ordering {
    match (left.is_null(), right.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        // Both have one type, so nothing can fail to convert.
        (false, false) => compare(left, sql_type, right, sql_type).ok().flatten().unwrap_or(Ordering::Equal),
    }
}

/// SQL Server compares the last group of a uniqueidentifier first.
fn uuid_order(v: &[u8; 16]) -> [u8; 16] {
    let mut key = [0; 16];
    key[..6].copy_from_slice(&v[10..]);
    key[6..8].copy_from_slice(&v[8..10]);
    key[8..10].copy_from_slice(&[v[7], v[6]]);
    key[10..12].copy_from_slice(&[v[5], v[4]]);
    key[12..].copy_from_slice(&[v[3], v[2], v[1], v[0]]);
    key
}
