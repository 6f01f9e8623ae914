//! The columns of a mart, read off the migrations: they are declared there and nowhere else.

use std::fmt;

use anyhow::{Context, Result, bail};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Columns that the loader stamps, so that SQL never sees them.
pub const BOOKKEEPING: [&str; 6] = ["id", "org_id", "source_system", "source_table", "created_at", "updated_at"];

/// A column that a mart's SQL must return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MartColumn {
    pub name: String,
    pub kind: MartKind,
}

/// The types that marts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MartKind {
    Integer,
    Date,
    Text,
    Json,
    Numeric { precision: u8, scale: i8 },
}

impl MartKind {
    fn from_postgres(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (name, arguments) = text.trim_end_matches(')').split_once('(').unwrap_or((&text, ""));
        match name.trim() {
            "integer" => Some(MartKind::Integer),
            "date" => Some(MartKind::Date),
            "varchar" | "text" => Some(MartKind::Text),
            "jsonb" => Some(MartKind::Json),
            "numeric" => {
                let (precision, scale) = arguments.split_once(',')?;
                Some(MartKind::Numeric { precision: precision.trim().parse().ok()?, scale: scale.trim().parse().ok()? })
            }
            _ => None,
        }
    }

    /// The Arrow type of the column in what [`Compute::compute`](super::Compute::compute) returns.
    pub fn data_type(self) -> DataType {
        match self {
            MartKind::Integer => DataType::Int32,
            MartKind::Date => DataType::Date32,
            MartKind::Text | MartKind::Json => DataType::Utf8,
            MartKind::Numeric { precision, scale } => DataType::Decimal128(precision, scale),
        }
    }
}

/// As DuckDB's `describe` writes it.
impl fmt::Display for MartKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MartKind::Integer => out.write_str("INTEGER"),
            MartKind::Date => out.write_str("DATE"),
            MartKind::Text => out.write_str("VARCHAR"),
            MartKind::Json => out.write_str("JSON"),
            MartKind::Numeric { precision, scale } => write!(out, "DECIMAL({precision},{scale})"),
        }
    }
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// What the catalog says of a mart, or of one of its columns.
///
/// # Errors
/// A mart or column that no migration comments on.
pub fn mart_comment(mart: &str, column: Option<&str>) -> Result<String> {
    let of = match column {
        Some(column) => format!("comment on column {mart}.{column} is '"),
        None => format!("comment on table {mart} is '"),
    };
    // The last one holds: a later migration may say it better.
    let mut found = MIGRATIONS
        .iter()
        .flat_map(|migration| migration.sql.as_str().lines())
        .filter_map(|line| line.strip_prefix(&of));
    let text = found.next_back().and_then(|text| text.trim_end().strip_suffix("';"));
    Ok(text.with_context(|| format!("no migration says {of}"))?.replace("''", "'"))
}

/// The columns of a mart that its SQL must return, in order: all but [`BOOKKEEPING`].
pub fn mart_columns(mart: &str) -> Result<Vec<MartColumn>> {
    MIGRATIONS
        .iter()
        .find_map(|migration| create_table(migration.sql.as_str(), mart))
        .with_context(|| format!("no migration creates {mart}"))?
        .lines()
        .filter_map(|line| column(line).transpose())
        .collect::<Result<_>>()
        .with_context(|| format!("in the migration of {mart}"))
}

/// The Arrow schema of a mart's rows.
pub fn mart_schema(mart: &str) -> Result<SchemaRef> {
    let columns = mart_columns(mart)?;
    let fields = columns.iter().map(|column| Field::new(&column.name, column.kind.data_type(), true));
    Ok(Schema::new(fields.collect::<Vec<_>>()).into())
}

/// What stands between the parentheses of the statement that creates the table: one column a line.
fn create_table<'a>(sql: &'a str, table: &str) -> Option<&'a str> {
    let header = |line: &str| {
        let words: Vec<_> = line.trim_end().trim_end_matches('(').split_whitespace().collect();
        words.len() >= 3
            && words[0].eq_ignore_ascii_case("create")
            && words[1].eq_ignore_ascii_case("table")
            && words[words.len() - 1] == table
    };
    let start = sql.find(sql.lines().find(|line| header(line))?)?;
    let body = sql[start..].split_once('(')?.1;
    Some(body.split_once("\n)")?.0)
}

/// The column that a line declares, unless it declares none or bookkeeping.
fn column(line: &str) -> Result<Option<MartColumn>> {
    let line = line.split("--").next().unwrap_or_default().trim().trim_end_matches(',');
    let Some((name, rest)) = line.split_once(char::is_whitespace) else { return Ok(None) };
    let constraints = ["unique", "constraint", "primary", "foreign", "check"];
    if constraints.iter().any(|word| name.to_ascii_lowercase().starts_with(word)) || BOOKKEEPING.contains(&name) {
        return Ok(None);
    }
    let rest = rest.trim();
    // `numeric(18, 2)` may hold a blank; every other type is one word.
    let end = match rest.find(')') {
        Some(close) if !rest[..close].split('(').next().unwrap_or_default().contains(char::is_whitespace) => close + 1,
        _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
    };
    match MartKind::from_postgres(&rest[..end]) {
        Some(kind) => Ok(Some(MartColumn { name: name.to_owned(), kind })),
        None => bail!("column {name}: {} is no type that marts are made of", &rest[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_read_off_its_line() {
        let read = |line| column(line).unwrap().map(|column| format!("{} {}", column.name, column.kind));
        assert_eq!(read("    year INTEGER NOT NULL,").unwrap(), "year INTEGER");
        assert_eq!(read("    gross numeric(18, 2) default 0, -- a note").unwrap(), "gross DECIMAL(18,2)");
        assert_eq!(read("    margin NUMERIC(5,2) DEFAULT 0").unwrap(), "margin DECIMAL(5,2)");
        assert_eq!(read("    stages JSONB DEFAULT '{}',").unwrap(), "stages JSON");
        assert_eq!(read("    health VARCHAR(20) DEFAULT 'unknown',  -- healthy (or not)").unwrap(), "health VARCHAR");
        assert_eq!(read("    day date check (day > '2000-01-01'),").unwrap(), "day DATE");
        for line in
            ["", "    -- Cash Flow", "    UNIQUE(org_id, year)", "    unique (org_id)", "    id SERIAL PRIMARY KEY,"]
        {
            assert_eq!(read(line), None, "{line}");
        }
        assert!(column("    ratio double precision,").is_err());
    }
}
