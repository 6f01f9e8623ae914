//! From HubSpot's answers to rows of the datasets.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use serde_json::value::RawValue;

use super::client::Object;
use super::record::{Members, decimal, flag, id, instant, integer, parse, text};
use crate::staging::{Landing, Value};

/// A listing on its way to staging.
pub(super) struct Seen {
    object: Object,
    /// The last day that an instant may be of: two years ahead.
    latest: NaiveDate,
    records: u64,
    /// Properties without which the mart could not be computed, and that no record has had yet.
    missing: BTreeSet<&'static str>,
}

impl Seen {
    pub(super) fn new(object: Object, as_of: NaiveDate) -> Result<Self> {
        let needed: &[&str] = match object {
            Object::Contacts => &["createdate", "lifecyclestage"],
            Object::Deals => &["amount", "createdate", "dealstage", "pipeline"],
        };
        let latest = as_of.checked_add_months(Months::new(24)).context("the day reported is out of range")?;
        Ok(Seen { object, latest, records: 0, missing: needed.iter().copied().collect() })
    }

    /// Adds the records of a page.
    pub(super) fn push(&mut self, landing: &mut Landing, page: i64, records: &[Members<'_>]) -> Result<()> {
        for record in records {
            let id = id(record).with_context(|| format!("a {} has no id", self.object.singular()))?;
            self.push_record(landing, page, &id, record).with_context(|| format!("{} {id}", self.object.singular()))?;
            self.records += 1;
        }
        Ok(())
    }

    fn push_record(&mut self, landing: &mut Landing, page: i64, id: &str, record: &Members<'_>) -> Result<()> {
        let properties = record.get("properties").filter(|properties| properties.get() != "null");
        let properties = properties.context("it has no properties")?;
        let properties = Members::of(properties).context("properties")?;
        self.missing.retain(|name| properties.get(name).is_none());
        let property = |name: &'static str| text(properties.get(name)).context(name);
        let amount = |name: &'static str| decimal(properties.get(name)).context(name);
        let at = |from: Option<&RawValue>, name: &'static str| {
            let instant = instant(from).context(name)?;
            anyhow::Ok(instant.filter(|instant| self.is_plausible(*instant)))
        };
        let created_at = at(properties.get("createdate"), "createdate")?;
        let record_created_at = at(record.get("createdAt"), "createdAt")?;
        let updated_at = at(record.get("updatedAt"), "updatedAt")?;
        // Listings of what is not archived may leave the mark out.
        let is_archived = flag(record.get("archived")).context("archived")?.unwrap_or(false);
        match self.object {
            Object::Contacts => {
                let lifecycle_stage = property("lifecyclestage")?;
                landing.push(
                    Some(page),
                    &[
                        Value::Text(id),
                        lifecycle_stage.as_deref().into(),
                        created_at.into(),
                        record_created_at.into(),
                        at(properties.get("lastmodifieddate"), "lastmodifieddate")?.or(updated_at).into(),
                        Value::Bool(is_archived),
                    ],
                )
            }
            Object::Deals => {
                let (pipeline, stage) = (property("pipeline")?, property("dealstage")?);
                let currency = property("deal_currency_code")?;
                landing.push(
                    Some(page),
                    &[
                        Value::Text(id),
                        pipeline.as_deref().into(),
                        stage.as_deref().into(),
                        money(amount("amount")?),
                        money(amount("amount_in_home_currency")?),
                        currency.as_deref().into(),
                        created_at.into(),
                        record_created_at.into(),
                        at(properties.get("closedate"), "closedate")?.into(),
                        at(properties.get("hs_lastmodifieddate"), "hs_lastmodifieddate")?.or(updated_at).into(),
                        Value::Bool(is_archived),
                    ],
                )
            }
        }
    }

    /// What is before 1990 or more than two years ahead is a typing mistake.
    fn is_plausible(&self, instant: DateTime<Utc>) -> bool {
        instant.year() >= 1990 && instant.date_naive() <= self.latest
    }

    /// Says whether the listing can be computed with. HubSpot leaves a property out without a word where it does not
    /// know it or may not show it; on single records it may be absent.
    pub(super) fn finish(self) -> Result<()> {
        let names: Vec<_> = self.missing.iter().copied().collect();
        ensure!(
            self.records == 0 || names.is_empty(),
            "no {} has the property {}, which was asked for: it is not there, or the token may not read it",
            self.object.singular(),
            names.join(", ")
        );
        Ok(())
    }
}

fn money(amount: Option<i128>) -> Value<'static> {
    amount.map_or(Value::Null, |mantissa| Value::Decimal { mantissa, scale: 18 })
}

/// The options of the property lifecyclestage.
pub(super) fn lifecycle_stages(landing: &mut Landing, page: i64, body: &[u8]) -> Result<()> {
    let answer: Members = parse(body).context("the answer is no property")?;
    let options = list(&answer, "options").context("the answer is no property")?;
    for option in options {
        let value = text(option.get("value")).context("value")?.context("an option has no value")?;
        let of = |name: &'static str| move || format!("option {name}");
        let label = text(option.get("label")).with_context(of("label"))?;
        let order = integer(option.get("displayOrder")).with_context(of("displayOrder"))?;
        let hidden = flag(option.get("hidden")).with_context(of("hidden"))?;
        landing.push(Some(page), &[Value::Text(&value), label.as_deref().into(), order.into(), hidden.into()])?;
    }
    Ok(())
}

/// The objects that a member lists.
fn list<'a>(of: &Members<'a>, name: &str) -> Result<Vec<Members<'a>>> {
    let list = of.get(name).filter(|list| list.get() != "null").with_context(|| format!("it has no {name}"))?;
    serde_json::from_str(list.get()).with_context(|| format!("{name} is no list of objects"))
}

/// The stages of the deal pipelines on their way to staging.
#[derive(Default)]
pub(super) struct Stages {
    /// Pipeline and stage. An account's archived pipelines may come in both listings.
    known: BTreeSet<(String, String)>,
    /// Whether any pipeline that is not archived has a stage.
    is_in_use: bool,
    /// Whether any stage says if it is closed.
    is_flagged: bool,
}

impl Stages {
    /// Adds the pipelines of an answer. Those that do not say whether they are archived are as the listing that was asked.
    pub(super) fn push(&mut self, landing: &mut Landing, page: i64, body: &[u8], archived: bool) -> Result<()> {
        let answer: Members = parse(body).context("the answer is no list of pipelines")?;
        let pipelines = list(&answer, "results").context("the answer is no list of pipelines")?;
        for pipeline in pipelines {
            let pipeline_id = id(&pipeline).context("a pipeline has no id")?;
            let stages = list(&pipeline, "stages").with_context(|| format!("pipeline {pipeline_id}"))?;
            let pipeline_label =
                text(pipeline.get("label")).with_context(|| format!("pipeline {pipeline_id}: label"))?;
            let is_archived = |of: &Members| flag(of.get("archived")).context("archived");
            let pipeline_is_archived = is_archived(&pipeline).with_context(|| format!("pipeline {pipeline_id}"))?;
            let pipeline_is_archived = pipeline_is_archived.unwrap_or(archived);
            for stage in stages {
                let stage_id = id(&stage).with_context(|| format!("a stage of pipeline {pipeline_id} has no id"))?;
                if !self.known.insert((pipeline_id.to_string(), stage_id.to_string())) {
                    continue;
                }
                let of = || format!("stage {stage_id}");
                let label = text(stage.get("label")).context("label").with_context(of)?;
                let order = integer(stage.get("displayOrder")).context("displayOrder").with_context(of)?;
                let metadata = stage.get("metadata").filter(|metadata| metadata.get() != "null");
                let metadata = metadata.map(Members::of).transpose().context("metadata").with_context(of)?;
                let metadata = |name: &str| metadata.as_ref().and_then(|metadata| metadata.get(name));
                let is_closed = flag(metadata("isClosed")).context("isClosed").with_context(of)?;
                let probability = decimal(metadata("probability")).context("probability").with_context(of)?;
                self.is_in_use |= !pipeline_is_archived;
                self.is_flagged |= is_closed.is_some();
                landing.push(
                    Some(page),
                    &[
                        Value::Text(&pipeline_id),
                        pipeline_label.as_deref().into(),
                        Value::Bool(pipeline_is_archived),
                        Value::Text(&stage_id),
                        label.as_deref().into(),
                        order.into(),
                        is_closed.into(),
                        money(probability),
                        Value::Bool(is_archived(&stage).with_context(of)?.unwrap_or(false)),
                    ],
                )?;
            }
        }
        Ok(())
    }

    /// Says whether deals can be judged by these stages. A deal whose stage is not among them is open, and so is one whose
    /// stage does not say that it is closed: without any such stage every deal would count as open.
    pub(super) fn finish(self) -> Result<()> {
        ensure!(
            self.is_in_use,
            "no pipeline in use has a stage: every deal would count as open; the token may not read the pipelines"
        );
        ensure!(
            self.is_flagged,
            "no stage says whether it is closed (metadata.isClosed): every deal would count as open"
        );
        Ok(())
    }
}
