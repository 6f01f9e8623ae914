//! How many users, phone users and call queues there are. The lists are read to their ends and counted; who is on them
//! is not landed.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use chrono::{DateTime, Days, NaiveDate, Utc};

use super::client::{Ask, Client, Endpoint};
use super::field::{Record, first_text, instant};
use super::page::{Kept, Outcome};
use super::{COUNTS, begin, finish, keep};
use crate::extract::Context;
use crate::periods::{self, Partition};
use crate::staging::{Landed, Value};

pub(super) static USERS: Endpoint = Endpoint {
    path: "users",
    lists: &["users"],
    kept: &["id", "status", "type", "created_at", "user_created_at"],
    scope: "user:read:list_users:admin",
};

pub(super) static PHONE_USERS: Endpoint = Endpoint {
    path: "phone/users",
    lists: &["users"],
    kept: &["id", "status", "activation_status"],
    scope: "phone:read:list_users:admin",
};

pub(super) static CALL_QUEUES: Endpoint = Endpoint {
    path: "phone/call_queues",
    lists: &["call_queues"],
    kept: &["id", "status"],
    scope: "phone:read:list_call_queues:admin",
};

/// Each list with the statuses it is asked by, since it shows only one at a time, and its largest page.
const LISTS: [(&str, &Endpoint, &[&str], &str); 3] = [
    ("users", &USERS, &["active", "inactive", "pending"], "2000"),
    ("phone_users", &PHONE_USERS, &["activate", "deactivate", "pending"], "100"),
    ("call_queues", &CALL_QUEUES, &["all"], "100"),
];

/// What tells entries apart, and when one came to be. It lives no longer than the counting: a pending user has no id,
/// only an address.
struct Entry {
    identity: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

/// A list by one status, counted.
pub(super) struct Counted {
    list: &'static str,
    status: &'static str,
    outcome: Outcome,
    records: i64,
    created_later: i64,
    pages: Vec<Kept>,
}

/// Counts the lists as of a day: who is there, and how many of them came later.
pub(super) async fn fetch(context: &Context<'_>, client: &Client<'_>, day: NaiveDate) -> Result<Vec<Counted>> {
    let ends_at = periods::day_starts_at(day + Days::new(1), context.org.timezone)?.and_utc();
    let mut counted = Vec::new();
    for (list, endpoint, statuses, page_size) in LISTS {
        let mut seen = BTreeSet::new();
        for status in statuses {
            let mut params = vec![("page_size", page_size.to_owned())];
            if *status != "all" {
                params.push(("status", (*status).to_owned()));
            }
            let stem = format!("{list}-{status}");
            let stems = vec![format!("{day}-{stem}"), format!("all-{stem}")];
            let listing =
                client.list(&Ask { endpoint, params, dataset: COUNTS, stems, may_lack: false }, entry).await?;
            ensure!(
                (list, *status) != ("users", "active") || !listing.records.is_empty(),
                "GET users: there is no active user, not even the one that the app belongs to"
            );
            let (mut records, mut created_later) = (0, 0);
            for (_, entry) in listing.records {
                // Read one after the other, the lists may show somebody twice whose status changes meanwhile.
                if entry.identity.is_none_or(|identity| seen.insert(identity)) {
                    records += 1;
                    created_later += i64::from(entry.created_at.is_some_and(|at| at >= ends_at));
                }
            }
            let is_available = listing.outcome.is_available();
            let (outcome, pages) = (listing.outcome, listing.pages);
            counted.push(Counted { list, status, outcome, records, created_later, pages });
            if !is_available {
                // What the account does not have, it has in no status.
                break;
            }
        }
    }
    Ok(counted)
}

fn entry(record: &Record) -> Result<Entry> {
    let created_at = match instant(record, "user_created_at")? {
        None => instant(record, "created_at")?,
        created_at => created_at,
    };
    let identity = first_text(record, &["id", "email", "extension_id"])?;
    Ok(Entry { identity: identity.map(|identity| identity.to_lowercase()), created_at })
}

pub(super) fn land(context: &Context<'_>, day: NaiveDate, counted: &[Counted]) -> Result<Landed> {
    let mut landing = begin(context, COUNTS, Partition::Day(day))?;
    for list in counted {
        let page = keep(&mut landing, &list.pages)?;
        let [is_available, code, announced, received] = list.outcome.values();
        let known = |count: i64| if list.outcome.is_available() { Value::Int(count) } else { Value::Null };
        let (records, later) = (known(list.records), known(list.created_later));
        let row =
            [Value::Text(list.list), Value::Text(list.status), is_available, code, records, later, announced, received];
        landing.push(Some(page), &row)?;
    }
    finish(context, landing, COUNTS, Partition::Day(day))
}
