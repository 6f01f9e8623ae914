//! The staged rows: which pulls a run computed from, and in which file and on which page a row stands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::Term;
use crate::compute::{self, Pulls, literal};
use crate::config::Config;
use crate::datasets::dataset;
use crate::ledger::Run;
use crate::staging::{Landed, StagedFile, Staging};

/// How the SQL names a row of a dataset in `source_key`, told of the dataset's columns.
const KEYS: &[(&str, &str)] = &[
    ("softbase_invoices", "lower(trim(invoice_no))"),
    ("softbase_work_orders", "lower(trim(work_order_no))"),
    ("softbase_equipment", "coalesce(nullif(lower(trim(serial_no)), ''), lower(trim(unit_no)))"),
    ("softbase_gl", "account_no || ' ' || printf('%04d-%02d', year, month)"),
    ("quickbooks_profit_and_loss", "line"),
    ("quickbooks_balance_sheet", "line"),
    ("quickbooks_cash_flow", "line"),
    ("hubspot_contacts", "contact_id"),
    ("hubspot_deals", "deal_id"),
    ("zoom_call_legs", "call_id"),
    ("zoom_daily_report", "report_date"),
    ("zoom_counts", "list_name || ' ' || status"),
    ("cases_summary", "row_no"),
    ("ga4_events", "event_date || ' ' || event_no"),
];

/// A staged row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub dataset: String,
    pub key: String,
    /// The number of the page it came from, where the source answers in pages.
    pub page: Option<i64>,
    /// Where it stands; none = it cannot be told.
    pub place: Option<Place>,
}

/// Where a row stands.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The pull's folder below the landing zone.
    pub pull: String,
    pub file: String,
    /// When the source gave it: its page's instant, or the pull's.
    pub fetched_at: DateTime<Utc>,
    /// The page's address, without secrets.
    pub url: Option<String>,
    /// Rows of the pull that go by the same key: of a call with several legs, of a unit that is listed twice.
    pub rows: usize,
}

/// A pull as a run wrote it down.
#[derive(Debug, Deserialize)]
struct Recorded {
    dataset: String,
    period: String,
    pulled_at: DateTime<Utc>,
    files: Vec<StagedFile>,
}

/// The pulls that a run computed from.
///
/// # Errors
/// One that is no longer there, or no longer what it was.
pub(super) fn pulls(staging: &Staging, org: &str, run: &Run) -> Result<Pulls> {
    let recorded: Vec<Recorded> = serde_json::from_value(run.detail.get("pulls").cloned().unwrap_or_default())
        .context("the run names no pulls")?;
    let mut pulls = Vec::with_capacity(recorded.len());
    for Recorded { dataset: name, period, pulled_at, files } in recorded {
        let dataset = dataset(&name).with_context(|| format!("{name} is no dataset of this version"))?;
        let found = staging.winner(dataset, org, period.parse()?, Some(pulled_at))?;
        let Some(landed) = found.filter(|landed| landed.manifest().pulled_at == pulled_at) else {
            bail!(
                "the pull of {name} {period} taken {pulled_at}, from which run {} computed, is no longer in {}: run the job \
                 again, and ask for the newest run",
                run.run_id,
                staging.root().display()
            );
        };
        ensure!(
            landed.manifest().files == files,
            "{} is not the pull from which run {} computed: its files have changed since",
            landed.path().display(),
            run.run_id
        );
        pulls.push(landed);
    }
    Ok(pulls.into_iter().collect())
}

/// Finds staged rows by their keys.
pub(super) struct Locator<'a> {
    pulls: &'a Pulls,
    connection: duckdb::Connection,
    /// First and last day of the mart's row.
    days: (NaiveDate, NaiveDate),
}

impl<'a> Locator<'a> {
    pub(super) fn new(config: &Config, pulls: &'a Pulls, first: NaiveDate, last: NaiveDate) -> Result<Self> {
        let mut files = Vec::new();
        for pull in pulls.all() {
            for file in pull.row_files().into_iter().chain(pull.page_files()) {
                files.push(compute::path_text(&file)?);
            }
        }
        Ok(Locator { pulls, connection: compute::connect(config, &files)?, days: (first, last) })
    }

    /// Says of each shown part where its row stands.
    pub(super) fn locate<'t>(&self, terms: impl Iterator<Item = &'t mut Term>) -> Result<()> {
        let mut rows: BTreeMap<String, Vec<&mut Row>> = BTreeMap::new();
        for row in terms.flat_map(|term| &mut term.shown).filter_map(|part| part.row.as_mut()) {
            rows.entry(row.dataset.clone()).or_default().push(row);
        }
        for (dataset, rows) in rows {
            self.locate_in(&dataset, rows).with_context(|| format!("looking rows of {dataset} up"))?;
        }
        Ok(())
    }

    fn locate_in(&self, name: &str, rows: Vec<&mut Row>) -> Result<()> {
        let (_, key) =
            KEYS.iter().find(|(dataset, _)| *dataset == name).context("nobody has said how its rows are named")?;
        let mut files: BTreeMap<String, &Landed> = BTreeMap::new();
        for pull in self.pulls.of(name) {
            for file in pull.row_files() {
                files.insert(compute::path_text(&file)?, pull);
            }
        }
        let list = |texts: &mut dyn Iterator<Item = &str>| texts.map(literal).collect::<Vec<_>>().join(", ");
        let keys: BTreeSet<String> = rows.iter().map(|row| row.key.to_lowercase()).collect();
        let sql = format!(
            "select lower(({key})::varchar), filename, count(*) from read_parquet([{}], filename = true)
            where lower(({key})::varchar) in ({}) group by all order by all",
            list(&mut files.keys().map(String::as_str)),
            list(&mut keys.iter().map(String::as_str)),
        );
        let mut found: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
        for cells in compute::Answer::of(&self.connection, &sql)?.text()? {
            let [Some(key), Some(file), Some(count)] = cells.as_slice() else { continue };
            found.entry(key.clone()).or_default().push((file.clone(), count.parse()?));
        }
        for row in rows {
            let Some(candidates) = found.get(&row.key.to_lowercase()) else { continue };
            // Keys of reports and snapshots come again in every pull: the one that covers the period is meant.
            let covers = |landed: &Landed| {
                let (first, last) = landed.manifest().window;
                first <= self.days.1 && last >= self.days.0
            };
            let of = |file: &String| files.get(file).copied();
            let covering = candidates.iter().find(|(file, _)| of(file).is_some_and(covers));
            let Some((file, count)) = covering.or(candidates.first()) else { continue };
            let landed = of(file).context("a file of no pull")?;
            row.place = Some(self.place(landed, file, *count, row.page)?);
        }
        Ok(())
    }

    fn place(&self, landed: &Landed, file: &str, rows: usize, page: Option<i64>) -> Result<Place> {
        let manifest = landed.manifest();
        let (mut fetched_at, mut url) = (manifest.pulled_at, None);
        let pages = landed.page_files();
        if let Some(page) = page
            && !pages.is_empty()
        {
            let files = pages.iter().map(|file| Ok(literal(&compute::path_text(file)?))).collect::<Result<Vec<_>>>()?;
            let sql = format!(
                "select epoch_us(fetched_at), url from read_parquet([{}]) where sequence = {page}",
                files.join(", ")
            );
            for cells in compute::Answer::of(&self.connection, &sql)?.text()? {
                if let [Some(micros), address] = cells.as_slice() {
                    fetched_at = DateTime::from_timestamp_micros(micros.parse()?).context("an impossible instant")?;
                    url.clone_from(address);
                }
            }
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let pull =
            format!("{}/org={}/period={}/{}", manifest.dataset, manifest.org, manifest.period, name(landed.path()));
        Ok(Place { pull, file: name(Path::new(file)), fetched_at, url, rows })
    }
}
