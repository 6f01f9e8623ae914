//! `marts runs`: the last nights.

use std::time::Duration;

use clap::Args;

use super::report::{Finding, MartReport, RunReport, Status};
use super::{Context, Exit, Outcome, output, tables};
use crate::ledger::{self, Run};

/// List the last runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts runs --limit 7")]
pub struct RunsArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Prints the newest runs of the ledger.
pub fn execute(args: &RunsArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let entries = context.with_database(&config, async |database| {
        ledger::list(&mut *database.connection().await?, args.limit, None).await
    })?;
    let runs = reports(entries);
    if context.global.json {
        output::print_json(&runs)?;
    } else {
        output::print(&tables::runs(&runs))?;
    }
    Ok(Exit::Good)
}

/// Rows of the ledger, those of a run together, as reports.
pub(super) fn reports(entries: Vec<Run>) -> Vec<RunReport> {
    let mut reports: Vec<RunReport> = Vec::new();
    for entry in entries {
        let ended = entry.finished_at.map(|at| (at - entry.started_at).to_std().unwrap_or_default());
        if reports.last().is_none_or(|report| report.run.as_ref() != Some(&entry.run_id)) {
            reports.push(RunReport {
                run: Some(entry.run_id.clone()),
                started_at: entry.started_at,
                duration: Some(Duration::ZERO),
                as_of: Some(entry.as_of),
                marts: Vec::new(),
            });
        }
        let Some(report) = reports.last_mut() else { continue };
        report.as_of = report.as_of.max(Some(entry.as_of));
        // The run took as long as from its first job's beginning to its last job's end.
        let until = entry.finished_at.map(|at| (at - report.started_at).to_std().unwrap_or_default());
        report.duration = report.duration.zip(until).map(|(so_far, until)| so_far.max(until));
        report.marts.push(MartReport {
            org: entry.org,
            job: entry.job,
            mart: entry.mart,
            status: status(&entry.status),
            landed: entry.rows_landed.unwrap_or_default().unsigned_abs(),
            inserted: entry.rows_inserted.unwrap_or_default().unsigned_abs(),
            updated: entry.rows_updated.unwrap_or_default().unsigned_abs(),
            unchanged: entry.rows_unchanged.unwrap_or_default().unsigned_abs(),
            duration: ended.unwrap_or_default(),
            findings: findings(&entry.detail),
            error: entry.error,
        });
    }
    reports
}

fn status(name: &str) -> Status {
    match name {
        "success" => Status::Published,
        "partial" => Status::PartlyHeld,
        "held" => Status::Held,
        "skipped" => Status::Skipped,
        "running" => Status::Running,
        _ => Status::Failed,
    }
}

/// What the audit found, as the run wrote it down.
fn findings(detail: &serde_json::Value) -> Vec<Finding> {
    detail.get("findings").and_then(|findings| serde_json::from_value(findings.clone()).ok()).unwrap_or_default()
}
