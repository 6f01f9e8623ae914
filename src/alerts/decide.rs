//! Whom to tell what: from what is wrong, and what has been told, to what there is to say now.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::conditions::{Condition, Kind};
use crate::config::{AlertSettings, Config};

/// An alert that is open: found, and not yet found to be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub org: String,
    pub job: String,
    pub kind: Kind,
    pub since: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    /// When somebody was last told.
    pub notified_at: Option<DateTime<Utc>>,
}

impl Open {
    fn is_of(&self, condition: &Condition) -> bool {
        self.org == condition.org && self.job == condition.job && self.kind == condition.kind
    }
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It is wrong.
    New(Condition),
    /// It is still wrong.
    Reminder(Condition),
    /// It is well again.
    Resolved(Open),
}

impl Notice {
    pub fn org(&self) -> &str {
        match self {
            Notice::New(condition) | Notice::Reminder(condition) => &condition.org,
            Notice::Resolved(open) => &open.org,
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be written down as open.
    pub opened: Vec<Condition>,
    /// To be written down as over, without a word: nobody was told, or something else is wrong with the same job now.
    pub closed: Vec<Open>,
    /// To be said; only what was said is written down as said, or as over.
    pub notices: Vec<Notice>,
}

/// Decides what there is to say at `now`.
///
/// Each alert is told once, is told again as often as the settings want while it lasts, and is taken back when it is over,
/// unless nobody was ever told of it. In an organisation's quiet hours nothing is said but that a success is missing: by
/// then nobody may be there who would say it later.
pub fn decide(config: &Config, conditions: &[Condition], open: &[Open], now: DateTime<Utc>) -> Decision {
    let mut decision = Decision::default();
    for condition in conditions {
        let known = open.iter().find(|open| open.is_of(condition));
        if known.is_none() {
            decision.opened.push(condition.clone());
        }
        if condition.kind != Kind::NoSuccess && is_quiet(config, &condition.org, now) {
            continue;
        }
        match known.and_then(|known| known.notified_at) {
            None => decision.notices.push(Notice::New(condition.clone())),
            Some(told) if is_to_be_reminded(&config.alerts, told, now) => {
                decision.notices.push(Notice::Reminder(condition.clone()));
            }
            Some(_) => {}
        }
    }
    for over in open.iter().filter(|open| !conditions.iter().any(|condition| open.is_of(condition))) {
        let is_replaced = conditions.iter().any(|condition| condition.org == over.org && condition.job == over.job);
        if over.notified_at.is_none() || is_replaced {
            decision.closed.push(over.clone());
        } else if !is_quiet(config, &over.org, now) {
            decision.notices.push(Notice::Resolved(over.clone()));
        }
    }
    decision
}

fn is_to_be_reminded(settings: &AlertSettings, told: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    settings.remind.is_some_and(|remind: TimeDelta| now - told >= remind)
}

/// Whether it is an organisation's quiet time. One that `marts.toml` no longer names has none.
fn is_quiet(config: &Config, org: &str, now: DateTime<Utc>) -> bool {
    let Some((from, to)) = config.alerts.quiet else { return false };
    let Some(org) = config.orgs.iter().find(|known| known.slug == org) else { return false };
    let time: NaiveTime = now.with_timezone(&org.timezone).time();
    if from < to { from <= time && time < to } else { from <= time || time < to }
}
