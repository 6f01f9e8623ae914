//! What Zoom's answers mean. Its error codes are not the HTTP status, and some come with status 200.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::client::Endpoint;
use crate::extract::http::{Verdict, retry_after, standard, status_line};

/// An error as Zoom says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: i64,
    message: String,
    /// `field: message` of a failed validation.
    fields: Vec<String>,
}

impl Fault {
    /// The error in an answer, if it is one: an object with a code and none of the lists that were asked for.
    pub(super) fn of(body: &Value, endpoint: &Endpoint) -> Option<Fault> {
        let code = body.get("code").and_then(|code| code.as_i64().or_else(|| code.as_str()?.parse().ok()))?;
        if endpoint.lists.iter().any(|list| body.get(*list).is_some()) {
            return None;
        }
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fields = body.get("errors").and_then(Value::as_array).into_iter().flatten();
        let fields = fields.map(|error| format!("{}: {}", text(error, "field"), text(error, "message")));
        Some(Fault { code, message: text(body, "message"), fields: fields.collect() })
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// Whether a page token has outlived its quarter of an hour.
    pub(super) fn is_dead_token(&self) -> bool {
        matches!(self.code, 300 | 400) && self.says(&["next page token"])
    }

    /// Whether the account does not have what was asked for: a feature that is not enabled, or not in its plan.
    pub(super) fn is_not_available(&self, endpoint: &Endpoint) -> bool {
        let phone = endpoint.path.starts_with("phone/") && matches!(self.code, 2013 | 2031);
        phone || matches!(self.code, 200 | 400) && self.says(&["only available for", "not been enabled", "not enabled"])
    }

    /// The scopes that the token lacks, as Zoom names them.
    fn missing_scopes(&self) -> Option<&str> {
        let scopes = &self.message[self.message.find("scopes:[")? + "scopes:[".len()..];
        Some(&scopes[..scopes.find(']').unwrap_or(scopes.len())])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Zoom says {}", self.code)?;
        // A message with an address in it is about somebody.
        let said: Vec<&str> = [&self.message].into_iter().chain(&self.fields).map(String::as_str).collect();
        let said = said.join("; ").replace(['\r', '\n'], " ");
        if !said.contains('@') && !said.is_empty() {
            write!(out, ": {}", said.chars().take(160).collect::<String>().trim_end())?;
        }
        Ok(())
    }
}

/// Judges an answer of the API, at an instant, by a client that waits no longer than `patience`.
///
/// What the account does not have and a page token that died are answers, for the caller to see.
pub(super) fn classify(
    endpoint: &Endpoint,
    now: DateTime<Utc>,
    patience: Duration,
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
) -> Verdict {
    let json = serde_json::from_slice::<Value>(body);
    let fault = json.as_ref().ok().and_then(|json| Fault::of(json, endpoint));
    let line = status_line(status);
    let by_status = standard(status, headers, body);
    let Some(fault) = fault else {
        return match by_status {
            Verdict::Retry { reason, after: None } if status == StatusCode::TOO_MANY_REQUESTS => {
                limited(reason, None, (headers, now, patience))
            }
            Verdict::Done => match json {
                Ok(Value::Object(_)) => Verdict::Done,
                Ok(Value::Null) => again(format!("{line} with the word null")),
                Ok(_) => Verdict::Fail(format!("{line} with JSON that is no object")),
                Err(_) if body.trim_ascii().is_empty() => again(format!("{line} with an empty answer")),
                Err(error) if error.is_eof() => again(format!("{line} with JSON that is cut off")),
                Err(_) => again(format!("{line} with something that is not JSON")),
            },
            other => other,
        };
    };
    let said = if status.is_success() { fault.to_string() } else { format!("{line}: {fault}") };
    match (fault.code, by_status) {
        _ if status == StatusCode::TOO_MANY_REQUESTS || fault.code == 429 => {
            limited(line, Some(&fault), (headers, now, patience))
        }
        (_, later @ Verdict::Retry { .. }) => later,
        (500..=599, _) => again(said),
        (4711, _) => Verdict::Fail(format!("{line}: {}", lacks(fault.missing_scopes().unwrap_or(endpoint.scope)))),
        _ if fault.missing_scopes().is_some() => {
            Verdict::Fail(format!("{line}: {}", lacks(fault.missing_scopes().unwrap_or_default())))
        }
        (124, _) if fault.says(&["token"]) => Verdict::RefreshToken(said),
        _ if fault.is_dead_token() || fault.is_not_available(endpoint) => Verdict::Done,
        (200, _) => Verdict::Fail(format!(
            "{said}: the app may not read this; it needs the scope {}, and whoever activated it a role that may too",
            endpoint.scope
        )),
        (300, _) if fault.says(&["recent 6 months"]) => {
            Verdict::Fail(format!("{line}: Zoom keeps the daily report of the recent six months only: start later"))
        }
        (_, Verdict::RefreshToken(_)) => Verdict::RefreshToken(said),
        _ => Verdict::Fail(said),
    }
}

fn again(reason: String) -> Verdict {
    Verdict::Retry { reason, after: None }
}

fn lacks(scopes: &str) -> String {
    format!(
        "the app lacks the scope {scopes}: add it to the app on marketplace.zoom.us, under Scopes, and activate it again"
    )
}

/// Too many requests. The daily limit ends at midnight UTC, which no night waits for.
fn limited(line: String, fault: Option<&Fault>, wait: (&HeaderMap, DateTime<Utc>, Duration)) -> Verdict {
    let (headers, now, patience) = wait;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let daily = header("x-ratelimit-type").is_some_and(|kind| kind.to_lowercase().starts_with("daily"))
        || fault.is_some_and(|fault| fault.says(&["daily rate limit"]));
    let asked = retry_after(headers, now);
    if daily && asked.is_none_or(|asked| asked > patience) {
        let until = header("retry-after").unwrap_or("midnight UTC");
        return Verdict::Fail(format!(
            "{line}: the account has used up its requests of the day, all its apps together; Zoom answers again after {until}"
        ));
    }
    let reset = header("x-ratelimit-reset").and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
    let after = reset.map(|at| (at - now).to_std().unwrap_or_default());
    Verdict::Retry { reason: line, after }
}
