//! Days and months of the simulated business. Apart from `crate::periods` on purpose: an oracle that used the product's
//! calendar would share its mistakes.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

/// First day of the date's month.
pub fn month_start(date: NaiveDate) -> NaiveDate {
    date.with_day(1).expect("every month has a first day")
}

/// Last day of the date's month.
pub fn month_end(date: NaiveDate) -> NaiveDate {
    month_start(date) + Months::new(1) - Days::new(1)
}

/// First and last day of a calendar month.
pub fn month(year: i32, month: u32) -> (NaiveDate, NaiveDate) {
    let first = NaiveDate::from_ymd_opt(year, month, 1).expect("a month between 1 and 12");
    (first, month_end(first))
}

/// First day of the fiscal year that holds `date`, for fiscal years that start in `start_month` (1..=12).
pub fn fiscal_year_start(date: NaiveDate, start_month: u32) -> NaiveDate {
    let year = if date.month() >= start_month { date.year() } else { date.year() - 1 };
    NaiveDate::from_ymd_opt(year, start_month, 1).expect("a fiscal year starts in month 1 to 12")
}

/// Every day from `from` to `to`, both included.
pub fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |day| *day <= to)
}

/// First days of all months that `from..=to` touches.
pub fn months(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    (0..).map(move |n| month_start(from) + Months::new(n)).take_while(move |first| *first <= to)
}

/// Monday to Friday, apart from the holidays on which nobody works anywhere in the simulation.
pub fn is_business_day(date: NaiveDate) -> bool {
    let holiday = matches!((date.month(), date.day()), (1, 1) | (7, 4) | (12, 25));
    !holiday && !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

/// That day, or the first business day after it.
pub fn business_day_from(date: NaiveDate) -> NaiveDate {
    date.iter_days().find(|day| is_business_day(*day)).expect("the calendar goes on")
}
