//! What QuickBooks' answers mean. Faults come in three spellings, and on statuses that say otherwise.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::report::{list, text};
use crate::extract::http::{Verdict, is_html, standard, status_line};

/// Intuit promises no Retry-After and counts requests by the minute.
const THROTTLED_WAIT: Duration = Duration::from_secs(60);

/// An error as QuickBooks says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Without leading zeros: 3001 and 003001 are the same.
    pub code: String,
    pub kind: String,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "QuickBooks says {} {}", self.kind, self.code)?;
        if !self.message.is_empty() {
            write!(out, ": {}", self.message)?;
        }
        match self.code.as_str() {
            "3100" => write!(out, " (the token belongs to another company, or to the other of sandbox and production)"),
            "6190" => write!(out, " (the company's subscription has ended)"),
            _ => Ok(()),
        }
    }
}

impl Fault {
    /// The Fault of a JSON answer, in either spelling.
    pub(super) fn in_json(body: &Value) -> Option<Self> {
        let fault = body.get("Fault").or_else(|| body.get("fault")).filter(|fault| !fault.is_null())?;
        let either = |value: &Value, upper: &str, lower: &str| text(value.get(upper).or_else(|| value.get(lower)));
        let error = list(fault.get("Error").or_else(|| fault.get("error"))).next();
        let member = |upper, lower| error.and_then(|error| either(error, upper, lower)).unwrap_or_default();
        // The detail is left out: it may repeat what was sent.
        Some(Fault::new(&member("code", "Code"), either(fault, "type", "Type"), &member("Message", "message")))
    }

    /// The Fault of an XML answer, which gateways give whatever was asked for.
    fn in_xml(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let fault = &text[text.find("<Fault")?..];
        let between = |start: &str, end: &str| {
            let rest = &fault[fault.find(start)? + start.len()..];
            Some(&rest[..rest.find(end)?])
        };
        let kind = between("type=\"", "\"").map(str::to_owned);
        Some(Fault::new(
            between("code=\"", "\"").unwrap_or_default(),
            kind,
            between("<Message>", "</Message>").unwrap_or_default(),
        ))
    }

    fn new(code: &str, kind: Option<String>, message: &str) -> Self {
        Fault {
            code: code.trim_start_matches('0').to_owned(),
            kind: kind.unwrap_or_else(|| "Fault".into()),
            message: message.chars().take(120).collect(),
        }
    }

    fn verdict(&self, status: StatusCode) -> Verdict {
        let reason = || match status.is_success() {
            true => self.to_string(),
            false => format!("{}: {self}", status_line(status)),
        };
        match self.code.as_str() {
            // Throttling; before 2016 with 403.
            "3001" => Verdict::Retry { reason: throttled(status), after: Some(THROTTLED_WAIT) },
            "3200" => Verdict::RefreshToken(reason()),
            _ if self.kind.eq_ignore_ascii_case("AUTHENTICATION") => Verdict::RefreshToken(reason()),
            _ if status == StatusCode::UNAUTHORIZED => Verdict::RefreshToken(reason()),
            _ if matches!(self.kind.as_str(), "SERVICE" | "SystemFault") => {
                Verdict::Retry { reason: reason(), after: None }
            }
            _ if status == StatusCode::BAD_REQUEST => Verdict::RetryOnce(reason()),
            _ => Verdict::Fail(reason()),
        }
    }
}

fn throttled(status: StatusCode) -> String {
    match status {
        StatusCode::TOO_MANY_REQUESTS => status_line(status),
        _ => format!("{} (throttled)", status_line(status)),
    }
}

/// Judges an answer of the Reports API.
pub(super) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let line = status_line(status);
    let json = serde_json::from_slice::<Value>(body);
    let fault = match &json {
        Ok(json) => Fault::in_json(json),
        Err(_) => Fault::in_xml(body),
    };
    let by_status = standard(status, headers, body);
    match (fault, &by_status) {
        // A status that says "later" stands, whatever the body adds to it; only the throttle's wait is known better.
        (Some(fault), Verdict::Retry { .. }) if fault.code != "3001" => by_status,
        (Some(fault), _) => fault.verdict(status),
        (None, _) if status == StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Retry { reason: line, after: Some(THROTTLED_WAIT) }
        }
        // Seen to pass on a second try.
        (None, _) if status == StatusCode::BAD_REQUEST && !is_html(headers, body) => Verdict::RetryOnce(line),
        (None, Verdict::Done) => {
            let odd = |what: &str| Verdict::Retry { reason: format!("{line} with {what}"), after: None };
            match json {
                _ if body.trim_ascii().is_empty() => odd("an empty answer"),
                Ok(Value::Null) => odd("the word null"),
                Ok(Value::Object(_)) => Verdict::Done,
                Ok(_) => Verdict::Fail(format!("{line} with JSON that is no report")),
                Err(error) if error.is_eof() => odd("JSON that is cut off"),
                Err(_) => odd("something that is not JSON"),
            }
        }
        (None, _) => by_status,
    }
}
