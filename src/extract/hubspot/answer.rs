//! What HubSpot's answers mean.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::extract::http::{Verdict, is_html, standard, status_line};

/// An error as HubSpot words it. Everything in it may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    message: Option<String>,
    category: Option<String>,
    #[serde(rename = "policyName")]
    policy_name: Option<String>,
    errors: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    context: serde_json::Map<String, serde_json::Value>,
}

impl Fault {
    /// Which limit was reached: the policy names it, or only the message does.
    fn is_about(&self, limit: &str) -> bool {
        let said = |text: &Option<String>| text.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains(limit));
        said(&self.policy_name) || self.policy_name.is_none() && said(&self.message)
    }

    /// The scopes that the token lacks.
    fn missing_scopes(&self) -> Option<String> {
        let named = |key: &str| {
            let lists = self.errors.iter().filter_map(|error| error.context.get(key)?.as_array());
            lists.flatten().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let names = ["requiredGranularScopes", "requiredScopes", "missingScopes"].map(named);
        names.into_iter().find(|names| !names.is_empty())
    }

    fn told(&self, status: StatusCode) -> String {
        let mut told = status_line(status);
        if let Some(category) = &self.category {
            told = format!("{told}: {}", short(category));
        }
        if let Some(message) = &self.message {
            told = format!("{told}: {}", short(message));
        }
        told
    }
}

fn short(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(160).collect()
}

/// Nothing more can be asked today.
pub(super) fn spent(until: &str) -> String {
    format!("the account's daily limit of calls is used up until {until}: run the job again after that")
}

/// Judges an answer. `until` says when the daily limit starts anew.
pub(super) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8], until: &str) -> Verdict {
    if status == StatusCode::OK {
        return success(status, headers, body);
    }
    let fault: Fault = serde_json::from_slice(body).unwrap_or_default();
    let line = status_line(status);
    let again = |seconds| Verdict::Retry { reason: line.clone(), after: Some(Duration::from_secs(seconds)) };
    match status.as_u16() {
        429 if fault.is_about("daily") => Verdict::Fail(format!("{line}: {}", spent(until))),
        429 if fault.is_about("ten_secondly") => again(10),
        429 if fault.is_about("secondly") => again(1),
        429 => again(10),
        401 => Verdict::Fail(format!(
            "{}; access_token is not one that HubSpot knows, or it has been rotated",
            fault.told(status)
        )),
        403 => Verdict::Fail(match fault.missing_scopes() {
            Some(scopes) => format!("{line}: the private app lacks the scopes {}", short(&scopes)),
            None => fault.told(status),
        }),
        // Locked: somebody writes.
        423 => again(2),
        477 => {
            let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let when = after.map_or("later".to_owned(), |after| format!("in {} s", short(after)));
            Verdict::Fail(format!("477: the account is being moved between HubSpot's data centres; try again {when}"))
        }
        // Cloudflare, in front of HubSpot.
        521..=524 => Verdict::Retry { reason: line, after: None },
        530 => Verdict::Fail("530: access_token is not formed as a token is".to_owned()),
        _ => match standard(status, headers, body) {
            Verdict::Fail(_) | Verdict::RefreshToken(_) => Verdict::Fail(fault.told(status)),
            other => other,
        },
    }
}

/// A 200 is an answer when it is a JSON object, whole, and says that it is JSON.
fn success(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let line = status_line(status);
    if is_html(headers, body) {
        return standard(status, headers, body);
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().contains("json") {
        return Verdict::Fail(format!("{line} with content type {:?} where JSON was asked for", short(kind)));
    }
    let odd = |what: &str| Verdict::Retry { reason: format!("{line} with {what}"), after: None };
    match (serde_json::from_slice::<IgnoredAny>(body), body.trim_ascii_start().first()) {
        (_, None) => odd("an empty answer"),
        (Ok(_), Some(b'{')) => Verdict::Done,
        (Ok(_), _) => Verdict::Fail(format!("{line} with JSON that is no object")),
        (Err(error), _) if error.is_eof() => odd("JSON that is cut off"),
        (Err(_), _) => odd("something that is not JSON"),
    }
}
