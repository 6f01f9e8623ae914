//! What a request comes to: for which organisations, which jobs and which days.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};

use super::{Request, Window, source_for};
use crate::config::{Config, Org};
use crate::jobs::Job;

/// What an organisation is in for.
#[derive(Debug)]
pub struct Todo<'a> {
    pub org: &'a Org,
    pub jobs: Vec<&'static Job>,
    pub window: Window,
}

/// What a request comes to: the organisations it is about, each with the jobs that it has a source for.
///
/// # Errors
/// Days that have not begun, ranges that are none, and a request that comes to nothing: mistakes of whoever asks.
pub fn todo<'a>(config: &'a Config, request: &Request, now: DateTime<Utc>) -> Result<Vec<Todo<'a>>> {
    let mut todo = Vec::new();
    for org in config.orgs.iter().filter(|org| request.orgs.is_empty() || request.orgs.contains(&org.slug)) {
        let jobs: Vec<_> = request.jobs.iter().copied().filter(|job| source_for(job, org).is_some()).collect();
        if !jobs.is_empty() {
            // A night that is computed again knows no later day than it knew then, whenever that is.
            let now = request.as_of_pull.unwrap_or(now);
            let mut window = Window::resolve(org, now, request.as_of, request.range)?;
            // Saved answers stand for the source as it was.
            window.is_present |= request.pages.is_some();
            todo.push(Todo { org, jobs, window });
        }
    }
    if todo.is_empty() {
        let jobs: Vec<_> = request.jobs.iter().map(|job| job.name).collect();
        let orgs = if request.orgs.is_empty() { "no organisation".to_owned() } else { request.orgs.join(", ") };
        let lacks = if request.orgs.is_empty() { "has" } else { "has not" };
        bail!(
            "nothing to do: {orgs} {lacks} a connector that {} can use; see `marts jobs` and {}",
            jobs.join(", "),
            config.path.display()
        );
    }
    Ok(todo)
}
