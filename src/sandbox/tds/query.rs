//! A parsed SELECT bound to its table, and the rows it gives.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use super::{
    ast::{Expression, Select},
    compare::sort_order,
    error::SqlError,
    filter::{Operand, Test, bind_filter, operand},
    number,
    request::Parameter,
    tables::{Database, Rows, Table, folded},
    types::{ResultColumn, SqlType, SqlValue},
};

type Result<T> = std::result::Result<T, SqlError>;

enum Output {
    Value(Operand),
    Null,
    Count,
    Sum(Operand),
}

/// A SELECT ready to run.
pub(crate) struct Query {
    table: Arc<Table>,
    outputs: Vec<Output>,
    pub columns: Vec<ResultColumn>,
    test: Test,
    order: Vec<(Operand, bool)>,
    top: u64,
    /// Row numbers in their order, once an ORDER BY had to sort; otherwise the table's own order.
    sorted: Option<Vec<u64>>,
    next: u64,
    given: u64,
    aggregate: bool,
}

impl Query {
    /// Resolves names and types; everything that can be wrong before the first row is found here.
    pub(crate) fn bind(select: &Select, parameters: &[Parameter], database: &Database) -> Result<Query> {
        let table = database.table(&select.schema, &select.table)?;
        let mut outputs = Vec::with_capacity(select.items.len());
        let mut columns = Vec::with_capacity(select.items.len());
        for item in &select.items {
            let (output, sql_type, nullable) = bind_output(&table, &item.expression)?;
            columns.push(ResultColumn { name: item.name.clone(), sql_type, nullable });
            outputs.push(output);
        }
        let aggregates = outputs.iter().filter(|o| matches!(o, Output::Count | Output::Sum(_))).count();
        if let Some(i) = outputs.iter().position(|o| matches!(o, Output::Value(_)))
            && aggregates > 0
        {
            return Err(SqlError::new(
                8120,
                1,
                16,
                format!(
                    "Column '{}.{}' is invalid in the select list because it is not contained in either an aggregate \
                     function or the GROUP BY clause.",
                    select.table, columns[i].name
                ),
            ));
        }
        let test = match &select.filter {
            Some(filter) => bind_filter(&table, filter, parameters)?,
            None => Test::All(Vec::new()),
        };
        let mut order = Vec::new();
        for key in &select.order {
            // An alias goes before a column of the same name, and then the cast value is what gets sorted.
            let alias = columns.iter().position(|c| folded(&c.name) == folded(&key.column));
            let operand = match alias.map(|i| &outputs[i]) {
                Some(Output::Value(operand)) => *operand,
                Some(_) if aggregates > 0 => continue,
                Some(_) => {
                    return Err(SqlError::new(
                        408,
                        1,
                        16,
                        "A constant expression was encountered in the ORDER BY list.",
                    ));
                }
                None => operand(&table, &key.column, None)?,
            };
            order.push((operand, key.descending));
        }
        let mut query = Query {
            table,
            outputs,
            columns,
            test,
            order,
            top: select.top.unwrap_or(u64::MAX),
            sorted: None,
            next: 0,
            given: 0,
            aggregate: aggregates > 0,
        };
        if !query.aggregate && !query.is_presorted() {
            query.sort()?;
        }
        Ok(query)
    }

    /// Every row of a table that was made for this answer.
    pub(crate) fn whole(table: Table) -> Query {
        let column = |at: usize| Operand { column: at, from: table.columns[at].sql_type, cast: None };
        let columns = table.columns.iter().map(|column| ResultColumn {
            name: column.name.clone(),
            sql_type: column.sql_type,
            nullable: column.nullable,
        });
        Query {
            columns: columns.collect(),
            outputs: (0..table.columns.len()).map(|at| Output::Value(column(at))).collect(),
            table: Arc::new(table),
            test: Test::All(Vec::new()),
            order: Vec::new(),
            top: u64::MAX,
            sorted: None,
            next: 0,
            given: 0,
            aggregate: false,
        }
    }

    /// Whether the table's own order already is the one asked for.
    fn is_presorted(&self) -> bool {
        let sorted_by = match &self.table.rows {
            Rows::Generated { sorted_by, .. } => sorted_by.as_slice(),
            Rows::Memory(_) => &[],
        };
        self.order.len() <= sorted_by.len()
            && self.order.iter().zip(sorted_by).all(|((operand, descending), name)| {
                !descending && operand.keeps_order() && self.table.column(name) == Ok(operand.column)
            })
    }

    fn sort(&mut self) -> Result<()> {
        let mut keyed = Vec::new();
        for number in 0..self.table.rows.count() {
            let row = self.table.row(number)?;
            if self.test.holds(&row)? {
                let key: Result<Vec<_>> = self.order.iter().map(|(o, _)| Ok(o.value(&row)?.into_owned())).collect();
                keyed.push((key?, number));
            }
        }
        keyed.sort_by(|(left, _), (right, _)| {
            let mut keys = self.order.iter().zip(left.iter().zip(right));
            keys.find_map(|((operand, descending), (l, r))| {
                let order = sort_order(l, r, operand.sql_type());
                let order = if *descending { order.reverse() } else { order };
                (order != Ordering::Equal).then_some(order)
            })
            .unwrap_or(Ordering::Equal)
        });
        self.sorted = Some(keyed.into_iter().map(|(_, number)| number).collect());
        Ok(())
    }

    /// Hands the next row to `take`; false when there is none. `budget` bounds how many rows of the table are looked
    /// at, so that a filter over a huge table does not hold up the connection: `Step::Later` then.
    pub(crate) fn step<F>(&mut self, budget: u64, take: F) -> Result<Step>
    where
        F: FnOnce(&[ResultColumn], &[Cow<'_, SqlValue>]) -> Result<()>,
    {
        if self.given >= self.top {
            return Ok(Step::End);
        }
        if self.aggregate {
            let values = self.aggregates()?;
            self.given = u64::MAX;
            take(&self.columns, &values)?;
            return Ok(Step::Row);
        }
        for _ in 0..budget {
            let number = match &self.sorted {
                Some(sorted) => sorted.get(self.next as usize).copied(),
                None => (self.next < self.table.rows.count()).then_some(self.next),
            };
            let Some(number) = number else {
                return Ok(Step::End);
            };
            self.next += 1;
            let row = self.table.row(number)?;
            // Sorting has tested the rows already.
            if self.sorted.is_none() && !self.test.holds(&row)? {
                continue;
            }
            let mut values = Vec::with_capacity(self.outputs.len());
            for output in &self.outputs {
                values.push(match output {
                    Output::Value(operand) => operand.value(&row)?,
                    Output::Null | Output::Count | Output::Sum(_) => Cow::Owned(SqlValue::Null),
                });
            }
            take(&self.columns, &values)?;
            self.given += 1;
            return Ok(Step::Row);
        }
        Ok(Step::Later)
    }

    fn aggregates(&self) -> Result<Vec<Cow<'static, SqlValue>>> {
        let overflow = || SqlError::overflow("expression", "numeric");
        let mut count = 0;
        let mut sums: Vec<Option<i128>> = vec![None; self.outputs.len()];
        for number in 0..self.table.rows.count() {
            let row = self.table.row(number)?;
            if !self.test.holds(&row)? {
                continue;
            }
            count += 1;
            for (output, sum) in self.outputs.iter().zip(&mut sums) {
                let Output::Sum(operand) = output else {
                    continue;
                };
                // NULLs do not count; a sum of nothing else is NULL.
                if let SqlValue::Decimal { mantissa, .. } = &*operand.value(&row)? {
                    let total = sum.unwrap_or(0).checked_add(*mantissa).ok_or_else(overflow)?;
                    *sum = Some(total);
                }
            }
        }
        let mut values = Vec::with_capacity(self.outputs.len());
        for ((output, sum), column) in self.outputs.iter().zip(sums).zip(&self.columns) {
            values.push(Cow::Owned(match (output, sum, column.sql_type) {
                (Output::Count, ..) => SqlValue::Int(count),
                (Output::Sum(_), Some(sum), SqlType::Decimal { precision, scale }) => {
                    let mantissa = number::fit(sum, scale, precision, scale).ok_or_else(overflow)?;
                    SqlValue::Decimal { mantissa, scale }
                }
                _ => SqlValue::Null,
            }));
        }
        Ok(values)
    }
}

/// What came of asking for one more row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Row,
    Later,
    End,
}

fn bind_output(table: &Table, expression: &Expression) -> Result<(Output, SqlType, bool)> {
    Ok(match expression {
        Expression::Column(name) => {
            let operand = operand(table, name, None)?;
            (Output::Value(operand), operand.from, table.columns[operand.column].nullable)
        }
        Expression::Cast { column, to } => (Output::Value(operand(table, column, Some(*to))?), *to, true),
        Expression::Null(to) => (Output::Null, *to, true),
        Expression::Count => (Output::Count, SqlType::BigInt, true),
        Expression::Sum { column, precision, scale } => {
            let to = SqlType::Decimal { precision: *precision, scale: *scale };
            let wide = SqlType::Decimal { precision: number::MAX_PRECISION, scale: *scale };
            (Output::Sum(operand(table, column, Some(to))?), wide, true)
        }
    })
}
