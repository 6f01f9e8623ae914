//! A reader who looks all the time: a connection for each organisation, as the role that applications read with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};
use tokio::task::JoinHandle;

use super::ground::{Ground, digests};
use super::trial::Nights;

/// Readers at work.
pub struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Seen>>,
}

/// What a reader saw: how often it looked, and each digest as it replaced another.
#[derive(Debug, Default)]
pub struct Seen {
    pub looks: u64,
    pub turns: Vec<String>,
}

impl Readers {
    /// Begins to look at every organisation of the ground, which is on a server.
    pub async fn begin(ground: &Ground) -> Readers {
        let orgs = ground.ask(&["select id from organizations order by id"]).await.swap_remove(0);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for org in orgs {
            let mut connection = ground.connect().await;
            let role = format!("set role marts_reader; set marts.org_id = '{}'", org[0]);
            sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut connection).await.unwrap();
            let stop = Arc::clone(&stop);
            tasks.push(tokio::spawn(async move {
                let mut seen = Seen::default();
                let sql = digests();
                while !stop.load(Ordering::Relaxed) {
                    // Row-level security shows this organisation only: one row, or none before the first night.
                    let row = sqlx::query(AssertSqlSafe(sql.clone())).fetch_optional(&mut connection).await.unwrap();
                    let digest = row.map_or_else(String::new, |row| row.get(1));
                    seen.looks += 1;
                    if seen.turns.last() != Some(&digest) {
                        seen.turns.push(digest);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                seen
            }));
        }
        Readers { stop, tasks }
    }

    /// Ends looking: each organisation's reader must have seen nothing but whole nights. Returns how often they looked.
    pub async fn end(self, nights: &Nights, context: &str) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut looks = 0;
        for (org, task) in self.tasks.into_iter().enumerate() {
            let seen = task.await.unwrap();
            let whole: BTreeSet<&String> = nights.0.iter().map(|night| &night.marts[org]).collect();
            let strange: Vec<_> = seen.turns.iter().filter(|digest| !whole.contains(digest)).collect();
            assert!(
                strange.is_empty(),
                "{context}: a reader of organisation {org} saw {} states of no night",
                strange.len()
            );
            looks += seen.looks;
        }
        looks
    }
}
