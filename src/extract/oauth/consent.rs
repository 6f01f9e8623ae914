//! The way back from a consent: the browser is sent to an address of this machine, with a code (RFC 6749 section 4.1.2; RFC
//! 8252 section 7.3 on loopback redirects).

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

/// What a person has consented to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub code: String,
    /// The company that they chose, where the server says so (Intuit: `realmId`).
    pub realm_id: Option<String>,
}

impl Consent {
    /// Reads the address that the browser was sent to.
    ///
    /// # Errors
    /// A refusal, another state than the one sent along, and no code.
    pub fn read(url: &Url, state: &str) -> Result<Self> {
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        if let Some(error) = value("error") {
            let why = value("error_description").map(|why| format!(" ({why})")).unwrap_or_default();
            bail!("consent was not given: {error}{why}");
        }
        ensure!(
            value("state").as_deref() == Some(state),
            "the answer belongs to another request (its state is not the one sent): begin again"
        );
        Ok(Consent { code: value("code").context("the answer has no code")?, realm_id: value("realmId") })
    }
}

/// Waits at the address that the browser is sent to.
pub struct Redirect {
    path: String,
    listeners: Vec<TcpListener>,
}

impl Redirect {
    /// Listens on the loopback, at the port of the redirect URL.
    ///
    /// # Errors
    /// An address that is not this machine's own, and a port that is taken.
    pub async fn listen(redirect_url: &Url) -> Result<Self> {
        let is_own = matches!(redirect_url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        ensure!(
            is_own && redirect_url.scheme() == "http",
            "{redirect_url} is not on this machine (http://localhost:PORT/…): give consent with --paste"
        );
        let port = redirect_url.port_or_known_default().context("the redirect URL has no port")?;
        let mut listeners = Vec::new();
        // A browser may take localhost for either.
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))] {
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(listener),
                // Not every machine has the second.
                Err(_) if address.is_ipv6() => {}
                Err(error) => return Err(error).with_context(|| format!("cannot listen on {address}")),
            }
        }
        Ok(Redirect { path: redirect_url.path().to_owned(), listeners })
    }

    /// Waits until the browser comes by, and tells the person to go back. Whatever else comes by is sent away.
    ///
    /// # Errors
    /// What [`Consent::read`] refuses.
    pub async fn wait(self, state: &str) -> Result<Consent> {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let (sender, path, state) = (sender.clone(), self.path.clone(), state.to_owned());
            tasks.spawn(async move {
                // Each connection by itself: browsers open some that they never use.
                let mut connections = JoinSet::new();
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    connections.spawn(serve(stream, path.clone(), state.clone(), sender.clone()));
                }
            });
        }
        let consent = receiver.recv().await.context("nobody listens any more")?;
        // The browser still reads its page.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        consent
    }
}

/// Answers one browser.
async fn serve(stream: TcpStream, path: String, state: String, sender: mpsc::Sender<Result<Consent>>) {
    let answer = |request: Request<Incoming>| {
        let found = found(&request, &path, &state);
        let sender = sender.clone();
        async move {
            let (status, text) = match &found {
                None => (StatusCode::NOT_FOUND, "nothing is here".to_owned()),
                Some(Ok(_)) => (StatusCode::OK, "Thank you. You can close this page.".to_owned()),
                Some(Err(error)) => (StatusCode::BAD_REQUEST, format!("{error:#}")),
            };
            if let Some(found) = found {
                // Only the first answer counts.
                let _ = sender.try_send(found);
            }
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    };
    let http = hyper::server::conn::http1::Builder::new();
    // A browser that goes away in the middle comes again.
    let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

fn found(request: &Request<Incoming>, path: &str, state: &str) -> Option<Result<Consent>> {
    if request.uri().path() != path {
        return None;
    }
    let url = Url::parse("http://localhost").ok()?.join(&request.uri().to_string()).ok()?;
    Some(Consent::read(&url, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Consent> {
        Consent::read(&Url::parse(&format!("http://localhost:8484/callback?{query}")).unwrap(), "S1")
    }

    #[test]
    fn a_consent_is_read_and_what_is_none_says_why() {
        let consent = read("code=AB%2B1&state=S1&realmId=123").unwrap();
        assert_eq!(consent, Consent { code: "AB+1".to_owned(), realm_id: Some("123".to_owned()) });
        for (query, said) in [
            ("error=access_denied&state=S1", "consent was not given: access_denied"),
            ("code=A&state=S2", "belongs to another request"),
            ("code=A", "belongs to another request"),
            ("state=S1", "has no code"),
        ] {
            let error = format!("{:#}", read(query).unwrap_err());
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}
