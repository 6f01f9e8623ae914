//! What holds for every job alike, over the simulated companies of several seeds: the figures of a mart add up, and depend
//! neither on the order of the records, nor on where pages are cut, nor on records that come twice, nor on how far a run
//! reaches. A tenth job is covered by being in the table, or named here as missing.

mod identities;
mod relanded;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use marts::jobs::{JOBS, Job, Partitions, Periods};
use marts::sandbox::world::WorldOptions;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::night::rebuild::{self, Marts};
use crate::night::stage::{Stage, as_of, day};
use relanded::{Change, Night};

/// Names the seed when something panics under it, wherever that is.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "shown beside the panic of the test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

/// Companies of all organisations under a seed.
fn companies(seed: u64) -> WorldOptions {
    WorldOptions { ledgers: true, ..Stage::options(seed, as_of()) }
}

/// The same with two months of history, which are quicker to live through.
fn young_companies(seed: u64) -> WorldOptions {
    WorldOptions { from: day("2025-11-20"), ..companies(seed) }
}

/// A whole night of some companies.
async fn night(options: WorldOptions) -> Stage {
    let stage = Stage::with(options).await;
    stage.night(&[], 0);
    stage
}

/// The rows of every mart, cell by cell as JSON, by the organisation's number and the key.
fn published(stage: &Stage) -> BTreeMap<&'static str, Vec<identities::Row>> {
    let of_each = JOBS.iter().map(|job| {
        let (mart, keys) = (job.mart, job.key.join(", "));
        format!(
            "select '{mart}' as mart, row_number() over (order by org_id, {keys}) as place, to_jsonb(m)::text as cells
             from {mart} m"
        )
    });
    let sql = of_each.collect::<Vec<_>>().join(" union all ") + " order by mart, place";
    let (answer, _) = stage.ends(&["postgres", "--format", "json", &sql], 0);
    let mut marts: BTreeMap<_, Vec<_>> = JOBS.iter().map(|job| (job.mart, Vec::new())).collect();
    let rows: Vec<identities::Row> = serde_json::from_str(&answer).unwrap();
    for row in rows {
        let cells = serde_json::from_str(row["cells"].as_str().unwrap()).unwrap();
        marts.get_mut(row["mart"].as_str().unwrap()).unwrap().push(cells);
    }
    marts
}

async fn figures_add_up(options: WorldOptions) {
    let _seed = Seed(options.seed);
    let stage = night(options).await;
    let marts = published(&stage);
    for (mart, rows) in &marts {
        assert!(!rows.is_empty(), "{mart} is empty");
        for row in rows {
            if let Err(broken) = identities::hold(mart, row) {
                panic!("{mart}: {broken} in {row:?}");
            }
        }
    }
    identities::hold_together(&marts).unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_every_mart_add_up_whatever_the_seed() {
    figures_add_up(companies(11)).await;
    for seed in [2, 5, 29] {
        figures_add_up(young_companies(seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mart_depends_on_order_files_or_duplicates() {
    for options in [companies(11), young_companies(29)] {
        let seed = Seed(options.seed);
        let stage = night(options).await;
        let night = Night::staged(&stage);
        for task in night.tasks() {
            let expected = task.rows(&night, task.pulls());
            assert!(!expected.is_empty());
            for (what, change) in relanded::CHANGES {
                let pulls = task.relanded(&night, seed.0, *change);
                assert_eq!(task.rows(&night, &pulls), expected, "{}: {what}", task.name());
            }
            // Of two versions the later counts; were it the other way round, the versions would show.
            if task.has_versions() {
                let pulls = task.relanded(&night, seed.0, Change::Version(1));
                assert_ne!(task.rows(&night, &pulls), expected, "{}: the later version does not count", task.name());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mart_depends_on_where_the_sources_cut_their_pages() {
    const PAGED: [&str; 4] = ["etl_hubspot_contacts", "etl_hubspot_deals", "etl_zoom_metrics", "etl_app_analytics"];
    for seed in [11, 29] {
        let seed = Seed(seed);
        let mut before: Option<(Marts, [usize; 3])> = None;
        for page_records in [None, Some(43), Some(7)] {
            let stage = Stage::with(WorldOptions { page_records, ..young_companies(seed.0) }).await;
            stage.night(&PAGED, 0);
            let marts = rebuild::published(|sql| stage.ends(&["postgres", "--format", "json", sql], 0).0);
            let world = &stage.world;
            let asked = [world.hubspot.log().len(), world.zoom.log().len(), world.bigquery.log().len()];
            if let Some((expected, asked_before)) = before {
                assert_eq!(marts, expected, "{page_records:?} records a page");
                let is_cut = asked.iter().zip(asked_before).all(|(now, before)| *now > before);
                assert!(is_cut, "{page_records:?} records a page: {asked:?} requests after {asked_before:?}");
            }
            let filled: BTreeSet<_> = marts.keys().map(|(mart, ..)| mart).collect();
            assert_eq!(filled.len(), PAGED.len(), "{filled:?}");
            before = Some((marts, asked));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_the_same_in_whatever_range_it_is_computed() {
    let seed = Seed(29);
    let stage = night(young_companies(seed.0)).await;
    let night = Night::staged(&stage);
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let mut narrowed = BTreeSet::new();
    for task in night.tasks().iter().filter(|task| task.periods() > 1) {
        let expected = task.rows(&night, task.pulls());
        assert_eq!(expected.len(), task.periods());
        let last = expected.len() - 1;
        let (one, other) = (random.random_range(0..=last), random.random_range(0..=last));
        // One that others make wider to the left, to the right, and on both sides.
        for range in [one..=last, 0..=other, one.min(other)..=one.max(other), one..=one] {
            let found = task.rows_of(&night, range.clone());
            assert_eq!(found, expected[range.clone()], "{}: {range:?} of {last}", task.name());
        }
        narrowed.insert(task.name());
    }
    assert!(narrowed.len() >= 6, "{narrowed:?}");
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

/// Whether a row that was published on 19 January is to stand in the night after: its month is over, and no event of its
/// day comes late any more.
fn is_settled(job: &Job, row: &identities::Row) -> bool {
    let until = match job.periods {
        Periods::Months { .. } => "2025-12-31",
        Periods::Days { .. } if job.mart == "mart_app_analytics" => "2026-01-16",
        Periods::Days { .. } => "2026-01-19",
    };
    let day = match job.key {
        ["year", "month"] => "period_end",
        [day] => day,
        _ => panic!("{} has another key", job.mart),
    };
    row[day].as_str().unwrap() <= until
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_window_leaves_every_earlier_row_as_it_was() {
    let seed = Seed(11);
    let stage = Stage::with(companies(seed.0)).await;
    stage.turn_to(day("2026-01-19"));
    stage.ends(&["run", "--as-of", "2026-01-19"], 0);
    let night_before = published(&stage);
    stage.turn_to(as_of());
    stage.night(&[], 0);
    // Of another day the rows of what was settled are the same, to the last column: they were not touched.
    let before = published(&stage);
    for job in JOBS {
        let settled: Vec<_> = night_before[job.mart].iter().filter(|row| is_settled(job, row)).collect();
        assert!(!settled.is_empty(), "{}: nothing was settled", job.mart);
        for row in settled {
            assert!(before[job.mart].contains(row), "{}: {row:?} has changed overnight", job.mart);
        }
    }
    let ranges: BTreeSet<NaiveDate> = JOBS.iter().map(wider).collect();
    for from in ranges {
        let jobs = JOBS.iter().filter(|job| wider(job) == from).map(|job| job.name);
        let (from, to) = (from.to_string(), as_of().to_string());
        stage.night(&jobs.chain(["--from", &from, "--to", &to]).collect::<Vec<_>>(), 0);
    }
    let after = published(&stage);
    for job in JOBS {
        let (before, after) = (&before[job.mart], &after[job.mart]);
        // To the last column: updated_at tells that the row was not touched.
        for row in before {
            assert!(after.contains(row), "{}: {row:?} has changed", job.mart);
        }
        let is_wider = !matches!(job.periods, Periods::Days { count: 1 });
        assert!(!is_wider || after.len() > before.len(), "{}: the range was no wider", job.mart);
    }
}
