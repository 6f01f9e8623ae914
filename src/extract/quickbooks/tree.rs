//! The recursive rows of a report, flattened depth first.

use std::fmt;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::amount::cents;
use super::report::{list, text};

/// How a row answers when a report passes QuickBooks' own limit. It is the one label that is looked at, because
/// nothing else tells that rows are missing.
const CUT_OFF: &str = "Unable to display more data";

/// A line as the tree holds it, with its cells of all columns.
#[derive(Debug)]
pub(super) struct Entry {
    line: i64,
    line_type: LineType,
    groups: String,
    group: Option<String>,
    account_id: Option<String>,
    label: Option<String>,
    depth: i64,
    cells: Vec<String>,
    /// For a total: where its section begins among the entries.
    section: usize,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineType {
    /// The report as a whole, without an amount.
    Report,
    /// A Data row.
    Account,
    /// What was posted to a parent account itself: the header of its section.
    Own,
    /// A section's Summary.
    Total,
}

impl LineType {
    /// As staged.
    pub fn name(self) -> &'static str {
        match self {
            LineType::Report => "report",
            LineType::Account => "account",
            LineType::Own => "own",
            LineType::Total => "total",
        }
    }
}

/// A line as one column shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its position in the tree, which is the same in every column; lines that this column does not show are skipped.
    pub line: i64,
    pub line_type: LineType,
    /// `/Outer/Inner/`
    pub groups: &'a str,
    pub group: Option<&'a str>,
    pub account_id: Option<&'a str>,
    pub label: Option<&'a str>,
    /// Sections around it. A section's own and total lines stand at the depth of the section, its accounts one deeper.
    pub depth: i64,
    pub is_leaf: bool,
    /// In hundredths.
    pub amount: Option<i64>,
}

impl fmt::Display for Entry {
    /// For messages: without the label, which may name a person.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {} ({} in {}", self.line, self.line_type.name(), self.groups)?;
        if let Some(id) = &self.account_id {
            write!(out, ", account id {id}")?;
        }
        write!(out, ")")
    }
}

/// The line for the whole report, which is there however little the report says.
pub(super) fn whole() -> Line<'static> {
    Line {
        line: 0,
        line_type: LineType::Report,
        groups: "/",
        group: None,
        account_id: None,
        label: None,
        depth: 0,
        is_leaf: false,
        amount: None,
    }
}

/// Flattens `Rows` of a report with that many columns, the label's included.
pub(super) fn entries(rows: Option<&Value>, columns: usize) -> Result<Vec<Entry>> {
    // Position 0 is the line for the whole report.
    let mut walk = Walk { columns, next: 1, entries: Vec::new() };
    walk.rows(rows, "/", 0)?;
    Ok(walk.entries)
}

/// What one column shows of the entries.
pub(super) fn lines(entries: &[Entry], column: Option<usize>) -> Result<Vec<Line<'_>>> {
    let mut lines = vec![whole()];
    // Per entry, whether it shows an amount that is nowhere below it. A section whose header has a zero may show what
    // lies in it by its total alone: nothing posted to the parent itself says nothing of its children.
    let mut shows_leaf = Vec::with_capacity(entries.len());
    for entry in entries {
        let cell = column.and_then(|column| entry.cells.get(column)).map_or("", String::as_str);
        let Ok(amount) = cents(cell) else {
            bail!("{entry}: its amount is no decimal with at most two places but text of {} bytes", cell.len());
        };
        let is_leaf = match entry.line_type {
            LineType::Total => !shows_leaf[entry.section..].iter().any(|shows| *shows),
            _ => true,
        };
        shows_leaf.push(is_leaf && amount.is_some_and(|amount| amount != 0 || entry.line_type != LineType::Own));
        if entry.line_type == LineType::Own && amount.is_none() {
            continue;
        }
        lines.push(Line {
            line: entry.line,
            line_type: entry.line_type,
            groups: &entry.groups,
            group: entry.group.as_deref(),
            account_id: entry.account_id.as_deref(),
            label: entry.label.as_deref(),
            depth: entry.depth,
            is_leaf,
            amount,
        });
    }
    Ok(lines)
}

struct Walk {
    columns: usize,
    next: i64,
    entries: Vec<Entry>,
}

impl Walk {
    fn rows(&mut self, rows: Option<&Value>, groups: &str, depth: i64) -> Result<()> {
        // `Rows` may be absent, null, `{}` or hold one object instead of a list.
        for row in list(rows.and_then(|rows| rows.get("Row"))) {
            self.row(row, groups, depth)?;
        }
        Ok(())
    }

    /// `type` may be missing, so the row's shape tells what it is.
    fn row(&mut self, row: &Value, groups: &str, depth: i64) -> Result<()> {
        let group = text(row.get("group")).map(|group| as_documented(&group));
        let groups = match &group {
            Some(group) => format!("{groups}{group}/"),
            None => groups.to_owned(),
        };
        let section = self.entries.len();
        if let Some(cells) = row.get("ColData") {
            self.line(LineType::Account, cells, &groups, &group, None, depth, section)?;
        }
        let header = row.get("Header").and_then(|header| header.get("ColData"));
        if let Some(cells) = header {
            self.line(LineType::Own, cells, &groups, &group, None, depth, section)?;
        }
        self.rows(row.get("Rows"), &groups, depth + 1)?;
        if let Some(cells) = row.get("Summary").and_then(|summary| summary.get("ColData")) {
            // Where the summary does not name the account, its section's header may.
            self.line(LineType::Total, cells, &groups, &group, header, depth, section)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is a column of the line")]
    fn line(
        &mut self,
        line_type: LineType,
        cells: &Value,
        groups: &str,
        group: &Option<String>,
        header: Option<&Value>,
        depth: i64,
        section: usize,
    ) -> Result<()> {
        let id = |cells: &Value| list(Some(cells)).next().and_then(|cell| text(cell.get("id")));
        let mut entry = Entry {
            line: self.next,
            line_type,
            groups: groups.to_owned(),
            group: group.clone(),
            account_id: id(cells).or_else(|| header.and_then(id)),
            label: list(Some(cells)).next().and_then(|cell| text(cell.get("value"))),
            depth,
            cells: Vec::new(),
            section,
        };
        for cell in list(Some(cells)).skip(1) {
            let value = cell.get("value");
            // What is no text and no number must not pass for an empty cell.
            let is_none = value.is_none() && cell.is_object() || value.is_some_and(Value::is_null);
            let Some(amount) =
                text(value).or_else(|| (is_none || value.is_some_and(Value::is_string)).then(String::new))
            else {
                bail!("{entry}: one of its cells holds neither a text nor a number");
            };
            entry.cells.push(amount);
        }
        self.next += 1;
        if entry.label.as_deref().is_some_and(|label| label.starts_with(CUT_OFF)) {
            bail!("{entry}: QuickBooks cut the report off: fewer months at a time are needed");
        }
        // A row may have only its label. Otherwise cells stand for columns by position, so their number must be the
        // columns' or no amount can be told to a month.
        if entry.cells.iter().any(|cell| !cell.is_empty()) {
            ensure!(
                entry.cells.len() + 1 == self.columns,
                "{entry} has {} cells where the report has {} columns",
                entry.cells.len() + 1,
                self.columns
            );
        } else {
            entry.cells.clear();
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// Group names as the documentation spells them: answers have been recorded with one letter missing.
fn as_documented(group: &str) -> String {
    match group {
        "FinancingActivites" => "FinancingActivities".to_owned(),
        group => group.to_owned(),
    }
}
