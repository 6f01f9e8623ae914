//! Raw pulls of the case database, and the lists that say which of its columns may be read at all.
//!
//! The table's name says that it holds no health information, and yet it has counsellors' names, clients and free text.
//! So a column is read only if it is on a list here, and adding one is a change of this file that somebody reviews.

use super::{Column, Connector, Dataset, Grain, Kind, column, required};

/// What stands for the column that the settings name as category.
pub const CATEGORY: &str = "(category_column)";

/// The columns that are read whatever the settings say.
pub const READ: &[&str] = &["Case Create Date", "Date Closed", "Case Type", "Workflow Status"];

/// The columns that the settings may name as category: kinds of service and of outcome. None says who somebody is,
/// whom they work for, or who cares for them.
pub const CATEGORIES: &[&str] = &[
    "Solution",
    "Primary Presenting Problem",
    "Closing Disposition",
    "Client Type",
    "Triage Tier",
    "Initial Session Modality",
];

/// Columns that the table is known to have and that are never read.
pub const UNREAD: &[&str] = &[
    "Date Opened",
    "Organization",
    "Industry",
    "Tier Level",
    "Current Population",
    "Provider Type",
    "Primary Counselor Name",
    "Case Manager",
    "Satisfaction",
    "Net Promoter",
    "Impact on Well Being",
    "Satisfaction Comments",
    "Completed Session Count",
    "Cancelled Sessions",
    "In-Person Sessions",
    "Virtual Sessions",
    "Web Hits",
    "Web Logins",
    "Mobile App Count",
    "TAT - Client Contact to First Session",
    "TAT - Client Contact to Case Closed",
    "TAT - Client Contact to Consultant Assigned",
    "TAT - Consultant Assigned to First Session",
];

/// Beginnings of the names of further columns that are known and never read: outcomes before and after.
pub const UNREAD_BEGINNINGS: &[&str] = &["Pre: ", "Post: "];

/// Labels may turn out to say something about a person after all, so no message ever shows one.
const fn label(name: &'static str, from: &'static str, meaning: &'static str) -> Column {
    Column { personal: true, ..column(name, Kind::Text, from, meaning) }
}

pub(super) static SUMMARY: Dataset = Dataset {
    name: "cases_summary",
    connector: Connector::Cases,
    grain: Grain::Snapshot,
    key: &["row_no"],
    may_be_empty: false,
    pages: false,
    columns: &[
        required(
            "row_no",
            Kind::Int,
            "the order of the answer",
            "Number of the row in its pull, from 1. The table has no key, so it means nothing in another pull.",
        ),
        column("created_date", Kind::Date, "Case Create Date", "Day the case was created."),
        column("closed_date", Kind::Date, "Date Closed", "Day the case was closed; null while open."),
        label("case_type", "Case Type", "Kind of case, as typed in the source but trimmed."),
        label("workflow_status", "Workflow Status", "State of the case, as typed in the source but trimmed."),
        label(
            "category",
            CATEGORY,
            "The column that the settings name as category ([Solution] by default), as typed but trimmed.",
        ),
    ],
    meaning: "All cases as they stood when pulled, by five columns of the summary table: one row per case.",
};

pub(super) static COLUMNS: Dataset = Dataset {
    name: "cases_columns",
    connector: Connector::Cases,
    grain: Grain::Snapshot,
    key: &["column_name"],
    may_be_empty: false,
    pages: false,
    columns: &[
        required("column_name", Kind::Text, "COLUMNS.COLUMN_NAME", "Name of a column of the summary table."),
        required("data_type", Kind::Text, "COLUMNS.DATA_TYPE", "Its type in the source."),
        required("is_read", Kind::Bool, "the list of columns", "Whether it was read into cases_summary."),
        required(
            "is_known",
            Kind::Bool,
            "the list of columns",
            "Whether it is on the list of columns, those that are never read included. The audit reports the others.",
        ),
    ],
    meaning: "The columns of the summary table as the source's catalog gave them when the cases were pulled.",
};
