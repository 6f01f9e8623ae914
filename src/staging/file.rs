//! A Parquet file, written while more comes from the source.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Rows of a row group: what the writer holds in memory, encoded.
const GROUP_ROWS: usize = 64 * 1024;
/// Bytes of a row group, encoded, for files of few long rows.
const GROUP_BYTES: usize = 4 << 20;
/// Batches that wait to be written: one, while one is written and one is filled. Whoever is faster waits for the other.
const WAITING: usize = 1;

/// A file and the thread that encodes and writes what goes into it.
pub(super) struct ParquetFile {
    path: PathBuf,
    batches: SyncSender<RecordBatch>,
    /// None once it has been waited for.
    thread: Option<JoinHandle<Result<ArrowWriter<File>, ParquetError>>>,
}

impl ParquetFile {
    /// Begins a file. Of the columns that are `distinct` hardly two values are alike, so that looking each up among those
    /// before it, for a dictionary, is in vain.
    pub(super) fn create(path: PathBuf, schema: SchemaRef, distinct: &[&str]) -> Result<Self> {
        let file = File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut properties = WriterProperties::builder()
            // The first level: the third takes twice as long, and pages of HubSpot become a fortieth smaller by it.
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("marts ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in distinct {
            properties = properties.set_column_dictionary_enabled((*column).into(), false);
        }
        let writer = ArrowWriter::try_new(file, schema, Some(properties.build()))?;
        let (batches, written) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("parquet".to_owned()).spawn(move || write_all(writer, &written));
        let thread = thread.context("cannot start a thread that writes Parquet")?;
        Ok(ParquetFile { path, batches, thread: Some(thread) })
    }

    /// Hands over rows.
    ///
    /// # Errors
    /// What kept these, or those before, from being written.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match self.batches.send(batch) {
            Ok(()) => Ok(()),
            // The thread ends before its channel does when it fails.
            Err(_) => written(self.thread.take(), &self.path).map(drop),
        }
    }

    /// Waits until everything is written, and on the disk.
    ///
    /// # Errors
    /// What kept something from being written.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.batches);
        let writer = written(self.thread, &self.path)?;
        let synced = writer.into_inner().map_err(anyhow::Error::from).and_then(|file| Ok(file.sync_all()?));
        synced.with_context(|| cannot_write(&self.path))
    }
}

fn write_all(
    mut writer: ArrowWriter<File>,
    batches: &Receiver<RecordBatch>,
) -> Result<ArrowWriter<File>, ParquetError> {
    for batch in batches {
        writer.write(&batch)?;
    }
    Ok(writer)
}

/// How the thread ended.
fn written(
    thread: Option<JoinHandle<Result<ArrowWriter<File>, ParquetError>>>,
    path: &Path,
) -> Result<ArrowWriter<File>> {
    let thread = thread.context("it has failed before").with_context(|| cannot_write(path))?;
    let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    ended.with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
