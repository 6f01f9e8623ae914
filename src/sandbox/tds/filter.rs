//! WHERE: conditions bound to a table's columns.

use std::borrow::Cow;

use super::{
    ast::{Filter, Operator},
    compare::{compare, prepare},
    convert::cast,
    error::SqlError,
    request::Parameter,
    tables::Table,
    types::{SqlType, SqlValue},
};

type Result<T> = std::result::Result<T, SqlError>;

/// A column of the table, perhaps cast.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub column: usize,
    pub from: SqlType,
    pub cast: Option<SqlType>,
}

impl Operand {
    pub(crate) fn sql_type(&self) -> SqlType {
        self.cast.unwrap_or(self.from)
    }

    pub(crate) fn value<'a>(&self, row: &'a [SqlValue]) -> Result<Cow<'a, SqlValue>> {
        let value = Cow::Borrowed(&row[self.column]);
        match self.cast {
            Some(to) => cast(value, self.from, to),
            None => Ok(value),
        }
    }

    /// Whether sorting by the cast value is sorting by the column: casts that lose nothing and print nothing.
    pub(crate) fn keeps_order(&self) -> bool {
        use SqlType::*;
        match (self.from, self.cast) {
            (_, None) => true,
            (TinyInt | SmallInt | Int | BigInt, Some(TinyInt | SmallInt | Int | BigInt | Decimal { .. })) => true,
            (DateTime | SmallDateTime | Date, Some(DateTime2(7))) => true,
            (from, Some(to)) => from == to,
        }
    }
}

pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Compare { operand: Operand, operator: Operator, with: SqlValue, with_type: SqlType },
    IsNull { column: usize, negated: bool },
}

pub(crate) fn operand(table: &Table, column: &str, cast: Option<SqlType>) -> Result<Operand> {
    let column = table.column(column)?;
    Ok(Operand { column, from: table.columns[column].sql_type, cast })
}

pub(crate) fn bind_filter(table: &Table, filter: &Filter, parameters: &[Parameter]) -> Result<Test> {
    let bind_all =
        |parts: &[Filter]| parts.iter().map(|part| bind_filter(table, part, parameters)).collect::<Result<Vec<_>>>();
    Ok(match filter {
        Filter::All(parts) => Test::All(bind_all(parts)?),
        Filter::Any(parts) => Test::Any(bind_all(parts)?),
        Filter::IsNull { column, negated } => Test::IsNull { column: table.column(column)?, negated: *negated },
        Filter::Compare { column, cast, operator, parameter } => {
            let operand = operand(table, column, *cast)?;
            let given = parameters.iter().find(|p| p.name.eq_ignore_ascii_case(parameter));
            let given = given.ok_or_else(|| SqlError::undeclared(parameter))?;
            let (with, with_type) = prepare(given.value.clone(), given.sql_type, operand.sql_type())?;
            Test::Compare { operand, operator: *operator, with, with_type }
        }
    })
}

impl Test {
    /// Whether the row passes. Unknown counts as no, which is exact as the grammar has no NOT around conditions.
    pub(crate) fn holds(&self, row: &[SqlValue]) -> Result<bool> {
        Ok(match self {
            Test::All(parts) => {
                for part in parts {
                    if !part.holds(row)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Any(parts) => {
                for part in parts {
                    if part.holds(row)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::IsNull { column, negated } => row[*column].is_null() != *negated,
            Test::Compare { operand, operator, with, with_type } => {
                let value = operand.value(row)?;
                compare(&value, operand.sql_type(), with, *with_type)?.is_some_and(|order| match operator {
                    Operator::Equal => order.is_eq(),
                    Operator::NotEqual => order.is_ne(),
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    Operator::GreaterOrEqual => order.is_ge(),
                })
            }
        })
    }
}
