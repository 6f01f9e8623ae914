//! Cron expressions in an organisation's local time.
//!
//! The crate croner knows which wall-clock times an expression names. What those are as instants is said here, in one rule
//! for all expressions: a time that the clock skips comes at the end of the gap, and a time that comes twice counts the
//! first time. So a daily expression has one instant for each local date, whatever the clock does. (croner's own rule
//! depends on how an expression is written: 02:00 comes once, but 02:00 and 14:00 in one list may be skipped or come
//! twice.)

use std::fmt;

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

use crate::periods;

/// A checked cron expression of five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    parsed: croner::Cron,
}

/// No clock is set back by more than that at once.
const LONGEST_REPETITION: TimeDelta = TimeDelta::hours(26);

/// The values that each field names, for those who write them in another notation.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields {
    pub minutes: Vec<u16>,
    pub hours: Vec<u16>,
    /// None = any.
    pub days: Option<Vec<u16>>,
    pub months: Vec<u16>,
    /// 0 = Sunday; none = any. Where days are named too, a date of either is meant.
    pub weekdays: Option<Vec<u16>>,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, and an expression whose date never comes.
    pub fn parse(text: &str) -> Result<Cron> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(&text).map_err(|error| {
            anyhow!("\"{text}\" is no cron expression: {}", error.to_string().trim_end_matches('.'))
        })?;
        let cron = Cron { text, parsed };
        if cron.next(DateTime::UNIX_EPOCH, Tz::UTC).is_none() {
            bail!("\"{}\" names a time that never comes", cron.text);
        }
        Ok(cron)
    }

    /// Every day at that time.
    ///
    /// # Errors
    /// An hour after 23 or a minute after 59.
    pub fn daily((hour, minute): (u8, u8)) -> Result<Cron> {
        Cron::parse(&format!("{minute} {hour} * * *"))
    }

    /// The newest instant at or before `now` that the expression names in a time zone.
    pub fn last(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let wall = now.with_timezone(&zone).naive_local().and_utc();
        // While a time is repeated, the wall clock shows less than what it has shown already.
        let mut local = self.parsed.find_previous_occurrence(&(wall + LONGEST_REPETITION), true).ok()?;
        loop {
            let instant = periods::instant(local.naive_utc(), zone)?;
            if instant <= now {
                return Some(instant);
            }
            local = self.parsed.find_previous_occurrence(&local, false).ok()?;
        }
    }

    /// The first instant after `now` that the expression names in a time zone.
    pub fn next(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let wall = now.with_timezone(&zone).naive_local().and_utc();
        let mut local = self.parsed.find_next_occurrence(&wall, true).ok()?;
        loop {
            let instant = periods::instant(local.naive_utc(), zone)?;
            if instant > now {
                return Some(instant);
            }
            local = self.parsed.find_next_occurrence(&local, false).ok()?;
        }
    }

    /// What each field names.
    ///
    /// # Errors
    /// `L`, `W` and `#`, whose dates depend on the month, and `+`, which wants both a day and a weekday.
    pub fn fields(&self) -> Result<Fields> {
        let pattern = &self.parsed.pattern;
        if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() || pattern.matches_dom_and_dow() {
            bail!("\"{}\" uses L, W, # or +, which only `marts schedule` itself understands", self.text);
        }
        let mut weekdays: Vec<u16> = pattern.days_of_week.values().into_iter().map(|day| day % 7).collect();
        weekdays.sort_unstable();
        weekdays.dedup();
        Ok(Fields {
            minutes: pattern.minutes.values(),
            hours: pattern.hours.values(),
            days: (!pattern.is_dom_wildcard()).then(|| pattern.days.values()),
            months: pattern.months.values(),
            weekdays: (!pattern.is_dow_wildcard()).then_some(weekdays),
        })
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
    }

    /// The instants of an expression after `from` and up to `to`, going forward; going back they must be the same.
    fn instants(text: &str, zone: Tz, from: &str, to: &str) -> Vec<String> {
        let cron = Cron::parse(text).unwrap();
        let (from, to) = (utc(from), utc(to));
        let mut forward = Vec::new();
        let mut at = from;
        while let Some(next) = cron.next(at, zone).filter(|next| *next <= to) {
            forward.push(next);
            at = next;
        }
        let mut back = Vec::new();
        let mut at = to;
        while let Some(last) = cron.last(at, zone).filter(|last| *last > from) {
            back.push(last);
            at = last - TimeDelta::seconds(1);
        }
        back.reverse();
        assert_eq!(forward, back, "{text}");
        forward.iter().map(|instant| instant.format("%m-%d %H:%M").to_string()).collect()
    }

    const CHICAGO: Tz = chrono_tz::America::Chicago;

    #[test]
    fn a_time_that_the_clock_skips_comes_when_it_goes_on() {
        // On 2026-03-08 Chicago goes from 02:00 CST to 03:00 CDT, which is 08:00 UTC.
        let night = |text| instants(text, CHICAGO, "2026-03-07 12:00", "2026-03-09 12:00");
        assert_eq!(night("0 2 * * *"), ["03-08 08:00", "03-09 07:00"]);
        assert_eq!(night("30 2 * * *"), ["03-08 08:00", "03-09 07:30"]);
        assert_eq!(night("30 1 * * *"), ["03-08 07:30", "03-09 06:30"]);
        assert_eq!(night("0 3 * * *"), ["03-08 08:00", "03-09 08:00"]);
        assert_eq!(night("30 2,14 * * *"), ["03-07 20:30", "03-08 08:00", "03-08 19:30", "03-09 07:30"]);
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        // On 2026-11-01 Chicago has 01:00 to 02:00 twice: from 06:00 UTC, and from 07:00 UTC.
        let night = |text| instants(text, CHICAGO, "2026-10-31 12:00", "2026-11-02 12:00");
        assert_eq!(night("0 1 * * *"), ["11-01 06:00", "11-02 07:00"]);
        assert_eq!(night("30 1 * * *"), ["11-01 06:30", "11-02 07:30"]);
        assert_eq!(night("0 2 * * *"), ["11-01 08:00", "11-02 08:00"]);
        assert_eq!(night("30 1,13 * * *"), ["10-31 18:30", "11-01 06:30", "11-01 19:30", "11-02 07:30"]);
        // Berlin has 02:00 to 03:00 twice, so 02:00 itself.
        let berlin = instants("0 2 * * *", chrono_tz::Europe::Berlin, "2026-10-24 12:00", "2026-10-26 12:00");
        assert_eq!(berlin, ["10-25 00:00", "10-26 01:00"]);
    }

    #[test]
    fn expressions_name_days_and_weekdays_as_cron_does() {
        let january = |text| instants(text, Tz::UTC, "2026-01-01 00:00", "2026-01-20 00:00");
        // The 13th, or a Monday.
        assert_eq!(january("0 4 13 * MON"), ["01-05 04:00", "01-12 04:00", "01-13 04:00", "01-19 04:00"]);
        assert_eq!(january("@weekly"), ["01-04 00:00", "01-11 00:00", "01-18 00:00"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "* * * *", "60 1 * * *", "0 24 * * *", "0 0 1 * * *", "hourly", "0 2 * * * 2027"] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
        let never = Cron::parse("0 2 30 2 *").unwrap_err().to_string();
        assert_eq!(never, "\"0 2 30 2 *\" names a time that never comes");
    }

    #[test]
    fn fields_are_what_an_expression_names() {
        let fields = Cron::parse("*/20 1-3 * 6 SUN,6").unwrap().fields().unwrap();
        assert_eq!((fields.minutes, fields.hours), (vec![0, 20, 40], vec![1, 2, 3]));
        assert_eq!((fields.days, fields.months, fields.weekdays), (None, vec![6], Some(vec![0, 6])));
        assert_eq!(Cron::parse("0 1 * * 7").unwrap().fields().unwrap().weekdays, Some(vec![0]));
        assert!(Cron::parse("0 1 L * *").unwrap().fields().is_err());
        assert!(Cron::parse("0 1 * * MON#1").unwrap().fields().is_err());
    }
}
