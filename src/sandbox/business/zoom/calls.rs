//! Calls as stories, and the legs that Zoom shows of them.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};

use super::ZoomOptions;
use super::people::{id, name};
use crate::sandbox::business::{Dice, calendar};

const CALLS: u8 = 101;

/// Where a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
    /// Zoom says neither.
    Unknown,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody spoke for so many seconds.
    Connected { seconds: i64 },
    /// Nobody answered a caller from outside.
    Missed,
    /// Nobody spoke, and nobody missed anything: voicemail, a rejected or blocked call, an attempt of ours.
    Unanswered,
}

/// A call, and what Zoom has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Nineteen digits, too many for a double.
    pub id: String,
    /// The local day on which it began.
    pub date: NaiveDate,
    pub way: Way,
    pub outcome: Outcome,
    pub legs: Vec<Leg>,
}

/// A row of the call history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub uuid: String,
    pub direction: Option<&'static str>,
    pub start: DateTime<Utc>,
    pub answer: Option<DateTime<Utc>>,
    pub end: DateTime<Utc>,
    pub seconds: i64,
    pub result: Option<&'static str>,
    pub connect_type: &'static str,
    pub caller: Person,
    pub callee: Person,
}

/// Somebody at an end of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub ext_id: String,
    pub name: String,
    pub number: String,
    pub email: String,
}

/// A call being told.
struct Story<'a> {
    dice: &'a mut Dice,
    legs: Vec<Leg>,
    stem: String,
    connect_type: &'static str,
}

impl Story<'_> {
    fn person(&mut self) -> Person {
        let (first, last) = name(self.dice);
        Person {
            ext_id: id(self.dice),
            name: format!("{first} {last}"),
            number: format!("+1312555{:04}", self.dice.roll(0, 9_999)),
            email: format!("{}@callers.example", last.to_lowercase()),
        }
    }

    fn leg(
        &mut self,
        direction: Option<&'static str>,
        start: DateTime<Utc>,
        seconds: i64,
        result: Option<&'static str>,
    ) {
        let (caller, callee) = (self.person(), self.person());
        let uuid = format!("{}-{:012x}-{}", self.stem, self.dice.roll(0, 0xffff_ffff_ffff), self.legs.len());
        let end = start + TimeDelta::seconds(seconds);
        let connect_type = self.connect_type;
        self.legs.push(Leg {
            uuid,
            direction,
            start,
            answer: None,
            end,
            seconds,
            result,
            connect_type,
            caller,
            callee,
        });
    }

    /// Rings without an answer: Zoom gives the seconds it rang.
    fn rings(&mut self, direction: &'static str, start: DateTime<Utc>, seconds: i64, result: &'static str) {
        self.leg(Some(direction), start, seconds, Some(result));
    }

    /// Rings for some seconds and is answered.
    fn speaks(&mut self, direction: &'static str, start: DateTime<Utc>, rang: i64, seconds: i64, result: &'static str) {
        self.leg(Some(direction), start, seconds, Some(result));
        let leg = self.legs.last_mut().expect("a leg was just added");
        let answer = start + TimeDelta::seconds(rang);
        leg.answer = Some(answer);
        leg.end = answer + TimeDelta::seconds(seconds);
    }
}

/// The calls that begin on a local day, in order.
pub(super) fn of_day(options: &ZoomOptions, date: NaiveDate) -> Vec<Call> {
    let mut dice = Dice::for_day(options.seed, CALLS, date);
    let about = i64::from(options.calls);
    let count = if calendar::is_business_day(date) { dice.roll(about * 3 / 4, about * 5 / 4) } else { about / 10 };
    let mut calls: Vec<Call> = (0..count).map(|number| call(options, date, number, &mut dice)).collect();
    calls.sort_by_key(|call| (call.legs[0].start, call.id.clone()));
    calls
}

fn call(options: &ZoomOptions, date: NaiveDate, number: i64, dice: &mut Dice) -> Call {
    // Most between 7 and 18 o'clock; some in the last hour, which is the next day in UTC, and the very last at midnight.
    let second = match number {
        0 => 86_398,
        1 => 23 * 3_600 + 30 * 60,
        2 => dice.roll(0, 1_800),
        _ => dice.roll(7 * 3_600, 18 * 3_600),
    };
    let at = date.and_time(NaiveTime::MIN) + TimeDelta::seconds(second);
    // An hour that the clock skips is the one before it.
    let local = options.timezone.from_local_datetime(&at).latest();
    let start = local.unwrap_or_else(|| {
        (options.timezone.from_local_datetime(&(at - TimeDelta::hours(1))))
            .latest()
            .expect("one hour is skipped at most")
    });
    let start = start.with_timezone(&Utc);
    let id = format!("7{:018}", dice.roll(0, 999_999_999_999_999_999));
    let stem = format!("{}-{}", start.format("%Y%m%d"), &id[8..]);
    let kind = if number == 0 { 350 } else { dice.roll(0, 999) };
    let seconds = dice.roll(1, 2_400);
    let rang = dice.roll(2, 25);
    let mut story = Story { dice, legs: Vec::new(), stem, connect_type: "external" };
    let later = |seconds| start + TimeDelta::seconds(seconds);
    let connected = Outcome::Connected { seconds };
    let (way, outcome) = match kind {
        0..=249 => {
            let word = story.dice.pick(&["answered", "connected", "picked_up", "accepted"]);
            story.speaks("inbound", start, rang, seconds, word);
            (Way::In, connected)
        }
        // A queue rings two phones at once and then a third, which answers.
        250..=399 => {
            story.rings("inbound", start, 12, "ring_timeout");
            story.rings("inbound", start, 12, "no_answer");
            story.speaks("inbound", later(12), rang, seconds, "answered");
            (Way::In, connected)
        }
        // Transferred: two conversations, of which the longer counts.
        400..=449 => {
            story.speaks("inbound", start, 3, seconds, "answered");
            story.speaks("inbound", later(seconds + 3), 4, (seconds / 3).max(1), "Call connected");
            (Way::In, connected)
        }
        450..=519 => {
            story.rings("inbound", start, 20, "ring_timeout");
            story.rings("inbound", later(20), 20, "abandoned");
            (Way::In, Outcome::Missed)
        }
        520..=579 => {
            let word = story.dice.pick(&["no_answer", "No Answer", "Missed", "busy", "ring_timeout"]);
            story.rings("inbound", start, rang, word);
            (Way::In, Outcome::Missed)
        }
        580..=639 => {
            story.rings("inbound", start, 20, "no_answer");
            story.rings("inbound", later(20), 31, "voicemail");
            (Way::In, Outcome::Unanswered)
        }
        640..=659 => {
            let word = story.dice.pick(&["rejected", "system_blocked"]);
            story.rings("inbound", start, 2, word);
            (Way::In, Outcome::Unanswered)
        }
        // Zoom does not say how it ended.
        660..=669 => {
            story.leg(Some("inbound"), start, 4, None);
            (Way::In, Outcome::Unanswered)
        }
        670..=849 => {
            let word = story.dice.pick(&["connected", "answered", "succeeded"]);
            story.speaks("outbound", start, rang, seconds, word);
            (Way::Out, connected)
        }
        850..=929 => {
            let word = story.dice.pick(&["no_answer", "busy", "canceled", "call_failed", "hang_up"]);
            story.rings("outbound", start, rang, word);
            (Way::Out, Outcome::Unanswered)
        }
        // From one of the company's phones to another: a row for each side.
        930..=994 => {
            story.connect_type = "internal";
            story.speaks("inbound", start, rang, seconds, "answered");
            story.speaks("outbound", start, rang, seconds, "connected");
            (Way::Out, connected)
        }
        _ => {
            story.leg(None, start, seconds, Some("answered"));
            (Way::Unknown, connected)
        }
    };
    Call { id, date, way, outcome, legs: story.legs }
}
