//! Results for people: pure functions from `report`'s data to text.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::{Map, Number, Value};

use super::report::{Cell, MartReport, QueryResult, RunReport, Status};
use crate::audit::closed;
use crate::explain::{explained_columns, tells_the_period};
use crate::jobs::JOBS;

/// A table with a heading; the columns in `right` hold numbers.
///
/// On a terminal it is fitted to its width; elsewhere a row stays a line, so that `grep` and `awk` work.
pub fn render(heads: &[&str], right: &[usize], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = plain(heads.iter().map(|head| head.to_uppercase()).collect(), right, rows);
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        // What a row is about is never broken in two.
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt() + "\n"
}

fn plain(heads: Vec<String>, right: &[usize], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if right.contains(&column.index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table that closes a run: every mart, then what is wrong once more, with the command that shows more of it.
/// `marts` is how that command begins.
pub fn closing(report: &RunReport, marts: &str) -> String {
    let mut text = mart_lines(&report.marts);
    let good = report.marts.iter().filter(|mart| mart.status.is_good()).count();
    let verb = if report.run.is_some() { "published" } else { "computed" };
    let _ = write!(text, "\n{good} of {} marts {verb}", report.marts.len());
    if let Some(run) = &report.run {
        let _ = write!(text, " by run {run}");
    }
    if let Some(duration) = report.duration {
        let _ = write!(text, " in {}", seconds(duration));
    }
    text.push('\n');
    text.push_str(&troubles(report, marts));
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
    text.push_str(&mart_lines(&report.marts));
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
            count(Status::Skipped),
        ]
    });
    let heads = ["run", "started", "took", "as of", "published", "partly held", "held", "failed", "skipped"];
    render(&heads, &[2, 4, 5, 6, 7, 8], rows)
}

fn mart_lines(marts: &[MartReport]) -> String {
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

/// So many rows that break a rule are shown of a mart when a run closes; `marts show` has all.
const ERRORS_SHOWN: usize = 20;
/// So many warnings.
const WARNINGS_SHOWN: usize = 5;

/// What is wrong, mart by mart, last on the screen.
fn troubles(report: &RunReport, marts: &str) -> String {
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
        // The rows themselves, not only their number.
        for (severity, holds, limit) in [("error", true, ERRORS_SHOWN), ("warning", false, WARNINGS_SHOWN)] {
            let findings: Vec<_> = mart.findings.iter().filter(|finding| finding.holds == holds).collect();
            for finding in findings.iter().take(limit) {
                let period = finding.period.as_deref().map(|period| format!(" {period}")).unwrap_or_default();
                let _ = writeln!(text, "  {severity} {}{period}: {}", finding.rule, finding.detail);
            }
            if findings.len() > limit {
                let _ = writeln!(text, "  … and {} more {severity}s", findings.len() - limit);
            }
        }
        let Some(run) = &report.run else {
            let _ = writeln!(text, "  more: {marts} run {} --org {} --dry-run -v", mart.job, mart.org);
            continue;
        };
        let _ = writeln!(text, "  more: {marts} show {run}");
        if let Some((column, period)) = deeper(mart) {
            let MartReport { org, mart, .. } = mart;
            let _ = writeln!(text, "        {marts} explain {mart}.{column} --org {org} --period {period} --run {run}");
        }
        if is_acceptable(mart) {
            let MartReport { org, mart, .. } = mart;
            let _ = writeln!(text, "        {marts} accept {run} --org {org} --mart {mart} --reason '…'");
        }
    }
    text
}

/// A cell of a row that is held, to be looked into: of the first such row the first number that its finding names, or else
/// the mart's first.
fn deeper(mart: &MartReport) -> Option<(String, String)> {
    let job = JOBS.iter().find(|job| job.mart == mart.mart)?;
    let finding = mart.findings.iter().find(|finding| finding.holds && finding.period.is_some())?;
    let columns = explained_columns(job).ok()?;
    let names: Vec<_> = columns.into_iter().map(|column| column.name).filter(|name| !tells_the_period(name)).collect();
    let words: Vec<_> = finding.detail.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let named = words.iter().find_map(|word| names.iter().find(|name| name == word));
    Some((named.or(names.first())?.clone(), finding.period.clone()?))
}

/// Whether a row is held because of its closed month alone, which somebody may accept.
fn is_acceptable(mart: &MartReport) -> bool {
    let others = |period: &Option<String>| {
        mart.findings.iter().any(|finding| {
            finding.holds && finding.rule != closed::RULE && (finding.period.is_none() || finding.period == *period)
        })
    };
    mart.findings.iter().any(|finding| finding.rule == closed::RULE && !others(&finding.period))
}

/// An answer as a table.
pub fn query(result: &QueryResult) -> String {
    if result.columns.is_empty() {
        return "0 rows\n".to_owned();
    }
    let is_number = |column: usize| {
        let mut cells = result.rows.iter().map(|row| &row[column]).filter(|cell| **cell != Cell::Null).peekable();
        cells.peek().is_some() && cells.all(|cell| matches!(cell, Cell::Number(_)))
    };
    let right: Vec<usize> = (0..result.columns.len()).filter(|column| is_number(*column)).collect();
    let rows = result.rows.iter().map(|row| row.iter().map(|cell| text(cell, "-")).collect());
    let count = match result.rows.len() {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    format!("{}\n\n{count}\n", plain(result.columns.clone(), &right, rows).trim_fmt())
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

/// `1 pull`, `2 pulls`
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `0.3 s`, `1 min 05 s`
pub fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        whole @ 0..60 => format!("{whole}.{} s", duration.subsec_millis() / 100),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::report::Finding;
    use super::*;

    fn mart(org: &str, status: Status) -> MartReport {
        MartReport {
            org: org.to_owned(),
            job: "etl_sales_daily".to_owned(),
            mart: "mart_sales_daily".to_owned(),
            status,
            landed: 5148,
            inserted: 1,
            updated: 2,
            unchanged: 42,
            duration: Duration::from_millis(1250),
            findings: Vec::new(),
            error: None,
        }
    }

    fn report() -> RunReport {
        let finding = Finding {
            rule: "parts_sum_to_total".to_owned(),
            holds: true,
            period: Some("2026-01-19".to_owned()),
            detail: "lines say 10.00, the total says 10.01".to_owned(),
        };
        let failed = Some("pulling softbase_invoices: login failed".to_owned());
        RunReport {
            run: Some("42".to_owned()),
            started_at: DateTime::UNIX_EPOCH,
            duration: Some(Duration::from_secs(65)),
            as_of: "2026-01-20".parse().ok(),
            marts: vec![
                mart("bennett", Status::Published),
                MartReport { findings: vec![finding], ..mart("ips", Status::PartlyHeld) },
                MartReport { error: failed, landed: 0, ..mart("north", Status::Failed) },
            ],
        }
    }

    #[test]
    fn a_run_closes_with_its_troubles_last() {
        let expected = "\
ORG      MART              LANDED  INSERTED  UPDATED  UNCHANGED   TOOK  STATUS
bennett  mart_sales_daily    5148         1        2         42  1.2 s  published
ips      mart_sales_daily    5148         1        2         42  1.2 s  partly held
north    mart_sales_daily       0         1        2         42  1.2 s  FAILED

1 of 3 marts published by run 42 in 1 min 05 s

etl_sales_daily/ips: partly held
  error parts_sum_to_total 2026-01-19: lines say 10.00, the total says 10.01
  more: marts show 42
        marts explain mart_sales_daily.service_revenue --org ips --period 2026-01-19 --run 42

etl_sales_daily/north: FAILED
  pulling softbase_invoices: login failed
  more: marts show 42
";
        assert_eq!(closing(&report(), "marts"), expected);
    }

    #[test]
    fn every_row_that_breaks_a_rule_is_shown_up_to_a_limit_and_what_may_be_accepted() {
        let finding = |rule: &str, holds, at: usize| Finding {
            rule: rule.to_owned(),
            holds,
            period: Some(format!("2025-12-{at:02}")),
            detail: "2025-12 is closed: total_revenue 1.00 → 2.00".to_owned(),
        };
        let closing_with = |findings: Vec<Finding>| {
            let marts = vec![MartReport { findings, ..mart("ips", Status::PartlyHeld) }];
            closing(&RunReport { marts, ..report() }, "marts")
        };
        let held: Vec<_> = (1..=22).map(|at| finding("closed", true, at)).collect();
        let text = closing_with([held, (1..=6).map(|at| finding("volume", false, at)).collect()].concat());
        assert_eq!(text.matches("  error closed 2025-12-").count(), 20, "{text}");
        assert_eq!(text.matches("  warning volume 2025-12-").count(), 5, "{text}");
        assert!(text.contains("  … and 2 more errors\n") && text.contains("  … and 1 more warnings\n"), "{text}");
        assert!(text.ends_with(
            "  more: marts show 42
        marts explain mart_sales_daily.total_revenue --org ips --period 2025-12-01 --run 42
        marts accept 42 --org ips --mart mart_sales_daily --reason '…'
"
        ));
        // What breaks another rule too is not to be accepted.
        let text = closing_with(vec![finding("closed", true, 1), finding("counts", true, 1)]);
        assert!(!text.contains("accept"), "{text}");
        let text = closing_with(vec![finding("closed", true, 1), finding("counts", true, 2)]);
        assert!(text.contains("marts accept 42"), "{text}");
    }

    #[test]
    fn a_run_is_a_line_of_the_list() {
        let expected = "\
RUN  STARTED                     TOOK  AS OF       PUBLISHED  PARTLY HELD  HELD  FAILED  SKIPPED
42   1970-01-01 00:00:00Z  1 min 05 s  2026-01-20          1            1     0       1        0
";
        assert_eq!(runs(&[report()]), expected);
    }

    #[test]
    fn show_tells_every_finding_and_every_error() {
        let text = show(&report());
        assert!(text.starts_with("run      42\nstarted  1970-01-01 00:00:00Z\n"), "{text}");
        assert!(text.contains("lines say 10.00, the total says 10.01"), "{text}");
        assert!(text.ends_with("etl_sales_daily/north: pulling softbase_invoices: login failed\n"), "{text}");
    }

    fn answer() -> QueryResult {
        let text = |text: &str| Cell::Text(text.to_owned());
        let number = |digits: &str| Cell::Number(digits.to_owned());
        QueryResult {
            columns: vec!["name".to_owned(), "amount".to_owned(), "paid".to_owned()],
            rows: vec![
                vec![text("O'Neil, \"Jr\""), number("1234567890123456.70"), Cell::Bool(true)],
                vec![text(""), Cell::Null, Cell::Null],
            ],
        }
    }

    #[test]
    fn an_answer_keeps_its_digits_in_every_format() {
        let table = "\
name                       amount  paid
O'Neil, \"Jr\"  1234567890123456.70  true
                                -  -

2 rows
";
        assert_eq!(query(&answer()), table);
        let lines = "name,amount,paid\r\n\"O'Neil, \"\"Jr\"\"\",1234567890123456.70,true\r\n\"\",,\r\n";
        assert_eq!(csv(&answer()), lines);
        assert_eq!(
            json(&answer()).to_string(),
            r#"[{"name":"O'Neil, \"Jr\"","amount":1234567890123456.70,"paid":true},{"name":"","amount":null,"paid":null}]"#
        );
    }
}
