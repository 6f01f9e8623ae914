//! The SQL Server connector: one statement at a time, retried whole on a fresh connection, its rows provisional until
//! the last one has come.
//!
//! A connection is kept only after a statement that ended well. After a timeout, a cancelled or abandoned stream, or
//! any error, the two sides may disagree on what is still to come, and the next statement might be given the rest of
//! the last one's answer: such a connection is dropped.

mod azure;
mod catalog;
mod cell;
mod connect;
mod failure;
mod meter;
mod request;

use std::time::Duration;

use anyhow::{Result, anyhow};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::TryStreamExt;
use tiberius::{Query, QueryItem};

pub use catalog::{Catalog, SourceColumn};
pub use cell::value;
pub(crate) use request::quoted;
pub use request::{Condition, Item, Parameter, Select, SqlType, Statement, catalog as catalog_statement};
/// A row as the driver gives it; see [`value`].
pub use tiberius::Row;

use crate::config::{Limits, SqlServer};
use connect::{Connection, connect};
use failure::{Failure, Retry};

/// How long error 40501 asks to wait.
const BUSY: Duration = Duration::from_secs(10);

/// A SQL Server, connected to when first asked.
pub struct Server<'a> {
    settings: &'a SqlServer,
    tries: u16,
    first_wait: Duration,
    longest_wait: Duration,
    /// A connection whose last statement ended well.
    idle: Option<Connection>,
}

impl<'a> Server<'a> {
    /// The server of `settings`, with the tries and waits of `limits`.
    pub fn new(settings: &'a SqlServer, limits: &Limits) -> Self {
        Server {
            settings,
            tries: limits.tries,
            first_wait: Duration::from_millis(limits.first_backoff_millis),
            longest_wait: Duration::from_secs(limits.max_backoff_secs),
            idle: None,
        }
    }

    /// The same without second tries, for checks that a person waits for.
    pub fn once(settings: &'a SqlServer) -> Self {
        Server { settings, tries: 1, first_wait: Duration::ZERO, longest_wait: Duration::ZERO, idle: None }
    }

    /// How the server is named in messages.
    pub fn name(&self) -> String {
        format!("{}/{}", self.settings.host, self.settings.database)
    }

    /// Runs a statement and hands each row to `each`, together with what `start` made for this try. What `start` made
    /// is returned only if the stream ended without an error: rows come before the error that takes them back. A
    /// transient error drops it and starts anew.
    ///
    /// # Errors
    /// What the server or the network did, in plain words; and errors of `start` and `each`, which are not retried.
    pub async fn query<S>(
        &mut self,
        statement: &Statement,
        mut start: impl FnMut() -> Result<S>,
        mut each: impl FnMut(&mut S, &Row) -> Result<()>,
    ) -> Result<S> {
        let mut waits = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(usize::from(self.tries.saturating_sub(1)))
            .build();
        loop {
            let failure = match self.attempt(statement, &mut start, &mut each).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let at_least = match failure.retry {
                Retry::Never => return Err(failure.error),
                Retry::Soon => Duration::ZERO,
                Retry::Later => BUSY,
            };
            let Some(wait) = waits.next() else {
                return Err(if self.tries > 1 {
                    anyhow!("{:#}, gave up after {} tries", failure.error, self.tries)
                } else {
                    failure.error
                });
            };
            let wait = wait.max(at_least).min(self.longest_wait);
            tracing::warn!(wait_ms = wait.as_millis() as u64, "{:#}; trying again", failure.error);
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt<S>(
        &mut self,
        statement: &Statement,
        start: &mut impl FnMut() -> Result<S>,
        each: &mut impl FnMut(&mut S, &Row) -> Result<()>,
    ) -> Result<S, Failure> {
        // Taken out, so that every way out of here but the last drops it, a cancelled future included.
        let mut connection = match self.idle.take() {
            Some(connection) => connection,
            None => connect(self.settings).await?,
        };
        let silence = Duration::from_secs(self.settings.timeout_secs);
        let failed = |error| Failure::of(error, self.settings, &self.settings.host, silence);
        let mut made = start()?;
        let mut query = Query::new(statement.sql());
        for parameter in &statement.parameters {
            match parameter {
                Parameter::Date(date) => query.bind(*date),
                Parameter::Text(text) => query.bind(text.as_str()),
                Parameter::Int(number) => query.bind(*number),
            }
        }
        let meter = connection.meter.clone();
        meter.reset();
        let mut stream = query.query(&mut connection.client).await.map_err(failed)?;
        let mut results = 0;
        while let Some(item) = stream.try_next().await.map_err(failed)? {
            match item {
                QueryItem::Metadata(result) => {
                    results += 1;
                    if !result.columns().iter().map(|column| column.name()).eq(&statement.columns) {
                        return Err(self.strange("an answer with other columns than were asked for"));
                    }
                }
                QueryItem::Row(row) => {
                    meter.reset();
                    each(&mut made, &row)?;
                }
            }
        }
        drop(stream);
        // The driver takes a stale acknowledgement for an answer without rows. No answer is not an empty one.
        if results != 1 {
            return Err(self.strange(&format!("{results} results to one question")));
        }
        self.idle = Some(connection);
        Ok(made)
    }

    fn strange(&self, what: &str) -> Failure {
        anyhow!("SQL Server {}: it gave {what}", self.settings.host).into()
    }
}
