//! What a run would do, before it does it: the rows it restates, the pulls that takes, and what they cost, going by the pulls
//! taken before.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::NaiveDate;
use serde::Serialize;

use super::{Request, Todo, Wanted, plan, source_for};
use crate::compute::Pulls;
use crate::datasets::Dataset;
use crate::periods::Partition;
use crate::staging::{Entry, Manifest, Staging};

/// How many earlier pulls an expectation goes by.
const EARLIER: usize = 10;

/// One job of one organisation.
#[derive(Debug, Serialize)]
pub struct Forecast {
    pub org: String,
    pub job: &'static str,
    pub mart: &'static str,
    pub as_of: NaiveDate,
    /// First and last day of the rows to restate; none when there is none.
    pub periods: Option<(NaiveDate, NaiveDate)>,
    /// Rows of the mart that it restates.
    pub rows: usize,
    pub pulls: Vec<ForecastPull>,
    /// Why it would fail before it asks anybody.
    pub error: Option<String>,
}

/// What it needs of one dataset.
#[derive(Debug, Serialize)]
pub struct ForecastPull {
    pub dataset: &'static str,
    /// Days, months or snapshots to be pulled.
    pub partitions: usize,
    /// First and last of them.
    pub span: Option<(String, String)>,
    /// Those that are taken from the landing zone.
    pub staged: usize,
    /// Those that an earlier job of the same run pulls already.
    pub shared: usize,
    /// Expected requests; none when no earlier pull tells.
    pub requests: Option<u64>,
    /// Expected bytes in the landing zone, stored answers included.
    pub bytes: Option<u64>,
    /// Expected bytes that the source reads and may bill, where it bills by them.
    pub scanned: Option<u64>,
}

/// What a run would do for what is to be done, in its order.
///
/// # Errors
/// A landing zone that cannot be read. What concerns one job is in its forecast.
pub fn forecast(staging: &Staging, request: &Request, todo: &[Todo<'_>]) -> Result<Vec<Forecast>> {
    let mut forecasts = Vec::new();
    let mut known: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for Todo { org, jobs, window } in todo {
        let mut tonight: BTreeSet<(&str, Partition)> = BTreeSet::new();
        for job in jobs {
            let mut forecast = Forecast {
                org: org.slug.clone(),
                job: job.name,
                mart: job.mart,
                as_of: window.as_of,
                periods: None,
                rows: 0,
                pulls: Vec::new(),
                error: None,
            };
            let Some(source) = source_for(job, org) else { continue };
            let planned = plan(job, source, org, *window).and_then(|plan| {
                forecast.rows = plan.periods.len();
                forecast.periods =
                    plan.periods.first().zip(plan.periods.last()).map(|(first, last)| (first.start, last.end));
                let (wanted, settled) = match request.from_staging {
                    true => (Vec::new(), Pulls::winners(staging, org, &plan.wanted, request.as_of_pull)?),
                    false => {
                        let snapshots = Pulls::snapshots(staging, org, &plan.wanted, None)?;
                        let (wanted, settled) = Pulls::settled(staging, org, &plan.wanted)?;
                        (wanted, settled.into_iter().chain(snapshots).collect())
                    }
                };
                for Wanted { dataset, .. } in &plan.wanted {
                    let mut partitions: Vec<Partition> = wanted
                        .iter()
                        .filter(|wanted| wanted.dataset.name == dataset.name)
                        .flat_map(|wanted| wanted.partitions.clone())
                        .collect();
                    let all = partitions.len();
                    partitions.retain(|partition| tonight.insert((dataset.name, *partition)));
                    if !known.contains_key(dataset.name) {
                        known.insert(dataset.name, staging.inventory(dataset)?);
                    }
                    let earlier = earlier(&known[dataset.name], &org.slug);
                    forecast.pulls.push(ForecastPull {
                        shared: all - partitions.len(),
                        staged: settled.of(dataset.name).len(),
                        ..expected(dataset, &partitions, &earlier)
                    });
                }
                Ok(())
            });
            forecast.error = planned.err().map(|error| format!("{error:#}"));
            forecasts.push(forecast);
        }
    }
    Ok(forecasts)
}

/// The newest pulls of an organisation for which a source was asked.
fn earlier<'a>(pulls: &'a [Entry], org: &str) -> Vec<(&'a Entry, &'a Manifest)> {
    let mut pulls: Vec<_> = pulls
        .iter()
        .filter(|pull| pull.org == org)
        .filter_map(|pull| Some((pull, pull.manifest.as_ref()?)))
        .filter(|(_, manifest)| manifest.reparsed.is_none() && !manifest.absent)
        .collect();
    pulls.sort_by_key(|(pull, _)| std::cmp::Reverse(pull.pulled_at));
    pulls.truncate(EARLIER);
    pulls
}

/// What pulling some partitions costs when each costs what earlier ones did on average, rounded up.
fn expected(dataset: &Dataset, partitions: &[Partition], earlier: &[(&Entry, &Manifest)]) -> ForecastPull {
    let times = |of_one: &dyn Fn(&Entry, &Manifest) -> Option<u64>| {
        let known: Vec<u64> = earlier.iter().filter_map(|(pull, manifest)| of_one(pull, manifest)).collect();
        let sum: u64 = known.iter().sum();
        (!known.is_empty()).then(|| (sum * partitions.len() as u64).div_ceil(known.len() as u64))
    };
    let estimate = |manifest: &Manifest| manifest.source_totals.get("estimated_bytes")?.parse().ok();
    ForecastPull {
        dataset: dataset.name,
        partitions: partitions.len(),
        span: partitions.first().zip(partitions.last()).map(|(first, last)| (first.to_string(), last.to_string())),
        staged: 0,
        shared: 0,
        // A source without pages is asked by one statement.
        requests: if dataset.pages {
            times(&|_, manifest| Some(manifest.pages))
        } else {
            Some(partitions.len() as u64)
        },
        bytes: times(&|pull, _| Some(pull.bytes)),
        scanned: times(&|_, manifest| estimate(manifest)),
    }
}
