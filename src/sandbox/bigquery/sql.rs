//! The SQL that is understood: named columns of one day's table, and parameters picked out of `event_params`.

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

/// Reads a query; what is wrong with it otherwise, as BigQuery might say it.
pub(super) fn parse(sql: &str) -> Result<Query, String> {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let body = sql.strip_prefix("select ").ok_or("Syntax error: Expected \"select\" at [1:1]")?;
    let at = top_level(body, " from ").next().ok_or("Syntax error: Expected keyword FROM but got end of script")?;
    let (items, table) = (&body[..at], body[at + " from ".len()..].trim());
    let table = table
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .filter(|name| !name.contains('`'))
        .ok_or_else(|| format!("Unrecognized name or clause: {table}"))?;
    let [project, dataset, table] = table.split('.').collect::<Vec<_>>()[..] else {
        return Err(format!("Table \"{table}\" must be qualified with a dataset (e.g. dataset.table)."));
    };
    let mut columns = Vec::new();
    let ends: Vec<_> = top_level(items, ",").chain([items.len()]).collect();
    let mut start = 0;
    for end in ends {
        columns.push(known(items[start..end].trim())?);
        start = end + 1;
    }
    Ok(Query { project: project.into(), dataset: dataset.into(), table: table.into(), columns })
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
