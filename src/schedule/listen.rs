//! `/healthz`, `/readyz` and `/metrics` over HTTP, for those who watch a scheduler.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::board::Board;
use crate::clock::Clock;
use crate::config::Config;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How many connections are served at once; more have to wait.
const CONNECTIONS: usize = 32;

/// What answers are made of.
#[derive(Clone)]
pub struct Watched {
    pub config: Arc<Config>,
    pub board: Arc<Board>,
    pub clock: Clock,
}

/// Reads where to listen: an address with a port, or a port, which is then this machine's alone.
///
/// # Errors
/// What it takes.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse();
    let loopback = port.map(|port: u16| SocketAddr::from((IpAddr::from(Ipv4Addr::LOCALHOST), port)));
    loopback
        .or_else(|_| text.parse())
        .map_err(|_| "write a port, as in 9187, or an address with a port, as in 0.0.0.0:9187".to_owned())
}

/// Opens the port.
///
/// # Errors
/// When it is taken, or may not be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Answers for ever.
pub async fn serve(listener: TcpListener, watched: Watched) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, watched.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, watched: Watched) {
    let service = service_fn(|request| {
        let answer = answer(&request, &watched);
        async move { Ok::<_, Infallible>(answer) }
    });
    // With a timer, one that asks nothing is given up after half a minute. How a connection ends is its client's affair.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn answer<B>(request: &Request<B>, watched: &Watched) -> Response<Full<Bytes>> {
    let now = watched.clock.now();
    let told = |told: Result<String, String>| match told {
        Ok(text) => (StatusCode::OK, TEXT, text + "\n"),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, text + "\n"),
    };
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => told(watched.board.health(now)),
        (&Method::GET | &Method::HEAD, "/readyz") => told(watched.board.readiness()),
        (&Method::GET | &Method::HEAD, "/metrics") => match watched.board.metrics(&watched.config, now) {
            Ok(text) => (StatusCode::OK, OPEN_METRICS, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error:#}\n")),
        },
        (_, "/healthz" | "/readyz" | "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "ask with GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
