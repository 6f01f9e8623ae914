//! The few statements that are ever sent to a SQL Server, as types: every name is quoted and every value travels as a
//! typed parameter. [`Statement::written`] is for texts of our own, which are held to the same.

use std::fmt;

use chrono::NaiveDate;

/// A statement ready to be sent: its text, its parameters, and what its result must look like.
///
/// It has no `Debug`, so that parameter values reach no log.
pub struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter>,
    /// Names of the result's columns: an answer of another shape is an error, not data.
    pub(super) columns: Vec<String>,
}

impl Statement {
    /// A statement that stands written in the program, for questions that a server adds up. The text holds no values and
    /// no names from elsewhere but those that [`quoted`] has quoted; parameters are called `@P1`, `@P2`, ….
    pub(crate) fn written(sql: String, parameters: Vec<Parameter>, columns: Vec<String>) -> Statement {
        Statement { sql, parameters, columns }
    }

    /// The text of the statement, which holds no values.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

/// A value of a condition. Days are sent as `date`: as text they fail against `datetime` columns with error 242.
#[derive(Clone, PartialEq, Eq)]
pub enum Parameter {
    Date(NaiveDate),
    Text(String),
    Int(i64),
}

/// The types that are asked for. Sources are always cast on the server: tiberius reads `money` as a float, and cannot
/// decode every code page of `varchar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    NVarChar(u16),
    NVarCharMax,
    Decimal { precision: u8, scale: u8 },
    BigInt,
    Bit,
    Date,
}

impl fmt::Display for SqlType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::NVarChar(length) => write!(out, "nvarchar({length})"),
            SqlType::NVarCharMax => write!(out, "nvarchar(max)"),
            SqlType::Decimal { precision, scale } => write!(out, "decimal({precision},{scale})"),
            SqlType::BigInt => write!(out, "bigint"),
            SqlType::Bit => write!(out, "bit"),
            SqlType::Date => write!(out, "date"),
        }
    }
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The source's column; none = NULL, for a column that the source does not have.
    pub column: Option<String>,
    pub cast: SqlType,
    pub alias: String,
}

/// A condition on a column.
#[derive(Clone, PartialEq, Eq)]
pub enum Condition {
    Equal(String, Parameter),
    AtLeast(String, Parameter),
    Before(String, Parameter),
    IsNull(String),
    IsNotNull(String),
}

/// `SELECT … FROM [schema].[table] WHERE … ORDER BY …`.
#[derive(Clone)]
pub struct Select {
    pub schema: String,
    pub table: String,
    pub items: Vec<Item>,
    /// All of them hold.
    pub conditions: Vec<Condition>,
    pub order: Vec<String>,
}

impl Select {
    /// The statement that asks for it.
    pub fn statement(&self) -> Statement {
        let items: Vec<String> = self.items.iter().map(item).collect();
        let columns = self.items.iter().map(|item| item.alias.clone()).collect();
        statement(items, columns, (&self.schema, &self.table), &self.conditions, &self.order)
    }
}

/// The columns of [`catalog`], in order.
pub(super) const CATALOG_COLUMNS: [&str; 6] =
    ["COLUMN_NAME", "DATA_TYPE", "IS_NULLABLE", "NUMERIC_PRECISION", "NUMERIC_SCALE", "CHARACTER_MAXIMUM_LENGTH"];

/// Asks which columns a table or view has, as far as the login may see them.
pub fn catalog(schema: &str, table: &str) -> Statement {
    statement(
        CATALOG_COLUMNS.iter().map(|column| quoted(column)).collect(),
        CATALOG_COLUMNS.iter().map(ToString::to_string).collect(),
        ("INFORMATION_SCHEMA", "COLUMNS"),
        &[
            Condition::Equal("TABLE_SCHEMA".into(), Parameter::Text(schema.into())),
            Condition::Equal("TABLE_NAME".into(), Parameter::Text(table.into())),
        ],
        &["ORDINAL_POSITION".into()],
    )
}

fn statement(
    items: Vec<String>,
    columns: Vec<String>,
    (schema, table): (&str, &str),
    conditions: &[Condition],
    order: &[String],
) -> Statement {
    let mut sql = format!("SELECT {} FROM {}.{}", items.join(", "), quoted(schema), quoted(table));
    let mut parameters = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        sql.push_str(if at == 0 { " WHERE " } else { " AND " });
        let (column, operator, parameter) = match condition {
            Condition::Equal(column, parameter) => (column, "=", parameter),
            Condition::AtLeast(column, parameter) => (column, ">=", parameter),
            Condition::Before(column, parameter) => (column, "<", parameter),
            Condition::IsNull(column) => {
                sql.push_str(&format!("{} IS NULL", quoted(column)));
                continue;
            }
            Condition::IsNotNull(column) => {
                sql.push_str(&format!("{} IS NOT NULL", quoted(column)));
                continue;
            }
        };
        parameters.push(parameter.clone());
        sql.push_str(&format!("{} {operator} @P{}", quoted(column), parameters.len()));
    }
    if !order.is_empty() {
        let order: Vec<String> = order.iter().map(|column| quoted(column)).collect();
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    Statement { sql, parameters, columns }
}

fn item(item: &Item) -> String {
    let source = item.column.as_deref().map_or_else(|| "NULL".to_owned(), quoted);
    format!("CAST({source} AS {}) AS {}", item.cast, quoted(&item.alias))
}

/// A name as T-SQL quotes it: in brackets, closing ones doubled.
pub(crate) fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_of_invoices_is_asked_half_open_with_typed_days() {
        let day = |text: &str| Parameter::Date(text.parse().unwrap());
        let statement = Select {
            schema: "ben]002".into(),
            table: "InvoiceReg".into(),
            items: vec![
                Item { column: Some("InvoiceNo".into()), cast: SqlType::NVarChar(20), alias: "invoice_no".into() },
                Item {
                    column: Some("GrandTotal".into()),
                    cast: SqlType::Decimal { precision: 19, scale: 4 },
                    alias: "grand_total".into(),
                },
                Item { column: None, cast: SqlType::Date, alias: "deleted_date".into() },
            ],
            conditions: vec![
                Condition::IsNull("Customer".into()),
                Condition::AtLeast("InvoiceDate".into(), day("2026-01-01")),
                Condition::Before("InvoiceDate".into(), day("2026-02-01")),
            ],
            order: vec!["InvoiceNo".into()],
        }
        .statement();
        assert_eq!(
            statement.sql(),
            "SELECT CAST([InvoiceNo] AS nvarchar(20)) AS [invoice_no], \
             CAST([GrandTotal] AS decimal(19,4)) AS [grand_total], CAST(NULL AS date) AS [deleted_date] \
             FROM [ben]]002].[InvoiceReg] \
             WHERE [Customer] IS NULL AND [InvoiceDate] >= @P1 AND [InvoiceDate] < @P2 ORDER BY [InvoiceNo]"
        );
        assert!(statement.parameters == [day("2026-01-01"), day("2026-02-01")]);
        assert_eq!(statement.columns, ["invoice_no", "grand_total", "deleted_date"]);
    }

    #[test]
    fn the_catalog_is_asked_with_parameters() {
        let statement = catalog("ben002", "WO");
        assert_eq!(
            statement.sql(),
            "SELECT [COLUMN_NAME], [DATA_TYPE], [IS_NULLABLE], [NUMERIC_PRECISION], [NUMERIC_SCALE], \
             [CHARACTER_MAXIMUM_LENGTH] FROM [INFORMATION_SCHEMA].[COLUMNS] \
             WHERE [TABLE_SCHEMA] = @P1 AND [TABLE_NAME] = @P2 ORDER BY [ORDINAL_POSITION]"
        );
        assert!(statement.parameters == [Parameter::Text("ben002".into()), Parameter::Text("WO".into())]);
    }
}
