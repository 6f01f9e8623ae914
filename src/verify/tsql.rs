//! Questions in T-SQL: a text with places to fill in. Names are quoted and values travel as typed parameters.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::config::{Limits, SqlServer};
use crate::extract::sqlserver::{self, Parameter, Server, Statement};
use crate::staging::Value;

/// What takes a place `{name}` of a text.
pub(super) enum Fill<'a> {
    /// The name of a schema, table or column.
    Name(&'a str),
    Day(NaiveDate),
    Number(i64),
    Text(&'a str),
    /// A list for `IN`; an empty one holds NULL alone, which nothing is equal to.
    Numbers(&'a [i64]),
    Texts(&'a [String]),
    /// `WHEN … THEN` for ranges of beginnings of an expression, in their order: first and last beginning, and the label.
    /// What is shorter than a beginning does not begin so.
    Ranges(&'static str, Vec<(&'a str, &'a str, &'a str)>),
}

/// A cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Nothing,
    Number(Decimal),
    Text(String),
}

impl Cell {
    pub(super) fn number(&self) -> Result<Option<Decimal>> {
        match self {
            Cell::Nothing => Ok(None),
            Cell::Number(number) => Ok(Some(*number)),
            Cell::Text(_) => anyhow::bail!("the answer is a text where a number was asked for"),
        }
    }
}

/// A server that questions are put to.
pub(super) struct Asker<'a>(Server<'a>);

impl<'a> Asker<'a> {
    pub(super) fn new(settings: &'a SqlServer, limits: &Limits) -> Self {
        Asker(Server::new(settings, limits))
    }

    /// Puts a question; the answer's columns have these names.
    pub(super) async fn ask(
        &mut self,
        text: &str,
        fills: &[(&str, Fill<'_>)],
        columns: &[&str],
    ) -> Result<Vec<Vec<Cell>>> {
        let (sql, parameters) = filled(text, fills)?;
        let columns = columns.iter().map(ToString::to_string).collect();
        let statement = Statement::written(sql, parameters, columns);
        let collect = |rows: &mut Vec<Vec<Cell>>, row: &sqlserver::Row| {
            let cells = row.cells().map(|(_, cell)| match sqlserver::value(cell)? {
                Value::Null => Ok(Cell::Nothing),
                Value::Int(number) => Ok(Cell::Number(number.into())),
                Value::Decimal { mantissa, scale } => {
                    let number = Decimal::try_from_i128_with_scale(mantissa, scale.into());
                    Ok(Cell::Number(number.context("a sum has more digits than fit")?))
                }
                Value::Text(text) => Ok(Cell::Text(text.to_owned())),
                _ => anyhow::bail!("the answer has a type that was not asked for"),
            });
            rows.push(cells.collect::<Result<_>>()?);
            Ok(())
        };
        self.0.query(&statement, || Ok(Vec::new()), collect).await
    }

    /// The one row of an answer.
    pub(super) async fn ask_one(
        &mut self,
        text: &str,
        fills: &[(&str, Fill<'_>)],
        columns: &[&str],
    ) -> Result<Vec<Cell>> {
        let mut rows = self.ask(text, fills, columns).await?;
        ensure!(rows.len() == 1, "the answer has {} rows where one was asked for", rows.len());
        Ok(rows.remove(0))
    }

    /// Whether a view has a column. The vendor's views differ from dealer to dealer.
    pub(super) async fn has_column(&mut self, schema: &str, table: &str, column: &str) -> Result<bool> {
        const COLUMN: &str = "SELECT COUNT_BIG(*) AS [columns] FROM [INFORMATION_SCHEMA].[COLUMNS] WHERE [TABLE_SCHEMA] = \
                              {schema} AND [TABLE_NAME] = {table} AND [COLUMN_NAME] = {column}";
        let fills = [("schema", Fill::Text(schema)), ("table", Fill::Text(table)), ("column", Fill::Text(column))];
        let row = self.ask_one(COLUMN, &fills, &["columns"]).await?;
        Ok(row[0].number()?.is_some_and(|count| !count.is_zero()))
    }
}

/// The text with its places filled, and the parameters in their order.
fn filled(text: &str, fills: &[(&str, Fill<'_>)]) -> Result<(String, Vec<Parameter>)> {
    let mut sql = String::with_capacity(text.len());
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').context("a place of the question is not closed")?;
        let (_, fill) =
            fills.iter().find(|(known, _)| *known == name).with_context(|| format!("nothing fills {name}"))?;
        sql.push_str(before);
        put(&mut sql, &mut parameters, fill);
        rest = after;
    }
    sql.push_str(rest);
    Ok((sql, parameters))
}

fn put(sql: &mut String, parameters: &mut Vec<Parameter>, fill: &Fill<'_>) {
    let mut next = |parameter: Parameter| {
        parameters.push(parameter);
        format!("@P{}", parameters.len())
    };
    let mut list = |values: Vec<Parameter>| match values.is_empty() {
        true => "NULL".to_owned(),
        false => values.into_iter().map(&mut next).collect::<Vec<_>>().join(", "),
    };
    match fill {
        Fill::Name(name) => sql.push_str(&sqlserver::quoted(name)),
        Fill::Day(day) => sql.push_str(&next(Parameter::Date(*day))),
        Fill::Number(number) => sql.push_str(&next(Parameter::Int(*number))),
        Fill::Text(text) => sql.push_str(&next(Parameter::Text((*text).to_owned()))),
        Fill::Numbers(numbers) => sql.push_str(&list(numbers.iter().copied().map(Parameter::Int).collect())),
        Fill::Texts(texts) => {
            sql.push_str(&list(texts.iter().map(|text| Parameter::Text(text.trim().to_owned())).collect()));
        }
        Fill::Ranges(expression, ranges) => {
            for (first, last, label) in ranges {
                let from = next(Parameter::Text((*first).to_owned()));
                let to = next(Parameter::Text((*last).to_owned()));
                let length = first.len();
                let as_long = "_".repeat(length);
                let _ = write!(
                    sql,
                    " WHEN {expression} LIKE '{as_long}%' AND LEFT({expression}, {length}) BETWEEN {from} AND {to} \
                     THEN '{label}'"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_values_become_parameters_in_their_order() {
        let day = "2026-01-20".parse().unwrap();
        let customers = ["C1 ".to_owned(), "it's".to_owned()];
        let fills = [
            ("schema", Fill::Name("ben]002")),
            ("day", Fill::Day(day)),
            ("customers", Fill::Texts(&customers)),
            ("branches", Fill::Numbers(&[])),
            ("class", Fill::Ranges("[a]", vec![("110", "115", "cash")])),
        ];
        let text = "SELECT CASE{class} END FROM {schema}.[t] WHERE [d] >= {day} AND [c] IN ({customers}) AND [b] IN \
                    ({branches}) AND [d] < {day}";
        let (sql, parameters) = filled(text, &fills).unwrap();
        assert_eq!(
            sql,
            "SELECT CASE WHEN [a] LIKE '___%' AND LEFT([a], 3) BETWEEN @P1 AND @P2 THEN 'cash' END FROM [ben]]002].[t] \
             WHERE [d] >= @P3 AND [c] IN (@P4, @P5) AND [b] IN (NULL) AND [d] < @P6"
        );
        let text = |text: &str| Parameter::Text(text.to_owned());
        let expected = [text("110"), text("115"), Parameter::Date(day), text("C1"), text("it's"), Parameter::Date(day)];
        assert!(parameters == expected);
        assert!(filled("{nobody}", &[]).is_err());
    }
}
