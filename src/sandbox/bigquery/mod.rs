//! BigQuery's REST API over the export of a GA4 property: `jobs.query`, `jobs.getQueryResults`, `jobs.cancel`,
//! `tables.list`, `tables.get`, and the token endpoint of its service account.
//!
//! Shapes follow recorded answers of BigQuery. Tables appear the day after their own, change for three more days, and may
//! be missing; each of the newest has a streaming twin with the same events. It understands the SQL of `sql.rs` and
//! nothing else, and says so as BigQuery would.

mod sql;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use self::sql::{Query, Selected};
use self::tokens::Tokens;
use super::business::app::AppUse;
use super::http::{self, FaultPlan, HttpServer, Logged, Reply, Request};
use crate::clock::Clock;

/// Bytes that a row of the columns asked for weighs, about.
const ROW_BYTES: u64 = 190;
const MIB: u64 = 1 << 20;

/// How the simulated BigQuery behaves.
#[derive(Clone)]
pub struct BigQueryOptions {
    pub project: String,
    pub dataset: String,
    pub location: String,
    pub email: String,
    pub app: Arc<AppUse>,
    pub clock: Clock,
    /// Days without a table.
    pub missing: BTreeSet<NaiveDate>,
    /// How often a query says that it still runs before it is done.
    pub polls: u32,
    /// At which size a page of rows is cut off.
    pub page_bytes: usize,
    /// Rows and tables of a page at most, whatever is asked for.
    pub page_rows: u64,
    pub page_tables: usize,
    pub faults: FaultPlan,
    /// Where to listen; a free loopback port by default.
    pub address: SocketAddr,
}

impl BigQueryOptions {
    /// Documented limits, every day there, queries done at once.
    pub fn new(app: Arc<AppUse>) -> Self {
        BigQueryOptions {
            project: "vital-app-sandbox".into(),
            dataset: "analytics_314159265".into(),
            location: "US".into(),
            email: "marts@vital-app-sandbox.iam.gserviceaccount.com".into(),
            app,
            clock: Clock::system(),
            missing: BTreeSet::new(),
            polls: 0,
            page_bytes: 10 << 20,
            page_rows: 100_000,
            page_tables: 1_000,
            faults: FaultPlan::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// A query that was asked, with its result as of then.
#[derive(Clone)]
struct Job {
    day: NaiveDate,
    seen_on: NaiveDate,
    columns: Vec<Selected>,
    polls: u32,
    is_stopped: bool,
}

struct State {
    options: BigQueryOptions,
    missing: Mutex<BTreeSet<NaiveDate>>,
    tokens: Mutex<Tokens>,
    jobs: Mutex<BTreeMap<String, Job>>,
    /// By requestId: a repeated request is the same query.
    requests: Mutex<BTreeMap<String, String>>,
}

/// The running simulator.
pub struct BigQueryServer {
    http: HttpServer,
    state: Arc<State>,
}

impl BigQueryServer {
    pub async fn start(options: BigQueryOptions) -> std::io::Result<Self> {
        let (address, clock, faults) = (options.address, options.clock.clone(), options.faults.clone());
        let state = Arc::new(State {
            missing: Mutex::new(options.missing.clone()),
            tokens: Mutex::new(Tokens::new(&options.email)),
            jobs: Mutex::default(),
            requests: Mutex::default(),
            options,
        });
        let handler = {
            let state = state.clone();
            http::handler(move |request| {
                let state = state.clone();
                async move { state.answer(&request) }
            })
        };
        let http = HttpServer::start_on(address, handler, faults, clock).await?;
        Ok(Self { http, state })
    }

    /// What stands for `https://bigquery.googleapis.com/bigquery/v2`.
    pub fn url(&self) -> String {
        format!("{}/bigquery/v2", self.http.url())
    }

    /// What stands for `https://oauth2.googleapis.com/token`.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.http.url())
    }

    /// The service account's key as Google hands it out.
    pub fn key(&self) -> String {
        json!({
            "type": "service_account",
            "project_id": self.state.options.project,
            "private_key_id": "sandbox",
            "private_key": tokens::KEY,
            "client_email": self.state.options.email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self.token_url(),
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/sandbox",
        })
        .to_string()
    }

    pub fn options(&self) -> &BigQueryOptions {
        &self.state.options
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

    /// Take the tables of these days away, and give back all others.
    pub fn set_missing(&self, days: impl IntoIterator<Item = NaiveDate>) {
        *locked(&self.state.missing) = days.into_iter().collect();
    }

    /// How many queries were told to stop.
    pub fn stopped(&self) -> usize {
        locked(&self.state.jobs).values().filter(|job| job.is_stopped).count()
    }

    /// Kill every access token now, whatever its age.
    pub fn expire_tokens(&self) {
        locked(&self.state.tokens).expire();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while holding state")
}

/// An error object as BigQuery words it.
fn fault(status: u16, reason: &str, message: &str) -> Reply {
    let canonical = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        _ => "INTERNAL",
    };
    let error = json!({ "message": message, "domain": "global", "reason": reason });
    let body = json!({ "error": { "code": status, "message": message, "errors": [error], "status": canonical } });
    Reply::json(status, body.to_string())
}

impl State {
    fn answer(&self, request: &Request) -> Reply {
        let now = self.options.clock.now();
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        if (request.method.as_str(), path.as_slice()) == ("POST", &["token"]) {
            let audience = format!("http://{}/token", request.header("host").unwrap_or_default());
            return locked(&self.tokens).grant(request, &audience, now);
        }
        let ["bigquery", "v2", "projects", project, rest @ ..] = path.as_slice() else {
            return Reply::text(404, "Not Found");
        };
        if !locked(&self.tokens).accepts(request, now) {
            let why = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
            return fault(401, "authError", why);
        }
        if *project != self.options.project {
            let why = format!("Access Denied: Project {project}: User does not have bigquery.jobs.create permission");
            return fault(403, "accessDenied", &why);
        }
        match (request.method.as_str(), rest) {
            ("POST", ["queries"]) => self.query(request),
            ("GET", ["queries", job]) => self.results(request, job),
            ("POST", ["jobs", job, "cancel"]) => self.cancel(request, job),
            ("GET", ["datasets", dataset, "tables"]) => self.tables(request, dataset),
            ("GET", ["datasets", dataset, "tables", table]) => self.table(dataset, table),
            _ => fault(404, "notFound", &format!("Not found: {} {}", request.method, request.path)),
        }
    }

    /// Today where the property is.
    fn today(&self) -> NaiveDate {
        self.options.clock.now().with_timezone(&chrono_tz::America::Chicago).date_naive()
    }

    fn has_table(&self, day: NaiveDate) -> bool {
        self.options.app.covers(day) && day < self.today() && !locked(&self.missing).contains(&day)
    }

    fn dataset_missing(&self, dataset: &str) -> Reply {
        let BigQueryOptions { project, location, .. } = &self.options;
        fault(404, "notFound", &format!("Not found: Dataset {project}:{dataset} was not found in location {location}"))
    }

    /// Every table by name: the daily ones, the streaming twins of the newest, and others that are not events.
    fn table_names(&self) -> Vec<String> {
        let app = &self.options.app.options;
        let days: Vec<_> = app.from.iter_days().take_while(|day| *day <= app.to.min(self.today())).collect();
        let name = |kind: &str, day: &NaiveDate| format!("{kind}_{}", day.format("%Y%m%d"));
        let mut names: Vec<String> =
            days.iter().filter(|day| self.has_table(**day)).map(|day| name("events", day)).collect();
        names.extend(days.iter().rev().take(3).map(|day| name("events_intraday", day)));
        names.extend(days.iter().map(|day| name("pseudonymous_users", day)));
        names.sort();
        names
    }

    fn tables(&self, request: &Request, dataset: &str) -> Reply {
        if dataset != self.options.dataset {
            return self.dataset_missing(dataset);
        }
        let names = self.table_names();
        let Some(start) = start_of(request, "tables") else { return invalid_token() };
        let wanted = request.param("maxResults").and_then(|text| text.parse().ok()).unwrap_or(50);
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(names.len());
        let end = (start + self.options.page_tables.min(wanted)).min(names.len());
        let tables: Vec<_> = names[start..end].iter().map(|name| self.described(name)).collect();
        let mut body = json!({ "kind": "bigquery#tableList", "etag": "sandbox", "totalItems": names.len() });
        if !tables.is_empty() {
            body["tables"] = tables.into();
        }
        if end < names.len() {
            body["nextPageToken"] = token("tables", end as u64).into();
        }
        Reply::json(200, body.to_string())
    }

    fn described(&self, name: &str) -> Value {
        let BigQueryOptions { project, dataset, .. } = &self.options;
        json!({
            "kind": "bigquery#table",
            "id": format!("{project}:{dataset}.{name}"),
            "tableReference": { "projectId": project, "datasetId": dataset, "tableId": name },
            "type": "TABLE",
            "creationTime": "1700000000000",
        })
    }

    fn table(&self, dataset: &str, name: &str) -> Reply {
        if dataset != self.options.dataset {
            return self.dataset_missing(dataset);
        }
        let Some(day) = day_of(name).filter(|day| self.has_table(*day)) else { return self.table_missing(name) };
        let rows = self.options.app.count(day, self.today());
        let changed = self.today().min(day + Days::new(4)).and_time(chrono::NaiveTime::MIN).and_utc();
        let mut body = self.described(name);
        body["numRows"] = rows.to_string().into();
        body["numBytes"] = (rows * 5 * ROW_BYTES).to_string().into();
        body["lastModifiedTime"] = changed.timestamp_millis().to_string().into();
        body["location"] = self.options.location.clone().into();
        body["schema"] = json!({ "fields": [{ "name": "event_date", "type": "STRING" }] });
        Reply::json(200, body.to_string())
    }

    fn table_missing(&self, name: &str) -> Reply {
        let BigQueryOptions { project, dataset, location, .. } = &self.options;
        let why = format!("Not found: Table {project}:{dataset}.{name} was not found in location {location}");
        fault(404, "notFound", &why)
    }

    fn query(&self, request: &Request) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return fault(400, "parseError", "Invalid JSON payload received.");
        };
        // The default is true on the wire.
        if body["useLegacySql"] != json!(false) {
            return fault(400, "invalidQuery", "Encountered \" \"`\" \"`\" \"\" at line 1: this is not legacy SQL");
        }
        if body["location"].as_str().is_some_and(|location| location != self.options.location) {
            return self.dataset_missing(&self.options.dataset);
        }
        let query = match sql::parse(body["query"].as_str().unwrap_or_default()) {
            Ok(query) => query,
            Err(why) => return fault(400, "invalidQuery", &why),
        };
        let Query { project, dataset, table, columns } = query;
        if project != self.options.project || dataset != self.options.dataset {
            return self.dataset_missing(&dataset);
        }
        let Some(day) = day_of(&table).filter(|day| self.has_table(*day)) else { return self.table_missing(&table) };
        let seen_on = self.today();
        let bytes = self.options.app.count(day, seen_on) * ROW_BYTES;
        if body["dryRun"] == json!(true) {
            let BigQueryOptions { project, location, .. } = &self.options;
            let answer = json!({
                "kind": "bigquery#queryResponse",
                "schema": schema(&columns),
                "jobReference": { "projectId": project, "location": location },
                "totalBytesProcessed": bytes.to_string(),
                "jobComplete": true,
                "cacheHit": false,
                "totalBytesBilled": "0",
                "location": location,
            });
            return Reply::json(200, answer.to_string());
        }
        let billed = bytes.div_ceil(MIB).max(10) * MIB;
        let limit = body["maximumBytesBilled"].as_str().and_then(|text| text.parse::<u64>().ok());
        if let Some(limit) = limit.filter(|limit| *limit < billed) {
            let why = format!("Query exceeded limit for bytes billed: {limit}. {billed} or higher required.");
            return fault(400, "bytesBilledLimitExceeded", &why);
        }
        let mut jobs = locked(&self.jobs);
        let new = format!("job_sandbox_{}", jobs.len() + 1);
        let id = match body["requestId"].as_str() {
            Some(request) => locked(&self.requests).entry(request.to_owned()).or_insert(new).clone(),
            None => new,
        };
        let new = Job { day, seen_on, columns, polls: self.options.polls, is_stopped: false };
        let job = jobs.entry(id.clone()).or_insert(new).clone();
        drop(jobs);
        self.page(&id, &job, 0, body["maxResults"].as_u64(), "bigquery#queryResponse")
    }

    /// Whether a request names the place where jobs run here.
    fn is_here(&self, request: &Request) -> bool {
        let location = &self.options.location;
        request.param("location").map_or(location == "US", |asked| asked == *location)
    }

    fn job_missing(&self, id: &str) -> Reply {
        fault(404, "notFound", &format!("Not found: Job {}:{id}", self.options.project))
    }

    fn cancel(&self, request: &Request, id: &str) -> Reply {
        let BigQueryOptions { project, location, .. } = &self.options;
        let mut jobs = locked(&self.jobs);
        let Some(job) = jobs.get_mut(id).filter(|_| self.is_here(request)) else { return self.job_missing(id) };
        job.is_stopped = true;
        let reference = json!({ "projectId": project, "jobId": id, "location": location });
        let job = json!({ "kind": "bigquery#job", "jobReference": reference, "status": { "state": "RUNNING" } });
        Reply::json(200, json!({ "kind": "bigquery#jobCancelResponse", "job": job }).to_string())
    }

    fn results(&self, request: &Request, id: &str) -> Reply {
        let mut jobs = locked(&self.jobs);
        let Some(job) = jobs.get_mut(id).filter(|_| self.is_here(request)) else { return self.job_missing(id) };
        if job.is_stopped {
            return fault(400, "stopped", "Job execution was cancelled: User requested cancellation");
        }
        job.polls = job.polls.saturating_sub(1);
        let job = job.clone();
        drop(jobs);
        let Some(start) = start_of(request, id) else { return invalid_token() };
        let wanted = request.param("maxResults").and_then(|text| text.parse().ok());
        self.page(id, &job, start, wanted, "bigquery#getQueryResultsResponse")
    }

    /// A page of a result, or word that the query still runs. Written by hand: a page may hold a hundred thousand rows.
    fn page(&self, id: &str, job: &Job, start: u64, wanted: Option<u64>, kind: &str) -> Reply {
        let BigQueryOptions { project, location, app, page_rows, page_bytes, .. } = &self.options;
        let mut head = json!({
            "kind": kind,
            "jobReference": { "projectId": project, "jobId": id, "location": location },
            "jobComplete": job.polls == 0,
        });
        if job.polls > 0 {
            return Reply::json(200, head.to_string());
        }
        let total = app.count(job.day, job.seen_on);
        if job.columns.is_empty() {
            let counted = sql::counted(&app.rows(job.day, job.seen_on, 0..total));
            let cells = counted.iter().map(|(_, count)| json!({ "v": count.to_string() }));
            head["schema"] = schema(&job.columns);
            head["rows"] = json!([{ "f": cells.collect::<Vec<_>>() }]);
            head["totalRows"] = "1".into();
            head["totalBytesProcessed"] = (total * ROW_BYTES).to_string().into();
            head["cacheHit"] = false.into();
            return Reply::json(200, head.to_string());
        }
        head["schema"] = schema(&job.columns);
        head["totalRows"] = total.to_string().into();
        head["totalBytesProcessed"] = (total * ROW_BYTES).to_string().into();
        head["cacheHit"] = false.into();
        let mut text = head.to_string();
        text.pop();
        let mut next = start;
        let end = (start + wanted.unwrap_or(u64::MAX).min(*page_rows)).min(total);
        // Empty results have no rows, not an empty list of them.
        if next < end {
            text.push_str(",\"rows\":[");
            for event in app.rows(job.day, job.seen_on, start..end) {
                if next > start {
                    text.push(',');
                }
                row(&mut text, &job.columns, &event, job.day);
                next += 1;
                if text.len() >= *page_bytes {
                    break;
                }
            }
            text.push(']');
        }
        if next < total {
            let _ = write!(text, ",\"pageToken\":\"{}\"", token(id, next));
        }
        text.push('}');
        Reply::json(200, text)
    }
}

fn row(text: &mut String, columns: &[Selected], event: &super::business::app::AppEvent, day: NaiveDate) {
    text.push_str("{\"f\":[");
    for (number, column) in columns.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        let value = (column.value)(event, day).map_or(Value::Null, Value::String);
        let _ = write!(text, "{{\"v\":{value}}}");
    }
    text.push_str("]}");
}

/// Without columns it is the count's.
fn schema(columns: &[Selected]) -> Value {
    if columns.is_empty() {
        let fields = sql::counted(&[]).map(|(name, _)| json!({ "name": name, "type": "INTEGER", "mode": "NULLABLE" }));
        return json!({ "fields": fields });
    }
    let fields = columns.iter().map(|column| json!({ "name": column.name, "type": column.kind, "mode": "NULLABLE" }));
    json!({ "fields": fields.collect::<Vec<_>>() })
}

/// The day of a daily table.
fn day_of(table: &str) -> Option<NaiveDate> {
    let digits = table.strip_prefix("events_").filter(|digits| digits.len() == 8)?;
    NaiveDate::parse_from_str(digits, "%Y%m%d").ok()
}

/// A page token: opaque to clients, and of one list or result only.
fn token(of: &str, start: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{of}:{start}"))
}

/// Where a page begins; none for a token that was not issued for this.
fn start_of(request: &Request, of: &str) -> Option<u64> {
    let Some(token) = request.param("pageToken") else { return Some(0) };
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix(of)?.strip_prefix(':')?.parse().ok()
}

fn invalid_token() -> Reply {
    fault(400, "invalid", "Invalid page token")
}
