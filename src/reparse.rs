//! Reading stored pages anew: what would today's parser make of what a source answered then?
//!
//! The pages of the winning pulls go through the extractors in place of the network, into a pull that is written beside
//! the others and compared, row by row, with what is staged. Nothing of it stays unless that is asked for.

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::Clock;
use crate::compute;
use crate::config::{Config, Org};
use crate::datasets::Dataset;
use crate::extract::oauth::MemoryTokenStore;
use crate::extract::{self, Saved};
use crate::periods::{self, Partition};
use crate::run::Wanted;
use crate::staging::{Landed, Staging};

/// What a pull came to when its pages were read anew.
#[derive(Debug, Clone, Serialize)]
pub struct Reread {
    pub dataset: &'static str,
    pub org: String,
    pub period: String,
    pub pull: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How reading a pull anew ended.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    Same {
        rows: u64,
    },
    Differs {
        /// What became of the columns, one sentence each.
        schema: Vec<String>,
        changes: Vec<Change>,
        /// The pull that holds the rows of today's parser, where it was to be written.
        written: Option<String>,
    },
    /// Today's parser refuses a page.
    Refused {
        error: String,
    },
}

/// A row that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// `added`, `vanished` or `changed`.
    pub change: &'static str,
    /// The columns of the dataset's key. What is personal is not shown.
    pub key: Vec<(String, String)>,
    /// Of a changed row, the columns that differ.
    pub cells: Vec<Cell>,
}

/// A cell that differs; none is null.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    pub column: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Reads the pages of one winning pull anew; none where it has no pages, being the word that there is nothing.
///
/// # Errors
/// A damaged pull, and failures of the disk. What the parser refuses is an outcome.
pub async fn reread(
    config: &Config,
    org: &Org,
    clock: &Clock,
    (dataset, partition): (&'static Dataset, Partition),
    as_of_pull: Option<DateTime<Utc>>,
    write: bool,
) -> Result<Option<Reread>> {
    let staging = Staging::new(&config.staging.path);
    let Some(old) = staging.winner(dataset, &org.slug, partition, as_of_pull)? else { return Ok(None) };
    if old.manifest().pages == 0 {
        return Ok(None);
    }
    let batch = staging.batch().reparsing(&old);
    let outcome = match land(config, org, clock, &batch, dataset, partition, &old).await {
        Err(error) => Outcome::Refused { error: format!("{error:#}") },
        Ok(new) => {
            let (schema, changes) = tokio::task::block_in_place(|| compare(config, dataset, &old, &new))?;
            if schema.is_empty() && changes.is_empty() {
                Outcome::Same { rows: old.manifest().rows }
            } else {
                let written = if write { Some(commit(&staging, &batch, dataset, org, partition, &old)?) } else { None };
                Outcome::Differs { schema, changes, written }
            }
        }
    };
    let pull = old.name().to_owned();
    Ok(Some(Reread { dataset: dataset.name, org: org.slug.clone(), period: partition.to_string(), pull, outcome }))
}

async fn land(
    config: &Config,
    org: &Org,
    clock: &Clock,
    batch: &Staging,
    dataset: &'static Dataset,
    partition: Partition,
    old: &Landed,
) -> Result<Landed> {
    let manifest = old.manifest();
    // A snapshot is that of the day it is staged under. Pulls that did not note their run's day ran in the night after it.
    let as_of = match dataset.grain {
        crate::datasets::Grain::Snapshot => partition.start(),
        _ => manifest.as_of.unwrap_or_else(|| periods::last_complete_day(manifest.asked_at(), org.timezone)),
    };
    let context = extract::Context {
        config,
        org,
        staging: batch,
        clock: clock.clone(),
        pulled_at: clock.now(),
        as_of,
        saved: Some(Saved::Pull(Box::new(old.clone()))),
        progress: &|_, _, _| {},
    };
    let wanted = Wanted {
        dataset,
        partitions: vec![partition],
        settled: Vec::new(),
        settled_after: 0,
        may_be_absent: false,
        staged: Vec::new(),
        may_lack: false,
    };
    let mut landed =
        extract::land(&context, &MemoryTokenStore::default(), dataset.connector, std::slice::from_ref(&wanted)).await?;
    ensure!(landed.len() == 1, "{} pulls came of one", landed.len());
    landed.pop().context("no pull came of it")
}

fn commit(
    staging: &Staging,
    batch: &Staging,
    dataset: &'static Dataset,
    org: &Org,
    partition: Partition,
    old: &Landed,
) -> Result<String> {
    let newest = staging.newest(dataset, &org.slug, partition, None)?;
    ensure!(
        newest.as_deref() == Some(old.path()),
        "{} {partition} of {} has been pulled meanwhile: its pages were not written anew, read them again",
        dataset.name,
        org.slug
    );
    let written = batch.commit()?;
    Ok(written.first().context("nothing was written")?.name().to_owned())
}

/// What became of the columns, and the rows that differ, by the dataset's key; of rows with one key, the first with the
/// first.
fn compare(config: &Config, dataset: &Dataset, old: &Landed, new: &Landed) -> Result<(Vec<String>, Vec<Change>)> {
    let path = |landed: &Landed| -> Result<String> {
        let files = landed.row_files();
        compute::path_text(files.first().context("a pull without rows")?)
    };
    let (old, new) = (path(old)?, path(new)?);
    let connection = compute::connect(config, &[old.clone(), new.clone()])?;
    for (name, file) in [("old_rows", &old), ("new_rows", &new)] {
        let file = compute::literal(&compute::pattern(file));
        connection.execute_batch(&format!(
            "create table {name} as select * from read_parquet({file}, hive_partitioning = false)"
        ))?;
    }
    let (before, after) = (compute::describe(&connection, "old_rows")?, compute::describe(&connection, "new_rows")?);
    let kind = |columns: &[(String, String)], name: &str| {
        columns.iter().find(|(column, _)| column == name).map(|(_, kind)| kind.clone())
    };
    let mut schema = Vec::new();
    for (name, new_kind) in &after {
        match kind(&before, name) {
            None => schema.push(format!("column {name} {new_kind} is new")),
            Some(old_kind) if old_kind != *new_kind => {
                schema.push(format!("column {name} was {old_kind} and is {new_kind}"));
            }
            Some(_) => {}
        }
    }
    for (name, _) in before.iter().filter(|(name, _)| kind(&after, name).is_none()) {
        schema.push(format!("column {name} is gone"));
    }
    let (keys, others): (Vec<&str>, Vec<&str>) = after
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| kind(&before, name).is_some())
        .partition(|name| dataset.key.contains(name));
    let same = |name: &&str| kind(&before, name) == kind(&after, name);
    let side = |side: &str, name: &&str| {
        if same(name) { format!("{side}.{name}") } else { format!("{side}.{name}::varchar") }
    };
    let differs: Vec<_> = others
        .iter()
        .map(|name| format!("{} is distinct from {}", side("old_rows", name), side("new_rows", name)))
        .collect();
    let numbered = |table: &str| {
        format!(
            "{table} as (select *, row_number() over (partition by {} order by {}) as occurrence from main.{table})",
            if keys.is_empty() { "1".to_owned() } else { keys.join(", ") },
            if others.is_empty() { "1".to_owned() } else { others.join(", ") },
        )
    };
    let mut columns = vec!["old_rows.occurrence is null".to_owned(), "new_rows.occurrence is null".to_owned()];
    columns.extend(keys.iter().map(|name| format!("coalesce(old_rows.{name}, new_rows.{name})::varchar")));
    for (name, differs) in others.iter().zip(&differs) {
        columns.extend([differs.clone(), format!("old_rows.{name}::varchar"), format!("new_rows.{name}::varchar")]);
    }
    let on: Vec<_> = keys.iter().map(|name| format!("old_rows.{name} = new_rows.{name}")).collect();
    let columns = columns.iter().enumerate().map(|(at, column)| format!("{column} as c{at}")).collect::<Vec<_>>();
    let sql = format!(
        "with {}, {} select {} from old_rows full join new_rows on {} old_rows.occurrence = new_rows.occurrence
         where old_rows.occurrence is null or new_rows.occurrence is null or {} order by all",
        numbered("old_rows"),
        numbered("new_rows"),
        columns.join(", "),
        on.iter().map(|condition| format!("{condition} and ")).collect::<String>(),
        if differs.is_empty() { "false".to_owned() } else { differs.join(" or ") },
    );
    let rows = compute::select(&connection, &sql).context("comparing the rows")?.text()?;
    let is_personal = |name: &str| dataset.columns.iter().any(|column| column.name == name && column.personal);
    let shown = |name: &str, value: Option<String>| {
        if is_personal(name) { value.map(|_| "(not shown)".to_owned()) } else { value }
    };
    let changes = rows.into_iter().map(|row| {
        let is = |at: usize| row[at].as_deref() == Some("true");
        let change = match (is(0), is(1)) {
            (true, _) => "added",
            (_, true) => "vanished",
            _ => "changed",
        };
        let key = keys.iter().enumerate().map(|(at, name)| {
            ((*name).to_owned(), shown(name, row[2 + at].clone()).unwrap_or_else(|| "null".to_owned()))
        });
        let cells = others.iter().enumerate().filter_map(|(at, name)| {
            let at = 2 + keys.len() + 3 * at;
            (change == "changed" && is(at)).then(|| Cell {
                column: (*name).to_owned(),
                old: shown(name, row[at + 1].clone()),
                new: shown(name, row[at + 2].clone()),
            })
        });
        Change { change, key: key.collect(), cells: cells.collect() }
    });
    Ok((schema, changes.collect()))
}
