//! `marts run`: a night, or a part of one.

use std::path::PathBuf;

use anyhow::anyhow;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Failure, Outcome, day, instant, output, tables};
use crate::alerts;
use crate::jobs::{JOBS, Job};
use crate::ledger::Attempt;
use crate::run::{self, Request};

/// Land, compute, audit and publish: all jobs of all organisations, or those named
///
/// Without a range, each job restates the rows that `marts jobs` shows, up to the last complete day in the
/// organisation's time zone. What fails its audit keeps the rows that are published.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The jobs to run; all of them when none is named
    #[arg(value_name = "JOB", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.name)), hide_possible_values = true)]
    pub jobs: Vec<String>,
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// The last day to report; today is allowed, its rows are then provisional. Snapshots of days gone by come from staging
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub as_of: Option<NaiveDate>,
    /// The first day of a range to restate
    #[arg(long, value_name = "DATE", value_parser = day, requires = "to")]
    pub from: Option<NaiveDate>,
    /// The last day of that range
    #[arg(long, value_name = "DATE", value_parser = day, requires = "from")]
    pub to: Option<NaiveDate>,
    /// Ask no source: compute from the pulls in the landing zone
    #[arg(long)]
    pub from_staging: bool,
    /// Compute a past night again: only from pulls taken by then, as of the day that was the last complete one then
    #[arg(long, value_name = "INSTANT", value_parser = instant, requires = "from_staging")]
    pub as_of_pull: Option<DateTime<Utc>>,
    /// Answer from saved response bodies in this folder instead of the network
    #[arg(long, value_name = "DIR", conflicts_with = "from_staging")]
    pub pages: Option<PathBuf>,
    /// Stop at the first mart that fails or is held: what comes after it is skipped
    #[arg(long)]
    pub fail_fast: bool,
    /// Do everything but publish
    #[arg(long)]
    pub dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  marts run                                        the night
  marts run etl_sales_daily --org bennett          one job of one organisation
  marts run --from 2025-03-01 --to 2025-06-30      restate a range
  marts run --from-staging --dry-run               what would change, without asking a source
  marts run --from-staging --as-of-pull 2026-01-21T12:00:00Z --config copy.toml
                                                   that night again, into the database that copy.toml names";

impl RunArgs {
    /// Checks what the arguments mean together.
    ///
    /// # Errors
    /// A usage error.
    pub fn request(&self) -> Result<Request, Failure> {
        let range = self.from.zip(self.to);
        if let Some((from, to)) = range {
            if to < from {
                return Err(Failure::Usage(anyhow!("--to {to} is before --from {from}")));
            }
            if self.as_of.is_some_and(|as_of| as_of < to) {
                return Err(Failure::Usage(anyhow!("--to {to} is after --as-of, the last day to report")));
            }
        }
        if let Some(pages) = &self.pages
            && !pages.is_dir()
        {
            return Err(Failure::Usage(anyhow!("--pages: there is no folder {}", pages.display())));
        }
        // The order of a night, and each once, however they were named.
        let named = |candidate: &&Job| self.jobs.is_empty() || self.jobs.iter().any(|name| name == candidate.name);
        Ok(Request {
            jobs: JOBS.iter().filter(named).collect(),
            orgs: self.org.clone(),
            as_of: self.as_of,
            range,
            from_staging: self.from_staging,
            as_of_pull: self.as_of_pull,
            pages: self.pages.clone(),
            fail_fast: self.fail_fast,
            dry_run: self.dry_run,
        })
    }
}

/// Runs what is asked for, and shows how it ended.
pub fn execute(args: &RunArgs, context: &Context) -> Outcome {
    let request = args.request()?;
    let config = context.config()?;
    super::select_orgs(&config, &request.orgs)?;
    run::todo(&config, &request, context.clock.now()).map_err(Failure::Usage)?;
    let progress = context.progress();
    let report = context.with_database(&config, async |database| {
        let report = run::run(&config, database, &context.clock, &request, &|event| progress.tell(event)).await?;
        // A past night that is computed again says nothing of the present.
        let is_watched = config.alerts.tells() || config.alerts.ping.is_some();
        if config.alerts.from_run && is_watched && !request.dry_run && request.as_of_pull.is_none() {
            let attempts: Vec<_> = report.marts.iter().map(|mart| Attempt::told(&report, mart)).collect();
            alerts::attend_after_run(&config, database, context.clock.now(), &attempts, &context.program()).await;
        }
        Ok(report)
    });
    progress.finish();
    let report = report?;
    if context.global.json {
        let text = serde_json::to_string(&serde_json::json!({ "event": "finished", "report": report }));
        output::print(&(text.map_err(anyhow::Error::from)? + "\n"))?;
    } else {
        output::print(&tables::closing(&report, &context.program()))?;
    }
    Ok(report.exit())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: RunArgs,
    }

    fn parse(words: &[&str]) -> Result<RunArgs, clap::Error> {
        Alone::try_parse_from([&["run"], words].concat()).map(|alone| alone.args)
    }

    #[test]
    fn the_order_is_that_of_a_night_and_each_job_comes_once() {
        let all = parse(&[]).unwrap().request().unwrap();
        assert_eq!(all.jobs.len(), JOBS.len());
        let last = JOBS[JOBS.len() - 1].name;
        let named = parse(&[last, JOBS[0].name, last]).unwrap().request().unwrap();
        assert_eq!(named.jobs.iter().map(|job| job.name).collect::<Vec<_>>(), [JOBS[0].name, last]);
    }

    #[test]
    fn an_instant_is_written_as_instants_are_or_as_pulls_are_named() {
        let read = |text| parse(&["--from-staging", "--as-of-pull", text]).unwrap().request().unwrap().as_of_pull;
        let noon = "2026-01-21T12:00:00Z".parse().ok();
        for text in ["2026-01-21T12:00:00Z", "2026-01-21T06:00:00-06:00", "20260121T120000Z", "pull=20260121T120000Z"] {
            assert_eq!(read(text), noon, "{text}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["etl_nothing"][..],
            &["--from", "2026-01-01"],
            &["--to", "2026-01-01"],
            &["--as-of", "yesterday"],
            &["--as-of", "2026-1-2"],
            &["--from-staging", "--pages", "pages"],
            &["--as-of-pull", "2026-01-21T12:00:00Z"],
            &["--from-staging", "--as-of-pull", "2026-01-21"],
            &["--from-staging", "--as-of-pull", "2026-01-21T12:00:00"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        for words in [
            &["--from", "2026-01-02", "--to", "2026-01-01"][..],
            &["--from", "2026-01-01", "--to", "2026-01-03", "--as-of", "2026-01-02"],
            &["--pages", "/nonexistent"],
        ] {
            let refused = parse(words).unwrap().request();
            assert!(matches!(refused, Err(Failure::Usage(_))), "{words:?}");
        }
    }
}
