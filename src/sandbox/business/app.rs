//! How people use the services company's mobile app: the events that GA4 exports, day by day.
//!
//! A day is a function of seed and date, so it can be made at any time and in any order. The events hold what real exports
//! hold: users without consent, events without a session, sessions over midnight, rows delivered twice, systems in
//! several spellings, screens without a name, clocks that are wrong, and events that arrive up to three days late.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use chrono::{Datelike, Days, NaiveDate, NaiveTime};

use super::Dice;

/// Draws of a day, apart from those of the books.
const PURPOSE: u8 = 40;
/// A day of the app begins at this hour in UTC: midnight of Chicago's winter, near enough for what clocks say.
const MIDNIGHT: i64 = 6 * 3600;
const SYSTEMS: [&str; 7] = ["iOS", "IOS", "iPadOS", "IPADOS", "Android", "ANDROID", "android"];
/// The app's screens: more than ten, so that the tail is cut off.
pub const SCREENS: [&str; 14] = [
    "Home",
    "Library",
    "Article",
    "Assessment",
    "Result",
    "Profile",
    "Settings",
    "Search",
    "Coach",
    "Chat",
    "Calendar",
    "Onboarding",
    "Ünterstützung",
    "Help \"now\"",
];

/// What to generate.
#[derive(Debug, Clone)]
pub struct AppOptions {
    pub seed: u64,
    /// First and last day of the export.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// People who install the app between those days, about.
    pub people: u32,
    /// So many events on each day, simple ones, in place of the people's: for measuring.
    pub bulk_events: Option<u64>,
}

impl AppOptions {
    /// A small app.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        AppOptions { seed, from, to, people: 240, bulk_events: None }
    }
}

/// One row of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEvent {
    /// Microseconds, by the device's clock.
    pub micros: i64,
    pub name: &'static str,
    /// None without consent.
    pub user: Option<String>,
    pub session: Option<i64>,
    pub engagement_msec: Option<i64>,
    pub screen: Option<&'static str>,
    pub screen_class: Option<&'static str>,
    pub screen_id: Option<i64>,
    pub system: &'static str,
    /// Days after its own end on which it arrives.
    pub late: u8,
}

/// A day of the mart, counted from the events without SQL. Averages in hundredths, half away from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDay {
    pub daily_users: usize,
    pub weekly_users: usize,
    pub monthly_users: usize,
    pub new_users: usize,
    pub sessions: usize,
    pub duration_secs: i64,
    pub screens_per_session: i64,
    pub ios: usize,
    pub android: usize,
    /// Screen, views, users.
    pub top_screens: Vec<(String, usize, usize)>,
}

/// The app and its people.
#[derive(Debug, Clone)]
pub struct AppUse {
    pub options: AppOptions,
}

impl AppUse {
    pub fn new(options: AppOptions) -> Self {
        AppUse { options }
    }

    /// Whether the app was in use on a day.
    pub fn covers(&self, day: NaiveDate) -> bool {
        (self.options.from..=self.options.to).contains(&day)
    }

    /// How many rows a day's table has when it is looked at on `seen_on`.
    pub fn count(&self, day: NaiveDate, seen_on: NaiveDate) -> u64 {
        match self.options.bulk_events {
            Some(count) => count,
            None => self.events(day, seen_on).len() as u64,
        }
    }

    /// Some of those rows, by position.
    pub fn rows(&self, day: NaiveDate, seen_on: NaiveDate, range: Range<u64>) -> Vec<AppEvent> {
        match self.options.bulk_events {
            Some(count) => (range.start..range.end.min(count)).map(|number| self.bulk_event(day, number)).collect(),
            None => {
                let events = self.events(day, seen_on).into_iter();
                let skipped = events.skip(usize::try_from(range.start).unwrap_or(usize::MAX));
                skipped.take(usize::try_from(range.end - range.start).unwrap_or(usize::MAX)).collect()
            }
        }
    }

    /// The rows that have arrived by `seen_on`: those of a day come the day after, the late ones later.
    pub fn events(&self, day: NaiveDate, seen_on: NaiveDate) -> Vec<AppEvent> {
        let mut events = self.all_events(day);
        events.retain(|event| day + Days::new(1 + u64::from(event.late)) <= seen_on);
        events
    }

    fn all_events(&self, day: NaiveDate) -> Vec<AppEvent> {
        let mut events = Vec::new();
        if !self.covers(day) {
            return events;
        }
        let mut dice = Dice::for_day(self.options.seed, PURPOSE, day);
        let yesterday = day - Days::new(1);
        for person in 0..u64::from(self.options.people) {
            let joined = self.joined(person);
            if joined > day {
                continue;
            }
            let device = self.device(person);
            // Somebody who was on the app at midnight still is, in the same session.
            if joined <= yesterday && self.covers(yesterday) && self.stays_up(person, yesterday) {
                let session = start_of(day) - 300;
                device.visit(&mut events, &mut dice, session, start_of(day) + 120, 2);
            }
            if joined == day {
                let session = start_of(day) + dice.roll(3_600, 80_000);
                let opened = AppEvent { session: None, ..device.event("first_open", session, None) };
                events.push(opened);
                device.visit(&mut events, &mut dice, session, session + 1, 4);
            }
            for _ in 0..dice.roll(-14, 2).max(0) {
                let session = start_of(day) + dice.roll(3_600, 80_000);
                let length = dice.roll(1, 6);
                device.visit(&mut events, &mut dice, session, session + 1, length);
            }
            if self.stays_up(person, day) {
                let session = start_of(day) + 86_400 - 300;
                device.visit(&mut events, &mut dice, session, session + 1, 2);
            }
        }
        spoil(&mut events, &mut dice);
        events
    }

    /// The day a person installs the app: a third of them before the export began.
    fn joined(&self, person: u64) -> NaiveDate {
        let span = (self.options.to - self.options.from).num_days().unsigned_abs() + 1;
        let draw = mix(self.options.seed ^ 0xA11, person);
        match draw % 3 {
            0 => self.options.from - Days::new(1),
            _ => self.options.from + Days::new((draw >> 8) % span),
        }
    }

    fn stays_up(&self, person: u64, day: NaiveDate) -> bool {
        mix(self.options.seed ^ 0x0B5, person << 24 | u64::from(day.num_days_from_ce().unsigned_abs()))
            .is_multiple_of(40)
    }

    fn device(&self, person: u64) -> Device {
        let draw = mix(self.options.seed ^ 0xDE7, person);
        let user = format!("{draw:016x}{person:08x}");
        Device { user, system: SYSTEMS[(draw % SYSTEMS.len() as u64) as usize] }
    }

    fn bulk_event(&self, day: NaiveDate, number: u64) -> AppEvent {
        let count = self.options.bulk_events.unwrap_or(1);
        let draw = mix(self.options.seed ^ day.num_days_from_ce().unsigned_abs() as u64, number);
        let person = draw % (count / 20 + 1);
        let device = self.device(person);
        let session = start_of(day) + ((person * 7919 + draw % 3) % 80_000) as i64;
        let (name, screen) = match draw % 5 {
            0 => ("screen_view", Some(SCREENS[((draw >> 20) % SCREENS.len() as u64) as usize])),
            1 if (draw >> 30).is_multiple_of(50) => ("first_open", None),
            _ => ("user_engagement", None),
        };
        AppEvent {
            screen,
            engagement_msec: Some((draw % 30_000) as i64),
            ..device.event(name, session + (draw % 900) as i64, Some(session))
        }
    }

    /// The mart's figures of a day when the tables are looked at on `seen_on` and some days have none.
    pub fn day(&self, day: NaiveDate, seen_on: NaiveDate, missing: &BTreeSet<NaiveDate>, month: u64) -> AppDay {
        let users = |first: NaiveDate| {
            let days = first.iter_days().take_while(|other| *other <= day).filter(|other| !missing.contains(other));
            days.flat_map(|other| self.events(other, seen_on)).filter_map(|event| event.user).collect::<HashSet<_>>()
        };
        let events = self.events(day, seen_on);
        let openers = |systems: &[&str]| {
            let opened = events.iter().filter(|event| {
                event.name == "first_open"
                    && (systems.is_empty() || systems.contains(&event.system.to_lowercase().as_str()))
            });
            opened.filter_map(|event| event.user.as_ref()).collect::<HashSet<_>>().len()
        };
        let sessions: HashSet<_> =
            events.iter().filter_map(|event| Some((event.user.clone()?, event.session?))).collect();
        let views: Vec<_> = events.iter().filter(|event| event.name == "screen_view").collect();
        let mut screens: BTreeMap<String, (usize, HashSet<&String>)> = BTreeMap::new();
        for view in &views {
            let screen = [view.screen, view.screen_class].into_iter().flatten().find(|name| !name.is_empty());
            let name = screen.map(str::to_owned).or_else(|| view.screen_id.map(|id| id.to_string()));
            if let Some(name) = name {
                let counted = screens.entry(name).or_default();
                counted.0 += 1;
                counted.1.extend(view.user.as_ref());
            }
        }
        let mut top_screens: Vec<_> =
            screens.into_iter().map(|(name, (views, users))| (name, views, users.len())).collect();
        top_screens.sort_by_key(|(_, views, _)| std::cmp::Reverse(*views));
        top_screens.truncate(10);
        let engagement: i64 = events.iter().filter_map(|event| event.engagement_msec).sum();
        let average = |part: i64, whole: i64| if whole == 0 { 0 } else { (200 * part + whole) / (2 * whole) };
        let count = sessions.len() as i64;
        AppDay {
            daily_users: users(day).len(),
            weekly_users: users(day - Days::new(6)).len(),
            monthly_users: users(day - Days::new(month - 1)).len(),
            new_users: openers(&[]),
            sessions: sessions.len(),
            duration_secs: average(engagement, 1_000 * count),
            screens_per_session: average(views.len() as i64, count),
            ios: openers(&["ios", "ipados"]),
            android: openers(&["android"]),
            top_screens,
        }
    }
}

struct Device {
    user: String,
    system: &'static str,
}

impl Device {
    fn event(&self, name: &'static str, at: i64, session: Option<i64>) -> AppEvent {
        AppEvent {
            micros: at * 1_000_000 + 345_678,
            name,
            user: Some(self.user.clone()),
            session,
            engagement_msec: None,
            screen: None,
            screen_class: None,
            screen_id: None,
            system: self.system,
            late: 0,
        }
    }

    fn visit(&self, events: &mut Vec<AppEvent>, dice: &mut Dice, session: i64, at: i64, screens: i64) {
        events.push(self.event("session_start", at, Some(session)));
        for number in 0..screens {
            let at = at + 5 * (number + 1);
            let (screen, screen_class, screen_id) = match dice.roll(1, 20) {
                1 => (None, Some("MainActivity"), Some(77)),
                2 => (None, None, Some(-8_123_456_789)),
                3 => (None, None, None),
                4 => (Some(""), Some("UIViewController"), None),
                // Low ones are seen more often.
                _ => (Some(SCREENS[dice.roll(0, 13).min(dice.roll(0, 13)) as usize]), Some("MainActivity"), Some(77)),
            };
            let view = AppEvent { screen, screen_class, screen_id, ..self.event("screen_view", at, Some(session)) };
            events.push(AppEvent { engagement_msec: dice.chance(500).then(|| dice.roll(1, 40_000)), ..view });
        }
        let engaged = self.event("user_engagement", at + 5 * screens + 3, Some(session));
        events.push(AppEvent { engagement_msec: Some(dice.roll(200, 240_000)), ..engaged });
    }
}

/// Makes a day's events as real ones are.
fn spoil(events: &mut Vec<AppEvent>, dice: &mut Dice) {
    let mut twice = Vec::new();
    for event in events.iter_mut() {
        match dice.roll(1, 100) {
            1..=2 => event.user = None,
            3..=4 => event.session = None,
            // A device that thinks it is 1970, and one that is in 2038.
            5 => event.micros = 86_400_000_000 + dice.roll(0, 1_000),
            6 => event.micros = 2_147_483_647_000_000,
            7..=12 => event.late = dice.roll(1, 3) as u8,
            _ => {}
        }
        if dice.chance(10) {
            twice.push(event.clone());
        }
    }
    events.extend(twice);
}

/// The second at which a day begins.
fn start_of(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp() + MIDNIGHT
}

/// A number that looks like chance, from two (splitmix64).
fn mix(seed: u64, number: u64) -> u64 {
    let mut state = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
