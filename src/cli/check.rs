//! `marts check`: is everything there that a night needs?

use clap::Args;
use serde::Serialize;

use super::{Context, Exit, Outcome, output, select_orgs, tables};
use crate::config::{Config, Org, QuickBooks, SecretRef, Zoom};
use crate::datasets::Connector;
use crate::jobs::{JOBS, Job};
use crate::run::source_for;

/// Check the configuration, and that every secret it refers to can be read
///
/// Whatever is missing is told at once, job by job. A missing secret fails only the jobs that need it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts check\n  marts check --org vital")]
pub struct CheckArgs {
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
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
    /// Why the job does not run for the organisation, where one might expect it to: no problem, but a choice.
    pub left_out: Option<&'static str>,
}

/// Prints what is ready and what is missing; a usage error when anything is.
pub fn execute(args: &CheckArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, &args.org)?;
    let checked = readiness(&config, &orgs);
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
        left_out: None,
    };
    let mut checked = vec![
        shared("[postgres]", config.postgres.url.as_ref()),
        shared("[security]", config.security.token_key.as_ref()),
    ];
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
                left_out: None,
            });
        }
    }
    checked
}

/// A job that an organisation could have and has not.
fn left_out(job: &Job, org: &Org) -> Option<Readiness> {
    let could = job.sources.iter().any(|source| source.connector == Connector::SoftbaseLedger);
    (could && org.has(Connector::Softbase)).then(|| Readiness {
        org: org.slug.clone(),
        subject: job.name,
        source: Connector::SoftbaseLedger.name(),
        problems: Vec::new(),
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
                [client_id, client_secret, refresh_token]
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
            ready.left_out.map_or_else(|| ready.problems.join("; "), str::to_owned),
        ]
    });
    tables::render(&["org", "job", "source", "state", "what is missing"], &[], rows)
}
