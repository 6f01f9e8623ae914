//! Days of app events in any number, landed as a night lands them: people who come often or seldom, their sessions, and
//! what they do in them. The same number, the same events.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use marts::config::{Config, Org};
use marts::periods::Partition;
use marts::run::Wanted;
use marts::sandbox::business::app;
use marts::staging::{Landed, Landing, Page, Staging, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ground::pulled_at;

/// So many of the sandbox's screens.
const SCREENS: usize = 12;
const SYSTEMS: [&str; 5] = ["ios", "ios", "ipados", "android", "android"];
/// Events of an active person on a day, about: of them follow how many people there are.
const EVENTS_OF_A_DAY: u64 = 24;
/// Of this many people one is active on a day, about.
const PEOPLE_TO_ACTIVE: u64 = 4;

/// Lands about so many events in all, the same number on each day that is wanted. Days are made side by side.
pub fn land(config: &Config, org: &Org, wanted: &Wanted, events: u64) -> Vec<Landed> {
    let days: Vec<Partition> = wanted.settled.iter().chain(&wanted.partitions).copied().collect();
    let of_day = events / days.len() as u64;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let chunks = days.chunks(days.len().div_ceil(workers)).map(|days| {
            scope.spawn(move || {
                let staging = Staging::new(&config.staging.path);
                let land = |day: &Partition| {
                    let mut landing =
                        staging.begin(wanted.dataset, &org.slug, *day, pulled_at()).expect("the landing zone");
                    land_day(&mut landing, day.start(), of_day);
                    landing.finish().expect("it lands")
                };
                days.iter().map(land).collect::<Vec<_>>()
            })
        });
        let workers: Vec<_> = chunks.collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    })
}

fn land_day(landing: &mut Landing, day: NaiveDate, events: u64) {
    let midnight = day.and_hms_opt(6, 0, 0).expect("a time").and_utc();
    let mut random = ChaCha8Rng::seed_from_u64(midnight.timestamp().unsigned_abs());
    let page = Page {
        method: "POST",
        url: "https://bigquery.googleapis.com/bigquery/v2/projects/compare/queries",
        status: 200,
        fetched_at: pulled_at(),
        body: b"{}",
    };
    let page = landing.page(&page).expect("a page");
    let people = (events / EVENTS_OF_A_DAY * PEOPLE_TO_ACTIVE).max(1);
    while landing.rows() < events {
        // The smaller of two draws comes up more often the lower it is: some people come daily, most seldom.
        let person = random.random_range(0..people).min(random.random_range(0..people));
        let session = Session {
            page,
            day,
            // One in fifty gave no consent.
            user: (person % 50 != 0).then(|| format!("{:032x}", u128::from(person) * 0x9E37_79B9_7F4A_7C15_F39C)),
            began: midnight + TimeDelta::seconds(random.random_range(0..80_000)),
            system: SYSTEMS[(person % 5) as usize],
        };
        session.land(landing, &mut random, events);
    }
}

struct Session {
    page: i64,
    day: NaiveDate,
    user: Option<String>,
    began: DateTime<Utc>,
    system: &'static str,
}

impl Session {
    fn land(&self, landing: &mut Landing, random: &mut ChaCha8Rng, most: u64) {
        let opening = if random.random_ratio(1, 40) { "first_open" } else { "session_start" };
        self.event(landing, opening, 0, None, None);
        for screen in 0..random.random_range(2..12) {
            let seconds = 1 + 11 * screen;
            // The first ones are seen more often; some screens have no name but their class.
            let low = random.random_range(0..SCREENS).min(random.random_range(0..SCREENS));
            let named = (!random.random_ratio(1, 20)).then_some(app::SCREENS[low]);
            self.event(landing, "screen_view", seconds, None, Some(named));
            self.event(landing, "user_engagement", seconds + 9, Some(random.random_range(500..60_000)), Some(named));
            if landing.rows() >= most {
                return;
            }
        }
    }

    /// An event so many seconds after the session began; on a screen, which may have a name.
    fn event(
        &self,
        landing: &mut Landing,
        name: &str,
        seconds: i64,
        engagement: Option<i64>,
        screen: Option<Option<&str>>,
    ) {
        let number = i64::try_from(landing.rows()).expect("so many events");
        let row: [Value<'_>; 11] = [
            number.into(),
            self.day.into(),
            (self.began + TimeDelta::seconds(seconds)).into(),
            name.into(),
            self.user.as_deref().into(),
            self.began.timestamp().into(),
            engagement.into(),
            screen.flatten().into(),
            screen.map(|_| "MainActivity").into(),
            screen.map(|_| "-8123456789").into(),
            self.system.into(),
        ];
        landing.push(Some(self.page), &row).expect("a row");
    }
}
