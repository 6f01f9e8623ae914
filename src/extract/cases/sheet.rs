//! Rows held back until all of them have been looked at.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail, ensure};
use chrono::NaiveDate;

use super::personal::{self, Kind};
use crate::staging::Value;

/// A column with more different labels than this does not hold labels.
const MOST_LABELS: usize = 1_000;

/// A table in memory: a few words a row, because a label that many rows share is kept once.
pub(super) struct Sheet {
    columns: Vec<Labels>,
    /// Row after row.
    cells: Vec<Cell>,
    harmless: HashSet<String>,
    as_of: NaiveDate,
}

#[derive(Clone, Copy)]
enum Cell {
    Null,
    Date(NaiveDate),
    /// Its number among the labels of its column.
    Label(u32),
}

struct Labels {
    /// The column as the source calls it.
    name: String,
    numbers: HashMap<String, u32>,
}

impl Sheet {
    pub(super) fn new(names: &[String], harmless: &[String], as_of: NaiveDate) -> Sheet {
        let columns = names.iter().map(|name| Labels { name: name.clone(), numbers: HashMap::new() }).collect();
        let harmless = harmless.iter().map(|label| folded(label)).collect();
        Sheet { columns, cells: Vec::new(), harmless, as_of }
    }

    /// Adds the next value of a row.
    ///
    /// # Errors
    /// A label that looks like personal data, or one too many; the error has the column and the kind, never the value.
    pub(super) fn push(&mut self, column: usize, value: Value<'_>) -> Result<()> {
        let cell = match value {
            Value::Null => Cell::Null,
            Value::Date(day) => Cell::Date(day),
            Value::Text(text) => Cell::Label(self.label(column, text)?),
            _ => bail!("[{}] is neither a day nor a label", self.columns[column].name),
        };
        self.cells.push(cell);
        Ok(())
    }

    fn label(&mut self, column: usize, text: &str) -> Result<u32> {
        let Labels { name, numbers } = &mut self.columns[column];
        if let Some(number) = numbers.get(text) {
            return Ok(*number);
        }
        let found = match personal::find(text, self.as_of) {
            None if numbers.len() >= MOST_LABELS => Some(Kind::FreeText),
            found => found,
        };
        if let Some(kind) = found.filter(|_| !self.harmless.contains(&folded(text))) {
            bail!(
                "[{name}] holds what looks like {kind}, so nothing was landed: have the source mended, or, where a \
                 person has found the label harmless, list it in harmless_labels of [org.cases]"
            );
        }
        let number = u32::try_from(numbers.len())?;
        numbers.insert(text.to_owned(), number);
        Ok(number)
    }

    pub(super) fn rows(&self) -> u64 {
        self.cells.len().checked_div(self.columns.len()).unwrap_or_default() as u64
    }

    /// Hands out each row with its number, from 1.
    pub(super) fn each(&self, mut take: impl FnMut(i64, &[Value<'_>]) -> Result<()>) -> Result<()> {
        let labels: Vec<Vec<&str>> = self.columns.iter().map(Labels::in_order).collect();
        let width = self.columns.len();
        ensure!(width > 0 && self.cells.len().is_multiple_of(width), "a row is short of a value");
        for (row, number) in self.cells.chunks_exact(width).zip(1..) {
            let values = row.iter().zip(&labels).map(|(cell, labels)| match cell {
                Cell::Null => Value::Null,
                Cell::Date(day) => Value::Date(*day),
                Cell::Label(number) => Value::Text(labels[*number as usize]),
            });
            take(number, &values.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl Labels {
    fn in_order(&self) -> Vec<&str> {
        let mut labels = vec![""; self.numbers.len()];
        for (label, number) in &self.numbers {
            labels[*number as usize] = label;
        }
        labels
    }
}

/// A label as it is compared: blanks, the kind of dash and case do not count.
fn folded(label: &str) -> String {
    personal::plain(label, "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(harmless: &[&str]) -> Sheet {
        let harmless: Vec<String> = harmless.iter().map(ToString::to_string).collect();
        Sheet::new(&["Date Closed".into(), "Solution".into()], &harmless, "2026-01-20".parse().unwrap())
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut sheet = sheet(&[]);
        let day = Value::Date("2026-01-05".parse().unwrap());
        let rows = [[day, Value::Text("b")], [Value::Null, Value::Text("a")], [day, Value::Text("b")]];
        for (at, value) in rows.iter().flat_map(|row| row.iter().enumerate()) {
            sheet.push(at, *value).unwrap();
        }
        assert_eq!(sheet.rows(), 3);
        let mut numbers = Vec::new();
        let check = |number: i64, values: &[Value<'_>]| {
            assert_eq!(values, rows[numbers.len()]);
            numbers.push(number);
            Ok(())
        };
        sheet.each(check).unwrap();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_label_found_harmless_passes_in_any_spelling() {
        let error = sheet(&[]).push(1, Value::Text("Jane Doe")).unwrap_err().to_string();
        assert!(
            error.starts_with("[Solution] holds what looks like a person's name, so nothing was landed"),
            "{error}"
        );
        assert!(!error.contains("Doe"), "{error}");
        sheet(&["JANE  DOE"]).push(1, Value::Text(" jane doe")).unwrap();
        sheet(&["Doe-Jane"]).push(1, Value::Text("Doe\u{2011}Jane")).unwrap();
    }

    #[test]
    fn a_column_of_a_thousand_different_labels_holds_no_labels() {
        let mut sheet = sheet(&[]);
        for number in 0..MOST_LABELS {
            sheet.push(1, Value::Text(&format!("Kind {number}"))).unwrap();
            sheet.push(1, Value::Text(&format!("Kind {number}"))).unwrap();
        }
        let error = sheet.push(1, Value::Text("one more")).unwrap_err().to_string();
        assert!(error.contains("[Solution] holds what looks like free text"), "{error}");
    }
}
