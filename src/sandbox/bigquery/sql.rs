//! The SQL that is understood: named columns of one day's table, and parameters picked out of `event_params`; and one
//! count of distinct users and sessions.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::sandbox::business::app::AppEvent;

/// A column that can be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected {
    pub name: &'static str,
    /// As the schema of an answer writes it.
    pub kind: &'static str,
    pub value: fn(&AppEvent, NaiveDate) -> Option<String>,
}

/// A query that is understood.
#[derive(Debug)]
pub(super) struct Query {
    pub project: String,
    pub dataset: String,
    pub table: String,
    /// None where it is the count.
    pub columns: Vec<Selected>,
}

const NUMBER: &str = "(select max(coalesce(value.int_value, safe_cast(value.double_value as int64), \
    safe_cast(value.string_value as int64))) from unnest(event_params) where key = '%')";
const TEXT: &str = "(select max(value.string_value) from unnest(event_params) where key = '%')";
const EITHER: &str = "(select max(coalesce(value.string_value, cast(value.int_value as string))) \
    from unnest(event_params) where key = '%')";

/// Expression with `%` for the name, and the column.
const KNOWN: [(&str, Selected); 10] = [
    ("%", column("event_date", "STRING", |_, day| Some(day.format("%Y%m%d").to_string()))),
    ("%", column("event_timestamp", "INTEGER", |event, _| Some(event.micros.to_string()))),
    ("%", column("event_name", "STRING", |event, _| Some(event.name.to_owned()))),
    ("%", column("user_pseudo_id", "STRING", |event, _| event.user.clone())),
    (NUMBER, column("ga_session_id", "INTEGER", |event, _| event.session.map(|id| id.to_string()))),
    (NUMBER, column("engagement_time_msec", "INTEGER", |event, _| event.engagement_msec.map(|time| time.to_string()))),
    (TEXT, column("firebase_screen", "STRING", |event, _| event.screen.map(str::to_owned))),
    (TEXT, column("firebase_screen_class", "STRING", |event, _| event.screen_class.map(str::to_owned))),
    (EITHER, column("firebase_screen_id", "STRING", |event, _| event.screen_id.map(|id| id.to_string()))),
    ("device.operating_system", column("operating_system", "STRING", |event, _| Some(event.system.to_owned()))),
];

const fn column(name: &'static str, kind: &'static str, value: fn(&AppEvent, NaiveDate) -> Option<String>) -> Selected {
    Selected { name, kind, value }
}

/// The count that is understood besides, with the table in place of `%`.
const COUNT: &str = "select count(distinct user_id) as daily_active_users, count(distinct if(event_name = 'first_open', \
    user_id, null)) as new_users, count(distinct user_id) - count(distinct if(event_name = 'first_open', user_id, null)) \
    as returning_users, count(distinct if(user_id is null or session_id is null, null, concat(user_id, '/', session_id))) \
    as total_sessions from ( select nullif(trim(user_pseudo_id), '') as user_id, event_name, (select \
    cast(max(coalesce(value.int_value, safe_cast(value.double_value as int64), \
    safe_cast(value.string_value as int64))) as string) from unnest(event_params) \
    where key = 'ga_session_id') as session_id from %)";
const COUNTED: [&str; 4] = ["daily_active_users", "new_users", "returning_users", "total_sessions"];

/// The names of the counts and the values that they have over events.
pub(super) fn counted(events: &[AppEvent]) -> [(&'static str, usize); 4] {
    let user =
        |event: &AppEvent| event.user.as_deref().map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned);
    let all: BTreeSet<String> = events.iter().filter_map(user).collect();
    let new: BTreeSet<String> = events.iter().filter(|event| event.name == "first_open").filter_map(user).collect();
    let sessions: BTreeSet<(String, i64)> =
        events.iter().filter_map(|event| Some((user(event)?, event.session?))).collect();
    let counts = [all.len(), new.len(), all.len() - new.len(), sessions.len()];
    std::array::from_fn(|at| (COUNTED[at], counts[at]))
}

/// The table that the count is asked of; none when it is another query.
fn table_counted(sql: &str) -> Option<&str> {
    let (before, after) = COUNT.split_once('%')?;
    sql.strip_prefix(before)?.strip_suffix(after).map(str::trim)
}

/// Reads a query; what is wrong with it otherwise, as BigQuery might say it.
pub(super) fn parse(sql: &str) -> Result<Query, String> {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(table) = table_counted(&sql) {
        let (project, dataset, table) = named(table)?;
        return Ok(Query { project, dataset, table, columns: Vec::new() });
    }
    let body = sql.strip_prefix("select ").ok_or("Syntax error: Expected \"select\" at [1:1]")?;
    let at = top_level(body, " from ").next().ok_or("Syntax error: Expected keyword FROM but got end of script")?;
    let (items, table) = (&body[..at], body[at + " from ".len()..].trim());
    let (project, dataset, table) = named(table)?;
    let mut columns = Vec::new();
    let ends: Vec<_> = top_level(items, ",").chain([items.len()]).collect();
    let mut start = 0;
    for end in ends {
        columns.push(known(items[start..end].trim())?);
        start = end + 1;
    }
    Ok(Query { project, dataset, table, columns })
}

/// Project, dataset and table of a quoted name.
fn named(table: &str) -> Result<(String, String, String), String> {
    let table = table
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .filter(|name| !name.contains('`'))
        .ok_or_else(|| format!("Unrecognized name or clause: {table}"))?;
    let [project, dataset, table] = table.split('.').collect::<Vec<_>>()[..] else {
        return Err(format!("Table \"{table}\" must be qualified with a dataset (e.g. dataset.table)."));
    };
    Ok((project.into(), dataset.into(), table.into()))
}

fn known(item: &str) -> Result<Selected, String> {
    let (expression, name) = match item.rsplit_once(" as ") {
        Some((expression, name)) if !name.contains(')') => (expression, name),
        _ => (item, item),
    };
    let found =
        KNOWN.iter().find(|(pattern, selected)| selected.name == name && pattern.replace('%', name) == expression);
    found.map(|(_, selected)| *selected).ok_or_else(|| format!("Unrecognized name: {item}"))
}

/// Where a text stands outside of parentheses.
fn top_level<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut depth = 0_i32;
    text.char_indices().filter_map(move |(at, letter)| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0 && text[at..].starts_with(wanted)).then_some(at)
    })
}
