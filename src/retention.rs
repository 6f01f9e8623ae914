//! Which pulls must stay: those that a published row rests on, or a row that an audit still holds.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, SubsecRound as _, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as};

use crate::postgres::as_admin;
use crate::staging::Entry;

/// The pulls that runs rest on.
#[derive(Debug, Default)]
pub struct Needed {
    pulls: BTreeSet<(String, String, String, DateTime<Utc>)>,
    /// Organisations of which the run ledger knows a run.
    orgs: BTreeSet<String>,
}

impl Needed {
    /// Whether a row that is published, or held, rests on the pull.
    pub fn holds(&self, pull: &Entry) -> bool {
        let key = (pull.org.clone(), pull.dataset.name.to_owned(), pull.partition.to_string(), pull.pulled_at);
        self.pulls.contains(&key)
    }

    /// Whether the run ledger knows the organisation at all. If not, it cannot say what may go.
    pub fn knows(&self, org: &str) -> bool {
        self.orgs.contains(org)
    }
}

/// A run that gave rows, or has rows held.
#[derive(Debug, Clone, FromRow)]
struct Given {
    run_id: String,
    org_id: i32,
    slug: String,
    job: String,
    status: String,
    first_period: Option<NaiveDate>,
    last_period: Option<NaiveDate>,
    /// First days of the periods that it left out because the source had no such day.
    absent: Vec<String>,
}

#[derive(Debug, FromRow)]
struct Pull {
    slug: String,
    dataset: String,
    period: String,
    pulled_at: DateTime<Utc>,
}

/// Reads off the run ledger which pulls are needed.
///
/// # Errors
/// When the ledger cannot be read, or holds what is none of ours: then nothing may be removed.
pub async fn needed(connection: &mut PgConnection) -> Result<Needed> {
    let mut transaction = as_admin(connection).await?;
    // Newest first: what a newer run gave, no older one gives.
    let given: Vec<Given> = query_as(
        "select run_id, org_id, slug, job, status, first_period, last_period,
             array(select finding ->> 'period' from jsonb_array_elements(detail -> 'findings') finding
                   where finding ->> 'rule' = 'absent' and finding ->> 'period' is not null) as absent
         from etl_runs join organizations on organizations.id = org_id
         where status in ('success', 'partial', 'held')
         order by org_id, job, started_at desc, run_id desc",
    )
    .fetch_all(&mut *transaction)
    .await
    .context("reading the run ledger")?;
    let resting = resting(&given);
    let pulls: Vec<Pull> = query_as(
        "select slug, pull ->> 'dataset' as dataset, pull ->> 'period' as period,
             (pull ->> 'pulled_at')::timestamptz as pulled_at
         from etl_runs join organizations on organizations.id = org_id
         cross join jsonb_array_elements(detail -> 'pulls') pull
         join unnest($1::text[], $2::integer[], $3::text[]) as resting (run, org, its_job)
             on run_id = run and org_id = org and job = its_job",
    )
    .bind(resting.iter().map(|given| given.run_id.as_str()).collect::<Vec<_>>())
    .bind(resting.iter().map(|given| given.org_id).collect::<Vec<_>>())
    .bind(resting.iter().map(|given| given.job.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut *transaction)
    .await
    .context("reading the pulls of the runs")?;
    // A pull is named to the second.
    let key = |pull: Pull| (pull.slug, pull.dataset, pull.period, pull.pulled_at.trunc_subsecs(0));
    Ok(Needed {
        pulls: pulls.into_iter().map(key).collect(),
        orgs: given.iter().map(|given| given.slug.clone()).collect(),
    })
}

/// Of runs, newest first within a job of an organisation, those with a day that no newer success gave. What was given in
/// part, or held, counts as given by none: an older row may stand behind it.
fn resting(given: &[Given]) -> Vec<&Given> {
    let mut resting = Vec::new();
    let mut covered: BTreeSet<NaiveDate> = BTreeSet::new();
    let mut of = None;
    for run in given {
        if of != Some((run.org_id, &run.job)) {
            of = Some((run.org_id, &run.job));
            covered.clear();
        }
        let Some((first, last)) = run.first_period.zip(run.last_period) else { continue };
        let days = || first.iter_days().take_while(|day| *day <= last);
        if days().all(|day| covered.contains(&day)) {
            continue;
        }
        resting.push(run);
        if run.status == "success" {
            covered.extend(days().filter(|day| !run.absent.contains(&day.to_string())));
        }
    }
    resting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(run_id: &str, job: &str, status: &str, first: &str, last: &str, absent: &[&str]) -> Given {
        Given {
            run_id: run_id.into(),
            org_id: 1,
            slug: "acme".into(),
            job: job.into(),
            status: status.into(),
            first_period: first.parse().ok(),
            last_period: last.parse().ok(),
            absent: absent.iter().map(|day| (*day).to_owned()).collect(),
        }
    }

    fn names(given: &[Given]) -> Vec<&str> {
        resting(given).iter().map(|given| given.run_id.as_str()).collect()
    }

    #[test]
    fn a_run_stays_as_long_as_it_gave_a_day_last() {
        let nights = [
            run("3", "sales", "success", "2026-01-03", "2026-01-05", &[]),
            run("2", "sales", "success", "2026-01-02", "2026-01-04", &[]),
            run("1b", "sales", "success", "2026-01-02", "2026-01-03", &[]),
            run("1", "sales", "success", "2026-01-01", "2026-01-03", &[]),
        ];
        assert_eq!(names(&nights), ["3", "2", "1"]);
        let other = [&nights[..1], &[run("0", "zoom", "success", "2026-01-03", "2026-01-04", &[])]].concat();
        assert_eq!(names(&other), ["3", "0"], "another job's rows are its own");
    }

    #[test]
    fn what_is_held_rests_on_its_pulls_and_covers_nobody_elses() {
        let nights = [
            run("4", "sales", "held", "2026-01-01", "2026-01-05", &[]),
            run("3", "sales", "partial", "2026-01-01", "2026-01-05", &[]),
            run("2", "sales", "success", "2026-01-01", "2026-01-05", &[]),
            run("1", "sales", "held", "2026-01-01", "2026-01-05", &[]),
        ];
        assert_eq!(names(&nights), ["4", "3", "2"]);
    }

    #[test]
    fn a_day_that_the_source_had_not_rests_on_the_run_that_gave_it() {
        let nights = [
            run("2", "app", "success", "2026-01-01", "2026-01-02", &["2026-01-01"]),
            run("1", "app", "success", "2026-01-01", "2026-01-02", &[]),
        ];
        assert_eq!(names(&nights), ["2", "1"]);
    }
}
