//! `[audit]`, `[org.audit]` and the keys that close an organisation's months.

use chrono::{Days, NaiveDate};
use serde::Deserialize;
use toml::Spanned;

use super::parse::Fault;
use super::wire;
use crate::periods::{first_of_month, last_of_month};

/// From where on an audit warns: `[audit]`, and what `[org.audit]` says otherwise for one organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// A row lost this share of what is published for it, in percent; 0 = anything, 100 = never.
    pub drop_pct: u32,
    /// A row moved by more than this share of what is published for it, in percent; 0 = at all.
    pub jump_pct: u32,
    /// The newest record is so many days older than the last day reported.
    pub stale_days: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { drop_pct: 50, jump_pct: 50, stale_days: 5 }
    }
}

/// Which months of an organisation are closed; none are by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Last day of the newest month that is closed whatever the day: `closed_through`.
    pub through: Option<NaiveDate>,
    /// A month closes when so many days have passed since its last: `close_after_days`.
    pub after_days: Option<u32>,
}

impl Closed {
    /// The last day that lies in a closed month, when `day` is the last one that is over; none where no month is closed.
    /// With `after_days` 0 a month is closed from its end on: when the day after it is over.
    pub fn until(&self, day: NaiveDate) -> Option<NaiveDate> {
        // The months that end before that day, the lag included, have closed.
        let closing = self.after_days.and_then(|days| day.checked_sub_days(Days::new(u64::from(days))));
        let by_lag = closing.and_then(|closing| first_of_month(closing).pred_opt());
        self.through.max(by_lag)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    drop_pct: Option<Spanned<u32>>,
    jump_pct: Option<Spanned<u32>>,
    stale_days: Option<Spanned<u32>>,
}

/// Checks a table; what it leaves out is as `default` has it.
pub(super) fn check(written: Written, default: Audit) -> Result<Audit, Fault> {
    Ok(Audit {
        drop_pct: within(written.drop_pct, 0..=100, "drop_pct is a share of what is published: 0 to 100")?
            .unwrap_or(default.drop_pct),
        jump_pct: within(written.jump_pct, 0..=100_000, "jump_pct is a percentage of what is published: 0 to 100000")?
            .unwrap_or(default.jump_pct),
        stale_days: within(written.stale_days, 1..=366, "stale_days is a number of days: 1 to 366")?
            .unwrap_or(default.stale_days),
    })
}

/// Checks when the months of an organisation close.
pub(super) fn check_closed(
    through: Option<&wire::Text>,
    after_days: Option<Spanned<u32>>,
    month_start: impl Fn(&wire::Text) -> Result<NaiveDate, Fault>,
) -> Result<Closed, Fault> {
    Ok(Closed {
        through: through.map(month_start).transpose()?.map(last_of_month),
        after_days: within(after_days, 0..=3660, "a month closes 0 to 3660 days after its end")?,
    })
}

fn within(
    written: Option<Spanned<u32>>,
    range: std::ops::RangeInclusive<u32>,
    otherwise: &str,
) -> Result<Option<u32>, Fault> {
    match written {
        Some(number) if !range.contains(number.get_ref()) => Err(Fault::at(number.span(), otherwise)),
        number => Ok(number.map(Spanned::into_inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_closes_so_many_days_after_its_end() {
        let after = |days| Closed { through: None, after_days: Some(days) };
        for (days, last, until) in [
            (0, "2026-01-31", "2025-12-31"),
            (0, "2026-02-01", "2026-01-31"),
            (10, "2026-02-10", "2025-12-31"),
            (10, "2026-02-11", "2026-01-31"),
            (45, "2026-01-20", "2025-11-30"),
        ] {
            assert_eq!(after(days).until(day(last)), Some(day(until)), "{days} days, {last}");
        }
    }

    #[test]
    fn the_later_of_both_settings_counts_and_without_either_nothing_is_closed() {
        assert_eq!(Closed::default().until(day("2026-01-20")), None);
        let both = |through| Closed { through: Some(day(through)), after_days: Some(10) };
        assert_eq!(both("2025-09-30").until(day("2026-01-20")), Some(day("2025-12-31")));
        assert_eq!(both("2026-02-28").until(day("2026-01-20")), Some(day("2026-02-28")));
    }
}
