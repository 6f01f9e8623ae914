//! Fault bodies as the service words them (Intuit's error documentation; recordings of `ruckus/quickbooks-ruby`).

use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Value, json};

/// A time as the service writes it: Pacific, with milliseconds. Standard time all year is true enough here.
pub fn stamp(now: DateTime<Utc>) -> String {
    let pacific = FixedOffset::west_opt(8 * 3600).expect("eight hours is an offset");
    now.with_timezone(&pacific).format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// A Fault of one error. `kind` is `ValidationFault`, `AUTHENTICATION`, `AuthorizationFault`, `SERVICE` or `SystemFault`.
pub fn fault(kind: &str, code: &str, message: &str, detail: &str, now: DateTime<Utc>) -> Value {
    let error = json!({ "Message": message, "Detail": detail, "code": code, "element": "" });
    json!({ "Fault": { "Error": [error], "type": kind }, "time": stamp(now) })
}

/// The lower-case variant the gateway in front of the service uses, with the time in epoch milliseconds.
pub fn gateway_fault(kind: &str, code: &str, message: &str, detail: &str, now: DateTime<Utc>) -> Value {
    let error = json!({ "message": message, "detail": detail, "code": code, "element": null });
    json!({
        "warnings": null,
        "intuitObject": null,
        "fault": { "error": [error], "type": kind },
        "time": now.timestamp_millis(),
    })
}

/// 401: the access token is unknown or dead.
pub fn unauthenticated(now: DateTime<Utc>) -> (u16, Value) {
    let message = "message=AuthenticationFailed; errorCode=003200; statusCode=401";
    (401, fault("AUTHENTICATION", "3200", message, "Token expired", now))
}

/// 403: the token is alive but belongs to another company, or the company is unknown.
pub fn forbidden(now: DateTime<Utc>) -> (u16, Value) {
    let message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403";
    (403, fault("AuthorizationFault", "3100", message, "The application is not authorized for this company", now))
}

/// 429: too many requests for one company. No `Retry-After` is promised, so none is sent.
pub fn throttled(now: DateTime<Utc>) -> (u16, Value) {
    let message = "message=ThrottleExceeded; errorCode=003001; statusCode=429";
    (429, fault("SERVICE", "3001", message, "The request limit was reached.  Try again later", now))
}

/// 400: a parameter's value makes no sense.
pub fn invalid(detail: &str, now: DateTime<Utc>) -> (u16, Value) {
    (400, fault("ValidationFault", "4001", "Invalid query", detail, now))
}

/// 400: no such report or resource.
pub fn unsupported(what: &str, now: DateTime<Utc>) -> (u16, Value) {
    let detail = format!("Operation {what} is not supported.");
    (400, fault("ValidationFault", "500", "Unsupported Operation", &detail, now))
}
