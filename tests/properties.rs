//! What holds for every job alike, over the simulated companies of several seeds: the figures of a mart add up, and depend
//! neither on the order of the records, nor on where pages are cut, nor on records that come twice, nor on how far a run
//! reaches. A tenth job is covered by being in the table, or named here as missing.

mod identities;
mod relanded;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use marts::jobs::{JOBS, Job, Partitions, Periods};
use marts::sandbox::world::WorldOptions;

use crate::night::stage::{Stage, as_of, day};
use relanded::Night;

/// Whole nights of all three organisations under one seed.
async fn night(seed: u64) -> Stage {
    let stage = Stage::with(WorldOptions { ledgers: true, ..Stage::options(seed, as_of()) }).await;
    stage.night(&[], 0);
    stage
}

/// A mart's rows, cell by cell as JSON, by the organisation's number and the key.
fn published(stage: &Stage, job: &Job) -> Vec<BTreeMap<String, serde_json::Value>> {
    let keys = job.key.join(", ");
    let sql = format!("select * from {} order by org_id, {keys}", job.mart);
    let (rows, _) = stage.ends(&["postgres", "--format", "json", &sql], 0);
    serde_json::from_str(&rows).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_every_mart_add_up_whatever_the_seed() {
    for seed in [11, 29] {
        let stage = night(seed).await;
        for job in JOBS {
            let rows = published(&stage, job);
            assert!(!rows.is_empty(), "seed {seed}: {} is empty", job.mart);
            for row in rows {
                if let Err(broken) = identities::hold(job.mart, &row) {
                    panic!("seed {seed}, {}: {broken} in {row:?}", job.mart);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mart_depends_on_order_page_boundaries_or_duplicates() {
    for seed in [11, 29] {
        let stage = night(seed).await;
        let night = Night::staged(&stage);
        for task in night.tasks() {
            let expected = task.rows(&night, task.pulls());
            assert!(!expected.is_empty());
            for (what, change) in relanded::CHANGES {
                let pulls = task.relanded(&night, seed, *change);
                assert_eq!(task.rows(&night, &pulls), expected, "seed {seed}, {}: {what}", task.name());
            }
        }
    }
}

/// The first day of a range that is wider than what a night restates. What is only known as it stood has a snapshot of
/// the day before, and of no other.
fn wider(job: &Job) -> NaiveDate {
    let is_snapshot = |partitions: &Partitions| matches!(partitions, Partitions::Snapshots { may_lack: false });
    match job.periods {
        _ if job.sources.iter().any(|source| source.reads.iter().any(|read| is_snapshot(&read.partitions))) => {
            day("2026-01-19")
        }
        Periods::Days { .. } => day("2025-11-20"),
        Periods::Months { .. } => day("2024-10-01"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_window_leaves_every_earlier_row_as_it_was() {
    let stage = Stage::with(WorldOptions { ledgers: true, ..Stage::options(11, as_of()) }).await;
    stage.turn_to(day("2026-01-19"));
    stage.ends(&["run", "--as-of", "2026-01-19"], 0);
    stage.turn_to(as_of());
    stage.night(&[], 0);
    for job in JOBS {
        let before = published(&stage, job);
        let from = wider(job).to_string();
        stage.night(&[job.name, "--from", &from, "--to", &as_of().to_string()], 0);
        let after = published(&stage, job);
        // To the last column: updated_at tells that the row was not touched.
        for row in &before {
            assert!(after.contains(row), "{}: {row:?} has changed", job.mart);
        }
        let is_wider = !matches!(job.periods, Periods::Days { count: 1 });
        assert!(!is_wider || after.len() > before.len(), "{}: the range was no wider", job.mart);
    }
}
