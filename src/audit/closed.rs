//! Closed months: a change to what is published of a month that is closed is held until somebody accepts it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Finding, Severity};
use crate::compute::{Compute, MartColumn, MartKind, mart_columns};
use crate::explain;
use crate::periods::first_of_month;

/// What findings of closed months are called.
pub const RULE: &str = "closed";

/// Columns that judge the figures of their row, with what they say before they do. A month may close before it is
/// judged: the first judgement of the same figures is no change to them.
const JUDGEMENTS: &[(&str, &str)] = &[("health_status", "unknown")];

/// A row of a closed month that is not what is published of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// First day of the row's period.
    pub period: NaiveDate,
    /// The cells that differ; of a row that is new all that are not null.
    pub cells: Vec<CellChange>,
    pub is_new: bool,
    pub prints: Prints,
}

/// A cell that differs, or a number in a JSON cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellChange {
    pub column: String,
    /// The number's place in a JSON column.
    pub entry: Option<String>,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// What tells a row that was held again: the run ledger keeps it in its detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prints {
    pub period: NaiveDate,
    /// SHA-256 of the row that is published; none where there is none.
    pub was: Option<String>,
    /// SHA-256 of the row that was held.
    pub becomes: String,
}

impl Change {
    /// As the audit tells it: it holds the row.
    pub fn finding(&self) -> Finding {
        let mut detail = format!("{} is closed", first_of_month(self.period).format("%Y-%m"));
        detail.push_str(if self.is_new { ", and has other rows; this one is new: " } else { ": " });
        for (at, cell) in self.cells.iter().enumerate() {
            let CellChange { column, entry, old, new } = cell;
            let place = entry.as_ref().map(|entry| format!(" {entry}")).unwrap_or_default();
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
            let comma = if at == 0 { "" } else { ", " };
            let _ = match self.is_new {
                true => write!(detail, "{comma}{column}{place} {}", text(new)),
                false => write!(detail, "{comma}{column}{place} {} → {}", text(old), text(new)),
            };
        }
        Finding { rule: RULE.to_owned(), severity: Severity::Error, period: Some(self.period), detail }
    }
}

/// The rows of the relation `mart` up to a day that are not what the relation `published` has for their periods, oldest
/// first. A row that is not published yet is a change where its month has other rows; the first of a month is none.
///
/// Figures are compared by value, JSON by what it says. Where a row came from (`source_system`) is no figure, and that
/// it is judged for the first time no change of one.
pub fn changes(compute: &Compute, until: Option<NaiveDate>) -> Result<Vec<Change>> {
    let Some(until) = until else { return Ok(Vec::new()) };
    let mart = compute.job().mart;
    let columns = mart_columns(mart)?;
    let (ours, theirs) = (compute.period_of("mart"), compute.period_of("published"));
    let cells =
        columns.iter().map(|MartColumn { name, .. }| format!("published.{name}::varchar, mart.{name}::varchar"));
    let sql = format!(
        "with months as (select distinct date_trunc('month', {theirs})::date as month_start from published)
        select {ours}::varchar, ({theirs} is not null)::varchar, {}
        from mart left join published on {ours} = {theirs}
        where {ours} <= date '{until}'
            and date_trunc('month', {ours})::date in (select month_start from months)
        order by 1",
        cells.collect::<Vec<_>>().join(", ")
    );
    let rows = compute.select(&sql)?.text().with_context(|| format!("comparing {mart} with what is published"))?;
    let mut changes = Vec::new();
    for row in rows {
        let mut row = row.into_iter();
        let period = row.next().flatten().context("a row without a period")?.parse()?;
        let is_new = row.next().flatten().as_deref() != Some("true");
        let (mut old, mut new) = (Vec::new(), Vec::new());
        while let Some((was, becomes)) = row.next().zip(row.next()) {
            old.push(was);
            new.push(becomes);
        }
        let mut cells = Vec::new();
        for (column, (old, new)) in columns.iter().zip(old.iter().zip(&new)) {
            cells.extend(differing(column, old.as_deref(), new.as_deref(), is_new)?);
        }
        if !cells.is_empty() {
            let was = (!is_new).then(|| print(&columns, &old));
            let prints = Prints { period, was, becomes: print(&columns, &new) };
            changes.push(Change { period, cells, is_new, prints });
        }
    }
    Ok(changes)
}

/// What of a cell differs: of JSON the numbers that do, or the whole where only its texts do.
fn differing(column: &MartColumn, old: Option<&str>, new: Option<&str>, is_new: bool) -> Result<Vec<CellChange>> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let whole = |old, new| CellChange { column: column.name.clone(), entry: None, old: owned(old), new: owned(new) };
    let is_judged = JUDGEMENTS.iter().any(|(name, before)| column.name == *name && old == Some(*before));
    if old == new || is_judged || (is_new && new.is_none()) {
        return Ok(Vec::new());
    }
    if column.kind != MartKind::Json || is_new {
        return Ok(vec![whole(old, new)]);
    }
    let parsed = |text: Option<&str>| text.map_or(Ok(Value::Null), serde_json::from_str::<Value>);
    if says_the_same(&parsed(old)?, &parsed(new)?) {
        return Ok(Vec::new());
    }
    let (olds, news) = (explain::numbers_of(column, old)?, explain::numbers_of(column, new)?);
    let text = |numbers: &BTreeMap<Option<String>, Option<Decimal>>, place: &Option<String>| {
        numbers.get(place).copied().flatten().map(|number| number.to_string())
    };
    let places = olds.keys().chain(news.keys()).filter(|place| place.is_some());
    let places: std::collections::BTreeSet<_> = places.filter(|place| olds.get(*place) != news.get(*place)).collect();
    let numbers = places.into_iter().map(|place| CellChange {
        column: column.name.clone(),
        entry: place.clone(),
        old: text(&olds, place),
        new: text(&news, place),
    });
    let numbers: Vec<_> = numbers.collect();
    Ok(if numbers.is_empty() { vec![whole(old, new)] } else { numbers })
}

/// Whether two documents say the same: members in any order, numbers by their value.
fn says_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let exact = |number: &serde_json::Number| number.to_string().parse::<Decimal>().ok();
            one == other || exact(one).is_some_and(|one| Some(one) == exact(other))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_the_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| says_the_same(value, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        (one, other) => one == other,
    }
}

/// The SHA-256 of a row, in hexadecimal.
fn print(columns: &[MartColumn], cells: &[Option<String>]) -> String {
    let mut digest = Sha256::new();
    for (column, cell) in columns.iter().zip(cells) {
        // Lengths tell where a cell ends, so that no text can pass for two.
        let text = cell.as_ref().map_or_else(|| "null".to_owned(), |text| format!("{} {text}", text.len()));
        digest.update(format!("{}={text}\n", column.name));
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        says_the_same(&serde_json::from_str(one).unwrap(), &serde_json::from_str(other).unwrap())
    }

    #[test]
    fn documents_are_compared_by_what_they_say() {
        assert!(same(r#"{"a": 1.50, "b": [1, {"c": null}]}"#, r#"{"b": [1.0, {"c": null}], "a": 1.5}"#));
        for (one, other) in [
            (r#"{"a": 1}"#, r#"{"a": 1, "b": null}"#),
            (r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "c": 2}"#),
            (r#"[1, 2]"#, r#"[2, 1]"#),
            (r#"[1]"#, r#"[1, 1]"#),
            (r#"{"a": 1}"#, r#"{"a": "1"}"#),
            (r#"{"a": 0.10}"#, r#"{"a": 0.11}"#),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} and {other}");
        }
    }

    #[test]
    fn the_first_judgement_is_no_change_and_every_other_one_is() {
        let column = |name: &str| MartColumn { name: name.into(), kind: MartKind::Text };
        let differs = |name: &str, old: &str, new: &str, is_new: bool| {
            !differing(&column(name), Some(old), Some(new), is_new).unwrap().is_empty()
        };
        assert!(!differs("health_status", "unknown", "critical", false));
        assert!(differs("health_status", "healthy", "critical", false));
        assert!(differs("health_status", "healthy", "unknown", false));
        assert!(differs("source_table", "unknown", "another", false));
        let new = differing(&column("health_status"), None, Some("unknown"), true).unwrap();
        assert_eq!(new.len(), 1, "of a new row everything is told");
    }

    #[test]
    fn of_a_document_the_numbers_that_moved_are_told() {
        let column = MartColumn { name: "by_type".into(), kind: MartKind::Json };
        let told = |old: &str, new: &str| {
            let cells = differing(&column, Some(old), Some(new), false).unwrap();
            cells.into_iter().map(|cell| (cell.entry, cell.old, cell.new)).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(told(r#"{"a": 1.50}"#, r#"{"a": 1.5}"#), []);
        assert_eq!(
            told(r#"{"a": {"n": 1, "v": 2}}"#, r#"{"a": {"n": 1, "v": 3}, "b": {"n": 4}}"#),
            [(text("a / v"), text("2"), text("3")), (text("b / n"), None, text("4"))]
        );
        assert_eq!(
            told(r#"{"a": "x"}"#, r#"{"a": "y"}"#),
            [(None, text(r#"{"a": "x"}"#), text(r#"{"a": "y"}"#))],
            "texts have no numbers"
        );
    }
}
