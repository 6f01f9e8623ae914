//! The question put to one day's table: named columns only, because columns come and go and each one read is paid for.

use chrono::NaiveDate;

use crate::config::BigQuery;

/// BigQuery bills so much for a table at least.
const LEAST_BILLED: u64 = 10 << 20;
const MIB: u64 = 1 << 20;

/// What is selected: the name in the answer, its type there, and the expression.
///
/// A parameter is a row of an array, and only one member of its value is filled: which one depends on the platform and
/// on how the number was written. `max` gives one value where a parameter comes twice, the same each time.
pub(super) const ITEMS: [(&str, Type, &str); 10] = [
    ("event_date", Type::Text, "event_date"),
    ("event_timestamp", Type::Integer, "event_timestamp"),
    ("event_name", Type::Text, "event_name"),
    ("user_pseudo_id", Type::Text, "user_pseudo_id"),
    (
        "ga_session_id",
        Type::Integer,
        "(select max(coalesce(value.int_value, safe_cast(value.double_value as int64), \
         safe_cast(value.string_value as int64))) from unnest(event_params) where key = 'ga_session_id')",
    ),
    (
        "engagement_time_msec",
        Type::Integer,
        "(select max(coalesce(value.int_value, safe_cast(value.double_value as int64), \
         safe_cast(value.string_value as int64))) from unnest(event_params) where key = 'engagement_time_msec')",
    ),
    (
        "firebase_screen",
        Type::Text,
        "(select max(value.string_value) from unnest(event_params) where key = 'firebase_screen')",
    ),
    (
        "firebase_screen_class",
        Type::Text,
        "(select max(value.string_value) from unnest(event_params) where key = 'firebase_screen_class')",
    ),
    (
        "firebase_screen_id",
        Type::Text,
        "(select max(coalesce(value.string_value, cast(value.int_value as string))) from unnest(event_params) \
         where key = 'firebase_screen_id')",
    ),
    ("operating_system", Type::Text, "device.operating_system"),
];

/// The type of a column of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
}

/// The daily table of a day: never the streaming one, which holds the same events until the daily one replaces it.
pub(super) fn table(day: NaiveDate) -> String {
    format!("events_{}", day.format("%Y%m%d"))
}

/// The day of a daily table; none for every other table.
pub(super) fn day(table: &str) -> Option<NaiveDate> {
    let suffix = table.strip_prefix("events_")?;
    let is_day = suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_digit());
    is_day.then(|| NaiveDate::parse_from_str(suffix, "%Y%m%d").ok()).flatten()
}

/// The SELECT over the table of a day.
pub(super) fn sql(settings: &BigQuery, day: NaiveDate) -> String {
    let items: Vec<_> = ITEMS
        .iter()
        .map(|(name, _, expression)| match name == expression {
            true => (*name).to_owned(),
            false => format!("{expression} as {name}"),
        })
        .collect();
    format!("select\n    {}\nfrom `{}.{}.{}`", items.join(",\n    "), settings.project, settings.dataset, table(day))
}

/// What a query over one table may bill, in bytes: the larger of twice the estimate and the least that is billed, and
/// never more than the cap. None when the estimate alone is more.
pub(super) fn limit(estimate: u64, settings: &BigQuery) -> Option<u64> {
    let cap = settings.max_billed_mib.saturating_mul(MIB);
    (estimate <= cap).then(|| estimate.saturating_mul(2).max(LEAST_BILLED).min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretRef;

    fn settings(max_billed_mib: u64) -> BigQuery {
        BigQuery {
            project: "vital-app".into(),
            dataset: "analytics_1".into(),
            location: "US".into(),
            credentials: SecretRef::Env("KEY".into()),
            base_url: String::new(),
            token_url: String::new(),
            max_billed_mib,
            query_timeout_secs: 60,
            monthly_days: 30,
        }
    }

    #[test]
    fn only_daily_tables_are_days() {
        let date = "2026-01-20".parse().unwrap();
        assert_eq!(table(date), "events_20260120");
        assert_eq!(day("events_20260120"), Some(date));
        for other in
            ["events_intraday_20260120", "events_fresh_20260120", "events_2026012", "events_20260132", "users_20260120"]
        {
            assert_eq!(day(other), None, "{other}");
        }
    }

    #[test]
    fn a_query_names_its_columns_and_one_table() {
        let sql = sql(&settings(10), "2026-01-20".parse().unwrap());
        assert!(sql.ends_with("from `vital-app.analytics_1.events_20260120`"), "{sql}");
        assert!(!sql.contains("select *") && !sql.contains("select\n    *"), "{sql}");
        assert!(!sql.contains("_table_suffix") && !sql.contains("intraday"), "{sql}");
    }

    #[test]
    fn a_query_may_bill_twice_its_estimate_ten_mib_at_least_and_never_more_than_the_cap() {
        let settings = settings(100);
        assert_eq!(limit(0, &settings), Some(10 * MIB));
        assert_eq!(limit(5 * MIB, &settings), Some(10 * MIB));
        assert_eq!(limit(5 * MIB + 1, &settings), Some(10 * MIB + 2));
        assert_eq!(limit(60 * MIB, &settings), Some(100 * MIB));
        assert_eq!(limit(100 * MIB, &settings), Some(100 * MIB));
        assert_eq!(limit(100 * MIB + 1, &settings), None);
    }
}
