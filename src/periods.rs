//! The only calendar arithmetic in the crate: an organisation's local days and months with their
//! bounds in UTC. SQL never converts time zones; it compares instants with the bounds made here, so a
//! day of 23 or 25 hours is right by construction.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

/// One row of a mart in time: a local day, or a local calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    /// First local day.
    pub start: NaiveDate,
    /// Last local day, inclusive.
    pub end: NaiveDate,
}

/// The part of a dataset that one pull covers: its folder under `staging/<dataset>/org=<slug>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// A calendar month, named by its first day: ledgers, invoices, reports.
    Month(NaiveDate),
    /// A local day: event tables, and snapshots of objects that have no history.
    Day(NaiveDate),
}

impl Partition {
    /// The month that holds `date`.
    pub fn month_of(date: NaiveDate) -> Self {
        Partition::Month(first_of_month(date))
    }

    /// First local day covered.
    pub fn start(self) -> NaiveDate {
        match self {
            Partition::Month(day) | Partition::Day(day) => day,
        }
    }

    /// Last local day covered, inclusive.
    pub fn end(self) -> NaiveDate {
        match self {
            Partition::Month(first) => last_of_month(first),
            Partition::Day(day) => day,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Month(first) => write!(out, "{}", first.format("%Y-%m")),
            Partition::Day(day) => write!(out, "{}", day.format("%Y-%m-%d")),
        }
    }
}

impl FromStr for Partition {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let context = || format!("{text:?} is not a period: expected YYYY-MM or YYYY-MM-DD");
        let partition = match text.len() {
            7 => NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map(Partition::Month),
            10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Partition::Day),
            _ => bail!(context()),
        };
        let partition = partition.with_context(context)?;
        // The parser takes signs and blanks too.
        ensure!(partition.to_string() == text, context());
        Ok(partition)
    }
}

/// Whether a local day is the present at an instant: today, or the last complete day. What a source gives only as it stands
/// may be taken for such a day.
pub fn is_present(day: NaiveDate, now: DateTime<Utc>, timezone: Tz) -> bool {
    day >= last_complete_day(now, timezone)
}

/// First day of the month that holds `date`.
pub fn first_of_month(date: NaiveDate) -> NaiveDate {
    date - Days::new(u64::from(date.day0()))
}

/// Last day of the month that holds `date`.
pub fn last_of_month(date: NaiveDate) -> NaiveDate {
    first_of_month(date) + Months::new(1) - Days::new(1)
}

/// The local days from `first` to `last`, both included.
pub fn days(first: NaiveDate, last: NaiveDate) -> Vec<Period> {
    first.iter_days().take_while(|day| *day <= last).map(|day| Period { start: day, end: day }).collect()
}

/// The calendar months from the one that holds `first` to the one that holds `last`.
pub fn months(first: NaiveDate, last: NaiveDate) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut start = first_of_month(first);
    while start <= last {
        periods.push(Period { start, end: last_of_month(start) });
        start = start + Months::new(1);
    }
    periods
}

/// First day of the fiscal year that holds `date`, for a year that starts in calendar month
/// `fiscal_year_start_month` (1 to 12).
pub fn fiscal_year_start(date: NaiveDate, fiscal_year_start_month: u32) -> Result<NaiveDate> {
    ensure!((1..=12).contains(&fiscal_year_start_month), "a fiscal year starts in month 1 to 12");
    let year = if date.month() >= fiscal_year_start_month { date.year() } else { date.year() - 1 };
    NaiveDate::from_ymd_opt(year, fiscal_year_start_month, 1).context("the fiscal year is out of range")
}

/// The last complete local day at the instant `now`: what a run in the night reports by default.
pub fn last_complete_day(now: DateTime<Utc>, timezone: Tz) -> NaiveDate {
    now.with_timezone(&timezone).date_naive() - Days::new(1)
}

/// The local day at the instant `now`.
pub fn local_day(now: DateTime<Utc>, timezone: Tz) -> NaiveDate {
    now.with_timezone(&timezone).date_naive()
}

/// The instant, in UTC, at which the local day `date` begins.
///
/// Where the clock skips midnight, the day begins at the first instant that exists; where midnight comes
/// twice, at the first of the two.
pub fn day_starts_at(date: NaiveDate, timezone: Tz) -> Result<NaiveDateTime> {
    let instant = instant(date.and_time(NaiveTime::MIN), timezone);
    instant.map(|instant| instant.naive_utc()).with_context(|| format!("{date} does not exist in {timezone}"))
}

/// The instant at which clocks in a time zone first show `local`, a whole minute. Where they skip it, the first instant
/// after the gap; none where even the next day does not exist.
pub fn instant(local: NaiveDateTime, timezone: Tz) -> Option<DateTime<Utc>> {
    // Gaps end at whole minutes, and the longest ever was of a day.
    for minute in 0..=24 * 60 {
        match timezone.from_local_datetime(&(local + chrono::TimeDelta::minutes(minute))) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => return Some(instant.to_utc()),
            LocalResult::None => {}
        }
    }
    None
}

impl Period {
    /// Bounds in UTC: the first instant of the period and the first instant after it.
    pub fn bounds(&self, timezone: Tz) -> Result<(NaiveDateTime, NaiveDateTime)> {
        Ok((day_starts_at(self.start, timezone)?, day_starts_at(self.end + Days::new(1), timezone)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        assert_eq!(last_of_month(date("2024-02-10")), date("2024-02-29"));
        assert_eq!(last_of_month(date("2025-02-28")), date("2025-02-28"));
        assert_eq!(last_of_month(date("2025-12-31")), date("2025-12-31"));
        let starts: Vec<_> = months(date("2025-11-30"), date("2026-01-01")).iter().map(|m| m.start).collect();
        assert_eq!(starts, [date("2025-11-01"), date("2025-12-01"), date("2026-01-01")]);
    }

    #[test]
    fn fiscal_years_turn_over_in_their_own_month() {
        assert_eq!(fiscal_year_start(date("2026-10-31"), 11).unwrap(), date("2025-11-01"));
        assert_eq!(fiscal_year_start(date("2026-11-01"), 11).unwrap(), date("2026-11-01"));
        assert_eq!(fiscal_year_start(date("2026-11-01"), 1).unwrap(), date("2026-01-01"));
        assert!(fiscal_year_start(date("2026-11-01"), 13).is_err());
    }

    #[test]
    fn days_on_which_the_clock_changes_have_23_and_25_hours() {
        let chicago: Tz = "America/Chicago".parse().unwrap();
        let hours = |day: &str| {
            let (from, to) = Period { start: date(day), end: date(day) }.bounds(chicago).unwrap();
            (to - from).num_hours()
        };
        assert_eq!(hours("2026-03-08"), 23);
        assert_eq!(hours("2026-11-01"), 25);
        assert_eq!(hours("2026-11-02"), 24);
    }

    #[test]
    fn a_day_without_midnight_begins_when_the_clock_resumes() {
        // Beirut skipped 00:00 to 01:00 on 2022-03-27.
        let beirut: Tz = "Asia/Beirut".parse().unwrap();
        assert_eq!(day_starts_at(date("2022-03-27"), beirut).unwrap().to_string(), "2022-03-26 22:00:00");
    }

    #[test]
    fn the_night_of_the_21st_reports_the_20th() {
        let chicago: Tz = "America/Chicago".parse().unwrap();
        let now = "2026-01-21T08:00:00Z".parse().unwrap();
        assert_eq!(last_complete_day(now, chicago), date("2026-01-20"));
        // 03:00 UTC is still the evening of the 20th in Chicago.
        let now = "2026-01-21T03:00:00Z".parse().unwrap();
        assert_eq!(last_complete_day(now, chicago), date("2026-01-19"));
    }

    #[test]
    fn partitions_read_back_what_they_print() {
        for text in ["2026-02", "2026-02-28"] {
            assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
        }
        for text in ["2026", "2026-13", "2026-02-30", "all", "2026/02"] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
    }
}
