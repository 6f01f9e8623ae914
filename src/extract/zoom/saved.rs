//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/<dataset>/<stem>.json`, or `<stem>-0001.json` and those after it. A stem is the day or the month; `all` holds
//! several of them. For the counts, list and status follow it: `all-users-active.json`.

use anyhow::{Context as _, Result, bail};
use reqwest::Url;
use serde_json::Value;

use super::client::Ask;
use super::field::Record;
use super::page::{Kept, Listing, Outcome, Said, read, redacted};
use crate::datasets::dataset;
use crate::extract::saved::SavedAnswer;
use crate::extract::{Context, Saved};

/// Reads a list from its saved pages.
pub(super) fn list<R>(
    context: &Context<'_>,
    saved: &Saved,
    ask: &Ask,
    parse: &impl Fn(&Record) -> Result<R>,
) -> Result<Listing<R>> {
    let dataset = dataset(ask.dataset).with_context(|| format!("{} is no dataset", ask.dataset))?;
    let (mut records, mut pages) = (Vec::new(), Vec::new());
    let (mut announced, mut left) = (None, None);
    for answer in saved.answers(dataset, &ask.stems, context.clock.now())? {
        let answer = answer?;
        // The pages of a pull answer several questions.
        if matches!(saved, Saved::Pull(_)) && !answers(&answer, ask) {
            continue;
        }
        let place = || format!("in {}", answer.place);
        let body: Value = serde_json::from_slice(answer.body())
            .map_err(|error| anyhow::anyhow!("no JSON (line {}, column {})", error.line(), error.column()))
            .with_context(place)?;
        let page = answer.page();
        pages.push(Kept {
            method: page.method.to_owned(),
            url: page.url.to_owned(),
            status: page.status,
            fetched_at: page.fetched_at,
            // What is stored has been stripped already.
            body: if matches!(saved, Saved::Pull(_)) { page.body.to_vec() } else { redacted(ask.endpoint, &body) },
        });
        match read(ask.endpoint, &body, parse).with_context(place)? {
            Said::NotAvailable(code) => {
                return Ok(Listing { records: Vec::new(), pages, outcome: Outcome::NotAvailable { code } });
            }
            Said::DeadToken => return Err(anyhow::anyhow!("it says that a page token died")).with_context(place),
            Said::Page { records: read, announced: total, next } => {
                records.extend(read.into_iter().map(|record| (pages.len() - 1, record)));
                announced = total.or(announced);
                left = next.map(|_| answer.place);
            }
        }
    }
    if pages.is_empty() && !ask.may_lack {
        match saved.folder(ask.dataset) {
            Some(folder) => bail!(
                "no saved answer: {} does not exist, nor do {}",
                folder.join(format!("{}.json", ask.stems[0])).display(),
                ask.stems.iter().map(|stem| format!("{stem}-0001.json")).collect::<Vec<_>>().join(", ")
            ),
            None => bail!("none of the pull's pages answers {} as it is asked today", ask.endpoint.path),
        }
    }
    if let Some(file) = left {
        tracing::warn!(file, "the last saved page says that more follow");
    }
    let received = i64::try_from(records.len())?;
    Ok(Listing { records, pages, outcome: Outcome::Read { announced, received } })
}

/// Whether a stored page came as an answer to this question.
fn answers(answer: &SavedAnswer, ask: &Ask) -> bool {
    if let Some(stem) = answer.file_stem() {
        let is_of = |asked: &String| {
            let rest = stem.strip_prefix(asked.as_str());
            rest.is_some_and(|rest| rest.is_empty() || is_number(rest))
        };
        return ask.stems.iter().any(is_of);
    }
    let Ok(url) = Url::parse(&answer.stored.url) else { return false };
    let asked = ask.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    url.path().ends_with(&format!("/{}", ask.endpoint.path))
        && url.query_pairs().into_owned().collect::<std::collections::BTreeMap<_, _>>() == asked.collect()
}

/// `-0001`
fn is_number(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
