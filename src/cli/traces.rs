//! Traces of the nights for a collector, by OpenTelemetry's own environment variables: OTLP as protobuf over HTTP.
//!
//! Where no variable names a collector nothing is set up and no thread runs. No night depends on the delivery: spans wait
//! in a queue of limited length beside it, and at the end of the program for [`PATIENCE`] at the most.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use reqwest::redirect;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

/// Any of them names a collector; the second is used as it stands, the first has `/v1/traces` added.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// How long the end of the program waits for the last spans.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the collector.
pub struct Traces {
    provider: SdkTracerProvider,
    is_broken: Arc<AtomicBool>,
}

/// The way to the collector that the environment names; none where it names none.
///
/// # Errors
/// When what the environment says cannot be understood.
pub fn start() -> Result<Option<Traces>> {
    if !is_wanted(|name| env::var(name).ok()) {
        return Ok(None);
    }
    for name in ENDPOINTS {
        // The exporter would quote what it cannot read, and with it a login that may be in there.
        let is_readable = env::var(name).is_ok_and(|text| text.is_empty() || text.parse::<hyper::Uri>().is_ok());
        ensure!(is_readable || env::var_os(name).is_none(), "{name} is not a URL");
    }
    crate::extract::http::install_crypto();
    // As everywhere here: an API that redirects is a login page or a proxy, and the headers must not travel there.
    let client = reqwest::blocking::Client::builder()
        .user_agent(concat!("marts/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .build()
        .context("setting up the HTTP client")?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .context("OTEL_EXPORTER_OTLP_…")?;
    let is_broken = Arc::new(AtomicBool::new(false));
    let exporter = Telling { exporter, is_broken: Arc::clone(&is_broken) };
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    Ok(Some(Traces { provider, is_broken }))
}

fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name, value| variable(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value));
    let is_named = ENDPOINTS.iter().any(|name| variable(name).is_some_and(|text| !text.trim().is_empty()));
    is_named && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

/// What the environment says of this service; it is called `marts` where it says no name.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let has_name = given.iter().any(|(key, value)| {
        key.as_str() == "service.name" && !value.as_str().is_empty() && !value.as_str().starts_with("unknown_service")
    });
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = Resource::builder().with_attribute(version);
    if has_name { named.build() } else { named.with_service_name("marts").build() }
}

impl Traces {
    /// What gives the program's spans to the collector: their names, days and counts, and none of the log lines.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = filter_fn(|metadata| {
            metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("marts")
        });
        let ours = ours.with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("marts"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Delivers what has not been delivered yet.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tell(&self.is_broken, &error.to_string());
        }
    }
}

/// Tells of a delivery that fails, once until one succeeds again.
#[derive(Debug)]
struct Telling {
    exporter: opentelemetry_otlp::SpanExporter,
    is_broken: Arc<AtomicBool>,
}

impl SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let done = self.exporter.export(batch).await;
        match &done {
            Ok(()) => self.is_broken.store(false, Ordering::Relaxed),
            Err(error) => tell(&self.is_broken, &error.to_string()),
        }
        done
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn tell(is_broken: &AtomicBool, error: &str) {
    if !is_broken.swap(true, Ordering::Relaxed) {
        tracing::warn!("traces do not reach the collector of OTEL_EXPORTER_OTLP_ENDPOINT: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_wanted_where_one_is_named_and_nothing_speaks_against_it() {
        let wanted = |given: &[(&str, &str)]| {
            is_wanted(|name| given.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(!wanted(&[]));
        assert!(!wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), "an empty variable is one that is not set");
        assert!(wanted(&[endpoint]));
        assert!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")]));
        assert!(!wanted(&[endpoint, ("OTEL_SDK_DISABLED", "True")]));
        assert!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "no")]));
        assert!(!wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }
}
