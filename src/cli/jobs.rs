//! `marts jobs`: the table of jobs.

use clap::Args;
use serde_json::{Value, json};

use super::{Context, Outcome, output, tables};
use crate::jobs::{JOBS, Job, Periods};

/// List the jobs: what each fills, from which sources, and when
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts jobs --json | jq -r '.[].mart'")]
pub struct JobsArgs {}

/// Prints the table of jobs.
pub fn execute(_args: &JobsArgs, context: &Context) -> Outcome {
    if context.global.json {
        output::print_json(&JOBS.iter().map(describe).collect::<Vec<_>>())?;
    } else {
        output::print(&table())?;
    }
    Ok(super::Exit::Good)
}

/// The table, for people.
pub fn table() -> String {
    let rows = JOBS.iter().map(|job| {
        vec![
            job.name.to_owned(),
            job.mart.to_owned(),
            connectors(job),
            rows(job),
            starts_at(job),
            job.meaning.to_owned(),
        ]
    });
    tables::render(&["job", "mart", "source", "rows a run restates", "starts", "what it holds"], &[], rows)
}

/// The table, in Markdown, as README shows it.
pub fn markdown() -> String {
    let mut text = String::from("| job | mart | source | rows a run restates | starts |\n|---|---|---|---|---|\n");
    for job in JOBS {
        let line =
            format!("| `{}` | `{}` | {} | {} | {} |\n", job.name, job.mart, connectors(job), rows(job), starts_at(job));
        text.push_str(&line);
    }
    text
}

fn describe(job: &Job) -> Value {
    let sources: Vec<Value> = job
        .sources
        .iter()
        .map(|source| {
            let reads: Vec<&str> = source.reads.iter().map(|read| read.dataset).collect();
            json!({ "connector": source.connector.name(), "reads": reads })
        })
        .collect();
    let (unit, count) = match job.periods {
        Periods::Days { count } => ("day", count),
        Periods::Months { count } => ("month", count),
    };
    json!({
        "job": job.name,
        "mart": job.mart,
        "key": job.key,
        "sources": sources,
        "restates": { "unit": unit, "count": count },
        "starts": starts_at(job),
        "meaning": job.meaning,
    })
}

pub(super) fn connectors(job: &Job) -> String {
    job.sources.iter().map(|source| source.connector.name()).collect::<Vec<_>>().join(", else ")
}

pub(super) fn rows(job: &Job) -> String {
    match job.periods {
        Periods::Days { count: 1 } => "1 day".to_owned(),
        Periods::Days { count } => format!("{count} days"),
        Periods::Months { count } => format!("{count} months"),
    }
}

fn starts_at(job: &Job) -> String {
    format!("{:02}:{:02}", job.schedule.0, job.schedule.1)
}
