//! Where rotating tokens are kept between runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex};

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::extract::BoxFuture;

/// Whose tokens: one connector of one organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenOwner {
    pub org: String,
    pub connector: &'static str,
}

impl fmt::Display for TokenOwner {
    /// `vital/quickbooks`, which is also what a row is bound to when it is encrypted.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.org, self.connector)
    }
}

/// A row of `oauth_tokens`. What it says in plain is no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The token set in force, encrypted.
    pub ciphertext: Vec<u8>,
    /// The set before it: an answer that was lost, or a refresh that the source undid, can be recovered from.
    pub previous_ciphertext: Option<Vec<u8>>,
    /// SHA-256 of the configured seed that this row descends from, in hexadecimal.
    pub seed_fingerprint: String,
    pub issued_at: DateTime<Utc>,
    /// When the refresh token dies if it is not used.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it dies however much it is used.
    pub hard_expires_at: Option<DateTime<Utc>>,
    /// 1 for the first row, one more at each change.
    pub version: i64,
}

impl fmt::Debug for TokenRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TokenRow")
            .field("version", &self.version)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("hard_expires_at", &self.hard_expires_at)
            .finish_non_exhaustive()
    }
}

/// Keeps [`TokenRow`]s durably and lets one process at a time change them.
pub trait TokenStore: Send + Sync {
    /// Waits for the lock of that owner's row. Everything is read and written through it, so that a store that has one
    /// database connection can hold the lock and work with the same one.
    fn lock<'a>(&'a self, owner: &'a TokenOwner) -> BoxFuture<'a, Result<Box<dyn LockedTokens + 'a>>>;
}

/// One owner's row, locked. Dropping it gives the lock back, as does a lost connection.
pub trait LockedTokens: Send {
    /// The row, if there is one.
    fn load(&mut self) -> BoxFuture<'_, Result<Option<TokenRow>>>;

    /// Replaces the row of `expected_version`, or inserts the first one when that is none. It is durable when this
    /// returns.
    ///
    /// # Errors
    /// When the row has another version; nothing is changed then.
    fn store<'a>(&'a mut self, row: &'a TokenRow, expected_version: Option<i64>) -> BoxFuture<'a, Result<()>>;

    /// Gives the lock back.
    fn release<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a;
}

/// A store that forgets everything when it is dropped: for tests.
#[derive(Debug, Default)]
pub struct MemoryTokenStore {
    rows: StdMutex<HashMap<TokenOwner, TokenRow>>,
    locks: StdMutex<HashMap<TokenOwner, Arc<Mutex<()>>>>,
}

impl MemoryTokenStore {
    /// The row of an owner, as it stands.
    pub fn row(&self, owner: &TokenOwner) -> Option<TokenRow> {
        self.rows.lock().expect("no holder panics").get(owner).cloned()
    }

    /// Puts a row as it is, without a check.
    pub fn put(&self, owner: TokenOwner, row: TokenRow) {
        self.rows.lock().expect("no holder panics").insert(owner, row);
    }
}

struct MemoryLock<'a> {
    store: &'a MemoryTokenStore,
    owner: &'a TokenOwner,
    _held: OwnedMutexGuard<()>,
}

impl TokenStore for MemoryTokenStore {
    fn lock<'a>(&'a self, owner: &'a TokenOwner) -> BoxFuture<'a, Result<Box<dyn LockedTokens + 'a>>> {
        Box::pin(async move {
            let lock = self.locks.lock().expect("no holder panics").entry(owner.clone()).or_default().clone();
            Ok(Box::new(MemoryLock { store: self, owner, _held: lock.lock_owned().await }) as Box<dyn LockedTokens>)
        })
    }
}

impl LockedTokens for MemoryLock<'_> {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<TokenRow>>> {
        Box::pin(async { Ok(self.store.row(self.owner)) })
    }

    fn store<'a>(&'a mut self, row: &'a TokenRow, expected_version: Option<i64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let found = self.store.row(self.owner).map(|row| row.version);
            if found != expected_version {
                bail!("the stored tokens of {} have changed meanwhile", self.owner);
            }
            self.store.put(self.owner.clone(), row.clone());
            Ok(())
        })
    }

    fn release<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            drop(self);
            Ok(())
        })
    }
}
