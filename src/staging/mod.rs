//! The landing zone: immutable pulls as plain hive-partitioned Parquet.
//!
//! ```text
//! staging/<dataset>/org=<slug>/period=<YYYY-MM | YYYY-MM-DD>/pull=<YYYYMMDDTHHMMSSZ>/
//!     rows-0000.parquet    typed rows; where the source answers in pages, each with the number of its page
//!     pages-0000.parquet   every response as answered (API sources only)
//!     pull.json            the manifest
//! ```
//!
//! A pull is written to a sibling folder `.tmp-…`, synced, and renamed: the rename is the commit. Whatever was cut
//! short leaves only such a folder, which nothing reads and the next run sweeps.

mod file;
mod inventory;
mod landing;
mod pages;
mod rows;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Org;
use crate::datasets::Dataset;
use crate::periods::{self, Partition};

use landing::Waiting;

pub use inventory::{Entry, Held, Leftover};
pub use landing::Landing;
pub use pages::StoredPage;
pub use rows::Value;

/// The landing zone.
#[derive(Debug, Clone)]
pub struct Staging {
    root: PathBuf,
    /// Finished pulls that wait for the others of their batch.
    waiting: Option<Arc<Mutex<Vec<Waiting>>>>,
    notes: Notes,
}

/// What the pulls of a batch say of themselves, whatever is in them.
#[derive(Debug, Clone, Default)]
struct Notes {
    as_of: Option<NaiveDate>,
    reparsed: Option<Reparsed>,
    source_totals: BTreeMap<String, String>,
}

/// A complete pull. It comes only from [`Landing::finish`] or from opening a complete one, so nothing can be computed
/// from half a pull.
#[derive(Debug, Clone)]
pub struct Landed {
    path: PathBuf,
    manifest: Manifest,
}

/// A response as it was answered.
#[derive(Debug)]
pub struct Page<'a> {
    pub method: &'a str,
    /// Without secrets.
    pub url: &'a str,
    pub status: u16,
    pub fetched_at: DateTime<Utc>,
    pub body: &'a [u8],
}

/// What `pull.json` says of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub dataset: String,
    pub org: String,
    /// `YYYY-MM` or `YYYY-MM-DD`.
    pub period: String,
    /// First and last local day that the pull covers.
    pub window: (NaiveDate, NaiveDate),
    /// The instant that names the pull: later than that of every pull which was there before it, so that the newest wins.
    pub pulled_at: DateTime<Utc>,
    /// What the clock said when the source was asked, where it was not later than the name of a pull that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_the_clock: Option<DateTime<Utc>>,
    pub rows: u64,
    pub pages: u64,
    /// Whether the source said that it has no such partition: the pull stands for that answer, and has no rows.
    #[serde(default)]
    pub absent: bool,
    /// What the source itself said of its size or sums, where it does.
    pub source_totals: BTreeMap<String, String>,
    /// SHA-256 of the names and types of the columns: pulls of one fingerprint have one schema.
    pub schema_fingerprint: String,
    pub files: Vec<StagedFile>,
    pub tool_version: String,
    /// The last local day that the run reported which pulled it; none where that was not noted yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<NaiveDate>,
    /// Set when no source was asked: the pages of an earlier pull were read anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reparsed: Option<Reparsed>,
    /// SHA-256 of this manifest as it is written without this line; none in pulls of versions that had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The pull whose pages were read anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reparsed {
    /// Name of its folder.
    pub pull: String,
    /// When the source was asked, however often the pages have been read since.
    pub asked_at: DateTime<Utc>,
}

impl Manifest {
    /// Reads the manifest of a pull, and nothing else of it: its files may be damaged.
    ///
    /// # Errors
    /// Names the file that is missing or no manifest, or says other than what was written.
    pub fn read(pull: &Path) -> Result<Manifest> {
        let path = pull.join(MANIFEST_NAME);
        let text = fs::read(&path).with_context(|| format!("the staged file {} cannot be read", path.display()))?;
        let damaged =
            || format!("the staged file {} is damaged; remove the pull's folder and pull again", path.display());
        let manifest: Manifest = serde_json::from_slice(&text).with_context(damaged)?;
        if let Some(sha256) = &manifest.sha256 {
            ensure!(*sha256 == manifest.digest()?, "{}: it is not what was written", damaged());
        }
        Ok(manifest)
    }

    /// SHA-256 of everything that it says, but for what it says of itself.
    fn digest(&self) -> Result<String> {
        let text = serde_json::to_vec_pretty(&Manifest { sha256: None, ..self.clone() })?;
        Ok(hex::encode(Sha256::digest(text)))
    }

    /// When the source was asked. Records that change with time are as they were then, whenever they were read.
    pub fn asked_at(&self) -> DateTime<Utc> {
        let asked_at = self.by_the_clock.unwrap_or(self.pulled_at);
        self.reparsed.as_ref().map_or(asked_at, |reparsed| reparsed.asked_at)
    }

    /// Whether the source was asked while the day that it stands for was the present: only then is it the day's snapshot.
    pub fn is_of_its_day(&self, timezone: Tz) -> bool {
        periods::is_present(self.window.1, self.asked_at(), timezone)
    }
}

/// One file of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

const PULL_NAME: &str = "pull=%Y%m%dT%H%M%SZ";
const MANIFEST_NAME: &str = "pull.json";
const TEMPORARY_PREFIX: &str = ".tmp-";

/// Folders of what DuckDB cannot hold in memory begin with it.
const SPILL_PREFIX: &str = ".tmp-duckdb-";

impl Staging {
    /// The landing zone at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Staging { root: root.into(), waiting: None, notes: Notes::default() }
    }

    /// The same landing zone for pulls that belong together: a finished one waits until [`Staging::commit`] makes them all
    /// winners. Where that never comes, because one of them failed, nothing of them is left.
    pub fn batch(&self) -> Self {
        Staging { waiting: Some(Arc::default()), ..self.clone() }
    }

    /// The same for pulls of a run that reports up to this day.
    pub fn reporting(self, as_of: NaiveDate) -> Self {
        let notes = Notes { as_of: Some(as_of), ..self.notes };
        Staging { notes, ..self }
    }

    /// The same for a pull made of the pages of another: what that one noted and pages do not tell is noted again.
    pub fn reparsing(self, pull: &Landed) -> Self {
        let Manifest { as_of, source_totals, .. } = pull.manifest().clone();
        let reparsed = Reparsed { pull: pull.name().to_owned(), asked_at: pull.manifest().asked_at() };
        Staging { notes: Notes { as_of, reparsed: Some(reparsed), source_totals }, ..self }
    }

    /// Commits the pulls of a batch that are finished, in their order.
    pub fn commit(&self) -> Result<Vec<Landed>> {
        let Some(waiting) = &self.waiting else { return Ok(Vec::new()) };
        let waiting = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().map(Waiting::commit).collect()
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Starts a pull of one partition. `pulled_at`, to the second, names it; where a pull of that second or a later one exists
    /// already, the second after the newest does: a clock that was stepped back must not make an old pull count.
    pub fn begin(
        &self,
        dataset: &'static Dataset,
        org: &str,
        partition: Partition,
        pulled_at: DateTime<Utc>,
    ) -> Result<Landing> {
        let parent = self.partition_dir(dataset, org, partition);
        let folder = landing::Place { parent, waiting: self.waiting.clone(), notes: self.notes.clone() };
        Landing::begin(folder, dataset, org, partition, pulled_at)
    }

    /// The winner of a partition: its newest complete pull, at or before `as_of_pull` where that is given.
    ///
    /// # Errors
    /// The newest pull is not silently passed over when it is damaged: a missing or changed file is an error.
    pub fn winner(
        &self,
        dataset: &'static Dataset,
        org: &str,
        partition: Partition,
        as_of_pull: Option<DateTime<Utc>>,
    ) -> Result<Option<Landed>> {
        let newest = self.newest(dataset, org, partition, as_of_pull)?;
        newest.map(|path| Landed::open(&path)).transpose()
    }

    /// The snapshot of a local day: its newest complete pull that was taken while the day was the present, at or before
    /// `as_of_pull` where that is given. A later pull of the same partition shows what the objects have become since.
    ///
    /// # Errors
    /// As [`Staging::winner`].
    pub fn snapshot(
        &self,
        dataset: &'static Dataset,
        org: &Org,
        partition: Partition,
        as_of_pull: Option<DateTime<Utc>>,
    ) -> Result<Option<Landed>> {
        for (pulled_at, path) in self.pulls(dataset, &org.slug, partition)?.into_iter().rev() {
            let is_known = as_of_pull.is_none_or(|limit| pulled_at <= limit);
            if is_known && Manifest::read(&path)?.is_of_its_day(org.timezone) {
                return Landed::open(&path).map(Some);
            }
        }
        Ok(None)
    }

    /// The folder of the winner, not yet looked into.
    pub fn newest(
        &self,
        dataset: &'static Dataset,
        org: &str,
        partition: Partition,
        as_of_pull: Option<DateTime<Utc>>,
    ) -> Result<Option<PathBuf>> {
        let pulls = self.pulls(dataset, org, partition)?.into_iter().rev();
        let mut pulls = pulls.filter(|(pulled_at, _)| as_of_pull.is_none_or(|limit| *pulled_at <= limit));
        Ok(pulls.next().map(|(_, path)| path))
    }

    /// The complete pulls of a partition, oldest first.
    pub fn pulls(
        &self,
        dataset: &'static Dataset,
        org: &str,
        partition: Partition,
    ) -> Result<Vec<(DateTime<Utc>, PathBuf)>> {
        let mut pulls: Vec<_> = entries(&self.partition_dir(dataset, org, partition))?
            .into_iter()
            .filter_map(|path| Some((pull_instant(&path)?, path)))
            .collect();
        pulls.sort();
        Ok(pulls)
    }

    /// The partitions of which an organisation has at least one complete pull, in order.
    pub fn partitions(&self, dataset: &'static Dataset, org: &str) -> Result<Vec<Partition>> {
        let mut partitions = Vec::new();
        for path in entries(&self.root.join(dataset.name).join(format!("org={org}")))? {
            let Some(period) = file_name(&path).strip_prefix("period=").map(str::to_owned) else { continue };
            let partition = period.parse().with_context(|| format!("in {}", path.display()))?;
            if !self.pulls(dataset, org, partition)?.is_empty() {
                partitions.push(partition);
            }
        }
        partitions.sort();
        Ok(partitions)
    }

    /// Slugs of the organisations that have staged anything of a dataset, in order.
    pub fn orgs(&self, dataset: &'static Dataset) -> Result<Vec<String>> {
        let paths = entries(&self.root.join(dataset.name))?;
        let mut orgs: Vec<_> =
            paths.iter().filter_map(|path| file_name(path).strip_prefix("org=").map(str::to_owned)).collect();
        orgs.sort();
        Ok(orgs)
    }

    /// Removes what was cut short: `.tmp-` folders whose writer is gone. Returns how many.
    pub fn sweep(&self) -> Result<usize> {
        let mut swept = 0;
        for dataset in entries(&self.root)? {
            for org in entries(&dataset)? {
                for partition in entries(&org)? {
                    for path in entries(&partition)? {
                        if file_name(&path).starts_with(TEMPORARY_PREFIX) && landing::remove_abandoned(&path)? {
                            swept += 1;
                        }
                    }
                }
            }
        }
        Ok(swept)
    }

    /// Where a computation may put what does not fit into memory: a folder of its own, which DuckDB makes when it needs it
    /// and then takes away. It lies next to the staged files, because there is a real disk with room, which a temporary
    /// folder need not be on.
    pub fn spill(&self) -> PathBuf {
        self.root.join(format!("{SPILL_PREFIX}{:016x}", rand::random::<u64>()))
    }

    /// Removes what computations that were killed had spilled: folders that nobody has touched for a day at `now`.
    pub fn sweep_spilled(&self, now: DateTime<Utc>) -> Result<()> {
        for path in entries(&self.root)?.iter().filter(|path| file_name(path).starts_with(SPILL_PREFIX)) {
            let touched = fs::metadata(path).and_then(|found| found.modified());
            if touched.is_ok_and(|touched| DateTime::<Utc>::from(touched) < now - Days::new(1)) {
                fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn partition_dir(&self, dataset: &Dataset, org: &str, partition: Partition) -> PathBuf {
        self.root.join(dataset.name).join(format!("org={org}")).join(format!("period={partition}"))
    }
}

impl Landed {
    /// Opens a complete pull and checks its files against the manifest.
    pub fn open(path: &Path) -> Result<Landed> {
        let manifest = Manifest::read(path)?;
        for file in &manifest.files {
            let path = path.join(&file.name);
            let (bytes, sha256) = digest(&path).with_context(|| format!("the staged file {}", path.display()))?;
            ensure!(
                bytes == file.bytes && sha256 == file.sha256,
                "the staged file {} is not what was written: {bytes} bytes instead of {}, or other content; remove the pull's folder \
                 and pull again",
                path.display(),
                file.bytes
            );
        }
        Ok(Landed { path: path.to_owned(), manifest })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of its folder.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }

    /// What its `pull.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The part of its dataset that it covers.
    pub fn partition(&self) -> Result<Partition> {
        self.manifest.period.parse()
    }

    /// Whether it stands for the source's word that there is no such partition.
    pub fn is_absent(&self) -> bool {
        self.manifest.absent
    }

    /// Its files of typed rows, in order.
    pub fn row_files(&self) -> Vec<PathBuf> {
        let rows = self.manifest.files.iter().filter(|file| file.name.starts_with("rows-"));
        rows.map(|file| self.path.join(&file.name)).collect()
    }

    /// Its files of pages as answered, in order.
    pub fn page_files(&self) -> Vec<PathBuf> {
        let pages = self.manifest.files.iter().filter(|file| file.name.starts_with("pages-"));
        pages.map(|file| self.path.join(&file.name)).collect()
    }
}

/// Size and SHA-256 of a file.
fn digest(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hasher.finalize())));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// What a folder holds; nothing when it does not exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", folder.display())),
    };
    listing
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()
        .with_context(|| format!("cannot list {}", folder.display()))
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn pull_instant(path: &Path) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(file_name(path), PULL_NAME).ok().map(|instant| instant.and_utc())
}

/// The name of the pull taken at an instant, and the one a second later.
fn pull_name(pulled_at: DateTime<Utc>) -> String {
    pulled_at.format(PULL_NAME).to_string()
}

fn next_second(pulled_at: DateTime<Utc>) -> DateTime<Utc> {
    pulled_at + TimeDelta::seconds(1)
}

#[cfg(test)]
mod tests;
