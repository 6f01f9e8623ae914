//! HubSpot: contacts and deals from the list endpoints, page by page, with the lifecycle stages and pipelines that give
//! their stages a meaning.
//!
//! The list endpoint is asked and not the search, which ends at 10,000 records and trails what was written. The search
//! gives a total at once, though: it is asked before and after the listing, as a figure to hold the listing against.

mod answer;
mod client;
mod pace;
mod record;
mod rows;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join;

use super::http::Answer;
use super::saved::Answers;
use super::{Context, Saved};
use crate::datasets::Dataset;
use crate::periods::Partition;
use crate::staging::{Landed, Landing, Page};
use client::{Client, Object};
use record::List;
use rows::{Seen, Stages};

/// Pulls the wanted snapshots.
///
/// # Errors
/// Any failure of any request, an answer that is none, a cursor that leads back, an empty listing where HubSpot counts
/// records, pipelines without a stage in use or without a word on which stages are closed.
pub async fn pull(context: &Context<'_>, wanted: &[(&'static Dataset, Vec<Partition>)]) -> Result<Vec<Landed>> {
    if wanted.iter().all(|(_, partitions)| partitions.is_empty()) {
        // Earlier days come from staging, which takes no token.
        return Ok(Vec::new());
    }
    let mut source = match &context.saved {
        Some(saved) => Source::Saved(saved.clone()),
        None => {
            let settings = context.org.hubspot.as_ref().context("the organisation has no [org.hubspot]")?;
            Source::Live(Box::new(Client::new(context, settings)?))
        }
    };
    let mut pulled = Vec::new();
    for (dataset, partitions) in wanted {
        for partition in partitions {
            let pulling = || format!("pulling {} {partition}", dataset.name);
            ensure!(
                *partition == Partition::Day(context.as_of),
                "{}: HubSpot gives only the present, which is staged under {}",
                pulling(),
                context.as_of
            );
            let landing = source.snapshot(context, dataset, *partition).await.with_context(pulling)?;
            let rows = landing.rows();
            pulled.push(landing.finish().with_context(pulling)?);
            (context.progress)(dataset.name, Some(*partition), rows);
        }
    }
    Ok(pulled)
}

/// Proves that the token is accepted and has every scope that pulls need, by the first page of each listing and by both
/// searches. Says so in one line.
///
/// # Errors
/// The first listing that HubSpot refuses, in its own words.
pub async fn check(context: &Context<'_>) -> Result<String> {
    let settings = context.org.hubspot.as_ref().context("the organisation has no [org.hubspot]")?;
    let mut client = Client::new(context, settings)?;
    let urls = [
        ("contacts", client.list_url(Object::Contacts, None)?),
        ("lifecycle stages", client.lifecycle_stages_url()?),
        ("deals", client.list_url(Object::Deals, None)?),
        ("pipelines", client.pipelines_url(false)?),
        ("archived pipelines", client.pipelines_url(true)?),
    ];
    for (what, url) in &urls {
        client.get(url).await.with_context(|| format!("reading {what}"))?;
    }
    for object in [Object::Contacts, Object::Deals] {
        client.search(object).await.with_context(|| format!("searching {}s", object.singular()))?;
    }
    let names: Vec<_> = urls.iter().map(|(what, _)| *what).collect();
    Ok(format!("{} can be read, and both searches asked", names.join(", ")))
}

/// Where answers come from.
enum Source {
    Live(Box<Client>),
    Saved(Saved),
}

impl Source {
    async fn snapshot(
        &mut self,
        context: &Context<'_>,
        dataset: &'static Dataset,
        partition: Partition,
    ) -> Result<Landing> {
        let mut landing = context.staging.begin(dataset, &context.org.slug, partition, context.pulled_at)?;
        match (dataset.name, self) {
            ("hubspot_contacts", source) => source.list(context, Object::Contacts, &mut landing).await?,
            ("hubspot_deals", source) => source.list(context, Object::Deals, &mut landing).await?,
            ("hubspot_lifecycle_stages", Source::Live(client)) => {
                let url = client.lifecycle_stages_url()?;
                let answer = client.get(&url).await?;
                let page = landing.page(&asked("GET", url.as_str(), &answer))?;
                rows::lifecycle_stages(&mut landing, page, &answer.body)?;
            }
            ("hubspot_deal_stages", Source::Live(client)) => {
                let mut stages = Stages::default();
                // The plain listing leaves archived pipelines out; their deals exist all the same.
                for archived in [false, true] {
                    let url = client.pipelines_url(archived)?;
                    let answer = client.get(&url).await?;
                    let page = landing.page(&asked("GET", url.as_str(), &answer))?;
                    stages.push(&mut landing, page, &answer.body, archived)?;
                }
                stages.finish()?;
            }
            (name, Source::Saved(saved)) => {
                let mut stages = Stages::default();
                for answer in answers(context, saved, dataset)? {
                    let answer = answer?;
                    let page = landing.page(&answer.page())?;
                    match name {
                        "hubspot_lifecycle_stages" => rows::lifecycle_stages(&mut landing, page, answer.body()),
                        "hubspot_deal_stages" => stages.push(&mut landing, page, answer.body(), false),
                        _ => bail!("{name} is none of HubSpot's"),
                    }
                    .with_context(|| format!("in {}", answer.place))?;
                }
                if name == "hubspot_deal_stages" {
                    stages.finish()?;
                }
            }
            (name, _) => bail!("{name} is none of HubSpot's"),
        }
        Ok(landing)
    }

    async fn list(&mut self, context: &Context<'_>, object: Object, landing: &mut Landing) -> Result<()> {
        let dataset = object.dataset();
        let mut seen = Seen::new(object, context.as_of)?;
        match self {
            Source::Live(client) => {
                let before = total(client, object, landing).await?;
                list_live(context, client, object, landing, &mut seen).await?;
                let after = total(client, object, landing).await?;
                counted(landing, before, after)?;
            }
            Source::Saved(saved) => {
                let mut totals = Vec::new();
                let mut goes_on = None;
                for answer in answers(context, saved, dataset)? {
                    let answer = answer?;
                    let page = landing.page(&answer.page())?;
                    let read = || format!("in {}", answer.place);
                    if answer.stored.method == SEARCH {
                        totals.push(record::total(answer.body()).context("the search").with_context(read)?);
                        continue;
                    }
                    let list = List::parse(answer.body()).with_context(read)?;
                    seen.push(landing, page, &list.records).with_context(read)?;
                    goes_on = list.next.is_some().then_some(answer.place);
                    (context.progress)(dataset.name, None, landing.rows());
                }
                if let Some(last) = goes_on {
                    bail!("{last} names a next page, and there is none behind it");
                }
                if let [before, .., after] = totals.as_slice() {
                    counted(landing, *before, *after)?;
                }
            }
        }
        seen.finish()
    }
}

/// The pages of a snapshot: `DIR/<dataset>/<day>.json` or `<day>-0001.json` and those after it; `all` stands for any day.
fn answers(context: &Context<'_>, saved: &Saved, dataset: &Dataset) -> Result<Answers> {
    let day = context.as_of;
    let mut answers = saved.answers(dataset, &[day.to_string(), "all".to_owned()], context.clock.now())?;
    if answers.peek().is_none() {
        match saved.folder(dataset.name) {
            Some(folder) => bail!(
                "no saved answer for {day}: {} does not exist, nor do {day}.json, all.json and all-0001.json there",
                folder.join(format!("{day}-0001.json")).display()
            ),
            None => bail!("the pull has no pages"),
        }
    }
    Ok(answers)
}

/// Notes what the search counted before and after the listing.
fn counted(landing: &mut Landing, before: u64, after: u64) -> Result<()> {
    landing.source_total("search_total_before", before);
    landing.source_total("search_total_after", after);
    ensure!(
        landing.rows() > 0 || before == 0 || after == 0,
        "the listing is empty where the search counts {after}: the token may not read the records"
    );
    Ok(())
}

/// How the search is asked, and nothing else.
const SEARCH: &str = "POST";

/// Beyond this many pages a listing is taken for endless: more than HubSpot lets an account hold, a hundred on each.
const MOST_PAGES: usize = 200_000;

/// Follows the cursor until the page that names no next one. While a page is written, the next one is on its way. A page
/// that has come before is an error.
async fn list_live(
    context: &Context<'_>,
    client: &mut Client,
    object: Object,
    landing: &mut Landing,
    seen: &mut Seen,
) -> Result<()> {
    let at = |records: u64| format!("the page after {records} records");
    let mut cursors = BTreeSet::new();
    // Pages by a hash of their ids: a listing in a circle is noticed by what it holds, whatever its cursors are called.
    let mut pages = HashSet::new();
    let mut records = 0;
    let mut url = client.list_url(object, None)?;
    let mut answer = client.get(&url).await.with_context(|| at(records))?;
    loop {
        let list = List::parse(&answer.body).with_context(|| at(records))?;
        ensure!(
            !list.records.is_empty() || list.next.is_none(),
            "{} is empty and names a next page: the cursor leads nowhere",
            at(records)
        );
        let mut ids = DefaultHasher::new();
        list.records.iter().filter_map(record::id).for_each(|id| id.hash(&mut ids));
        let is_new = list.records.is_empty() || pages.insert(ids.finish());
        ensure!(is_new, "{} repeats an earlier one: the cursor leads back", at(records));
        ensure!(pages.len() <= MOST_PAGES, "{} is one of more than {MOST_PAGES}: the listing has no end", at(records));
        records += list.records.len() as u64;
        let next = list.next.map(|next| {
            let is_new = cursors.insert(next.clone());
            ensure!(is_new, "{} has been read already: the cursor leads back", at(records));
            client.list_url(object, Some(&next))
        });
        let next = next.transpose()?;
        let coming = async {
            let Some(url) = &next else { return Ok(None) };
            client.get(url).await.map(Some).with_context(|| at(records))
        };
        let written = async {
            let page = landing.page(&asked("GET", url.as_str(), &answer))?;
            seen.push(landing, page, &list.records)?;
            (context.progress)(object.dataset().name, None, landing.rows());
            Ok(())
        };
        // In this order: what is asked for comes while the page is written, which waits for nothing.
        let (came, ()) = try_join(coming, written).await?;
        let (Some(came), Some(next)) = (came, next) else { return Ok(()) };
        (answer, url) = (came, next);
    }
}

/// How many records the search counts.
async fn total(client: &mut Client, object: Object, landing: &mut Landing) -> Result<u64> {
    let (url, answer) = client.search(object).await?;
    landing.page(&asked(SEARCH, &url, &answer))?;
    record::total(&answer.body).context("the search")
}

/// HubSpot's URLs hold no secrets: the token travels in a header.
fn asked<'a>(method: &'static str, url: &'a str, answer: &'a Answer) -> Page<'a> {
    Page { method, url, status: answer.status.as_u16(), fetched_at: answer.fetched_at, body: &answer.body }
}
