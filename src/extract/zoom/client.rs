//! Lists of the API, page by page: over the network, or from saved pages.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;
use serde_json::Value;

use super::field::Record;
use super::page::{Kept, Listing, Outcome, Said, read, redacted};
use super::token::AccountCredentials;
use super::{fault, saved};
use crate::extract::http::{Answer, HttpClient, get};
use crate::extract::{Context, Saved};

/// A list of the API.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub path: &'static str,
    /// Names the list goes by in the answer, best first.
    pub lists: &'static [&'static str],
    /// Members of a record that are kept in staged pages.
    pub kept: &'static [&'static str],
    /// The scope an app needs for it.
    pub scope: &'static str,
}

/// One list to be read.
#[derive(Debug)]
pub(super) struct Ask {
    pub endpoint: &'static Endpoint,
    /// Everything but the page token: it must not change from page to page.
    pub params: Vec<(&'static str, String)>,
    pub dataset: &'static str,
    /// File names of saved pages, without number and ending: those of the first that there are count.
    pub stems: Vec<String>,
    /// Whether there may be no saved page at all.
    pub may_lack: bool,
}

/// A list is read anew so many times when its page token dies.
const RESTARTS: usize = 2;
/// Beyond this many pages a list is taken for endless.
const MOST_PAGES: usize = 20_000;

/// Reads lists.
pub(super) enum Client<'a> {
    Live(Box<Live<'a>>),
    Saved(&'a Context<'a>, Saved),
}

/// The API itself.
pub(super) struct Live<'a> {
    context: &'a Context<'a>,
    base_url: &'a str,
    http: HttpClient,
    credentials: AccountCredentials,
    patience: Duration,
    pause: Duration,
}

impl<'a> Client<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Result<Self> {
        if let Some(saved) = &context.saved {
            return Ok(Client::Saved(context, saved.clone()));
        }
        let settings = context.org.zoom.as_ref().context("the organisation has no [org.zoom]")?;
        let limits = &context.config.limits;
        let http = HttpClient::new(limits, context.clock.clone())?;
        Ok(Client::Live(Box::new(Live {
            context,
            base_url: settings.base_url.trim_end_matches('/'),
            credentials: AccountCredentials::new(http.clone(), settings)?,
            http,
            patience: Duration::from_secs(limits.max_backoff_secs),
            pause: Duration::from_secs(1) / settings.requests_per_second.max(1),
        })))
    }

    /// What time it is for Zoom; none for saved pages, of which everything is kept.
    pub(super) async fn today(&self) -> Result<Option<DateTime<Utc>>> {
        match self {
            Client::Live(live) => live.credentials.now().await.map(Some),
            Client::Saved(..) => Ok(None),
        }
    }

    /// Reads a whole list. A page token that dies sends back to its first page.
    ///
    /// # Errors
    /// Besides what fails on the way, a list that is empty although Zoom announces records: its totals are advisory, so
    /// too few are for the audit to tell of, but of nothing at all a zero would be published.
    pub(super) async fn list<R>(&self, ask: &Ask, parse: impl Fn(&Record) -> Result<R>) -> Result<Listing<R>> {
        let listing = match self {
            Client::Saved(context, answers) => saved::list(context, answers, ask, &parse)?,
            Client::Live(live) => live.list_patiently(ask, &parse).await?,
        };
        if let Outcome::Read { announced: Some(announced), received: 0 } = listing.outcome {
            ensure!(
                announced == 0,
                "GET {}: Zoom announces {announced} records and gives none: the app may not read them, or Zoom is \
                 disturbed; run the job again later",
                ask.endpoint.path
            );
        }
        Ok(listing)
    }
}

impl Live<'_> {
    /// Asks for the first page of a list; whether the account has it.
    pub(super) async fn has(&self, endpoint: &'static Endpoint, params: Vec<(&'static str, String)>) -> Result<bool> {
        let ask = Ask { endpoint, params, dataset: "", stems: Vec::new(), may_lack: false };
        let first = self.url(&ask)?;
        let (_, body) = self.page(&ask, &first, None).await?;
        let place = || format!("GET {}", crate::extract::http::without_query(&first));
        let said = read(endpoint, &body, &|_: &Record| Ok(())).with_context(place)?;
        Ok(!matches!(said, Said::NotAvailable(_)))
    }

    /// Reads a list, and again from its start when its page token dies.
    async fn list_patiently<R>(&self, ask: &Ask, parse: &impl Fn(&Record) -> Result<R>) -> Result<Listing<R>> {
        for _ in 0..=RESTARTS {
            if let Some(listing) = self.list(ask, parse).await? {
                return Ok(listing);
            }
            tracing::warn!(path = ask.endpoint.path, "the page token died, reading the list from its start");
        }
        bail!(
            "GET {}: the page token died {} times before the list was read: Zoom lets it live 15 minutes",
            ask.endpoint.path,
            RESTARTS + 1
        )
    }

    /// Reads a list once; none when its page token died on the way.
    async fn list<R>(&self, ask: &Ask, parse: &impl Fn(&Record) -> Result<R>) -> Result<Option<Listing<R>>> {
        let first = self.url(ask)?;
        let place = || format!("GET {}", crate::extract::http::without_query(&first));
        let (mut records, mut pages) = (Vec::new(), Vec::new());
        let (mut announced, mut tokens, mut token) = (None, BTreeSet::new(), None);
        loop {
            let (answer, body) = self.page(ask, &first, token.as_deref()).await?;
            let said = read(ask.endpoint, &body, parse).with_context(place)?;
            pages.push(Kept {
                method: "GET".to_owned(),
                url: first.to_string(),
                status: answer.status.as_u16(),
                fetched_at: answer.fetched_at,
                body: redacted(ask.endpoint, &body),
            });
            let next = match said {
                Said::NotAvailable(code) => {
                    ensure!(token.is_none(), "{}: Zoom says {code} in the middle of a list", place());
                    return Ok(Some(Listing { records, pages, outcome: Outcome::NotAvailable { code } }));
                }
                Said::DeadToken if token.is_some() => return Ok(None),
                Said::DeadToken => bail!("{}: Zoom speaks of a page token where none was sent", place()),
                Said::Page { records: read, announced: total, next } => {
                    ask.check_echo(&body).with_context(place)?;
                    ensure!(
                        !read.is_empty() || next.is_none(),
                        "{}: a page without records says that more follow",
                        place()
                    );
                    let page = pages.len() - 1;
                    records.extend(read.into_iter().map(|record| (page, record)));
                    announced = total.or(announced);
                    next
                }
            };
            (self.context.progress)(ask.dataset, None, records.len() as u64);
            let Some(next) = next else {
                let received = i64::try_from(records.len())?;
                return Ok(Some(Listing { records, pages, outcome: Outcome::Read { announced, received } }));
            };
            ensure!(tokens.insert(next.clone()), "{}: Zoom gave the same page token twice", place());
            ensure!(pages.len() < MOST_PAGES, "{}: more than {MOST_PAGES} pages", place());
            token = Some(next);
        }
    }

    async fn page(&self, ask: &Ask, first: &Url, token: Option<&str>) -> Result<(Answer, Value)> {
        let mut url = first.clone();
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("next_page_token", token);
        }
        tokio::time::sleep(self.pause).await;
        let classify = |status, headers: &_, body: &[u8]| {
            fault::classify(ask.endpoint, self.http.clock().now(), self.patience, (status, headers, body))
        };
        let answer = self.http.send_with(get(url, "application/json"), &self.credentials, &classify).await?;
        let body = serde_json::from_slice(&answer.body)?;
        Ok((answer, body))
    }

    /// The URL of the first page. It holds no secret.
    fn url(&self, ask: &Ask) -> Result<Url> {
        let mut url = Url::parse(&format!("{}/{}", self.base_url, ask.endpoint.path))?;
        url.query_pairs_mut().extend_pairs(ask.params.iter().map(|(name, value)| (*name, value.as_str())));
        Ok(url)
    }
}

impl Ask {
    /// Zoom cuts a range that it finds too wide without an error, but says which range it answered.
    fn check_echo(&self, body: &Value) -> Result<()> {
        for (name, asked) in &self.params {
            let (is_same, answered) = match (*name, body.get(*name)) {
                ("from" | "to", Some(Value::String(text))) => {
                    let day = |text: &str| text.get(..10)?.parse::<NaiveDate>().ok();
                    // It may write the day in the account's time zone, which is at most a day off.
                    let apart = day(text).zip(day(asked)).map(|(one, other)| (one - other).num_days().abs());
                    (apart.is_some_and(|days| days <= 1), text.clone())
                }
                ("year" | "month", Some(Value::Number(number))) => (number.to_string() == *asked, number.to_string()),
                _ => continue,
            };
            ensure!(is_same, "Zoom answered another question: {name} is {answered} where {asked} was asked");
        }
        Ok(())
    }
}
