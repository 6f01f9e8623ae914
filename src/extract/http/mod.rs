//! HTTP with retries. This is the only place where an HTTP request is repeated; what a source's answers mean is said by
//! the source, in a [`Classify`] of its own.

mod verdict;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;
use tracing::Instrument as _;

pub use verdict::{Classify, Verdict, is_html, retry_after, standard, status_line};

use super::BoxFuture;
use crate::clock::Clock;
use crate::config::Limits;

/// Headers in which sources name a request for their support: Intuit's, Zoom's, HubSpot's, Microsoft's.
const SUPPORT_IDS: [&str; 4] = ["intuit_tid", "x-zm-trackingid", "x-hubspot-correlation-id", "x-ms-request-id"];

/// Values of a JSON answer at which something is wrong: a value that takes two bytes to write takes a hundred when read.
/// The largest answers known have half of them.
const MOST_VALUES: usize = 1_000_000;

/// Bytes that room is made for before they come.
const ANNOUNCED_AT_MOST: u64 = 1 << 20;

/// Chooses *ring* for TLS in this process. Called again, it does nothing.
///
/// Several crates here bring rustls with different providers; reqwest panics when none was chosen.
pub fn install_crypto() {
    // An error means that one is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS that trusts what this machine trusts. The machine's certificates are read once: they may lie in hundreds of files,
/// and each connection of each organisation has a client of its own.
fn tls() -> Result<ClientConfig> {
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let mut tls =
        ClientConfig::with_platform_verifier().context("reading the certificates that this machine trusts")?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TLS.get_or_init(|| tls).clone())
}

/// A complete answer.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub fetched_at: DateTime<Utc>,
}

/// Where an access token comes from.
pub trait Credentials: Send + Sync {
    /// A token to call with. `refused` is one that the source has just turned down: it is not handed out again.
    fn token<'a>(&'a self, refused: Option<&'a SecretString>) -> BoxFuture<'a, Result<SecretString>>;
}

/// An HTTP client with limits and one retry policy.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    /// For hosts of this machine, which no proxy of the environment can reach.
    loopback: reqwest::Client,
    clock: Clock,
    /// Bytes that an answer may have.
    largest: u64,
    tries: u16,
    timeout: Duration,
    first_wait: Duration,
    longest_wait: Duration,
}

/// How one try went wrong.
struct Failed {
    reason: String,
    again: Again,
}

enum Again {
    Never,
    /// After the source's own wish, where it has one.
    After(Option<Duration>),
    WithAnotherToken,
}

impl HttpClient {
    /// A client that keeps to `limits`.
    pub fn new(limits: &Limits, clock: Clock) -> Result<Self> {
        install_crypto();
        let timeout = Duration::from_secs(limits.http_timeout_secs.max(1));
        let tls = tls()?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("marts/", env!("CARGO_PKG_VERSION")))
                .timeout(timeout)
                .connect_timeout(timeout.min(Duration::from_secs(20)))
                // An API that redirects is a login page or a proxy; a token must not travel there.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
        };
        let client = builder().build().context("setting up the HTTP client")?;
        let loopback = builder().no_proxy().build().context("setting up the HTTP client")?;
        Ok(HttpClient {
            client,
            loopback,
            clock,
            largest: limits.max_answer_mib.saturating_mul(1 << 20),
            tries: limits.tries.max(1),
            timeout,
            first_wait: Duration::from_millis(limits.first_backoff_millis),
            longest_wait: Duration::from_secs(limits.max_backoff_secs),
        })
    }

    /// The clock that waits and expiries are reckoned by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a request until it is answered, refused for good, or given up.
    ///
    /// # Errors
    /// Read as `GET https://host/path: 429 Too Many Requests, gave up after 6 tries`, without the query, which may hold
    /// secrets, and without anything of the body but what the classifier chose to say.
    pub async fn send(&self, request: &Request, classify: Classify<'_>) -> Result<Answer> {
        self.repeat(request, classify).await.map_err(|failed| anyhow!(failed.reason)).with_context(|| name(request))
    }

    /// The same with a bearer token, which is renewed once when the source turns it down.
    ///
    /// # Errors
    /// As [`HttpClient::send`]; also when the renewed token is turned down too.
    pub async fn send_with(
        &self,
        mut request: Request,
        credentials: &dyn Credentials,
        classify: Classify<'_>,
    ) -> Result<Answer> {
        let token = credentials.token(None).await?;
        request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
        match self.repeat(&request, classify).await {
            Err(Failed { again: Again::WithAnotherToken, reason }) => {
                tracing::debug!(reason, "access token refused, renewing it");
                let token = credentials.token(Some(&token)).await?;
                request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
                self.repeat(&request, classify).await.map_err(|failed| match failed.again {
                    Again::WithAnotherToken => anyhow!("{}, with a renewed access token too", failed.reason),
                    _ => anyhow!(failed.reason),
                })
            }
            other => other.map_err(|failed| anyhow!(failed.reason)),
        }
        .with_context(|| name(&request))
    }

    async fn repeat(&self, request: &Request, classify: Classify<'_>) -> Result<Answer, Failed> {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(usize::from(self.tries) - 1);
        let tried = AtomicU32::new(0);
        let second_chances = AtomicU32::new(0);
        let outcome = (|| {
            tried.fetch_add(1, Ordering::Relaxed);
            self.attempt(request, classify, &second_chances)
        })
        .retry(waits.build())
        .sleep(tokio::time::sleep)
        .when(|failed: &Failed| matches!(failed.again, Again::After(_)))
        .adjust(|failed, wait| wait.map(|wait| self.wait(failed, wait)))
        .notify(|failed, wait| tracing::debug!(reason = failed.reason, ?wait, "trying again"))
        .await;
        outcome.map_err(|mut failed| {
            let tries = tried.load(Ordering::Relaxed);
            if matches!(failed.again, Again::After(_)) || tries > 1 {
                let plural = if tries == 1 { "try" } else { "tries" };
                failed.reason = format!("{}, gave up after {tries} {plural}", failed.reason);
            }
            failed
        })
    }

    /// What the source asks for, else full jitter: anything up to the exponential wait, so that requests that failed
    /// together do not come back together.
    fn wait(&self, failed: &Failed, exponential: Duration) -> Duration {
        let wait = match failed.again {
            Again::After(Some(asked)) => asked.saturating_add(up_to(self.first_wait)),
            _ => up_to(exponential),
        };
        wait.min(self.longest_wait)
    }

    async fn attempt(
        &self,
        request: &Request,
        classify: Classify<'_>,
        second_chances: &AtomicU32,
    ) -> Result<Answer, Failed> {
        let request = request.try_clone().ok_or_else(|| Failed::never("the request's body cannot be sent twice"))?;
        let client = if is_loopback(request.url()) { &self.loopback } else { &self.client };
        let exchange = exchange(client.clone(), request, self.largest).in_current_span();
        // A task of its own, ended when nobody waits for it any more: the connection's task and this one tell each other
        // of every piece of an answer, which costs little on one thread and a wake each time between two.
        let mut task = JoinSet::new();
        task.spawn(exchange);
        let ended = task.join_next().await.expect("one task was started");
        let exchanged = ended.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Broken::Off),
        });
        let (status, headers, body) = exchanged.map_err(|broken| self.broken(broken))?;
        let answer = Answer { status, headers, body, fetched_at: self.clock.now() };
        let (reason, again) = match classify(answer.status, &answer.headers, &answer.body) {
            Verdict::Done => return Ok(answer),
            Verdict::Retry { reason, after } => {
                // The source's header is the better wish.
                (reason, Again::After(retry_after(&answer.headers, self.clock.now()).or(after)))
            }
            Verdict::RetryOnce(reason) if second_chances.fetch_add(1, Ordering::Relaxed) == 0 => {
                (reason, Again::After(None))
            }
            Verdict::RetryOnce(reason) | Verdict::Fail(reason) => (reason, Again::Never),
            Verdict::RefreshToken(reason) => (reason, Again::WithAnotherToken),
        };
        let support = SUPPORT_IDS.iter().find_map(|id| Some((id, answer.headers.get(*id)?.to_str().ok()?)));
        let reason = match support {
            Some((header, id)) => format!("{reason} ({header} {id})"),
            None => reason,
        };
        Err(Failed { reason, again })
    }

    fn broken(&self, broken: Broken) -> Failed {
        match broken {
            Broken::Transport(error) => self.transport(error),
            Broken::Large => {
                let most = self.largest >> 20;
                Failed::never(&format!("the answer is larger than {most} MiB (max_answer_mib)"))
            }
            Broken::Many => Failed::never(&format!("the answer has more than {MOST_VALUES} values")),
            Broken::Off => Failed::never("the program is ending"),
        }
    }

    /// Says in a few words why no complete answer came. reqwest's own text may hold the URL with its query.
    fn transport(&self, error: reqwest::Error) -> Failed {
        let error = error.without_url();
        let mut root: &dyn std::error::Error = &error;
        while let Some(source) = root.source() {
            root = source;
        }
        let (reason, again) = if error.is_timeout() && error.is_connect() {
            ("no connection in time".to_owned(), Again::After(None))
        } else if error.is_timeout() {
            (format!("no complete answer within {} s", self.timeout.as_secs()), Again::After(None))
        } else if error.is_connect() {
            (format!("cannot connect: {root}"), Again::After(None))
        } else if error.is_builder() {
            (format!("cannot build the request: {root}"), Again::Never)
        } else {
            (format!("the answer broke off: {root}"), Again::After(None))
        };
        Failed { reason, again }
    }
}

impl Failed {
    fn never(reason: &str) -> Self {
        Failed { reason: reason.to_owned(), again: Again::Never }
    }
}

/// Why an exchange brought no complete answer.
enum Broken {
    Transport(reqwest::Error),
    /// It has more bytes than are allowed.
    Large,
    /// It has more values than any answer of a source.
    Many,
    /// The runtime ended it.
    Off,
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Broken {
        Broken::Transport(error)
    }
}

/// Sends a request and reads the whole answer, unless it is larger or has more values than any answer of a source:
/// nobody's memory is to end with what somebody else sends. Counted is what is unpacked.
async fn exchange(
    client: reqwest::Client,
    request: Request,
    largest: u64,
) -> Result<(StatusCode, HeaderMap, Bytes), Broken> {
    let mut answer = client.execute(request).await?;
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    // As much as is announced, and no more than usual answers have: the announcement may be wrong.
    let announced = answer.content_length().unwrap_or(0).min(ANNOUNCED_AT_MOST);
    let mut body = BytesMut::with_capacity(announced as usize);
    while let Some(chunk) = answer.chunk().await? {
        if (body.len() + chunk.len()) as u64 > largest {
            return Err(Broken::Large);
        }
        body.extend_from_slice(&chunk);
    }
    // Counted roughly at first, in texts too, which takes a fraction of the time.
    if commas_and_brackets(&body) >= MOST_VALUES && values(&body) > MOST_VALUES {
        return Err(Broken::Many);
    }
    Ok((status, headers, body.freeze()))
}

/// A request for a URL.
pub fn get(url: Url, accept: &'static str) -> Request {
    let mut request = Request::new(Method::GET, url);
    request.headers_mut().insert(reqwest::header::ACCEPT, HeaderValue::from_static(accept));
    request
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How often a text has a comma or a bracket that begins something, within quotation marks or without.
fn commas_and_brackets(text: &[u8]) -> usize {
    // Sums of one byte, of as many as cannot overflow it, are what processors add up many at a time.
    let of_few = |few: &[u8]| few.iter().map(|byte| u8::from(matches!(byte, b',' | b'[' | b'{'))).sum::<u8>();
    text.chunks(usize::from(u8::MAX)).map(|few| usize::from(of_few(few))).sum()
}

/// How many values a JSON text has at most: one for each comma and bracket, and the first.
fn values(text: &[u8]) -> usize {
    let (mut count, mut is_quoted, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' | b'[' | b'{' if !is_quoted => count += 1,
            _ => {}
        }
    }
    count
}

fn up_to(longest: Duration) -> Duration {
    rand::random_range(Duration::ZERO..=longest)
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| anyhow!("the access token holds characters that no header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `GET https://host/path`
fn name(request: &Request) -> String {
    format!("{} {}", request.method(), without_query(request.url()))
}

/// A URL without its query, user and password.
pub fn without_query(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_exchange_ends_with_whoever_waits_for_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let client = HttpClient::new(&Limits::default(), Clock::fixed(DateTime::UNIX_EPOCH)).unwrap();
        let asking = tokio::spawn(async move { client.send(&get(url, "application/json"), &standard).await });
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut asked).await.unwrap(), 0);
        }
        // An answer that never ends.
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{").await.unwrap();
        asking.abort();
        let mut more = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(30), connection.read_to_end(&mut more)).await;
        closed.expect("the connection is closed").unwrap();
        assert!(more.is_empty());
    }

    #[test]
    fn values_are_counted_where_they_are_no_text() {
        for (text, count) in [
            ("", 1),
            ("3", 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a": [1, {"b": 2}], "c": "x,y[{"}"#, 6),
            (r#"["\"", ",,,\\", 1]"#, 4),
        ] {
            assert_eq!(values(text.as_bytes()), count, "{text}");
        }
        let long = r#"["a,b", {"c": [1, 2]}]"#.repeat(100);
        assert_eq!(commas_and_brackets(long.as_bytes()), 600, "texts count too: each value has one at least");
    }
}
