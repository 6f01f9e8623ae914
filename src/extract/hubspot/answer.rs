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
    errors: Option<Vec<Detail>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    context: Option<serde_json::Map<String, serde_json::Value>>,
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
            let errors = self.errors.iter().flatten();
            let lists = errors.filter_map(|error| error.context.as_ref()?.get(key)?.as_array());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(status: u16, headers: &HeaderMap, body: &serde_json::Value) -> Verdict {
        classify(StatusCode::from_u16(status).unwrap(), headers, body.to_string().as_bytes(), "midnight")
    }

    /// The wait after a refusal, where HubSpot names none.
    fn wait(status: u16, body: &serde_json::Value) -> Option<Option<u64>> {
        match judged(status, &HeaderMap::new(), body) {
            Verdict::Retry { after, .. } => Some(after.map(|after| after.as_secs())),
            _ => None,
        }
    }

    #[test]
    fn a_limit_that_was_reached_is_waited_out_as_long_as_it_lasts() {
        for (body, seconds) in [
            (json!({ "policyName": "TEN_SECONDLY_ROLLING" }), 10),
            (json!({ "policyName": "SECONDLY" }), 1),
            (json!({ "message": "You have reached your ten_secondly_rolling limit." }), 10),
            (json!({ "message": "You have reached your secondly limit." }), 1),
            // The policy's name counts more than the message.
            (json!({ "policyName": "SECONDLY", "message": "You have reached your daily limit." }), 1),
            (json!({ "policyName": null, "message": null, "errors": null }), 10),
            (json!({}), 10),
            (json!("slow down"), 10),
        ] {
            assert_eq!(wait(429, &body), Some(Some(seconds)), "{body}");
        }
        assert_eq!(wait(423, &json!({})), Some(Some(2)));
        assert_eq!([wait(500, &json!({})), wait(522, &json!({}))], [Some(None); 2]);
    }

    #[test]
    fn the_daily_limit_is_not_waited_for_whatever_else_the_answer_holds() {
        let spent = "429 Too Many Requests: the account's daily limit of calls is used up until midnight: run the job \
                     again after that";
        for body in [
            json!({ "policyName": "DAILY" }),
            json!({ "policyName": "DAILY", "errors": null }),
            json!({ "policyName": "DAILY", "errors": [{ "context": null }] }),
            json!({ "message": "You have reached your daily limit.", "errors": [] }),
        ] {
            assert_eq!(judged(429, &HeaderMap::new(), &body), Verdict::Fail(spent.to_owned()), "{body}");
        }
    }

    #[test]
    fn scopes_that_the_token_lacks_are_named_where_hubspot_names_them() {
        let told = |body| match judged(403, &HeaderMap::new(), &body) {
            Verdict::Fail(told) => told,
            other => panic!("{other:?}"),
        };
        let context = json!({ "requiredGranularScopes": ["crm.objects.deals.read"] });
        let named = told(json!({ "errors": [{ "context": null }, { "context": context }] }));
        assert_eq!(named, "403 Forbidden: the private app lacks the scopes crm.objects.deals.read");
        assert_eq!(told(json!({ "category": "MISSING_SCOPES", "errors": null })), "403 Forbidden: MISSING_SCOPES");
    }
}
