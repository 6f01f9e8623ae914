//! Reading the stored responses of a pull, in the order in which they came.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use arrow::array::{AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Landed, Page};

/// Responses decoded at a time: one may have ten megabytes.
const PAGES_AT_ONCE: usize = 4;

/// A response of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPage {
    /// Its number, which rows name.
    pub sequence: i64,
    pub method: String,
    pub url: String,
    pub status: u16,
    pub fetched_at: DateTime<Utc>,
    pub body: Vec<u8>,
}

impl StoredPage {
    /// As it is landed again.
    pub fn page(&self) -> Page<'_> {
        let StoredPage { method, url, status, fetched_at, body, .. } = self;
        Page { method, url, status: *status, fetched_at: *fetched_at, body }
    }
}

impl Landed {
    /// Its responses, a few in memory at a time; none where the source has no pages.
    ///
    /// # Errors
    /// A file that cannot be read as pages, now or on the way.
    pub fn pages(&self) -> Result<impl Iterator<Item = Result<StoredPage>> + Send + use<>> {
        let files = self.manifest().files.iter().filter(|file| file.name.starts_with("pages-"));
        let files: Vec<PathBuf> = files.map(|file| self.path().join(&file.name)).collect();
        let readers = files.iter().map(|file| read(file).with_context(|| format!("in {}", file.display())));
        let readers = readers.collect::<Result<Vec<_>>>()?;
        Ok(readers.into_iter().flatten())
    }
}

fn read(file: &Path) -> Result<impl Iterator<Item = Result<StoredPage>> + Send + use<>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.with_batch_size(PAGES_AT_ONCE).build()?;
    Ok(reader.flat_map(|batch| match batch.map_err(anyhow::Error::from).and_then(|batch| Columns::of(&batch)) {
        Ok(columns) => (0..columns.sequence.len()).map(|row| columns.page(row)).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    }))
}

struct Columns {
    sequence: Int64Array,
    method: StringArray,
    url: StringArray,
    status: Int32Array,
    fetched_at: TimestampMicrosecondArray,
    body: BinaryArray,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let column = |name: &str| batch.column_by_name(name).with_context(|| format!("there is no column {name}"));
        let other = |name: &'static str| move || anyhow!("column {name} is of another type");
        Ok(Columns {
            sequence: column("sequence")?.as_primitive_opt::<Int64Type>().ok_or_else(other("sequence"))?.clone(),
            method: column("method")?.as_string_opt::<i32>().ok_or_else(other("method"))?.clone(),
            url: column("url")?.as_string_opt::<i32>().ok_or_else(other("url"))?.clone(),
            status: column("status")?.as_primitive_opt::<Int32Type>().ok_or_else(other("status"))?.clone(),
            fetched_at: column("fetched_at")?
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or_else(other("fetched_at"))?
                .clone(),
            body: column("body")?.as_binary_opt::<i32>().ok_or_else(other("body"))?.clone(),
        })
    }

    fn page(&self, row: usize) -> Result<StoredPage> {
        let micros = self.fetched_at.value(row);
        Ok(StoredPage {
            sequence: self.sequence.value(row),
            method: self.method.value(row).to_owned(),
            url: self.url.value(row).to_owned(),
            status: u16::try_from(self.status.value(row)).context("a status is none")?,
            fetched_at: DateTime::from_timestamp_micros(micros).context("an instant is out of range")?,
            body: self.body.value(row).to_vec(),
        })
    }
}
