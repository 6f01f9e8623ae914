//! HubSpot's CRM API on the wire: listings, searches, properties and pipelines, in both families of paths.
//!
//! Shapes and limits follow HubSpot's published OpenAPI files and usage guidelines, and answers recorded by others.
//! Whatever is not simulated is refused loudly.

pub mod faults;
mod filters;
mod limits;
mod objects;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chrono::Duration;
use serde_json::{Value, json};

use self::limits::Limits;
use super::business::crm::{Crm, LIFECYCLE, PIPELINES, Pipeline};
use super::http::{self, FaultPlan, HttpServer, Logged, Reply, Request};
use crate::clock::Clock;

/// How the simulated HubSpot behaves.
#[derive(Clone)]
pub struct HubSpotOptions {
    pub access_token: String,
    pub crm: Arc<Crm>,
    pub clock: Clock,
    /// Calls in ten seconds, and how long those last; a plan's allowance of a private app.
    pub calls: u64,
    pub interval: Duration,
    pub calls_per_second: Option<u64>,
    /// Searches in a second, of an account; the real service allows five.
    pub searches_per_second: Option<u64>,
    pub calls_per_day: u64,
    /// Name a wait in the 429 of the ten seconds; the real service does so only sometimes.
    pub says_retry_after: bool,
    /// How many of the newest records the search does not know yet: its index trails.
    pub search_lag: u64,
    /// Records of a page of a listing at most, whatever is asked for.
    pub page_limit: usize,
    pub faults: FaultPlan,
    /// Where to listen; a free loopback port by default.
    pub address: SocketAddr,
}

impl HubSpotOptions {
    /// A Professional account, and the machine's clock.
    pub fn new(access_token: &str, crm: Arc<Crm>) -> Self {
        Self {
            access_token: access_token.into(),
            crm,
            clock: Clock::system(),
            calls: 190,
            interval: Duration::seconds(10),
            calls_per_second: None,
            searches_per_second: None,
            calls_per_day: 650_000,
            says_retry_after: false,
            search_lag: 0,
            page_limit: 100,
            faults: FaultPlan::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

struct State {
    options: HubSpotOptions,
    limits: Mutex<Limits>,
}

/// The running simulator.
pub struct HubSpotServer {
    http: HttpServer,
}

impl HubSpotServer {
    pub async fn start(options: HubSpotOptions) -> std::io::Result<Self> {
        let (address, clock, faults) = (options.address, options.clock.clone(), options.faults.clone());
        let state = Arc::new(State { options, limits: Mutex::default() });
        let handler = http::handler(move |request| {
            let reply = answer(&state, &request);
            async move { reply }
        });
        Ok(Self { http: HttpServer::start_on(address, handler, faults, clock).await? })
    }

    pub fn url(&self) -> String {
        self.http.url()
    }

    pub fn log(&self) -> Vec<Logged> {
        self.http.log()
    }

    pub fn set_faults(&self, faults: FaultPlan) {
        self.http.set_faults(faults);
    }
}

fn answer(state: &State, request: &Request) -> Reply {
    let trace = |reply: Reply| reply.with("x-hubspot-correlation-id", "c033cdaa-2c40-4a64-ae48-b4cec88dad24");
    if request.header("authorization") != Some(&format!("Bearer {}", state.options.access_token)) {
        return trace(faults::unauthenticated());
    }
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let is_search = path.last() == Some(&"search");
    let allowance = match state.limits.lock().expect("no panic while counting").enter(&state.options, is_search) {
        Ok(allowance) => allowance,
        Err(refused) => return trace(refused),
    };
    let reply = route(state, request, &path);
    // Searches name no allowances.
    trace(if is_search { reply } else { allowance.head(reply, &state.options) })
}

/// Both families of paths lead to the same places.
fn route(state: &State, request: &Request, path: &[&str]) -> Reply {
    let rest: Vec<&str> = match path {
        ["crm", "v3", rest @ ..] => rest.to_vec(),
        ["crm", kind, version, rest @ ..] if is_version(version) => [&[*kind], rest].concat(),
        _ => return faults::not_found(&request.path),
    };
    match (request.method.as_str(), rest.as_slice()) {
        ("GET", ["objects", kind]) => objects::list(state, kind, request),
        ("POST", ["objects", kind, "search"]) => objects::search(state, kind, request),
        ("GET", ["properties", "contacts" | "0-1", "lifecyclestage"]) => Reply::json(200, lifecycle().to_string()),
        ("GET", ["pipelines", "deals" | "0-3"]) => {
            let archived = request.param("archived").as_deref() == Some("true");
            let found = PIPELINES.iter().filter(|pipeline| pipeline.archived == archived);
            let results: Vec<Value> = found.enumerate().map(|(order, it)| pipeline(order, it)).collect();
            Reply::json(200, json!({ "results": results }).to_string())
        }
        _ => faults::not_found(&request.path),
    }
}

/// `2026-03`
fn is_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 7 && bytes[4] == b'-' && bytes.iter().enumerate().all(|(at, byte)| at == 4 || byte.is_ascii_digit())
}

fn lifecycle() -> Value {
    let options = LIFECYCLE.iter().enumerate().map(
        |(order, (value, label))| json!({ "label": label, "value": value, "displayOrder": order, "hidden": false }),
    );
    json!({
        "name": "lifecyclestage",
        "label": "Lifecycle Stage",
        "type": "enumeration",
        "fieldType": "radio",
        "groupName": "contactinformation",
        "options": options.collect::<Vec<_>>(),
        "calculated": false,
        "archived": false,
    })
}

/// Flags inside `metadata` are text; stages of the default pipeline were created with time itself.
fn pipeline(order: usize, pipeline: &Pipeline) -> Value {
    const BEGINNING: &str = "1970-01-01T00:00:00Z";
    let stages = pipeline.stages.iter().enumerate().map(|(order, stage)| {
        json!({
            "id": stage.id,
            "label": stage.label,
            "displayOrder": order,
            "metadata": { "isClosed": stage.is_closed.to_string(), "probability": stage.probability },
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            "archived": pipeline.archived,
            "createdAt": BEGINNING,
            "updatedAt": BEGINNING,
        })
    });
    json!({
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": order,
        "stages": stages.collect::<Vec<_>>(),
        "archived": pipeline.archived,
        "createdAt": BEGINNING,
        "updatedAt": BEGINNING,
    })
}
