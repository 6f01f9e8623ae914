//! An account with meetings and telephones: what Zoom knows of a company.
//!
//! Each call is drawn as a story with a known outcome and then written down as the legs that Zoom shows of it, so that
//! the figures of a day need none of the rules by which a reader of legs finds them out again.

mod calls;
mod people;

pub use calls::{Call, Leg, Outcome, Way};
pub use people::{PhoneUser, Queue, User};

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;

use super::{Dice, calendar};

const MEETINGS: u8 = 102;

/// What to generate.
#[derive(Debug, Clone)]
pub struct ZoomOptions {
    pub seed: u64,
    /// First and last local day of business. There are calls a day beyond both, for whoever asks too far.
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub timezone: Tz,
    /// Calls of a business day, about.
    pub calls: u32,
    pub users: u32,
    pub queues: u32,
}

impl ZoomOptions {
    /// A company of some hundred people in Chicago.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        Self { seed, from, to, timezone: chrono_tz::America::Chicago, calls: 60, users: 130, queues: 7 }
    }
}

/// The meetings of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meetings {
    pub meetings: i64,
    pub participants: i64,
    pub minutes: i64,
    pub new_users: i64,
}

/// The calls of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub inbound: i64,
    pub outbound: i64,
    pub missed: i64,
    pub connected: i64,
    pub seconds: i64,
    /// Neither in nor out; in none of the figures above.
    pub others: i64,
}

/// The generated account.
#[derive(Debug, Clone)]
pub struct ZoomAccount {
    pub options: ZoomOptions,
    pub calls: Vec<Call>,
    /// Days without meetings are absent, as they are in Zoom's report.
    pub meetings: BTreeMap<NaiveDate, Meetings>,
    pub users: Vec<User>,
    pub phone_users: Vec<PhoneUser>,
    pub queues: Vec<Queue>,
}

impl ZoomAccount {
    /// Generate the account's history from `options.from` to `options.to`.
    pub fn generate(options: ZoomOptions) -> Self {
        let days = calendar::days(options.from - Days::new(1), options.to + Days::new(1));
        let calls = days.flat_map(|date| calls::of_day(&options, date)).collect();
        let meetings =
            calendar::days(options.from, options.to).filter_map(|date| Some((date, meetings(&options, date)?)));
        let meetings = meetings.collect();
        let (users, phone_users, queues) = people::all(&options);
        Self { options, calls, meetings, users, phone_users, queues }
    }

    /// The calls that began on a local day.
    pub fn calls_of(&self, date: NaiveDate) -> Calls {
        let mut figures = Calls::default();
        for call in self.calls.iter().filter(|call| call.date == date) {
            match call.way {
                Way::In => figures.inbound += 1,
                Way::Out => figures.outbound += 1,
                Way::Unknown => {
                    figures.others += 1;
                    continue;
                }
            }
            match call.outcome {
                Outcome::Connected { seconds } => {
                    figures.connected += 1;
                    figures.seconds += seconds;
                }
                Outcome::Missed => figures.missed += 1,
                Outcome::Unanswered => {}
            }
        }
        figures
    }

    /// The meetings of a day of the account.
    pub fn meetings_of(&self, date: NaiveDate) -> Meetings {
        self.meetings.get(&date).copied().unwrap_or_default()
    }

    /// Users there were at the end of a day, of any status, as far as they are still there.
    pub fn users_on(&self, date: NaiveDate) -> usize {
        self.users.iter().filter(|user| user.created <= date).count()
    }
}

fn meetings(options: &ZoomOptions, date: NaiveDate) -> Option<Meetings> {
    let mut dice = Dice::for_day(options.seed, MEETINGS, date);
    if !calendar::is_business_day(date) && !dice.chance(300) {
        return None;
    }
    let meetings = if calendar::is_business_day(date) { dice.roll(9, 40) } else { dice.roll(1, 3) };
    let participants: i64 = (0..meetings).map(|_| dice.roll(1, 9)).sum();
    let minutes = participants * dice.roll(18, 47) + dice.roll(0, 17);
    Some(Meetings { meetings, participants, minutes, new_users: dice.roll(0, 1) })
}
