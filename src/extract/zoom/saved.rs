//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/<dataset>/<stem>.json`, or `<stem>-0001.json` and those after it. A stem is the day or the month; `all` holds
//! several of them. For the counts, list and status follow it: `all-users-active.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::client::Ask;
use super::field::Record;
use super::page::{Kept, Listing, Outcome, Said, read, redacted};

/// Reads a list from its saved pages.
pub(super) fn list<R>(
    folder: &Path,
    ask: &Ask,
    fetched_at: DateTime<Utc>,
    parse: &impl Fn(&Record) -> Result<R>,
) -> Result<Listing<R>> {
    let folder = folder.join(ask.dataset);
    let files = ask.stems.iter().map(|stem| files(&folder, stem)).find(|files| !files.is_empty()).unwrap_or_default();
    if files.is_empty() && !ask.may_lack {
        bail!(
            "no saved answer: {} does not exist, nor do {}",
            folder.join(format!("{}.json", ask.stems[0])).display(),
            ask.stems.iter().map(|stem| format!("{stem}-0001.json")).collect::<Vec<_>>().join(", ")
        );
    }
    let (mut records, mut pages) = (Vec::new(), Vec::new());
    let (mut announced, mut left) = (None, None);
    for file in &files {
        let context = || format!("in {}", file.display());
        let body: Value = serde_json::from_slice(&std::fs::read(file).with_context(context)?)
            .map_err(|error| anyhow::anyhow!("no JSON (line {}, column {})", error.line(), error.column()))
            .with_context(context)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        pages.push(Kept {
            method: "FILE",
            url: format!("{}/{name}", ask.dataset),
            status: 200,
            fetched_at,
            body: redacted(ask.endpoint, &body),
        });
        match read(ask.endpoint, &body, parse).with_context(context)? {
            Said::NotAvailable(code) => {
                return Ok(Listing { records: Vec::new(), pages, outcome: Outcome::NotAvailable { code } });
            }
            Said::DeadToken => return Err(anyhow::anyhow!("it says that a page token died")).with_context(context),
            Said::Page { records: read, announced: total, next } => {
                records.extend(read.into_iter().map(|record| (pages.len() - 1, record)));
                announced = total.or(announced);
                left = next;
            }
        }
    }
    if let (Some(_), Some(last)) = (left, files.last()) {
        tracing::warn!(file = %last.display(), "the last saved page says that more follow");
    }
    let received = i64::try_from(records.len())?;
    Ok(Listing { records, pages, outcome: Outcome::Read { announced, received } })
}

/// `<stem>.json`, else `<stem>-0001.json` and those after it.
fn files(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let one = folder.join(format!("{stem}.json"));
    if one.is_file() {
        return vec![one];
    }
    (1..).map(|number| folder.join(format!("{stem}-{number:04}.json"))).take_while(|file| file.is_file()).collect()
}
