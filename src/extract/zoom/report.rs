//! The daily report: meetings, participants and minutes by day of the account's own time zone.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use chrono::{Datelike as _, NaiveDate};

use super::client::{Ask, Client, Endpoint};
use super::field::{Record, count, text};
use super::page::Listing;
use super::{REPORT, begin, finish, keep};
use crate::extract::Context;
use crate::periods::Partition;
use crate::staging::{Landed, Value};

pub(super) static DAILY: Endpoint = Endpoint {
    path: "report/daily",
    lists: &["dates"],
    kept: &["date", "meetings", "participants", "meeting_minutes", "new_users"],
    scope: "report:read:admin",
};

/// A day of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reported {
    pub date: NaiveDate,
    meetings: Option<i64>,
    participants: Option<i64>,
    meeting_minutes: Option<i64>,
    new_users: Option<i64>,
}

/// Asks for the report of a month.
pub(super) async fn fetch(client: &Client<'_>, month: NaiveDate) -> Result<Listing<Reported>> {
    let ask = Ask {
        endpoint: &DAILY,
        params: vec![("year", month.year().to_string()), ("month", month.month().to_string())],
        dataset: REPORT,
        stems: vec![month.format("%Y-%m").to_string(), "all".into()],
        may_lack: false,
    };
    let mut listing = client.list(&ask, day).await?;
    let within = |date: NaiveDate| (date.year(), date.month()) == (month.year(), month.month());
    match client {
        Client::Live(_) => {
            if let Some((_, other)) = listing.records.iter().find(|(_, day)| !within(day.date)) {
                anyhow::bail!("the report of {} holds {}", month.format("%Y-%m"), other.date);
            }
        }
        // Saved answers of several months may lie side by side.
        Client::Saved(..) => listing.records.retain(|(_, day)| within(day.date)),
    }
    let mut seen = BTreeSet::new();
    for (_, day) in &listing.records {
        ensure!(seen.insert(day.date), "the report holds {} twice", day.date);
    }
    Ok(listing)
}

fn day(record: &Record) -> Result<Reported> {
    let date = text(record, "date")?.context("date is missing")?;
    Ok(Reported {
        date: date.parse().ok().context("date is no day")?,
        meetings: count(record, "meetings")?,
        participants: count(record, "participants")?,
        meeting_minutes: count(record, "meeting_minutes")?,
        new_users: count(record, "new_users")?,
    })
}

pub(super) fn land(context: &Context<'_>, month: NaiveDate, report: &Listing<Reported>) -> Result<Landed> {
    let mut landing = begin(context, REPORT, Partition::Month(month))?;
    let first = keep(&mut landing, &report.pages)?;
    for (page, day) in &report.records {
        let row: [Value<'_>; 5] = [
            Value::Date(day.date),
            day.meetings.into(),
            day.participants.into(),
            day.meeting_minutes.into(),
            day.new_users.into(),
        ];
        landing.push(Some(first + i64::try_from(*page)?), &row)?;
    }
    finish(context, landing, REPORT, Partition::Month(month))
}
