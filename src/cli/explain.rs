//! `marts explain`: where a number comes from.

use std::fmt::Write as _;

use anyhow::anyhow;
use chrono::{Datelike as _, NaiveDate};
use clap::Args;
use rust_decimal::Decimal;
use serde::Serialize;

use super::{Context, Exit, Failure, Outcome, output, select_orgs, tables};
use crate::compute::MartColumn;
use crate::explain::{self, Ask, Differing, Explanation, Number, Tally, Term};
use crate::jobs::{JOBS, Job, Periods};
use crate::ledger;
use crate::run::source_for;

/// Show the staged rows that make a published number, and whether they do
///
/// The rows are those of the run that published the number, not of a newer pull. A difference ends with exit code 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The cell's mart and column; a mart alone checks every number that its newest run published
    #[arg(value_name = "MART[.COLUMN]")]
    pub cell: String,
    /// The organisation; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// The row's month or day, as in 2026-01 or 2026-01-20
    #[arg(long, value_name = "PERIOD")]
    pub period: Option<String>,
    /// One number of a JSON column, by its place
    #[arg(long, value_name = "ENTRY")]
    pub entry: Option<String>,
    /// The figure of this run, instead of the one that published last; its beginning is enough
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// How many rows to show, largest first; the rest is summed up
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

const EXAMPLES: &str = "\
Examples:
  marts explain mart_cash_flow.operating_cash_flow --org bennett --period 2026-01
  marts explain mart_cash_flow --org bennett       every number of its newest run
  marts explain mart_crm_deals.deals_by_stage --org vital --period 2026-01-20 --entry 'closedwon / value'";

/// Explains the cell, or the mart.
pub fn execute(args: &ExplainArgs, context: &Context) -> Outcome {
    let usage = |text: String| Failure::Usage(anyhow!(text));
    let (mart, column) = match args.cell.split_once('.') {
        Some((mart, column)) => (mart, Some(column)),
        None => (args.cell.as_str(), None),
    };
    let Some(job) = JOBS.iter().find(|job| job.mart == mart) else {
        let marts: Vec<_> = JOBS.iter().map(|job| job.mart).collect();
        return Err(usage(format!("there is no mart {mart}; there are {}", marts.join(", "))));
    };
    let column = column.map(|column| self::column(job, column)).transpose()?;
    let config = context.config()?;
    let orgs = select_orgs(&config, args.org.as_slice())?;
    let having: Vec<_> = orgs.into_iter().filter(|org| source_for(job, org).is_some()).collect();
    let [org] = having.as_slice() else {
        let slugs: Vec<_> = having.iter().map(|org| org.slug.as_str()).collect();
        return Err(usage(match &args.org {
            Some(org) => format!("{org} has no connector that {} can use; see `marts jobs`", job.name),
            None if slugs.is_empty() => format!("no organisation has a connector that {} can use", job.name),
            None => format!("say which organisation's {mart} with --org: {}", slugs.join(", ")),
        }));
    };
    let org = *org;
    let Some(column) = column else {
        if args.period.is_some() || args.entry.is_some() || args.run.is_some() {
            return Err(usage(format!("--period, --entry and --run are of one cell: write {mart}.COLUMN")));
        }
        let tally = context.with_database(&config, async |database| {
            let org_id = ledger::org_id(&mut *database.connection().await?, &org.slug).await?;
            explain::tally(&config, database, org_id, job, org).await
        })?;
        return told(context, &tally, tally.differing.is_empty(), || tallied(&tally));
    };
    let Some(period) = &args.period else {
        return Err(usage(format!("say which row of {mart} with --period: it has {}", grain(job))));
    };
    let period = self::period(job, period)?;
    let mut ask = Ask { job, column, org, period, entry: args.entry.clone(), run: None, limit: args.limit };
    let explanation = context.with_database(&config, async |database| {
        let org_id = {
            let mut connection = database.connection().await?;
            if let Some(prefix) = &args.run {
                let runs = ledger::runs(&mut connection).await?;
                match ledger::run_called(&runs, prefix) {
                    Ok((run, _)) => ask.run = Some(run.clone()),
                    Err(error) => return Ok(Err(error)),
                }
            }
            ledger::org_id(&mut connection, &org.slug).await?
        };
        Ok(Ok(explain::explain(&config, database, org_id, &ask).await?))
    })?;
    let explanation = explanation.map_err(Failure::Usage)?;
    told(context, &explanation, explanation.agrees(), || text(&explanation, args.entry.is_some()))
}

fn told(context: &Context, data: &impl Serialize, agrees: bool, text: impl FnOnce() -> String) -> Outcome {
    if context.global.json {
        output::print_json(data)?;
    } else {
        output::print(&text())?;
    }
    Ok(if agrees { Exit::Good } else { Exit::Failed })
}

fn column(job: &Job, name: &str) -> Result<MartColumn, Failure> {
    let columns = explain::explained_columns(job)?;
    let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
    let found = columns.into_iter().find(|candidate| candidate.name == name);
    found
        .ok_or_else(|| Failure::Usage(anyhow!("{} has no number called {name}; it has {}", job.mart, names.join(", "))))
}

/// What of a mart is made by its rows, and what is not.
fn tallied(tally: &Tally) -> String {
    let Tally { mart, org, run, rows, numbers, parts, differing } = tally;
    let mut text = String::new();
    if !differing.is_empty() {
        let lines = differing.iter().map(|differing| {
            let Differing { column, period, number } = differing;
            let entry = number.entry.clone().unwrap_or_default();
            vec![period.to_string(), column.clone(), entry, shown(number.published), shown(number.computed)]
        });
        text += &tables::render(&["period", "column", "entry", "published", "from its rows"], &[3, 4], lines);
        text.push('\n');
    }
    let good = numbers - differing.len();
    let _ = writeln!(
        text,
        "{good} of {numbers} numbers in {rows} rows of {mart} of {org}, as run {run} published them, are what {parts} parts make"
    );
    text
}

/// First day of the row's period.
fn period(job: &Job, text: &str) -> Result<NaiveDate, Failure> {
    let day = super::day(text).ok();
    let month = format!("{text}-01").parse::<NaiveDate>().ok();
    let found = match job.periods {
        Periods::Days { .. } => day,
        Periods::Months { .. } => month.or(day).and_then(|day| day.with_day(1)),
    };
    found.ok_or_else(|| Failure::Usage(anyhow!("--period {text}: {} has {}", job.mart, grain(job))))
}

fn grain(job: &Job) -> &'static str {
    match job.periods {
        Periods::Days { .. } => "a row a day: write --period as in 2026-01-20",
        Periods::Months { .. } => "a row a month: write --period as in 2026-01",
    }
}

/// For people: what is published, the rule, the rows, the sum, the verdict.
fn text(explanation: &Explanation, is_one_entry: bool) -> String {
    let Explanation { mart, column, org, period, published, run, run_at, held, rule, numbers } = explanation;
    let is_held = !held.is_empty();
    let is_monthly = JOBS.iter().any(|job| job.mart == *mart && matches!(job.periods, Periods::Months { .. }));
    let period = period.format(if is_monthly { "%Y-%m" } else { "%Y-%m-%d" });
    let mut text = format!("{mart}.{column} of {org}, {period}\n");
    let is_list = numbers.iter().any(|number| number.entry.is_some()) && !is_one_entry;
    let value = published.as_deref().unwrap_or("null");
    if !is_list && !is_one_entry {
        let _ = writeln!(text, "published  {value}");
    }
    let _ = writeln!(text, "run        {run} of {}", run_at.format("%Y-%m-%d %H:%M UTC"));
    for (at, reason) in held.iter().enumerate() {
        let _ = writeln!(text, "{}{reason}", if at == 0 { "held       " } else { "           " });
    }
    for (at, line) in rule.iter().filter(|line| !line.is_empty()).enumerate() {
        let _ = writeln!(text, "{}{line}", if at == 0 { "rule       " } else { "           " });
    }
    text.push('\n');
    if is_list {
        let rows = numbers.iter().map(|number| {
            let count: u64 = number.terms.iter().map(|term| term.count).sum();
            let entry = number.entry.clone().unwrap_or_default();
            vec![
                entry,
                shown(number.published),
                shown(number.computed),
                count.to_string(),
                verdict(number, is_held).to_owned(),
            ]
        });
        text += &tables::render(&["entry", "published", "from its rows", "rows", "verdict"], &[1, 2, 3], rows);
        let _ = writeln!(text, "\n--entry ENTRY shows the rows of one of them.");
        return text;
    }
    for number in numbers {
        if let Some(entry) = &number.entry {
            let _ = writeln!(text, "{entry}: {}\n", shown(number.published));
        }
        for term in &number.terms {
            text += &rows(term, number.terms.len() > 1);
        }
        text += &closing(number, is_held);
    }
    text
}

/// The rows of a sum, and what they come to.
fn rows(term: &Term, is_named: bool) -> String {
    let shown_total: Decimal = term.shown.iter().map(|part| part.amount).sum();
    let mut lines: Vec<Vec<String>> = Vec::new();
    for part in &term.shown {
        let row = part.row.as_ref();
        let place = row.and_then(|row| row.place.as_ref());
        let key = match (row, place) {
            (None, _) => "(by the rule)".to_owned(),
            (Some(row), Some(place)) if place.rows > 1 => format!("{} ({} rows)", row.key, place.rows),
            (Some(row), _) => row.key.clone(),
        };
        lines.push(vec![
            part.amount.normalize().to_string(),
            key,
            place.map(|place| format!("{}/{}", place.pull, place.file)).unwrap_or_default(),
            row.filter(|_| place.is_some_and(|place| place.url.is_some()))
                .and_then(|row| row.page)
                .map_or_else(String::new, |page| page.to_string()),
            place.map(|place| place.fetched_at.format("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default(),
        ]);
    }
    let rest = term.count - term.shown.len() as u64;
    if rest > 0 {
        let amount = (term.total - shown_total).normalize();
        lines.push(vec![
            amount.to_string(),
            format!("… and {rest} more rows"),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    let name = if is_named { term.how.as_str() } else { "amount" };
    let mut text = tables::render(&[name, "row", "file", "page", "fetched"], &[0, 3], lines.into_iter());
    let of = match term.how.as_str() {
        "distinct" => "different ones, each counted once",
        "numerator" => "the numerator",
        "denominator" => "the denominator",
        _ => "their sum",
    };
    let _ = writeln!(text, "{} is {of}, of {} rows\n", term.total.normalize(), term.count);
    text
}

fn closing(number: &Number, is_held: bool) -> String {
    let made = match (number.computed, number.terms.is_empty()) {
        (Some(computed), true) => format!("{computed}, from the period itself"),
        (Some(computed), false) => computed.normalize().to_string(),
        (None, true) => "no row contributes".to_owned(),
        (None, false) => "there is nothing to divide by".to_owned(),
    };
    match (is_held, number.published) {
        (false, _) => format!("{made}: {}\n", verdict(number, is_held)),
        (true, Some(published)) => format!("{made}: {}; {published} is published\n", verdict(number, is_held)),
        (true, None) => format!("{made}: {}; no number is published\n", verdict(number, is_held)),
    }
}

fn verdict(number: &Number, is_held: bool) -> &'static str {
    match (number.agrees, number.published) {
        (true, _) if is_held => "held, and the same as what is published",
        (false, _) if is_held => "held, and not published",
        (true, None) => "null is published, as nothing is known",
        (true, Some(_)) => "equals what is published",
        (false, _) => "DIFFERS from what is published",
    }
}

fn shown(number: Option<Decimal>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}
