//! Requests per minute and at once, per realm.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};

#[derive(Default)]
struct Use {
    last_minute: VecDeque<DateTime<Utc>>,
    at_once: usize,
}

pub(super) struct Limits {
    per_minute: usize,
    at_once: usize,
    realms: Arc<Mutex<BTreeMap<String, Use>>>,
}

/// A place among the requests now being served; given back when dropped, also when the client hangs up.
pub(super) struct Slot {
    realm: String,
    realms: Arc<Mutex<BTreeMap<String, Use>>>,
}

impl Limits {
    pub(super) fn new(per_minute: usize, at_once: usize) -> Self {
        Self { per_minute, at_once, realms: Arc::default() }
    }

    /// Count a request in, or refuse it.
    pub(super) fn enter(&self, realm: &str, now: DateTime<Utc>) -> Option<Slot> {
        let mut realms = self.realms.lock().expect("no panic while counting");
        let used = realms.entry(realm.to_owned()).or_default();
        used.last_minute.retain(|at| now - *at < Duration::seconds(60));
        if used.last_minute.len() >= self.per_minute || used.at_once >= self.at_once {
            return None;
        }
        used.last_minute.push_back(now);
        used.at_once += 1;
        Some(Slot { realm: realm.to_owned(), realms: self.realms.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut realms = self.realms.lock().expect("no panic while counting");
        if let Some(used) = realms.get_mut(&self.realm) {
            used.at_once -= 1;
        }
    }
}
