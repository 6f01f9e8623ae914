//! Call history, by local day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Days, Months, NaiveDate, SecondsFormat, Utc};

use super::client::{Ask, Client, Endpoint};
use super::field::{Record, count, first_text, instant, text, word};
use super::page::{Kept, Listing, Outcome};
use super::{CALLS, asking, begin, finish, keep, local_day};
use crate::extract::Context;
use crate::periods::{Partition, day_starts_at};
use crate::staging::{Landed, Value};

pub(super) static CALL_HISTORY: Endpoint = Endpoint {
    path: "phone/call_history",
    lists: &["call_history", "call_logs", "call_log"],
    kept: &[
        "call_history_uuid",
        "id",
        "call_id",
        "direction",
        "start_time",
        "date_time",
        "answer_time",
        "end_time",
        "duration",
        "call_result",
        "result",
        "connect_type",
        "call_type",
    ],
    scope: "phone:read:list_call_logs:admin",
};

/// How far back Zoom answers.
const KEPT_MONTHS: u32 = 6;

/// One leg of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    leg_id: String,
    call_id: String,
    direction: Option<String>,
    started_at: DateTime<Utc>,
    answered_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    seconds: Option<i64>,
    result: Option<String>,
}

/// A day's calls with the pages they come from.
pub(super) struct Day {
    pub date: NaiveDate,
    pub outcome: Outcome,
    /// In order of their beginning, each with the number of its page.
    legs: Vec<(i64, Leg)>,
    windows: Vec<Arc<Listing<Leg>>>,
}

fn leg(record: &Record) -> Result<Leg> {
    let leg_id = first_text(record, &["call_history_uuid", "id"])?.context("call_history_uuid is missing")?;
    let started_at = match instant(record, "start_time")? {
        None => instant(record, "date_time")?,
        started_at => started_at,
    };
    Ok(Leg {
        call_id: text(record, "call_id")?.unwrap_or_else(|| leg_id.clone()),
        direction: text(record, "direction")?.map(|direction| word(&direction)),
        started_at: started_at.context("start_time is missing")?,
        answered_at: instant(record, "answer_time")?,
        ended_at: instant(record, "end_time")?,
        seconds: count(record, "duration")?,
        result: first_text(record, &["call_result", "result"])?.map(|result| word(&result)),
        leg_id,
    })
}

/// Says which days are gone before anything is asked: Zoom might answer for them with an empty list.
pub(super) fn check_kept(days: &BTreeSet<NaiveDate>, now: Option<DateTime<Utc>>) -> Result<()> {
    let (Some(now), Some(first)) = (now, days.first()) else { return Ok(()) };
    let kept = now.date_naive().checked_sub_months(Months::new(KEPT_MONTHS)).context("the calendar ends")?;
    // A day is asked with the one before it.
    let earliest = kept + Days::new(2);
    ensure!(
        *first >= earliest,
        "{CALLS} {first}: Zoom keeps call history for six months, so the first day to be had is {earliest}: start there or \
         later; days already published stay as they are"
    );
    Ok(())
}

/// Asks for days, each with the day before and the day after it.
pub(super) async fn fetch(
    context: &Context<'_>,
    client: &Client<'_>,
    days: &[NaiveDate],
    now: Option<DateTime<Utc>>,
) -> Result<Vec<Day>> {
    let mut windows: BTreeMap<NaiveDate, Option<Arc<Listing<Leg>>>> = BTreeMap::new();
    let mut fetched = Vec::new();
    for date in days {
        let mut around = Vec::new();
        for asked in [*date - Days::new(1), *date, *date + Days::new(1)] {
            if let Some(known) = windows.get(&asked) {
                around.extend(known.clone());
                continue;
            }
            // Tomorrow has no calls yet.
            let is_there = now.is_none_or(|now| asked <= local_day(context, now));
            let window = if is_there {
                let read = window(context, client, asked, asked == *date).await;
                Some(Arc::new(read.with_context(|| asking(CALLS, &asked))?))
            } else {
                None
            };
            around.extend(window.clone());
            // Saved pages of a day are its own; as a neighbour's they may be lacking.
            if matches!(client, Client::Live(_)) {
                windows.insert(asked, window);
            }
        }
        windows = windows.split_off(date);
        fetched.push(day(context, *date, around)?);
    }
    Ok(fetched)
}

/// The legs that began on a local day. The bounds are instants, because in what time zone Zoom reads dates depends on
/// the account; the last second is shared with the next day.
async fn window(context: &Context<'_>, client: &Client<'_>, date: NaiveDate, is_own: bool) -> Result<Listing<Leg>> {
    let bound = |date: NaiveDate| -> Result<String> {
        let starts_at = day_starts_at(date, context.org.timezone)?.and_utc();
        Ok(starts_at.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let mut stems = vec![date.to_string()];
    if is_own {
        stems.push("all".into());
    }
    let params = vec![
        ("from", bound(date)?),
        ("to", bound(date + Days::new(1))?),
        ("time_type", "start_time".into()),
        ("page_size", "300".into()),
    ];
    client.list(&Ask { endpoint: &CALL_HISTORY, params, dataset: CALLS, stems, may_lack: !is_own }, leg).await
}

/// The calls whose first leg began on the day, with all their legs.
fn day(context: &Context<'_>, date: NaiveDate, windows: Vec<Arc<Listing<Leg>>>) -> Result<Day> {
    let (mut outcome, mut announced, mut received) = (None, None, 0);
    let mut legs: BTreeMap<&str, (i64, &Leg)> = BTreeMap::new();
    let mut pages = 0;
    for window in &windows {
        match window.outcome {
            Outcome::NotAvailable { .. } => outcome = Some(window.outcome),
            Outcome::Read { announced: total, received: read } => {
                announced = match (announced, total) {
                    (Some(sum), Some(total)) => Some(sum + total),
                    (sum, total) => sum.or(total),
                };
                received += read;
            }
        }
        for (page, leg) in &window.records {
            // A leg delivered twice counts as it was delivered last.
            legs.insert(&leg.leg_id, (pages + i64::try_from(*page)?, leg));
        }
        pages += i64::try_from(window.pages.len())?;
    }
    let mut began: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
    for (_, leg) in legs.values() {
        let first = began.entry(&leg.call_id).or_insert(leg.started_at);
        *first = leg.started_at.min(*first);
    }
    let (from, to) =
        (day_starts_at(date, context.org.timezone)?, day_starts_at(date + Days::new(1), context.org.timezone)?);
    let of_day = |leg: &Leg| (from..to).contains(&began[leg.call_id.as_str()].naive_utc());
    let mut legs: Vec<(i64, Leg)> =
        legs.values().filter(|(_, leg)| of_day(leg)).map(|(page, leg)| (*page, (*leg).clone())).collect();
    if outcome.is_some() {
        legs.clear();
    }
    legs.sort_by(|(_, one), (_, other)| (one.started_at, &one.leg_id).cmp(&(other.started_at, &other.leg_id)));
    let outcome = outcome.unwrap_or(Outcome::Read { announced, received });
    Ok(Day { date, outcome, legs, windows })
}

pub(super) fn land(context: &Context<'_>, day: &Day) -> Result<Landed> {
    let mut landing = begin(context, CALLS, Partition::Day(day.date))?;
    let pages: Vec<Kept> = day.windows.iter().flat_map(|window| window.pages.iter().cloned()).collect();
    keep(&mut landing, &pages)?;
    if let Outcome::Read { announced: Some(announced), .. } = day.outcome {
        landing.source_total("total_records", announced);
    }
    for (page, leg) in &day.legs {
        let row: [Value<'_>; 8] = [
            Value::Text(&leg.leg_id),
            Value::Text(&leg.call_id),
            leg.direction.as_deref().into(),
            Value::Timestamp(leg.started_at),
            leg.answered_at.into(),
            leg.ended_at.into(),
            leg.seconds.into(),
            leg.result.as_deref().into(),
        ];
        landing.push(Some(*page), &row)?;
    }
    finish(context, landing, CALLS, Partition::Day(day.date))
}
