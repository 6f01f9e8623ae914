//! The sources. They are known when we compile, so they are an `enum` and a `match`, and the compiler names what is
//! missing.

pub mod bigquery;
pub mod cases;
pub mod http;
pub mod hubspot;
pub mod oauth;
pub mod quickbooks;
mod saved;
pub mod softbase;
pub mod sqlserver;
pub mod zoom;

use std::future::Future;
use std::pin::Pin;

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, Utc};

use crate::clock::Clock;
use crate::config::{Config, Org};
use crate::datasets::{Connector, Dataset};
use crate::periods::Partition;
use crate::run::Wanted;
use crate::staging::{Landed, Staging};
use oauth::TokenStore;

pub use saved::Saved;

/// What every extractor is handed.
pub struct Context<'a> {
    pub config: &'a Config,
    pub org: &'a Org,
    pub staging: &'a Staging,
    pub clock: Clock,
    /// The instant that names this run's pulls.
    pub pulled_at: DateTime<Utc>,
    /// The last local day that the run reports.
    pub as_of: NaiveDate,
    /// Answers that are here already, instead of the network.
    pub saved: Option<Saved>,
    /// Told of progress: dataset, partition where one is done, rows so far.
    pub progress: &'a (dyn Fn(&str, Option<Partition>, u64) + Send + Sync),
}

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Pulls what is wanted of one connector: one complete pull per partition.
///
/// # Errors
/// The first pull that cannot be completed. Pulls completed before it stay.
pub async fn land(
    context: &Context<'_>,
    tokens: &dyn TokenStore,
    connector: Connector,
    wanted: &[Wanted],
) -> Result<Vec<Landed>> {
    let wanted: Vec<(&'static Dataset, Vec<Partition>)> =
        wanted.iter().map(|wanted| (wanted.dataset, wanted.partitions.clone())).collect();
    let missing = || format!("{} has no [org.{}]", context.org.slug, connector.name());
    match connector {
        Connector::Softbase | Connector::SoftbaseLedger => {
            let settings = context.org.softbase.as_ref().with_context(missing)?;
            softbase::pull(context, settings, &wanted).await
        }
        Connector::QuickBooks => quickbooks::pull(context, tokens, &wanted).await,
        Connector::HubSpot => hubspot::pull(context, &wanted).await,
        Connector::Zoom => zoom::pull(context, &wanted).await,
        Connector::Cases => {
            let settings = context.org.cases.as_ref().with_context(missing)?;
            cases::pull(context, settings, &wanted).await
        }
        Connector::BigQuery => {
            let settings = context.org.bigquery.as_ref().with_context(missing)?;
            bigquery::pull(context, settings, &wanted).await
        }
    }
}

/// Proves that a connector can be reached, admits us, and lets us read what pulls need, with the cheapest question of each
/// kind and without landing anything. Says in one line what was read.
///
/// # Errors
/// The first question that was refused, in the source's own words where it has any.
pub async fn check(context: &Context<'_>, tokens: &dyn TokenStore, connector: Connector) -> Result<String> {
    let missing = || format!("{} has no [org.{}]", context.org.slug, connector.name());
    match connector {
        Connector::Softbase | Connector::SoftbaseLedger => {
            softbase::check(context.org.softbase.as_ref().with_context(missing)?, connector).await
        }
        Connector::QuickBooks => quickbooks::check(context, tokens).await,
        Connector::HubSpot => hubspot::check(context).await,
        Connector::Zoom => zoom::check(context).await,
        Connector::Cases => cases::check(context.org.cases.as_ref().with_context(missing)?).await,
        Connector::BigQuery => bigquery::check(context, context.org.bigquery.as_ref().with_context(missing)?).await,
    }
}
