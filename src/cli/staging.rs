//! `marts staging`: what lies in the landing zone, how much room it takes, and what of it may go.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::Days;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::config::Config;
use crate::datasets::{DATASETS, Dataset, Grain, dataset};
use crate::periods::Partition;
use crate::retention::{self, Needed};
use crate::staging::{Entry, Staging};

/// List the pulls of the landing zone, sum them up, or remove those that nothing rests on
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StagingArgs {
    #[command(subcommand)]
    pub what: What,
}

const EXAMPLES: &str = "\
Examples:
  marts staging ls hubspot_deals --org vital --period 2026-01
  marts staging du
  marts staging gc --keep 30d --dry-run";

/// What is asked of the landing zone.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The pulls, one a line: which counts, and whether a published row rests on it
    Ls {
        #[command(flatten)]
        which: Which,
    },
    /// The room they take, by dataset and organisation
    Du {
        #[command(flatten)]
        which: Which,
    },
    /// Remove superseded pulls of more than some days that no published or held row rests on
    Gc {
        #[command(flatten)]
        which: Which,
        /// How long superseded pulls stay, in days
        #[arg(long, value_name = "DAYS", value_parser = keep)]
        keep: u32,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which pulls.
#[derive(Debug, Args)]
pub struct Which {
    /// The datasets; all of them when none is named
    #[arg(value_name = "DATASET", value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    pub datasets: Vec<String>,
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// Only this month or day, or the days of this month
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    pub period: Option<String>,
}

/// The names of all datasets.
pub(super) fn names() -> Vec<&'static str> {
    DATASETS.iter().map(|dataset| dataset.name).collect()
}

/// The datasets of those names; all of them when none is named.
pub(super) fn named(names: &[String]) -> Vec<&'static Dataset> {
    if names.is_empty() { DATASETS.to_vec() } else { names.iter().filter_map(|name| dataset(name)).collect() }
}

/// Reads a month or a day on the command line.
pub(super) fn period(text: &str) -> Result<String, String> {
    let parsed: Result<Partition, _> = text.parse();
    parsed.map(|period| period.to_string()).map_err(|_| "write a month as in 2026-01, or a day as in 2026-01-20".into())
}

fn keep(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    days.ok_or_else(|| "write a number of days as in 30d".to_owned())
}

impl Which {
    fn pulls(&self, staging: &Staging, config: &Config) -> anyhow::Result<Vec<Entry>> {
        let mut pulls = Vec::new();
        for dataset in named(&self.datasets) {
            let mut found = staging.inventory(dataset)?;
            if dataset.grain == Grain::Snapshot {
                keep_snapshots(&mut found, config);
            }
            pulls.extend(found.into_iter().filter(|pull| {
                let period = pull.partition.to_string();
                (self.org.is_empty() || self.org.contains(&pull.org))
                    && self.period.as_ref().is_none_or(|asked| period.starts_with(asked.as_str()))
            }));
        }
        Ok(pulls)
    }
}

/// Lets the snapshot of a day count besides the newest pull of it: when the day is restated, it is the one that is read, and
/// the source cannot give it again.
fn keep_snapshots(pulls: &mut [Entry], config: &Config) {
    for pulls in pulls.chunk_by_mut(|one, other| (&one.org, one.partition) == (&other.org, other.partition)) {
        let Some(org) = config.orgs.iter().find(|org| org.slug == pulls[0].org) else { continue };
        let is_of_its_day =
            |pull: &&mut Entry| pull.manifest.as_ref().is_some_and(|manifest| manifest.is_of_its_day(org.timezone));
        if let Some(snapshot) = pulls.iter_mut().rev().find(is_of_its_day) {
            snapshot.wins = true;
        }
    }
}

/// Does what is asked.
pub fn execute(args: &StagingArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let (What::Ls { which } | What::Du { which } | What::Gc { which, .. }) = &args.what;
    super::select_orgs(&config, &which.org)?;
    let staging = Staging::new(&config.staging.path);
    match &args.what {
        What::Ls { which } => list(which, context, &config, &staging),
        What::Du { which } => sum(which, context, &config, &staging),
        What::Gc { which, keep, dry_run } => clean(which, *keep, *dry_run, context, &config, &staging),
    }
}

fn needed(context: &Context, config: &Config) -> Result<Needed, Failure> {
    context.with_database(config, async |database| retention::needed(&mut *database.connection().await?).await)
}

fn list(which: &Which, context: &Context, config: &Config, staging: &Staging) -> Outcome {
    let pulls = which.pulls(staging, config)?;
    let needed = match needed(context, config) {
        Ok(needed) => Some(needed),
        Err(Failure::Usage(error) | Failure::Other(error)) => {
            context.say(&format!("what rests on the pulls is not known: {error:#}"));
            None
        }
    };
    let rests = |pull: &Entry| needed.as_ref().filter(|needed| needed.knows(&pull.org)).map(|it| it.holds(pull));
    if context.global.json {
        let pulls = pulls.iter().map(|pull| {
            let manifest = pull.manifest.as_ref();
            json!({
                "dataset": pull.dataset.name, "org": pull.org, "period": pull.partition.to_string(),
                "pulled_at": pull.pulled_at, "rows": manifest.map(|it| it.rows), "pages": manifest.map(|it| it.pages),
                "absent": manifest.map(|it| it.absent), "bytes": pull.bytes, "wins": pull.wins, "rests": rests(pull),
                "reparsed": manifest.and_then(|it| it.reparsed.clone()), "damaged": manifest.is_none(),
                "path": pull.path,
            })
        });
        output::print_json(&pulls.collect::<Vec<_>>())?;
        return Ok(Exit::Good);
    }
    let rows = pulls.iter().map(|pull| {
        let count = |of: fn(&crate::staging::Manifest) -> u64| {
            pull.manifest.as_ref().map_or_else(|| "?".to_owned(), |manifest| of(manifest).to_string())
        };
        let state = match &pull.manifest {
            None => "damaged",
            Some(manifest) if manifest.reparsed.is_some() && pull.wins => "counts, read anew",
            Some(_) if pull.wins => "counts",
            Some(_) => "superseded",
        };
        vec![
            pull.dataset.name.to_owned(),
            pull.org.clone(),
            pull.partition.to_string(),
            pull.pulled_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            count(|manifest| manifest.rows),
            count(|manifest| manifest.pages),
            size(pull.bytes),
            state.to_owned(),
            rests(pull).map_or("?", |rests| if rests { "yes" } else { "no" }).to_owned(),
        ]
    });
    let heads = ["dataset", "org", "period", "pulled", "rows", "pages", "size", "state", "rests"];
    output::print(&tables::render(&heads, &[4, 5, 6], rows))?;
    Ok(Exit::Good)
}

fn sum(which: &Which, context: &Context, config: &Config, staging: &Staging) -> Outcome {
    let mut sums: BTreeMap<(&str, String), [u64; 4]> = BTreeMap::new();
    for pull in which.pulls(staging, config)? {
        let [pulls, counting, superseded, all] = sums.entry((pull.dataset.name, pull.org)).or_default();
        *pulls += 1;
        *all += pull.bytes;
        *(if pull.wins { counting } else { superseded }) += pull.bytes;
    }
    let leftovers = staging.leftovers()?;
    let left: u64 = leftovers.iter().map(|left| left.bytes).sum();
    if context.global.json {
        let sums = sums.iter().map(|((dataset, org), [pulls, counting, superseded, all])| {
            json!({ "dataset": dataset, "org": org, "pulls": pulls, "counting_bytes": counting,
                "superseded_bytes": superseded, "bytes": all })
        });
        output::print_json(
            &json!({ "sums": sums.collect::<Vec<_>>(), "leftovers": leftovers.len(), "leftover_bytes": left }),
        )?;
        return Ok(Exit::Good);
    }
    let mut total = [0; 4];
    for sum in sums.values() {
        total.iter_mut().zip(sum).for_each(|(total, part)| *total += part);
    }
    let line = |name: &str, org: &str, [pulls, counting, superseded, all]: [u64; 4]| {
        vec![name.to_owned(), org.to_owned(), pulls.to_string(), size(counting), size(superseded), size(all)]
    };
    let rows = sums.iter().map(|((dataset, org), sum)| line(dataset, org, *sum));
    let rows = rows.chain([line("all", "", total)]);
    let heads = ["dataset", "org", "pulls", "counting", "superseded", "size"];
    let mut text = tables::render(&heads, &[2, 3, 4, 5], rows);
    if !leftovers.is_empty() {
        text += &format!("besides {} in what was cut short, which the next run sweeps\n", size(left));
    }
    output::print(&text)?;
    Ok(Exit::Good)
}

fn clean(which: &Which, keep: u32, dry_run: bool, context: &Context, config: &Config, staging: &Staging) -> Outcome {
    let nothing = |failure: Failure| match failure {
        Failure::Usage(error) => Failure::Usage(error.context("removed nothing")),
        Failure::Other(error) => Failure::Other(error.context("removed nothing")),
    };
    let alone = staging.hold_alone()?.with_context(|| {
        format!("removed nothing: a run works with {}; try again when it has ended", staging.root().display())
    })?;
    let needed = needed(context, config).map_err(nothing)?;
    let now = context.clock.now();
    let limit = now.checked_sub_days(Days::new(u64::from(keep))).context("so many days ago there is no calendar")?;
    let pulls = which.pulls(staging, config)?;
    let unknown: std::collections::BTreeSet<&str> =
        pulls.iter().map(|pull| pull.org.as_str()).filter(|org| !needed.knows(org)).collect();
    for org in &unknown {
        context.say(&format!("the run ledger knows no run of {org}: its pulls stay"));
    }
    let goes = |pull: &&Entry| !pull.wins && pull.pulled_at < limit && needed.knows(&pull.org) && !needed.holds(pull);
    let gone: Vec<&Entry> = pulls.iter().filter(goes).collect();
    let left: u64 = staging.leftovers()?.iter().map(|left| left.bytes).sum();
    let mut swept = 0;
    if !dry_run {
        swept = staging.sweep()?;
        for pull in &gone {
            staging.remove(pull, &alone)?;
        }
    }
    let bytes = gone.iter().map(|pull| pull.bytes).sum::<u64>();
    if context.global.json {
        let removed = gone.iter().map(|pull| json!({ "path": pull.path, "bytes": pull.bytes }));
        output::print_json(&json!({ "dry_run": dry_run, "removed": removed.collect::<Vec<_>>(), "bytes": bytes,
            "swept": swept, "kept": pulls.len() - gone.len() }))?;
        return Ok(Exit::Good);
    }
    let mut text: String = gone.iter().map(|pull| format!("{}\n", pull.path.display())).collect();
    let verb = if dry_run { "would go, freeing" } else { "removed, freeing" };
    text += &format!(
        "{} {verb} {}; {} stay\n",
        tables::counted(gone.len(), "superseded pull"),
        size(bytes),
        pulls.len() - gone.len()
    );
    if swept > 0 {
        text += &format!("swept {} of what was cut short\n", size(left));
    }
    output::print(&text)?;
    Ok(Exit::Good)
}

/// `12.3 MiB`, rounded down; exact where it is less than a KiB.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_days_are_read_by_people() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1_048_576, 5_368_709_120].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "5.0 GiB"]);
        assert_eq!(keep("30d"), Ok(30));
        for text in ["30", "d", "-1d", "1w", ""] {
            assert!(keep(text).is_err(), "{text}");
        }
        assert!(period("2026-01").is_ok() && period("2026-1").is_err());
    }
}
