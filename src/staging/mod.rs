//! The landing zone: immutable pulls as plain hive-partitioned Parquet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::datasets::Dataset;
use crate::periods::Partition;

/// The landing zone.
#[derive(Debug, Clone)]
pub struct Staging {
    root: PathBuf,
}

/// A pull being written; dropping it leaves nothing behind.
pub struct Landing {
    _private: (),
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

/// One cell of a row on its way to staging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    /// `mantissa` × 10^-`scale`.
    Decimal {
        mantissa: i128,
        scale: u8,
    },
    Bool(bool),
    Date(NaiveDate),
    Timestamp(DateTime<Utc>),
}

/// What `pull.json` says of a pull.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub dataset: String,
    pub org: String,
    pub period: String,
    pub pulled_at: DateTime<Utc>,
    pub rows: u64,
    pub pages: u64,
    /// What the source itself said of its size or sums, where it does.
    pub source_totals: BTreeMap<String, String>,
    pub tool_version: String,
}

impl Staging {
    /// The landing zone at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Staging { root: root.into() }
    }

    /// Starts a pull.
    pub fn begin(
        &self,
        _dataset: &'static Dataset,
        _org: &str,
        _partition: Partition,
        _pulled_at: DateTime<Utc>,
    ) -> Result<Landing> {
        unimplemented!("{}", self.root.display())
    }

    /// The newest complete pull of a partition, at or before `as_of_pull` where given.
    pub fn winner(
        &self,
        _dataset: &'static Dataset,
        _org: &str,
        _partition: Partition,
        _as_of_pull: Option<DateTime<Utc>>,
    ) -> Result<Option<Landed>> {
        unimplemented!()
    }
}

impl Landing {
    /// Keeps a response; returns its number, for the rows that come from it.
    pub fn page(&mut self, _page: &Page<'_>) -> Result<i64> {
        unimplemented!()
    }

    /// Adds a row: one value per column of the dataset, in its order; `page` for datasets with pages only.
    ///
    /// # Errors
    /// A value that does not fit its column fails the pull, naming dataset, key, column and the value's type.
    pub fn push(&mut self, _page: Option<i64>, _values: &[Value<'_>]) -> Result<()> {
        unimplemented!()
    }

    /// Notes a total that the source itself gave.
    pub fn source_total(&mut self, _name: &str, _value: impl ToString) {}

    /// Rows pushed so far.
    pub fn rows(&self) -> u64 {
        unimplemented!()
    }

    /// Commits the pull: writes the manifest, syncs, renames.
    ///
    /// # Errors
    /// An empty pull of a dataset that may not be empty, and any failure of the disk. Nothing is left behind then.
    pub fn finish(self) -> Result<Landed> {
        unimplemented!()
    }
}

impl Landed {
    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its `pull.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
