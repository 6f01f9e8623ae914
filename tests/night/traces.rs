//! What a collector of traces is sent of a night, and that no night depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use marts::clock::Clock;
use marts::sandbox::http::{self, Fault, FaultPlan, HttpServer, Reply};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;

use super::stage::{self, Stage, ended};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A collector that takes everything.
async fn collector() -> HttpServer {
    let answers = http::handler(|_| async { Reply::new(200, "application/x-protobuf", "") });
    HttpServer::start(answers, FaultPlan::new(), Clock::system()).await.unwrap()
}

/// Runs the binary with these variables of OpenTelemetry's.
fn traced(stage: &Stage, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = stage.command(arguments);
    tokio::task::block_in_place(|| command.envs(variables.iter().copied()).output().unwrap())
}

/// Attributes as text.
fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

/// What the collector has been sent: what is said of the service, each time, and the spans.
fn received(collector: &HttpServer) -> (Vec<BTreeMap<String, String>>, Vec<Span>) {
    let (mut services, mut spans) = (Vec::new(), Vec::new());
    for logged in collector.log() {
        assert_eq!((logged.request.method.as_str(), logged.request.path.as_str()), ("POST", "/v1/traces"));
        assert_eq!(logged.request.headers["content-type"], "application/x-protobuf");
        assert_eq!(logged.request.headers["x-collector-key"], "a key with blanks");
        let mut body = logged.request.body.to_vec();
        if let Some(encoding) = logged.request.headers.get("content-encoding") {
            assert_eq!(encoding, "gzip");
            body.clear();
            GzDecoder::new(&logged.request.body[..]).read_to_end(&mut body).unwrap();
        }
        for resource in ExportTraceServiceRequest::decode(&body[..]).unwrap().resource_spans {
            services.push(texts(&resource.resource.unwrap().attributes));
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans.sort_by_key(|span| span.start_time_unix_nano);
    (services, spans)
}

fn below<'a>(spans: &'a [Span], parent: &Span, name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_of_a_night_shows_each_organisation_mart_and_stage() {
    let (stage, collector) = (Stage::start().await, collector().await);
    let day = stage::as_of().to_string();
    let asked = [
        (ENDPOINT, collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=a%20key%20with%20blanks".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=rehearsal".to_owned()),
    ];
    let asked: Vec<_> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ended(&[], traced(&stage, &["run", "--as-of", &day], &asked), 0);
    let (services, spans) = received(&collector);
    for service in services {
        assert_eq!(service["service.name"], "marts");
        assert_eq!(service["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(service["deployment.environment.name"], "rehearsal");
    }

    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    let [root] = roots[..] else { panic!("{roots:?}") };
    assert_eq!(root.name, "run");
    assert_eq!(texts(&root.attributes)["run"], stage.value("select max(run_id) from etl_runs"));
    let (mut marts, mut seen) = (BTreeSet::new(), 1);
    let organizations = below(&spans, root, "organization");
    assert_eq!(organizations.len(), 2);
    for organization in organizations {
        let org = texts(&organization.attributes)["org"].clone();
        for mart in below(&spans, organization, "mart") {
            let said = texts(&mart.attributes);
            assert_eq!((&said["org"], said["as_of"].as_str()), (&org, day.as_str()));
            assert!(marts.insert((org.clone(), said["job"].clone())), "{said:?} twice");
            let mut before = mart.start_time_unix_nano;
            for stage in ["land", "compute", "audit"] {
                let stages = below(&spans, mart, stage);
                let [stage] = stages[..] else { panic!("{stages:?} of {said:?}") };
                assert!(before <= stage.start_time_unix_nano, "{stage:?} of {said:?}");
                before = stage.end_time_unix_nano;
            }
            assert!(before <= mart.end_time_unix_nano, "{said:?}");
            seen += 4;
        }
        let published = below(&spans, organization, "publish");
        assert_eq!(published.len(), 1, "one transaction for {org}");
        assert!(published[0].end_time_unix_nano <= organization.end_time_unix_nano);
        seen += 2;
    }
    assert_eq!(marts.len(), stage::MARTS, "{marts:?}");
    assert_eq!(seen, spans.len(), "nothing besides");
    // What a trace tells, and no more: names, days and counts.
    for span in &spans {
        assert_eq!(span.trace_id, root.trace_id);
        assert_eq!(span.status.clone().unwrap_or_default().code(), StatusCode::Unset, "{span:?}");
        assert!(span.events.is_empty(), "{span:?}");
        for key in texts(&span.attributes).keys() {
            assert!(["run", "org", "job", "as_of", "marts"].contains(&key.as_str()), "{key} of {}", span.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_fails_is_traced_too_and_none_depends_on_the_collector() {
    let (stage, collector) = (Stage::start().await, collector().await);
    let day = stage::as_of().to_string();
    let run = ["run", "etl_hubspot_deals", "--as-of", &day];
    let url = collector.url();
    let asked = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{url}/v1/traces")),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-collector-key=a key with blanks".to_owned()),
        ("OTEL_SERVICE_NAME", "marts-of-others".to_owned()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
    ];
    let asked: Vec<_> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    stage.world.hubspot.set_faults(FaultPlan::new().on(
        "GET */deals*",
        1..,
        Fault::reply(Reply::json(403, r#"{"status":"error","message":"quoted in full","category":"MISSING_SCOPES"}"#)),
    ));
    ended(&run, traced(&stage, &run, &asked), 1);
    let (services, spans) = received(&collector);
    assert_eq!(services[0]["service.name"], "marts-of-others");
    assert!(collector.log().iter().all(|logged| logged.request.headers["content-encoding"] == "gzip"));
    let mart = spans.iter().find(|span| span.name == "mart").unwrap();
    let status = mart.status.clone().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, "", "what a source says stays here");
    assert!(spans.iter().all(|span| span.name != "publish"));

    // Nobody is told where nobody is named, not even at the port that the standard has for it, or where it is switched off.
    let usual = TcpListener::bind("127.0.0.1:4318");
    let told = collector.log().len();
    stage.world.hubspot.set_faults(FaultPlan::new());
    ended(&run, traced(&stage, &run, &asked[1..]), 0);
    ended(&run, traced(&stage, &run, &[(ENDPOINT, &url), ("OTEL_SDK_DISABLED", "true")]), 0);
    assert_eq!(collector.log().len(), told);
    if let Ok(usual) = usual {
        usual.set_nonblocking(true).unwrap();
        assert!(usual.accept().is_err(), "somebody has called");
    }

    // A collector that is away, one that turns everything down, one that never answers, one that cannot be.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    collector.set_faults(FaultPlan::new().on("*", 1.., Fault::reply(Reply::text(401, "who are you"))));
    for (endpoint, said) in [
        ("http://127.0.0.1:1", "do not reach the collector"),
        (&url, "status code: 401"),
        (&silent, "do not reach the collector"),
        ("not an address", "no traces are kept: OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"),
    ] {
        let began = Instant::now();
        let (_, error) = ended(&run, traced(&stage, &run, &[(ENDPOINT, endpoint)]), 0);
        assert!(began.elapsed() < Duration::from_secs(30), "{endpoint}: {:?}", began.elapsed());
        let lines: Vec<_> = error.lines().filter(|line| line.contains("traces") || line.contains("export")).collect();
        assert!(lines.len() == 1 && lines[0].contains(said), "{endpoint}: {error}");
        assert!(!error.contains("who are you"), "{error}");
    }
}
