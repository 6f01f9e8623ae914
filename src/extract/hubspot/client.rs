//! What is asked of HubSpot: its paths in both families, with the token, at the pace it allows.

use anyhow::{Context as _, Result, anyhow, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::answer;
use super::pace::Pace;
use crate::config::HubSpot;
use crate::datasets::{Dataset, dataset};
use crate::extract::Context;
use crate::extract::http::{Answer, HttpClient, get};
use crate::periods;

/// The most that HubSpot gives in one page of a listing.
const PAGE_SIZE: &str = "100";

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Contacts,
    Deals,
}

impl Object {
    pub(super) fn dataset(self) -> &'static Dataset {
        let name = match self {
            Object::Contacts => "hubspot_contacts",
            Object::Deals => "hubspot_deals",
        };
        dataset(name).expect("the table of datasets has it")
    }

    /// Its name in messages.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Object::Contacts => "contact",
            Object::Deals => "deal",
        }
    }

    /// The properties that are asked for, and no others: nothing that names a person.
    pub(super) fn properties(self) -> &'static [&'static str] {
        match self {
            Object::Contacts => &["createdate", "lastmodifieddate", "lifecyclestage"],
            Object::Deals => &[
                "amount",
                "amount_in_home_currency",
                "closedate",
                "createdate",
                "deal_currency_code",
                "dealstage",
                "hs_lastmodifieddate",
                "pipeline",
            ],
        }
    }

    /// Its path: by name in v3, by type where versions are named by their month.
    fn path(self, version: &str) -> String {
        match (self, version) {
            (Object::Contacts, "v3") => "/crm/v3/objects/contacts".to_owned(),
            (Object::Deals, "v3") => "/crm/v3/objects/deals".to_owned(),
            (Object::Contacts, month) => format!("/crm/objects/{month}/0-1"),
            (Object::Deals, month) => format!("/crm/objects/{month}/0-3"),
        }
    }
}

/// HubSpot, as one organisation's token sees it.
pub(super) struct Client {
    http: HttpClient,
    base_url: String,
    version: String,
    token: SecretString,
    pace: Pace,
    timezone: chrono_tz::Tz,
}

impl Client {
    pub(super) fn new(context: &Context<'_>, settings: &HubSpot) -> Result<Self> {
        Ok(Client {
            http: HttpClient::new(&context.config.limits, context.clock.clone())?,
            base_url: settings.base_url.clone(),
            version: settings.api_version.clone(),
            token: settings.access_token.read().context("reading access_token of HubSpot")?,
            pace: Pace::default(),
            timezone: context.org.timezone,
        })
    }

    pub(super) fn list_url(&self, object: Object, after: Option<&str>) -> Result<Url> {
        let mut url = self.url(&object.path(&self.version))?;
        url.query_pairs_mut()
            .append_pair("limit", PAGE_SIZE)
            .append_pair("archived", "false")
            .append_pair("properties", &object.properties().join(","));
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        Ok(url)
    }

    pub(super) fn lifecycle_stages_url(&self) -> Result<Url> {
        self.url(&match self.version.as_str() {
            "v3" => "/crm/v3/properties/contacts/lifecyclestage".to_owned(),
            month => format!("/crm/properties/{month}/contacts/lifecyclestage"),
        })
    }

    pub(super) fn pipelines_url(&self, archived: bool) -> Result<Url> {
        let mut url = self.url(&match self.version.as_str() {
            "v3" => "/crm/v3/pipelines/deals".to_owned(),
            month => format!("/crm/pipelines/{month}/deals"),
        })?;
        if archived {
            url.query_pairs_mut().append_pair("archived", "true");
        }
        Ok(url)
    }

    fn url(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}{path}", self.base_url)).with_context(|| format!("base_url {}", self.base_url))
    }

    pub(super) async fn get(&mut self, url: &Url) -> Result<Answer> {
        self.send(get(url.clone(), "application/json")).await
    }

    /// A search that finds everything and shows next to nothing: it is asked for its total.
    pub(super) async fn search(&mut self, object: Object) -> Result<(String, Answer)> {
        let url = self.url(&format!("{}/search", object.path(&self.version)))?;
        let mut request = get(url.clone(), "application/json");
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json!({ "filterGroups": [], "properties": ["hs_object_id"], "limit": 1 });
        *request.body_mut() = Some(body.to_string().into());
        Ok((url.into(), self.send(request).await?))
    }

    async fn send(&mut self, mut request: Request) -> Result<Answer> {
        let until = self.daily_limit_ends()?;
        self.pace.wait().await;
        ensure!(!self.pace.is_spent(), "{}", answer::spent(&until));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| anyhow!("access_token holds characters that no header may hold"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let answer =
            self.http.send(&request, &|status, headers, body| answer::classify(status, headers, body, &until)).await?;
        self.pace.learn(&answer.headers);
        Ok(answer)
    }

    /// The daily limit starts anew at midnight in the account's time zone, which is taken to be the organisation's.
    fn daily_limit_ends(&self) -> Result<String> {
        let tomorrow = periods::local_day(self.http.clock().now(), self.timezone) + chrono::Days::new(1);
        let at = periods::day_starts_at(tomorrow, self.timezone)?;
        Ok(format!("{} UTC, midnight in {}", at.format("%Y-%m-%d %H:%M"), self.timezone))
    }
}
