//! Alerts: what is wrong with the nights, told once to whoever should know, and taken back when it is over.
//!
//! [`conditions`] reads off the run ledger and the schedule what is wrong now; [`decide`] compares that with what has been
//! told; both are pure. [`attend`] does it all and never fails a night: what goes wrong with a delivery is a warning, and
//! is tried again by whoever attends next. Since only the ledger is asked, any command on any machine notices that the
//! scheduler is gone.

mod conditions;
mod decide;
mod send;
mod store;
mod text;

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};

pub use conditions::{Condition, Kind, conditions};
pub use decide::{Decision, Notice, Open, decide};
pub use send::Delivery;
pub use text::{Message, message, wrong};

use crate::config::Config;
use crate::ledger::{self, Attempt};
use crate::postgres::{Database, Locked};
use store::Mark;

/// The lock that only one has while it tells: of a mart that does not exist, and of no organisation.
const LOCK: (&str, i32) = ("alerts", 0);

/// What somebody found who attended.
#[derive(Debug, Default)]
pub struct Attended {
    /// What is wrong now.
    pub conditions: Vec<Condition>,
    /// How many notices were delivered.
    pub told: usize,
    /// What could not be delivered, or not be asked, each in one line.
    pub troubles: Vec<String>,
}

/// Looks for what is wrong, writes it down, tells whoever should know, and where nothing is wrong asks the address that
/// wants to know that, if `is_end_of_run`. Where another process is doing so, it only looks.
///
/// `unrecorded` are attempts that the ledger may not know; `program` is how a command begins.
///
/// # Errors
/// When the ledger or the table of alerts cannot be read or written. A delivery that fails is no error.
pub async fn attend(
    config: &Config,
    database: &Database,
    now: DateTime<Utc>,
    unrecorded: &[Attempt],
    is_end_of_run: bool,
    program: &str,
) -> Result<Attended> {
    let is_ours = matches!(database.lock(LOCK.0, LOCK.1).await?, Locked::Taken);
    let attended = async {
        let (organizations, attempts) = {
            let mut connection = database.connection().await?;
            let attempts = ledger::attempts(&mut connection).await?;
            (store::organizations(&mut connection).await?, with(attempts, unrecorded))
        };
        let installed = organizations.iter().map(|(slug, (_, since))| (slug.clone(), *since)).collect();
        let conditions = conditions(config, &attempts, &installed, now, program)?;
        let mut attended = Attended { conditions, ..Attended::default() };
        if is_ours {
            tell(config, database, &organizations, &mut attended, now, program).await?;
            if let Some(url) = &config.alerts.ping
                && is_end_of_run
                && attended.conditions.is_empty()
                && let Err(error) = send::ping(url).await
            {
                attended.troubles.push(format!("{error:#}"));
            }
        }
        anyhow::Ok(attended)
    };
    let attended = attended.await;
    if is_ours {
        database.unlock(LOCK.0, LOCK.1).await?;
    }
    attended
}

/// Attempts of the ledger, and of the others those that it does not know; oldest first.
fn with(mut attempts: Vec<Attempt>, others: &[Attempt]) -> Vec<Attempt> {
    let is_known = |own: &&Attempt| !attempts.iter().any(|known| known.is_of(&own.run_id, &own.org, &own.job));
    let unknown: Vec<_> = others.iter().filter(is_known).cloned().collect();
    attempts.extend(unknown);
    attempts.sort_by_key(|attempt| attempt.began);
    attempts
}

/// Writes down what is new and what is over, and tells what is to be told.
async fn tell(
    config: &Config,
    database: &Database,
    organizations: &BTreeMap<String, (i32, DateTime<Utc>)>,
    attended: &mut Attended,
    now: DateTime<Utc>,
    program: &str,
) -> Result<()> {
    // Of an organisation that is not in the database nothing can be written down; it is told all the same.
    let id = |org: &str| organizations.get(org).map(|(id, _)| *id);
    let notices = {
        let mut connection = database.connection().await?;
        let open = store::open(&mut connection).await?;
        let Decision { opened, closed, notices } = decide(config, &attended.conditions, &open, now);
        for condition in &opened {
            if let Some(id) = id(&condition.org) {
                store::opened(&mut connection, id, condition, now).await?;
            }
        }
        for over in &closed {
            if let Some(id) = id(&over.org) {
                store::mark(&mut connection, id, (&over.job, over.kind), Mark::Closed, now).await?;
            }
        }
        notices
    };
    if notices.is_empty() || !config.alerts.tells() {
        return Ok(());
    }
    let deliveries = send::deliver(&config.alerts, &message(config, &notices, program)).await;
    let is_told = deliveries.iter().any(|delivery| delivery.result.is_ok());
    let failed = deliveries.into_iter().filter_map(|delivery| delivery.result.err());
    attended.troubles.extend(failed.map(|error| format!("an alert could not be delivered: {error:#}")));
    if !is_told {
        // Whoever attends next tries again.
        return Ok(());
    }
    attended.told = notices.len();
    let mut connection = database.connection().await?;
    for notice in &notices {
        let (org, job, kind, mark) = match notice {
            Notice::New(wrong) | Notice::Reminder(wrong) => (&wrong.org, &wrong.job, wrong.kind, Mark::Notified),
            Notice::Resolved(open) => (&open.org, &open.job, open.kind, Mark::Closed),
        };
        if let Some(id) = id(org) {
            store::mark(&mut connection, id, (job, kind), mark, now).await?;
        }
    }
    Ok(())
}

/// The same at the end of a run, where nothing of it may matter to the night: whatever goes wrong is a warning.
pub async fn attend_after_run(
    config: &Config,
    database: &Database,
    now: DateTime<Utc>,
    unrecorded: &[Attempt],
    program: &str,
) -> Attended {
    match attend(config, database, now, unrecorded, true, program).await {
        Ok(attended) => {
            for trouble in &attended.troubles {
                tracing::warn!("{trouble}");
            }
            attended
        }
        Err(error) => {
            tracing::warn!("alerts could not be looked after: {error:#}");
            Attended::default()
        }
    }
}

/// Sends a message that says that alerts arrive, by every way there is.
pub async fn test(config: &Config, program: &str) -> Vec<Delivery> {
    let orgs: Vec<_> = config.orgs.iter().map(|org| org.slug.as_str()).collect();
    let subject = format!("marts: a test ({})", orgs.join(", "));
    let text = format!(
        "{subject}\n\nAlerts of these organisations arrive here. Nothing is wrong; `{program} alert` says what is."
    );
    let mut deliveries = send::deliver(&config.alerts, &Message { subject, text }).await;
    if let Some(url) = &config.alerts.ping {
        deliveries.push(Delivery { channel: "ping", result: send::ping(url).await });
    }
    deliveries
}
