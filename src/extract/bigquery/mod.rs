//! The export of a GA4 property to BigQuery: one query over each day's table.
//!
//! A list of the dataset's tables says which days there are; a day that is not on it is landed as absent. Before a query
//! a dry run says what it would read, and the query may bill no more than follows from that.

mod account;
mod fault;
mod query;
mod rows;
mod saved;
mod wire;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gcp_bigquery_client::model::query_response::QueryResponse;

use super::http::HttpClient;
use super::{Context, Saved};
use crate::config::{BigQuery, Limits};
use crate::datasets::Dataset;
use crate::periods::{self, Partition};
use crate::staging::{Landed, Landing, Page};
use rows::{Layout, Sane};
use wire::{Tokens, Wire};

/// Pulls the wanted days, a few at a time.
///
/// # Errors
/// Whatever keeps a day from being whole, after the retries that may help: then that day leaves nothing behind. Days
/// pulled before it are landed already, and stay.
pub async fn pull(
    context: &Context<'_>,
    settings: &BigQuery,
    wanted: &[(&'static Dataset, Vec<Partition>)],
) -> Result<Vec<Landed>> {
    let mut landed = Vec::new();
    for (dataset, days) in wanted {
        ensure!(dataset.name == "ga4_events", "{} does not come from BigQuery", dataset.name);
        landed.extend(match &context.saved {
            Some(saved) => pull_saved(context, saved, dataset, days)?,
            None => pull_live(context, settings, dataset, days).await?,
        });
    }
    Ok(landed)
}

/// Proves that the key is accepted, that the dataset's tables are listed and that a query over the newest of them may be
/// asked, by a dry run, which costs nothing. Says so in one line.
///
/// # Errors
/// The first of these that does not hold, in BigQuery's own words.
pub async fn check(context: &Context<'_>, settings: &BigQuery) -> Result<String> {
    let limits = &context.config.limits;
    let wire = Wire::new(settings, limits, HttpClient::new(limits, context.clock.clone())?)?;
    let days = wire.days().await.context("listing the tables")?;
    let newest = days.last().with_context(|| {
        format!("{} has no daily table of events: is the daily export switched on?", settings.dataset)
    })?;
    let bytes = wire.estimate(&query::sql(settings, *newest)).await?;
    Ok(format!(
        "{}: {} daily tables, the newest of {newest}, which takes {bytes} bytes to read",
        settings.dataset,
        days.len()
    ))
}

fn pull_saved(
    context: &Context<'_>,
    saved: &Saved,
    dataset: &'static Dataset,
    days: &[Partition],
) -> Result<Vec<Landed>> {
    saved::ensure_any(context, saved, dataset, days)?;
    let land = |day: &Partition| {
        let mut answers = saved::answers(context, saved, dataset, *day)?;
        if answers.peek().is_none() {
            return absent(context, dataset, *day);
        }
        let mut result = ResultLanding::begin(context, dataset, *day)?;
        for answer in answers {
            let answer = answer?;
            let read = saved::read(&answer)?;
            result.page(&answer.page(), &read).with_context(|| format!("in {}", answer.place))?;
        }
        result.finish()
    };
    days.iter()
        .map(|day| land(day).with_context(|| format!("reading the saved pages of {} {day}", dataset.name)))
        .collect()
}

async fn pull_live(
    context: &Context<'_>,
    settings: &BigQuery,
    dataset: &'static Dataset,
    days: &[Partition],
) -> Result<Vec<Landed>> {
    if days.is_empty() {
        return Ok(Vec::new());
    }
    let limits = &context.config.limits;
    let wire = Wire::new(settings, limits, HttpClient::new(limits, context.clock.clone())?)?;
    let known = wire.days().await.with_context(|| format!("pulling {}: listing the tables", dataset.name))?;
    let wire = &wire;
    let pulls = days.iter().copied().map(|day: Partition| {
        let is_there = known.contains(&day.start());
        async move {
            match is_there {
                true => pull_day(context, wire, dataset, day).await,
                false => absent(context, dataset, day),
            }
            .with_context(|| format!("pulling {} {day}", dataset.name))
        }
    });
    stream::iter(pulls).buffered(usize::from(limits.http_concurrency.max(1))).try_collect().await
}

/// Asks a query whose answer is one row, as texts by the columns' names: with a dry run before it, and no more billed than
/// follows from that.
///
/// # Errors
/// Whatever keeps it from an answer after the retries that may help, and an answer of another shape.
pub(crate) async fn one_row(
    settings: &BigQuery,
    limits: &Limits,
    http: HttpClient,
    sql: &str,
) -> Result<BTreeMap<String, Option<String>>> {
    let wire = Wire::new(settings, limits, http)?;
    let page = wire.complete(wire.ask(sql, billed_at_most(&wire, sql).await?.1).await?).await?;
    let fields = page.result.schema.and_then(|schema| schema.fields).context("the answer has no schema")?;
    let rows = page.result.rows.unwrap_or_default();
    let cells = match rows.as_slice() {
        [row] => row.columns.clone().unwrap_or_default(),
        rows => bail!("the answer has {} rows where one was asked for", rows.len()),
    };
    ensure!(cells.len() == fields.len(), "the answer's row has {} cells for {} columns", cells.len(), fields.len());
    let texts = cells.into_iter().map(|cell| cell.value.and_then(|value| Some(value.as_str()?.to_owned())));
    Ok(fields.into_iter().map(|field| field.name).zip(texts).collect())
}

/// What a dry run says that a query would read, and what it may bill.
async fn billed_at_most(wire: &Wire<'_>, sql: &str) -> Result<(u64, u64)> {
    let estimate = wire.estimate(sql).await?;
    let limit = query::limit(estimate, wire.settings).with_context(|| {
        format!(
            "the query would read {estimate} bytes, more than max_billed_mib = {} allows",
            wire.settings.max_billed_mib
        )
    })?;
    Ok((estimate, limit))
}

async fn pull_day(context: &Context<'_>, wire: &Wire<'_>, dataset: &'static Dataset, day: Partition) -> Result<Landed> {
    let sql = query::sql(wire.settings, day.start());
    let (estimate, limit) = billed_at_most(wire, &sql).await?;
    tracing::debug!(%day, estimate, limit, "asking a day of events");
    let mut page = wire.complete(wire.ask(&sql, limit).await?).await?;
    let job = page.result.job_reference.clone().context("the answer names no job")?;
    let mut result = ResultLanding::begin(context, dataset, day)?;
    result.landing.source_total("estimated_bytes", estimate);
    let mut tokens = Tokens::default();
    loop {
        let answer = &page.answer;
        let kept = Page {
            method: page.method,
            url: &page.url,
            status: answer.status.as_u16(),
            fetched_at: answer.fetched_at,
            body: &answer.body,
        };
        result.page(&kept, &page.result)?;
        (context.progress)(dataset.name, None, result.landing.rows());
        match wire.after(&page, &mut tokens, &job).await? {
            Some(next) => page = next,
            None => break,
        }
    }
    result.finish()
}

/// Lands the word of the source that it has no such day.
fn absent(context: &Context<'_>, dataset: &'static Dataset, day: Partition) -> Result<Landed> {
    let landing = context.staging.begin(dataset, &context.org.slug, day, context.pulled_at)?;
    let landed = landing.finish_absent()?;
    (context.progress)(dataset.name, Some(day), 0);
    Ok(landed)
}

/// The result of a day's query on its way to staging, page by page.
struct ResultLanding<'a> {
    context: &'a Context<'a>,
    dataset: &'static Dataset,
    partition: Partition,
    day: NaiveDate,
    landing: Landing,
    sane: Sane,
    /// From the first page.
    layout: Option<Layout>,
    total: Option<u64>,
}

impl<'a> ResultLanding<'a> {
    fn begin(context: &'a Context<'a>, dataset: &'static Dataset, partition: Partition) -> Result<Self> {
        let landing = context.staging.begin(dataset, &context.org.slug, partition, context.pulled_at)?;
        let sane = Sane::new(periods::local_day(context.pulled_at, context.org.timezone))?;
        Ok(ResultLanding {
            context,
            dataset,
            partition,
            day: partition.start(),
            landing,
            sane,
            layout: None,
            total: None,
        })
    }

    fn page(&mut self, page: &Page<'_>, result: &QueryResponse) -> Result<()> {
        let number = self.landing.page(page)?;
        if let Some(schema) = &result.schema {
            self.layout = Some(Layout::read(schema)?);
        }
        let total = rows::count(result.total_rows.as_deref(), "totalRows")?.context("the answer has no totalRows")?;
        let known = *self.total.get_or_insert(total);
        ensure!(known == total, "totalRows was {known} and is {total} on a later page");
        // An empty page has no rows at all.
        let rows = result.rows.as_deref().unwrap_or_default();
        let layout = self.layout.as_ref().context("the answer has no schema")?;
        rows::land(&mut self.landing, number, layout, rows, self.day, &self.sane)?;
        Ok(())
    }

    fn finish(mut self) -> Result<Landed> {
        let total = self.total.context("there is no answer")?;
        let rows = self.landing.rows();
        ensure!(rows == total, "the pages have {rows} rows, and totalRows says {total}");
        self.landing.source_total("total_rows", total);
        let landed = self.landing.finish()?;
        (self.context.progress)(self.dataset.name, Some(self.partition), rows);
        Ok(landed)
    }
}
