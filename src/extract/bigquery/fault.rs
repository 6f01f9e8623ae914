//! What BigQuery's answers mean. An error's reason says more than its status: a 403 may be a limit that passes.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::extract::http::{Verdict, is_html, standard, status_line};

pub(super) fn line(status: StatusCode) -> String {
    status_line(status)
}

/// Reasons that pass (Google's table of BigQuery's errors).
const PASSING: [&str; 7] = [
    "rateLimitExceeded",
    "jobRateLimitExceeded",
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "tableUnavailable",
];

/// An error as BigQuery says it: `{"error": {"code", "message", "errors": [{"reason", …}], "status"}}`, of which all but
/// the message may be missing.
struct Fault {
    reason: Option<String>,
    message: String,
}

/// Any answer, as far as it is looked at here: rows are passed over unread.
#[derive(Deserialize)]
struct Envelope {
    error: Option<Value>,
}

impl Fault {
    fn new(error: &Value) -> Option<Self> {
        let error = Some(error).filter(|error| error.is_object())?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let reason = text(error.pointer("/errors/0/reason")).or_else(|| text(error.get("status")));
        Some(Fault { reason, message: text(error.get("message")).unwrap_or_default() })
    }

    fn said(&self) -> String {
        let message: String = self.message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        match &self.reason {
            Some(reason) => format!("BigQuery says {reason}: {message}"),
            None => format!("BigQuery says: {message}"),
        }
    }
}

/// Judges an answer of BigQuery's REST API.
pub(super) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let by_status = standard(status, headers, body);
    let json = serde_json::from_slice::<Envelope>(body);
    let fault = json.as_ref().ok().and_then(|answer| Fault::new(answer.error.as_ref()?));
    let reason = |fault: &Fault| match status.is_success() {
        true => fault.said(),
        false => format!("{}: {}", line(status), fault.said()),
    };
    match (fault, by_status) {
        (Some(fault), Verdict::Retry { after, .. }) => Verdict::Retry { reason: reason(&fault), after },
        (Some(fault), Verdict::RefreshToken(_)) => Verdict::RefreshToken(reason(&fault)),
        (Some(fault), _) if fault.reason.as_deref().is_some_and(|reason| PASSING.contains(&reason)) => {
            Verdict::Retry { reason: reason(&fault), after: None }
        }
        (Some(fault), _) => Verdict::Fail(reason(&fault)),
        (None, Verdict::Done) => {
            let odd = |what: &str| Verdict::Retry { reason: format!("{} with {what}", line(status)), after: None };
            match json {
                _ if body.trim_ascii().is_empty() => odd("an empty answer"),
                Ok(_) => Verdict::Done,
                _ if body.trim_ascii() == b"null" => odd("the word null"),
                Err(error) if error.is_eof() => odd("JSON that is cut off"),
                Err(error) if error.is_data() => {
                    Verdict::Fail(format!("{} with JSON that is no answer of BigQuery", line(status)))
                }
                Err(_) => odd("something that is not JSON"),
            }
        }
        (None, by_status) if is_html(headers, body) && !status.is_success() => match by_status {
            // A gateway's page; its status stands.
            Verdict::Fail(_) => Verdict::Fail(format!("{} with a page of HTML", line(status))),
            by_status => by_status,
        },
        (None, by_status) => by_status,
    }
}
