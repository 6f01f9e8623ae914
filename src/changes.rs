//! What moved: the change ledger read back, and the staged rows that moved it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as};

use crate::compute::{Fingerprint, MartKind, mart_columns};
use crate::config::{Config, Org};
use crate::explain::{self, PartKey};
use crate::jobs::{JOBS, Job};
use crate::ledger;
use crate::postgres::{Database, OneLine as _, as_admin};

/// Which changes are asked for.
#[derive(Debug, Default)]
pub struct Ask {
    /// Slugs; empty = all.
    pub orgs: Vec<String>,
    pub mart: Option<String>,
}

/// A cell that moved, or a number in a JSON cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub org: String,
    pub mart: String,
    /// First day of the row's period.
    pub period: NaiveDate,
    pub column: String,
    /// The number's place in a JSON column.
    pub entry: Option<String>,
    pub old: Option<String>,
    pub new: Option<String>,
    /// New less old, where both are numbers.
    pub difference: Option<Decimal>,
    /// The run that moved it; of a net difference the last one.
    pub run: String,
    pub changed_at: DateTime<Utc>,
}

/// Rows that were not there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewRows {
    pub org: String,
    pub mart: String,
    pub run: String,
    pub rows: usize,
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub changes: Vec<Change>,
    pub new_rows: Vec<NewRows>,
    /// Rows that are there only at the first of the two ends: of a difference seen from the later one.
    pub missing_rows: Vec<NewRows>,
}

/// Why a row moved: the staged rows that differ between the pulls behind it then and now.
#[derive(Debug, Serialize)]
pub struct Cause {
    pub org: String,
    pub mart: String,
    pub period: NaiveDate,
    pub run: String,
    /// The run that had published the row before.
    pub before: Option<String>,
    pub rows: Vec<MovedRow>,
    /// What is to be said where no row explains it.
    pub note: Option<String>,
}

/// A staged row that brings something else than before to some numbers.
#[derive(Debug, Serialize)]
pub struct MovedRow {
    /// `appeared`, `changed`, `vanished`.
    pub how: &'static str,
    pub dataset: String,
    pub key: String,
    /// By column and entry: what it brought then, and what it brings now.
    pub parts: Vec<MovedPart>,
}

#[derive(Debug, Serialize)]
pub struct MovedPart {
    pub number: String,
    pub old: Option<Decimal>,
    pub new: Option<Decimal>,
}

#[derive(Debug, FromRow)]
struct Line {
    run_id: String,
    org: String,
    mart: String,
    key: String,
    column_name: String,
    old_value: Option<String>,
    new_value: Option<String>,
    changed_at: DateTime<Utc>,
    is_new_row: bool,
}

/// Every change that some runs made, in the order in which they were made.
pub async fn made_by(connection: &mut PgConnection, runs: &[String], ask: &Ask) -> Result<Changes> {
    let lines = lines(connection, runs, ask).await?;
    let mut changes = Changes::default();
    for line in &lines {
        if line.is_new_row {
            changes.add_new_row(line);
        } else {
            changes.changes.extend(moved(line)?);
        }
    }
    Ok(changes)
}

/// What is different after some runs from what was before the first of them: a cell that came back is no difference.
pub async fn net(connection: &mut PgConnection, runs: &[String], ask: &Ask) -> Result<Changes> {
    let mut cells: BTreeMap<(String, String, String, String), Line> = BTreeMap::new();
    let mut changes = Changes::default();
    let mut new_rows = BTreeSet::new();
    for line in lines(connection, runs, ask).await? {
        let row = (line.org.clone(), line.mart.clone(), line.key.clone());
        if line.is_new_row {
            changes.add_new_row(&line);
            new_rows.insert(row);
        } else if !new_rows.contains(&row) {
            let cell = (row.0, row.1, row.2, line.column_name.clone());
            let first = cells.remove(&cell).map_or_else(|| line.old_value.clone(), |earlier| earlier.old_value);
            cells.insert(cell, Line { old_value: first, ..line });
        }
    }
    for line in cells.values().filter(|line| line.old_value != line.new_value) {
        changes.changes.extend(moved(line)?);
    }
    Ok(changes)
}

impl Changes {
    /// Counts a row, by the first of its cells.
    fn add_new_row(&mut self, line: &Line) {
        // Every row has its source among its cells.
        if line.column_name != "source_system" {
            return;
        }
        let is_it = |rows: &&mut NewRows| rows.org == line.org && rows.mart == line.mart && rows.run == line.run_id;
        match self.new_rows.iter_mut().find(is_it) {
            Some(rows) => rows.rows += 1,
            None => self.new_rows.push(NewRows {
                org: line.org.clone(),
                mart: line.mart.clone(),
                run: line.run_id.clone(),
                rows: 1,
            }),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.new_rows.is_empty() && self.missing_rows.is_empty()
    }

    /// The same seen from the other end.
    pub fn reversed(mut self) -> Self {
        for change in &mut self.changes {
            std::mem::swap(&mut change.old, &mut change.new);
            change.difference = change.difference.map(|difference| -difference);
        }
        std::mem::swap(&mut self.new_rows, &mut self.missing_rows);
        self
    }
}

/// The lines of the ledger, as they were published mart by mart, and by the keys of the rows within one. A row has a source
/// from its first day on, so one whose source was null was not there: a cell that was null may be that of a row which was.
async fn lines(connection: &mut PgConnection, runs: &[String], ask: &Ask) -> Result<Vec<Line>> {
    let mut transaction = as_admin(connection).await?;
    query_as(
        "select run_id, organizations.slug as org, mart, key::text as key, column_name, old_value, new_value, changed_at,
             bool_or(column_name = 'source_system' and old_value is null)
                 over (partition by run_id, org_id, mart, key) as is_new_row
         from etl_changes join organizations on organizations.id = org_id
         where run_id = any($1) and (cardinality($2::text[]) = 0 or slug = any($2)) and ($3::text is null or mart = $3)
         order by min(etl_changes.id) over (partition by run_id, org_id, mart), etl_changes.key, column_name",
    )
    .bind(runs)
    .bind(&ask.orgs)
    .bind(&ask.mart)
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the change ledger")
}

/// A line of the ledger as changes: of a JSON column one for each number that moved.
fn moved(line: &Line) -> Result<Vec<Change>> {
    let key: serde_json::Value = serde_json::from_str(&line.key)?;
    let change = |entry: Option<String>, old: Option<String>, new: Option<String>| {
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Decimal>().ok());
        let difference = number(&new).zip(number(&old)).map(|(new, old)| new - old);
        Ok(Change {
            org: line.org.clone(),
            mart: line.mart.clone(),
            period: period(&key).with_context(|| format!("{} names no period", line.key))?,
            column: line.column_name.clone(),
            entry,
            old,
            new,
            difference,
            run: line.run_id.clone(),
            changed_at: line.changed_at,
        })
    };
    let columns = mart_columns(&line.mart).unwrap_or_default();
    let column = columns.into_iter().find(|column| column.name == line.column_name && column.kind == MartKind::Json);
    let Some(column) = column else {
        return Ok(vec![change(None, line.old_value.clone(), line.new_value.clone())?]);
    };
    let numbers = |value: &Option<String>| explain::numbers_of(&column, value.as_deref());
    let (old, new) = (numbers(&line.old_value)?, numbers(&line.new_value)?);
    let places: BTreeSet<_> = old.keys().chain(new.keys()).filter(|place| place.is_some()).cloned().collect();
    let text = |number: Option<&Option<Decimal>>| number.copied().flatten().map(|number| number.to_string());
    let all = places.into_iter().filter(|place| old.get(place) != new.get(place));
    let entries = all.map(|place| change(place.clone(), text(old.get(&place)), text(new.get(&place))));
    let entries = entries.collect::<Result<Vec<_>>>()?;
    // Labels and other texts moved.
    if entries.is_empty() {
        Ok(vec![change(None, line.old_value.clone(), line.new_value.clone())?])
    } else {
        Ok(entries)
    }
}

/// First day of the period that a row's key names.
fn period(key: &serde_json::Value) -> Option<NaiveDate> {
    let key = key.as_object()?;
    if let (Some(year), Some(month)) = (key.get("year"), key.get("month")) {
        return NaiveDate::from_ymd_opt(year.as_i64()?.try_into().ok()?, month.as_u64()?.try_into().ok()?, 1);
    }
    key.values().next()?.as_str()?.parse().ok()
}

/// Why rows moved, one cause for each row and run of `changes`, up to `limit` of them.
///
/// # Errors
/// Only what concerns the database: pulls that are gone are said in the cause.
pub async fn causes(config: &Config, database: &Database, changes: &[Change], limit: usize) -> Result<Vec<Cause>> {
    let mut rows: Vec<(&str, &str, NaiveDate, &str)> = Vec::new();
    for change in changes {
        let row = (change.org.as_str(), change.mart.as_str(), change.period, change.run.as_str());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let mut causes = Vec::new();
    for (slug, mart, period, run) in rows.into_iter().take(limit) {
        let moved = changes.iter().filter(|change| (change.org.as_str(), change.mart.as_str()) == (slug, mart));
        let moved = moved.filter(|change| change.period == period && change.run == run);
        let columns: BTreeSet<&str> = moved.map(|change| change.column.as_str()).collect();
        let job = JOBS.iter().find(|job| job.mart == mart);
        let org = config.orgs.iter().find(|org| org.slug == slug);
        let mut cause = Cause {
            org: slug.to_owned(),
            mart: mart.to_owned(),
            period,
            run: run.to_owned(),
            before: None,
            rows: Vec::new(),
            note: None,
        };
        match job.zip(org) {
            None => cause.note = Some("the organisation or the mart is no longer known".to_owned()),
            Some((job, org)) => {
                if let Err(error) = find(config, database, job, org, &columns, &mut cause).await {
                    cause.note = Some(format!("{error:#}"));
                }
            }
        }
        causes.push(cause);
    }
    Ok(causes)
}

async fn find(
    config: &Config,
    database: &Database,
    job: &'static Job,
    org: &Org,
    columns: &BTreeSet<&str>,
    cause: &mut Cause,
) -> Result<()> {
    let runs = {
        let mut connection = database.connection().await?;
        let org_id = ledger::org_id(&mut connection, &org.slug).await?;
        ledger::restated(&mut connection, org_id, job.mart, cause.period).await?
    };
    let mut published = runs.into_iter().filter(|run| explain::publishes(run, cause.period));
    let now = published.by_ref().find(|run| run.run_id == cause.run).context("the run is not in the ledger")?;
    let before = published.next().context("no earlier run published the row")?;
    cause.before = Some(before.run_id.clone());
    let parts = |run: &ledger::Run| {
        tokio::task::block_in_place(|| explain::parts_of(config, job, org, run, cause.period))
            .with_context(|| format!("looking at run {}", run.run_id))
    };
    let (old, new) = (parts(&before)?, parts(&now)?);
    let keys: BTreeSet<&PartKey> = old.keys().chain(new.keys()).collect();
    let mut rows: BTreeMap<(&str, &str), Vec<MovedPart>> = BTreeMap::new();
    for key in keys {
        let (old, new) = (old.get(key).copied(), new.get(key).copied());
        if old != new && columns.contains(key.column.as_str()) {
            let number =
                key.entry.as_ref().map_or_else(|| key.column.clone(), |entry| format!("{} {entry}", key.column));
            rows.entry((&key.dataset, &key.key)).or_default().push(MovedPart { number, old, new });
        }
    }
    let is_there = |parts: &BTreeMap<PartKey, Decimal>, dataset: &str, key: &str| {
        parts.keys().any(|part| part.dataset == dataset && part.key == key)
    };
    for ((dataset, key), parts) in rows {
        let how = match (is_there(&old, dataset, key), is_there(&new, dataset, key)) {
            (false, _) => "appeared",
            (_, false) => "vanished",
            _ => "changed",
        };
        cause.rows.push(MovedRow { how, dataset: dataset.to_owned(), key: key.to_owned(), parts });
    }
    if cause.rows.is_empty() {
        cause.note = Some(format!("no staged row moved it: {}", why_else(&before, &now)));
    }
    Ok(())
}

/// What moved a row whose staged rows bring what they brought before, as far as the run ledger tells.
fn why_else(before: &ledger::Run, now: &ledger::Run) -> String {
    let fingerprint = |run: &ledger::Run| {
        let found = run.detail.get("fingerprint").cloned().unwrap_or_default();
        serde_json::from_value::<Fingerprint>(found).ok()
    };
    let Some((then, now_is)) = fingerprint(before).zip(fingerprint(now)) else {
        return "whether the settings or the rules did, the run ledger does not tell".to_owned();
    };
    let settings = "what marts.toml says of the organisation has changed";
    let rules =
        format!("the rules of the mart have changed (marts {}, then {})", before.tool_version, now.tool_version);
    match (then.settings == now_is.settings, then.rules == now_is.rules) {
        (false, true) => settings.to_owned(),
        (true, false) => rules,
        (false, false) => format!("{settings}, and so have {rules}"),
        (true, true) => {
            "neither the settings nor the rules have changed, so somebody had edited the row, or only texts in it \
            differ"
                .to_owned()
        }
    }
}
