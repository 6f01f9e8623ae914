//! What columns a view has, and how each is asked for. The driver tells neither precision nor length of a result's
//! columns, so the catalog is the only place to see that a column is not what it was.

use anyhow::{Context, Result, bail, ensure};

use super::request::{self, Item, SqlType};
use super::{Server, value};
use crate::datasets::{Column, Kind};
use crate::staging::Value;

/// A column as INFORMATION_SCHEMA describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: String,
    /// `money`, `varchar`, …
    pub data_type: String,
    pub nullable: bool,
    pub precision: Option<i64>,
    pub scale: Option<i64>,
    /// In characters; -1 = max.
    pub length: Option<i64>,
}

/// The columns of one table or view.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub schema: String,
    pub table: String,
    pub columns: Vec<SourceColumn>,
}

impl Server<'_> {
    /// Reads the columns of a table or view.
    ///
    /// # Errors
    /// None at all: the catalog keeps silent about what does not exist and about what the login may not see.
    pub async fn catalog(&mut self, schema: &str, table: &str) -> Result<Catalog> {
        let columns = self
            .query(
                &request::catalog(schema, table),
                || Ok(Vec::new()),
                |columns, row| {
                    let mut cells = row.cells().map(|(_, cell)| value(cell));
                    let mut next = || cells.next().context("the catalog's answer is short of a column")?;
                    columns.push(SourceColumn {
                        name: text(next()?).context("the catalog gave a column without a name")?,
                        data_type: text(next()?).context("the catalog gave a column without a type")?.to_lowercase(),
                        nullable: text(next()?).is_none_or(|answer| answer != "NO"),
                        precision: int(next()?),
                        scale: int(next()?),
                        length: int(next()?),
                    });
                    Ok(())
                },
            )
            .await
            .with_context(|| format!("reading the catalog of {schema}.{table}"))?;
        ensure!(
            !columns.is_empty(),
            "SQL Server {}: there is no {schema}.{table}, or the login may not see it; check `schema` and `database`, \
             or ask whoever runs the server for the right to read it",
            self.name()
        );
        Ok(Catalog { schema: schema.into(), table: table.into(), columns })
    }
}

impl Catalog {
    /// The column of that name. Whether the server tells upper from lower case is not known, so its own spelling is
    /// found and used.
    pub fn find(&self, name: &str) -> Option<&SourceColumn> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact.or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }

    /// How `column` of a dataset is asked for, from the source's column `name`.
    ///
    /// # Errors
    /// The view has no such column, or one whose type is of another class than the dataset's.
    pub fn item(&self, column: &Column, name: &str) -> Result<Item> {
        let source = self.find(name).with_context(|| {
            format!("{}.{} has no column {name}, which {} needs", self.schema, self.table, column.name)
        })?;
        let cast = cast(column.kind, source).with_context(|| {
            format!(
                "{}.{}.{} is {}, which is not what {} expects: {}",
                self.schema,
                self.table,
                source.name,
                source.declared(),
                column.name,
                column.kind.sql()
            )
        })?;
        if let (Kind::Decimal { scale, .. }, Some(given)) = (column.kind, source.scale)
            && given > i64::from(scale)
        {
            tracing::warn!(
                "{}.{}.{} is {}: rounded to {scale} decimals on its way",
                self.schema,
                self.table,
                source.name,
                source.declared()
            );
        }
        Ok(Item { column: Some(source.name.clone()), cast, alias: column.name.into() })
    }

    /// NULL in place of a column that the view does not have.
    pub fn absent(column: &Column) -> Result<Item> {
        let cast = match column.kind {
            Kind::Text => SqlType::NVarChar(1),
            Kind::Int => SqlType::BigInt,
            Kind::Decimal { precision, scale } => decimal(precision, scale)?,
            Kind::Bool => SqlType::Bit,
            Kind::Date => SqlType::Date,
            Kind::Timestamp => bail!("instants are not read from SQL Server"),
        };
        Ok(Item { column: None, cast, alias: column.name.into() })
    }
}

impl SourceColumn {
    /// Its type as one would declare it, for messages.
    fn declared(&self) -> String {
        match (self.data_type.as_str(), self.length, self.precision, self.scale) {
            ("decimal" | "numeric", _, Some(precision), Some(scale)) => {
                format!("{}({precision},{scale})", self.data_type)
            }
            (_, Some(-1), ..) => format!("{}(max)", self.data_type),
            (_, Some(length), ..) => format!("{}({length})", self.data_type),
            _ => self.data_type.clone(),
        }
    }
}

/// The cast that brings a source column to a dataset's kind without loss; none where only guessing could.
fn cast(kind: Kind, source: &SourceColumn) -> Option<SqlType> {
    let whole = source.scale.is_none_or(|scale| scale == 0);
    match (kind, source.data_type.as_str()) {
        // Numbers of invoices are integers at some dealers and text at others. A float is none: it would come as 1.6e+007.
        (Kind::Text, "tinyint" | "smallint" | "int" | "bigint") => Some(SqlType::NVarChar(20)),
        (Kind::Text, "decimal" | "numeric") if whole => Some(SqlType::NVarChar(40)),
        (Kind::Text, "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext") => {
            Some(match source.length.and_then(|length| u16::try_from(length).ok()) {
                Some(length @ 1..=4000) => SqlType::NVarChar(length),
                _ => SqlType::NVarCharMax,
            })
        }
        (Kind::Int, "tinyint" | "smallint" | "int" | "bigint") => Some(SqlType::BigInt),
        (Kind::Int, "decimal" | "numeric") if whole => Some(SqlType::BigInt),
        (
            Kind::Decimal { precision, scale },
            "money" | "smallmoney" | "decimal" | "numeric" | "float" | "real" | "tinyint" | "smallint" | "int"
            | "bigint",
        ) => decimal(precision, scale).ok(),
        (Kind::Bool, "bit") => Some(SqlType::Bit),
        // The day is cut on the server, where 23:59:59.997 still belongs to it.
        (Kind::Date, "date" | "datetime" | "datetime2" | "smalldatetime" | "datetimeoffset") => Some(SqlType::Date),
        _ => None,
    }
}

fn decimal(precision: u8, scale: i8) -> Result<SqlType> {
    Ok(SqlType::Decimal { precision, scale: u8::try_from(scale).context("SQL Server has no negative scales")? })
}

fn text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_owned()),
        _ => None,
    }
}

fn int(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(data_type: &str, length: Option<i64>, scale: Option<i64>) -> SourceColumn {
        SourceColumn {
            name: "Column".into(),
            data_type: data_type.into(),
            nullable: true,
            precision: scale.map(|_| 18),
            scale,
            length,
        }
    }

    #[test]
    fn types_are_cast_by_their_class_only() {
        let amount = Kind::Decimal { precision: 19, scale: 4 };
        let cases = [
            (amount, source("money", None, Some(4)), Some("decimal(19,4)")),
            (amount, source("float", None, None), Some("decimal(19,4)")),
            (amount, source("nvarchar", Some(20), None), None),
            (amount, source("datetime", None, None), None),
            (Kind::Text, source("char", Some(12), None), Some("nvarchar(12)")),
            (Kind::Text, source("varchar", Some(8000), None), Some("nvarchar(max)")),
            (Kind::Text, source("nvarchar", Some(-1), None), Some("nvarchar(max)")),
            (Kind::Text, source("int", None, Some(0)), Some("nvarchar(20)")),
            (Kind::Text, source("float", None, None), None),
            (Kind::Int, source("smallint", None, Some(0)), Some("bigint")),
            (Kind::Int, source("decimal", None, Some(2)), None),
            (Kind::Int, source("nvarchar", Some(4), None), None),
            (Kind::Date, source("datetime", None, None), Some("date")),
            (Kind::Date, source("int", None, Some(0)), None),
            (Kind::Timestamp, source("datetime2", None, None), None),
        ];
        for (kind, source, expected) in cases {
            let cast = cast(kind, &source).map(|cast| cast.to_string());
            assert_eq!(cast.as_deref(), expected, "{kind:?} from {}", source.declared());
        }
    }
}
