//! What an answer means: done, again, or the end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

/// What a source makes of an answer. Reasons go into messages: they hold nothing of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// A passing condition. `after` is the wait when the answer's own Retry-After says none.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    /// An answer that has been seen to pass on a second try, and that means what it says when it does not.
    RetryOnce(String),
    /// The access token is dead.
    RefreshToken(String),
    Fail(String),
}

/// Tells what an answer means from its status, headers and body.
pub type Classify<'a> = &'a (dyn Fn(StatusCode, &HeaderMap, &[u8]) -> Verdict + Send + Sync);

/// Whether a status says that the same request may succeed later.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What plain HTTP says, for a source that answers JSON and has no habits of its own.
pub fn standard(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    match status {
        _ if is_transient(status) => Verdict::Retry { reason: status_line(status), after: None },
        StatusCode::UNAUTHORIZED => Verdict::RefreshToken(status_line(status)),
        _ if !status.is_success() => Verdict::Fail(status_line(status)),
        _ if is_html(headers, body) => Verdict::Fail(html(status)),
        _ => Verdict::Done,
    }
}

/// `429 Too Many Requests`
pub fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn html(status: StatusCode) -> String {
    format!("{} with a page of HTML where JSON was asked for: a login page or a proxy answered", status_line(status))
}

/// Whether the answer is a web page, whatever its status says.
pub fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let start = body.trim_ascii_start();
    let begins = |tag: &[u8]| start.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
    declared || begins(b"<!doctype html") || begins(b"<html")
}

/// How long the answer asks to wait. Seconds and HTTP dates are RFC 9110, section 10.2.3; Zoom writes ISO 8601.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = match httpdate::parse_http_date(text) {
        Ok(at) => DateTime::<Utc>::from(at),
        Err(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    // An instant in the past asks for no wait.
    Some((at - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn retry_after_is_read_in_its_three_spellings() {
        let now = "2026-01-21T08:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Wed, 21 Jan 2026 08:00:30 GMT", Some(30)),
            ("Wed, 21 Jan 2026 07:00:00 GMT", Some(0)),
            ("2026-01-21T08:01:00Z", Some(60)),
            ("2026-01-21T10:00:05+02:00", Some(5)),
            ("soon", None),
            ("-3", None),
        ] {
            let read = retry_after(&headers("retry-after", text), now);
            assert_eq!(read, seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn web_pages_are_told_from_json() {
        assert!(is_html(&headers("content-type", "Text/HTML; charset=utf-8"), b""));
        assert!(is_html(&HeaderMap::new(), b"\n <!DOCTYPE html><title>Sign in</title>"));
        assert!(!is_html(&headers("content-type", "application/json"), b"{}"));
        assert!(!is_html(&HeaderMap::new(), b"<Fault type=\"SERVICE\"/>"));
    }

    #[test]
    fn plain_http_is_classified_by_status() {
        let verdict = |status: u16| standard(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"{}");
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(verdict(status), Verdict::Retry { .. }), "{status}");
        }
        for status in [302, 400, 403, 404, 410, 501] {
            assert!(matches!(verdict(status), Verdict::Fail(_)), "{status}");
        }
        assert_eq!(verdict(200), Verdict::Done);
        assert_eq!(verdict(401), Verdict::RefreshToken("401 Unauthorized".into()));
    }
}
