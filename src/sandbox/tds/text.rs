//! Text: casts to it, reading dates out of it, and how SQL Server compares it.

use std::{borrow::Cow, cmp::Ordering};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::{
    convert::{fraction, message_name},
    error::SqlError,
    number,
    types::{SqlType, SqlValue},
};

/// Length in the unit a type counts: UTF-16 units or windows-1252 bytes.
pub(crate) fn width(text: &str, sql_type: SqlType) -> usize {
    if sql_type.is_unicode() { text.encode_utf16().count() } else { text.chars().count() }
}

/// `CAST(value AS text type)`: cuts what is too long, pads char and nchar, and turns what windows-1252 lacks into `?`.
pub(crate) fn cast<'a>(value: Cow<'a, SqlValue>, from: SqlType, to: SqlType) -> Result<Cow<'a, SqlValue>, SqlError> {
    let limit = to.length().map_or(usize::MAX, usize::from);
    let padded = matches!(to, SqlType::Char(_) | SqlType::NChar(_));
    if let SqlValue::Text(text) = &*value {
        let length = width(text, to);
        let known = to.is_unicode() || text.is_ascii();
        if length <= limit && known && !(padded && length < limit) {
            return Ok(value);
        }
        return Ok(Cow::Owned(SqlValue::Text(shape(text, to, limit, padded))));
    }
    let text = printed(&value, from);
    if width(&text, to) > limit {
        // A number is never cut: it becomes a star or an error.
        return match &*value {
            SqlValue::Int(_) if !to.is_unicode() => Ok(Cow::Owned(SqlValue::Text(shape("*", to, limit, padded)))),
            SqlValue::Int(_) => Err(SqlError::overflow("expression", to.name())),
            SqlValue::Uuid(_) => {
                Err(SqlError::new(8170, 2, 16, "Insufficient result space to convert uniqueidentifier value to char."))
            }
            SqlValue::Decimal { .. } | SqlValue::Float(_) => Err(SqlError::overflow(message_name(from), to.name())),
            _ => Ok(Cow::Owned(SqlValue::Text(shape(&text, to, limit, padded)))),
        };
    }
    Ok(Cow::Owned(SqlValue::Text(shape(&text, to, limit, padded))))
}

fn shape(text: &str, to: SqlType, limit: usize, padded: bool) -> String {
    let mut out = String::with_capacity(if padded { limit } else { text.len() });
    let mut used = 0;
    for mut c in text.chars() {
        let size = if to.is_unicode() { c.len_utf16() } else { 1 };
        if used + size > limit {
            break;
        }
        if !to.is_unicode() && !c.is_ascii() && encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut [0; 4])).2 {
            c = '?';
        }
        out.push(c);
        used += size;
    }
    if padded {
        out.extend(std::iter::repeat_n(' ', limit - used));
    }
    out
}

/// A value that is not text as SQL Server prints it (style 0).
fn printed(value: &SqlValue, from: SqlType) -> String {
    match value {
        SqlValue::Null => String::new(),
        SqlValue::Int(v) => v.to_string(),
        SqlValue::Bit(v) => u8::from(*v).to_string(),
        // Money shows two places.
        SqlValue::Decimal { mantissa, scale } if matches!(from, SqlType::Money | SqlType::SmallMoney) => {
            number::to_text(number::rescale(*mantissa, *scale, 2).unwrap_or_default(), 2)
        }
        SqlValue::Decimal { mantissa, scale } => number::to_text(*mantissa, *scale),
        SqlValue::Float(v) => printed_float(*v),
        SqlValue::Date(v) => v.format("%Y-%m-%d").to_string(),
        SqlValue::DateTime(v) => match from {
            SqlType::DateTime2(0) => v.format("%Y-%m-%d %H:%M:%S").to_string(),
            SqlType::DateTime2(scale) => {
                let digits = usize::from(scale.min(7));
                format!("{}.{:0digits$}", v.format("%Y-%m-%d %H:%M:%S"), fraction(v.time(), scale))
            }
            _ => v.format("%b %e %Y %l:%M%p").to_string(),
        },
        SqlValue::Text(v) => v.clone(),
        SqlValue::Uuid(b) => {
            let hex = |range: std::ops::Range<usize>| b[range].iter().map(|v| format!("{v:02X}")).collect::<String>();
            format!("{}-{}-{}-{}-{}", hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16))
        }
    }
}

/// Six significant digits, as `%g` prints them but with three digits of exponent.
fn printed_float(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let bare = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if (-5..6).contains(&exponent) {
        bare(&format!("{value:.*}", (5 - exponent).max(0) as usize))
    } else {
        format!("{}e{}{:03}", bare(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }
}

/// Reads a date, or a date and a time, in the ISO forms. Nothing that depends on the session's language.
pub(crate) fn parse_moment(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim_matches(' ');
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = date.split('-');
    let date = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (whole, None, None, None) if digits(whole, 8) => NaiveDate::parse_from_str(whole, "%Y%m%d").ok()?,
        (y, Some(m), Some(d), None) if digits(y, 4) && digits(m, 2) && digits(d, 2) => {
            NaiveDate::from_ymd_opt(y.parse().ok()?, m.parse().ok()?, d.parse().ok()?)?
        }
        _ => return None,
    };
    let time = match time {
        Some(time) => {
            NaiveTime::parse_from_str(time, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M")).ok()?
        }
        None => NaiveTime::MIN,
    };
    Some(date.and_time(time))
}

pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.trim_matches(' ');
    let bare = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let groups: Vec<&str> = bare.split('-').collect();
    if !bare.is_ascii() || groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let mut out = [0; 16];
    hex::decode_to_slice(groups.concat(), &mut out).ok()?;
    Some(out)
}

/// Case does not count, nor do trailing blanks.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_end_matches(' '), right.trim_end_matches(' '));
    let folded = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    if left.is_ascii() && right.is_ascii() {
        return left.bytes().map(|b| b.to_ascii_lowercase()).cmp(right.bytes().map(|b| b.to_ascii_lowercase()));
    }
    folded(left).cmp(&folded(right))
}
