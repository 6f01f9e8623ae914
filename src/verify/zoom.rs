//! Zoom's own totals: how many records a list announces, and what the report by hosts adds up to. Lists are looked through
//! for who joined since the day, and for nothing else; the report by days is not asked. Calls have no such total: the history
//! counts legs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{DateTime, Days, Utc};
use reqwest::{StatusCode, Url};
use rust_decimal::Decimal;
use serde_json::Value;

use super::questions::Put;
use super::{Answers, Around, Asked, answers, setting};
use crate::config::Zoom;
use crate::extract::http::{Verdict, get, standard};
use crate::extract::zoom::AccountCredentials;
use crate::periods;

/// What Zoom says where an account has no Zoom Phone, or its plan no reports: it is 400 with one of these.
const NOT_THERE: [i64; 3] = [200, 2013, 2031];

/// An account.
pub(super) struct Account<'a> {
    around: &'a Around<'a>,
    settings: &'a Zoom,
    credentials: AccountCredentials,
}

impl<'a> Account<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        let settings = setting(around.org.zoom.as_ref(), "zoom")?;
        Ok(Account { around, settings, credentials: AccountCredentials::new(around.http.clone(), settings)? })
    }

    pub(super) async fn put(&mut self, put: Put, asked: Asked) -> Result<Answers> {
        match put {
            Put::ZoomUsers => {
                let next_day = asked.last_day() + Days::new(1);
                let since = periods::day_starts_at(next_day, self.around.org.timezone)?.and_utc();
                let users = self.total("users", &["active", "inactive", "pending"], Some(since)).await?;
                answers(&["total_users"], [users])
            }
            Put::ZoomPhone => {
                let users = self.total("phone/users", &["activate", "deactivate", "pending"], None).await?;
                answers(&["phone_users", "queue_count"], [users, self.total("phone/call_queues", &[], None).await?])
            }
            Put::ZoomMeetings => self.meetings(asked).await,
            _ => bail!("the question is none of Zoom's"),
        }
    }

    /// How many records a list announces, over its statuses, less those of whom it says that they joined at an instant or
    /// later; none where the account has no such list.
    async fn total(&self, path: &str, statuses: &[&str], since: Option<DateTime<Utc>>) -> Result<Option<Decimal>> {
        let mut sum = Decimal::ZERO;
        let all: Vec<Option<&str>> =
            if statuses.is_empty() { vec![None] } else { statuses.iter().copied().map(Some).collect() };
        for status in all {
            let page_size = if since.is_some() { "300" } else { "1" };
            let mut parameters = vec![("page_size", page_size.to_owned())];
            parameters.extend(status.map(|status| ("status", status.to_owned())));
            let Some(mut body) = self.get(path, &parameters).await? else { return Ok(None) };
            sum += number(&body, "total_records").with_context(|| format!("asking {path}"))?;
            let Some(since) = since else { continue };
            let mut tokens = BTreeSet::new();
            loop {
                let joined = |user: &&Value| {
                    let at = user["user_created_at"].as_str().or(user["created_at"].as_str());
                    at.and_then(|at| DateTime::parse_from_rfc3339(at).ok()).is_some_and(|at| at >= since)
                };
                let users = body[path].as_array().with_context(|| format!("the answer lists no {path}"))?;
                sum -= Decimal::from(users.iter().filter(joined).count());
                let Some(token) = body["next_page_token"].as_str().filter(|token| !token.is_empty()) else { break };
                let token = token.to_owned();
                ensure!(tokens.insert(token.clone()), "Zoom gave the same page token twice");
                let mut parameters = parameters.clone();
                parameters.push(("next_page_token", token));
                body = self.get(path, &parameters).await?.context("a list ends with a refusal")?;
            }
        }
        Ok(Some(sum))
    }

    async fn meetings(&self, asked: Asked) -> Result<Answers> {
        let (columns, day) = (["total_meetings", "total_participants", "total_meeting_minutes"], asked.period.start);
        let day = day.to_string();
        let parameters = [("type", "active"), ("from", &day), ("to", &day), ("page_size", "1")]
            .map(|(name, value)| (name, value.to_owned()));
        let Some(body) = self.get("report/users", &parameters).await? else { return answers(&columns, [None; 3]) };
        for member in ["from", "to"] {
            let echoed = body[member].as_str().unwrap_or("missing");
            ensure!(echoed == day, "Zoom answered another question: {member} is {echoed} where {day} was asked");
        }
        columns.into_iter().map(|column| Ok((column.to_owned(), Some(number(&body, column)?)))).collect()
    }

    /// An answer; none where the account does not have what is asked for.
    async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Option<Value>> {
        let base = self.settings.base_url.trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}/{path}")).with_context(|| format!("base_url {base}"))?;
        url.query_pairs_mut().extend_pairs(parameters);
        // Zoom counts the requests of a second for the account, all its apps together.
        tokio::time::sleep(std::time::Duration::from_secs(1) / self.settings.requests_per_second.max(1)).await;
        let judge = |status: StatusCode, headers: &_, body: &[u8]| match standard(status, headers, body) {
            Verdict::Fail(_) if status == StatusCode::BAD_REQUEST && is_not_there(body) => Verdict::Done,
            verdict => verdict,
        };
        let answer = self.around.http.send_with(get(url, "application/json"), &self.credentials, &judge).await?;
        if answer.status == StatusCode::BAD_REQUEST {
            return Ok(None);
        }
        serde_json::from_slice(&answer.body).map(Some).map_err(|_| anyhow!("the answer of {path} is not JSON"))
    }
}

fn is_not_there(body: &[u8]) -> bool {
    let code = serde_json::from_slice::<Value>(body).ok().and_then(|body| body["code"].as_i64());
    code.is_some_and(|code| NOT_THERE.contains(&code))
}

fn number(body: &Value, member: &str) -> Result<Decimal> {
    let number = body[member].as_i64().with_context(|| format!("the answer has no {member}"))?;
    Ok(number.into())
}
