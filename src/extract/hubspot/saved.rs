//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/<dataset>/<day>-0001.json`, `-0002` … are the pages of a snapshot, in order; `<day>.json` is one that has a
//! single page. `all.json` and `all-0001.json` … stand for any day.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, NaiveDate, Utc};

use crate::datasets::Dataset;
use crate::staging::Page;

/// The folder of saved answers.
pub(super) struct Saved {
    folder: PathBuf,
}

/// One saved answer.
pub(super) struct SavedFile {
    pub path: PathBuf,
    /// `<dataset>/<file>`: what is kept in staging says nothing of this machine.
    name: String,
}

impl Saved {
    pub(super) fn new(folder: &Path) -> Self {
        Saved { folder: folder.to_owned() }
    }

    /// The pages of a snapshot, in order.
    pub(super) fn files(&self, dataset: &Dataset, day: NaiveDate) -> Result<Vec<SavedFile>> {
        let folder = self.folder.join(dataset.name);
        let found = [day.to_string(), "all".to_owned()]
            .iter()
            .map(|stem| numbered(&folder, stem))
            .find(|found| !found.is_empty());
        let found = found.unwrap_or_default();
        ensure!(
            !found.is_empty(),
            "no saved answer for {day}: {} does not exist, nor do {day}.json, all.json and all-0001.json there",
            folder.join(format!("{day}-0001.json")).display()
        );
        let named = |path: PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            SavedFile { name: format!("{}/{file}", dataset.name), path }
        };
        Ok(found.into_iter().map(named).collect())
    }
}

/// `<stem>.json`, else `<stem>-0001.json` and those after it.
fn numbered(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let one = folder.join(format!("{stem}.json"));
    if one.is_file() {
        return vec![one];
    }
    (1..).map(|number| folder.join(format!("{stem}-{number:04}.json"))).take_while(|file| file.is_file()).collect()
}

impl SavedFile {
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))
    }

    pub(super) fn page<'a>(&'a self, fetched_at: DateTime<Utc>, body: &'a [u8]) -> Page<'a> {
        Page { method: "FILE", url: &self.name, status: 200, fetched_at, body }
    }
}
