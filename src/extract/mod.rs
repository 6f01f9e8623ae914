//! The sources. They are known when we compile, so they are an `enum` and a `match`, and the compiler names what is
//! missing.

pub mod http;
pub mod oauth;
pub mod quickbooks;
pub mod softbase;
pub mod sqlserver;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use chrono::{DateTime, NaiveDate, Utc};

use crate::clock::Clock;
use crate::config::{Config, Org};
use crate::periods::Partition;
use crate::staging::Staging;

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
    /// `--pages DIR`: saved response bodies instead of the network.
    pub pages: Option<PathBuf>,
    /// Told of progress: dataset, partition where one is done, rows so far.
    pub progress: &'a (dyn Fn(&str, Option<Partition>, u64) + Send + Sync),
}

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
