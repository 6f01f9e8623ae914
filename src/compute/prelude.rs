//! The SQL that stands before a mart's own: views over the staged files, periods, settings, macros.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Inputs;
use super::pulls::known;
use crate::config::{AccountRange, Audit, Ledger, Rental};
use crate::datasets::{Dataset, Grain};
use crate::jobs::{REDUCTIONS, Reduction, SHARED, Shared, Source};
use crate::staging::Landed;

const MACROS: &str = include_str!("../../sql/macros.sql");

/// The files that a computation reads.
pub(super) fn files(inputs: &Inputs<'_>) -> Result<Vec<String>> {
    let reads = inputs.plan.source.reads.iter();
    Ok(reads.map(|read| dataset_files(inputs, read.dataset)).collect::<Result<Vec<_>>>()?.concat())
}

fn dataset_files(inputs: &Inputs<'_>, dataset: &str) -> Result<Vec<String>> {
    let pulls = inputs.pulls.of(dataset);
    let may_lack = inputs.plan.wanted.iter().any(|wanted| wanted.dataset.name == dataset && wanted.may_lack);
    ensure!(may_lack || !pulls.is_empty(), "nothing is staged of {dataset}");
    for pull in pulls {
        let manifest = pull.manifest();
        ensure!(manifest.org == inputs.org.slug, "{} is not {}'s", pull.path().display(), inputs.org.slug);
    }
    pulls.iter().flat_map(|pull| pull.row_files()).map(|file| path_text(&file)).collect()
}

/// A path as DuckDB is given it: absolute, so that a printed script runs anywhere.
pub(crate) fn path_text(path: &Path) -> Result<String> {
    let path = std::path::absolute(path)?;
    path.to_str().map(str::to_owned).with_context(|| format!("{} is no UTF-8", path.display()))
}

/// Every relation and macro that a mart's SQL may use.
pub(super) fn prelude(inputs: &Inputs<'_>) -> Result<String> {
    relations(inputs, |dataset| dataset_files(inputs, dataset))
}

/// The same with empty datasets.
pub(super) fn dry(inputs: &Inputs<'_>) -> Result<String> {
    relations(inputs, |_| Ok(Vec::new()))
}

fn relations(inputs: &Inputs<'_>, files: impl Fn(&str) -> Result<Vec<String>>) -> Result<String> {
    let mut sql = String::new();
    for read in inputs.plan.source.reads {
        writeln!(sql, "{};\n", view(known(read.dataset)?, &files(read.dataset)?, &[]))?;
    }
    for reduction in reductions(inputs.plan.source) {
        // A table, not a view: the mart reads it several times, and the audit again.
        writeln!(sql, "create or replace table {} as\n{};\n", reduction.name, reduction.sql.trim_end())?;
    }
    sql.push_str(&periods(inputs)?);
    sql.push_str(&local_days(inputs)?);
    sql.push_str(&source_totals(inputs));
    sql.push_str(&settings(inputs));
    sql.push_str(&ledger(inputs));
    sql.push_str(MACROS);
    for shared in shared(inputs.plan.source) {
        // Tables too: as views they were planned and run anew in each place, which took a quarter to a third of it all.
        write!(sql, "\ncreate or replace table {} as\n{};\n", shared.name, shared.sql.trim_end())?;
    }
    Ok(sql)
}

/// What a mart's figures depend on besides its pulls, told apart by checksums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of what the SQL reads of the organisation's settings.
    pub settings: String,
    /// Of the SQL that computes the mart.
    pub rules: String,
}

impl Fingerprint {
    /// The same for every night as long as neither settings nor rules change.
    pub fn of(inputs: &Inputs<'_>) -> Self {
        // The day reported is no setting: it changes every night.
        let inputs = Inputs { as_of: NaiveDate::default(), ..*inputs };
        let source = inputs.plan.source;
        let sum = |texts: &[&str]| hex::encode(Sha256::digest(texts.join("\0")));
        let reduced = reductions(source).map(|reduction| reduction.sql);
        let rules: Vec<_> =
            [MACROS, source.sql].into_iter().chain(reduced).chain(shared(source).map(|it| it.sql)).collect();
        Fingerprint {
            settings: sum(&[&settings(&inputs), &ledger(&inputs), inputs.org.timezone.name()]),
            rules: sum(&rules),
        }
    }
}

/// The reductions whose datasets a source reads.
fn reductions(source: &Source) -> impl Iterator<Item = &'static Reduction> {
    let is_read = move |dataset: &&str| source.reads.iter().any(|read| read.dataset == *dataset);
    REDUCTIONS.iter().filter(move |reduction| reduction.reads.iter().all(is_read))
}

/// The shared relations whose datasets a source reads.
fn shared(source: &Source) -> impl Iterator<Item = &'static Shared> {
    let is_read = move |dataset: &&str| source.reads.iter().any(|read| read.dataset == *dataset);
    SHARED.iter().filter(move |shared| shared.reads.iter().all(is_read))
}

/// What the accounts of a ledger mean. Without a ledger the ranges are empty.
fn ledger(inputs: &Inputs<'_>) -> String {
    let ledger = inputs.org.ledger();
    let settings = ledger.map(|ledger| {
        let Ledger { close_lag_days, floor_plan, healthy_above, warning_above, .. } = ledger;
        format!("({close_lag_days}, '{}', {healthy_above}, {warning_above})", floor_plan.name())
    });
    let bounds = |range: &AccountRange| format!("{}, {}", literal(&range.first), literal(&range.last));
    let accounts = ledger.map_or(&[][..], |ledger| &ledger.accounts).iter().enumerate();
    let accounts = accounts.map(|(at, range)| format!("({}, {}, {at})", literal(range.class), bounds(range)));
    let depreciation = ledger.map_or(&[][..], |ledger| &ledger.depreciation).iter();
    let depreciation = depreciation.map(|range| format!("({})", bounds(range)));
    [
        table(
            "ledger_settings",
            "close_lag_days integer, floor_plan varchar, healthy_above bigint, warning_above bigint",
            &settings.into_iter().collect::<Vec<_>>(),
        ),
        table(
            "account_ranges",
            "account_class varchar, first_account varchar, last_account varchar, precedence integer",
            &accounts.collect::<Vec<_>>(),
        ),
        table("depreciation_ranges", "first_account varchar, last_account varchar", &depreciation.collect::<Vec<_>>()),
    ]
    .concat()
}

/// A dataset as a view over its files, with the types of its declaration; `partition` names folders of the path that
/// become columns. A snapshot's rows carry its day as `snapshot_date`. Without files it is empty.
pub(super) fn view(dataset: &Dataset, files: &[String], partition: &[&str]) -> String {
    let mut columns: Vec<(&str, String)> =
        dataset.columns.iter().map(|column| (column.name, column.kind.sql())).collect();
    if dataset.pages {
        columns.push(("page", "bigint".to_owned()));
    }
    columns.extend(partition.iter().map(|name| (*name, "varchar".to_owned())));
    if dataset.grain == Grain::Snapshot && partition.is_empty() {
        columns.push(("snapshot_date", "date".to_owned()));
    }
    // From the end of the path: where the landing zone lies may look like a partition too.
    let folder = |pattern: &str| format!("regexp_extract(filename, '{pattern}/pull=[^/]+/[^/]+$', 1)");
    let source = |name: &str| match name {
        _ if files.is_empty() => "null".to_owned(),
        // Its folder says which day it shows.
        "snapshot_date" => folder("/period=([^/]+)"),
        "period" if partition.contains(&name) => folder("/period=([^/]+)"),
        "org" if partition.contains(&name) => folder("/org=([^/]+)/period=[^/]+"),
        name => name.to_owned(),
    };
    let columns: Vec<_> = columns.iter().map(|(name, kind)| format!("{}::{kind} as {name}", source(name))).collect();
    let from = if files.is_empty() {
        "where false".to_owned()
    } else {
        let files: Vec<_> = files.iter().map(|file| literal(&pattern(file))).collect();
        // Types and values come from the declaration, never from the look of a path.
        let from_path = !partition.is_empty() || dataset.grain == Grain::Snapshot;
        let filename = if from_path { ", filename = true" } else { "" };
        format!("from read_parquet([\n    {}\n], hive_partitioning = false{filename})", files.join(",\n    "))
    };
    format!("create or replace view {} as select\n    {}\n{from}", dataset.name, columns.join(",\n    "))
}

fn periods(inputs: &Inputs<'_>) -> Result<String> {
    // A period that came twice would count every record twice.
    let distinct: BTreeSet<_> = inputs.plan.periods.iter().map(|period| period.start).collect();
    ensure!(distinct.len() == inputs.plan.periods.len(), "a period comes twice");
    let rows = inputs.plan.periods.iter().map(|period| {
        let (from, to) = period.bounds(inputs.org.timezone)?;
        Ok(format!("(date '{}', date '{}', timestamp '{from}', timestamp '{to}')", period.start, period.end))
    });
    let columns = "period_start date, period_end date, starts_at timestamp, ends_at timestamp";
    Ok(table("periods", columns, &rows.collect::<Result<Vec<_>>>()?))
}

/// So many local days before the first period are in `local_days`: the longest look back of a mart that counts instants.
const DAYS_BEFORE: u64 = 30;

/// Every local day from some before the first period to the last, with its bounds in UTC: "the N days that end with".
fn local_days(inputs: &Inputs<'_>) -> Result<String> {
    let periods = &inputs.plan.periods;
    let days = match (periods.first(), periods.last()) {
        (Some(first), Some(last)) => crate::periods::days(first.start - Days::new(DAYS_BEFORE), last.end),
        _ => Vec::new(),
    };
    let rows = days.iter().map(|day| {
        let (from, to) = day.bounds(inputs.org.timezone)?;
        Ok(format!("(date '{}', timestamp '{from}', timestamp '{to}')", day.start))
    });
    let columns = "local_date date, starts_at timestamp, ends_at timestamp";
    Ok(table("local_days", columns, &rows.collect::<Result<Vec<_>>>()?))
}

/// What the sources themselves said of the pulls' sizes, for the audits.
fn source_totals(inputs: &Inputs<'_>) -> String {
    let rows: Vec<_> = inputs
        .pulls
        .all()
        .map(Landed::manifest)
        .flat_map(|manifest| {
            manifest.source_totals.iter().map(|(name, value)| {
                let cells = [&manifest.dataset, &manifest.period, name, value].map(|text| literal(text));
                format!("({})", cells.join(", "))
            })
        })
        .collect();
    table("source_totals", "dataset varchar, period varchar, name varchar, total varchar", &rows)
}

fn settings(inputs: &Inputs<'_>) -> String {
    let Inputs { org, as_of, .. } = inputs;
    let Audit { drop_pct, jump_pct, stale_days } = org.audit;
    let day = |date: Option<NaiveDate>| date.map_or("null".to_owned(), |date| format!("date '{date}'"));
    let softbase = org.softbase.as_ref();
    let settings = format!(
        "({}, {}, {}, date '{as_of}', {}, {drop_pct}, {jump_pct}, {stale_days})",
        day(org.data_start_date),
        softbase.is_some_and(|softbase| softbase.total_includes_tax),
        org.fiscal_year_start_month,
        org.hubspot.as_ref().map_or("null".to_owned(), |hubspot| literal(&hubspot.home_currency)),
    );
    // The percentages are multiplied with counts, which an integer could not hold.
    let columns = "data_start_date date, total_includes_tax boolean, fiscal_year_start_month integer, as_of date, \
                   home_currency varchar, drop_pct bigint, jump_pct bigint, stale_days integer";
    let texts = |list: &[String]| list.iter().map(|text| format!("({})", literal(text))).collect::<Vec<_>>();
    let customers = softbase.map_or(Vec::new(), |softbase| texts(&softbase.excluded_customers));
    let work_orders = softbase.map_or(Vec::new(), |softbase| texts(&softbase.excluded_work_orders));
    let branches = softbase
        .map_or(Vec::new(), |softbase| softbase.excluded_branches.iter().map(|branch| format!("({branch})")).collect());
    let months = org.excluded_months.iter().map(|month| format!("(date '{month}')")).collect::<Vec<_>>();
    let min_group_size = org.cases.as_ref().map_or(1, |cases| cases.min_group_size);
    let zoom = org.zoom.as_ref();
    let connected = zoom.map_or(Vec::new(), |zoom| texts(&zoom.connected_results));
    let mut missed = zoom.map_or(Vec::new(), |zoom| texts(&zoom.missed_results));
    if zoom.is_some_and(|zoom| zoom.voicemail_is_missed && !zoom.missed_results.iter().any(|it| it == "voicemail")) {
        missed.push("('voicemail')".to_owned());
    }
    let monthly_days: Vec<_> = org.bigquery.iter().map(|bigquery| format!("({})", bigquery.monthly_days)).collect();
    [
        table("settings", columns, &[settings]),
        table("excluded_months", "month_start date", &months),
        table("excluded_customers", "customer_no varchar", &customers),
        table("excluded_branches", "branch bigint", &branches),
        table("excluded_work_orders", "work_order_no varchar", &work_orders),
        table("app_settings", "monthly_days integer", &monthly_days),
        table("zoom_connected_results", "result varchar", &connected),
        table("zoom_missed_results", "result varchar", &missed),
        table("case_settings", "min_group_size bigint", &[format!("({min_group_size})")]),
        softbase.map_or_else(|| rental(&Rental::default()), |softbase| rental(&softbase.rental)),
    ]
    .concat()
}

/// What the rental fleet is.
fn rental(rental: &Rental) -> String {
    let texts = |list: &[String]| list.iter().map(|text| format!("({})", literal(text))).collect::<Vec<_>>();
    let numbers = |list: &[i64]| list.iter().map(|number| format!("({number})")).collect::<Vec<_>>();
    let words = [("allied", &rental.allied_words), ("battery_charger", &rental.battery_charger_words)];
    let words = words.into_iter().flat_map(|(unit_type, words)| {
        words.iter().map(move |word| format!("({}, {})", literal(unit_type), literal(word)))
    });
    [
        table("rental_departments", "inventory_dept bigint", &numbers(&rental.departments)),
        table("allied_departments", "inventory_dept bigint", &numbers(&rental.allied_departments)),
        table("unit_type_words", "unit_type varchar, word varchar", &words.collect::<Vec<_>>()),
        table("pseudo_numbers", "number varchar", &texts(&rental.pseudo_numbers)),
        table("excluded_units", "number varchar", &texts(&rental.excluded_units)),
        table("internal_customers", "customer_no varchar", &texts(&rental.internal_customers)),
    ]
    .concat()
}

/// A small relation, written out.
fn table(name: &str, columns: &str, rows: &[String]) -> String {
    let mut sql = format!("create or replace table {name} ({columns});\n");
    if !rows.is_empty() {
        sql.push_str(&format!("insert into {name} values\n    {};\n", rows.join(",\n    ")));
    }
    sql.push('\n');
    sql
}

/// A path as a pattern that only it fits: DuckDB takes the files of `read_parquet` for patterns.
pub(crate) fn pattern(path: &str) -> String {
    let letter = |letter: char| match letter {
        '*' | '?' | '[' => format!("[{letter}]"),
        letter => letter.to_string(),
    };
    path.chars().map(letter).collect()
}

/// A text as a SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
