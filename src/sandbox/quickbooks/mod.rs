//! QuickBooks Online on the wire: token endpoint, reports, company info; several companies on one port.
//!
//! Shapes and limits follow Intuit's documentation of the Reports API and OAuth 2.0, and the recorded answers of
//! `ruckus/quickbooks-ruby`. Where those disagree the choice is an option.

pub mod faults;
mod limits;
mod query;
mod report;
mod statements;
mod tokens;
mod xml;

pub use tokens::Rotation;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};

use self::limits::Limits;
use self::query::ReportQuery;
use self::tokens::{Refused, Tokens};
use super::business::Basis;
use super::business::services::ServicesCompany;
use super::http::{self, FaultPlan, HttpServer, Logged, Reply, Request};
use crate::clock::Clock;

/// One company on the server.
#[derive(Clone)]
pub struct Realm {
    pub id: String,
    pub company: Arc<ServicesCompany>,
    /// The refresh token the connector starts with.
    pub refresh_token: String,
    /// The company's own basis, used when a request names none. Cash, so that leaving `accounting_method` out shows.
    pub preferred_basis: Basis,
}

impl Realm {
    pub fn new(id: &str, refresh_token: &str, company: Arc<ServicesCompany>) -> Self {
        Self { id: id.into(), company, refresh_token: refresh_token.into(), preferred_basis: Basis::Cash }
    }
}

/// How the simulated QuickBooks behaves.
#[derive(Clone)]
pub struct QuickBooksOptions {
    pub client_id: String,
    pub client_secret: String,
    pub realms: Vec<Realm>,
    pub clock: Clock,
    pub rotation: Rotation,
    /// How long a replaced refresh token still works; zero by default. Intuit: at most 24 hours.
    pub grace: chrono::Duration,
    /// Write `FinancingActivites`, as a recorded answer of 2014 has it, instead of `FinancingActivities`.
    pub misspelt_financing: bool,
    /// Let the operating section's summary hold only the adjustments, as in the documentation's CashFlow sample.
    pub operating_summary_is_adjustments: bool,
    /// How long the server works on a report, so that requests can overlap.
    pub work: std::time::Duration,
    pub requests_per_minute: usize,
    pub requests_at_once: usize,
    /// Bodies to serve, by report name, instead of generated ones.
    pub replay: BTreeMap<String, Bytes>,
    pub faults: FaultPlan,
    /// Where to listen; a free loopback port by default.
    pub address: SocketAddr,
}

impl QuickBooksOptions {
    /// Documented limits, rotation at every refresh, current spellings, the machine's clock.
    pub fn new(realms: Vec<Realm>) -> Self {
        Self {
            client_id: "sandbox-client".into(),
            client_secret: "sandbox-secret".into(),
            realms,
            clock: Clock::system(),
            rotation: Rotation::EveryRefresh,
            grace: chrono::Duration::zero(),
            misspelt_financing: false,
            operating_summary_is_adjustments: false,
            work: std::time::Duration::ZERO,
            requests_per_minute: 500,
            requests_at_once: 10,
            replay: BTreeMap::new(),
            faults: FaultPlan::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

struct State {
    options: QuickBooksOptions,
    tokens: Mutex<Tokens>,
    limits: Limits,
}

/// The running simulator. Both base URLs of the real service, for the token and for the API, are [`QuickBooksServer::url`].
pub struct QuickBooksServer {
    http: HttpServer,
    state: Arc<State>,
}

impl QuickBooksServer {
    pub async fn start(options: QuickBooksOptions) -> std::io::Result<Self> {
        let (address, clock, faults) = (options.address, options.clock.clone(), options.faults.clone());
        let tokens = Mutex::new(Tokens::new(&options, clock.now()));
        let limits = Limits::new(options.requests_per_minute, options.requests_at_once);
        let state = Arc::new(State { options, tokens, limits });
        let handler = {
            let state = state.clone();
            http::handler(move |request| answer(state.clone(), request))
        };
        let http = HttpServer::start_on(address, handler, faults, clock).await?;
        Ok(Self { http, state })
    }

    pub fn url(&self) -> String {
        self.http.url()
    }

    /// Where consent is given.
    pub fn authorize_url(&self) -> String {
        format!("{}/connect/oauth2", self.url())
    }

    /// Where tokens are refreshed.
    pub fn token_url(&self) -> String {
        format!("{}/oauth2/v1/tokens/bearer", self.url())
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

    /// The refresh token now valid for a realm.
    pub fn refresh_token(&self, realm: &str) -> Option<String> {
        self.tokens().current(realm)
    }

    /// Kill every access token now, whatever its age.
    pub fn expire_access_tokens(&self) {
        self.tokens().expire_access();
    }

    /// Kill a realm's refresh token, as when somebody disconnects the app.
    pub fn revoke(&self, realm: &str) {
        self.tokens().revoke(realm);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        self.state.tokens.lock().expect("no panic while holding tokens")
    }
}

async fn answer(state: Arc<State>, request: Request) -> Reply {
    let now = state.options.clock.now();
    let trace = format!("1-{:08x}-sandbox", now.timestamp());
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let reply = match (request.method.as_str(), path.as_slice()) {
        ("POST", ["oauth2", "v1", "tokens", "bearer"]) => {
            state.tokens.lock().expect("no panic while holding tokens").refresh(&request, now)
        }
        ("GET", ["connect", "oauth2"]) => {
            state.tokens.lock().expect("no panic while holding tokens").authorize(&request, now)
        }
        ("GET", ["v3", "company", realm, rest @ ..]) => {
            let (status, body) = company(&state, &request, realm, rest).await;
            match body {
                Body::Generated(value) => render(status, &request, &value),
                Body::Recorded(bytes) => Reply::json(status, bytes),
            }
        }
        _ => Reply::text(404, "no such resource"),
    };
    reply.with("intuit_tid", trace)
}

enum Body {
    Generated(Value),
    Recorded(Bytes),
}

async fn company(state: &State, request: &Request, realm: &str, rest: &[&str]) -> (u16, Body) {
    let now = state.options.clock.now();
    let fail = |(status, value): (u16, Value)| (status, Body::Generated(value));
    let allowed = state.tokens.lock().expect("no panic while holding tokens").check(request, realm, now);
    match allowed {
        Ok(()) => {}
        Err(Refused::Dead) => return fail(faults::unauthenticated(now)),
        Err(Refused::OtherRealm) => return fail(faults::forbidden(now)),
    }
    let Some(realm) = state.options.realms.iter().find(|candidate| candidate.id == realm) else {
        return fail(faults::forbidden(now));
    };
    let Some(_slot) = state.limits.enter(&realm.id, now) else { return fail(faults::throttled(now)) };
    if !state.options.work.is_zero() {
        tokio::time::sleep(state.options.work).await;
    }
    match rest {
        ["companyinfo", id] if *id == realm.id => (200, Body::Generated(company_info(realm, now))),
        ["reports", name] => {
            let query = match ReportQuery::parse(name, request, realm, now) {
                Ok(query) => query,
                Err(why) => return fail(why.fault(now)),
            };
            if let Some(recorded) = state.options.replay.get(*name) {
                return (200, Body::Recorded(recorded.clone()));
            }
            (200, Body::Generated(statements::build(&query, &realm.company, &state.options, now)))
        }
        _ => fail(faults::unsupported(&rest.join("/"), now)),
    }
}

/// JSON when it is asked for; the service's default is XML.
fn render(status: u16, request: &Request, value: &Value) -> Reply {
    let wants_json = request.header("accept").is_some_and(|accept| accept.contains("json"));
    if wants_json {
        Reply::json(status, value.to_string())
    } else {
        Reply::new(status, "application/xml;charset=utf-8", xml::render(value))
    }
}

/// The parts of CompanyInfo a report reader needs; the fiscal year's start is a month name there.
fn company_info(realm: &Realm, now: chrono::DateTime<chrono::Utc>) -> Value {
    let options = &realm.company.options;
    let start = u8::try_from(options.fiscal_year_start_month).expect("a month is 1 to 12");
    let start = chrono::Month::try_from(start).expect("a month is 1 to 12");
    json!({
        "CompanyInfo": {
            "CompanyName": options.name,
            "LegalName": options.name,
            "CompanyStartDate": options.from.to_string(),
            "FiscalYearStartMonth": start.name(),
            "Country": "US",
            "SupportedLanguages": "en",
            "domain": "QBO",
            "sparse": false,
            "Id": "1",
            "SyncToken": "4",
        },
        "time": faults::stamp(now),
    })
}
