//! Verification: an independent question to the live source about what a mart says, and whether the two agree.
//!
//! The questions stand in [`questions`], one literal each; a module for each source puts them. What they have in common
//! with extraction is the transport and nothing else: connections, tokens, retries. They are told which organisation,
//! which period, and up to which day, and give a number for each column; what is made of it is in [`outcome`].

mod bigquery;
mod cases;
mod hubspot;
mod ledger;
pub mod outcome;
mod published;
pub mod questions;
mod quickbooks;
mod record;
mod softbase;
mod tsql;
mod zoom;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::{Config, Org};
use crate::datasets::Connector;
use crate::extract::http::HttpClient;
use crate::extract::oauth::TokenStore;
use crate::jobs::Job;
use crate::periods::{self, Period};

pub use outcome::{Compared, NotAsked, Outcome};
pub(crate) use published::computed;
pub use published::{Row, between, rows};
pub use record::record;

use questions::{About, Put, Question};

/// How the error of a row begins to which the question was not put any more.
pub(crate) const NOT_ASKED_AGAIN: &str = "not asked again: ";

/// What a verification came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    pub compared: Vec<Compared>,
    pub not_asked: Vec<NotAsked>,
}

impl Verified {
    /// Whether sources were asked, all of them answered, and all answers agree.
    pub fn is_good(&self) -> bool {
        !self.compared.is_empty() && self.compared.iter().all(|cell| cell.outcome.is_good())
    }
}

/// What every question is put with.
pub struct Around<'a> {
    pub config: &'a Config,
    pub org: &'a Org,
    pub http: &'a HttpClient,
    pub clock: &'a Clock,
    pub tokens: &'a dyn TokenStore,
}

/// A row to be asked about: its period, and the last day that it reports.
#[derive(Debug, Clone, Copy)]
struct Asked {
    period: Period,
    as_of: NaiveDate,
}

impl Asked {
    /// The last day of the period that is reported.
    fn last_day(self) -> NaiveDate {
        self.period.end.min(self.as_of)
    }
}

/// What a source answered: a number, or that it has none, by column. Of a JSON column, by `column / entry`.
type Answers = BTreeMap<String, Option<Decimal>>;

/// An organisation's sources, each connected to when it is first asked.
pub struct Sources<'a> {
    around: &'a Around<'a>,
    dealer: Option<softbase::Dealer<'a>>,
    cases: Option<cases::CaseTable<'a>>,
    quickbooks: Option<quickbooks::Books<'a>>,
    hubspot: Option<hubspot::Crm<'a>>,
    zoom: Option<zoom::Account<'a>>,
    bigquery: Option<bigquery::Export<'a>>,
}

/// What stands in a place that is filled when first needed.
fn ready<T>(place: &mut Option<T>, make: impl FnOnce() -> Result<T>) -> Result<&mut T> {
    let made = match place.take() {
        Some(made) => made,
        None => make()?,
    };
    Ok(place.insert(made))
}

impl<'a> Sources<'a> {
    /// None is connected to yet.
    pub fn new(around: &'a Around<'a>) -> Self {
        Sources { around, dealer: None, cases: None, quickbooks: None, hubspot: None, zoom: None, bigquery: None }
    }

    async fn put(&mut self, question: &Question, asked: Asked) -> Result<Answers> {
        let around = self.around;
        match question.put {
            Put::Invoices | Put::WorkOrders | Put::Fleet | Put::RentalRevenue => {
                let dealer = ready(&mut self.dealer, || softbase::Dealer::new(around))?;
                dealer.put(question, asked).await
            }
            Put::Financial | Put::CashFlow => {
                let dealer = ready(&mut self.dealer, || softbase::Dealer::new(around))?;
                ledger::put(dealer, question, asked).await
            }
            Put::QuickBooksReport(name) => {
                ready(&mut self.quickbooks, || quickbooks::Books::new(around))?.put(name, asked).await
            }
            Put::Contacts | Put::Deals => {
                ready(&mut self.hubspot, || hubspot::Crm::new(around))?.put(question.put, asked).await
            }
            Put::ZoomUsers | Put::ZoomPhone | Put::ZoomMeetings => {
                ready(&mut self.zoom, || zoom::Account::new(around))?.put(question.put, asked).await
            }
            Put::Cases | Put::CasesByStatus => {
                ready(&mut self.cases, || cases::CaseTable::new(around))?.put(question, asked).await
            }
            Put::AppUsers => ready(&mut self.bigquery, || bigquery::Export::new(around))?.put(question, asked).await,
        }
    }
}

/// Puts every question about some rows of a mart, and compares.
///
/// After a question that got no answer the same one is not put about further rows: the source has been given all its
/// tries. Those rows count as unanswered too.
pub async fn verify(sources: &mut Sources<'_>, job: &'static Job, connector: Connector, rows: &[Row]) -> Verified {
    let around = sources.around;
    let mut verified = Verified::default();
    for question in questions::of(job.name, connector) {
        let mut silent: Option<String> = None;
        for row in rows {
            if let Some(reason) = not_askable(around, question, row) {
                verified.not_asked.push(NotAsked {
                    org: around.org.slug.clone(),
                    job: job.name,
                    mart: job.mart,
                    period: row.period.start,
                    columns: question.columns.to_vec(),
                    reason,
                });
                continue;
            }
            let asked_at = around.clock.now();
            let answers = match &silent {
                Some(before) => Err(format!("{NOT_ASKED_AGAIN}{before}")),
                None => {
                    let asked = Asked { period: row.period, as_of: row.as_of };
                    let answers = sources.put(question, asked).await;
                    answers.map_err(|error| format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
                }
            };
            if let (Err(error), None) = (&answers, &silent) {
                silent = Some(error.clone());
            }
            for Beside { column, published, answer } in pairs(question, row, &answers) {
                let days = (row.last_day() - year_start(around.org, row)).num_days().unsigned_abs();
                let mut compared = Compared {
                    org: around.org.slug.clone(),
                    job: job.name,
                    mart: job.mart,
                    period: row.period.start,
                    column,
                    published,
                    source: None,
                    difference: None,
                    tolerance: question.tolerance.of(published, u32::try_from(days + 1).unwrap_or(u32::MAX)),
                    outcome: Outcome::Unanswered,
                    error: None,
                    asked_at,
                };
                compared.judge(&answer);
                verified.compared.push(compared);
            }
        }
    }
    verified
}

/// The first day that anything in the row adds up from.
fn year_start(org: &Org, row: &Row) -> NaiveDate {
    periods::fiscal_year_start(row.last_day(), org.fiscal_year_start_month).unwrap_or(row.period.start)
}

/// A cell that a question is about: its column, what the mart says, and what the source answered.
struct Beside {
    column: String,
    published: Option<Decimal>,
    answer: Result<Option<Decimal>, String>,
}

/// What stands for all entries that the source has and the mart has not.
const NOT_IN_THE_MART: &str = "(not in the mart)";

/// Each cell that a question is about. Only entries that the mart has are called by their names: these have been looked
/// through for personal data when they were pulled, and what somebody has typed into the source since has not.
fn pairs(question: &Question, row: &Row, answers: &Result<Answers, String>) -> Vec<Beside> {
    let mut pairs = Vec::new();
    for column in question.columns {
        let entry = format!("{column} / ");
        let is_of_it = |name: &String| name == column || name.starts_with(&entry);
        for name in row.values.keys().filter(|name| is_of_it(name)) {
            let answer = match answers {
                Err(error) => Err(error.clone()),
                Ok(answers) => match answers.get(name) {
                    Some(answer) => Ok(*answer),
                    // An entry of which the source does not speak has nothing in it there.
                    None if name != column => Ok(None),
                    None => Err(format!("the source's answer has no {name}")),
                },
            };
            let published = row.values.get(name).copied().flatten();
            pairs.push(Beside { column: name.clone(), published, answer });
        }
        let is_unnamed = |name: &String| name.starts_with(&entry) && !row.values.contains_key(name);
        let unnamed = answers.iter().flatten().filter(|(name, _)| is_unnamed(name)).filter_map(|(_, answer)| *answer);
        if let Some(sum) = unnamed.reduce(|sum, answer| sum + answer) {
            pairs.push(Beside { column: format!("{entry}{NOT_IN_THE_MART}"), published: None, answer: Ok(Some(sum)) });
        }
    }
    pairs
}

/// Why a row cannot be asked about; none when it can.
fn not_askable(around: &Around<'_>, question: &Question, row: &Row) -> Option<String> {
    let now = around.clock.now();
    match question.about {
        About::Any => None,
        About::Present => {
            let complete = periods::last_complete_day(now, around.org.timezone);
            (row.period.end < complete)
                .then(|| format!("the source knows only the present, which stands for {complete} or later"))
        }
        About::SixMonths => {
            let oldest = periods::local_day(now, around.org.timezone) - Months::new(6);
            (row.period.start <= oldest).then(|| format!("the source keeps nothing of before {oldest}"))
        }
    }
}

/// The answers in the order of their columns, of which there are as many.
fn answers<const N: usize>(columns: &[&'static str], values: [Option<Decimal>; N]) -> Result<Answers> {
    ensure!(columns.len() == N, "{} columns are asked about, and {N} are answered", columns.len());
    Ok(columns.iter().map(|column| (*column).to_owned()).zip(values).collect())
}

/// The setting of a connector.
fn setting<'a, T>(setting: Option<&'a T>, name: &str) -> Result<&'a T> {
    setting.with_context(|| format!("the organisation has no [org.{name}]"))
}
