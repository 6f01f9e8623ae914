//! Rows as a database would hold them, for the SQL Server simulator.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;

/// One value. The column's type says how it is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Bit(bool),
    Decimal(Decimal),
    DateTime(NaiveDateTime),
    Text(String),
}

/// A column: name, SQL Server type as in a `CREATE TABLE`, and whether it may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub sql_type: &'static str,
    pub nullable: bool,
}

/// A table or view with all its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TableData {
    pub name: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl TableData {
    /// Where a column is.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Bit(value)
    }
}

impl From<Decimal> for Cell {
    fn from(value: Decimal) -> Self {
        Cell::Decimal(value)
    }
}

impl From<NaiveDateTime> for Cell {
    fn from(value: NaiveDateTime) -> Self {
        Cell::DateTime(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}
