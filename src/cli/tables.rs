//! Results for people: pure functions from `report`'s data to text.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Number, Value};

use super::report::{Cell, MartReport, QueryResult, RunReport, Status};

/// A table with a heading; the columns in `right` hold numbers.
///
/// On a terminal it is fitted to its width; elsewhere a row stays a line, so that `grep` and `awk` work.
pub fn render(heads: &[&str], right: &[usize], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heads.iter().map(|head| head.to_uppercase()).collect::<Vec<_>>());
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// The table that closes a run: every mart, then what is wrong once more, with the command that shows more of it.
pub fn closing(report: &RunReport) -> String {
    let mut text = marts(&report.marts);
    let published = report.marts.iter().filter(|mart| matches!(mart.status, Status::Published)).count();
    let total = report.marts.len();
    let verb = if report.run.is_some() { "published" } else { "computed" };
    let good =
        if report.run.is_some() { published } else { report.marts.iter().filter(|mart| mart.status.is_good()).count() };
    let _ = write!(text, "\n{good} of {total} marts {verb}");
    if let Some(run) = &report.run {
        let _ = write!(text, " by run {run}");
    }
    if let Some(duration) = report.duration {
        let _ = write!(text, " in {}", seconds(duration));
    }
    text.push('\n');
    text.push_str(&troubles(report));
    text
}

/// One run in full: its marts and everything its audits found.
pub fn show(report: &RunReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "run      {}", report.run.as_deref().unwrap_or("-"));
    let _ = writeln!(text, "started  {}", instant(report.started_at));
    let _ = writeln!(text, "took     {}", report.duration.map_or_else(|| "unfinished".to_owned(), seconds));
    let _ = writeln!(text, "as of    {}", report.as_of.map_or_else(|| "-".to_owned(), |day| day.to_string()));
    text.push('\n');
    text.push_str(&marts(&report.marts));
    let findings: Vec<Vec<String>> = report
        .marts
        .iter()
        .flat_map(|mart| mart.findings.iter().map(move |finding| (mart, finding)))
        .map(|(mart, finding)| {
            vec![
                mart.org.clone(),
                mart.mart.clone(),
                if finding.holds { "error" } else { "warning" }.to_owned(),
                finding.rule.clone(),
                finding.period.clone().unwrap_or_else(|| "-".to_owned()),
                finding.detail.clone(),
            ]
        })
        .collect();
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&render(&["org", "mart", "severity", "rule", "period", "detail"], &[], findings.into_iter()));
    }
    for mart in report.marts.iter().filter(|mart| mart.error.is_some()) {
        let _ = writeln!(text, "\n{}/{}: {}", mart.job, mart.org, mart.error.as_deref().unwrap_or_default());
    }
    text
}

/// The last runs, newest first.
pub fn runs(reports: &[RunReport]) -> String {
    let rows = reports.iter().map(|report| {
        let count = |status: Status| report.marts.iter().filter(|mart| mart.status == status).count().to_string();
        vec![
            report.run.clone().unwrap_or_default(),
            instant(report.started_at),
            report.duration.map_or_else(|| "unfinished".to_owned(), seconds),
            report.as_of.map_or_else(|| "-".to_owned(), |day| day.to_string()),
            count(Status::Published),
            count(Status::PartlyHeld),
            count(Status::Held),
            count(Status::Failed),
        ]
    });
    let heads = ["run", "started", "took", "as of", "published", "partly held", "held", "failed"];
    render(&heads, &[2, 4, 5, 6, 7], rows)
}

fn marts(marts: &[MartReport]) -> String {
    let rows = marts.iter().map(|mart| {
        vec![
            mart.org.clone(),
            mart.mart.clone(),
            mart.landed.to_string(),
            mart.inserted.to_string(),
            mart.updated.to_string(),
            mart.unchanged.to_string(),
            seconds(mart.duration),
            mart.status.name().to_owned(),
        ]
    });
    let heads = ["org", "mart", "landed", "inserted", "updated", "unchanged", "took", "status"];
    render(&heads, &[2, 3, 4, 5, 6], rows)
}

/// What is wrong, a few lines a mart, last on the screen.
fn troubles(report: &RunReport) -> String {
    let mut text = String::new();
    for mart in &report.marts {
        let warnings = mart.findings.iter().filter(|finding| !finding.holds).count();
        if mart.status.is_good() && warnings == 0 {
            continue;
        }
        let what = if mart.status.is_good() { "warnings" } else { mart.status.name() };
        let _ = writeln!(text, "\n{}/{}: {what}", mart.job, mart.org);
        if let Some(error) = &mart.error {
            let _ = writeln!(text, "  {error}");
        }
        // The rows themselves, not only their number; five are enough to see what is going on.
        for finding in mart.findings.iter().take(5) {
            let severity = if finding.holds { "error" } else { "warning" };
            let period = finding.period.as_deref().map(|period| format!(" {period}")).unwrap_or_default();
            let _ = writeln!(text, "  {severity} {}{period}: {}", finding.rule, finding.detail);
        }
        if mart.findings.len() > 5 {
            let _ = writeln!(text, "  and {} more", mart.findings.len() - 5);
        }
        let _ = match &report.run {
            Some(run) => writeln!(text, "  more: marts show {run}"),
            None => writeln!(text, "  more: marts run {} --org {} --dry-run -v", mart.job, mart.org),
        };
    }
    text
}

/// An answer as a table.
pub fn query(result: &QueryResult) -> String {
    let heads: Vec<&str> = result.columns.iter().map(String::as_str).collect();
    let is_number = |column: usize| {
        let mut cells = result.rows.iter().map(|row| &row[column]).filter(|cell| **cell != Cell::Null).peekable();
        cells.peek().is_some() && cells.all(|cell| matches!(cell, Cell::Number(_)))
    };
    let right: Vec<usize> = (0..heads.len()).filter(|column| is_number(*column)).collect();
    let rows = result.rows.iter().map(|row| row.iter().map(|cell| text(cell, "-")).collect());
    let count = match result.rows.len() {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    format!("{}\n{count}\n", render(&heads, &right, rows))
}

/// An answer as CSV (RFC 4180). As Postgres writes it, a null is an empty field and an empty text is `""`.
pub fn csv(result: &QueryResult) -> String {
    let field = |text: &str| {
        if text.is_empty() || text.contains([',', '"', '\r', '\n']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let line = |fields: Vec<String>| fields.join(",") + "\r\n";
    let mut csv = line(result.columns.iter().map(|name| field(name)).collect());
    for row in &result.rows {
        let fields = row.iter().map(|cell| match cell {
            Cell::Null => String::new(),
            cell => field(&text(cell, "")),
        });
        csv.push_str(&line(fields.collect()));
    }
    csv
}

/// An answer as a JSON array with an object a row; numbers keep every digit.
pub fn json(result: &QueryResult) -> Value {
    let object = |row: &Vec<Cell>| {
        let fields = result.columns.iter().cloned().zip(row.iter().map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Bool(value) => Value::Bool(*value),
            Cell::Text(text) => Value::String(text.clone()),
            // NaN and infinities are no JSON numbers.
            Cell::Number(digits) => digits.parse::<Number>().map_or(Value::Null, Value::Number),
        }));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    Value::Array(result.rows.iter().map(object).collect())
}

fn text(cell: &Cell, null: &str) -> String {
    match cell {
        Cell::Null => null.to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Number(text) | Cell::Text(text) => text.clone(),
    }
}

fn instant(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `0.3 s`, `1 min 05 s`
pub fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        whole @ 0..60 => format!("{whole}.{} s", duration.subsec_millis() / 100),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}
