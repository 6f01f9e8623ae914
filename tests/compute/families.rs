//! What every audit asks, family by family: no file in sql/checks may do without one of them and say no reason.

use std::collections::BTreeSet;

use marts::jobs::{JOBS, SHARED, Source};

/// What there is to ask of a mart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    /// What accounting, or arithmetic, says must be equal; and the figures counted once more from the staged rows.
    Identity,
    /// Parts and their total.
    Parts,
    /// A shorter window holds no more than a longer one.
    Windows,
    /// Percentages, and what cannot be below zero.
    Ranges,
    /// Nothing is missing, doubled or unknown, of periods and of what they are made of.
    Completeness,
    /// Against what is published: much is gone.
    Volume,
    /// Nothing in the source is new.
    Staleness,
    /// Against what is published: a figure moved far.
    Jump,
}
use Family::{Completeness, Identity, Jump, Parts, Ranges, Staleness, Volume, Windows};

const ALL: [Family; 8] = [Identity, Parts, Windows, Ranges, Completeness, Volume, Staleness, Jump];

/// The rules of a file by family, and why it has none of another.
struct Asked {
    file: &'static str,
    rules: &'static [(Family, &'static [&'static str])],
    reasons: &'static [(Family, &'static str)],
}

const ASKED: &[Asked] = &[
    Asked {
        file: "mart_sales_daily",
        rules: &[
            (Identity, &["counts"]),
            (Parts, &["parts_and_total", "lines_and_total"]),
            (Ranges, &["counts"]),
            (Completeness, &["gap", "invoice_twice", "work_order_twice", "excluded_invoices", "no_invoices"]),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[(Windows, "a row is of one day")],
    },
    Asked {
        file: "mart_rental_fleet",
        rules: &[
            (
                Identity,
                &["units_and_equipment", "utilization", "revenue_and_days", "month_and_sales", "customers_and_orders"],
            ),
            (Parts, &["states_and_total", "types_and_states", "revenue_and_types"]),
            // With credits the month may be more than the year to date, so both are counted once more.
            (Windows, &["revenue_and_days"]),
            (Ranges, &["range"]),
            (
                Completeness,
                &[
                    "gap",
                    "invoice_twice",
                    "work_order_twice",
                    "no_rental_lines",
                    "no_invoices",
                    "lines_without_unit",
                    "shared_numbers",
                    "no_fleet",
                ],
            ),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[],
    },
    Asked {
        file: "mart_financial_metrics",
        rules: &[
            (Identity, &["net_income", "balance", "gross_profit", "cash_increase", "operating_cash_flow", "margin"]),
            (Parts, &["section_total"]),
            (Ranges, &["range", "gross_margin_pct"]),
            (Completeness, &["gap", "report_window", "line_twice", "mixed"]),
            (Volume, &["volume"]),
            (Jump, &["jump"]),
        ],
        reasons: &[
            (Windows, "a row is of one month"),
            (Staleness, "a report does not say when anything was posted; that it goes up to the day is report_window"),
        ],
    },
    Asked {
        file: "mart_financial_metrics.softbase",
        rules: &[
            (Identity, &["net_income", "balance", "margin", "month_balance", "roll_forward"]),
            (Parts, &["month_balance"]),
            (Ranges, &["range", "gross_margin_pct"]),
            (
                Completeness,
                &[
                    "gap",
                    "month_without_rows",
                    "row_twice",
                    "amount_missing",
                    "odd_month",
                    "unclassified",
                    "no_cash",
                    "depreciation_mark",
                ],
            ),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[(Windows, "a row is of one month")],
    },
    Asked {
        file: "mart_cash_flow",
        rules: &[
            (Identity, &["cash_change", "cash_balance", "month_balance", "roll_forward"]),
            (Parts, &["breakdown"]),
            (
                Completeness,
                &[
                    "gap",
                    "month_without_rows",
                    "row_twice",
                    "amount_missing",
                    "odd_month",
                    "unclassified",
                    "no_cash",
                    "depreciation_mark",
                    "other",
                ],
            ),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[
            (Windows, "a row is of one month"),
            (Ranges, "it has no percentages, and every amount of it may be below zero"),
        ],
    },
    Asked {
        file: "mart_crm_contacts",
        rules: &[
            (Identity, &["counts"]),
            (Parts, &["parts_and_total"]),
            (Windows, &["new_and_total"]),
            (Ranges, &["parts_and_total", "new_and_total"]),
            (Completeness, &["gap", "control_total", "listed_twice", "unknown_stage", "no_creation_date"]),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[],
    },
    Asked {
        file: "mart_crm_deals",
        rules: &[
            (Identity, &["counts", "average_deal_size"]),
            (Parts, &["outcomes_and_total", "stages_and_total"]),
            (Ranges, &["outcomes_and_total"]),
            (
                Completeness,
                &[
                    "gap",
                    "control_total",
                    "listed_twice",
                    "unknown_stage",
                    "stage_twice",
                    "stage_without_flags",
                    "foreign_amount",
                ],
            ),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[(Windows, "a row is of one day")],
    },
    Asked {
        file: "mart_zoom_metrics",
        rules: &[
            (Identity, &["calls_and_total", "meetings"]),
            (Parts, &["calls_and_total"]),
            (Ranges, &["impossible", "too_large"]),
            (
                Completeness,
                &[
                    "gap",
                    "not_covered",
                    "not_available",
                    "incomplete",
                    "unknown_direction",
                    "no_result",
                    "no_duration",
                    "unknown_result",
                    "unlisted",
                ],
            ),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[(Windows, "a row is of one day")],
    },
    Asked {
        file: "mart_case_metrics",
        rules: &[
            (Identity, &["windows"]),
            (Parts, &["parts_and_total", "small_groups"]),
            (Windows, &["counts"]),
            (Ranges, &["counts"]),
            (Completeness, &["gap", "undated", "new_columns", "closed_before_created"]),
            (Volume, &["volume"]),
            (Staleness, &["stale"]),
            (Jump, &["jump"]),
        ],
        reasons: &[],
    },
    Asked {
        file: "mart_app_analytics",
        rules: &[
            (Identity, &["distinct_users"]),
            (Parts, &["users", "top_screens", "downloads", "both_systems"]),
            (Windows, &["users"]),
            (Ranges, &["negative", "too_large"]),
            (Completeness, &["gap", "missing_days", "no_sessions", "unidentified"]),
            (Volume, &["volume"]),
            (Jump, &["jump"]),
        ],
        reasons: &[(Staleness, "a day without its table is absent, which the run itself says, or fails the job")],
    },
];

/// The rules that a text states: what stands before `as rule`.
fn rules(text: &str) -> BTreeSet<&str> {
    let stated = text.match_indices(" as rule,").map(|(at, _)| text[..at].trim_end());
    stated.map(|before| before.trim_end_matches('\'').rsplit('\'').next().unwrap()).collect()
}

/// Those of a file, and of the shared faults where it takes them over.
fn rules_of(source: &'static Source) -> BTreeSet<&'static str> {
    let mut found = rules(source.checks);
    for shared in SHARED.iter().filter(|shared| source.checks.contains(&format!("from {}\n", shared.name))) {
        found.extend(rules(shared.sql));
    }
    found
}

#[test]
fn every_audit_asks_every_family_or_says_why_not() {
    let sources: Vec<_> = JOBS.iter().flat_map(|job| job.sources).collect();
    for source in &sources {
        let file = source.sql_name;
        let asked = ASKED.iter().find(|asked| asked.file == file);
        let asked = asked.unwrap_or_else(|| panic!("nobody has said what sql/checks/{file}.sql asks"));
        let found = rules_of(source);
        assert!(found.len() > 5, "{file}: {found:?}");
        let listed: BTreeSet<_> = asked.rules.iter().flat_map(|(_, rules)| *rules).copied().collect();
        assert_eq!(found, listed, "sql/checks/{file}.sql: the rules that it states, and those of its families");
        for family in ALL {
            let rules = asked.rules.iter().filter(|(of, rules)| *of == family && !rules.is_empty()).count();
            let reasons = asked.reasons.iter().filter(|(of, reason)| *of == family && !reason.is_empty()).count();
            assert_eq!(rules + reasons, 1, "sql/checks/{file}.sql, {family:?}: either rules, or why there are none");
        }
        // Each threshold is read where its family is asked.
        for (family, setting) in [(Volume, "drop_pct"), (Jump, "jump_pct"), (Staleness, "stale_days")] {
            let shared = SHARED.iter().filter(|shared| source.checks.contains(&format!("from {}\n", shared.name)));
            let texts: Vec<_> = shared.map(|shared| shared.sql).chain([source.checks]).collect();
            let is_asked = asked.rules.iter().any(|(of, _)| *of == family);
            let is_read = texts.iter().any(|text| text.contains(&format!("settings.{setting}")));
            assert_eq!(is_asked, is_read, "sql/checks/{file}.sql and {setting}");
        }
        let explained = source.checks.split_once("\nwith\n").unwrap().0;
        assert!(explained.contains("-- Errors"), "sql/checks/{file}.sql does not say what it holds");
    }
    assert_eq!(ASKED.len(), sources.len(), "a list of a file that is no more");
}
