//! THE TABLE of jobs: read this first. One literal is one job of the specification's section 4; whatever is said of
//! jobs elsewhere (`marts jobs`, README's table, the schedule, the contract tests) is read off it.
//!
//! Which organisations a job runs for follows from the connectors that each has in `marts.toml`.

use crate::datasets::Connector;

/// One mart, and how it is filled.
#[derive(Debug)]
pub struct Job {
    pub name: &'static str,
    /// The table it fills.
    pub mart: &'static str,
    /// The mart's unique key besides `org_id`.
    pub key: &'static [&'static str],
    /// The mart column that tells a row's period: the key's date, or the period's last or first day.
    pub periods: Periods,
    /// When it runs by default, local time of the organisation: hour and minute (specification, section 4).
    pub schedule: (u8, u8),
    /// Other marts that its audit compares it with: their rows, as this run leaves them, are relations of their names.
    pub beside: &'static [&'static str],
    /// Where its numbers may come from, best first: an organisation uses the first whose connector it has.
    pub sources: &'static [Source],
    /// One sentence for `marts jobs`.
    pub meaning: &'static str,
}

/// One way of filling a mart: what to pull, and the SQL that computes the mart from it.
#[derive(Debug)]
pub struct Source {
    pub connector: Connector,
    /// What the mart's `source_system` says.
    pub source_system: &'static str,
    pub reads: &'static [Read],
    /// The text of the file `sql/marts/<sql_name>.sql`.
    pub sql: &'static str,
    /// The text of the file `sql/checks/<sql_name>.sql`: the audit.
    pub checks: &'static str,
    /// The text of the file `sql/explain/<sql_name>.sql`: what each staged row brings to each number.
    pub explain: &'static str,
    /// `<mart>`, and where a mart has several sources `<mart>.<system>` for those behind the first.
    pub sql_name: &'static str,
}

/// A relation that the SQL of several marts reads: what they must not see differently stands here, once.
#[derive(Debug)]
pub struct Shared {
    pub name: &'static str,
    /// The datasets behind it: it is there for every source that reads all of them.
    pub reads: &'static [&'static str],
    /// The text of the file `sql/shared/<name>.sql`. It may read those that stand before it in [`SHARED`].
    pub sql: &'static str,
}

/// A dataset that a job reads, and which partitions of it.
#[derive(Debug)]
pub struct Read {
    pub dataset: &'static str,
    pub partitions: Partitions,
}

/// Which partitions of a dataset belong to a run over some periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitions {
    /// The calendar months that the periods touch, and so many before them.
    Months { before: u16 },
    /// The months of the fiscal years that the periods touch, up to the last period.
    FiscalYears,
    /// The local days of the periods, and so many before them.
    Days { before: u16 },
    /// The local days of the periods, pulled anew, and so many days before them that no longer change: those come from
    /// staging where they were pulled when they were settled, `settled_after` days after their own or later, and are
    /// pulled where not. The source may lack days: such a day has no row, and the report says so.
    SettledDays { before: u16, settled_after: u16 },
    /// One snapshot: the objects as they stood when pulled, staged under `as_of`. Enough where the objects carry the
    /// dates that tell their state on earlier days.
    Snapshot,
    /// A snapshot for each day of the periods. A source gives only the present, so all but the one of `as_of` come from
    /// staging; a day whose snapshot was never taken is an error, or where `may_lack` says so, absent.
    Snapshots { may_lack: bool },
}

/// The rows a run restates when no range is asked for, counted back from `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Periods {
    /// `as_of` and the days before it, `count` in all.
    Days { count: u16 },
    /// The month of `as_of` and the months before it, `count` in all.
    Months { count: u16 },
}

/// The heavy part of a transform: one SELECT in a dialect that other engines share (`sql/README.md`), from datasets to
/// few rows. The SQL of marts and audits reads it by its name, wherever the job reads its datasets.
#[derive(Debug)]
pub struct Reduction {
    pub name: &'static str,
    /// Datasets.
    pub reads: &'static [&'static str],
    /// The text of the file `sql/reduce/<name>.sql`.
    pub sql: &'static str,
}

/// All of them.
pub static REDUCTIONS: &[Reduction] = &[
    Reduction { name: "ga4_days", reads: &["ga4_events"], sql: include_str!("../sql/reduce/ga4_days.sql") },
    Reduction { name: "ga4_screens", reads: &["ga4_events"], sql: include_str!("../sql/reduce/ga4_screens.sql") },
    Reduction { name: "ga4_user_spans", reads: &["ga4_events"], sql: include_str!("../sql/reduce/ga4_user_spans.sql") },
];

/// The job of that name.
pub fn job(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

/// In the order of a night.
pub static JOBS: &[Job] = &[
    Job {
        name: "etl_sales_daily",
        mart: "mart_sales_daily",
        key: &["sales_date"],
        periods: Periods::Days { count: 45 },
        schedule: (1, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::Softbase,
            source_system: "softbase",
            reads: &[
                Read { dataset: "softbase_invoices", partitions: Partitions::Months { before: 0 } },
                Read { dataset: "softbase_work_orders", partitions: Partitions::Snapshot },
            ],
            sql: include_str!("../sql/marts/mart_sales_daily.sql"),
            checks: include_str!("../sql/checks/mart_sales_daily.sql"),
            explain: include_str!("../sql/explain/mart_sales_daily.sql"),
            sql_name: "mart_sales_daily",
        }],
        meaning: "Revenue and invoices by department, and work orders, a row a day.",
    },
    Job {
        name: "etl_rental_fleet",
        mart: "mart_rental_fleet",
        key: &["snapshot_date"],
        periods: Periods::Days { count: 1 },
        schedule: (1, 30),
        beside: &["mart_sales_daily"],
        sources: &[Source {
            connector: Connector::Softbase,
            source_system: "softbase",
            reads: &[
                Read { dataset: "softbase_equipment", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "softbase_rental_lines", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "softbase_work_orders", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "softbase_invoices", partitions: Partitions::FiscalYears },
            ],
            sql: include_str!("../sql/marts/mart_rental_fleet.sql"),
            checks: include_str!("../sql/checks/mart_rental_fleet.sql"),
            explain: include_str!("../sql/explain/mart_rental_fleet.sql"),
            sql_name: "mart_rental_fleet",
        }],
        meaning: "Units by state and type, and rental revenue to date, as they stood at the end of the day.",
    },
    Job {
        name: "etl_quickbooks_financial",
        mart: "mart_financial_metrics",
        key: &["year", "month"],
        periods: Periods::Months { count: 14 },
        schedule: (2, 0),
        beside: &[],
        sources: &[
            Source {
                connector: Connector::QuickBooks,
                source_system: "quickbooks",
                reads: &[
                    Read { dataset: "quickbooks_profit_and_loss", partitions: Partitions::Months { before: 0 } },
                    Read { dataset: "quickbooks_balance_sheet", partitions: Partitions::Months { before: 0 } },
                    Read { dataset: "quickbooks_cash_flow", partitions: Partitions::Months { before: 0 } },
                ],
                sql: include_str!("../sql/marts/mart_financial_metrics.sql"),
                checks: include_str!("../sql/checks/mart_financial_metrics.sql"),
                explain: include_str!("../sql/explain/mart_financial_metrics.sql"),
                sql_name: "mart_financial_metrics",
            },
            Source {
                connector: Connector::SoftbaseLedger,
                source_system: "softbase_gl",
                reads: LEDGER,
                sql: include_str!("../sql/marts/mart_financial_metrics.softbase.sql"),
                checks: include_str!("../sql/checks/mart_financial_metrics.softbase.sql"),
                explain: include_str!("../sql/explain/mart_financial_metrics.softbase.sql"),
                sql_name: "mart_financial_metrics.softbase",
            },
        ],
        meaning: "Income statement, balance sheet and operating cash flow, a row a month.",
    },
    Job {
        name: "etl_cash_flow",
        mart: "mart_cash_flow",
        key: &["year", "month"],
        periods: Periods::Months { count: 14 },
        schedule: (2, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::SoftbaseLedger,
            source_system: "softbase_gl",
            reads: LEDGER,
            sql: include_str!("../sql/marts/mart_cash_flow.sql"),
            checks: include_str!("../sql/checks/mart_cash_flow.sql"),
            explain: include_str!("../sql/explain/mart_cash_flow.sql"),
            sql_name: "mart_cash_flow",
        }],
        meaning: "Cash, and what moved it by the indirect method, a row a month.",
    },
    Job {
        name: "etl_hubspot_contacts",
        mart: "mart_crm_contacts",
        key: &["snapshot_date"],
        periods: Periods::Days { count: 1 },
        schedule: (3, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::HubSpot,
            source_system: "hubspot",
            reads: &[
                Read { dataset: "hubspot_contacts", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "hubspot_lifecycle_stages", partitions: Partitions::Snapshots { may_lack: false } },
            ],
            sql: include_str!("../sql/marts/mart_crm_contacts.sql"),
            checks: include_str!("../sql/checks/mart_crm_contacts.sql"),
            explain: include_str!("../sql/explain/mart_crm_contacts.sql"),
            sql_name: "mart_crm_contacts",
        }],
        meaning: "Contacts by lifecycle stage and those new, as they stand at the end of a day.",
    },
    Job {
        name: "etl_hubspot_deals",
        mart: "mart_crm_deals",
        key: &["snapshot_date"],
        periods: Periods::Days { count: 1 },
        schedule: (3, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::HubSpot,
            source_system: "hubspot",
            reads: &[
                Read { dataset: "hubspot_deals", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "hubspot_deal_stages", partitions: Partitions::Snapshots { may_lack: false } },
            ],
            sql: include_str!("../sql/marts/mart_crm_deals.sql"),
            checks: include_str!("../sql/checks/mart_crm_deals.sql"),
            explain: include_str!("../sql/explain/mart_crm_deals.sql"),
            sql_name: "mart_crm_deals",
        }],
        meaning: "Deals open, won and lost with their values, as they stand at the end of a day.",
    },
    Job {
        name: "etl_zoom_metrics",
        mart: "mart_zoom_metrics",
        key: &["metric_date"],
        periods: Periods::Days { count: 3 },
        schedule: (4, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::Zoom,
            source_system: "zoom",
            reads: &[
                Read { dataset: "zoom_call_legs", partitions: Partitions::Days { before: 0 } },
                Read { dataset: "zoom_daily_report", partitions: Partitions::Months { before: 0 } },
                Read { dataset: "zoom_counts", partitions: Partitions::Snapshots { may_lack: true } },
                Read { dataset: "zoom_coverage", partitions: Partitions::Days { before: 0 } },
            ],
            sql: include_str!("../sql/marts/mart_zoom_metrics.sql"),
            checks: include_str!("../sql/checks/mart_zoom_metrics.sql"),
            explain: include_str!("../sql/explain/mart_zoom_metrics.sql"),
            sql_name: "mart_zoom_metrics",
        }],
        meaning: "Users, meetings and phone calls, a row a day.",
    },
    Job {
        name: "etl_case_metrics",
        mart: "mart_case_metrics",
        key: &["snapshot_date"],
        periods: Periods::Days { count: 1 },
        schedule: (5, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::Cases,
            source_system: "azure_sql",
            reads: &[
                Read { dataset: "cases_summary", partitions: Partitions::Snapshots { may_lack: false } },
                Read { dataset: "cases_columns", partitions: Partitions::Snapshots { may_lack: false } },
            ],
            sql: include_str!("../sql/marts/mart_case_metrics.sql"),
            checks: include_str!("../sql/checks/mart_case_metrics.sql"),
            explain: include_str!("../sql/explain/mart_case_metrics.sql"),
            sql_name: "mart_case_metrics",
        }],
        meaning: "Cases in all, new, closed, and by type, status and category, as they stand at the end of a day.",
    },
    Job {
        name: "etl_app_analytics",
        mart: "mart_app_analytics",
        key: &["metric_date"],
        periods: Periods::Days { count: 4 },
        schedule: (6, 0),
        beside: &[],
        sources: &[Source {
            connector: Connector::BigQuery,
            source_system: "bigquery_ga4",
            // Late events come for three days; the longest window is of 30 days.
            reads: &[Read {
                dataset: "ga4_events",
                partitions: Partitions::SettledDays { before: 29, settled_after: 4 },
            }],
            sql: include_str!("../sql/marts/mart_app_analytics.sql"),
            checks: include_str!("../sql/checks/mart_app_analytics.sql"),
            explain: include_str!("../sql/explain/mart_app_analytics.sql"),
            sql_name: "mart_app_analytics",
        }],
        meaning: "Users, sessions and screens of the mobile app, a row a day.",
    },
];

/// The whole ledger at one instant: what an account last closed at may be years old, and months that are read one after
/// the other need not fit each other.
const LEDGER: &[Read] = &[
    Read { dataset: "softbase_gl", partitions: Partitions::Snapshot },
    Read { dataset: "softbase_chart_of_accounts", partitions: Partitions::Snapshot },
];

const LEDGER_DATASETS: &[&str] = &["softbase_gl", "softbase_chart_of_accounts"];

/// In the order in which they are made.
pub static SHARED: &[Shared] = &[
    Shared { name: "softbase_ledger", reads: LEDGER_DATASETS, sql: include_str!("../sql/shared/softbase_ledger.sql") },
    Shared {
        name: "softbase_cash_effects",
        reads: LEDGER_DATASETS,
        sql: include_str!("../sql/shared/softbase_cash_effects.sql"),
    },
    Shared {
        name: "softbase_ledger_faults",
        reads: LEDGER_DATASETS,
        sql: include_str!("../sql/shared/softbase_ledger_faults.sql"),
    },
];
