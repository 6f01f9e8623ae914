//! What lies in the landing zone: every pull with its size, what was cut short, and how a pull is taken away.
//!
//! Runs hold the landing zone together with others, a clean-up holds it alone, so that no pull goes while somebody reads
//! it. A pull goes by a rename, which hides it, and is then deleted: a crash in between leaves a `.tmp-` folder, which
//! nothing reads and the next run sweeps.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use super::{Manifest, Staging, TEMPORARY_PREFIX, entries, file_name};
use crate::datasets::Dataset;
use crate::periods::Partition;

/// A pull as it lies there. Its files are not read, only counted: a damaged one is listed all the same.
#[derive(Debug, Clone)]
pub struct Entry {
    pub dataset: &'static Dataset,
    pub org: String,
    pub partition: Partition,
    pub pulled_at: DateTime<Utc>,
    pub path: PathBuf,
    /// What its files take up, its manifest included.
    pub bytes: u64,
    /// Whether it counts: the newest of its partition does.
    pub wins: bool,
    /// None where it cannot be read.
    pub manifest: Option<Manifest>,
}

/// What a process that was cut short left behind.
#[derive(Debug, Clone)]
pub struct Leftover {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The landing zone is held as long as this lives.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "closing the file ends the hold")] File);

impl Entry {
    /// The name of its folder.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }
}

impl Staging {
    /// Every pull of a dataset, by organisation, partition and age.
    pub fn inventory(&self, dataset: &'static Dataset) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for org in self.orgs(dataset)? {
            for partition in self.partitions(dataset, &org)? {
                let pulls = self.pulls(dataset, &org, partition)?;
                let newest = pulls.len().saturating_sub(1);
                for (at, (pulled_at, path)) in pulls.into_iter().enumerate() {
                    found.push(Entry {
                        dataset,
                        org: org.clone(),
                        partition,
                        pulled_at,
                        bytes: size(&path)?,
                        wins: at == newest,
                        manifest: Manifest::read(&path).ok(),
                        path,
                    });
                }
            }
        }
        Ok(found)
    }

    /// What was cut short, whether or not its writer still lives.
    pub fn leftovers(&self) -> Result<Vec<Leftover>> {
        let mut found = Vec::new();
        for dataset in entries(&self.root)? {
            for org in entries(&dataset)? {
                for partition in entries(&org)? {
                    for path in entries(&partition)? {
                        if file_name(&path).starts_with(TEMPORARY_PREFIX) {
                            found.push(Leftover { bytes: size(&path)?, path });
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// Holds the landing zone together with others who read or add pulls; waits for a clean-up to end.
    ///
    /// # Errors
    /// When its folder can neither be opened nor made.
    pub fn hold(&self) -> Result<Held> {
        let folder = self.folder()?;
        folder.lock_shared().with_context(|| format!("cannot lock {}", self.root.display()))?;
        Ok(Held(folder))
    }

    /// Holds it alone; none when somebody else works with it.
    ///
    /// # Errors
    /// As [`Staging::hold`].
    pub fn hold_alone(&self) -> Result<Option<Held>> {
        let folder = self.folder()?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Held(folder))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", self.root.display()))
            }
        }
    }

    fn folder(&self) -> Result<File> {
        fs::create_dir_all(&self.root).with_context(|| format!("cannot create {}", self.root.display()))?;
        File::open(&self.root).with_context(|| format!("cannot open {}", self.root.display()))
    }

    /// Takes a pull away for good. `_alone` says that nobody reads it.
    ///
    /// # Errors
    /// When the disk refuses. The pull is then whole, or gone for every reader.
    pub fn remove(&self, pull: &Entry, _alone: &Held) -> Result<()> {
        let hidden = pull.path.with_file_name(format!("{TEMPORARY_PREFIX}gone-{}", pull.name()));
        fs::rename(&pull.path, &hidden).with_context(|| format!("cannot rename {}", pull.path.display()))?;
        fs::remove_dir_all(&hidden).with_context(|| format!("cannot remove {}", hidden.display()))
    }
}

/// Bytes of the files directly in a folder; one that goes meanwhile counts for nothing.
fn size(folder: &Path) -> Result<u64> {
    let files = entries(folder)?;
    Ok(files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum())
}
