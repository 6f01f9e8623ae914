//! A loopback HTTP/1.1 server for simulated APIs: a handler answers, a log remembers, a plan of faults misbehaves.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use marts::clock::Clock;
//! use marts::sandbox::http::{self, Fault, FaultPlan, HttpServer, Reply};
//! let faults = FaultPlan::new().on("GET /items*", 1..=2, Fault::reply(Reply::text(503, "busy")));
//! let handler = http::handler(|request| async move { Reply::json(200, format!("{{\"path\":\"{}\"}}", request.path)) });
//! let server = HttpServer::start(handler, faults, Clock::system()).await?;
//! println!("{} answered {} requests", server.url(), server.log().len());
//! # Ok(()) }
//! ```

mod faults;
mod wire;

pub use faults::{Fault, FaultPlan};

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use hyper::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::Clock;

/// A clock that stands still until it is moved, for tests of expiry.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(instant.timestamp_millis())))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).expect("a manual clock stays in range")
    }

    /// This clock as a server wants it.
    pub fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::from_fn(move || clock.now())
    }
}

/// A request, fully read.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Percent-encoded as it came.
    pub path: String,
    /// Without the question mark, percent-encoded; empty when there is none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// The query's first value of this name, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        first(self.query.as_bytes(), name)
    }

    /// The value of a field of a form-encoded body.
    pub fn form(&self, name: &str) -> Option<String> {
        first(&self.body, name)
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn first(pairs: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(pairs).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json;charset=utf-8", body)
    }

    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain;charset=utf-8", body)
    }

    /// The same answer with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// One request as it was served.
#[derive(Debug, Clone)]
pub struct Logged {
    /// By the server's clock.
    pub at: DateTime<Utc>,
    pub request: Request,
    /// The status sent, or `None` when no answer left whole (reset, stalled, lost, or still being worked on).
    pub status: Option<u16>,
    /// Whether the fault plan had a hand in the answer.
    pub faulted: bool,
}

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Answers requests.
pub type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// Any async function as a [`Handler`].
pub fn handler<F, A>(answer: F) -> Handler
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    Arc::new(move |request| Box::pin(answer(request)))
}

/// What connections share with the server's owner.
struct Shared {
    handler: Handler,
    clock: Clock,
    faults: Mutex<FaultPlan>,
    log: Mutex<Vec<Logged>>,
}

/// A running server; dropping it closes the port and every connection.
pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serve on a free loopback port.
    pub async fn start(handler: Handler, faults: FaultPlan, clock: Clock) -> std::io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), handler, faults, clock).await
    }

    /// Serve on a given address, for `marts sandbox`, whose ports people write into a configuration.
    pub async fn start_on(
        address: SocketAddr,
        handler: Handler,
        faults: FaultPlan,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { handler, clock, faults: Mutex::new(faults), log: Mutex::default() });
        let task = tokio::spawn(wire::accept(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in order of arrival.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.log.lock().expect("no panic while logging").clone()
    }

    pub fn clear_log(&self) {
        self.shared.log.lock().expect("no panic while logging").clear();
    }

    /// Replace the plan; its counts start anew.
    pub fn set_faults(&self, faults: FaultPlan) {
        *self.shared.faults.lock().expect("no panic while planning") = faults;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
