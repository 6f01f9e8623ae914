//! `marts check`: is everything there that a night needs?

use clap::Args;
use serde::Serialize;

use super::{Context, Exit, Outcome, output, select_orgs, tables};
use crate::config::{Config, Org, QuickBooks, SecretRef, SqlLogin};
use crate::datasets::Connector;
use crate::jobs::JOBS;

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
    };
    let mut checked = vec![
        shared("[postgres]", config.postgres.url.as_ref()),
        shared("[security]", config.security.token_key.as_ref()),
    ];
    for org in orgs {
        for job in JOBS {
            let Some(source) = job.sources.iter().find(|source| org.has(source.connector)) else { continue };
            let mut problems = unreadable(secrets(org, source.connector).into_iter());
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
            });
        }
    }
    checked
}

/// The secrets that a connector of an organisation needs.
fn secrets(org: &Org, connector: Connector) -> Vec<&SecretRef> {
    match connector {
        Connector::Softbase => org
            .softbase
            .iter()
            .map(|softbase| match &softbase.server.login {
                SqlLogin::Password { password, .. } => password,
                SqlLogin::AzureAd { client_secret, .. } => client_secret,
            })
            .collect(),
        Connector::QuickBooks => org
            .quickbooks
            .iter()
            .flat_map(|QuickBooks { client_id, client_secret, refresh_token, .. }| {
                [client_id, client_secret, refresh_token]
            })
            .collect(),
        Connector::BigQuery => org.bigquery.iter().map(|bigquery| &bigquery.credentials).collect(),
    }
}

fn unreadable<'a>(secrets: impl Iterator<Item = &'a SecretRef>) -> Vec<String> {
    secrets.filter_map(|secret| secret.read().err()).map(|error| format!("{error:#}")).collect()
}

fn table(checked: &[Readiness]) -> String {
    let rows = checked.iter().map(|ready| {
        let state = if ready.problems.is_empty() { "ready" } else { "not ready" };
        vec![
            if ready.org.is_empty() { "all".to_owned() } else { ready.org.clone() },
            ready.subject.to_owned(),
            ready.source.to_owned(),
            state.to_owned(),
            ready.problems.join("; "),
        ]
    });
    tables::render(&["org", "job", "source", "state", "what is missing"], &[], rows)
}
