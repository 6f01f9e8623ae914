//! Raw pulls of QuickBooks Online.

use super::{Column, Connector, Dataset, Grain, Kind, column, required};

/// QuickBooks report cells: two decimals.
const CENTS: Kind = Kind::Decimal { precision: 18, scale: 2 };

pub(super) static PROFIT_AND_LOSS: Dataset = report(
    "quickbooks_profit_and_loss",
    "The ProfitAndLoss report of one month: one row per line of the report that carries an amount cell.",
);

pub(super) static BALANCE_SHEET: Dataset = report(
    "quickbooks_balance_sheet",
    "The BalanceSheet report at the end of one month: one row per line of the report that carries an amount cell.",
);

pub(super) static CASH_FLOW: Dataset = report(
    "quickbooks_cash_flow",
    "The CashFlow report of one month: one row per line of the report that carries an amount cell.",
);

const fn report(name: &'static str, meaning: &'static str) -> Dataset {
    Dataset {
        name,
        connector: Connector::QuickBooks,
        grain: Grain::Month,
        key: &["line"],
        may_be_empty: false,
        pages: true,
        columns: REPORT_COLUMNS,
        meaning,
    }
}

const REPORT_COLUMNS: &[Column] = &[
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
