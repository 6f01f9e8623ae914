//! Conversions: what an INSERT does on the way in, what CAST does on the way out.

use std::borrow::Cow;

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::{
    error::SqlError,
    number, text,
    types::{SqlType, SqlValue, nanos, ticks},
};

type Result<T> = std::result::Result<T, SqlError>;

/// Brings a value into the form its column stores, as an INSERT would: blanks padded, decimals rounded to scale,
/// datetimes to 1/300 second. Text that is too long is refused instead of cut.
pub(crate) fn store(value: SqlValue, to: SqlType) -> Result<SqlValue> {
    let from = natural_type(&value);
    if let SqlValue::Text(text) = &value
        && let Some(limit) = to.length()
        && text::width(text.trim_end_matches(' '), to) > usize::from(limit)
    {
        return Err(SqlError::truncation());
    }
    match cast(Cow::Owned(value), from, to) {
        Ok(value) => Ok(value.into_owned()),
        Err(error) => Err(error),
    }
}

/// The type a bare value has when nothing was declared.
pub(crate) fn natural_type(value: &SqlValue) -> SqlType {
    match value {
        SqlValue::Null | SqlValue::Int(_) => SqlType::BigInt,
        SqlValue::Bit(_) => SqlType::Bit,
        SqlValue::Decimal { scale, .. } => SqlType::Decimal { precision: number::MAX_PRECISION, scale: *scale },
        SqlValue::Float(_) => SqlType::Float,
        SqlValue::Date(_) => SqlType::Date,
        SqlValue::DateTime(_) => SqlType::DateTime2(7),
        SqlValue::Text(_) => SqlType::NVarCharMax,
        SqlValue::Uuid(_) => SqlType::UniqueIdentifier,
    }
}

/// `CAST(value AS to)` where the value has type `from`. NULL stays NULL.
pub(crate) fn cast<'a>(value: Cow<'a, SqlValue>, from: SqlType, to: SqlType) -> Result<Cow<'a, SqlValue>> {
    if value.is_null() || (from == to && to.length().is_none() && is_settled(&value, to)) {
        return Ok(value);
    }
    let converted = match to {
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => integer(&value, from, to)?,
        SqlType::Bit => bit(&value, from)?,
        SqlType::Float | SqlType::Real => float(&value, from, to)?,
        SqlType::Money => decimal(&value, from, to, 19, 4)?,
        SqlType::SmallMoney => decimal(&value, from, to, 10, 4)?,
        SqlType::Decimal { precision, scale } => decimal(&value, from, to, precision, scale)?,
        SqlType::Date => SqlValue::Date(moment(&value, from, to)?.date()),
        SqlType::DateTime | SqlType::SmallDateTime | SqlType::DateTime2(_) => {
            SqlValue::DateTime(settle(moment(&value, from, to)?, from, to)?)
        }
        SqlType::UniqueIdentifier => match &*value {
            SqlValue::Uuid(_) => return Ok(value),
            SqlValue::Text(text) => SqlValue::Uuid(text::parse_uuid(text).ok_or_else(|| {
                SqlError::new(
                    8169,
                    2,
                    16,
                    "Conversion failed when converting from a character string to uniqueidentifier.",
                )
            })?),
            _ => return Err(SqlError::not_allowed(from.name(), to.name())),
        },
        SqlType::VarChar(_) | SqlType::NVarChar(_) | SqlType::Char(_) | SqlType::NChar(_) => {
            return text::cast(value, from, to);
        }
        SqlType::VarCharMax | SqlType::NVarCharMax => return text::cast(value, from, to),
    };
    Ok(Cow::Owned(converted))
}

/// Whether a value is already as its type stores it; dates and times then need no rounding.
fn is_settled(value: &SqlValue, sql_type: SqlType) -> bool {
    match (value, sql_type) {
        (SqlValue::Decimal { scale, .. }, SqlType::Decimal { scale: wanted, .. }) => *scale == wanted,
        (SqlValue::Decimal { scale, .. }, SqlType::Money | SqlType::SmallMoney) => *scale == 4,
        (SqlValue::Int(_), SqlType::BigInt)
        | (SqlValue::Bit(_), SqlType::Bit)
        | (SqlValue::Float(_), SqlType::Float) => true,
        (SqlValue::Date(_), SqlType::Date) | (SqlValue::Text(_), SqlType::NVarCharMax) => true,
        _ => false,
    }
}

/// The name SQL Server's messages use: decimals are "numeric" there.
pub(crate) fn message_name(sql_type: SqlType) -> &'static str {
    if matches!(sql_type, SqlType::Decimal { .. }) { "numeric" } else { sql_type.name() }
}

/// An exact number as mantissa and scale; none for floats, which are not exact.
pub(crate) fn exact(value: &SqlValue) -> Option<(i128, u8)> {
    match value {
        SqlValue::Int(v) => Some((i128::from(*v), 0)),
        SqlValue::Bit(v) => Some((i128::from(*v), 0)),
        SqlValue::Decimal { mantissa, scale } => Some((*mantissa, *scale)),
        _ => None,
    }
}

fn integer(value: &SqlValue, from: SqlType, to: SqlType) -> Result<SqlValue> {
    let overflow = || SqlError::overflow("expression", to.name());
    let whole = match value {
        SqlValue::Float(v) if v.is_finite() && v.abs() < 1e19 => v.trunc() as i128,
        SqlValue::Float(_) => return Err(overflow()),
        // An empty text is 0 to SQL Server.
        SqlValue::Text(text) if text.trim_matches(' ').is_empty() => 0,
        SqlValue::Text(text) => {
            let failed = || match to {
                SqlType::BigInt => SqlError::conversion(from.name(), to.name()),
                _ => SqlError::conversion_of(from.name(), text, to.name()),
            };
            if text.contains(['.', 'e', 'E']) {
                return Err(failed());
            }
            number::parse(text).ok_or_else(failed)?.0
        }
        _ => match (exact(value), from) {
            // Money rounds to an integer, decimals are cut.
            (Some((m, s)), SqlType::Money | SqlType::SmallMoney) => number::rescale(m, s, 0).ok_or_else(overflow)?,
            (Some((m, s)), _) => m / number::power_of_ten(s),
            (None, _) => return Err(SqlError::not_allowed(from.name(), to.name())),
        },
    };
    let range = match to {
        SqlType::TinyInt => 0..=255,
        SqlType::SmallInt => i128::from(i16::MIN)..=i128::from(i16::MAX),
        SqlType::Int => i128::from(i32::MIN)..=i128::from(i32::MAX),
        _ => i128::from(i64::MIN)..=i128::from(i64::MAX),
    };
    if range.contains(&whole) { Ok(SqlValue::Int(whole as i64)) } else { Err(overflow()) }
}

fn bit(value: &SqlValue, from: SqlType) -> Result<SqlValue> {
    let set = match value {
        SqlValue::Float(v) => *v != 0.0,
        SqlValue::Text(text) => match text.trim_matches(' ') {
            "" => false,
            t if t.eq_ignore_ascii_case("true") => true,
            t if t.eq_ignore_ascii_case("false") => false,
            t => match t.parse::<i64>() {
                Ok(number) => number != 0,
                Err(_) => return Err(SqlError::conversion_of(from.name(), text, "bit")),
            },
        },
        _ => exact(value).ok_or_else(|| SqlError::not_allowed(from.name(), "bit"))?.0 != 0,
    };
    Ok(SqlValue::Bit(set))
}

fn float(value: &SqlValue, from: SqlType, to: SqlType) -> Result<SqlValue> {
    let number = match value {
        SqlValue::Float(v) => *v,
        SqlValue::Text(text) if text.trim_matches(' ').is_empty() => 0.0,
        SqlValue::Text(text) => {
            text.trim_matches(' ').parse::<f64>().map_err(|_| SqlError::conversion(from.name(), to.name()))?
        }
        // Through the text, so that 0.1 becomes the nearest float to 0.1.
        _ => match exact(value) {
            Some((m, s)) => number::to_text(m, s).parse().unwrap_or(f64::NAN),
            None => return Err(SqlError::not_allowed(from.name(), to.name())),
        },
    };
    let number = if to == SqlType::Real { f64::from(number as f32) } else { number };
    if number.is_finite() { Ok(SqlValue::Float(number)) } else { Err(SqlError::overflow("expression", to.name())) }
}

fn decimal(value: &SqlValue, from: SqlType, to: SqlType, precision: u8, scale: u8) -> Result<SqlValue> {
    let (name, overflow) = (message_name(to), || SqlError::overflow(message_name(from), message_name(to)));
    let (mantissa, from_scale) = match value {
        SqlValue::Float(v) => number::from_float(*v).ok_or_else(overflow)?,
        SqlValue::Text(text) => number::parse(text).ok_or_else(|| SqlError::conversion(from.name(), name))?,
        _ => exact(value).ok_or_else(|| SqlError::not_allowed(from.name(), name))?,
    };
    let fitted = match to {
        // Money is a 64-bit count of ten-thousandths, so its bounds are binary ones.
        SqlType::Money => number::rescale(mantissa, from_scale, 4).filter(|m| i64::try_from(*m).is_ok()),
        SqlType::SmallMoney => number::rescale(mantissa, from_scale, 4).filter(|m| i32::try_from(*m).is_ok()),
        _ => number::fit(mantissa, from_scale, precision, scale),
    };
    fitted.map(|mantissa| SqlValue::Decimal { mantissa, scale }).ok_or_else(overflow)
}

/// Any date or time, or text that reads as one, as a point in time.
pub(crate) fn moment(value: &SqlValue, from: SqlType, to: SqlType) -> Result<NaiveDateTime> {
    match value {
        SqlValue::Date(v) => Ok(v.and_time(NaiveTime::MIN)),
        SqlValue::DateTime(v) => Ok(*v),
        SqlValue::Text(text) => text::parse_moment(text).ok_or_else(SqlError::date_conversion),
        _ => Err(SqlError::not_allowed(message_name(from), to.name())),
    }
}

/// Rounds to what the type stores and checks its range.
fn settle(value: NaiveDateTime, from: SqlType, to: SqlType) -> Result<NaiveDateTime> {
    let midnight = value.date().and_time(NaiveTime::MIN);
    let out_of_range = || SqlError::date_range(from.name(), to.name());
    let (since_midnight, first_year, last) = match to {
        SqlType::DateTime => (from_ticks(ticks(value.time())), 1753, NaiveDate::from_ymd_opt(9999, 12, 31)),
        SqlType::SmallDateTime => {
            // Cut to milliseconds first: 29.998 seconds stay in their minute, 29.999 go to the next.
            let millis = nanos(value.time()) / 1_000_000;
            ((millis + 30_001) / 60_000 * 60_000_000_000, 1900, NaiveDate::from_ymd_opt(2079, 6, 6))
        }
        SqlType::DateTime2(scale) => {
            let unit = 10u64.pow(9 - u32::from(scale.min(7)));
            ((nanos(value.time()) + unit / 2) / unit * unit, 1, NaiveDate::from_ymd_opt(9999, 12, 31))
        }
        _ => (nanos(value.time()), 1, NaiveDate::from_ymd_opt(9999, 12, 31)),
    };
    let first = NaiveDate::from_ymd_opt(first_year, 1, 1);
    midnight
        .checked_add_signed(Duration::nanoseconds(since_midnight as i64))
        .filter(|v| first.is_some_and(|first| v.date() >= first) && last.is_some_and(|last| v.date() <= last))
        .ok_or_else(out_of_range)
}

/// 1/300 seconds in nanoseconds, rounded; `types::ticks` gives the same ticks back.
pub(crate) fn from_ticks(ticks: u64) -> u64 {
    (ticks * 10_000_000 + 1) / 3
}

/// The nanoseconds of a second that a datetime2(scale) shows.
pub(crate) fn fraction(time: NaiveTime, scale: u8) -> u32 {
    time.nanosecond() / 10u32.pow(9 - u32::from(scale.clamp(1, 7)))
}
