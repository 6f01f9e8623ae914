//! How fast HubSpot may be asked. Every answer says how much of the allowance is left; keeping to it costs less than
//! being refused, and refusals count against the account.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// What the last answer said of the allowances: calls in ten seconds, in a second, and in a day.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Option<Instant>,
    is_spent: bool,
}

impl Pace {
    /// Reads the allowances off an answer. Searches and OAuth apps name fewer of them.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let wait = match (number("x-hubspot-ratelimit-max"), number("x-hubspot-ratelimit-remaining")) {
            (Some(max), Some(remaining)) => {
                let interval = number("x-hubspot-ratelimit-interval-milliseconds").unwrap_or(10_000);
                pause(max, remaining, interval)
            }
            _ => Duration::ZERO,
        };
        let second = match number("x-hubspot-ratelimit-secondly-remaining") {
            Some(0) => Duration::from_secs(1),
            _ => Duration::ZERO,
        };
        self.next = Some(Instant::now() + wait.max(second));
        self.is_spent = number("x-hubspot-ratelimit-daily-remaining") == Some(0);
    }

    /// Waits until the next call is welcome.
    pub(super) async fn wait(&self) {
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
        }
    }

    /// Whether nothing is left of the day's allowance.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }
}

/// No pause while there is plenty, an even pace when a fifth is left, the whole interval when nothing is.
fn pause(max: u64, remaining: u64, interval: u64) -> Duration {
    match remaining {
        0 => Duration::from_millis(interval),
        _ if remaining.saturating_mul(5) <= max => Duration::from_millis(interval / max.max(1)),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_is_left() {
        let pauses = [(190, 189), (190, 38), (190, 1), (190, 0), (0, 0), (0, 7)];
        let pauses = pauses.map(|(max, remaining)| pause(max, remaining, 10_000).as_millis());
        assert_eq!(pauses, [0, 52, 52, 10_000, 10_000, 0]);
    }

    #[test]
    fn headers_are_read_as_far_as_they_are_there() {
        let learned = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            let mut pace = Pace::default();
            let before = Instant::now();
            pace.learn(&headers);
            (pace.next.unwrap().saturating_duration_since(before) >= Duration::from_millis(900), pace.is_spent())
        };
        assert_eq!(learned(&[]), (false, false));
        assert_eq!(learned(&[("x-hubspot-ratelimit-secondly-remaining", "0")]), (true, false));
        assert_eq!(learned(&[("x-hubspot-ratelimit-daily-remaining", "0")]), (false, true));
        let ten = [("x-hubspot-ratelimit-max", "110"), ("x-hubspot-ratelimit-remaining", "0")];
        assert_eq!(learned(&ten), (true, false), "ten seconds where no interval is named");
        assert_eq!(learned(&[("x-hubspot-ratelimit-remaining", "many")]), (false, false));
    }
}
