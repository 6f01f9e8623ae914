//! QuickBooks' reports, changed: every amount that is read is the one that stands there, or the report is refused.

use std::path::Path;

use marts::extract::quickbooks::Report;
use rand::seq::IndexedRandom as _;
use serde_json::Value;

use super::{change, must_be_a_line, trials};

fn recorded() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickbooks");
    let names = [
        "derived_json/balancesheet.json",
        "derived_json/cashflow.json",
        "derived_json/profitloss.json",
        "derived_json/balance_sheet_with_year_summary.json",
        "intuit-docs-samples/cashflow_2015.json",
        "intuit-docs-samples/profitandloss_2015-06.json",
    ];
    names.map(|name| serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()).to_vec()
}

/// The amount of a cell, in cents; none where the cell is empty. A second reading, by other means than the parser's.
fn cents(cell: &Value) -> Result<Option<i128>, String> {
    let text = match cell.get("value") {
        None | Some(Value::Null) if cell.is_object() => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        other => return Err(format!("{other:?}")),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).map(|text| format!("-{}", text.trim()));
    let bare = bare.unwrap_or(text.clone()).replace(',', "");
    let (sign, bare) = bare.strip_prefix('-').map_or((1, bare.trim_start_matches('+')), |bare| (-1, bare));
    let (whole, places) = bare.split_once('.').unwrap_or((bare, ""));
    let digits = format!("{whole}{places}");
    let is_amount = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let too_fine = places.get(2..).is_some_and(|rest| rest.bytes().any(|byte| byte != b'0'));
    if !is_amount || too_fine || digits.len() > 30 {
        return Err(text);
    }
    let hundredths: String = format!("{whole}{places:0<2}").chars().take(whole.len() + 2).collect();
    Ok(Some(sign * hundredths.parse::<i128>().unwrap()))
}

/// One or many, as QuickBooks writes lists.
fn each(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(many)) => many.iter().filter(|item| !item.is_null()).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

/// The amounts of a column of a report in its own order; headers of sections only where they have one.
fn amounts(rows: Option<&Value>, column: usize, found: &mut Vec<Result<Option<i128>, String>>) {
    for row in each(rows.and_then(|rows| rows.get("Row"))) {
        let cell = |cells: &Value| {
            let cells = each(Some(cells));
            // A line may have its label only.
            cells.get(column + 1).map_or(Ok(None), |cell| cents(cell))
        };
        if let Some(cells) = row.get("ColData") {
            found.push(cell(cells));
        }
        if let Some(cells) = row.get("Header").and_then(|header| header.get("ColData")) {
            let amount = cell(cells);
            if amount != Ok(None) {
                found.push(amount);
            }
        }
        amounts(row.get("Rows"), column, found);
        if let Some(cells) = row.get("Summary").and_then(|summary| summary.get("ColData")) {
            found.push(cell(cells));
        }
    }
}

/// Reads a page; what is read must be what stands there.
fn check(body: &[u8]) -> bool {
    let report = match Report::parse(body) {
        Ok(report) => report,
        Err(error) => {
            must_be_a_line(&error);
            return false;
        }
    };
    let page: Value = serde_json::from_slice(body).unwrap();
    let mut is_read = false;
    for column in 0..report.columns.len() {
        match report.lines(column) {
            Err(error) => must_be_a_line(&error),
            Ok(lines) => {
                let mut expected = Vec::new();
                amounts(page.get("Rows"), column, &mut expected);
                let read: Vec<_> = lines.iter().skip(1).map(|line| Ok(line.amount.map(i128::from))).collect();
                assert_eq!(read, expected, "column {column} of {page}");
                is_read = true;
            }
        }
    }
    is_read
}

#[test]
fn recorded_reports_are_read_as_they_stand() {
    for page in recorded() {
        assert!(check(page.to_string().as_bytes()));
    }
}

#[test]
fn changed_reports_are_refused_or_read_as_they_stand() {
    let recorded = recorded();
    let mut read = 0;
    trials("QuickBooks' reports", 20, |die| {
        let page = recorded.choose(die).unwrap();
        read += u64::from(check(&change::page(page, die)));
    });
    assert!(read > 0, "some changes leave a report");
}

#[test]
fn an_amount_that_is_none_is_never_read_as_nothing() {
    let recorded = recorded();
    trials("QuickBooks' amounts", 10, |die| {
        let mut page = recorded.choose(die).unwrap().clone();
        let mut cells = Vec::new();
        find_cells(&page, String::new(), &mut cells);
        let way = cells.choose(die).unwrap();
        *page.pointer_mut(way).unwrap() = change::odd(die);
        let mut expected = Vec::new();
        let report = Report::parse(page.to_string().as_bytes());
        let columns = report.as_ref().map_or(0, |report| report.columns.len());
        for column in 0..columns {
            amounts(page.get("Rows"), column, &mut expected);
        }
        let lines = report.and_then(|report| {
            (0..report.columns.len())
                .map(|column| report.lines(column).map(|lines| lines.len()))
                .collect::<Result<Vec<_>, _>>()
        });
        if expected.iter().any(Result::is_err) {
            assert!(lines.is_err(), "{way} of {page}");
        }
    });
}

/// The ways to cells with amounts.
fn find_cells(value: &Value, way: String, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                if way.ends_with("/ColData") && at > 0 && item.get("value").is_some() {
                    found.push(format!("{way}/{at}/value"));
                }
                find_cells(item, format!("{way}/{at}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                find_cells(member, format!("{way}/{name}"), found);
            }
        }
        _ => {}
    }
}
