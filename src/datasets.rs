//! THE TABLE of raw pulls. A dataset is one kind of pull from one source: its grain, its key, and its columns
//! with their types, where each comes from, and a sentence for the data dictionary (`marts datasets`).
//!
//! Landing is typed: an amount is a DECIMAL in the Parquet files, a day a DATE, never text to be parsed again.

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
    /// The state of mutable objects as of one local day.
    Snapshot,
}

/// The system that a dataset is pulled from: a sub-table of `[[org]]` in `marts.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Connector {
    Softbase,
    QuickBooks,
}

impl Connector {
    /// Its key in `marts.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Connector::Softbase => "softbase",
            Connector::QuickBooks => "quickbooks",
        }
    }
}

/// One kind of raw pull.
#[derive(Debug)]
pub struct Dataset {
    pub name: &'static str,
    pub connector: Connector,
    pub grain: Grain,
    /// Columns that identify a row within one pull.
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
    DATASETS.iter().find(|dataset| dataset.name == name)
}

const fn column(name: &'static str, kind: Kind, from: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: true, personal: false, from, meaning }
}

const fn required(name: &'static str, kind: Kind, from: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: false, personal: false, from, meaning }
}

/// SQL Server's money and decimal amounts, with all four decimals of `money`.
const AMOUNT: Kind = Kind::Decimal { precision: 19, scale: 4 };

/// QuickBooks report cells: two decimals.
const CENTS: Kind = Kind::Decimal { precision: 18, scale: 2 };

pub static DATASETS: &[Dataset] = &[
    Dataset {
        name: "softbase_invoices",
        connector: Connector::Softbase,
        grain: Grain::Month,
        key: &["invoice_no"],
        may_be_empty: true,
        pages: false,
        columns: &[
            required("invoice_no", Kind::Text, "InvoiceReg.InvoiceNo", "Number of the invoice."),
            required(
                "invoice_date",
                Kind::Date,
                "InvoiceReg.InvoiceDate",
                "Local day of the invoice; the time of day is cut.",
            ),
            column("bill_to", Kind::Text, "InvoiceReg.BillTo", "Number of the customer billed, trimmed."),
            column("ship_to", Kind::Text, "InvoiceReg.ShipTo", "Number of the customer served, trimmed."),
            column("sale_code", Kind::Text, "InvoiceReg.SaleCode", "Kind of sale, as the dealer codes it."),
            column("sale_branch", Kind::Int, "InvoiceReg.SaleBranch", "Branch that sold."),
            column("sale_dept", Kind::Int, "InvoiceReg.SaleDept", "Department that sold."),
            column("grand_total", AMOUNT, "InvoiceReg.GrandTotal", "Amount of the invoice, sales tax included."),
            column("total_tax", AMOUNT, "InvoiceReg.TotalTax", "Sales tax in grand_total."),
            column("labor_taxable", AMOUNT, "InvoiceReg.LaborTaxable", "Labour, taxable."),
            column("labor_non_tax", AMOUNT, "InvoiceReg.LaborNonTax", "Labour, not taxable."),
            column("parts_taxable", AMOUNT, "InvoiceReg.PartsTaxable", "Parts, taxable."),
            column("parts_non_tax", AMOUNT, "InvoiceReg.PartsNonTax", "Parts, not taxable."),
            column("misc_taxable", AMOUNT, "InvoiceReg.MiscTaxable", "Miscellaneous, taxable."),
            column("misc_non_tax", AMOUNT, "InvoiceReg.MiscNonTax", "Miscellaneous, not taxable."),
            column("equipment_taxable", AMOUNT, "InvoiceReg.EquipmentTaxable", "Equipment sold, taxable."),
            column("equipment_non_tax", AMOUNT, "InvoiceReg.EquipmentNonTax", "Equipment sold, not taxable."),
            column("rental_taxable", AMOUNT, "InvoiceReg.RentalTaxable", "Rental, taxable."),
            column("rental_non_tax", AMOUNT, "InvoiceReg.RentalNonTax", "Rental, not taxable."),
            column(
                "deleted_date",
                Kind::Date,
                "InvoiceReg.DeletionTime",
                "Day the invoice was voided; null when it stands, or when the view has no such column.",
            ),
        ],
        meaning: "The invoice register of a Softbase dealer: one row per invoice of the month.",
    },
    Dataset {
        name: "softbase_work_orders",
        connector: Connector::Softbase,
        grain: Grain::Snapshot,
        key: &["work_order_no"],
        may_be_empty: false,
        pages: false,
        columns: &[
            required(
                "work_order_no",
                Kind::Text,
                "WO.WONo",
                "Number of the work order; numbers starting with 9 are quotes.",
            ),
            column(
                "work_order_type",
                Kind::Text,
                "WO.Type",
                "S service, SH shop, PM maintenance, P parts, R rental, E equipment.",
            ),
            column("open_date", Kind::Date, "WO.OpenDate", "Day it was opened."),
            column("completed_date", Kind::Date, "WO.CompletedDate", "Day the work was done."),
            column("closed_date", Kind::Date, "WO.ClosedDate", "Day it was closed, that is invoiced; null while open."),
            column(
                "deleted_date",
                Kind::Date,
                "WO.DeletionTime",
                "Day it was voided; null when it stands, or when the view has no such column.",
            ),
        ],
        meaning: "All work orders of a Softbase dealer as they stood when pulled: one row per work order.",
    },
    quickbooks_report(
        "quickbooks_profit_and_loss",
        "The ProfitAndLoss report of one month: one row per line of the report that carries an amount cell.",
    ),
    quickbooks_report(
        "quickbooks_balance_sheet",
        "The BalanceSheet report at the end of one month: one row per line of the report that carries an amount cell.",
    ),
    quickbooks_report(
        "quickbooks_cash_flow",
        "The CashFlow report of one month: one row per line of the report that carries an amount cell.",
    ),
];

const fn quickbooks_report(name: &'static str, meaning: &'static str) -> Dataset {
    Dataset {
        name,
        connector: Connector::QuickBooks,
        grain: Grain::Month,
        key: &["line"],
        may_be_empty: false,
        pages: true,
        columns: QUICKBOOKS_REPORT_COLUMNS,
        meaning,
    }
}

const QUICKBOOKS_REPORT_COLUMNS: &[Column] = &[
    required(
        "line",
        Kind::Int,
        "position in Rows",
        "Position of the line in the report, from 0, depth first; the key.",
    ),
    required(
        "line_type",
        Kind::Text,
        "Row.type",
        "'account' an account's amount, 'own' what was posted to a parent account itself, 'total' a section's summary, \
         'report' one line for the report as a whole.",
    ),
    required(
        "groups",
        Kind::Text,
        "Row.group, outermost first",
        "Groups that hold the line, its own last, as /Outer/Inner/; misspelt groups are written as documented; / when in none.",
    ),
    column("line_group", Kind::Text, "Row.group", "The line's own group, where it has one."),
    column("account_id", Kind::Text, "ColData[0].id", "Account, as QuickBooks numbers it."),
    column(
        "label",
        Kind::Text,
        "ColData[0].value",
        "Label as shown; edited freely and translated, never computed with.",
    ),
    required("depth", Kind::Int, "nesting of Rows", "How many sections enclose the line."),
    required(
        "is_leaf",
        Kind::Bool,
        "shape of the tree",
        "Whether the amount is nowhere else in the report: accounts, own postings, and totals of sections that show no lines.",
    ),
    column("amount", CENTS, "ColData[n].value", "Amount in the company's currency; null where the cell is empty."),
    required(
        "column_start",
        Kind::Date,
        "Columns.MetaData.StartDate, else Header.StartPeriod",
        "First day the amount covers.",
    ),
    required(
        "column_end",
        Kind::Date,
        "Columns.MetaData.EndDate, else Header.EndPeriod",
        "Last day the amount covers; a balance's day.",
    ),
    column("currency", Kind::Text, "Header.Currency", "Currency of the company, ISO 4217."),
    column("basis", Kind::Text, "Header.ReportBasis", "Accrual or Cash; the cash flow statement states none."),
    required(
        "no_report_data",
        Kind::Bool,
        "Header.Option NoReportData",
        "Whether QuickBooks says there was nothing to report.",
    ),
];
