//! Zoom on the wire: the token endpoint, users, the reports by days and by hosts, and Zoom Phone's lists and call history.
//!
//! Shapes follow Zoom's published OpenAPI files and its pages on errors and rate limits. Where accounts differ, the
//! choice is an option. A request or a parameter that is not known is an error, never an empty answer.

mod limits;
mod lists;
mod tokens;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::limits::{Label, Limits};
use self::lists::Query;
use self::tokens::Tokens;
use super::business::zoom::ZoomAccount;
use super::http::{self, FaultPlan, HttpServer, Logged, Reply, Request};
use crate::clock::Clock;

/// How the simulated Zoom behaves.
#[derive(Clone)]
pub struct ZoomServerOptions {
    pub account_id: String,
    pub client_id: String,
    pub client_secret: String,
    pub account: Arc<ZoomAccount>,
    pub clock: Clock,
    /// Zoom Phone is enabled.
    pub has_phone: bool,
    /// The plan includes reports.
    pub has_reports: bool,
    /// Scopes that the app lacks, as in `phone:read:list_call_logs:admin`.
    pub lacking_scopes: Vec<&'static str>,
    /// The call history also comes under its old name.
    pub old_member: bool,
    /// The call history comes under its old name alone.
    pub only_old_member: bool,
    /// A range of more than a month is refused; otherwise it is cut without a word.
    pub refuse_wide_ranges: bool,
    /// Every second row of a page comes once more on the next page.
    pub repeats_rows: bool,
    /// So many records a page, however many are asked for.
    pub page_limit: usize,
    /// Requests in a second by label: light, medium, heavy.
    pub per_second: [usize; 3],
    /// Heavy requests of a day.
    pub heavy_per_day: usize,
    pub faults: FaultPlan,
}

impl ZoomServerOptions {
    /// An account of the Pro plan with Zoom Phone.
    pub fn new(account: Arc<ZoomAccount>, clock: Clock) -> Self {
        Self {
            account_id: "sandbox-account".into(),
            client_id: "sandbox-zoom-client".into(),
            client_secret: "sandbox-zoom-secret".into(),
            account,
            clock,
            has_phone: true,
            has_reports: true,
            lacking_scopes: Vec::new(),
            old_member: true,
            only_old_member: false,
            refuse_wide_ranges: false,
            repeats_rows: false,
            page_limit: 2_000,
            per_second: [30, 20, 10],
            heavy_per_day: 30_000,
            faults: FaultPlan::new(),
        }
    }
}

struct State {
    options: ZoomServerOptions,
    tokens: Mutex<Tokens>,
    limits: Mutex<Limits>,
}

/// The running simulator.
pub struct ZoomServer {
    http: HttpServer,
    state: Arc<State>,
}

impl ZoomServer {
    pub async fn start(options: ZoomServerOptions) -> std::io::Result<Self> {
        let (clock, faults) = (options.clock.clone(), options.faults.clone());
        let limits = Mutex::new(Limits::new(options.per_second, options.heavy_per_day));
        let state = Arc::new(State { options, tokens: Mutex::default(), limits });
        let handler = {
            let state = state.clone();
            http::handler(move |request| {
                let reply = answer(&state, &request);
                async move { reply }
            })
        };
        Ok(Self { http: HttpServer::start(handler, faults, clock).await?, state })
    }

    /// The API's base, `https://api.zoom.us/v2` in earnest.
    pub fn base_url(&self) -> String {
        format!("{}/v2", self.http.url())
    }

    /// Where tokens are handed out.
    pub fn token_url(&self) -> String {
        format!("{}/oauth/token", self.http.url())
    }

    pub fn log(&self) -> Vec<Logged> {
        self.http.log()
    }

    pub fn clear_log(&self) {
        self.http.clear_log();
    }

    pub fn set_faults(&self, faults: FaultPlan) {
        self.http.set_faults(faults);
    }

    /// Kill every access token now, whatever its age.
    pub fn expire_access_tokens(&self) {
        self.state.tokens.lock().expect("no panic while holding tokens").expire_access();
    }

    /// Kill every page token now, whatever its age.
    pub fn expire_page_tokens(&self) {
        self.state.tokens.lock().expect("no panic while holding tokens").expire_pages();
    }
}

/// An error in Zoom's envelope.
pub fn error(status: u16, code: i64, message: &str) -> Reply {
    Reply::json(status, json!({ "code": code, "message": message }).to_string())
}

fn answer(state: &State, request: &Request) -> Reply {
    let now = state.options.clock.now();
    let reply = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/oauth/token") => {
            state.tokens.lock().expect("no panic while holding tokens").grant(&state.options, request, now)
        }
        ("GET", path) => match path.strip_prefix("/v2/") {
            Some(path) => api(state, request, path, now),
            None => error(404, 2300, "This API endpoint is not recognized."),
        },
        _ => error(404, 2300, "This API endpoint is not recognized."),
    };
    let date = httpdate::fmt_http_date(now.into());
    reply.with("Date", date).with("x-zm-trackingid", format!("v=2.0;clid=sandbox;rid=WEB_{:08x}", now.timestamp()))
}

fn api(state: &State, request: &Request, path: &str, now: DateTime<Utc>) -> Reply {
    let options = &state.options;
    let (label, scope) = match path {
        "users" => (Label::Medium, "user:read:list_users:admin"),
        "report/daily" | "report/users" => (Label::Heavy, "report:read:admin"),
        "phone/users" => (Label::Medium, "phone:read:list_users:admin"),
        "phone/call_queues" => (Label::Medium, "phone:read:list_call_queues:admin"),
        "phone/call_history" => (Label::Heavy, "phone:read:list_call_logs:admin"),
        _ => return error(404, 2300, "This API endpoint is not recognized."),
    };
    let limited = state.limits.lock().expect("no panic while counting").enter(label, now);
    let reply = limited.unwrap_or_else(|| {
        let mut tokens = state.tokens.lock().expect("no panic while holding tokens");
        if !tokens.knows(request, now) {
            return error(401, 124, "Invalid access token.");
        }
        if options.lacking_scopes.contains(&scope) {
            return error(400, 4711, &format!("Invalid access token, does not contain scopes:[{scope}]."));
        }
        if path.starts_with("phone/") && !options.has_phone {
            return error(400, 2031, "Zoom Phone has not been enabled for this account.");
        }
        if path.starts_with("report/") && !options.has_reports {
            return error(400, 200, "This API is only available for paid accounts.");
        }
        let query = match Query::parse(path, request, options, &mut tokens, now) {
            Ok(query) => query,
            Err(refused) => return *refused,
        };
        match lists::page(path, &query, options, &mut tokens, now) {
            Ok(page) => Reply::json(200, page.to_string()),
            Err(refused) => *refused,
        }
    });
    reply.with("X-RateLimit-Category", label.name())
}

/// The token of the next page as an answer has it. At the end it is absent or empty, in turns.
fn next_token(answer: &mut Value, next: Option<String>, is_absent: bool) {
    match next {
        Some(token) => answer["next_page_token"] = json!(token),
        None if is_absent => {}
        None => answer["next_page_token"] = json!(""),
    }
}
