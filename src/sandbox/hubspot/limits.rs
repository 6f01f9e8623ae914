//! Calls in ten seconds, in a second, and in a day, as a private app has them.

use std::collections::VecDeque;

use chrono::{DateTime, Duration, NaiveDate, Utc};

use super::{HubSpotOptions, faults};
use crate::sandbox::http::Reply;

#[derive(Default)]
pub(super) struct Limits {
    recent: VecDeque<DateTime<Utc>>,
    searches: VecDeque<DateTime<Utc>>,
    day: Option<NaiveDate>,
    today: u64,
}

/// What is left after a call.
pub(super) struct Allowance {
    interval: u64,
    second: Option<u64>,
    day: u64,
}

impl Limits {
    /// Counts a call in, or refuses it. The day is the clock's, in UTC.
    pub(super) fn enter(&mut self, options: &HubSpotOptions, is_search: bool) -> Result<Allowance, Reply> {
        let now = options.clock.now();
        if self.day != Some(now.date_naive()) {
            (self.day, self.today) = (Some(now.date_naive()), 0);
        }
        let interval = options.interval;
        self.recent.retain(|at| now - *at < interval.max(Duration::seconds(1)));
        let within = |span: Duration| self.recent.iter().filter(|at| now - **at < span).count() as u64;
        let (in_interval, in_second) = (within(interval), within(Duration::seconds(1)));
        if self.today >= options.calls_per_day {
            return Err(faults::throttled("DAILY"));
        }
        if in_interval >= options.calls {
            let refused = faults::throttled("TEN_SECONDLY_ROLLING");
            return Err(if options.says_retry_after { refused.with("Retry-After", "1") } else { refused });
        }
        if options.calls_per_second.is_some_and(|most| in_second >= most) {
            return Err(faults::throttled("SECONDLY"));
        }
        self.searches.retain(|at| now - *at < Duration::seconds(1));
        if is_search && options.searches_per_second.is_some_and(|most| self.searches.len() as u64 >= most) {
            return Err(faults::throttled("SECONDLY"));
        }
        if is_search {
            self.searches.push_back(now);
        }
        self.recent.push_back(now);
        self.today += 1;
        Ok(Allowance {
            interval: options.calls - in_interval - 1,
            second: options.calls_per_second.map(|most| most - in_second - 1),
            day: options.calls_per_day - self.today,
        })
    }
}

impl Allowance {
    /// The answer with the headers that say what is left.
    pub(super) fn head(&self, reply: Reply, options: &HubSpotOptions) -> Reply {
        let mut reply = reply
            .with("X-HubSpot-RateLimit-Daily", options.calls_per_day.to_string())
            .with("X-HubSpot-RateLimit-Daily-Remaining", self.day.to_string())
            .with("X-HubSpot-RateLimit-Interval-Milliseconds", options.interval.num_milliseconds().to_string())
            .with("X-HubSpot-RateLimit-Max", options.calls.to_string())
            .with("X-HubSpot-RateLimit-Remaining", self.interval.to_string());
        if let (Some(most), Some(left)) = (options.calls_per_second, self.second) {
            reply = reply
                .with("X-HubSpot-RateLimit-Secondly", most.to_string())
                .with("X-HubSpot-RateLimit-Secondly-Remaining", left.to_string());
        }
        reply
    }
}
