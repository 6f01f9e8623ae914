//! Members of Zoom's records, one by one. Messages name the member, never its value.

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub(super) type Record = Map<String, Value>;

/// A text; none when absent, null or blank. Ids of digits alone may come as numbers, whose digits are kept.
pub(super) fn text(record: &Record, name: &str) -> Result<Option<String>> {
    Ok(match record.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(other) => bail!("{name} is {} where text is expected", kind(other)),
    })
}

/// The first of several members that says something.
pub(super) fn first_text(record: &Record, names: &[&str]) -> Result<Option<String>> {
    for name in names {
        if let Some(text) = text(record, name)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// A count; none when absent, null or blank.
pub(super) fn count(record: &Record, name: &str) -> Result<Option<i64>> {
    let number = match record.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Number(number)) => number.as_i64(),
        Some(other) => bail!("{name} is {} where a whole number is expected", kind(other)),
    };
    let number = number.with_context(|| format!("{name} is no whole number"))?;
    ensure!(number >= 0, "{name} is below zero");
    Ok(Some(number))
}

/// An instant with its offset; none when absent, null or blank.
pub(super) fn instant(record: &Record, name: &str) -> Result<Option<DateTime<Utc>>> {
    let Some(text) = text(record, name)? else { return Ok(None) };
    let instant = DateTime::parse_from_rfc3339(&text);
    Ok(Some(instant.ok().with_context(|| format!("{name} is no instant with an offset"))?.to_utc()))
}

/// A word of Zoom's as it is landed: `No Answer` and `no_answer` are one.
pub(super) fn word(text: &str) -> String {
    let letters = text.trim().chars().map(|letter| if letter == ' ' || letter == '-' { '_' } else { letter });
    letters.collect::<String>().to_lowercase()
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
