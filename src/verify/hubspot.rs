//! HubSpot's search totals: how many contacts and deals there are, by stage and day of creation. The listing that the
//! marts are made of is not asked.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{Days, NaiveDate};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::questions::Put;
use super::{Answers, Around, Asked, setting};
use crate::config::HubSpot;
use crate::extract::http::{get, standard};
use crate::periods;

/// HubSpot allows an account so many searches in a second, all its apps together.
const SEARCHES_PER_SECOND: usize = 5;
/// Values that one filter may list.
const VALUES: usize = 100;

/// Columns of the contacts' stages, and the stages' own names.
const STAGES: [(&str, &str); 7] = [
    ("subscribers", "subscriber"),
    ("leads", "lead"),
    ("marketing_qualified", "marketingqualifiedlead"),
    ("sales_qualified", "salesqualifiedlead"),
    ("opportunities", "opportunity"),
    ("customers", "customer"),
    ("evangelists", "evangelist"),
];

/// An account.
pub(super) struct Crm<'a> {
    around: &'a Around<'a>,
    settings: &'a HubSpot,
    token: SecretString,
    /// When the last searches were sent, oldest first.
    sent: VecDeque<Instant>,
}

impl<'a> Crm<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        let settings = setting(around.org.hubspot.as_ref(), "hubspot")?;
        let token = settings.access_token.read().context("reading access_token of HubSpot")?;
        Ok(Crm { around, settings, token, sent: VecDeque::new() })
    }

    pub(super) async fn put(&mut self, put: Put, asked: Asked) -> Result<Answers> {
        match put {
            Put::Contacts => self.contacts(asked).await.context("asking for contacts"),
            Put::Deals => self.deals(asked).await.context("asking for deals"),
            _ => bail!("the question is none of HubSpot's"),
        }
    }

    async fn contacts(&mut self, asked: Asked) -> Result<Answers> {
        let day = asked.last_day();
        let mut found = Answers::new();
        let there = self.there(day)?;
        let total = self.total("contacts", &there, &[]).await?;
        for (column, days) in [("new_contacts_30d", 29), ("new_contacts_7d", 6)] {
            let since = json!({
                "propertyName": "createdate", "operator": "GTE", "value": self.millis(day - Days::new(days))?,
            });
            // Without a day of creation nothing is new.
            let count = self.total("contacts", &there[..1], &[since]).await?;
            found.insert(column.into(), Some(count));
        }
        let mut staged = Decimal::ZERO;
        for (column, stage) in STAGES {
            let is_it = json!({ "propertyName": "lifecyclestage", "operator": "EQ", "value": stage });
            let count = self.total("contacts", &there, &[is_it]).await?;
            staged += count;
            found.insert(column.into(), Some(count));
        }
        found.insert("total_contacts".into(), Some(total));
        found.insert("other_lifecycle".into(), Some(total - staged));
        Ok(found)
    }

    async fn deals(&mut self, asked: Asked) -> Result<Answers> {
        let there = self.there(asked.last_day())?;
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        for archived in [false, true] {
            for stage in self.stages(archived).await? {
                // Flags and numbers are text there.
                let flag = |name: &str| stage["metadata"][name].as_str().unwrap_or_default().trim().to_lowercase();
                let id = stage["id"].as_str().context("a stage has no id")?.to_owned();
                let probability: Option<Decimal> = flag("probability").parse().ok();
                match (flag("isClosed").as_str(), probability) {
                    ("true", Some(probability)) if probability == Decimal::ONE => won.push(id),
                    ("true", _) => lost.push(id),
                    _ => {}
                }
            }
        }
        let total = self.total("deals", &there, &[]).await?;
        let won = self.in_stages(&there, &won).await?;
        let lost = self.in_stages(&there, &lost).await?;
        let columns =
            [("total_deals", total), ("won_deals", won), ("lost_deals", lost), ("open_deals", total - won - lost)];
        Ok(columns.into_iter().map(|(column, count)| (column.to_owned(), Some(count))).collect())
    }

    async fn in_stages(&mut self, there: &[Value], stages: &[String]) -> Result<Decimal> {
        let mut count = Decimal::ZERO;
        for stages in stages.chunks(VALUES) {
            let stages: Vec<_> = stages.iter().map(|stage| stage.to_lowercase()).collect();
            let is_in = json!({ "propertyName": "dealstage", "operator": "IN", "values": stages });
            count += self.total("deals", there, &[is_in]).await?;
        }
        Ok(count)
    }

    /// What is there at the end of a day: created by then, or nobody knows when. Each is a group of its own, of which one
    /// has to hold.
    fn there(&self, day: NaiveDate) -> Result<[Value; 2]> {
        Ok([
            json!({ "propertyName": "createdate", "operator": "LT", "value": self.millis(day + Days::new(1))? }),
            json!({ "propertyName": "createdate", "operator": "NOT_HAS_PROPERTY" }),
        ])
    }

    /// The first instant of a local day, as HubSpot's filters want it.
    fn millis(&self, day: NaiveDate) -> Result<String> {
        Ok(periods::day_starts_at(day, self.around.org.timezone)?.and_utc().timestamp_millis().to_string())
    }

    /// How many records the search counts: one of the filters `any` has to hold, and all of `all`.
    async fn total(&mut self, object: &str, any: &[Value], all: &[Value]) -> Result<Decimal> {
        let group = |one: &Value| {
            let filters: Vec<&Value> = [one].into_iter().chain(all).collect();
            json!({ "filters": filters })
        };
        let groups: Vec<_> = any.iter().map(group).collect();
        let body = json!({ "filterGroups": groups, "properties": ["hs_object_id"], "limit": 1 });
        let path = match (object, self.settings.api_version.as_str()) {
            (object, "v3") => format!("/crm/v3/objects/{object}/search"),
            ("contacts", month) => format!("/crm/objects/{month}/0-1/search"),
            (_, month) => format!("/crm/objects/{month}/0-3/search"),
        };
        let mut request = get(self.url(&path)?, "application/json");
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        if self.sent.len() == SEARCHES_PER_SECOND
            && let Some(first) = self.sent.pop_front()
        {
            tokio::time::sleep_until(first + Duration::from_millis(1_050)).await;
        }
        self.sent.push_back(Instant::now());
        let answer = self.send(request).await?;
        let total = answer["total"].as_u64().context("the search says no total")?;
        Ok(total.into())
    }

    async fn stages(&self, archived: bool) -> Result<Vec<Value>> {
        let mut url = self.url(&match self.settings.api_version.as_str() {
            "v3" => "/crm/v3/pipelines/deals".to_owned(),
            month => format!("/crm/pipelines/{month}/deals"),
        })?;
        if archived {
            url.query_pairs_mut().append_pair("archived", "true");
        }
        let answer = self.send(get(url, "application/json")).await?;
        let pipelines = answer["results"].as_array().context("the answer lists no pipelines")?;
        let stages = pipelines.iter().flat_map(|pipeline| pipeline["stages"].as_array().into_iter().flatten());
        Ok(stages.cloned().collect())
    }

    fn url(&self, path: &str) -> Result<Url> {
        let base = self.settings.base_url.trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).with_context(|| format!("base_url {base}"))
    }

    async fn send(&self, mut request: Request) -> Result<Value> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| anyhow!("access_token holds characters that no header may hold"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let answer = self.around.http.send(&request, &standard).await?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| anyhow!("the answer is not JSON"))?;
        ensure!(body.is_object(), "the answer is JSON and no object");
        Ok(body)
    }
}
