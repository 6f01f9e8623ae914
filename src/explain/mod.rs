//! Where a number comes from: the staged rows behind a published cell, what each brings to it, and whether they make it.
//!
//! The mart's own SQL is run up to `final` over the pulls of the run that published the row; the file `sql/explain/<mart>.sql`
//! takes the place of `final` and says what each contributing row brings. What the cell should be is then added up here.

mod held;
mod published;
mod staged;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::compute::{Compute, Inputs, MartColumn, MartKind, Pulls, mart_columns};
use crate::config::{Config, Org};
use crate::jobs::{Job, Periods, Source};
use crate::ledger::Run;
use crate::periods;
use crate::postgres::Database;
use crate::run::{Plan, Window, plan};
use crate::staging::Staging;

pub use staged::{Place, Row};
pub use tally::{Differing, Tally, tally};

/// A cell of a mart.
#[derive(Debug)]
pub struct Ask<'a> {
    pub job: &'static Job,
    pub column: MartColumn,
    pub org: &'a Org,
    /// First day of the row's period.
    pub period: NaiveDate,
    /// One number of a JSON column.
    pub entry: Option<String>,
    /// The run whose figure is meant; none = the one that published last.
    pub run: Option<String>,
    /// How many rows of each number are shown.
    pub limit: usize,
}

/// A cell, explained.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub mart: &'static str,
    pub column: String,
    pub org: String,
    pub period: NaiveDate,
    /// As Postgres has it; none = null.
    pub published: Option<String>,
    pub run: String,
    pub run_at: DateTime<Utc>,
    /// Why that run did not publish its row; none where it did. The numbers are then what its rows make, and what is
    /// published is another run's.
    pub held: Vec<String>,
    /// What the column means, and the rules that its SQL states of it.
    pub rule: Vec<String>,
    /// One, or in a JSON column one for each number.
    pub numbers: Vec<Number>,
}

/// A number, and what makes it.
#[derive(Debug, Serialize)]
pub struct Number {
    /// Its place in a JSON column.
    pub entry: Option<String>,
    pub published: Option<Decimal>,
    /// What the parts make before it is rounded; none = nothing contributes, or there is nothing to divide by.
    pub computed: Option<Decimal>,
    /// Whether the parts make what is published.
    pub agrees: bool,
    /// One sum, or a numerator and a denominator.
    pub terms: Vec<Term>,
}

/// A sum of parts.
#[derive(Debug, Serialize)]
pub struct Term {
    /// `sum`, `distinct` (each thing once), `numerator`, `denominator`.
    pub how: String,
    pub count: u64,
    pub total: Decimal,
    /// The largest parts.
    pub shown: Vec<Part>,
}

/// What a staged row brings.
#[derive(Debug, Serialize)]
pub struct Part {
    pub amount: Decimal,
    /// What is counted once, where things are.
    pub counted: Option<String>,
    /// None for a constant of the rule.
    pub row: Option<staged::Row>,
}

impl Explanation {
    /// Whether every number is what its parts make. What was held is not meant to be what is published.
    pub fn agrees(&self) -> bool {
        !self.held.is_empty() || self.numbers.iter().all(|number| number.agrees)
    }
}

/// The columns of a mart that can be explained: numbers and JSON.
pub fn explained_columns(job: &Job) -> Result<Vec<MartColumn>> {
    let columns = mart_columns(job.mart)?.into_iter();
    Ok(columns.filter(|column| !matches!(column.kind, MartKind::Date | MartKind::Text)).collect())
}

/// Explains a cell.
///
/// # Errors
/// A row that is not published, and pulls that are gone or altered since.
pub async fn explain(config: &Config, database: &Database, org_id: i32, ask: &Ask<'_>) -> Result<Explanation> {
    let (row, held) = {
        let mut connection = database.connection().await?;
        match held::row(&mut connection, org_id, ask).await? {
            Some(held) => held,
            None => (published::row(&mut connection, org_id, ask).await?, Vec::new()),
        }
    };
    let source = source(ask.job, &row.source_system)?;
    let rule = rules(source, &ask.column.name, &row.comment);
    let published = published::numbers(&ask.column, row.value.as_deref())?;
    let mut numbers = if let Some(value) = of_the_period(&ask.column.name, ask.period) {
        vec![from_the_period(&published, value)]
    } else {
        let opened = Opened::new(config, ask.job, source, ask.org, &row.run, (ask.period, ask.period))?;
        tokio::task::block_in_place(|| -> Result<_> {
            let compute = Compute::open(&opened.inputs(config))?;
            compute.explain(Some((&ask.column.name, ask.period)))?;
            let mut terms = terms(&compute)?.remove(&(ask.period, ask.column.name.clone())).unwrap_or_default();
            show(&compute, &mut terms, ask.limit)?;
            let locator = staged::Locator::new(config, &opened.pulls, ask.period, last_day(ask.job, ask.period))?;
            locator.locate(terms.values_mut().flatten())?;
            Ok(numbers(&ask.column, &published, terms))
        })?
    };
    if let Some(entry) = &ask.entry {
        let is_list = numbers.iter().any(|number| number.entry.is_some());
        ensure!(is_list || numbers.is_empty(), "{} is one number and has no entries", ask.column.name);
        ensure!(!numbers.is_empty(), "{} has no numbers in this row", ask.column.name);
        let known: Vec<_> = numbers.iter().filter_map(|number| number.entry.clone()).collect();
        numbers.retain(|number| number.entry.as_ref() == Some(entry));
        ensure!(!numbers.is_empty(), "{} has no number \"{entry}\"; it has {}", ask.column.name, known.join(", "));
    }
    Ok(Explanation {
        mart: ask.job.mart,
        column: ask.column.name.clone(),
        org: ask.org.slug.clone(),
        period: ask.period,
        published: row.value,
        run: row.run.run_id,
        run_at: row.run.started_at,
        held,
        rule,
        numbers,
    })
}

/// What a run computed from, opened again.
struct Opened<'a> {
    org: &'a Org,
    plan: Plan,
    pulls: Pulls,
    as_of: NaiveDate,
}

impl<'a> Opened<'a> {
    /// For the rows whose periods begin on these days.
    fn new(
        config: &Config,
        job: &'static Job,
        source: &'static Source,
        org: &'a Org,
        run: &Run,
        (first, last): (NaiveDate, NaiveDate),
    ) -> Result<Self> {
        let pulls = staged::pulls(&Staging::new(&config.staging.path), &org.slug, run)?;
        let window = Window { as_of: run.as_of, range: Some((first, last_day(job, last))), is_present: true };
        Ok(Opened { org, plan: plan(job, source, org, window)?, pulls, as_of: run.as_of })
    }

    fn inputs<'b>(&'b self, config: &'b Config) -> Inputs<'b> {
        Inputs { config, org: self.org, plan: &self.plan, pulls: &self.pulls, as_of: self.as_of }
    }
}

fn source(job: &'static Job, source_system: &str) -> Result<&'static Source> {
    let source = job.sources.iter().find(|source| source.source_system == source_system);
    source.with_context(|| format!("{} has no source {source_system}", job.name))
}

/// Last day of the period that begins on a day.
fn last_day(job: &Job, first: NaiveDate) -> NaiveDate {
    match job.periods {
        Periods::Days { .. } => first,
        Periods::Months { .. } => periods::last_of_month(first),
    }
}

/// A number that is read off the calendar.
fn from_the_period(published: &BTreeMap<Option<String>, Option<Decimal>>, value: Decimal) -> Number {
    let published = published.get(&None).copied().flatten();
    Number { entry: None, published, computed: Some(value), agrees: published == Some(value), terms: Vec::new() }
}

/// What brings something to which number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartKey {
    pub column: String,
    pub entry: Option<String>,
    pub how: String,
    pub dataset: String,
    pub key: String,
}

/// What every staged row brought to the numbers of a row, as a run computed it.
pub(crate) fn parts_of(
    config: &Config,
    job: &'static Job,
    org: &Org,
    run: &Run,
    period: NaiveDate,
) -> Result<BTreeMap<PartKey, Decimal>> {
    let source = crate::run::source_for(job, org).context("the job has no source for the organisation any more")?;
    let opened = Opened::new(config, job, source, org, run, (period, period))?;
    let compute = Compute::open(&opened.inputs(config))?;
    compute.explain(None)?;
    let sql = "select column_name, entry, how, source_dataset, source_key, sum(part)::decimal(38, 18) from parts
        where source_key is not null group by all";
    let rows = compute.select(sql)?.text()?.into_iter().map(|row| {
        let [column, entry, how, dataset, key, part] = <[_; 6]>::try_from(row).expect("six columns are selected");
        let text = |text: Option<String>| text.unwrap_or_default();
        let key = PartKey { column: text(column), entry, how: text(how), dataset: text(dataset), key: text(key) };
        Ok((key, decimal(part.as_deref())?))
    });
    rows.collect()
}

/// Whether a run published the row of a period that it restated.
pub(crate) fn publishes(run: &Run, period: NaiveDate) -> bool {
    !published::is_held(run, period)
}

/// The numbers of a cell as Postgres writes it: itself, or those of its JSON by their place.
pub(crate) fn numbers_of(
    column: &MartColumn,
    value: Option<&str>,
) -> Result<BTreeMap<Option<String>, Option<Decimal>>> {
    published::numbers(column, value)
}

/// The pulls that a run computed from.
///
/// # Errors
/// One that is no longer there, or no longer what it was.
pub(crate) fn pulls_of(staging: &Staging, org: &str, run: &Run) -> Result<Pulls> {
    staged::pulls(staging, org, run)
}

/// Whether a column only tells which period a row is of.
pub(crate) fn tells_the_period(column: &str) -> bool {
    of_the_period(column, NaiveDate::default()).is_some()
}

/// A number that only tells which period it is.
fn of_the_period(column: &str, period: NaiveDate) -> Option<Decimal> {
    match column {
        "year" => Some(period.year().into()),
        "month" => Some(period.month().into()),
        "day_of_week" => Some(period.weekday().num_days_from_sunday().into()),
        _ => None,
    }
}

/// What the column means, and every sentence of the files' headers that names it.
fn rules(source: &Source, column: &str, comment: &str) -> Vec<String> {
    let mut rules = vec![comment.to_owned()];
    for text in [source.sql, source.explain] {
        // Behind the first line, which is of the file, and the list of datasets.
        let header = text.lines().map_while(|line| line.strip_prefix("--")).map(str::trim).skip(1);
        let header: Vec<_> = header.filter(|line| !line.is_empty() && !line.starts_with("reads: ")).collect();
        let sentences = header.join(" ");
        let named = sentences.split_inclusive(". ").map(str::trim).filter(|sentence| sentence.contains(column));
        rules.extend(named.map(str::to_owned));
    }
    rules
}

/// The terms of one cell, by entry.
type Terms = BTreeMap<Option<String>, Vec<Term>>;

/// What the table `parts` comes to, cell by cell.
fn terms(compute: &Compute) -> Result<BTreeMap<(NaiveDate, String), Terms>> {
    let mut cells: BTreeMap<(NaiveDate, String), Terms> = BTreeMap::new();
    let totals = "select period_start, column_name, entry, how, count(*), sum(part)::decimal(38, 18) from parts
        group by all order by entry, how desc";
    for row in compute.select(totals)?.text()? {
        let [period, column, entry, how, count, total] = <[_; 6]>::try_from(row).expect("six columns are selected");
        let cell = (period.context("a part without a period")?.parse()?, column.context("a part without a column")?);
        let (count, total) = (count.unwrap_or_default().parse()?, decimal(total.as_deref())?);
        let how = how.context("a part without its how")?;
        cells.entry(cell).or_default().entry(entry).or_default().push(Term { how, count, total, shown: Vec::new() });
    }
    Ok(cells)
}

/// Puts the largest parts of the table `parts`, which is of one cell, under their terms.
fn show(compute: &Compute, terms: &mut Terms, limit: usize) -> Result<()> {
    let shown = format!(
        "select entry, how, source_dataset, source_key, source_page, counted, part from parts
        qualify row_number() over (
            partition by entry, how order by abs(part) desc, source_dataset, source_key, counted
        ) <= {limit}
        order by entry, how, abs(part) desc, source_dataset, source_key, counted"
    );
    for row in compute.select(&shown)?.text()? {
        let [entry, how, dataset, key, page, counted, part] =
            <[_; 7]>::try_from(row).expect("seven columns are selected");
        let page = page.and_then(|page| page.parse().ok());
        let row = dataset.zip(key).map(|(dataset, key)| Row { dataset, key, page, place: None });
        let term =
            terms.get_mut(&entry).and_then(|terms| terms.iter_mut().find(|term| Some(&term.how) == how.as_ref()));
        let part = Part { amount: decimal(part.as_deref())?, counted, row };
        term.context("a part without its total")?.shown.push(part);
    }
    Ok(())
}

/// Holds what the parts make against what is published.
fn numbers(
    column: &MartColumn,
    published: &BTreeMap<Option<String>, Option<Decimal>>,
    mut terms: Terms,
) -> Vec<Number> {
    let entries: BTreeSet<_> = published.keys().chain(terms.keys()).cloned().collect();
    let number = |entry: Option<String>| {
        let terms = terms.remove(&entry).unwrap_or_default();
        let computed = computed(&terms);
        // An entry that the cell does not have stands for zero.
        let published = published.get(&entry).copied().unwrap_or(Some(Decimal::ZERO));
        let agrees = agrees(published, computed, &terms, column.kind);
        Number { entry, published, computed, agrees, terms }
    };
    entries.into_iter().map(number).collect()
}

/// What terms make: their sum, or numerator by denominator.
fn computed(terms: &[Term]) -> Option<Decimal> {
    let total = |how: &str| terms.iter().filter(|term| term.how == how).map(|term| term.total).sum::<Decimal>();
    if terms.iter().any(|term| term.how == "numerator" || term.how == "denominator") {
        // Margins and rates are of what is more than nothing.
        let denominator = total("denominator");
        return (denominator > Decimal::ZERO).then(|| total("numerator") / denominator);
    }
    (!terms.is_empty()).then(|| total("sum") + total("distinct"))
}

/// Places behind the point to which a column's numbers are rounded, half away from zero. Amounts in a JSON document have two;
/// its counts are whole, and rounding leaves them as they are.
fn places(kind: MartKind) -> u32 {
    match kind {
        MartKind::Numeric { scale, .. } => scale.unsigned_abs().into(),
        MartKind::Json => 2,
        MartKind::Integer | MartKind::Date | MartKind::Text => 0,
    }
}

/// Whether a published number is what its parts make, rounded as the column is: not as the number is written, which somebody
/// may have shortened.
fn agrees(published: Option<Decimal>, computed: Option<Decimal>, terms: &[Term], kind: MartKind) -> bool {
    let rounded = |number: Decimal| number.round_dp_with_strategy(places(kind), RoundingStrategy::MidpointAwayFromZero);
    match (published, computed) {
        (Some(published), computed) => rounded(computed.unwrap_or_default()) == published,
        // Unknown: nothing contributes, there is nothing to divide by, or the column cannot hold it.
        (None, None) => terms.iter().all(|term| term.how != "sum" && term.how != "distinct"),
        (None, Some(computed)) => match kind {
            MartKind::Numeric { precision, scale } => {
                let whole_digits = u32::from(precision).saturating_sub(u32::from(scale.unsigned_abs()));
                rounded(computed).abs() >= Decimal::from(10_i64.pow(whole_digits.min(18)))
            }
            _ => false,
        },
    }
}

/// A decimal as DuckDB writes it, without the zeros that only fill its places.
fn decimal(text: Option<&str>) -> Result<Decimal> {
    let text = text.unwrap_or("0");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    short.parse().with_context(|| format!("{text} is no decimal"))
}
