//! What a run covers: which periods each job restates, and which partitions of which datasets that takes.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Days, Months, NaiveDate, Utc};

use crate::audit::{Finding, Severity};
use crate::compute::Pulls;
use crate::config::Org;
use crate::datasets::{Dataset, dataset};
use crate::jobs::{Job, Partitions, Periods, Source};
use crate::ledger::ABSENT;
use crate::periods::{self, Partition, Period};

/// The days a run reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The last local day reported; snapshots are staged under it.
    pub as_of: NaiveDate,
    /// `--from` and `--to`, both included; none = what each job restates every night.
    pub range: Option<(NaiveDate, NaiveDate)>,
    /// Whether what a source gives only as it stands may still be taken for `as_of`: that is today or the last complete
    /// day. The present says nothing of a day that has long gone.
    pub is_present: bool,
}

impl Window {
    /// Resolves what was asked for against the organisation's calendar.
    ///
    /// # Errors
    /// Days that have not begun where the organisation is, and a range that ends before it begins.
    pub fn resolve(
        org: &Org,
        now: DateTime<Utc>,
        as_of: Option<NaiveDate>,
        range: Option<(NaiveDate, NaiveDate)>,
    ) -> Result<Window> {
        let today = periods::local_day(now, org.timezone);
        let as_of = as_of.unwrap_or_else(|| periods::last_complete_day(now, org.timezone));
        ensure!(as_of <= today, "--as-of {as_of} has not begun in {}, where it is {today}", org.timezone);
        if let Some((from, to)) = range {
            ensure!(from <= to, "--from {from} is after --to {to}");
            ensure!(to <= as_of, "--to {to} is after {as_of}, the last day reported; see --as-of");
        }
        Ok(Window { as_of, range, is_present: periods::is_present(as_of, now, org.timezone) })
    }
}

/// One job for one organisation: what it restates and what it needs.
#[derive(Debug)]
pub struct Plan {
    pub job: &'static Job,
    pub source: &'static Source,
    /// One row of the mart each, in order; may be empty.
    pub periods: Vec<Period>,
    pub wanted: Vec<Wanted>,
}

/// Partitions of a dataset.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub dataset: &'static Dataset,
    /// To be pulled.
    pub partitions: Vec<Partition>,
    /// Days before the periods: from staging where they were settled when pulled, else to be pulled too.
    pub settled: Vec<Partition>,
    /// How many days after a day its records no longer change.
    pub settled_after: u16,
    /// Whether the source may have no such day, which then has no row.
    pub may_be_absent: bool,
    /// To be taken from staging, because the source gives only the present.
    pub staged: Vec<Partition>,
    /// Whether the staged ones may be absent.
    pub may_lack: bool,
}

impl Plan {
    /// Leaves out the periods whose day the source does not have, and says which. What lies before a period is not its
    /// day: a window over several days skips those that are absent.
    pub fn leave_out_absent(&mut self, pulls: &Pulls) -> Vec<Finding> {
        let mut absent = Vec::new();
        for wanted in self.wanted.iter().filter(|wanted| wanted.may_be_absent) {
            for pull in pulls.of(wanted.dataset.name).iter().filter(|pull| pull.is_absent()) {
                let (first, last) = pull.manifest().window;
                let before = self.periods.len();
                self.periods.retain(|period| last < period.start || period.end < first);
                if self.periods.len() < before {
                    absent.push(Finding {
                        rule: ABSENT.into(),
                        severity: Severity::Warning,
                        period: Some(first),
                        detail: format!(
                            "the source has no {} of {first}, so the day has no row; run it again when it is there",
                            wanted.dataset.name
                        ),
                    });
                }
            }
        }
        absent
    }
}

/// The source of a job that an organisation has, best first; none when the job is not for it.
pub fn source_for(job: &'static Job, org: &Org) -> Option<&'static Source> {
    job.sources.iter().find(|source| org.has(source.connector))
}

/// Plans one job.
///
/// # Errors
/// A source whose settings leave out what its mart cannot do without.
pub fn plan(job: &'static Job, source: &'static Source, org: &Org, window: Window) -> Result<Plan> {
    if let Some(reason) = org.lacks(source.connector) {
        bail!("{reason}");
    }
    let periods = restated(job.periods, org, window)?;
    let mut wanted = Vec::new();
    if !periods.is_empty() {
        for read in source.reads {
            let dataset = dataset(read.dataset)
                .with_context(|| format!("job {} reads the unknown dataset {}", job.name, read.dataset))?;
            wanted.push(partitions(dataset, read.partitions, &periods, org, window)?);
        }
    }
    Ok(Plan { job, source, periods, wanted })
}

/// The periods to restate: those asked for, else the job's own; never before the data start, never in an excluded month.
fn restated(counted: Periods, org: &Org, window: Window) -> Result<Vec<Period>> {
    let as_of = window.as_of;
    let all = match (counted, window.range) {
        (Periods::Days { .. }, Some((from, to))) => periods::days(from, to),
        (Periods::Months { .. }, Some((from, to))) => periods::months(from, to),
        (Periods::Days { count }, None) => periods::days(as_of - Days::new(u64::from(count.saturating_sub(1))), as_of),
        (Periods::Months { count }, None) => {
            let first =
                periods::first_of_month(as_of).checked_sub_months(Months::new(u32::from(count.saturating_sub(1))));
            periods::months(first.context("the months before it are out of range")?, as_of)
        }
    };
    if let (Some(start), Some((_, to))) = (org.data_start_date, window.range)
        && to < start
    {
        bail!("--to {to} is before {start}, where the data of {} start", org.slug);
    }
    Ok(all.into_iter().filter(|period| counts(org, *period)).collect())
}

/// Whether the organisation has figures for a period: not before the data start, nor in an excluded month.
fn counts(org: &Org, period: Period) -> bool {
    org.data_start_date.is_none_or(|start| period.end >= start)
        && !org.excluded_months.contains(&periods::first_of_month(period.start))
}

/// The partitions of a dataset that belong to some periods, of which there is at least one.
fn partitions(
    dataset: &'static Dataset,
    which: Partitions,
    periods: &[Period],
    org: &Org,
    window: Window,
) -> Result<Wanted> {
    let mut wanted = Wanted {
        dataset,
        partitions: Vec::new(),
        settled: Vec::new(),
        settled_after: 0,
        may_be_absent: false,
        staged: Vec::new(),
        may_lack: false,
    };
    let mut before_them = BTreeSet::new();
    let touched =
        |from: NaiveDate, to: NaiveDate| periods::months(from, to).into_iter().map(|m| Partition::Month(m.start));
    let mut found = BTreeSet::new();
    for period in periods {
        match which {
            Partitions::Months { before } => {
                let first = periods::first_of_month(period.start).checked_sub_months(Months::new(u32::from(before)));
                found.extend(touched(first.context("the months before it are out of range")?, period.end));
            }
            Partitions::FiscalYears => {
                let first = periods::fiscal_year_start(period.end, org.fiscal_year_start_month)?;
                found.extend(touched(first, period.end));
            }
            Partitions::Days { before } => {
                let first = period.start - Days::new(u64::from(before));
                found.extend(periods::days(first, period.end).into_iter().map(|day| Partition::Day(day.start)));
            }
            Partitions::SettledDays { before, settled_after } => {
                (wanted.settled_after, wanted.may_be_absent) = (settled_after, true);
                let first = period.start - Days::new(u64::from(before));
                let days = periods::days(first, period.start - Days::new(1));
                before_them
                    .extend(days.into_iter().filter(|day| counts(org, *day)).map(|day| Partition::Day(day.start)));
                found.extend(periods::days(period.start, period.end).into_iter().map(|day| Partition::Day(day.start)));
            }
            Partitions::Snapshot => _ = found.insert(Partition::Day(window.as_of)),
            Partitions::Snapshots { may_lack } => {
                wanted.may_lack = may_lack;
                let days = periods::days(period.start, period.end).into_iter().map(|day| day.start);
                for day in days.filter(|day| *day <= window.as_of) {
                    if day == window.as_of && window.is_present {
                        found.insert(Partition::Day(day));
                    } else {
                        wanted.staged.push(Partition::Day(day));
                    }
                }
            }
        }
    }
    wanted.settled.extend(before_them.difference(&found));
    wanted.partitions.extend(found);
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::job;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn org() -> Org {
        let text = "[[org]]\nslug = \"acme\"\nname = \"Acme\"\ntimezone = \"America/Chicago\"\n\
                    fiscal_year_start_month = 11\n";
        crate::config::Config::parse(text, std::path::Path::new("")).unwrap().orgs.remove(0)
    }

    fn planned(name: &str, org: &Org, window: Window) -> Plan {
        let job = job(name).unwrap();
        plan(job, &job.sources[0], org, window).unwrap()
    }

    fn nightly(as_of: &str) -> Window {
        Window { as_of: date(as_of), range: None, is_present: true }
    }

    #[test]
    fn a_night_restates_45_days_or_14_months_ending_with_as_of() {
        let sales = planned("etl_sales_daily", &org(), nightly("2026-03-10"));
        assert_eq!(sales.periods.len(), 45);
        assert_eq!((sales.periods[0].start, sales.periods[44].start), (date("2026-01-25"), date("2026-03-10")));
        let partitions: Vec<_> = sales.wanted.iter().map(|wanted| format!("{:?}", wanted.partitions.len())).collect();
        assert_eq!(partitions, ["3", "1"], "three months of invoices, one snapshot of work orders");
        let financial = planned("etl_quickbooks_financial", &org(), nightly("2026-03-31"));
        assert_eq!(financial.periods.len(), 14);
        assert_eq!((financial.periods[0].start, financial.periods[13].end), (date("2025-02-01"), date("2026-03-31")));
    }

    #[test]
    fn nothing_before_the_data_start_and_no_excluded_month_is_restated() {
        let mut org = org();
        org.data_start_date = Some(date("2026-02-20"));
        org.excluded_months = vec![date("2026-03-01")];
        let sales = planned("etl_sales_daily", &org, nightly("2026-04-02"));
        let days: Vec<_> = sales.periods.iter().map(|day| day.start).collect();
        assert_eq!(days.len(), 9 + 2, "20 to 28 February, 1 and 2 April");
        assert_eq!((days[0], days[8], days[9]), (date("2026-02-20"), date("2026-02-28"), date("2026-04-01")));
        let window = Window {
            as_of: date("2026-04-02"),
            range: Some((date("2026-03-01"), date("2026-03-31"))),
            is_present: true,
        };
        assert!(planned("etl_sales_daily", &org, window).wanted.is_empty());
        let before = Window {
            as_of: date("2026-04-02"),
            range: Some((date("2026-01-01"), date("2026-01-31"))),
            is_present: true,
        };
        let job = job("etl_sales_daily").unwrap();
        assert!(plan(job, &job.sources[0], &org, before).is_err());
    }

    #[test]
    fn a_night_pulls_four_days_of_events_and_keeps_the_settled_ones_before_them() {
        let mut org = org();
        let app = planned("etl_app_analytics", &org, nightly("2026-03-10"));
        assert_eq!(app.periods.len(), 4);
        let [events] = app.wanted.as_slice() else { panic!("one dataset") };
        let ends = |days: &[Partition]| (days.len(), days[0].to_string(), days[days.len() - 1].to_string());
        assert_eq!(ends(&events.partitions), (4, "2026-03-07".into(), "2026-03-10".into()));
        assert_eq!(ends(&events.settled), (29, "2026-02-06".into(), "2026-03-06".into()));
        org.data_start_date = Some(date("2026-03-01"));
        let app = planned("etl_app_analytics", &org, nightly("2026-03-10"));
        assert_eq!(ends(&app.wanted[0].settled), (6, "2026-03-01".into(), "2026-03-06".into()));
    }

    #[test]
    fn only_today_and_the_last_complete_day_are_taken_as_the_source_stands() {
        let now = "2026-04-03T12:00:00Z".parse().unwrap();
        for (as_of, pulled) in [("2026-04-03", 1), ("2026-04-02", 1), ("2026-04-01", 0)] {
            let window = Window::resolve(&org(), now, Some(date(as_of)), None).unwrap();
            for wanted in planned("etl_hubspot_contacts", &org(), window).wanted {
                assert_eq!((wanted.partitions.len(), wanted.staged.len()), (pulled, 1 - pulled), "{as_of}");
            }
        }
    }

    #[test]
    fn windows_end_where_the_local_calendar_does() {
        // 04:00 UTC on the 1st is still the evening of the 31st in Chicago.
        let now = "2026-04-01T04:00:00Z".parse().unwrap();
        assert_eq!(Window::resolve(&org(), now, None, None).unwrap().as_of, date("2026-03-30"));
        assert_eq!(Window::resolve(&org(), now, Some(date("2026-03-31")), None).unwrap().as_of, date("2026-03-31"));
        assert!(Window::resolve(&org(), now, Some(date("2026-04-01")), None).is_err());
        let range = |from, to| Window::resolve(&org(), now, None, Some((date(from), date(to))));
        assert!(range("2026-02-01", "2026-02-28").is_ok());
        assert!(range("2026-02-28", "2026-02-01").is_err());
        assert!(range("2026-02-01", "2026-03-31").is_err());
    }
}
