//! Aggregates: SELECTs with COUNT_BIG, SUM, MAX and GROUP BY, over joins and derived tables.
//!
//! The extractor asks for none; verification does. They are computed by DuckDB over the same rows, for which the text is
//! put into its words: only words and functions that mean the same in both are let through, and every other one is a
//! syntax error. Text is compared as the collation does, without case and without blanks at its end.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::DataType;
use duckdb::{Config, Connection};

use super::{
    error::SqlError,
    lexer::{Token, tokens},
    number,
    request::Parameter,
    tables::{Database, Rows, Table, TableColumn, folded},
    types::{SqlType, SqlValue},
};

type Result<T> = std::result::Result<T, SqlError>;

/// Words that mean the same in both.
const WORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "GROUP", "BY", "AS", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "CASE",
    "WHEN", "THEN", "ELSE", "END", "INNER", "LEFT", "JOIN", "ON", "DISTINCT", "SUM", "MAX", "MIN", "COALESCE",
    "NULLIF", "LTRIM", "RTRIM", "CAST", "YEAR", "MONTH", "BIGINT", "INT", "DATE", "DECIMAL",
];

/// Words that only an aggregate has.
const MARKS: &[&str] = &["COUNT_BIG", "SUM", "MAX", "MIN"];

/// Whether a text is one, as far as can be told without reading it.
pub(crate) fn is_one(sql: &str) -> bool {
    let has_mark = |tokens: Vec<Token>| {
        tokens
            .iter()
            .any(|token| matches!(token, Token::Word(word) if MARKS.iter().any(|mark| word.eq_ignore_ascii_case(mark))))
    };
    tokens(sql).is_ok_and(has_mark)
}

/// The tables of a database as DuckDB has them: each is copied when it is first asked about.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Mutex<Option<Copied>>>);

struct Copied {
    connection: Connection,
    tables: BTreeSet<(String, String)>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("copies")
    }
}

/// Computes it.
pub(crate) fn answer(sql: &str, parameters: &[Parameter], database: &Database) -> Result<Table> {
    let tokens = tokens(sql)?;
    let translated = translated(&tokens, parameters)?;
    let mut place = database.copies.0.lock().unwrap_or_else(PoisonError::into_inner);
    let copied = match place.take() {
        Some(copied) => copied,
        None => {
            let config = Config::default().threads(1).map_err(unable)?;
            let connection = Connection::open_in_memory_with_flags(config).map_err(unable)?;
            Copied { connection, tables: BTreeSet::new() }
        }
    };
    let copied = place.insert(copied);
    for (schema, name) in tables(&tokens)? {
        let table = database.table(&schema, &name)?;
        if schema == "information_schema" {
            return Err(unable("the catalog is not simulated in aggregates"));
        }
        if !copied.tables.contains(&(schema.clone(), name.clone())) {
            load(&copied.connection, &table)?;
            copied.tables.insert((schema, name));
        }
    }
    computed(&copied.connection, &translated)
}

/// What DuckDB cannot do, as a server would refuse it.
fn unable(error: impl std::fmt::Display) -> SqlError {
    let message = error.to_string();
    let line = message.lines().next().unwrap_or_default();
    if let Some((_, column)) = line.split_once("Referenced column \"") {
        return SqlError::invalid_column(column.split('"').next().unwrap_or_default());
    }
    SqlError::new(102, 1, 15, format!("The sandbox cannot answer this: {line}"))
}

/// The tables that a text reads: what follows FROM or JOIN and is no derived table.
fn tables(tokens: &[Token]) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        if !word.eq_ignore_ascii_case("FROM") && !word.eq_ignore_ascii_case("JOIN") {
            continue;
        }
        match tokens.get(at + 1..) {
            Some([Token::Symbol("("), ..]) => {}
            Some([Token::Quoted(schema), Token::Symbol("."), Token::Quoted(table), ..]) => {
                found.insert((folded(schema), folded(table)));
            }
            _ => return Err(SqlError::syntax(word)),
        }
    }
    Ok(found)
}

/// The text in DuckDB's words.
fn translated(tokens: &[Token], parameters: &[Parameter]) -> Result<String> {
    let mut sql = String::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Quoted(name) => {
                let _ = write!(sql, "\"{}\" ", folded(name).replace('"', "\"\""));
            }
            Token::Number(number) => {
                let _ = write!(sql, "{number} ");
            }
            Token::Text(text) => sql.push_str(&literal(text)),
            Token::Variable(name) => {
                let given = parameters.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name));
                sql.push_str(&value(&given.ok_or_else(|| SqlError::undeclared(name))?.value)?);
            }
            Token::Symbol(";") => return Err(SqlError::syntax(";")),
            Token::Symbol(symbol) => {
                let _ = write!(sql, "{symbol} ");
            }
            Token::Word(word) if word.eq_ignore_ascii_case("COUNT_BIG") => sql.push_str("count"),
            // A length says how much of a text is shown, and nothing here is as long.
            Token::Word(word) if word.eq_ignore_ascii_case("nvarchar") => match tokens.get(at..at + 3) {
                Some([Token::Symbol("("), Token::Number(_), Token::Symbol(")")]) => {
                    sql.push_str("varchar ");
                    at += 3;
                }
                _ => return Err(SqlError::syntax(word)),
            },
            Token::Word(word) if WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)) => {
                let _ = write!(sql, "{} ", word.to_lowercase());
            }
            Token::Word(word) => return Err(SqlError::syntax(word)),
        }
    }
    Ok(sql)
}

/// A text as it is compared.
fn collated(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

fn literal(text: &str) -> String {
    format!("'{}' ", collated(text).replace('\'', "''"))
}

fn value(value: &SqlValue) -> Result<String> {
    Ok(match value {
        SqlValue::Null => "NULL ".to_owned(),
        SqlValue::Int(number) => format!("{number} "),
        SqlValue::Date(day) => format!("DATE '{day}' "),
        SqlValue::Text(text) => literal(text),
        SqlValue::Bit(_)
        | SqlValue::Decimal { .. }
        | SqlValue::Float(_)
        | SqlValue::DateTime(_)
        | SqlValue::Uuid(_) => {
            return Err(SqlError::new(102, 1, 15, "The sandbox takes no parameter of this type in an aggregate."));
        }
    })
}

/// The type that stands for a column's; none for those that are not simulated in aggregates.
fn kind(sql_type: SqlType) -> Option<String> {
    Some(match sql_type {
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt | SqlType::Bit => "bigint".to_owned(),
        SqlType::Money => "decimal(19,4)".to_owned(),
        SqlType::SmallMoney => "decimal(10,4)".to_owned(),
        SqlType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        SqlType::DateTime | SqlType::SmallDateTime | SqlType::DateTime2(_) => "timestamp".to_owned(),
        SqlType::Date => "date".to_owned(),
        text if text.is_text() => "varchar".to_owned(),
        _ => return None,
    })
}

/// Copies a table, without the columns whose types are not simulated here.
fn load(connection: &Connection, table: &Table) -> Result<()> {
    let (schema, name) = (folded(&table.schema), folded(&table.name));
    let wanted: Vec<(usize, &TableColumn, String)> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some((at, column, kind(column.sql_type)?)))
        .collect();
    let columns: Vec<_> =
        wanted.iter().map(|(_, column, kind)| format!("\"{}\" {kind}", folded(&column.name))).collect();
    let create = format!(
        "create schema if not exists \"{schema}\"; create table \"{schema}\".\"{name}\" ({})",
        columns.join(", ")
    );
    connection.execute_batch(&create).map_err(unable)?;
    let mut appender = connection.appender_to_db(&name, &schema).map_err(unable)?;
    for number in 0..table.rows.count() {
        let row = table.row(number)?;
        let cells = wanted.iter().map(|(at, ..)| text(&row[*at]));
        appender.append_row(duckdb::appender_params_from_iter(cells)).map_err(unable)?;
    }
    appender.flush().map_err(unable)
}

/// A value as DuckDB reads it.
fn text(value: &SqlValue) -> Option<String> {
    match value {
        SqlValue::Null | SqlValue::Float(_) | SqlValue::Uuid(_) => None,
        SqlValue::Int(number) => Some(number.to_string()),
        SqlValue::Bit(bit) => Some(i64::from(*bit).to_string()),
        SqlValue::Decimal { mantissa, scale } => Some(number::to_text(*mantissa, *scale)),
        SqlValue::Date(day) => Some(day.to_string()),
        SqlValue::DateTime(at) => Some(at.to_string()),
        SqlValue::Text(text) => Some(collated(text)),
    }
}

/// Runs the text, and makes a table of what comes out.
fn computed(connection: &Connection, sql: &str) -> Result<Table> {
    let mut statement = connection.prepare(sql).map_err(unable)?;
    let arrow = statement.query_arrow([]).map_err(unable)?;
    let schema = arrow.get_schema();
    let batches: Vec<_> = arrow.collect();
    let mut columns = Vec::new();
    for field in schema.fields() {
        let sql_type = match field.data_type() {
            DataType::Int64 => SqlType::BigInt,
            DataType::Decimal128(precision, scale) if *precision < 38 => {
                SqlType::Decimal { precision: *precision, scale: scale.unsigned_abs() }
            }
            DataType::Utf8 => SqlType::NVarChar(4_000),
            _ => {
                let message =
                    format!("The sandbox wants a CAST around {}: only then its type is certain.", field.name());
                return Err(SqlError::new(102, 1, 15, message));
            }
        };
        columns.push(TableColumn::new(field.name(), sql_type));
    }
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().zip(&columns).map(|(array, column)| {
                let cell = crate::compute::cell(array, row).map_err(unable)?;
                Ok(match (cell, column.sql_type) {
                    (None, _) => SqlValue::Null,
                    (Some(text), SqlType::BigInt) => SqlValue::Int(text.parse().map_err(unable)?),
                    (Some(text), SqlType::Decimal { scale, .. }) => {
                        let (mantissa, own) = number::parse(&text).ok_or_else(|| unable("no number"))?;
                        let mantissa = number::rescale(mantissa, own, scale).ok_or_else(|| unable("too large"))?;
                        SqlValue::Decimal { mantissa, scale }
                    }
                    (Some(text), _) => SqlValue::Text(text),
                })
            });
            rows.push(cells.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(Table { schema: String::new(), name: String::new(), columns, rows: Rows::Memory(rows) })
}
