//! What the grammar's texts mean: statements as a tree.

use super::types::SqlType;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// `SET LOCK_TIMEOUT n`, `SET DEADLOCK_PRIORITY LOW`: accepted, without effect.
    Set,
    SelectOne,
    SelectVersion,
    Select(Select),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Select {
    pub top: Option<u64>,
    pub items: Vec<Item>,
    pub schema: String,
    pub table: String,
    pub filter: Option<Filter>,
    pub order: Vec<Order>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub expression: Expression,
    /// The alias, or the column's name as written.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Column(String),
    Cast { column: String, to: SqlType },
    Null(SqlType),
    Count,
    Sum { column: String, precision: u8, scale: u8 },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Compare { column: String, cast: Option<SqlType>, operator: Operator, parameter: String },
    IsNull { column: String, negated: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub column: String,
    pub descending: bool,
}
