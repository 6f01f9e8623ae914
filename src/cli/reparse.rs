//! `marts reparse`: stored pages through today's parser.

use std::fmt::Write as _;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Exit, Failure, Outcome, instant, output, select_orgs, staging, tables};
use crate::reparse::{self, Reread};
use crate::staging::Staging;

/// Read the stored pages of API pulls with today's parser, and show which staged rows would change
///
/// Asks no source and writes nothing, unless --write is given. Ends with 1 when rows differ and were not written, or when
/// a page is refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReparseArgs {
    /// The datasets; all of them when none is named
    #[arg(value_name = "DATASET", value_parser = PossibleValuesParser::new(staging::names()), hide_possible_values = true)]
    pub datasets: Vec<String>,
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// Only this month or day, or the days of this month
    #[arg(long, value_name = "PERIOD", value_parser = staging::period)]
    pub period: Option<String>,
    /// Only pulls taken by then
    #[arg(long, value_name = "INSTANT", value_parser = instant, conflicts_with = "write")]
    pub as_of_pull: Option<DateTime<Utc>>,
    /// Land what differs as a new pull of the same period, which then counts
    #[arg(long)]
    pub write: bool,
}

const EXAMPLES: &str = "\
Examples:
  marts reparse                                         everything that has pages
  marts reparse hubspot_deals --org vital --period 2026-01
  marts reparse quickbooks_cash_flow --write            and count with today's reading from now on";

/// Rows that are shown of a pull; --json shows all.
const SHOWN: usize = 10;

/// Reads them, and shows what differs.
pub fn execute(args: &ReparseArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, &args.org)?;
    let zone = Staging::new(&config.staging.path);
    let _held = zone.hold()?;
    let datasets = staging::named(&args.datasets);
    let without: Vec<&str> = datasets.iter().filter(|dataset| !dataset.pages).map(|dataset| dataset.name).collect();
    if !without.is_empty() {
        context.say(&format!("no pages to read anew, because their sources answer in rows: {}", without.join(", ")));
    }
    let mut found: Vec<Reread> = Vec::new();
    let runtime = context.runtime()?;
    for dataset in datasets.iter().filter(|dataset| dataset.pages) {
        for org in &orgs {
            for partition in zone.partitions(dataset, &org.slug)? {
                if args.period.as_ref().is_some_and(|period| !partition.to_string().starts_with(period.as_str())) {
                    continue;
                }
                let which = (*dataset, partition);
                let read = reparse::reread(&config, org, &context.clock, which, args.as_of_pull, args.write);
                found.extend(runtime.block_on(read)?);
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::Other(anyhow!(
            "no staged pull with pages is among those asked for; see `marts staging ls`"
        )));
    }
    if context.global.json {
        output::print_json(&found)?;
    } else {
        output::print(&told(&found))?;
    }
    Ok(exit(&found))
}

fn exit(found: &[Reread]) -> Exit {
    let is_bad = |read: &Reread| match &read.outcome {
        reparse::Outcome::Same { .. } => false,
        reparse::Outcome::Differs { written, .. } => written.is_none(),
        reparse::Outcome::Refused { .. } => true,
    };
    if found.iter().any(is_bad) { Exit::Failed } else { Exit::Good }
}

fn told(found: &[Reread]) -> String {
    let mut text = String::new();
    let (mut same, mut differ, mut refused, mut written_pulls) = (0, 0, 0, 0);
    for read in found {
        let place = format!("{} of {} {}, {}", read.dataset, read.org, read.period, read.pull);
        match &read.outcome {
            reparse::Outcome::Same { .. } => same += 1,
            reparse::Outcome::Refused { error } => {
                refused += 1;
                let _ = writeln!(text, "{place}: REFUSED: {error}");
            }
            reparse::Outcome::Differs { schema, changes, written } => {
                differ += 1;
                let count = |kind: &str| changes.iter().filter(|change| change.change == kind).count();
                let _ = writeln!(
                    text,
                    "{place}: {} added, {} vanished, {} changed{}",
                    count("added"),
                    count("vanished"),
                    count("changed"),
                    written.as_ref().map(|pull| format!("; written as {pull}")).unwrap_or_default()
                );
                written_pulls += usize::from(written.is_some());
                for line in schema {
                    let _ = writeln!(text, "  {line}");
                }
                for change in changes.iter().take(SHOWN) {
                    let key: Vec<_> = change.key.iter().map(|(name, value)| format!("{name} {value}")).collect();
                    let null = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
                    let cells = change.cells.iter();
                    let cells: Vec<_> = cells
                        .map(|cell| format!("{} {} → {}", cell.column, null(&cell.old), null(&cell.new)))
                        .collect();
                    let cells = if cells.is_empty() { String::new() } else { format!(": {}", cells.join(", ")) };
                    let _ = writeln!(text, "  {} {}{cells}", change.change, key.join(" "));
                }
                if changes.len() > SHOWN {
                    let _ = writeln!(text, "  and {} more; --json shows all", changes.len() - SHOWN);
                }
            }
        }
    }
    let _ = writeln!(
        text,
        "{} read anew: {same} the same, {differ} different, {refused} refused, {written_pulls} written",
        tables::counted(found.len(), "pull")
    );
    if written_pulls > 0 {
        text.push_str("`marts run --from-staging` computes with them\n");
    }
    text
}
