//! Records as HubSpot answers them: every property is text or null, and what was not asked for is absent.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Decimals that are kept. HubSpot calculates in binary fractions and spells them in full, which goes on for fifty
/// decimals; of those, the ones behind the eighteenth say nothing of the amount.
const DECIMALS: usize = 18;

/// A page of a listing.
#[derive(Debug)]
pub(super) struct List {
    pub records: Vec<Value>,
    /// Where the next page begins; opaque.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    results: Option<Vec<Value>>,
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct Paging {
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    after: Option<Value>,
}

impl List {
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|error| anyhow!("the answer is no listing: {error}"))?;
        let records = answer.results.context("the answer is no listing: it has no results")?;
        let after = answer.paging.and_then(|paging| paging.next).and_then(|next| next.after);
        let next = match after {
            None | Some(Value::Null) => None,
            Some(Value::String(after)) if after.is_empty() => None,
            Some(Value::String(after)) => Some(after),
            Some(Value::Number(after)) => Some(after.to_string()),
            Some(_) => bail!("paging.next.after is neither text nor number"),
        };
        Ok(List { records, next })
    }
}

/// How many records a search counts.
pub(super) fn total(body: &[u8]) -> Result<u64> {
    let answer: Map<String, Value> = serde_json::from_slice(body)?;
    let total = answer.get("total").and_then(Value::as_u64);
    total.context("the answer has no total")
}

/// A record's id, where it has one.
pub(super) fn id(record: &Value) -> Option<String> {
    match record.get("id")? {
        Value::String(id) if !id.trim().is_empty() => Some(id.trim().to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// A value as text, trimmed; none when it is null, absent or empty.
pub(super) fn text(value: Option<&Value>) -> Result<Option<String>> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => bail!("it is {} where text is expected", kind(other)),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A truth value, which HubSpot spells as text in some places.
pub(super) fn flag(value: Option<&Value>) -> Result<Option<bool>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) => match text.trim() {
            "" => Ok(None),
            text if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            text if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => bail!("it is text that is neither true nor false"),
        },
        Some(other) => bail!("it is {} where true or false is expected", kind(other)),
    }
}

/// A whole number.
pub(super) fn integer(value: Option<&Value>) -> Result<Option<i64>> {
    let Some(text) = text(value)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| anyhow!("it is no whole number"))
}

/// A decimal to eighteen places.
pub(super) fn decimal(value: Option<&Value>) -> Result<Option<i128>> {
    let Some(text) = text(value)? else { return Ok(None) };
    scaled(&text).map(Some).with_context(|| "it is no number")
}

/// Digits, a point and perhaps an exponent, as a count of 10^-18, half away from zero.
fn scaled(text: &str) -> Result<i128> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().context("the exponent is none")?),
        None => (text, 0),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    ensure!(!all.is_empty() && all.bytes().all(|digit| digit.is_ascii_digit()), "it has other characters than digits");
    ensure!(exponent.abs() <= 64, "the exponent is out of range");
    // How many of the digits stand for whole units of 10^-18.
    let kept = whole.len() as i32 + exponent + DECIMALS as i32;
    let mut value: i128 = 0;
    for position in 0..kept.max(0) as usize {
        let digit = all.as_bytes().get(position).map_or(0, |digit| digit - b'0');
        value =
            value.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit))).context("it is too large")?;
    }
    let next = usize::try_from(kept).ok().and_then(|kept| all.as_bytes().get(kept));
    if next.is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    Ok(sign * value)
}

/// An instant: ISO 8601 with or without a fraction, a day, or milliseconds since 1970.
pub(super) fn instant(value: Option<&Value>) -> Result<Option<DateTime<Utc>>> {
    let Some(text) = text(value)? else { return Ok(None) };
    if let Ok(instant) = DateTime::parse_from_rfc3339(&text) {
        return Ok(Some(instant.to_utc()));
    }
    if let Ok(day) = NaiveDate::parse_from_str(&text, "%Y-%m-%d") {
        return Ok(Some(day.and_time(NaiveTime::MIN).and_utc()));
    }
    // Older bodies leave the zone out; HubSpot's times are UTC.
    if let Ok(instant) = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f") {
        return Ok(Some(instant.and_utc()));
    }
    let millis = text.parse::<i64>().ok().and_then(DateTime::from_timestamp_millis);
    millis.map(Some).context("it is no instant")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_keep_their_decimals() {
        const ONE: i128 = 1_000_000_000_000_000_000;
        for (text, expected) in [
            ("3000", 3000 * ONE),
            ("5000.00", 5000 * ONE),
            ("-0.005", -5 * ONE / 1000),
            ("+1.5", 15 * ONE / 10),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("1.0E7", 10_000_000 * ONE),
            ("1.25e-3", 125 * ONE / 100_000),
            ("1e-30", 0),
            ("0.200000000000000011102230246251565404236316680908203125", 200_000_000_000_000_011),
            ("0.0000000000000000005", 1),
            ("-0.0000000000000000005", -1),
            ("0.00000000000000000049", 0),
            ("0", 0),
        ] {
            assert_eq!(decimal(Some(&json!(text))).unwrap(), Some(expected), "{text}");
        }
        for text in ["1,000", "abc", "1.2.3", "-", ".", "1e", "1e99", "0x10", "99999999999999999999999999", "--1"] {
            assert!(decimal(Some(&json!(text))).is_err(), "{text}");
        }
        assert_eq!(decimal(Some(&json!(43))).unwrap(), Some(43 * ONE), "a number is as good as its text");
        for nothing in [json!(""), json!("  "), Value::Null] {
            assert_eq!(decimal(Some(&nothing)).unwrap(), None);
        }
        assert!(decimal(Some(&json!(true))).is_err() && decimal(Some(&json!(["1"]))).is_err());
    }

    #[test]
    fn instants_come_in_several_spellings() {
        let expected: DateTime<Utc> = "2026-02-25T16:23:49Z".parse().unwrap();
        for text in ["2026-02-25T16:23:49Z", "2026-02-25T16:23:49.000Z", "2026-02-25T10:23:49-06:00", "1772036629000"] {
            assert_eq!(instant(Some(&json!(text))).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(instant(Some(&json!(1_772_036_629_000_i64))).unwrap(), Some(expected));
        assert_eq!(instant(Some(&json!("2026-02-25"))).unwrap().unwrap().to_rfc3339(), "2026-02-25T00:00:00+00:00");
        for text in ["yesterday", "2026-02-30T00:00:00Z", "25/02/2026"] {
            assert!(instant(Some(&json!(text))).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listing_is_told_from_what_is_none() {
        let next = |body: &str| List::parse(body.as_bytes()).unwrap().next;
        assert_eq!(next(r#"{"results": []}"#), None);
        assert_eq!(next(r#"{"results": [], "paging": null}"#), None);
        assert_eq!(next(r#"{"results": [], "paging": {"next": null}}"#), None);
        assert_eq!(next(r#"{"results": [], "paging": {"next": {"after": "MTAw"}}}"#), Some("MTAw".into()));
        assert_eq!(next(r#"{"results": [], "paging": {"next": {"after": 100}}}"#), Some("100".into()));
        for none in ["{}", "{\"results\": null}", "{\"results\": {}}", "[]", "{\"results\": [], \"paging\": 3}"] {
            assert!(List::parse(none.as_bytes()).is_err(), "{none}");
        }
        assert_eq!(total(br#"{"total": 21, "results": []}"#).unwrap(), 21);
        assert!(total(br#"{"results": []}"#).is_err());
    }
}
