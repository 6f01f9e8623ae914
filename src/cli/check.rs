//! `marts check`: is everything there that a night needs?

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::{Context, Exit, Outcome, output, select_orgs, tables};
use crate::config::{Config, Org, QuickBooks, SecretRef, Zoom};
use crate::datasets::Connector;
use crate::extract;
use crate::extract::oauth::{MemoryTokenStore, TokenStore};
use crate::jobs::{JOBS, Job};
use crate::periods;
use crate::postgres::{Database, OrganizationRow};
use crate::run::source_for;
use crate::staging::Staging;

/// Check the configuration, its secrets, and that every source answers what a night asks
///
/// Each source gets one cheap question of each kind, and nothing is landed. Whatever is missing is told at once, job by job,
/// in the source's own words. What is missing fails only the jobs that need it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts check\n  marts check --org vital\n  marts check --offline     ask nobody")]
pub struct CheckArgs {
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// Ask neither database nor sources: only the configuration and its secrets
    #[arg(long)]
    pub offline: bool,
}

/// Whether one job can run for one organisation.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Empty for what all organisations share.
    pub org: String,
    /// The job, or the table of the configuration that all jobs share.
    pub subject: &'static str,
    pub source: &'static str,
    /// What is missing; ready when empty.
    pub problems: Vec<String>,
    /// What the source answered; none when it was not asked.
    pub answered: Option<String>,
    /// Why the job does not run for the organisation, where one might expect it to: no problem, but a choice.
    pub left_out: Option<&'static str>,
}

/// Prints what is ready and what is missing; a usage error when anything is.
pub fn execute(args: &CheckArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, &args.org)?;
    let mut checked = readiness(&config, &orgs);
    if !args.offline {
        context.runtime()?.block_on(ask(&config, &orgs, context, &mut checked));
    }
    if context.global.json {
        output::print_json(&checked)?;
    } else {
        output::print(&table(&checked))?;
    }
    let missing = checked.iter().filter(|ready| !ready.problems.is_empty()).count();
    if missing > 0 {
        return Err(super::Failure::Usage(anyhow::anyhow!("{missing} of {} are not ready", checked.len())));
    }
    Ok(Exit::Good)
}

/// What is ready: what all jobs share first, then each job of each organisation.
pub fn readiness(config: &Config, orgs: &[&Org]) -> Vec<Readiness> {
    let shared = |subject, secret: Option<&SecretRef>| Readiness {
        org: String::new(),
        subject,
        source: "",
        problems: unreadable(secret.into_iter()),
        answered: None,
        left_out: None,
    };
    let mut checked = vec![
        shared("[postgres]", config.postgres.url.as_ref()),
        shared("[security]", config.security.token_key.as_ref()),
    ];
    let alerts = &config.alerts;
    let password = alerts.mail.iter().filter_map(|mail| mail.login.as_ref()).map(|(_, password)| password);
    let mut told = shared("[alerts]", None);
    told.problems = unreadable(alerts.webhook.iter().chain(&alerts.ping).chain(password));
    checked.push(told);
    for org in orgs {
        for job in JOBS {
            let Some(source) = source_for(job, org) else {
                checked.extend(left_out(job, org));
                continue;
            };
            let mut problems = unreadable(secrets(org, source.connector).into_iter());
            problems.extend(org.lacks(source.connector).map(str::to_owned));
            if source.connector == Connector::QuickBooks && config.security.token_key.is_none() {
                problems.push(
                    "[security] has no token_key, so the tokens that QuickBooks renews cannot be kept".to_owned(),
                );
            }
            checked.push(Readiness {
                org: org.slug.clone(),
                subject: job.name,
                source: source.connector.name(),
                problems,
                answered: None,
                left_out: None,
            });
        }
    }
    checked
}

/// Asks the database and every source whose secrets are there, each once for all jobs that need it.
async fn ask(config: &Config, orgs: &[&Org], context: &Context, checked: &mut [Readiness]) {
    // Somebody waits for the answer: nothing is tried twice, and no source is waited for as long as in a night.
    let mut config = config.clone();
    config.limits.tries = 1;
    config.limits.http_timeout_secs = config.limits.http_timeout_secs.min(PATIENCE_SECS);
    let database = if checked[0].problems.is_empty() { Some(connected(&config).await) } else { None };
    match &database {
        None => {}
        Some(Ok((_, line))) => checked[0].answered = Some(line.clone()),
        Some(Err(error)) => checked[0].problems.push(format!("{error:#}")),
    }
    let staging = Staging::new(&config.staging.path);
    for org in orgs {
        let as_of = periods::last_complete_day(context.clock.now(), org.timezone);
        let asking = extract::Context {
            config: &config,
            org,
            staging: &staging,
            clock: context.clock.clone(),
            pulled_at: context.clock.now(),
            as_of,
            saved: None,
            progress: &|_, _, _| {},
        };
        let mut answers: BTreeMap<&str, Result<String, String>> = BTreeMap::new();
        let of_org = checked.iter_mut().filter(|ready| ready.org == org.slug && ready.left_out.is_none());
        for ready in of_org.filter(|ready| ready.problems.is_empty()) {
            let Some(source) = JOBS.iter().find(|job| job.name == ready.subject).and_then(|job| source_for(job, org))
            else {
                continue;
            };
            let connector = source.connector;
            let answer = match (answers.get(connector.name()), &database) {
                (Some(answer), _) => answer.clone(),
                (None, Some(Ok((database, _)))) => asked(&asking, database, connector).await,
                // Its tokens change as they are used, and have to be kept.
                (None, _) if connector == Connector::QuickBooks => {
                    Err("it was not asked, because its tokens are kept in the database, which cannot be used"
                        .to_owned())
                }
                (None, _) => asked(&asking, &MemoryTokenStore::default(), connector).await,
            };
            match &answer {
                Ok(line) => ready.answered = Some(line.clone()),
                Err(line) => ready.problems.push(line.clone()),
            }
            answers.insert(connector.name(), answer);
        }
    }
    if let Some(Ok((database, _))) = database
        && let Err(error) = database.close().await
    {
        checked[0].problems.push(format!("{error:#}"));
    }
}

/// Seconds that a source has to answer one question of a check.
const PATIENCE_SECS: u64 = 30;

async fn asked(asking: &extract::Context<'_>, tokens: &dyn TokenStore, connector: Connector) -> Result<String, String> {
    extract::check(asking, tokens, connector).await.map_err(|error| format!("{error:#}"))
}

/// The database, with a line that says which it is; its schema has to be of this version.
async fn connected(config: &Config) -> anyhow::Result<(Database, String)> {
    let database = Database::connect(&config.postgres, &format!("process {}", std::process::id())).await?;
    let line = if config.postgres.url.is_none() {
        // The embedded server is nobody else's to bring up to date.
        database.migrate().await?;
        "the embedded server runs".to_owned()
    } else {
        database.require_migrated().await?;
        "the server answers, and its tables are of this version".to_owned()
    };
    // Tokens are kept by organisation.
    database.sync_organizations(&config.orgs.iter().map(OrganizationRow::from).collect::<Vec<_>>()).await?;
    Ok((database, line))
}

/// A job that an organisation could have and has not.
fn left_out(job: &Job, org: &Org) -> Option<Readiness> {
    let could = job.sources.iter().any(|source| source.connector == Connector::SoftbaseLedger);
    (could && org.has(Connector::Softbase)).then(|| Readiness {
        org: org.slug.clone(),
        subject: job.name,
        source: Connector::SoftbaseLedger.name(),
        problems: Vec::new(),
        answered: None,
        left_out: Some("[org.softbase] has no table ledger that says what its accounts mean"),
    })
}

/// The secrets that a connector of an organisation needs.
fn secrets(org: &Org, connector: Connector) -> Vec<&SecretRef> {
    match connector {
        Connector::Softbase | Connector::SoftbaseLedger => {
            org.softbase.iter().map(|softbase| softbase.server.login.secret()).collect()
        }
        Connector::QuickBooks => org
            .quickbooks
            .iter()
            .flat_map(|QuickBooks { client_id, client_secret, refresh_token, .. }| {
                [client_id, client_secret].into_iter().chain(refresh_token)
            })
            .collect(),
        Connector::HubSpot => org.hubspot.iter().map(|hubspot| &hubspot.access_token).collect(),
        Connector::Zoom => {
            org.zoom.iter().flat_map(|Zoom { client_id, client_secret, .. }| [client_id, client_secret]).collect()
        }
        Connector::Cases => org.cases.iter().map(|cases| cases.server.login.secret()).collect(),
        Connector::BigQuery => org.bigquery.iter().map(|bigquery| &bigquery.credentials).collect(),
    }
}

/// Every secret that the configuration refers to and something of it needs, each once.
pub(super) fn needed_secrets(config: &Config) -> Vec<&SecretRef> {
    let mut needed: Vec<&SecretRef> = config.postgres.url.iter().collect();
    if config.orgs.iter().any(|org| org.has(Connector::QuickBooks)) {
        needed.extend(&config.security.token_key);
    }
    for org in &config.orgs {
        let sources = JOBS.iter().flat_map(|job| job.sources).filter(|source| org.has(source.connector));
        for secret in sources.flat_map(|source| secrets(org, source.connector)) {
            if !needed.contains(&secret) {
                needed.push(secret);
            }
        }
    }
    needed
}

fn unreadable<'a>(secrets: impl Iterator<Item = &'a SecretRef>) -> Vec<String> {
    secrets.filter_map(|secret| secret.read().err()).map(|error| format!("{error:#}")).collect()
}

fn table(checked: &[Readiness]) -> String {
    let rows = checked.iter().map(|ready| {
        let state = match (ready.problems.is_empty(), ready.left_out) {
            (false, _) => "not ready",
            (true, Some(_)) => "not run",
            (true, None) => "ready",
        };
        vec![
            if ready.org.is_empty() { "all".to_owned() } else { ready.org.clone() },
            ready.subject.to_owned(),
            ready.source.to_owned(),
            state.to_owned(),
            match (ready.left_out, &ready.answered) {
                (Some(reason), _) => reason.to_owned(),
                (None, Some(line)) if ready.problems.is_empty() => line.clone(),
                _ => ready.problems.join("; "),
            },
        ]
    });
    tables::render(&["org", "job", "source", "state", "what it says, or what is missing"], &[], rows)
}
