//! BigQuery's REST API: which tables there are, what a query would cost, and its result page by page.
//!
//! `gcp-bigquery-client` writes the requests and reads the answers; our own client carries them (DECISIONS.md says why).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::NaiveDate;
use gcp_bigquery_client::model::data_format_options::DataFormatOptions;
use gcp_bigquery_client::model::job_reference::JobReference;
use gcp_bigquery_client::model::query_request::QueryRequest;
use gcp_bigquery_client::model::query_response::QueryResponse;
use gcp_bigquery_client::model::table_list::TableList;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};

use super::account::ServiceAccount;
use super::fault::classify;
use super::query;
use super::rows::{self, count};
use crate::config::{BigQuery, Limits};
use crate::extract::http::{Answer, HttpClient, get, without_query};

/// Rows of a page at most; BigQuery cuts a page off at about 10 MB besides.
const PAGE_ROWS: i32 = 20_000;
/// Tables of a page of the list.
const PAGE_TABLES: &str = "1000";
/// Pages of one list or result, at which something is wrong.
const MOST_PAGES: usize = 100_000;
/// How long the server may hold a request back before it says that a query still runs.
const SERVER_WAIT: Duration = Duration::from_secs(20);

/// How long a query that is given up may take to hear of it.
const LAST_WORD: Duration = Duration::from_secs(10);

/// A connection to one dataset.
pub(super) struct Wire<'a> {
    pub settings: &'a BigQuery,
    http: HttpClient,
    account: ServiceAccount,
    /// How long the server waits, and how long we do between two questions.
    server_wait: Duration,
    first_wait: Duration,
    longest_wait: Duration,
}

/// One answer of a result, as it came and as it reads.
pub(super) struct ResultPage {
    pub method: &'static str,
    pub url: String,
    pub answer: Answer,
    pub result: QueryResponse,
}

impl<'a> Wire<'a> {
    pub(super) fn new(settings: &'a BigQuery, limits: &Limits, http: HttpClient) -> Result<Self> {
        let account = ServiceAccount::open(settings, http.clone())?;
        let half = Duration::from_millis(limits.http_timeout_secs.saturating_mul(500));
        let first_wait = Duration::from_millis(limits.first_backoff_millis);
        let longest_wait = SERVER_WAIT.min(Duration::from_secs(limits.max_backoff_secs));
        Ok(Wire { settings, http, account, server_wait: SERVER_WAIT.min(half), first_wait, longest_wait })
    }

    /// The days that have a daily table, from a complete list of the dataset's tables.
    pub(super) async fn days(&self) -> Result<BTreeSet<NaiveDate>> {
        let mut days = BTreeSet::new();
        let mut tokens = Tokens::default();
        let mut listed = 0;
        loop {
            let mut url = self.url(&["datasets", &self.settings.dataset, "tables"])?;
            url.query_pairs_mut().append_pair("maxResults", PAGE_TABLES);
            if let Some(token) = &tokens.current {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let answer = self.http.send_with(get(url, "application/json"), &self.account, &classify).await?;
            let list: TableList = serde_json::from_slice(&answer.body)
                .map_err(|error| anyhow!("the answer is no list of tables (line {})", error.line()))?;
            // An answer to another question would read as a list without tables, and every day as absent.
            ensure!(list.kind.as_deref() == Some("bigquery#tableList"), "the answer is no list of tables");
            let tables = list.tables.unwrap_or_default();
            listed += tables.len();
            days.extend(tables.iter().filter_map(|table| query::day(&table.table_reference.table_id)));
            if !tokens.advance(list.next_page_token)? {
                let counted = list.total_items.unwrap_or(0);
                ensure!(listed > 0 || counted == 0, "the list of tables is empty, and says that there are {counted}");
                return Ok(days);
            }
        }
    }

    /// What a query would read, in bytes. Asking costs nothing.
    pub(super) async fn estimate(&self, sql: &str) -> Result<u64> {
        let request = QueryRequest { dry_run: Some(true), ..self.request(sql) };
        let (_, answer) = self.post(&request).await.context("dry run")?;
        let result = rows::parse(&answer.body)?;
        count(result.total_bytes_processed.as_deref(), "totalBytesProcessed")?.context("the dry run gave no estimate")
    }

    /// Asks a query; the first page may be that of a query that still runs.
    pub(super) async fn ask(&self, sql: &str, billed_at_most: u64) -> Result<ResultPage> {
        let request = QueryRequest {
            maximum_bytes_billed: Some(billed_at_most.to_string()),
            max_results: Some(PAGE_ROWS),
            timeout_ms: i32::try_from(self.server_wait.as_millis()).ok(),
            // With it a repeated request is the same query, and is billed once.
            request_id: Some(format!("{:032x}", rand::random::<u128>())),
            ..self.request(sql)
        };
        let (url, answer) = self.post(&request).await?;
        let result = rows::parse(&answer.body)?;
        Ok(ResultPage { method: "POST", url, answer, result })
    }

    /// A page of the result of a query that was asked before.
    async fn page(&self, job: &JobReference, token: Option<&str>) -> Result<ResultPage> {
        let url = self.page_url(job, token)?;
        let name = without_query(&url);
        let answer = self.http.send_with(get(url, "application/json"), &self.account, &classify).await?;
        let result = rows::parse(&answer.body)?;
        Ok(ResultPage { method: "GET", url: name, answer, result })
    }

    fn page_url(&self, job: &JobReference, token: Option<&str>) -> Result<Url> {
        let id = job.job_id.as_deref().context("the answer names no job")?;
        let mut url = self.url(&["queries", id])?;
        let location = job.location.as_deref().unwrap_or(&self.settings.location);
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("location", location);
        pairs.append_pair("maxResults", &PAGE_ROWS.to_string());
        pairs.append_pair("timeoutMs", &self.server_wait.as_millis().to_string());
        pairs.append_pair("formatOptions.useInt64Timestamp", "true");
        if let Some(token) = token {
            pairs.append_pair("pageToken", token);
        }
        drop(pairs);
        Ok(url)
    }

    /// Asks after a query until it is done.
    pub(super) async fn complete(&self, mut page: ResultPage) -> Result<ResultPage> {
        let job = page.result.job_reference.clone().context("the answer names no job")?;
        let mut wait = self.first_wait;
        let limit = Duration::from_secs(self.settings.query_timeout_secs);
        let began = Instant::now();
        while !page.result.job_complete.context("the answer does not say whether the query is done")? {
            if began.elapsed() >= limit {
                let stopped = match tokio::time::timeout(LAST_WORD, self.cancel(&job)).await {
                    Ok(Ok(())) => "which was told to stop",
                    _ => "which may go on",
                };
                bail!(
                    "the query is still running after {} s (query_timeout_secs); its job is {}, {stopped}",
                    limit.as_secs(),
                    job.job_id.as_deref().unwrap_or_default()
                );
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.longest_wait);
            page = self.page(&job, None).await?;
        }
        Ok(page)
    }

    /// Tells a query to stop, because what it still reads is billed although nobody waits for it.
    async fn cancel(&self, job: &JobReference) -> Result<()> {
        let id = job.job_id.as_deref().context("the answer names no job")?;
        let mut url = self.url(&["jobs", id, "cancel"])?;
        url.query_pairs_mut().append_pair("location", job.location.as_deref().unwrap_or(&self.settings.location));
        let mut post = Request::new(Method::POST, url);
        post.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.http.send_with(post, &self.account, &classify).await?;
        Ok(())
    }

    /// The page after one, if there is one.
    pub(super) async fn after(
        &self,
        page: &ResultPage,
        tokens: &mut Tokens,
        job: &JobReference,
    ) -> Result<Option<ResultPage>> {
        if !tokens.advance(page.result.page_token.clone())? {
            return Ok(None);
        }
        let next = self.page(job, tokens.current.as_deref()).await?;
        ensure!(next.result.job_complete == Some(true), "a page of a finished query says that it still runs");
        Ok(Some(next))
    }

    fn request(&self, sql: &str) -> QueryRequest {
        QueryRequest {
            location: Some(self.settings.location.clone()),
            format_options: Some(DataFormatOptions { use_int64_timestamp: Some(true) }),
            ..QueryRequest::new(sql)
        }
    }

    async fn post(&self, request: &QueryRequest) -> Result<(String, Answer)> {
        let url = self.url(&["queries"])?;
        let name = without_query(&url);
        let mut post = Request::new(Method::POST, url);
        post.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        post.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *post.body_mut() = Some(serde_json::to_vec(request)?.into());
        Ok((name, self.http.send_with(post, &self.account, &classify).await?))
    }

    fn url(&self, path: &[&str]) -> Result<Url> {
        let base = &self.settings.base_url;
        let mut url = Url::parse(base).with_context(|| format!("base_url {base:?} is no URL"))?;
        let mut segments = url.path_segments_mut().map_err(|()| anyhow!("base_url {base:?} has no path"))?;
        segments.pop_if_empty().extend(["projects", &self.settings.project]).extend(path);
        drop(segments);
        Ok(url)
    }
}

/// The page tokens of one list or result: each leads on, or the pages would go round for ever.
#[derive(Default)]
pub(super) struct Tokens {
    current: Option<String>,
    seen: BTreeSet<String>,
}

impl Tokens {
    /// Takes the next token; false when there is none.
    fn advance(&mut self, next: Option<String>) -> Result<bool> {
        let Some(next) = next.filter(|token| !token.is_empty()) else { return Ok(false) };
        ensure!(self.seen.insert(next.clone()), "the pages go round: a page token came twice");
        ensure!(self.seen.len() <= MOST_PAGES, "there are more than {MOST_PAGES} pages");
        self.current = Some(next);
        Ok(true)
    }
}
