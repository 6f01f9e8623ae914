//! A list of records over several pages, and the pages as they are kept: without anything about anybody.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::client::Endpoint;
use super::fault::Fault;
use super::field::{Record, count, kind, text};
use crate::staging::{Page, Value as Cell};

/// What a list came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Read {
        /// `total_records` of the last page that had one.
        announced: Option<i64>,
        received: i64,
    },
    /// The account has no such thing.
    NotAvailable { code: i64 },
}

impl Outcome {
    pub(super) fn is_available(self) -> bool {
        matches!(self, Outcome::Read { .. })
    }

    /// As columns: is_available, code, announced, received.
    pub(super) fn values(self) -> [Cell<'static>; 4] {
        match self {
            Outcome::Read { announced, received } => {
                [Cell::Bool(true), Cell::Null, announced.into(), Cell::Int(received)]
            }
            Outcome::NotAvailable { code } => [Cell::Bool(false), Cell::Int(code), Cell::Null, Cell::Null],
        }
    }
}

/// A page on its way to staging.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub method: String,
    pub url: String,
    pub status: u16,
    pub fetched_at: DateTime<Utc>,
    pub body: Vec<u8>,
}

impl Kept {
    pub(super) fn page(&self) -> Page<'_> {
        let Kept { method, url, status, fetched_at, body } = self;
        Page { method, url, status: *status, fetched_at: *fetched_at, body }
    }
}

/// A whole list: its records, each with the position of its page.
#[derive(Debug, Clone)]
pub(super) struct Listing<R> {
    pub records: Vec<(usize, R)>,
    pub pages: Vec<Kept>,
    pub outcome: Outcome,
}

/// One answer, read.
pub(super) enum Said<R> {
    Page {
        records: Vec<R>,
        announced: Option<i64>,
        /// None at the end, where Zoom leaves it out or empty.
        next: Option<String>,
    },
    NotAvailable(i64),
    DeadToken,
}

/// Reads an answer to `endpoint`.
pub(super) fn read<R>(endpoint: &Endpoint, body: &Value, parse: &impl Fn(&Record) -> Result<R>) -> Result<Said<R>> {
    if let Some(fault) = Fault::of(body, endpoint) {
        if fault.is_dead_token() {
            return Ok(Said::DeadToken);
        }
        ensure!(fault.is_not_available(endpoint), "{fault}");
        return Ok(Said::NotAvailable(fault.code));
    }
    let Some(envelope) = body.as_object() else { bail!("the answer is {} and no object", kind(body)) };
    let (name, list) = list(endpoint, envelope)?;
    let records = list.iter().enumerate().map(|(at, record)| {
        let place = || format!("{name}[{at}]");
        let Some(record) = record.as_object() else { bail!("{}: it is {} and no object", place(), kind(record)) };
        parse(record).with_context(place)
    });
    Ok(Said::Page {
        records: records.collect::<Result<_>>()?,
        announced: count(envelope, "total_records")?,
        next: text(envelope, "next_page_token")?,
    })
}

/// The list in an answer: the first member that holds anything. Where the old and the new name of a list are both
/// there, they hold the same records twice.
fn list<'a>(endpoint: &Endpoint, envelope: &'a Record) -> Result<(&'static str, &'a [Value])> {
    let mut found = None;
    for name in endpoint.lists {
        match envelope.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.is_empty() => _ = found.get_or_insert((*name, list.as_slice())),
            Some(Value::Array(list)) => return Ok((name, list)),
            Some(other) => bail!("{name} is {} where a list is expected", kind(other)),
        }
    }
    found.with_context(|| format!("the answer has no member {}", endpoint.lists.join(" or ")))
}

/// Members around a list that are kept. The page token is not: it opens the list for a quarter of an hour.
const ENVELOPE: [&str; 8] = ["from", "to", "page_count", "page_size", "page_number", "total_records", "year", "month"];

/// The answer with only those members that are known to say nothing about anybody, and the names of those left out.
pub(super) fn redacted(endpoint: &Endpoint, body: &Value) -> Vec<u8> {
    let mut removed = BTreeSet::new();
    let mut kept = Map::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        let plain = !value.is_array() && !value.is_object();
        if ENVELOPE.contains(&name.as_str()) && plain {
            kept.insert(name.clone(), value.clone());
        } else if endpoint.lists.contains(&name.as_str()) {
            let records = value.as_array().into_iter().flatten().map(|record| {
                let mut left = Map::new();
                for (member, value) in record.as_object().into_iter().flatten() {
                    if endpoint.kept.contains(&member.as_str()) && !value.is_array() && !value.is_object() {
                        left.insert(member.clone(), value.clone());
                    } else {
                        removed.insert(member.as_str());
                    }
                }
                Value::Object(left)
            });
            kept.insert(name.clone(), records.collect());
        } else if name != "next_page_token" {
            removed.insert(name.as_str());
        }
    }
    if let Some(fault) = Fault::of(body, endpoint) {
        removed.retain(|name| !["code", "message", "errors"].contains(name));
        kept.insert("code".into(), json!(fault.code));
        kept.insert("message".into(), json!(fault.to_string()));
    }
    kept.insert("removed".into(), removed.into_iter().collect());
    Value::Object(kept).to_string().into_bytes()
}
