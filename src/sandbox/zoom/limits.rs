//! Requests in a second and heavy ones in a day, as Zoom's page on rate limits has them.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::error;
use crate::sandbox::http::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Medium,
    Heavy,
}

impl Label {
    pub(super) fn name(self) -> &'static str {
        match self {
            Label::Medium => "Medium",
            Label::Heavy => "Heavy",
        }
    }
}

pub(super) struct Limits {
    per_second: [usize; 3],
    heavy_per_day: usize,
    second: (i64, [usize; 3]),
    day: (NaiveDate, usize),
}

impl Limits {
    pub(super) fn new(per_second: [usize; 3], heavy_per_day: usize) -> Self {
        Self { per_second, heavy_per_day, second: (0, [0; 3]), day: (NaiveDate::MIN, 0) }
    }

    /// Count a request in, or refuse it.
    pub(super) fn enter(&mut self, label: Label, now: DateTime<Utc>) -> Option<Reply> {
        let at = label as usize + 1;
        if self.second.0 != now.timestamp() {
            self.second = (now.timestamp(), [0; 3]);
        }
        if self.day.0 != now.date_naive() {
            self.day = (now.date_naive(), 0);
        }
        if label == Label::Heavy && self.day.1 >= self.heavy_per_day {
            let midnight = (self.day.0 + Days::new(1)).and_time(NaiveTime::MIN);
            let reply = error(
                429,
                429,
                "You have reached the maximum daily rate limit for this API. Refer to the response header for details \
                 on when you can make another request.",
            );
            return Some(
                reply
                    .with("X-RateLimit-Type", "Daily-limit")
                    .with("Retry-After", midnight.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            );
        }
        if self.second.1[at] >= self.per_second[at] {
            let reply =
                error(429, 429, "You have reached the maximum per-second rate limit for this API. Try again later.");
            let reset = (now.timestamp() + 1).to_string();
            return Some(reply.with("X-RateLimit-Type", "QPS").with("X-RateLimit-Reset", reset));
        }
        self.second.1[at] += 1;
        self.day.1 += usize::from(label == Label::Heavy);
        None
    }
}
