//! Verification as part of the night: the rows about to be published are held against the live source first.

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use chrono::NaiveDate;
use tracing::{Instrument as _, info_span};

use super::{Night, Plan};
use crate::audit::{self, Finding, Held, Severity};
use crate::config::{Org, Verify};
use crate::extract::http::HttpClient;
use crate::jobs::Source;
use crate::publish::Organization;
use crate::verify::{self, Around, Compared, Outcome, Sources};

/// The rule of findings that say what a source answered otherwise.
const RULE: &str = "verify";

impl Night<'_> {
    /// Asks the live source about the rows that passed the audit, as the organisation's setting says, and adds what does not
    /// agree to what is held. Rows of a night that is computed again from what was pulled are not asked about: the source
    /// has moved on since. Says whether anything was asked.
    ///
    /// # Errors
    /// When the outcomes cannot be written down.
    pub(super) async fn ask_source(
        &self,
        org: &Org,
        row: &Organization,
        (source, plan, batches): (&Source, &Plan, &[RecordBatch]),
        as_of: NaiveDate,
        held: &mut Held,
    ) -> Result<bool> {
        let is_fresh = !self.request.from_staging && self.request.pages.is_none();
        if org.verify == Verify::Off || !is_fresh || held.mart {
            return Ok(false);
        }
        let rows = verify::computed(plan.job, source.connector, as_of, batches)?;
        let http = HttpClient::new(&self.config.limits, self.clock.clone())?;
        let around = Around { config: &self.config, org, http: &http, clock: self.clock, tokens: self.database };
        let mut sources = Sources::new(&around);
        let verified = verify::verify(&mut sources, plan.job, source.connector, &rows);
        let verified = verified.instrument(info_span!("verify")).await;
        if !self.request.dry_run {
            // The verification is part of the run, and is called like it.
            let mut connection = self.database.connection().await?;
            let record = verify::record(&mut connection, row.id, &self.run, Some(&self.run), &verified.compared);
            record.await.context("verifying")?;
        }
        tracing::info!(cells = verified.compared.len(), good = verified.is_good(), "verified");
        let severity = if org.verify == Verify::Gate { Severity::Error } else { Severity::Warning };
        let apart = verified.compared.iter().filter(|cell| !cell.outcome.is_good());
        let mut found = audit::split(apart.map(|cell| finding(cell, severity)).collect(), &plan.periods);
        held.mart |= found.mart;
        held.periods.append(&mut found.periods);
        held.errors.append(&mut found.errors);
        held.warnings.append(&mut found.warnings);
        Ok(true)
    }
}

fn finding(cell: &Compared, severity: Severity) -> Finding {
    let number =
        |number: Option<rust_decimal::Decimal>| number.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
    let detail = match (cell.outcome, &cell.error) {
        (Outcome::Unanswered, Some(error)) => format!("{} could not be verified: {error}", cell.column),
        _ => format!("{} is {}, and the source says {}", cell.column, number(cell.published), number(cell.source)),
    };
    Finding { rule: RULE.to_owned(), severity, period: Some(cell.period), detail }
}
