//! No column of a mart is a constant that somebody wrote down: over the nights of the demonstration each one varies, or
//! DECISIONS.md says why it does not.

use std::collections::{BTreeMap, BTreeSet};

use marts::jobs::JOBS;
use marts::sandbox::world::WorldOptions;

use super::stage::{Stage, as_of, day};

/// What every mart has for keeping itself in order.
const BOOKKEEPING: [&str; 4] = ["id", "org_id", "created_at", "updated_at"];

/// The heading in DECISIONS.md below which columns stand that do not vary, as the first cell of a table's rows.
const HEADING: &str = "## Columns that do not vary in the demonstration";

/// `mart.column` of each row of that table.
fn explained() -> BTreeSet<String> {
    let text = include_str!("../../DECISIONS.md");
    let (_, section) = text.split_once(HEADING).expect("DECISIONS.md has the section");
    let lines = section.lines().skip(1).take_while(|line| !line.starts_with("## "));
    lines.filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_is_constant_over_the_demonstration_without_a_reason() {
    let stage = Stage::with(WorldOptions { ledgers: true, ..Stage::options(1, as_of()) }).await;
    // What a night reports for one day has one row, so there are two nights: one of them of last year.
    for last_day in [day("2025-12-31"), as_of()] {
        stage.turn_to(last_day);
        stage.ends(&["run", "--as-of", &last_day.to_string()], 0);
    }
    let mut constant = BTreeSet::new();
    for job in JOBS {
        let (rows, _) = stage.ends(&["postgres", "--format", "json", &format!("select * from {}", job.mart)], 0);
        let rows: Vec<BTreeMap<String, serde_json::Value>> = serde_json::from_str(&rows).unwrap();
        assert!(rows.len() > 1, "{} has {} rows", job.mart, rows.len());
        for column in rows[0].keys().filter(|column| !BOOKKEEPING.contains(&column.as_str())) {
            let values: BTreeSet<String> = rows.iter().map(|row| row[column].to_string()).collect();
            if values.len() == 1 {
                constant.insert(format!("{}.{column}", job.mart));
            }
        }
    }
    assert_eq!(constant, explained(), "left: columns that are constant; right: those of DECISIONS.md");
}
