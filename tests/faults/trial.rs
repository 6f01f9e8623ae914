//! What is tried with every fault: a night that it disturbs, then one that must make up for it.

use super::freshness;
use super::ground::{Ground, Look};

/// What the undisturbed nights of two worlds leave when they take turns: every later one must be like them.
pub struct Nights(pub [Look; 2]);

impl Nights {
    /// Lets them take turns until they repeat themselves; the second world's night is published then.
    pub async fn undisturbed(ground: &Ground, context: &str) -> Nights {
        let mut looks = Vec::new();
        let mut since = 0;
        for which in [0, 1, 0, 1] {
            ground.run(which);
            let look = ground.look_after_a_good_night(since, context).await;
            since = look.newest_change;
            looks.push(look);
        }
        for (org, (first, second)) in looks[0].marts.iter().zip(&looks[1].marts).enumerate() {
            assert_ne!(first, second, "{context}: the nights of organisation {org} differ, so that a half one shows");
        }
        assert_eq!(looks[1].marts, looks[3].marts, "{context}: a night repeated is the same");
        let second = looks.swap_remove(3);
        Nights([looks.swap_remove(2), second])
    }

    /// That every organisation has one of the nights, and nothing in between.
    pub fn must_have(&self, found: &Look, context: &str) {
        for (org, found) in found.marts.iter().enumerate() {
            let is_whole = self.0.iter().any(|night| *found == night.marts[org]);
            assert!(is_whole, "{context}: organisation {org} has half a night");
        }
    }

    /// Disturbs a night of a world, then has it run again, which must go well, and leave what an undisturbed one does.
    /// Returns what `disturb` does.
    pub async fn disturbed<T>(&self, ground: &Ground, target: usize, context: &str, disturb: impl FnOnce() -> T) -> T {
        let since = ground.look(0).await.newest_change;
        let done = disturb();
        self.must_have(&ground.look(since).await, context);
        freshness::agrees_with_the_ledgers(ground, target, context).await;
        let (said, code) = ground.night(target);
        assert_eq!(code, Some(0), "{context}: the next run: {said}");
        let look = ground.look_after_a_good_night(since, context).await;
        assert_eq!(look.marts, self.0[target].marts, "{context}: the marts of an undisturbed night");
        assert_eq!(look.changes, self.0[target].changes, "{context}: each change is in the ledger once");
        freshness::agrees_with_the_ledgers(ground, target, context).await;
        done
    }
}
