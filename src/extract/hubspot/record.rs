//! Records as HubSpot answers them: every property is text or null, and what was not asked for is absent.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Decimals that are kept. HubSpot calculates in binary fractions and spells them in full, which goes on for fifty
/// decimals; of those, the ones behind the eighteenth say nothing of the amount.
const DECIMALS: usize = 18;

/// The members of an object, each still as its text in the answer: of a hundred records a page, most of what is in them
/// is never looked at.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Key<'a>, &'a RawValue)>);

#[derive(Debug, Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Members<'a> {
    /// From the text of an object.
    pub(super) fn of(value: &'a RawValue) -> Result<Self> {
        ensure!(value.get().starts_with('{'), "it is {} where an object is expected", kind(value));
        Ok(serde_json::from_str(value.get())?)
    }

    /// The value of a member; the last one where there are several.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key.0 == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// An answer, as text.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    Ok(serde_json::from_str(std::str::from_utf8(body)?)?)
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub records: Vec<Members<'a>>,
    /// Where the next page begins; opaque.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    results: Option<Vec<Members<'a>>>,
    #[serde(borrow)]
    paging: Option<Paging<'a>>,
}

#[derive(Deserialize)]
struct Paging<'a> {
    #[serde(borrow)]
    next: Option<Next<'a>>,
}

#[derive(Deserialize)]
struct Next<'a> {
    #[serde(borrow)]
    after: Option<&'a RawValue>,
}

impl<'a> List<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self> {
        let answer: Answer = parse(body).map_err(|error| anyhow!("the answer is no listing: {error}"))?;
        let records = answer.results.context("the answer is no listing: it has no results")?;
        let after = answer.paging.and_then(|paging| paging.next).and_then(|next| next.after);
        let next = match after.map(RawValue::get) {
            None | Some("null") => None,
            Some(after) => match after.as_bytes()[0] {
                b'"' => Some(unquoted(after)?.into_owned()).filter(|after| !after.is_empty()),
                b'-' | b'0'..=b'9' => Some(after.to_owned()),
                _ => bail!("paging.next.after is neither text nor number"),
            },
        };
        Ok(List { records, next })
    }
}

/// How many records a search counts.
pub(super) fn total(body: &[u8]) -> Result<u64> {
    let answer: Members = parse(body)?;
    let total = answer.get("total").and_then(|total| total.get().parse().ok());
    total.context("the answer has no total")
}

/// A record's id, where it has one.
pub(super) fn id<'a>(record: &Members<'a>) -> Option<Cow<'a, str>> {
    text(record.get("id")).ok()?
}

/// What a text in quotation marks says.
fn unquoted(text: &str) -> Result<Cow<'_, str>> {
    let within = text.trim_matches('"');
    // Where nothing is escaped, what it says is what it looks like.
    if within.len() + 2 == text.len() && !within.contains('\\') {
        return Ok(Cow::Borrowed(within));
    }
    Ok(Cow::Owned(serde_json::from_str(text)?))
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// A value as text, trimmed; none when it is null, absent or empty.
pub(super) fn text(value: Option<&RawValue>) -> Result<Option<Cow<'_, str>>> {
    let Some(value) = value else { return Ok(None) };
    let text = match value.get().as_bytes()[0] {
        b'n' => return Ok(None),
        b'"' => trimmed(unquoted(value.get())?),
        b'-' | b'0'..=b'9' => Cow::Borrowed(value.get()),
        _ => bail!("it is {} where text is expected", kind(value)),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A truth value, which HubSpot spells as text in some places.
pub(super) fn flag(value: Option<&RawValue>) -> Result<Option<bool>> {
    match value.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(quoted) if quoted.starts_with('"') => match unquoted(quoted)?.trim() {
            "" => Ok(None),
            text if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            text if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => bail!("it is text that is neither true nor false"),
        },
        Some(_) => bail!("it is {} where true or false is expected", value.map_or("nothing", kind)),
    }
}

/// A whole number.
pub(super) fn integer(value: Option<&RawValue>) -> Result<Option<i64>> {
    let Some(text) = text(value)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| anyhow!("it is no whole number"))
}

/// A decimal to eighteen places.
pub(super) fn decimal(value: Option<&RawValue>) -> Result<Option<i128>> {
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
pub(super) fn instant(value: Option<&RawValue>) -> Result<Option<DateTime<Utc>>> {
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

/// What a value is, by how its text begins.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes()[0] {
        b'n' => "null",
        b't' | b'f' => "true or false",
        b'"' => "text",
        b'[' => "a list",
        b'{' => "an object",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A value as an answer spells it.
    fn raw(value: impl serde::Serialize) -> Box<RawValue> {
        serde_json::value::to_raw_value(&value).unwrap()
    }

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
            assert_eq!(decimal(Some(&raw(text))).unwrap(), Some(expected), "{text}");
        }
        for text in ["1,000", "abc", "1.2.3", "-", ".", "1e", "1e99", "0x10", "99999999999999999999999999", "--1"] {
            assert!(decimal(Some(&raw(text))).is_err(), "{text}");
        }
        assert_eq!(decimal(Some(&raw(43))).unwrap(), Some(43 * ONE), "a number is as good as its text");
        for nothing in [json!(""), json!("  "), json!(null)] {
            assert_eq!(decimal(Some(&raw(nothing))).unwrap(), None);
        }
        assert!(decimal(Some(&raw(true))).is_err() && decimal(Some(&raw(["1"]))).is_err());
    }

    #[test]
    fn instants_come_in_several_spellings() {
        let expected: DateTime<Utc> = "2026-02-25T16:23:49Z".parse().unwrap();
        for text in ["2026-02-25T16:23:49Z", "2026-02-25T16:23:49.000Z", "2026-02-25T10:23:49-06:00", "1772036629000"] {
            assert_eq!(instant(Some(&raw(text))).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(instant(Some(&raw(1_772_036_629_000_i64))).unwrap(), Some(expected));
        assert_eq!(instant(Some(&raw("2026-02-25"))).unwrap().unwrap().to_rfc3339(), "2026-02-25T00:00:00+00:00");
        for text in ["yesterday", "2026-02-30T00:00:00Z", "25/02/2026"] {
            assert!(instant(Some(&raw(text))).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_read_as_they_are_meant() {
        let read = |text: &str| {
            let value = RawValue::from_string(text.to_owned()).unwrap();
            super::text(Some(&value)).map(|text| text.map(Cow::into_owned)).map_err(|error| error.to_string())
        };
        for (spelled, meant) in [
            (r#""plain""#, Some("plain")),
            (r#"" \t Zürich ""#, Some("Zürich")),
            (r#""\"quoted\"""#, Some("\"quoted\"")),
            (r#""\"""#, Some("\"")),
            (r#""\u00e9\\""#, Some("é\\")),
            (r#""""#, None),
            (r#"" ""#, None),
            ("null", None),
            ("-1.50", Some("-1.50")),
        ] {
            assert_eq!(read(spelled).unwrap().as_deref(), meant, "{spelled}");
        }
        for (spelled, what) in [("true", "true or false"), ("[1]", "a list"), ("{}", "an object")] {
            assert_eq!(read(spelled).unwrap_err(), format!("it is {what} where text is expected"));
        }
        let object = RawValue::from_string(r#"{"a": 1, "\u0061b": "x", "a": 2}"#.to_owned()).unwrap();
        let members = Members::of(&object).unwrap();
        assert_eq!(members.get("a").unwrap().get(), "2", "the last of two");
        assert_eq!(members.get("ab").unwrap().get(), "\"x\"", "an escaped name");
        assert!(members.get("b").is_none() && Members::of(&raw([1])).is_err());
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
