//! `[schedule]` and `[org.schedule]`: when jobs are due, and what `marts schedule` does about a night that went wrong.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::check::{Checked, at_least};
use super::parse::{Fault, nearest};
use crate::jobs::JOBS;
use crate::schedule::Cron;

/// `[schedule]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// How long after its time a job that was missed is still run.
    pub catch_up: TimeDelta,
    /// How often a job that failed is tried again in the same night.
    pub retries: u32,
    /// The wait before the first of them; it doubles with each.
    pub retry_wait: TimeDelta,
    /// Seconds for which `marts schedule`, told to stop, waits for the organisation that is under way.
    pub grace_secs: u64,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        ScheduleSettings {
            catch_up: TimeDelta::hours(24),
            retries: 3,
            retry_wait: TimeDelta::minutes(15),
            grace_secs: 60,
        }
    }
}

/// As it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    catch_up_hours: Option<Spanned<u16>>,
    retries: Option<u16>,
    retry_minutes: Option<Spanned<u16>>,
    grace_secs: Option<u64>,
}

/// `[org.schedule]` as it is written: the keys are jobs, and `all`.
pub(super) type Times = BTreeMap<Spanned<String>, Spanned<Value>>;

/// The key that stands for every job that has none of its own.
const ALL: &str = "all";

/// Checks `[schedule]`.
pub(super) fn check(written: Written) -> Checked<ScheduleSettings> {
    let default = ScheduleSettings::default();
    let catch_up_hours = at_least(written.catch_up_hours, 1, 24)?;
    let retry_minutes = at_least(written.retry_minutes, 1, 15)?;
    Ok(ScheduleSettings {
        catch_up: TimeDelta::hours(i64::from(catch_up_hours)),
        retries: written.retries.map_or(default.retries, u32::from),
        retry_wait: TimeDelta::minutes(i64::from(retry_minutes)),
        grace_secs: written.grace_secs.unwrap_or(default.grace_secs),
    })
}

/// Checks `[org.schedule]`.
pub(super) fn times(written: Times) -> Checked<BTreeMap<&'static str, Cron>> {
    let mut all = None;
    let mut times = BTreeMap::new();
    for (key, value) in written {
        let name = key.get_ref();
        let job = JOBS.iter().find(|job| job.name == name);
        if job.is_none() && name != ALL {
            let known = || [ALL].into_iter().chain(JOBS.iter().map(|job| job.name));
            let hint = match nearest(name, known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known keys are {}", known().collect::<Vec<_>>().join(", ")),
            };
            return Err(Fault::at(key.span(), format!("unknown key \"{name}\" in [org.schedule]; {hint}")));
        }
        let refuse = |message: String| Fault::at(value.span(), message);
        let text = value.get_ref().as_str();
        let text = text.ok_or_else(|| refuse("write a time as in \"30 2 * * *\", which is 02:30".to_owned()))?;
        let cron = Cron::parse(text).map_err(|error| {
            refuse(format!("{error:#}; write minute, hour, day, month and weekday, as in \"30 2 * * *\""))
        })?;
        match job {
            Some(job) => _ = times.insert(job.name, cron),
            None => all = Some(cron),
        }
    }
    if let Some(cron) = all {
        for job in JOBS {
            times.entry(job.name).or_insert_with(|| cron.clone());
        }
    }
    Ok(times)
}
