//! The mart's columns as the catalog has them, and the rows' columns held against them.

use crate::postgres::OneLine;
use anyhow::{Context, Result, bail, ensure};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as};

/// Columns that the loader fills itself.
const BOOKKEEPING: &[&str] = &["id", "org_id", "source_system", "created_at", "updated_at"];
/// Columns that rows may leave out: the table's default is then as good.
const OPTIONAL: &[&str] = &["source_table"];

/// A column of a mart.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Column {
    pub name: String,
    /// As Postgres writes it, e.g. `numeric(18,2)`.
    pub type_name: String,
}

/// The columns of a mart, in order.
pub async fn of(connection: &mut PgConnection, mart: &str) -> Result<Vec<Column>> {
    let columns: Vec<Column> = query_as(
        "select attname::text as name, format_type(atttypid, atttypmod) as type_name from pg_attribute
         where attrelid = to_regclass(quote_ident($1)) and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(mart)
    .fetch_all(connection)
    .await
    .one_line()
    .context("reading the columns from the catalog")?;
    ensure!(!columns.is_empty(), "the table is missing: run `marts migrate`");
    Ok(columns)
}

/// The columns that a mart's SQL fills: all but those of the loader and those that it may leave to the table.
pub(super) fn measured(table: Vec<Column>) -> Vec<Column> {
    let is_measured = |name: &str| !BOOKKEEPING.contains(&name) && !OPTIONAL.contains(&name);
    table.into_iter().filter(|column| is_measured(&column.name)).collect()
}

/// The columns that the rows bring, in the mart's order.
///
/// # Errors
/// Names the first column that is missing, unknown or of another type.
pub(super) fn staged(table: &[Column], batches: &[RecordBatch], key: &[&str]) -> Result<Vec<Column>> {
    let Some(first) = batches.first() else {
        // No rows at all: nothing to hold against the table, and nothing to copy.
        return Ok(table.iter().filter(|column| !BOOKKEEPING.contains(&column.name.as_str())).cloned().collect());
    };
    for batch in batches {
        check(table, &batch.schema())?;
    }
    let schema = first.schema();
    let columns: Vec<Column> =
        table.iter().filter(|column| schema.column_with_name(&column.name).is_some()).cloned().collect();
    for name in key {
        ensure!(columns.iter().any(|column| column.name == *name), "the rows lack the key column {name}");
    }
    Ok(columns)
}

fn check(table: &[Column], schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        let name = field.name().as_str();
        if BOOKKEEPING.contains(&name) {
            bail!("column {name} is the loader's to fill");
        }
        let Some(column) = table.iter().find(|column| column.name == name) else {
            bail!("column {name} is not in the table");
        };
        let type_name = column.type_name.as_str();
        ensure!(
            fits(field.data_type(), type_name),
            "column {name} is {}, the mart wants {type_name}",
            field.data_type()
        );
    }
    for column in table {
        let name = column.name.as_str();
        let may_lack = BOOKKEEPING.contains(&name) || OPTIONAL.contains(&name);
        ensure!(may_lack || schema.column_with_name(name).is_some(), "the rows lack column {name}");
    }
    Ok(())
}

/// Whether an Arrow type is exactly a Postgres one. Nothing is converted here: that is the mart's SQL to do, where it
/// can be seen.
fn fits(arrow: &DataType, postgres: &str) -> bool {
    match arrow {
        DataType::Int32 => postgres == "integer",
        DataType::Int64 => postgres == "bigint",
        DataType::Boolean => postgres == "boolean",
        DataType::Date32 => postgres == "date",
        DataType::Decimal128(precision, scale) => postgres == format!("numeric({precision},{scale})"),
        DataType::Utf8 => postgres == "text" || postgres == "jsonb" || postgres.starts_with("character varying"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => postgres == "timestamp without time zone",
        _ => false,
    }
}
