//! The spans of a night, which a trace shows: names, days and counts, never a value of a row and never what an error says.
//!
//! ```text
//! run
//! └─ organization
//!    ├─ mart
//!    │  ├─ land
//!    │  ├─ compute
//!    │  ├─ audit
//!    │  └─ verify, where an organisation asks for it
//!    └─ publish
//! ```

use chrono::NaiveDate;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::report::Status;
use crate::jobs::Job;

/// A whole run. One that publishes nothing has no name.
pub fn run(run: Option<&str>) -> Span {
    info_span!("run", run)
}

/// What a run does for one organisation.
pub fn organization(run: &Span, org: &str) -> Span {
    info_span!(parent: run, "organization", org)
}

/// One mart of an organisation, until it is audited.
pub fn mart(job: &Job, org: &str, as_of: NaiveDate) -> Span {
    info_span!("mart", job = job.name, org, %as_of, held = Empty, otel.status_code = Empty)
}

/// How a mart, or the publishing of several, ended.
pub fn ended(span: &Span, status: Status) {
    match status {
        Status::Failed => _ = span.record("otel.status_code", "ERROR"),
        Status::Held | Status::PartlyHeld => _ = span.record("held", true),
        _ => {}
    }
}

/// The transaction in which an organisation's marts are published.
pub fn publish(org: &str, marts: usize) -> Span {
    info_span!("publish", org, marts, otel.status_code = Empty)
}
