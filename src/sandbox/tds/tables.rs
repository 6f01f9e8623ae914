//! The tables behind the server.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use anyhow::{Context, bail, ensure};

use super::{
    aggregate::Copies,
    convert::store,
    error::SqlError,
    types::{SqlType, SqlValue},
};

/// A column as `CREATE TABLE` would declare it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
}

impl TableColumn {
    pub fn new(name: &str, sql_type: SqlType) -> Self {
        TableColumn { name: name.to_owned(), sql_type, nullable: true }
    }

    pub fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }
}

/// Makes the n-th row of a generated table; asked again it must make the same one.
pub type RowMaker = Arc<dyn Fn(u64) -> Vec<SqlValue> + Send + Sync>;

/// Where a table's rows come from.
#[derive(Clone)]
pub enum Rows {
    Memory(Vec<Vec<SqlValue>>),
    /// Made one at a time while they are sent, so that a table of any size takes no memory.
    Generated {
        count: u64,
        row: RowMaker,
        /// The columns the rows already come sorted by: an ORDER BY on these streams, any other has to collect.
        sorted_by: Vec<String>,
    },
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.count())
    }
}

impl Rows {
    pub fn count(&self) -> u64 {
        match self {
            Rows::Memory(rows) => rows.len() as u64,
            Rows::Generated { count, .. } => *count,
        }
    }
}

/// A table or view.
#[derive(Clone, Debug)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub columns: Vec<TableColumn>,
    pub rows: Rows,
}

impl Table {
    /// A table held in memory.
    pub fn new(schema: &str, name: &str, columns: Vec<TableColumn>, rows: Vec<Vec<SqlValue>>) -> Self {
        Table { schema: schema.into(), name: name.into(), columns, rows: Rows::Memory(rows) }
    }

    /// Position of a column; names are case-insensitive.
    pub(crate) fn column(&self, name: &str) -> Result<usize, SqlError> {
        let wanted = folded(name);
        self.columns.iter().position(|c| folded(&c.name) == wanted).ok_or_else(|| SqlError::invalid_column(name))
    }

    /// One row in stored form.
    pub(crate) fn row(&self, number: u64) -> Result<Cow<'_, [SqlValue]>, SqlError> {
        match &self.rows {
            Rows::Memory(rows) => Ok(Cow::Borrowed(rows.get(number as usize).map_or(&[][..], Vec::as_slice))),
            Rows::Generated { row, .. } => self.stored(row(number)).map(Cow::Owned),
        }
    }

    fn stored(&self, mut row: Vec<SqlValue>) -> Result<Vec<SqlValue>, SqlError> {
        if row.len() != self.columns.len() {
            let message =
                format!("{}.{}: {} values for {} columns", self.schema, self.name, row.len(), self.columns.len());
            return Err(SqlError::new(213, 1, 16, message));
        }
        for (column, value) in self.columns.iter().zip(&mut row) {
            if value.is_null() && !column.nullable {
                let message =
                    format!("Cannot insert the value NULL into column '{}', table '{}'.", column.name, self.name);
                return Err(SqlError::new(515, 2, 16, message));
            }
            *value = store(std::mem::replace(value, SqlValue::Null), column.sql_type)?;
        }
        Ok(row)
    }
}

/// What a login can see: a name and the tables in it.
#[derive(Clone, Debug, Default)]
pub struct Database {
    name: String,
    tables: HashMap<(String, String), Arc<Table>>,
    /// What aggregates are computed over.
    pub(super) copies: Copies,
}

impl Database {
    /// Checks every table and brings its rows in memory into the form their columns store.
    pub fn new(name: &str, tables: Vec<Table>) -> anyhow::Result<Self> {
        let mut database = Database { name: name.to_owned(), ..Database::default() };
        for mut table in tables {
            let title = format!("{}.{}", table.schema, table.name);
            check(&table).with_context(|| title.clone())?;
            if let Rows::Memory(rows) = &mut table.rows {
                let rows = std::mem::take(rows);
                let stored: Result<Vec<_>, _> = rows.into_iter().map(|row| table.stored(row)).collect();
                table.rows = Rows::Memory(stored.with_context(|| title.clone())?);
            }
            let key = (folded(&table.schema), folded(&table.name));
            if database.tables.insert(key, Arc::new(table)).is_some() {
                bail!("{title} is there twice");
            }
        }
        let catalog = catalog(&database);
        database.tables.insert(("information_schema".into(), "columns".into()), Arc::new(catalog));
        Ok(database)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn table(&self, schema: &str, name: &str) -> Result<Arc<Table>, SqlError> {
        let found = self.tables.get(&(folded(schema), folded(name)));
        found.cloned().ok_or_else(|| SqlError::invalid_object(format_args!("{schema}.{name}")))
    }
}

/// SQL Server's names do not tell case apart under the usual collations.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

fn check(table: &Table) -> anyhow::Result<()> {
    ensure!(!table.columns.is_empty(), "no columns");
    for (i, column) in table.columns.iter().enumerate() {
        let name = &column.name;
        ensure!(table.column(name).ok() == Some(i), "column {name} is there twice");
        let good = match column.sql_type {
            SqlType::Decimal { precision, scale } => (1..=38).contains(&precision) && scale <= precision,
            SqlType::DateTime2(scale) => scale <= 7,
            SqlType::VarChar(n) | SqlType::Char(n) => (1..=8000).contains(&n),
            SqlType::NVarChar(n) | SqlType::NChar(n) => (1..=4000).contains(&n),
            _ => true,
        };
        ensure!(good, "column {name}: {:?} is no SQL Server type", column.sql_type);
    }
    if let Rows::Generated { sorted_by, .. } = &table.rows {
        for name in sorted_by {
            table.column(name).with_context(|| format!("sorted_by {name}"))?;
        }
    }
    Ok(())
}

/// `INFORMATION_SCHEMA.COLUMNS` as a table like any other.
fn catalog(database: &Database) -> Table {
    let name = |name: &str| TableColumn::new(name, SqlType::NVarChar(128));
    let columns = vec![
        name("TABLE_CATALOG"),
        name("TABLE_SCHEMA"),
        name("TABLE_NAME").not_null(),
        name("COLUMN_NAME"),
        TableColumn::new("ORDINAL_POSITION", SqlType::Int).not_null(),
        TableColumn::new("IS_NULLABLE", SqlType::VarChar(3)),
        name("DATA_TYPE"),
        TableColumn::new("CHARACTER_MAXIMUM_LENGTH", SqlType::Int),
        TableColumn::new("NUMERIC_PRECISION", SqlType::TinyInt),
        TableColumn::new("NUMERIC_SCALE", SqlType::Int),
        TableColumn::new("DATETIME_PRECISION", SqlType::SmallInt),
    ];
    let mut rows = Vec::new();
    for table in database.tables.values() {
        for (i, column) in table.columns.iter().enumerate() {
            let (precision, scale) = numeric_shape(column.sql_type);
            let length = match column.sql_type {
                SqlType::VarCharMax | SqlType::NVarCharMax => Some(-1),
                sql_type => sql_type.length().map(i64::from),
            };
            rows.push(vec![
                database.name.as_str().into(),
                table.schema.as_str().into(),
                table.name.as_str().into(),
                column.name.as_str().into(),
                SqlValue::Int(i as i64 + 1),
                if column.nullable { "YES" } else { "NO" }.into(),
                column.sql_type.name().into(),
                length.into(),
                precision.into(),
                scale.into(),
                fraction_digits(column.sql_type).into(),
            ]);
        }
    }
    Table { schema: "INFORMATION_SCHEMA".into(), name: "COLUMNS".into(), columns, rows: Rows::Memory(rows) }
}

fn numeric_shape(sql_type: SqlType) -> (Option<i64>, Option<i64>) {
    match sql_type {
        SqlType::TinyInt => (Some(3), Some(0)),
        SqlType::SmallInt => (Some(5), Some(0)),
        SqlType::Int => (Some(10), Some(0)),
        SqlType::BigInt => (Some(19), Some(0)),
        SqlType::Float => (Some(53), None),
        SqlType::Real => (Some(24), None),
        SqlType::Money => (Some(19), Some(4)),
        SqlType::SmallMoney => (Some(10), Some(4)),
        SqlType::Decimal { precision, scale } => (Some(precision.into()), Some(scale.into())),
        _ => (None, None),
    }
}

fn fraction_digits(sql_type: SqlType) -> Option<i64> {
    match sql_type {
        SqlType::DateTime => Some(3),
        SqlType::SmallDateTime | SqlType::Date => Some(0),
        SqlType::DateTime2(scale) => Some(scale.into()),
        _ => None,
    }
}
