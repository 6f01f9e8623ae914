//! Errors as the service words them (HubSpot's usage guidelines and error reference).

use serde_json::{Value, json};

use crate::sandbox::http::Reply;

const CORRELATION: &str = "c033cdaa-2c40-4a64-ae48-b4cec88dad24";

fn error(status: u16, category: &str, message: &str) -> Reply {
    let body = json!({ "status": "error", "message": message, "correlationId": CORRELATION, "category": category });
    Reply::json(status, body.to_string())
}

/// 401: the token is unknown, or was rotated.
pub fn unauthenticated() -> Reply {
    let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find \
                   more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
    error(401, "INVALID_AUTHENTICATION", message)
}

/// 403: the app was not granted what it takes.
pub fn missing_scopes(scopes: &[&str]) -> Reply {
    let detail = json!({
        "message": "One or more of the following scopes are required.",
        "context": { "requiredGranularScopes": scopes },
    });
    let body: Value = json!({
        "status": "error",
        "message": "This app hasn't been granted all required scopes to make this call. Read more about required \
                    scopes here: https://developers.hubspot.com/scopes.",
        "correlationId": CORRELATION,
        "errors": [detail],
        "links": { "scopes": "https://developers.hubspot.com/scopes" },
        "category": "MISSING_SCOPES",
    });
    Reply::json(403, body.to_string())
}

/// 429: one of the limits, `TEN_SECONDLY_ROLLING`, `SECONDLY` or `DAILY`.
pub fn throttled(policy: &str) -> Reply {
    let body = json!({
        "status": "error",
        "message": format!("You have reached your {} limit.", policy.to_lowercase()),
        "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION,
        "policyName": policy,
    });
    Reply::json(429, body.to_string())
}

/// 400: the request makes no sense.
pub fn invalid(message: &str) -> Reply {
    error(400, "VALIDATION_ERROR", message)
}

/// 404: no such path, or none that is simulated.
pub fn not_found(path: &str) -> Reply {
    error(404, "OBJECT_NOT_FOUND", &format!("No resource is simulated at {path}"))
}
