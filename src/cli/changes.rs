//! `marts changes`: which published numbers moved, and which staged rows moved them. `marts diff`: what two runs differ by.

use std::fmt::Write as _;

use chrono::NaiveDate;
use clap::Args;
use clap::builder::PossibleValuesParser;
use rust_decimal::Decimal;
use serde::Serialize;

use super::{Context, Exit, Failure, Outcome, output, select_orgs, tables};
use crate::changes::{self, Ask, Cause, Changes};
use crate::jobs::{JOBS, Periods};
use crate::ledger;

/// Show which published numbers moved, by how much, and which staged rows moved them
///
/// Without --since it is about the newest run that changed something.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  marts changes\n  marts changes --since 2026-01-15 --org bennett --mart mart_sales_daily"
)]
pub struct ChangesArgs {
    /// What moved after this run, or from this day on (UTC)
    #[arg(long, value_name = "RUN|DATE")]
    pub since: Option<String>,
    #[command(flatten)]
    pub of: Of,
    /// How many rows of the marts to look into for the staged rows behind them
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub causes: usize,
    /// How many lines to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// Show by what the marts after one run differ from those after another
///
/// A number that moved and came back is no difference.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts diff 20260120T0800 20260121T0800 --fail-if-diff")]
pub struct DiffArgs {
    /// A run, as `marts runs` calls it; its beginning is enough
    #[arg(value_name = "RUN_A")]
    pub from: String,
    /// The other
    #[arg(value_name = "RUN_B")]
    pub to: String,
    #[command(flatten)]
    pub of: Of,
    /// End with exit code 1 when there is a difference
    #[arg(long)]
    pub fail_if_diff: bool,
    /// How many lines to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// Which marts.
#[derive(Debug, Args)]
pub struct Of {
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// Only this mart
    #[arg(long, value_name = "MART", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.mart)))]
    pub mart: Option<String>,
}

/// What `marts changes` answers.
#[derive(Debug, Serialize)]
struct Answer {
    runs: Vec<String>,
    #[serde(flatten)]
    changes: Changes,
    causes: Vec<Cause>,
}

/// Shows what moved.
pub fn changes(args: &ChangesArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    select_orgs(&config, &args.of.org)?;
    let ask = Ask { orgs: args.of.org.clone(), mart: args.of.mart.clone() };
    let answer = context.with_database(&config, async |database| {
        let (runs, changes) = {
            let mut connection = database.connection().await?;
            let all = ledger::runs(&mut connection).await?;
            match &args.since {
                Some(since) => {
                    let runs: Vec<_> = match since.parse::<NaiveDate>() {
                        Ok(day) => all.into_iter().filter(|(_, ended)| ended.date_naive() >= day).collect(),
                        Err(_) => match ledger::run_called(&all, since).cloned() {
                            Ok(after) => all.into_iter().skip_while(|run| *run != after).skip(1).collect(),
                            Err(error) => return Ok(Err(error)),
                        },
                    };
                    let runs: Vec<String> = runs.into_iter().map(|(run, _)| run).collect();
                    let made = changes::made_by(&mut connection, &runs, &ask).await?;
                    (runs, made)
                }
                None => {
                    let mut newest = (Vec::new(), Changes::default());
                    for (run, _) in all.into_iter().rev() {
                        let made = changes::made_by(&mut connection, std::slice::from_ref(&run), &ask).await?;
                        if !made.is_empty() {
                            newest = (vec![run], made);
                            break;
                        }
                    }
                    newest
                }
            }
        };
        let causes = changes::causes(&config, database, &changes.changes, args.causes).await?;
        Ok(Ok(Answer { runs, changes, causes }))
    })?;
    let answer = answer.map_err(Failure::Usage)?;
    if context.global.json {
        output::print_json(&answer)?;
    } else {
        let mut text = listed(&answer.changes, args.limit);
        for cause in &answer.causes {
            text += &told(cause, args.limit);
        }
        output::print(&text)?;
    }
    Ok(Exit::Good)
}

/// Shows the difference.
pub fn diff(args: &DiffArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    select_orgs(&config, &args.of.org)?;
    let ask = Ask { orgs: args.of.org.clone(), mart: args.of.mart.clone() };
    let found = context.with_database(&config, async |database| {
        let mut connection = database.connection().await?;
        let all = ledger::runs(&mut connection).await?;
        let place = |name: &str| {
            let run = ledger::run_called(&all, name)?;
            anyhow::Ok(all.iter().position(|candidate| candidate == run).unwrap_or_default())
        };
        let ends = place(&args.from).and_then(|from| Ok((from, place(&args.to)?)));
        let (from, to) = match ends {
            Ok(ends) => ends,
            Err(error) => return Ok(Err(error)),
        };
        let between = &all[from.min(to) + 1..=from.max(to)];
        let runs: Vec<String> = between.iter().map(|(run, _)| run.clone()).collect();
        let net = changes::net(&mut connection, &runs, &ask).await?;
        Ok(Ok(if from > to { net.reversed() } else { net }))
    })?;
    let net = found.map_err(Failure::Usage)?;
    if context.global.json {
        output::print_json(&net)?;
    } else {
        output::print(&listed(&net, args.limit))?;
    }
    Ok(if args.fail_if_diff && !net.is_empty() { Exit::Failed } else { Exit::Good })
}

/// The changes as a table.
fn listed(found: &Changes, limit: usize) -> String {
    let mut text = String::new();
    for rows in &found.new_rows {
        let _ = writeln!(text, "{} {}: {} new rows, by run {}", rows.org, rows.mart, rows.rows, rows.run);
    }
    for rows in &found.missing_rows {
        let _ = writeln!(text, "{} {}: without {} rows of run {}", rows.org, rows.mart, rows.rows, rows.run);
    }
    let has_rows = !found.new_rows.is_empty() || !found.missing_rows.is_empty();
    if has_rows && !found.changes.is_empty() {
        text.push('\n');
    }
    let rows = found.changes.iter().take(limit).map(|change| {
        let column = match &change.entry {
            Some(entry) => format!("{} {entry}", change.column),
            None => change.column.clone(),
        };
        vec![
            change.org.clone(),
            change.mart.clone(),
            shown_period(&change.mart, change.period),
            column,
            change.old.clone().unwrap_or_else(|| "null".to_owned()),
            change.new.clone().unwrap_or_else(|| "null".to_owned()),
            change.difference.map(signed).unwrap_or_default(),
            change.run.clone(),
        ]
    });
    if found.changes.is_empty() {
        text += if has_rows { "no published number moved\n" } else { "nothing changed\n" };
        return text;
    }
    let heads = ["org", "mart", "period", "column", "old", "new", "difference", "run"];
    text += &tables::render(&heads, &[4, 5, 6], rows);
    if found.changes.len() > limit {
        let _ = writeln!(text, "… and {} more; --limit shows them", found.changes.len() - limit);
    }
    text
}

/// Why a row moved.
fn told(cause: &Cause, limit: usize) -> String {
    let Cause { org, mart, period, run, before, rows, note } = cause;
    let period = shown_period(mart, *period);
    let mut text = match before {
        Some(before) => format!("\n{mart} of {org}, {period}: staged rows of run {run} against those of {before}\n"),
        None => format!("\n{mart} of {org}, {period}\n"),
    };
    let lines: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            row.parts.iter().map(|part| {
                let number = |number: Option<Decimal>| {
                    number.map_or_else(|| "-".to_owned(), |number| number.normalize().to_string())
                };
                vec![
                    row.how.to_owned(),
                    row.dataset.clone(),
                    row.key.clone(),
                    part.number.clone(),
                    number(part.old),
                    number(part.new),
                ]
            })
        })
        .collect();
    if !lines.is_empty() {
        let more = lines.len().saturating_sub(limit);
        let heads = ["row", "dataset", "key", "brings to", "then", "now"];
        text += &tables::render(&heads, &[4, 5], lines.into_iter().take(limit));
        if more > 0 {
            let _ = writeln!(text, "… and {more} more; --limit shows them");
        }
    }
    if let Some(note) = note {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn shown_period(mart: &str, period: NaiveDate) -> String {
    let is_monthly = JOBS.iter().any(|job| job.mart == mart && matches!(job.periods, Periods::Months { .. }));
    period.format(if is_monthly { "%Y-%m" } else { "%Y-%m-%d" }).to_string()
}

fn signed(difference: Decimal) -> String {
    if difference > Decimal::ZERO { format!("+{difference}") } else { difference.to_string() }
}
