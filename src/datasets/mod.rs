//! THE TABLE of raw pulls. A dataset is one kind of pull from one source: its grain, its key, and its columns
//! with their types, where each comes from, and a sentence for the data dictionary (`marts datasets`).
//!
//! Landing is typed: an amount is a DECIMAL in the Parquet files, a day a DATE, never text to be parsed again.

pub mod cases;
mod ga4;
mod hubspot;
mod quickbooks;
mod softbase;
mod softbase_ledger;
mod zoom;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The type of a staged column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Bool,
    Date,
    /// An instant, in UTC, to the microsecond.
    Timestamp,
}

impl Kind {
    /// The Arrow type that carries it.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Kind::Bool => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// Its name in DuckDB's SQL.
    pub fn sql(self) -> String {
        match self {
            Kind::Text => "varchar".into(),
            Kind::Int => "bigint".into(),
            Kind::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            Kind::Bool => "boolean".into(),
            Kind::Date => "date".into(),
            Kind::Timestamp => "timestamptz".into(),
        }
    }
}

/// One column of a dataset.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
    /// Whether its values may tell something about a person: such values never appear in messages.
    pub personal: bool,
    /// Where in the source's record it comes from: a SQL column, a path in the JSON answer.
    pub from: &'static str,
    /// One sentence for the data dictionary.
    pub meaning: &'static str,
}

/// How far one pull reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// A calendar month of records.
    Month,
    /// A local day of records.
    Day,
    /// The state of mutable objects as of one local day.
    Snapshot,
}

/// The system that a dataset is pulled from: a sub-table of `[[org]]` in `marts.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Connector {
    Softbase,
    /// The general ledger of Softbase: needs classes of accounts besides the server.
    SoftbaseLedger,
    QuickBooks,
    HubSpot,
    Zoom,
    Cases,
    BigQuery,
}

impl Connector {
    /// Its key in `marts.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Connector::Softbase => "softbase",
            Connector::SoftbaseLedger => "softbase.ledger",
            Connector::QuickBooks => "quickbooks",
            Connector::HubSpot => "hubspot",
            Connector::Zoom => "zoom",
            Connector::Cases => "cases",
            Connector::BigQuery => "bigquery",
        }
    }

    /// The one through which the same source is asked: it tells sources apart that may be asked at a time.
    pub fn source(self) -> Connector {
        match self {
            Connector::SoftbaseLedger => Connector::Softbase,
            other => other,
        }
    }
}

/// One kind of raw pull.
#[derive(Debug)]
pub struct Dataset {
    pub name: &'static str,
    pub connector: Connector,
    pub grain: Grain,
    /// Columns that identify a row within one pull; none where the source has no key.
    pub key: &'static [&'static str],
    /// A pull without rows is a failed pull, unless the source may truly have none.
    pub may_be_empty: bool,
    /// Whether the source answers in pages that are kept as answered. Then each row carries the number of its page.
    pub pages: bool,
    pub columns: &'static [Column],
    /// One sentence for the data dictionary.
    pub meaning: &'static str,
}

impl Dataset {
    /// The Arrow schema of its `rows-*.parquet`; datasets with pages end with `page`.
    pub fn schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(column.name, column.kind.data_type(), column.nullable))
            .collect();
        if self.pages {
            fields.push(Field::new("page", DataType::Int64, false));
        }
        Arc::new(Schema::new(fields))
    }
}

/// The dataset of that name.
pub fn dataset(name: &str) -> Option<&'static Dataset> {
    DATASETS.iter().copied().find(|dataset| dataset.name == name)
}

const fn column(name: &'static str, kind: Kind, from: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: true, personal: false, from, meaning }
}

const fn required(name: &'static str, kind: Kind, from: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: false, personal: false, from, meaning }
}

/// All of them, those of a connector together.
pub static DATASETS: &[&Dataset] = &[
    &softbase::INVOICES,
    &softbase::WORK_ORDERS,
    &softbase::EQUIPMENT,
    &softbase::RENTAL_LINES,
    &softbase_ledger::GL,
    &softbase_ledger::CHART_OF_ACCOUNTS,
    &quickbooks::PROFIT_AND_LOSS,
    &quickbooks::BALANCE_SHEET,
    &quickbooks::CASH_FLOW,
    &hubspot::CONTACTS,
    &hubspot::LIFECYCLE_STAGES,
    &hubspot::DEALS,
    &hubspot::DEAL_STAGES,
    &zoom::CALL_LEGS,
    &zoom::DAILY_REPORT,
    &zoom::COUNTS,
    &zoom::COVERAGE,
    &cases::SUMMARY,
    &cases::COLUMNS,
    &ga4::EVENTS,
];
