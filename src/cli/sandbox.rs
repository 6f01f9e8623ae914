//! `marts sandbox`: the source systems, simulated.

use std::path::PathBuf;

use anyhow::anyhow;
use chrono::NaiveDate;
use clap::Args;

use super::{CLOCK_SHIFT, Context, Exit, Failure, Outcome, day, output};
use crate::clock::Clock;
use crate::periods;
use crate::sandbox::world::{World, WorldOptions};

/// Serve the simulated source systems on loopback ports until interrupted, and write a configuration for them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts sandbox &\n  marts --config .marts/sandbox/marts.toml run")]
pub struct SandboxArgs {
    /// Which invented business to serve: the same seed, the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The last day of business; yesterday when it is left out
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub to: Option<NaiveDate>,
    /// Where to write marts.toml and the secrets it refers to
    #[arg(long, value_name = "DIR", default_value = ".marts/sandbox")]
    pub dir: PathBuf,
    /// Serve so many invoices in the last month, to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub invoices: Option<u64>,
    /// Keep about so many contacts in the CRM, to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub contacts: Option<u64>,
    /// Give each day of the app so many events, to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub events: Option<u64>,
    /// Keep about so many cases in the case database, to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub cases: Option<u64>,
    /// Have about so many people install the app, to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub people: Option<u32>,
}

/// Serves until Ctrl-C or SIGTERM.
pub fn execute(args: &SandboxArgs, context: &Context) -> Outcome {
    let last = yesterday(context);
    let to = args.to.unwrap_or(last);
    if to > last {
        return Err(Failure::Usage(anyhow!("--to {to}: that day has not ended; the last complete day is {last}")));
    }
    // What the sources give only as it stands is taken for the last complete day: so a day gone by has to be that.
    let back = to - last;
    let shift = if back.is_zero() { String::new() } else { format!("{CLOCK_SHIFT}={} ", back.num_seconds()) };
    let now = context.clock.clone();
    let clock = Clock::from_fn(move || now.now() + back);
    context.runtime()?.block_on(async {
        let options = WorldOptions {
            ledgers: true,
            bulk_invoices: args.invoices,
            bulk_contacts: args.contacts,
            bulk_events: args.events,
            bulk_cases: args.cases,
            people: args.people,
            ..WorldOptions::new(args.seed, to, clock)
        };
        let world = World::start(options).await?;
        let config = world.write_config(&args.dir)?;
        output::print(&format!(
            "QuickBooks  {}\nHubSpot     {}\nZoom        {}\nBigQuery    {}\nSQL Server  {} (dealers), {} (cases)\nUse them:   {shift}marts --config {} run --as-of {to}\nCtrl-C ends the sandbox.\n",
            world.quickbooks.url(),
            world.hubspot.url(),
            world.zoom.base_url(),
            world.bigquery.url(),
            world.softbase.addr(),
            world.cases.addr(),
            config.display()
        ))?;
        super::interrupted().await;
        Ok(Exit::Good)
    })
}

/// Yesterday where the simulated companies are.
pub(super) fn yesterday(context: &Context) -> NaiveDate {
    periods::last_complete_day(context.clock.now(), chrono_tz::America::Chicago)
}
