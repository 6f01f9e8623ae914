//! The lists, page by page.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::tokens::Tokens;
use super::{ZoomServerOptions, error, next_token};
use crate::sandbox::business::zoom::{Call, Leg};
use crate::sandbox::http::{Reply, Request};

/// A question, understood.
pub(super) struct Query {
    parameters: Vec<(String, String)>,
    offset: usize,
}

type Refused = Box<Reply>;

fn invalid(field: &str) -> Refused {
    let errors = json!([{ "field": field, "message": "Invalid field." }]);
    Box::new(Reply::json(400, json!({ "code": 300, "message": "Validation Failed.", "errors": errors }).to_string()))
}

impl Query {
    /// Refuses what the list does not know: the client would not get what it believes it asked for.
    pub(super) fn parse(
        path: &str,
        request: &Request,
        options: &ZoomServerOptions,
        tokens: &mut Tokens,
        now: DateTime<Utc>,
    ) -> Result<Self, Refused> {
        let known: &[&str] = match path {
            "users" | "phone/users" => &["page_size", "status"],
            "phone/call_queues" => &["page_size"],
            "phone/call_history" => &["page_size", "from", "to", "time_type"],
            "report/users" => &["page_size", "from", "to", "type"],
            _ => &["year", "month"],
        };
        let mut parameters = Vec::new();
        let mut token = None;
        for (name, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
            match name.as_ref() {
                "next_page_token" if known.contains(&"page_size") => token = Some(value.into_owned()),
                name if known.contains(&name) => parameters.push((name.to_owned(), value.into_owned())),
                name => return Err(invalid(name)),
            }
        }
        let mut query = Query { parameters, offset: 0 };
        if query.page_size(path, options).is_none() {
            return Err(invalid("page_size"));
        }
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            let question = query.question(path);
            match tokens.cursor(&token, now) {
                Some(cursor) if cursor.question == question => query.offset = cursor.offset,
                _ => return Err(Box::new(error(400, 300, "The next page token is invalid or expired."))),
            }
        }
        Ok(query)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn question(&self, path: &str) -> String {
        format!("{path}?{:?}", self.parameters)
    }

    fn page_size(&self, path: &str, options: &ZoomServerOptions) -> Option<usize> {
        let most = match path {
            "users" => 2_000,
            "phone/call_history" | "report/users" => 300,
            _ => 100,
        };
        let size: usize = self.get("page_size").unwrap_or("30").parse().ok()?;
        (1..=most).contains(&size).then_some(size.min(options.page_limit))
    }
}

/// One page of a list.
pub(super) fn page(
    path: &str,
    query: &Query,
    options: &ZoomServerOptions,
    tokens: &mut Tokens,
    now: DateTime<Utc>,
) -> Result<Value, Refused> {
    let account = &options.account;
    let mut answer = json!({});
    let (names, records): (&[&str], Vec<Value>) = match path {
        "report/daily" => return report(query, options, now),
        "report/users" => return hosts(query, options, now),
        "users" => {
            let status = query.get("status").unwrap_or("active");
            if !["active", "inactive", "pending"].contains(&status) {
                return Err(invalid("status"));
            }
            let users = account.users.iter().filter(|user| user.status == status).map(|user| {
                let created = user.created.and_time(NaiveTime::from_hms_opt(18, 0, 0).expect("six o'clock")).and_utc();
                let mut record = json!({
                    "first_name": user.first_name, "last_name": user.last_name,
                    "display_name": format!("{} {}", user.first_name, user.last_name), "email": user.email, "type": 2,
                    "pmi": 6_589_310_093_i64, "timezone": "America/Chicago", "verified": 1, "dept": "Care",
                    "created_at": stamp(created), "user_created_at": stamp(created), "language": "en-US",
                    "status": user.status, "role_id": "2", "group_ids": ["t-_-d56CSWG-7BF15LLrOw"],
                });
                if let Some(id) = &user.id {
                    record["id"] = json!(id);
                }
                record
            });
            (&["users"], users.collect())
        }
        "phone/users" => {
            let status = query.get("status").unwrap_or("activate");
            if !["activate", "deactivate", "pending"].contains(&status) {
                return Err(invalid("status"));
            }
            let users = account.phone_users.iter().filter(|user| user.status == status).map(|user| {
                json!({
                    "id": user.id, "phone_user_id": user.id, "extension_id": user.id, "name": user.name,
                    "email": user.email, "extension_number": user.extension, "status": user.status,
                    "phone_numbers": [{ "id": "---M1padRvSUtw7YihN7sA", "number": "+13125550000" }],
                    "site": { "id": "8f71O6rWT8KFUGQmJIFAdQ", "name": "Main Site" },
                })
            });
            (&["users"], users.collect())
        }
        "phone/call_queues" => {
            let queues = account.queues.iter().map(|queue| {
                let status = if queue.is_active { "active" } else { "inactive" };
                json!({
                    "id": queue.id, "extension_id": queue.id, "extension_number": queue.extension,
                    "name": queue.name, "status": status,
                    "phone_numbers": [{ "id": "KsxwNLEhQ0SJ4U4Bor4ShA", "number": "+13125550001" }],
                })
            });
            (&["call_queues"], queues.collect())
        }
        _ => {
            let (from, to) = range(query, options, now)?;
            answer["from"] = json!(from.date_naive().to_string());
            answer["to"] = json!(to.date_naive().to_string());
            let inside = account.calls.iter().flat_map(|call| call.legs.iter().map(move |leg| (call, leg)));
            // The newest first, as the service has them.
            let mut inside: Vec<_> = inside.filter(|(_, leg)| from <= leg.start && leg.start <= to).collect();
            inside.sort_by_key(|(_, leg)| (std::cmp::Reverse(leg.start), leg.uuid.clone()));
            let names: &[&str] = match (options.only_old_member, options.old_member) {
                (true, _) => &["call_logs"],
                (false, true) => &["call_logs", "call_history"],
                (false, false) => &["call_history"],
            };
            (names, inside.into_iter().map(|(call, leg)| history(call, leg)).collect())
        }
    };
    let size = query.page_size(path, options).unwrap_or(30);
    let end = (query.offset + size).min(records.len());
    // A list that grows while it is read shows the last rows of a page again on the next.
    let again = if options.repeats_rows { query.offset.saturating_sub(size / 2) } else { query.offset };
    let shown = &records[again.min(end)..end];
    for name in names {
        let rows = shown.iter().cloned().map(|row| if *name == "call_logs" { old_row(row) } else { row });
        answer[*name] = rows.collect();
    }
    answer["page_count"] = json!(records.len().div_ceil(size));
    answer["page_size"] = json!(size);
    answer["total_records"] = json!(records.len());
    let next = (end < records.len()).then(|| tokens.page(query.question(path), end, now));
    next_token(&mut answer, next, query.offset / size % 2 == 1);
    Ok(answer)
}

/// The row under the list's old name, where its id has the old name too.
fn old_row(mut row: Value) -> Value {
    if let Some(row) = row.as_object_mut()
        && let Some(uuid) = row.remove("call_history_uuid")
    {
        row.insert("id".into(), uuid);
    }
    row
}

fn history(call: &Call, leg: &Leg) -> Value {
    let mut row = json!({
        "call_history_uuid": leg.uuid, "call_id": call.id, "international": false,
        "start_time": stamp(leg.start), "end_time": stamp(leg.end), "duration": leg.seconds,
        "connect_type": leg.connect_type, "call_type": "general", "hide_caller_id": false, "end_to_end": false,
        "caller_ext_id": leg.caller.ext_id, "caller_name": leg.caller.name, "caller_email": leg.caller.email,
        "caller_did_number": leg.caller.number, "caller_ext_type": "user", "caller_number_type": "external_pstn",
        "callee_ext_id": leg.callee.ext_id, "callee_name": leg.callee.name, "callee_email": leg.callee.email,
        "callee_did_number": leg.callee.number, "callee_ext_type": "user", "department": "Care",
        "site_id": "8f71O6rWT8KFUGQmJIFAdQ", "site_name": "Main Site", "recording_status": "non_recorded",
    });
    if let Some(direction) = leg.direction {
        row["direction"] = json!(direction);
    }
    if let Some(answer) = leg.answer {
        row["answer_time"] = json!(stamp(answer));
    }
    if let Some(result) = leg.result {
        row["call_result"] = json!(result);
    }
    row
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The range that is answered: no more than a month, of the last six.
fn range(
    query: &Query,
    options: &ZoomServerOptions,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Refused> {
    if query.get("time_type").is_some_and(|kind| !["start_time", "end_time"].contains(&kind)) {
        return Err(invalid("time_type"));
    }
    let read = |name: &'static str, end_of_day: bool| {
        let text = query.get(name).ok_or_else(|| invalid(name))?;
        if let Ok(day) = text.parse::<NaiveDate>() {
            let day = if end_of_day { day + Days::new(1) } else { day };
            return Ok(day.and_time(NaiveTime::MIN).and_utc());
        }
        DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(|_| invalid(name))
    };
    let (from, to) = (read("from", false)?, read("to", true)?);
    let month = from + Months::new(1);
    if from > to || options.refuse_wide_ranges && to > month {
        return Err(invalid("to"));
    }
    // Older calls are gone, and nobody says so.
    let kept = now - Months::new(6);
    Ok((from.max(kept), to.min(month)))
}

/// The report by hosts: what it adds up to over some days, and its hosts, of whom only the first page is simulated.
fn hosts(query: &Query, options: &ZoomServerOptions, now: DateTime<Utc>) -> Result<Value, Refused> {
    let day = |name: &'static str| -> Result<NaiveDate, Refused> {
        query.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| invalid(name))
    };
    let (from, to) = (day("from")?, day("to")?);
    if query.get("type") != Some("active") {
        return Err(invalid("type"));
    }
    let today = now.date_naive();
    if from > to || to > from + Months::new(1) || from < today - Months::new(6) || query.offset > 0 {
        return Err(invalid("from"));
    }
    let mut sums = [0; 3];
    for (_, day) in options.account.meetings.range(from..=to).filter(|(date, _)| **date <= today) {
        for (sum, part) in sums.iter_mut().zip([day.meetings, day.participants, day.minutes]) {
            *sum += part;
        }
    }
    let size = query.page_size("report/users", options).unwrap_or(30);
    let active: Vec<_> = options.account.users.iter().filter(|user| user.status == "active").collect();
    let users = active.iter().take(size).map(|user| {
        json!({ "id": user.id, "email": user.email, "user_name": format!("{} {}", user.first_name, user.last_name),
            "type": 2, "dept": "Care" })
    });
    Ok(json!({
        "from": from.to_string(), "to": to.to_string(), "page_count": active.len().div_ceil(size), "page_number": 1,
        "page_size": size, "total_records": active.len(), "next_page_token": "", "total_meetings": sums[0],
        "total_participants": sums[1], "total_meeting_minutes": sums[2], "users": users.collect::<Vec<_>>(),
    }))
}

fn report(query: &Query, options: &ZoomServerOptions, now: DateTime<Utc>) -> Result<Value, Refused> {
    let number = |name: &'static str| -> Result<i32, Refused> {
        query.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| invalid(name))
    };
    let (year, month) = (number("year")?, number("month")?);
    let first = NaiveDate::from_ymd_opt(year, month.unsigned_abs(), 1).ok_or_else(|| invalid("month"))?;
    let today = now.date_naive();
    let oldest = today.with_day(1).unwrap_or(today) - Months::new(6);
    if first < oldest || first > today {
        return Err(Box::new(error(
            400,
            300,
            "Daily report can only be provided for a month that falls within the recent 6 months.",
        )));
    }
    let days = options.account.meetings.range(first..first + Months::new(1)).filter(|(date, _)| **date <= today);
    let dates = days.map(|(date, day)| {
        json!({
            "date": date.to_string(), "new_users": day.new_users, "meetings": day.meetings,
            "participants": day.participants, "meeting_minutes": day.minutes,
        })
    });
    let dates: Vec<Value> = dates.collect();
    Ok(json!({ "year": year, "month": month, "dates": dates }))
}
