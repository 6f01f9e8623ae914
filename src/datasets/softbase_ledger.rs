//! Raw pulls of Softbase's general ledger.

use super::{Connector, Dataset, Grain, Kind, column, required};

/// SQL Server's `money`, with all its four decimals.
const AMOUNT: Kind = Kind::Decimal { precision: 19, scale: 4 };

pub(super) static GL: Dataset = Dataset {
    name: "softbase_gl",
    connector: Connector::SoftbaseLedger,
    grain: Grain::Snapshot,
    key: &["account_no", "year", "month"],
    may_be_empty: false,
    pages: false,
    columns: &[
        required("account_no", Kind::Text, "GL.AccountNo", "Number of the account."),
        required("year", Kind::Int, "GL.Year", "Calendar year."),
        required(
            "month",
            Kind::Int,
            "GL.Month",
            "Calendar month, 1 to 12; 13 holds the entries that close a fiscal year, and is not computed with.",
        ),
        column("mtd", AMOUNT, "GL.MTD", "Movement of the month; debit positive, credit negative."),
        column(
            "ytd",
            AMOUNT,
            "GL.YTD",
            "Closing balance of a balance-sheet account, fiscal year to date of any other; debit positive.",
        ),
    ],
    meaning: "The monthly ledger of a Softbase dealer as it stood when pulled: one row per account and month in which the \
              ledger has one.",
};

pub(super) static CHART_OF_ACCOUNTS: Dataset = Dataset {
    name: "softbase_chart_of_accounts",
    connector: Connector::SoftbaseLedger,
    grain: Grain::Snapshot,
    key: &["account_no"],
    may_be_empty: false,
    pages: false,
    columns: &[
        required("account_no", Kind::Text, "ChartOfAccounts.AccountNo", "Number of the account."),
        column("description", Kind::Text, "ChartOfAccounts.Description", "What it is called."),
        column(
            "account_type",
            Kind::Text,
            "ChartOfAccounts.Type",
            "A assets, L liabilities and equity alike, S sales, C cost, E expense.",
        ),
    ],
    meaning: "The chart of accounts of a Softbase dealer as it stood when pulled: one row per account.",
};
