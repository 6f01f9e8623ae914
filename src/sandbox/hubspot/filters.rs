//! The filters of a search, as far as totals by day of creation and stage need them. What is not simulated is refused.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Limits of the guide: groups, filters of a group, filters in all, values of one filter.
const MOST: [usize; 4] = [5, 6, 18, 100];

/// What a record is filtered by.
pub(super) struct Filtered<'a> {
    pub created: DateTime<Utc>,
    /// `lifecyclestage` of a contact, `dealstage` of a deal.
    pub stage: Option<&'a str>,
}

/// The filters of a search: of some group all have to hold. Without groups everything passes.
#[derive(Debug)]
pub(super) struct Filters(Vec<Vec<Filter>>);

#[derive(Debug)]
struct Filter {
    is_date: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Has(bool),
    /// An operator, and a text or epoch milliseconds.
    Compare(String, String, i64),
    In(Vec<String>),
}

impl Filters {
    /// Reads them for records whose stage is called so.
    ///
    /// # Errors
    /// What is wrong, or not simulated.
    pub(super) fn parse(groups: Option<&Value>, stage: &str) -> Result<Self, String> {
        let groups = match groups {
            None => return Ok(Filters(Vec::new())),
            Some(Value::Array(groups)) => groups,
            Some(_) => return Err("filterGroups is no list".into()),
        };
        let mut read = Vec::new();
        for group in groups {
            let filters = group["filters"].as_array().filter(|filters| !filters.is_empty());
            let filters = filters.ok_or("a group of filters has no filters")?;
            read.push(filters.iter().map(|it| filter(it, stage)).collect::<Result<Vec<_>, _>>()?);
        }
        let widest = read.iter().map(Vec::len).max().unwrap_or_default();
        if read.len() > MOST[0] || widest > MOST[1] || read.iter().map(Vec::len).sum::<usize>() > MOST[2] {
            return Err("a search has more filters than HubSpot allows".into());
        }
        Ok(Filters(read))
    }

    pub(super) fn pass(&self, record: &Filtered<'_>) -> bool {
        self.0.is_empty() || self.0.iter().any(|group| group.iter().all(|filter| filter.holds(record)))
    }
}

fn filter(filter: &Value, stage: &str) -> Result<Filter, String> {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let is_date = match name {
        "createdate" => true,
        name if name == stage => false,
        name => return Err(format!("a filter by {name} is not simulated")),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a filter's value is a text".to_owned());
    let test = match filter["operator"].as_str().unwrap_or_default() {
        "HAS_PROPERTY" => Test::Has(true),
        "NOT_HAS_PROPERTY" => Test::Has(false),
        "IN" if !is_date => {
            let values = filter["values"].as_array().ok_or("IN has no values")?;
            if values.is_empty() || values.len() > MOST[3] {
                return Err("IN takes one to a hundred values".into());
            }
            Test::In(values.iter().map(text).collect::<Result<_, _>>()?)
        }
        operator @ ("LT" | "LTE" | "GT" | "GTE") if is_date => {
            let value = text(&filter["value"])?;
            let millis = value.parse().map_err(|_| format!("{value} is no instant in milliseconds"))?;
            Test::Compare(operator.to_owned(), value, millis)
        }
        operator @ ("EQ" | "NEQ") if !is_date => Test::Compare(operator.to_owned(), text(&filter["value"])?, 0),
        operator => return Err(format!("{operator} of {name} is not simulated")),
    };
    Ok(Filter { is_date, test })
}

impl Filter {
    fn holds(&self, record: &Filtered<'_>) -> bool {
        let created = record.created.timestamp_millis();
        match (&self.test, self.is_date) {
            (Test::Has(wanted), true) => *wanted,
            (Test::Has(wanted), false) => record.stage.is_some() == *wanted,
            (Test::In(values), _) => record.stage.is_some_and(|stage| values.iter().any(|value| value == stage)),
            (Test::Compare(operator, _, millis), true) => match operator.as_str() {
                "LT" => created < *millis,
                "LTE" => created <= *millis,
                "GT" => created > *millis,
                _ => created >= *millis,
            },
            // What has no stage is not unlike any either.
            (Test::Compare(operator, value, _), false) => {
                record.stage.is_some_and(|stage| (stage == value) == (operator == "EQ"))
            }
        }
    }
}
