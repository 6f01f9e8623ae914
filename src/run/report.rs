//! What a run tells, as plain data: the run fills it in, the command line shows it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize, Serializer};

use crate::audit::{self, Held};
use crate::jobs::Job;
use crate::ledger;
use crate::publish::Published;

/// Something that happened during a run. With `--json`, one line each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The run begins, with that many marts to fill.
    Started { run: Option<&'a str>, marts: usize },
    /// A pull goes on; `rows` so far.
    Pulling { org: &'a str, dataset: &'a str, rows: u64 },
    /// A pull is complete.
    Pulled { org: &'a str, dataset: &'a str, period: &'a str, rows: u64 },
    /// A snapshot of a day gone by is the one that was taken then: the source gives only the present.
    Staged { org: &'a str, dataset: &'a str, period: &'a str, pulled_at: DateTime<Utc> },
    /// A mart's rows are computed and audited.
    Computed { org: &'a str, job: &'a str, rows: u64 },
    /// A mart is done, one way or the other.
    Done { mart: &'a MartReport },
}

/// How filling one mart for one organisation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All its rows are published; they may all have been there already.
    Published,
    /// Some of its rows are published, the audit held the others.
    PartlyHeld,
    /// The audit held it: what was published before stands.
    Held,
    /// It failed before the audit: what was published before stands.
    Failed,
    /// It was not begun, or passed and was not published, because of another mart: the error says which.
    Skipped,
    /// Computed and audited, and left unpublished as `--dry-run` asks.
    DryRun,
    /// Still under way, or its process died: as the run ledger may have it.
    Running,
}

impl Status {
    /// As it reads in a table.
    pub fn name(self) -> &'static str {
        match self {
            Status::Published => "published",
            Status::PartlyHeld => "partly held",
            Status::Held => "held",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
            Status::DryRun => "not published",
            Status::Running => "running",
        }
    }

    /// What the run ledger calls it.
    pub fn in_the_ledger(self) -> ledger::Status {
        match self {
            Status::Published | Status::DryRun => ledger::Status::Success,
            Status::PartlyHeld => ledger::Status::Partial,
            Status::Held => ledger::Status::Held,
            Status::Skipped => ledger::Status::Skipped,
            Status::Failed => ledger::Status::Failed,
            Status::Running => ledger::Status::Running,
        }
    }

    /// Whether nothing is wrong with it.
    pub fn is_good(self) -> bool {
        matches!(self, Status::Published | Status::DryRun)
    }
}

/// One row of an audit: a rule that is broken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    pub rule: String,
    /// Whether it holds what it names; a warning only tells.
    pub holds: bool,
    /// The period it names; none when it is about the mart as a whole.
    pub period: Option<String>,
    pub detail: String,
}

/// One mart of one organisation in a run.
#[derive(Debug, Clone, Serialize)]
pub struct MartReport {
    pub org: String,
    pub job: String,
    pub mart: String,
    pub status: Status,
    /// Rows in the pulls it was computed from.
    pub landed: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// What the audit found.
    pub findings: Vec<Finding>,
    /// Why it failed, outermost cause first.
    pub error: Option<String>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// Its number in the run ledger; none for a dry run.
    pub run: Option<String>,
    pub started_at: DateTime<Utc>,
    /// None when it was cut off, or is still under way.
    #[serde(rename = "duration_ms", serialize_with = "maybe_milliseconds")]
    pub duration: Option<Duration>,
    /// The last day it reports; differs between organisations only around midnight.
    pub as_of: Option<NaiveDate>,
    pub marts: Vec<MartReport>,
}

impl MartReport {
    /// A mart whose filling begins.
    pub(super) fn begun(org: &str, job: &Job) -> Self {
        MartReport {
            org: org.to_owned(),
            job: job.name.to_owned(),
            mart: job.mart.to_owned(),
            status: Status::Running,
            landed: 0,
            inserted: 0,
            updated: 0,
            unchanged: 0,
            duration: Duration::ZERO,
            findings: Vec::new(),
            error: None,
        }
    }

    /// It failed: what is written is one line, outermost cause first.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.status = Status::Failed;
        // It may quote an id, in which anything may stand; PostgreSQL takes no zero character.
        let text = format!("{error:#}").replace(char::is_control, " ");
        self.error = Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    /// It is left out because of another mart.
    pub(super) fn skip(&mut self, reason: String) {
        self.status = Status::Skipped;
        self.error = Some(reason);
    }

    /// It is published, or would be.
    pub(super) fn counted(&mut self, published: &Published, dry_run: bool) {
        self.inserted = published.inserted.unsigned_abs();
        self.updated = published.updated.unsigned_abs();
        self.unchanged = published.unchanged.unsigned_abs();
        if dry_run {
            self.status = Status::DryRun;
        }
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

fn maybe_milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_millis()).serialize(serializer)
}

/// What an audit found, errors first.
pub(super) fn findings(held: &Held) -> Vec<Finding> {
    let told = |finding: &audit::Finding, holds| Finding {
        rule: finding.rule.clone(),
        holds,
        period: finding.period.map(|day| day.to_string()),
        detail: finding.detail.clone(),
    };
    let errors = held.errors.iter().map(|finding| told(finding, true));
    errors.chain(held.warnings.iter().map(|finding| told(finding, false))).collect()
}
