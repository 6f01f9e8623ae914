//! THE TABLE of questions: one literal is one question to one source about some columns of one mart.
//!
//! A question is written down here a second time, in the source's own language or parameters, from DECISIONS.md and not
//! from the mart's SQL. It shares no code with extraction and transforms, only the transport: connections, retries,
//! tokens. A test holds it to that.

use super::outcome::Tolerance;
use super::{bigquery, cases, ledger, softbase};
use crate::datasets::Connector;

/// One question.
#[derive(Debug)]
pub struct Question {
    /// The job whose mart it is about.
    pub job: &'static str,
    /// Which source it is put to.
    pub connector: Connector,
    /// The columns that it answers.
    pub columns: &'static [&'static str],
    pub put: Put,
    /// The question as it is put: T-SQL, BigQuery's SQL, or the request. What stands in `{}` is filled in.
    pub text: &'static str,
    pub about: About,
    pub tolerance: Tolerance,
    /// Why the tolerance is as it is.
    pub because: &'static str,
}

/// How a question is put, and what is made of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Invoices,
    WorkOrders,
    Fleet,
    RentalRevenue,
    /// By the sums of movements and balances by class: the statement that [`ledger`] makes of them.
    Financial,
    CashFlow,
    QuickBooksReport(&'static str),
    Contacts,
    Deals,
    ZoomUsers,
    ZoomPhone,
    ZoomMeetings,
    Cases,
    CasesByStatus,
    AppUsers,
}

/// Which rows can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Any: the source keeps the dates of what befell its records.
    Any,
    /// Only the row of today or of the last complete day: the source knows the present and nothing else.
    Present,
    /// Rows of the last six months, which is how long the source keeps them.
    SixMonths,
}

const EXACT: &str = "both count the same records, or add up the same amounts";

/// All of them, in the order of a night.
pub static QUESTIONS: &[Question] = &[
    Question {
        job: "etl_sales_daily",
        connector: Connector::Softbase,
        columns: &[
            "service_revenue",
            "parts_revenue",
            "rental_revenue",
            "sales_revenue",
            "total_revenue",
            "service_invoices",
            "parts_invoices",
            "rental_invoices",
            "sales_invoices",
            "total_invoices",
        ],
        put: Put::Invoices,
        text: softbase::INVOICES,
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: EXACT,
    },
    Question {
        job: "etl_sales_daily",
        connector: Connector::Softbase,
        columns: &["open_work_orders", "closed_work_orders"],
        put: Put::WorkOrders,
        text: softbase::WORK_ORDERS,
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: EXACT,
    },
    Question {
        job: "etl_rental_fleet",
        connector: Connector::Softbase,
        columns: &["total_units", "available_units", "rented_units", "maintenance_units"],
        put: Put::Fleet,
        text: softbase::FLEET,
        about: About::Present,
        tolerance: Tolerance::Exact,
        because: EXACT,
    },
    Question {
        job: "etl_rental_fleet",
        connector: Connector::Softbase,
        columns: &["rental_revenue_mtd", "rental_revenue_ytd"],
        put: Put::RentalRevenue,
        text: softbase::RENTAL_REVENUE,
        about: About::Present,
        tolerance: Tolerance::HalfCentPerDay,
        because: "the mart adds up days that are rounded to cents each, the question adds up invoices",
    },
    Question {
        job: "etl_quickbooks_financial",
        connector: Connector::QuickBooks,
        columns: &["total_revenue", "total_expenses", "net_income", "gross_profit"],
        put: Put::QuickBooksReport("ProfitAndLoss"),
        text: "GET reports/ProfitAndLoss, summarize_column_by=Total, from {first} to {last}: the sections' own totals",
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "QuickBooks' totals are those of its accounts",
    },
    Question {
        job: "etl_quickbooks_financial",
        connector: Connector::QuickBooks,
        columns: &[
            "total_assets",
            "total_liabilities",
            "total_equity",
            "cash_balance",
            "accounts_receivable",
            "accounts_payable",
        ],
        put: Put::QuickBooksReport("BalanceSheet"),
        text: "GET reports/BalanceSheet, summarize_column_by=Total, from {first} to {last}: the sections' own totals",
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "QuickBooks' totals are those of its accounts",
    },
    Question {
        job: "etl_quickbooks_financial",
        connector: Connector::QuickBooks,
        columns: &["operating_cash_flow"],
        put: Put::QuickBooksReport("CashFlow"),
        text: "GET reports/CashFlow, summarize_column_by=Total, from {first} to {last}: the change in cash less what \
               investing and financing brought",
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "QuickBooks' totals are those of its accounts",
    },
    Question {
        job: "etl_quickbooks_financial",
        connector: Connector::SoftbaseLedger,
        columns: &[
            "total_revenue",
            "total_expenses",
            "net_income",
            "gross_profit",
            "total_assets",
            "total_liabilities",
            "total_equity",
            "cash_balance",
            "accounts_receivable",
            "accounts_payable",
            "operating_cash_flow",
        ],
        put: Put::Financial,
        text: ledger::SUMS,
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "both add up the same balances",
    },
    Question {
        job: "etl_cash_flow",
        connector: Connector::SoftbaseLedger,
        columns: &[
            "cash_balance",
            "cash_change_mtd",
            "operating_cash_flow",
            "ar_change",
            "inventory_change",
            "ap_change",
            "investing_cash_flow",
            "financing_cash_flow",
        ],
        put: Put::CashFlow,
        text: ledger::SUMS,
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "both add up the same balances",
    },
    Question {
        job: "etl_hubspot_contacts",
        connector: Connector::HubSpot,
        columns: &[
            "total_contacts",
            "new_contacts_30d",
            "new_contacts_7d",
            "subscribers",
            "leads",
            "marketing_qualified",
            "sales_qualified",
            "opportunities",
            "customers",
            "evangelists",
            "other_lifecycle",
        ],
        put: Put::Contacts,
        text: "POST contacts/search for its total, by createdate and lifecyclestage",
        about: About::Present,
        tolerance: Tolerance::OneInAThousand,
        because: "HubSpot's search trails what was written by up to some minutes",
    },
    Question {
        job: "etl_hubspot_deals",
        connector: Connector::HubSpot,
        columns: &["total_deals", "open_deals", "won_deals", "lost_deals"],
        put: Put::Deals,
        text: "POST deals/search for its total, by createdate and dealstage; which stages are won or lost say the \
               pipelines",
        about: About::Present,
        tolerance: Tolerance::OneInAThousand,
        because: "HubSpot's search trails what was written by up to some minutes",
    },
    Question {
        job: "etl_zoom_metrics",
        connector: Connector::Zoom,
        columns: &["total_users"],
        put: Put::ZoomUsers,
        text: "GET users by status: total_records, less the users that were created after the day",
        about: About::Present,
        tolerance: Tolerance::OneInAThousand,
        because: "people join and leave while the lists are read, one status after the other",
    },
    Question {
        job: "etl_zoom_metrics",
        connector: Connector::Zoom,
        columns: &["phone_users", "queue_count"],
        put: Put::ZoomPhone,
        text: "GET phone/users by status and phone/call_queues, page_size=1: total_records",
        about: About::Present,
        tolerance: Tolerance::OneInAThousand,
        because: "the lists do not say who joined since the day, and they are read one status after the other",
    },
    Question {
        job: "etl_zoom_metrics",
        connector: Connector::Zoom,
        columns: &["total_meetings", "total_participants", "total_meeting_minutes"],
        put: Put::ZoomMeetings,
        text: "GET report/users, from and to {day}: total_meetings, total_participants, total_meeting_minutes",
        about: About::SixMonths,
        tolerance: Tolerance::Exact,
        because: "the report by hosts and the report by days count the same meetings",
    },
    Question {
        job: "etl_case_metrics",
        connector: Connector::Cases,
        columns: &["total_cases", "new_cases_30d", "closed_cases_30d"],
        put: Put::Cases,
        text: cases::COUNTS,
        about: About::Present,
        tolerance: Tolerance::Exact,
        because: EXACT,
    },
    Question {
        job: "etl_case_metrics",
        connector: Connector::Cases,
        columns: &["cases_by_status"],
        put: Put::CasesByStatus,
        text: cases::BY_STATUS,
        about: About::Present,
        tolerance: Tolerance::Exact,
        because: EXACT,
    },
    Question {
        job: "etl_app_analytics",
        connector: Connector::BigQuery,
        columns: &["daily_active_users", "new_users", "returning_users", "total_sessions"],
        put: Put::AppUsers,
        text: bigquery::USERS,
        about: About::Any,
        tolerance: Tolerance::Exact,
        because: "both counts are exact",
    },
];

/// The questions about a job's mart, where it is filled from that source.
pub fn of(job: &str, connector: Connector) -> impl Iterator<Item = &'static Question> {
    QUESTIONS.iter().filter(move |question| question.job == job && question.connector == connector)
}
