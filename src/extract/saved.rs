//! Answers that are here already, in place of the network: saved in a folder (`--pages DIR`), or stored with a pull
//! (`marts reparse`). The parsers see no difference.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};

use crate::datasets::Dataset;
use crate::staging::{Landed, Page, StoredPage};

/// Where the answers are.
#[derive(Debug, Clone)]
pub enum Saved {
    /// `DIR/<dataset>/<stem>.json`, or `<stem>-0001.json` and those after it.
    Folder(PathBuf),
    /// The pages of one pull, in the order in which they came.
    Pull(Box<Landed>),
}

/// One of them.
#[derive(Debug)]
pub(super) struct SavedAnswer {
    /// Where it is, for messages: a file, or a page of a pull.
    pub place: String,
    pub stored: StoredPage,
}

/// Answers one after the other: few are in memory at a time.
pub(super) type Answers = std::iter::Peekable<Box<dyn Iterator<Item = Result<SavedAnswer>> + Send>>;

impl SavedAnswer {
    /// As it is landed.
    pub(super) fn page(&self) -> Page<'_> {
        self.stored.page()
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.stored.body
    }

    /// Whether it came from a file: then its name says what it answers, and no question is known.
    pub(super) fn is_file(&self) -> bool {
        self.stored.method == FILE
    }

    /// The stem of the file's name with the number, where it came from one.
    pub(super) fn file_stem(&self) -> Option<&str> {
        self.is_file().then_some(())?;
        Path::new(&self.stored.url).file_stem()?.to_str()
    }
}

/// The method of an answer that came from a file.
const FILE: &str = "FILE";

impl Saved {
    /// The folder that is looked into, for messages; none for a pull.
    pub(super) fn folder(&self, dataset: &str) -> Option<PathBuf> {
        match self {
            Saved::Folder(folder) => Some(folder.join(dataset)),
            Saved::Pull(_) => None,
        }
    }

    /// In a folder, the answers of the first stem that has any; of a pull, all its pages, whatever the stems.
    /// `read_at` is noted as the instant at which a file was answered.
    pub(super) fn answers(&self, dataset: &Dataset, stems: &[String], read_at: DateTime<Utc>) -> Result<Answers> {
        let answers: Box<dyn Iterator<Item = Result<SavedAnswer>> + Send> = match self {
            Saved::Folder(folder) => {
                let folder = folder.join(dataset.name);
                let files = stems.iter().map(|stem| numbered(&folder, stem)).find(|files| !files.is_empty());
                let name = dataset.name;
                Box::new(files.unwrap_or_default().into_iter().map(move |file| read(&file, name, read_at)))
            }
            Saved::Pull(pull) => Box::new(pull.pages()?.map(|stored| {
                let stored = stored?;
                Ok(SavedAnswer { place: format!("page {}", stored.sequence), stored })
            })),
        };
        Ok(answers.peekable())
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

fn read(file: &Path, dataset: &str, read_at: DateTime<Utc>) -> Result<SavedAnswer> {
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // What is kept in staging says nothing of this machine.
    let url = format!("{dataset}/{name}");
    let stored = StoredPage { sequence: 0, method: FILE.to_owned(), url, status: 200, fetched_at: read_at, body };
    Ok(SavedAnswer { place: file.display().to_string(), stored })
}
