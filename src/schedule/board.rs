//! What a scheduler knows of itself and of the nights, for those who ask it over HTTP.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::alerts::Condition;
use crate::config::Config;
use crate::jobs::JOBS;
use crate::ledger::{Attempt, Status};
use crate::run::{RunReport, source_for};

/// How long the loop may be silent while no run is under way: it never sleeps so long.
const SILENCE: TimeDelta = TimeDelta::minutes(3);

/// Shared between the loop, which writes it, and the listener, which reads it.
#[derive(Debug, Default)]
pub struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the loop last went round.
    beat: Option<DateTime<Utc>>,
    /// The organisations whose run is under way.
    under_way: Option<String>,
    /// When the database was last looked at, and why that failed if it did.
    looked: Option<(DateTime<Utc>, Option<String>)>,
    attempts: Vec<Attempt>,
    conditions: Vec<Condition>,
    /// Runs of this process: by organisation, job and end.
    ended: BTreeMap<(String, String, &'static str), u64>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        // What a thread that panicked has written is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop went round.
    pub fn beat(&self, now: DateTime<Utc>) {
        self.state().beat = Some(now);
    }

    /// A run begins, or none is under way any more.
    pub fn under_way(&self, orgs: Option<&str>) {
        self.state().under_way = orgs.map(str::to_owned);
    }

    /// The database was looked at.
    pub fn looked(&self, now: DateTime<Utc>, trouble: Option<String>) {
        self.state().looked = Some((now, trouble));
    }

    /// What the ledger has.
    pub fn attempts(&self, attempts: &[Attempt]) {
        self.state().attempts = attempts.to_vec();
    }

    /// What is wrong.
    pub fn conditions(&self, conditions: Vec<Condition>) {
        self.state().conditions = conditions;
    }

    /// A run has ended.
    pub fn ended(&self, report: &RunReport) {
        let mut state = self.state();
        for mart in &report.marts {
            let key = (mart.org.clone(), mart.job.clone(), mart.status.in_the_ledger().name());
            *state.ended.entry(key).or_default() += 1;
        }
    }

    /// Whether the loop is alive; else why not.
    pub fn health(&self, now: DateTime<Utc>) -> Result<String, String> {
        let state = self.state();
        match (&state.under_way, state.beat) {
            (Some(orgs), _) => Ok(format!("the run of {orgs} is under way")),
            (None, Some(beat)) if now - beat <= SILENCE => Ok("alive".to_owned()),
            (None, beat) => {
                Err(format!("the loop is silent since {}", beat.map_or_else(String::new, |at| at.to_rfc3339())))
            }
        }
    }

    /// Whether the database was reached when it was last looked at; else why not.
    pub fn readiness(&self) -> Result<String, String> {
        match &self.state().looked {
            None => Err("the database has not been looked at yet".to_owned()),
            Some((at, None)) => Ok(format!("the database was reached at {}", at.to_rfc3339())),
            Some((_, Some(trouble))) => Err(trouble.clone()),
        }
    }

    /// The metrics, in the text of OpenMetrics.
    ///
    /// # Errors
    /// Never in practice: it writes to memory.
    pub fn metrics(&self, config: &Config, now: DateTime<Utc>) -> Result<String> {
        let state = self.state();
        let mut registry = Registry::with_prefix("marts");
        type Labels = Vec<(&'static str, String)>;
        type Gauges = Family<Labels, Gauge>;
        let gauges = |registry: &mut Registry, name: &str, help: &str, unit: Option<Unit>| {
            let family = Gauges::default();
            match unit {
                Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
                None => registry.register(name, help, family.clone()),
            }
            family
        };
        let seconds = || Some(Unit::Seconds);
        let status = gauges(&mut registry, "last_run_status", "1 for how the newest run of the job ended", None);
        let began =
            gauges(&mut registry, "last_run_start_timestamp", "When the newest run of the job began", seconds());
        let rows = gauges(
            &mut registry,
            "last_run_rows",
            "Rows of the mart that the newest run published or found as they were",
            None,
        );
        let success =
            gauges(&mut registry, "last_success_timestamp", "When the last successful run of the job began", seconds());
        let next = gauges(&mut registry, "next_run_timestamp", "When the job is due next", seconds());
        let alerts = gauges(&mut registry, "alerts", "1 for each alert: what is wrong with a job", None);
        let up =
            gauges(&mut registry, "database_up", "Whether the database was reached when it was last looked at", None);
        let duration = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        let help = "How long the newest run of the job took";
        registry.register_with_unit("last_run_duration", help, Unit::Seconds, duration.clone());
        let runs = Family::<Labels, Counter>::default();
        registry.register("runs", "Runs of jobs by this process, by how they ended", runs.clone());

        for org in &config.orgs {
            for job in JOBS.iter().filter(|job| source_for(job, org).is_some()) {
                let labels =
                    vec![("org", org.slug.clone()), ("job", job.name.to_owned()), ("mart", job.mart.to_owned())];
                let mut own = state.attempts.iter().filter(|own| own.org == org.slug && own.job == job.name).rev();
                if let Some(newest) = own.clone().next() {
                    let mut with_status = labels.clone();
                    with_status.push(("status", newest.status.name().to_owned()));
                    status.get_or_create(&with_status).set(1);
                    began.get_or_create(&labels).set(newest.began.timestamp());
                    if let Some(count) = newest.rows {
                        rows.get_or_create(&labels).set(count);
                    }
                    if let Some(took) = newest.ended.and_then(|ended| (ended - newest.began).to_std().ok()) {
                        duration.get_or_create(&labels).set(took.as_secs_f64());
                    }
                }
                if let Some(last) = own.find(|attempt| attempt.status == Status::Success) {
                    success.get_or_create(&labels).set(last.began.timestamp());
                }
                if let Some(at) = org.cron(job)?.next(now, org.timezone) {
                    next.get_or_create(&labels).set(at.timestamp());
                }
            }
        }
        for Condition { org, job, kind, .. } in &state.conditions {
            let labels = vec![("org", org.clone()), ("job", job.clone()), ("kind", kind.name().to_owned())];
            alerts.get_or_create(&labels).set(1);
        }
        for ((org, job, ended), count) in &state.ended {
            let labels = vec![("org", org.clone()), ("job", job.clone()), ("status", (*ended).to_owned())];
            runs.get_or_create(&labels).inc_by(*count);
        }
        up.get_or_create(&Vec::new()).set(i64::from(matches!(state.looked, Some((_, None)))));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}
