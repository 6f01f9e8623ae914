//! Writing a pull: rows and pages stream into Parquet in a `.tmp-` folder, which the rename turns into a pull.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::file::ParquetFile;
use super::rows::{Rows, Value};
use super::{
    Landed, MANIFEST_NAME, Manifest, Notes, Page, StagedFile, TEMPORARY_PREFIX, digest, entries, next_second,
    pull_instant, pull_name,
};
use crate::datasets::{Column, Dataset, Kind};
use crate::periods::Partition;

/// Rows handed to the Parquet writer at a time.
const BATCH_ROWS: usize = 8 * 1024;
/// Bytes of response bodies handed to the Parquet writer at a time, which is what it compresses at a time.
const PAGE_BYTES: usize = 1 << 20;

/// A pull being written; dropping it leaves nothing behind.
pub struct Landing {
    dataset: &'static Dataset,
    org: String,
    partition: Partition,
    pulled_at: DateTime<Utc>,
    folder: TemporaryFolder,
    rows: Rows,
    row_file: ParquetFile,
    row_count: u64,
    pages: Option<Pages>,
    notes: Notes,
    waiting: Option<Arc<Mutex<Vec<Waiting>>>>,
}

/// Where a pull comes to lie, and what it says of itself.
pub(super) struct Place {
    pub(super) parent: PathBuf,
    pub(super) waiting: Option<Arc<Mutex<Vec<Waiting>>>>,
    pub(super) notes: Notes,
}

impl Landing {
    pub(super) fn begin(
        place: Place,
        dataset: &'static Dataset,
        org: &str,
        partition: Partition,
        pulled_at: DateTime<Utc>,
    ) -> Result<Landing> {
        let Place { parent, waiting, notes } = place;
        let folder = TemporaryFolder::create(parent)?;
        let rows = folder.path.join("rows-0000.parquet");
        let row_file = ParquetFile::create(rows, dataset.schema(), &distinct(dataset))?;
        let pages = dataset.pages.then(|| Pages::create(folder.path.join("pages-0000.parquet"))).transpose()?;
        Ok(Landing {
            dataset,
            org: org.to_owned(),
            partition,
            pulled_at,
            folder,
            rows: Rows::new(dataset),
            row_file,
            row_count: 0,
            pages,
            notes,
            waiting,
        })
    }

    /// Keeps a response; returns its number, for the rows that come from it.
    pub fn page(&mut self, page: &Page<'_>) -> Result<i64> {
        match &mut self.pages {
            Some(pages) => pages.push(page).with_context(|| format!("landing {}", self.dataset.name)),
            None => bail!("{} has no pages", self.dataset.name),
        }
    }

    /// Adds a row: one value per column of the dataset, in its order; `page` for datasets with pages only.
    ///
    /// # Errors
    /// A value that does not fit its column fails the pull, naming dataset, key, column and the value's type.
    pub fn push(&mut self, page: Option<i64>, values: &[Value<'_>]) -> Result<()> {
        self.rows.push(page, values)?;
        self.row_count += 1;
        if self.rows.pending() >= BATCH_ROWS {
            self.write_rows()?;
        }
        Ok(())
    }

    /// Notes a total that the source itself gave.
    pub fn source_total(&mut self, name: &str, value: impl ToString) {
        self.notes.source_totals.insert(name.to_owned(), value.to_string());
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> u64 {
        self.row_count
    }

    fn write_rows(&mut self) -> Result<()> {
        let batch = self.rows.take()?;
        self.row_file.write(batch)
    }

    /// Commits the pull: writes the manifest, syncs, renames. In a batch the rename waits for [`super::Staging::commit`].
    ///
    /// # Errors
    /// An empty pull of a dataset that may not be empty, and any failure of the disk. Nothing is left behind then.
    pub fn finish(self) -> Result<Landed> {
        ensure!(
            self.row_count > 0 || self.dataset.may_be_empty,
            "{} of {} came back empty, which it never is: the source or its permissions are broken",
            self.dataset.name,
            self.partition
        );
        self.commit(false)
    }

    /// Commits a pull that stands for the source's word that it has no such partition, so that this is known later and
    /// not taken for a partition that was never pulled.
    ///
    /// # Errors
    /// Rows that were pushed nevertheless, and any failure of the disk.
    pub fn finish_absent(self) -> Result<Landed> {
        ensure!(self.row_count == 0, "{} of {} is absent and has rows", self.dataset.name, self.partition);
        self.commit(true)
    }

    fn commit(mut self, absent: bool) -> Result<Landed> {
        self.write_rows()?;
        self.row_file.finish()?;
        let mut names = vec!["rows-0000.parquet"];
        let mut page_count = 0;
        if let Some(pages) = self.pages {
            page_count = pages.finish()?;
            names.insert(0, "pages-0000.parquet");
        }
        let files = names.into_iter().map(|name| staged_file(&self.folder.path, name)).collect::<Result<_>>()?;
        let manifest = Manifest {
            dataset: self.dataset.name.to_owned(),
            org: self.org,
            period: self.partition.to_string(),
            window: (self.partition.start(), self.partition.end()),
            pulled_at: self.pulled_at,
            by_the_clock: None,
            rows: self.row_count,
            pages: page_count,
            absent,
            source_totals: self.notes.source_totals,
            schema_fingerprint: fingerprint(&self.dataset.schema()),
            files,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            as_of: self.notes.as_of,
            reparsed: self.notes.reparsed,
            sha256: None,
        };
        let finished = Waiting { folder: self.folder, manifest };
        match self.waiting {
            None => finished.commit(),
            Some(waiting) => {
                let landed = Landed { path: finished.folder.path.clone(), manifest: finished.manifest.clone() };
                waiting.lock().unwrap_or_else(PoisonError::into_inner).push(finished);
                Ok(landed)
            }
        }
    }
}

/// A pull that is written and not yet committed; dropping it leaves nothing behind.
pub(super) struct Waiting {
    folder: TemporaryFolder,
    manifest: Manifest,
}

impl Waiting {
    pub(super) fn commit(mut self) -> Result<Landed> {
        let path = self.folder.commit(&mut self.manifest)?;
        Ok(Landed { path, manifest: self.manifest })
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Waiting({})", self.folder.path.display())
    }
}

fn staged_file(folder: &Path, name: &str) -> Result<StagedFile> {
    let (bytes, sha256) = digest(&folder.join(name))?;
    Ok(StagedFile { name: name.to_owned(), bytes, sha256 })
}

fn fingerprint(schema: &Schema) -> String {
    let mut hasher = Sha256::new();
    for field in schema.fields() {
        hasher.update(format!("{} {} {}\n", field.name(), field.data_type(), field.is_nullable()));
    }
    hex::encode(hasher.finalize())
}

/// The columns of a dataset in which hardly two values are alike: a key of one column, and instants.
fn distinct(dataset: &Dataset) -> Vec<&'static str> {
    let is_distinct = |column: &&Column| dataset.key == [column.name] || column.kind == Kind::Timestamp;
    dataset.columns.iter().filter(is_distinct).map(|column| column.name).collect()
}

/// The responses of a pull.
struct Pages {
    file: ParquetFile,
    schema: SchemaRef,
    count: i64,
    pending_bytes: usize,
    sequence: Int64Builder,
    method: StringBuilder,
    url: StringBuilder,
    status: Int32Builder,
    fetched_at: TimestampMicrosecondBuilder,
    body: BinaryBuilder,
}

impl Pages {
    fn create(path: PathBuf) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("sequence", DataType::Int64, false),
            Field::new("method", DataType::Utf8, false),
            Field::new("url", DataType::Utf8, false),
            Field::new("status", DataType::Int32, false),
            Field::new("fetched_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("body", DataType::Binary, false),
        ]));
        Ok(Pages {
            file: ParquetFile::create(path, Arc::clone(&schema), &["sequence", "url", "fetched_at", "body"])?,
            schema,
            count: 0,
            pending_bytes: 0,
            sequence: Int64Builder::new(),
            method: StringBuilder::new(),
            url: StringBuilder::new(),
            status: Int32Builder::new(),
            fetched_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            body: BinaryBuilder::new(),
        })
    }

    fn push(&mut self, page: &Page<'_>) -> Result<i64> {
        let number = self.count;
        self.sequence.append_value(number);
        self.method.append_value(page.method);
        self.url.append_value(page.url);
        self.status.append_value(i32::from(page.status));
        self.fetched_at.append_value(page.fetched_at.timestamp_micros());
        self.body.append_value(page.body);
        self.count += 1;
        self.pending_bytes += page.body.len();
        if self.pending_bytes >= PAGE_BYTES {
            self.write()?;
        }
        Ok(number)
    }

    fn write(&mut self) -> Result<()> {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.sequence.finish()),
            Arc::new(self.method.finish()),
            Arc::new(self.url.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.fetched_at.finish()),
            Arc::new(self.body.finish()),
        ];
        self.pending_bytes = 0;
        self.file.write(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }

    fn finish(mut self) -> Result<u64> {
        self.write()?;
        self.file.finish()?;
        Ok(self.count.unsigned_abs())
    }
}

/// A `.tmp-` folder under a lock that lives as long as its writer, so that a sweep in another process can tell a pull
/// being written from one that was cut short.
struct TemporaryFolder {
    parent: PathBuf,
    path: PathBuf,
    _lock: File,
    committed: bool,
}

impl TemporaryFolder {
    fn create(parent: PathBuf) -> Result<Self> {
        static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
        loop {
            let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = parent.join(format!("{TEMPORARY_PREFIX}{}-{serial}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // Left by an earlier process of the same number: the sweep takes it, we take the next.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
            // A sweep may have come between the two steps; then the folder is gone and we make another.
            let Ok(lock) = File::open(&path) else { continue };
            if lock.try_lock().is_ok() && path.exists() {
                return Ok(TemporaryFolder { parent, path, _lock: lock, committed: false });
            }
        }
    }

    /// Writes the manifest, syncs the folder and renames it to `pulled_at`, or to the second after the newest pull there is.
    fn commit(&mut self, manifest: &mut Manifest) -> Result<PathBuf> {
        loop {
            let newest = entries(&self.parent)?.iter().filter_map(|path| pull_instant(path)).max();
            if let Some(newest) = newest.filter(|newest| manifest.pulled_at < next_second(*newest)) {
                manifest.by_the_clock.get_or_insert(manifest.pulled_at);
                manifest.pulled_at = next_second(newest);
            }
            let target = self.parent.join(pull_name(manifest.pulled_at));
            let path = self.path.join(MANIFEST_NAME);
            let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            manifest.sha256 = None;
            manifest.sha256 = Some(manifest.digest()?);
            serde_json::to_writer_pretty(&file, manifest)
                .with_context(|| format!("cannot write {}", path.display()))?;
            file.sync_all().with_context(|| format!("cannot write {}", path.display()))?;
            File::open(&self.path)?.sync_all()?;
            match fs::rename(&self.path, &target) {
                Ok(()) => {}
                // Another process took the name meanwhile: a folder that is not empty cannot be replaced.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
                {
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot rename to {}", target.display())),
            }
            self.committed = true;
            File::open(&self.parent)?.sync_all()?;
            return Ok(target);
        }
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing reads the folder; if it cannot be removed now, the next sweep will.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes a `.tmp-` folder unless its writer still lives.
pub(super) fn remove_abandoned(path: &Path) -> Result<bool> {
    let folder = match File::open(path) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    match folder.try_lock() {
        Ok(()) => {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
