//! The staged pulls that a computation reads.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Days, SecondsFormat, Utc};

use crate::config::Org;
use crate::datasets::{Dataset, dataset};
use crate::periods;
use crate::run::Wanted;
use crate::staging::{Landed, Staging};

/// The pulls that a computation reads, by dataset: the winner of each partition.
#[derive(Debug, Clone, Default)]
pub struct Pulls(BTreeMap<String, Vec<Landed>>);

impl Pulls {
    /// The winners of every partition that is wanted, at or before `as_of_pull` where given.
    ///
    /// # Errors
    /// A partition that was never pulled: its absence must not be mistaken for an absence of records.
    pub fn winners(staging: &Staging, org: &Org, wanted: &[Wanted], as_of_pull: Option<DateTime<Utc>>) -> Result<Self> {
        let mut pulls = Vec::new();
        let mut missing = Vec::new();
        for Wanted { dataset, partitions, settled, .. } in wanted {
            for partition in partitions.iter().chain(settled) {
                match staging.winner(dataset, &org.slug, *partition, as_of_pull)? {
                    Some(landed) => pulls.push(landed),
                    None => missing.push(format!("{} {partition}", dataset.name)),
                }
            }
        }
        if !missing.is_empty() {
            let shown = missing.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = missing.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            bail!("nothing is staged of {shown}{more}{}", by(as_of_pull));
        }
        pulls.extend(Self::snapshots(staging, org, wanted, as_of_pull)?);
        Ok(pulls.into_iter().collect())
    }

    /// What is to be pulled when what staging holds of settled days need not be pulled again, and what it holds.
    ///
    /// A day counts as settled when it was pulled so late that its records no longer changed. One that the source did not
    /// have is asked for again, and so is one whose pull is damaged, since the source still has it.
    pub fn settled(staging: &Staging, org: &Org, wanted: &[Wanted]) -> Result<(Vec<Wanted>, Vec<Landed>)> {
        let mut kept = Vec::new();
        let mut to_pull = wanted.to_vec();
        for wanted in &mut to_pull {
            for partition in std::mem::take(&mut wanted.settled) {
                let settled_on = partition.end() + Days::new(u64::from(wanted.settled_after));
                let pulled_on = |landed: &Landed| periods::local_day(landed.manifest().asked_at(), org.timezone);
                let winner = staging.winner(wanted.dataset, &org.slug, partition, None);
                match winner.unwrap_or_else(|error| {
                    tracing::warn!("{} {partition} is pulled again: {error:#}", wanted.dataset.name);
                    None
                }) {
                    Some(landed) if !landed.is_absent() && pulled_on(&landed) >= settled_on => kept.push(landed),
                    _ => wanted.partitions.push(partition),
                }
            }
            wanted.partitions.sort();
        }
        Ok((to_pull, kept))
    }

    /// The snapshots of days gone by, which only staging has: those that were taken then. A job that may ask for the same
    /// partition later, such as sales for the work orders of a day gone by, replaces none.
    ///
    /// # Errors
    /// A snapshot that was never taken, unless its dataset may lack it.
    pub fn snapshots(
        staging: &Staging,
        org: &Org,
        wanted: &[Wanted],
        as_of_pull: Option<DateTime<Utc>>,
    ) -> Result<Vec<Landed>> {
        let mut pulls = Vec::new();
        for Wanted { dataset, staged, may_lack, .. } in wanted {
            for partition in staged {
                match staging.snapshot(dataset, org, *partition, as_of_pull)? {
                    Some(landed) => pulls.push(landed),
                    None if *may_lack => {}
                    None => bail!(
                        "{} {partition} was never taken{}, and the source gives only the present: restate days whose snapshots \
                         are staged",
                        dataset.name,
                        by(as_of_pull)
                    ),
                }
            }
        }
        Ok(pulls)
    }

    /// Those of them that are wanted as snapshots of days gone by.
    pub fn gone_by(&self, wanted: &[Wanted]) -> impl Iterator<Item = &Landed> {
        wanted.iter().flat_map(|Wanted { dataset, staged, .. }| {
            let is_staged = |landed: &&Landed| landed.partition().is_ok_and(|partition| staged.contains(&partition));
            self.of(dataset.name).iter().filter(is_staged)
        })
    }

    /// All of them, by dataset and partition.
    pub fn all(&self) -> impl Iterator<Item = &Landed> {
        self.0.values().flatten()
    }

    /// The pulls of a dataset, in order of their partitions.
    pub fn of(&self, dataset: &str) -> &[Landed] {
        self.0.get(dataset).map_or(&[], Vec::as_slice)
    }
}

/// ` by 2026-01-21T09:00:00Z`
fn by(as_of_pull: Option<DateTime<Utc>>) -> String {
    as_of_pull.map(|limit| format!(" by {}", limit.to_rfc3339_opts(SecondsFormat::AutoSi, true))).unwrap_or_default()
}

/// At most one pull of each partition: of two, the later.
impl FromIterator<Landed> for Pulls {
    fn from_iter<Iter: IntoIterator<Item = Landed>>(pulls: Iter) -> Self {
        let mut sorted: Vec<Landed> = pulls.into_iter().collect();
        sorted.sort_by(|one, other| {
            let key = |landed: &Landed| (landed.manifest().period.clone(), landed.manifest().pulled_at);
            key(one).cmp(&key(other))
        });
        let mut pulls: BTreeMap<String, Vec<Landed>> = BTreeMap::new();
        for landed in sorted {
            let kept = pulls.entry(landed.manifest().dataset.clone()).or_default();
            if kept.last().is_some_and(|last| last.manifest().period == landed.manifest().period) {
                kept.pop();
            }
            kept.push(landed);
        }
        Pulls(pulls)
    }
}

/// The dataset that a job reads by this name.
pub(super) fn known(name: &str) -> Result<&'static Dataset> {
    dataset(name).with_context(|| format!("{name} is no dataset"))
}
