//! Contacts and deals: listed by id, or searched.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde_json::{Map, Value, json};

use super::filters::{Filtered, Filters};
use super::{State, faults};
use crate::sandbox::business::crm::{Contact, Deal};
use crate::sandbox::http::{Reply, Request};

/// The first record that a search does not reach.
const SEARCH_END: u64 = 10_000;

enum Kind {
    Contacts,
    Deals,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "contacts" | "0-1" => Some(Kind::Contacts),
            "deals" | "0-3" => Some(Kind::Deals),
            _ => None,
        }
    }

    /// What a listing shows when no properties are named.
    fn default_properties(&self) -> &'static str {
        match self {
            Kind::Contacts => "createdate,email,firstname,hs_object_id,lastmodifieddate,lastname",
            Kind::Deals => "amount,closedate,createdate,dealname,dealstage,hs_lastmodifieddate,hs_object_id,pipeline",
        }
    }
}

/// A page of the records after a cursor, by id. The cursor is opaque; in fact it is the last id plus one.
pub(super) fn list(state: &State, kind: &str, request: &Request) -> Reply {
    let Some(kind) = Kind::of(kind) else { return faults::not_found(&request.path) };
    let known = ["limit", "after", "properties", "archived"];
    let names = url::form_urlencoded::parse(request.query.as_bytes());
    if let Some((name, _)) = names.into_iter().find(|(name, _)| !known.contains(&name.as_ref())) {
        return faults::invalid(&format!("the parameter {name} is not simulated"));
    }
    let limit = request.param("limit").map_or(Ok(10), |limit| limit.parse::<usize>());
    let Some(limit) = limit.ok().filter(|limit| (1..=100).contains(limit)) else {
        return faults::invalid("Invalid input: limit must be between 1 and 100");
    };
    let limit = limit.min(state.options.page_limit);
    let after = request.param("after").map_or(Ok(0), |after| after.parse::<u64>());
    let Ok(after) = after else { return faults::invalid("Invalid input: the after cursor is malformed") };
    let archived = request.param("archived").as_deref() == Some("true");
    let properties = request.param("properties").unwrap_or_else(|| kind.default_properties().to_owned());
    let properties: Vec<&str> = properties.split(',').collect();
    let crm = &state.options.crm;
    let mut page: Vec<(u64, Value)> = match kind {
        Kind::Contacts => {
            let first = crm.contacts.partition_point(|contact| contact.id < after);
            let found = crm.contacts[first..].iter().filter(|contact| contact.archived == archived);
            found.take(limit + 1).map(|it| (it.id, contact(it, &properties))).collect()
        }
        Kind::Deals => {
            let first = crm.deals.partition_point(|deal| deal.id < after);
            let found = crm.deals[first..].iter().filter(|deal| deal.archived == archived);
            found.take(limit + 1).map(|it| (it.id, deal(it, &properties))).collect()
        }
    };
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|(id, _)| (id + 1).to_string());
    let mut body = json!({ "results": page.into_iter().map(|(_, record)| record).collect::<Vec<_>>() });
    if let Some(after) = next {
        let link = format!("https://api.hubapi.com{}?after={after}&limit={limit}", request.path);
        body["paging"] = json!({ "next": { "after": after, "link": link } });
    }
    Reply::json(200, body.to_string())
}

/// A search: how many there are that pass its filters, and the first of them.
pub(super) fn search(state: &State, kind: &str, request: &Request) -> Reply {
    let Some(kind) = Kind::of(kind) else { return faults::not_found(&request.path) };
    let Ok(asked) = serde_json::from_slice::<Map<String, Value>>(&request.body) else {
        return faults::invalid("Invalid input JSON");
    };
    let known = ["filterGroups", "properties", "limit", "after"];
    if let Some(name) = asked.keys().find(|name| !known.contains(&name.as_str())) {
        return faults::invalid(&format!("the member {name} of a search is not simulated"));
    }
    let stage = match kind {
        Kind::Contacts => "lifecyclestage",
        Kind::Deals => "dealstage",
    };
    let filters = match Filters::parse(asked.get("filterGroups"), stage) {
        Ok(filters) => filters,
        Err(why) => return faults::invalid(&why),
    };
    let limit = asked.get("limit").and_then(Value::as_u64).unwrap_or(10);
    let after = match asked.get("after") {
        None | Some(Value::Null) => Some(0),
        Some(after) => after.as_u64().or_else(|| after.as_str()?.parse().ok()),
    };
    let Some(after) = after.filter(|after| (1..=200).contains(&limit) && after + limit <= SEARCH_END) else {
        return faults::invalid("The offset and limit of a search may not pass 10000");
    };
    let properties: Vec<&str> =
        asked.get("properties").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let crm = &state.options.crm;
    let mut records: Vec<(u64, Filtered<'_>)> = match kind {
        Kind::Contacts => {
            let standing = crm.contacts.iter().filter(|it| !it.archived);
            standing.map(|it| (it.id, Filtered { created: it.created, stage: it.stage })).collect()
        }
        Kind::Deals => {
            let standing = crm.deals.iter().filter(|it| !it.archived);
            standing.map(|it| (it.id, Filtered { created: it.created, stage: it.stage })).collect()
        }
    };
    // The index does not know the newest records.
    records.truncate(records.len().saturating_sub(usize::try_from(state.options.search_lag).unwrap_or(usize::MAX)));
    let records: Vec<u64> = records.iter().filter(|(_, it)| filters.pass(it)).map(|(id, _)| *id).collect();
    let total = records.len() as u64;
    let page = records.iter().take(total as usize).skip(after as usize).take(limit as usize);
    let results: Vec<Value> = page
        .map(|id| match kind {
            Kind::Contacts => {
                let at = crm.contacts.partition_point(|it| it.id < *id);
                contact(&crm.contacts[at], &properties)
            }
            Kind::Deals => deal(&crm.deals[crm.deals.partition_point(|it| it.id < *id)], &properties),
        })
        .collect();
    let mut body = json!({ "total": total, "results": results });
    if after + limit < total {
        body["paging"] = json!({ "next": { "after": (after + limit).to_string() } });
    }
    Reply::json(200, body.to_string())
}

fn contact(contact: &Contact, properties: &[&str]) -> Value {
    let value = |name: &str| match name {
        "createdate" => Some(stamp(contact.created).into()),
        "lastmodifieddate" => Some(stamp(contact.modified).into()),
        "lifecyclestage" => Some(contact.stage.into()),
        "hs_object_id" => Some(contact.id.to_string().into()),
        "email" => Some(format!("person{}@example.com", contact.id).into()),
        "firstname" => Some("Maria".into()),
        "lastname" => Some(format!("Johnson {}", contact.id).into()),
        // What it does not know, it leaves out without a word.
        _ => None,
    };
    record(contact.id, contact.created, contact.modified, contact.archived, properties, value)
}

fn deal(deal: &Deal, properties: &[&str]) -> Value {
    let value = |name: &str| match name {
        "amount" => Some(deal.amount.clone().into()),
        "amount_in_home_currency" => Some(deal.home_amount.clone().into()),
        "closedate" => Some(deal.closes.map(stamp).into()),
        "createdate" => Some(stamp(deal.created).into()),
        "deal_currency_code" => Some(deal.currency.into()),
        "dealname" => Some(format!("Deal with Maria Johnson {}", deal.id).into()),
        "dealstage" => Some(deal.stage.into()),
        "hs_lastmodifieddate" => Some(stamp(deal.modified).into()),
        "hs_object_id" => Some(deal.id.to_string().into()),
        "pipeline" => Some(deal.pipeline.into()),
        _ => None,
    };
    record(deal.id, deal.created, deal.modified, deal.archived, properties, value)
}

fn record(
    id: u64,
    created: DateTime<Utc>,
    modified: DateTime<Utc>,
    archived: bool,
    properties: &[&str],
    value: impl Fn(&str) -> Option<Value>,
) -> Value {
    let properties: Map<String, Value> =
        properties.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect();
    json!({
        "id": id.to_string(),
        "properties": properties,
        "createdAt": stamp(created),
        "updatedAt": stamp(modified),
        "archived": archived,
    })
}

/// With milliseconds, which are left out when there are none.
fn stamp(at: DateTime<Utc>) -> String {
    let form = if at.nanosecond() == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    at.to_rfc3339_opts(form, true)
}
