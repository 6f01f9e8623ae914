//! The report tree: rows of accounts and sections, and its JSON.

use std::collections::BTreeMap;

use chrono::Datelike;
use serde_json::{Map, Value, json};

use super::query::{ReportQuery, Span, SummarizeBy};
use crate::sandbox::business::services::{CHART, Kind};
use crate::sandbox::business::{Cents, text};

/// One amount a column; `None` where nothing was ever posted, which the service shows as an empty text.
pub(super) type Amounts = Vec<Option<Cents>>;

/// A row with its sum per column, ready to be added up by the section around it.
pub(super) struct Summed {
    pub(super) row: Value,
    pub(super) sums: Vec<Cents>,
}

/// A label and its cells; an empty amount is an empty text.
fn cells(label: &str, id: Option<&str>, amounts: impl IntoIterator<Item = String>) -> Value {
    let mut first = json!({ "value": label });
    if let Some(id) = id {
        first["id"] = json!(id);
    }
    let rest = amounts.into_iter().map(|amount| json!({ "value": amount }));
    Value::Array(std::iter::once(first).chain(rest).collect())
}

fn empty(columns: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(String::new(), columns)
}

fn filled(sums: &[Cents]) -> impl Iterator<Item = String> {
    sums.iter().map(|&sum| text(sum))
}

/// Column-wise sum.
pub(super) fn add<'a>(rows: impl IntoIterator<Item = &'a Summed>, columns: usize) -> Vec<Cents> {
    let mut total = vec![0; columns];
    for row in rows {
        for (total, sum) in total.iter_mut().zip(&row.sums) {
            *total += sum;
        }
    }
    total
}

/// A `Data` row.
pub(super) fn data(label: &str, id: Option<&str>, group: Option<&str>, amounts: &Amounts) -> Summed {
    let shown = amounts.iter().map(|amount| amount.map_or_else(String::new, text));
    let mut row = json!({ "ColData": cells(label, id, shown), "type": "Data" });
    if let Some(group) = group {
        row["group"] = json!(group);
    }
    Summed { row, sums: amounts.iter().map(|amount| amount.unwrap_or(0)).collect() }
}

/// A line that is computed, not added up from rows below it: a `Section` with a summary only.
pub(super) fn computed(label: &str, group: &str, sums: &[Cents]) -> Value {
    json!({ "Summary": { "ColData": cells(label, None, filled(sums)) }, "type": "Section", "group": group })
}

/// How a section is labelled.
#[derive(Clone, Copy)]
pub(super) struct Labels {
    pub(super) header: &'static str,
    pub(super) summary: &'static str,
    pub(super) group: &'static str,
}

/// A section of a statement. Without rows it has no `Rows` member, and its summary stays empty but for a total column.
pub(super) fn section(labels: Labels, rows: Vec<Summed>, columns: usize, has_total_column: bool) -> Summed {
    let sums = add(&rows, columns);
    let mut row = json!({ "Header": { "ColData": cells(labels.header, None, empty(columns)) } });
    let summary: Vec<String> = if !rows.is_empty() {
        filled(&sums).collect()
    } else if has_total_column {
        empty(columns - 1).chain(filled(&[0])).collect()
    } else {
        empty(columns).collect()
    };
    if !rows.is_empty() {
        let rows: Vec<Value> = rows.into_iter().map(|row| row.row).collect();
        row["Rows"] = json!({ "Row": rows });
    }
    row["Summary"] = json!({ "ColData": cells(labels.summary, None, summary) });
    row["type"] = json!("Section");
    row["group"] = json!(labels.group);
    Summed { row, sums }
}

/// The accounts of one kind as rows: a leaf is a `Data` row; an account with posted sub-accounts is a section whose header
/// carries the account's own amount and whose summary is own plus children. Accounts never posted to are left out.
pub(super) fn accounts(kind: Kind, amounts: &BTreeMap<&'static str, Amounts>, columns: usize) -> Vec<Summed> {
    below(None, kind, amounts, columns)
}

fn below(parent: Option<&str>, kind: Kind, amounts: &BTreeMap<&'static str, Amounts>, columns: usize) -> Vec<Summed> {
    let mut rows = Vec::new();
    for account in CHART.iter().filter(|account| account.kind == kind && account.parent == parent) {
        let children = below(Some(account.id), kind, amounts, columns);
        let own = amounts.get(account.id);
        if children.is_empty() {
            rows.extend(own.map(|own| data(account.name, Some(account.id), None, own)));
            continue;
        }
        let nothing = vec![None; columns];
        let own = data(account.name, Some(account.id), None, own.unwrap_or(&nothing));
        let mut sums = add(&children, columns);
        sums.iter_mut().zip(&own.sums).for_each(|(sum, own)| *sum += own);
        let children: Vec<Value> = children.into_iter().map(|child| child.row).collect();
        let row = json!({
            "Header": { "ColData": own.row["ColData"] },
            "Rows": { "Row": children },
            "Summary": { "ColData": cells(&format!("Total {}", account.name), None, filled(&sums)) },
            "type": "Section",
        });
        rows.push(Summed { row, sums });
    }
    rows
}

/// `Columns`: the label's, one per span, and a total where the report has one.
pub(super) fn columns(query: &ReportQuery) -> Value {
    let meta = |pairs: &[(&str, String)]| -> Value {
        pairs.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
    };
    let total = json!({ "ColTitle": "Total", "ColType": "Money", "MetaData": meta(&[("ColKey", "total".into())]) });
    let mut all =
        vec![json!({ "ColTitle": "", "ColType": "Account", "MetaData": meta(&[("ColKey", "account".into())]) })];
    if query.by == SummarizeBy::Total {
        all.push(total);
    } else {
        for span in query.spans() {
            let title = title(span, query.by);
            let dates =
                [("StartDate", span.start.to_string()), ("EndDate", span.end.to_string()), ("ColKey", title.clone())];
            all.push(json!({ "ColTitle": title, "ColType": "Money", "MetaData": meta(&dates) }));
        }
        all.extend(query.has_total_column().then_some(total));
    }
    json!({ "Column": all })
}

/// A whole month is `Jan 2026`, a part of one `Jan 1 - 20, 2026`; no reader should rely on either.
fn title(span: Span, by: SummarizeBy) -> String {
    let whole = span.start.day() == 1 && span.end.succ_opt().is_some_and(|next| next.day() == 1);
    match by {
        SummarizeBy::Days => span.start.format("%b %-d, %Y").to_string(),
        _ if whole => span.start.format("%b %Y").to_string(),
        _ => format!("{} - {}", span.start.format("%b %-d"), span.end.format("%-d, %Y")),
    }
}

/// A JSON object from pairs, in their order.
pub(super) fn object(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
